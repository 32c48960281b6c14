//! The serial changelog, over XML-RPC.

use std::borrow::Cow;

use dxr::{FaultResponse, MethodCall, MethodResponse, Value};
use quick_xml::Reader;
use quick_xml::events::Event;

use crate::names::normalise;

/// Deepest nesting of elements that is read; an event lies some ten deep.
const DEEPEST: usize = 32;
/// Most events of one answer that are looked at. The index gives at most 50,000.
const MOST: usize = 200_000;
/// Longest text of an event, in bytes: names of files are at most 255.
const LONGEST: usize = 1024;

/// One event of the changelog.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Normalised name of the project.
    pub project: String,
    /// The version, where the event is of one.
    pub version: Option<String>,
    /// Seconds since 1970.
    pub at: u64,
    /// What happened, in the index's words: `add py3 file six-1.17.0-py2.py3-none-any.whl`.
    pub action: String,
    /// Its number.
    pub serial: u64,
}

pub(super) fn since(serial: u64) -> String {
    // no index is near the end of what a number of XML-RPC can say
    let serial = i32::try_from(serial).map_or_else(
        |_| Value::Long(i64::try_from(serial).unwrap_or(i64::MAX)),
        Value::Integer,
    );
    call("changelog_since_serial", vec![serial])
}

pub(super) fn last() -> String {
    call("changelog_last_serial", Vec::new())
}

fn call(name: &'static str, params: Vec<Value>) -> String {
    let call = MethodCall {
        name: Cow::Borrowed(name),
        params,
    };
    call.to_xml().unwrap_or_default()
}

/// Reads an answer. An event that cannot be understood is left out: its project is met again when the root is compared.
pub(super) fn changes(text: &str) -> Result<Vec<Change>, String> {
    match value(text)? {
        Value::Array(events) => Ok(events.into_iter().take(MOST).filter_map(change).collect()),
        _ => Err("not a list of events".into()),
    }
}

pub(super) fn number(text: &str) -> Result<u64, String> {
    unsigned(&value(text)?).ok_or_else(|| "not a serial number".into())
}

fn value(text: &str) -> Result<Value, String> {
    if !is_shallow(text) {
        return Err(format!("elements nested more than {DEEPEST} deep"));
    }
    match MethodResponse::from_xml(text) {
        Ok(answer) => Ok(answer.value),
        Err(_) => match FaultResponse::from_xml(text) {
            Ok(fault) => Err(format!(
                "fault {}: {}",
                fault.fault.code(),
                fault.fault.string().chars().take(200).collect::<String>()
            )),
            Err(_) => Err("not an answer of XML-RPC".into()),
        },
    }
}

/// Whether elements are nested no deeper than a reader by recursion can bear.
fn is_shallow(text: &str) -> bool {
    let mut reader = Reader::from_str(text);
    let mut depth = 0usize;
    loop {
        match reader.read_event() {
            Ok(Event::Start(_)) if depth == DEEPEST => return false,
            Ok(Event::Start(_)) => depth += 1,
            Ok(Event::End(_)) => depth = depth.saturating_sub(1),
            // what is no XML is told by whoever reads it
            Ok(Event::Eof) | Err(_) => return true,
            Ok(_) => {}
        }
    }
}

fn change(value: Value) -> Option<Change> {
    let Value::Array(fields) = value else {
        return None;
    };
    let [project, version, at, action, serial] = fields.as_slice() else {
        return None;
    };
    Some(Change {
        project: normalise(&text_of(project)?)?.to_string(),
        version: text_of(version),
        at: unsigned(at)?,
        action: text_of(action)?,
        serial: unsigned(serial)?,
    })
}

fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) if text.len() <= LONGEST => Some(text.clone()),
        _ => None,
    }
}

fn unsigned(value: &Value) -> Option<u64> {
    match value {
        Value::Integer(number) => u64::try_from(*number).ok(),
        Value::Long(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(events: &str) -> String {
        format!(
            "<?xml version='1.0'?>\n<methodResponse><params><param><value><array><data>{events}</data></array></value></param></params></methodResponse>"
        )
    }

    fn event(project: &str, version: &str, serial: &str) -> String {
        format!(
            "<value><array><data><value><string>{project}</string></value><value>{version}</value><value><int>1700000000</int></value>\
             <value><string>add source file a-1.tar.gz</string></value><value><int>{serial}</int></value></data></array></value>"
        )
    }

    #[test]
    fn events_are_read() {
        let text = answer(&(event("Foo.Bar", "<string>1.0</string>", "7") + &event("baz", "<nil/>", "9")));
        let read = changes(&text).unwrap();
        assert_eq!(
            read.iter()
                .map(|c| (c.project.as_str(), c.version.as_deref(), c.serial))
                .collect::<Vec<_>>(),
            [("foo-bar", Some("1.0"), 7), ("baz", None, 9)]
        );
        assert_eq!(read[0].at, 1_700_000_000);
        assert_eq!(changes(&answer("")).unwrap(), []);
    }

    #[test]
    fn events_that_cannot_be_understood_are_left_out_and_the_others_stay() {
        let broken = event("not a name!", "<nil/>", "1") + &event("a", "<nil/>", "-4");
        let text = answer(&(broken + "<value><int>3</int></value>" + &event("good", "<nil/>", "5")));
        let read = changes(&text).unwrap();
        assert_eq!(
            read.iter().map(|c| c.project.as_str()).collect::<Vec<_>>(),
            ["good"]
        );
    }

    #[test]
    fn faults_pages_and_endless_nesting_are_errors() {
        let fault = "<methodResponse><fault><value><struct><member><name>faultCode</name><value><int>-32500</int></value></member>\
                     <member><name>faultString</name><value><string>too many requests</string></value></member></struct></value></fault></methodResponse>";
        assert!(changes(fault).unwrap_err().contains("too many requests"));
        assert!(changes("<!DOCTYPE html><html></html>").is_err());
        assert!(changes("").is_err());
        let deep =
            answer(&("<value><array><data>".repeat(100_000) + &"</data></array></value>".repeat(100_000)));
        assert!(changes(&deep).unwrap_err().contains("nested"));
        // ends that are only text do not make it shallow
        let text = "<value><array><data><![CDATA[</data></array></value>]]>".repeat(100_000);
        assert!(changes(&answer(&text)).unwrap_err().contains("nested"));
        assert_eq!(number(&answer("")).unwrap_err(), "not a serial number");
    }

    #[test]
    fn calls_are_what_the_index_expects() {
        assert!(since(7).contains("<methodName>changelog_since_serial</methodName>"));
        assert!(since(7).contains("<i4>7</i4>") || since(7).contains("<int>7</int>"));
        assert!(last().contains("changelog_last_serial"));
    }
}
