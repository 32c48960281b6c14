//! The Command API described for machines: `OpenRPC`, with the schemas that the types give.

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use crate::rpc::{BATCH, BODY_BYTES, DEPTH, codes};
use crate::version::PROTOCOL;
use crate::{Method, raw};

/// The method that gives this document.
pub const DISCOVER: &str = "rpc.discover";

/// Calls a macro with all methods.
#[macro_export]
macro_rules! each_method {
    ($call:ident) => {
        $call! {
            $crate::worker::Enrol, $crate::worker::Challenge, $crate::worker::Session, $crate::worker::Hello,
            $crate::work::Claim, $crate::work::Renew, $crate::work::Complete, $crate::work::Release,
            $crate::job::Submit, $crate::job::Get, $crate::job::Cancel,
            $crate::result::Query, $crate::feed::Status,
            $crate::admin::Status, $crate::admin::Workers, $crate::admin::Approve, $crate::admin::OrderWorker,
            $crate::admin::Revoke, $crate::admin::CreateJoin, $crate::admin::Joins, $crate::admin::RevokeJoin,
            $crate::admin::CreateToken, $crate::admin::Tokens, $crate::admin::RevokeToken, $crate::admin::Queues,
            $crate::admin::Jobs, $crate::admin::Requeue, $crate::admin::CheckStore, $crate::admin::Backup,
            $crate::admin::Prune, $crate::admin::Audit
        }
    };
}

/// The document, as `rpc.discover` answers and as docs/openrpc.json is.
pub fn document() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .into_generator();
    let mut methods = Vec::new();
    macro_rules! describe_all {
        ($($m:ty),+) => { $( methods.push(describe::<$m>(&mut generator)); )+ };
    }
    each_method!(describe_all);
    // not methods, and part of the protocol all the same
    let _ = generator.subschema_for::<raw::NextSegment>();
    let errors: Vec<Value> = codes::ALL
        .iter()
        .map(|(code, word)| json!({"code": code, "message": word}))
        .collect();
    json!({
        "openrpc": "1.3.2",
        "info": {
            "title": "PyTI Command API",
            "version": format!("{}", PROTOCOL.max),
            "description": format!(
                "JSON-RPC 2.0 at POST /rpc/v1; at most {BODY_BYTES} bytes, {BATCH} calls in a batch, nested {DEPTH} deep."
            ),
        },
        "x-protocol": {"min": PROTOCOL.min, "max": PROTOCOL.max},
        "methods": methods,
        "components": {
            "schemas": generator.take_definitions(true),
            "errors": errors,
        },
    })
}

fn describe<M: Method>(generator: &mut SchemaGenerator) -> Value {
    let params = generator.subschema_for::<M::Params>().to_value();
    let answer = generator.subschema_for::<M::Answer>().to_value();
    json!({
        "name": M::NAME,
        "summary": M::SUMMARY,
        "x-access": M::ACCESS.word(),
        "x-reads": M::READS,
        "paramStructure": "by-name",
        "params": [{"name": "params", "required": true, "schema": params}],
        "result": {"name": "answer", "schema": answer},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn references(value: &Value, seen: &mut Vec<String>) {
        match value {
            Value::Object(map) => {
                if let Some(Value::String(to)) = map.get("$ref") {
                    seen.push(to.clone());
                }
                map.values().for_each(|v| references(v, seen));
            }
            Value::Array(all) => all.iter().for_each(|v| references(v, seen)),
            _ => {}
        }
    }

    #[test]
    fn every_method_is_described_once_and_every_reference_leads_somewhere() {
        let document = document();
        let methods = document["methods"].as_array().unwrap();
        let names: std::collections::BTreeSet<_> =
            methods.iter().map(|m| m["name"].as_str().unwrap()).collect();
        assert_eq!(names.len(), methods.len());
        for name in [
            "worker.enrol",
            "work.claim",
            "job.submit",
            "result.query",
            "admin.worker.revoke",
        ] {
            assert!(names.contains(name), "{name}");
        }
        let mut seen = Vec::new();
        references(&document, &mut seen);
        assert!(seen.len() > 50);
        for to in seen {
            let pointer = to.strip_prefix('#').unwrap();
            assert!(document.pointer(pointer).is_some(), "{to}");
        }
    }

    #[test]
    fn the_committed_document_is_current() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/openrpc.json");
        let there: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        assert!(there == document(), "run `cargo xtask schema`");
    }

    #[test]
    fn codes_are_given_once() {
        let mut seen = std::collections::BTreeSet::new();
        assert!(codes::ALL.iter().all(|(code, _)| seen.insert(*code)));
    }
}
