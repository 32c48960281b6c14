//! The JSON Schema of everything that PyTI writes for others to read.

use pyti_model::event::Envelope;
use pyti_model::plan::Plan;
use pyti_model::summary::Summary;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::protocol as p;
use crate::rpc::{Method, Notification};

/// The document that `pyti schema` prints: types under `$defs`, methods of the Raw Data API beside them.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let mut roots = Map::new();
    let mut methods = Map::new();
    roots.insert(
        "envelope".to_owned(),
        generator.subschema_for::<Envelope>().to_value(),
    );
    roots.insert("plan".to_owned(), generator.subschema_for::<Plan>().to_value());
    roots.insert(
        "summary".to_owned(),
        generator.subschema_for::<Summary>().to_value(),
    );
    let mut method = |name: &str, params: Value, answer: Option<Value>| {
        let mut entry = Map::new();
        entry.insert("params".to_owned(), params);
        if let Some(answer) = answer {
            entry.insert("result".to_owned(), answer);
        }
        methods.insert(name.to_owned(), Value::Object(entry));
    };
    macro_rules! methods {
        ($($m:ty),+) => {$(
            method(<$m>::NAME,
                generator.subschema_for::<<$m as Method>::Params>().to_value(),
                Some(generator.subschema_for::<<$m as Method>::Answer>().to_value()));
        )+};
    }
    methods!(
        p::RunJob,
        p::OpenView,
        p::ProvideFiles,
        p::CommitEnvironment,
        p::PutBlob
    );
    method(
        p::Happened::NAME,
        generator.subschema_for::<Params<p::Happened>>().to_value(),
        None,
    );
    macro_rules! notifications {
        ($($n:ty),+) => {$(
            method(<$n>::NAME, generator.subschema_for::<Params<$n>>().to_value(), None);
        )+};
    }
    notifications!(
        p::CancelJob,
        p::TerminalOpened,
        p::TerminalOutput,
        p::TerminalInput,
        p::TerminalSize
    );
    let definitions = generator.take_definitions(true);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "PyTI: recording, plan, summary and Raw Data API",
        "description": "An `envelope` is one line of a recording; a `summary` is one line of `pyti run --json`; \
                        `methods` are those of the Raw Data API (JSON-RPC 2.0).",
        "recording_version": pyti_model::event::RECORDING_VERSION,
        "properties": roots,
        "methods": methods,
        "$defs": definitions,
    })
}

type Params<N> = <N as Notification>::Params;

/// What has a schema here.
pub fn of<T: JsonSchema>() -> Value {
    schemars::schema_for!(T).to_value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_method_is_described() {
        let document = document();
        for name in ["Envelope", "Plan", "Summary", "Foreign", "RawData"] {
            assert!(document["$defs"].get(name).is_some(), "{name}");
        }
        for name in ["job.run", "event", "provide", "blob.put", "terminal.output"] {
            assert!(document["methods"].get(name).is_some(), "{name}");
        }
    }
}
