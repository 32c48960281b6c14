//! The forms of other tools: what their schemas ask for is there, and nothing of a package breaks them.

use std::collections::BTreeSet;

use pyti_report::{events_csv, indicators, package_analysis, sarif};
use serde_json::Value;

use crate::enemy::hostile;
use crate::support::{run, wheel};
use crate::traced::{clean, harmful};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a Vec<Value> {
    value[name]
        .as_array()
        .unwrap_or_else(|| panic!("{name} is a list"))
}

/// What the schema of SARIF 2.1.0 and code scanning require.
pub(crate) fn is_sarif(log: &Value) {
    assert_eq!(log["version"], "2.1.0");
    for run in list(log, "runs") {
        let driver = &run["tool"]["driver"];
        assert_eq!(driver["name"], "PyTI");
        let rules = list(driver, "rules");
        let ids: BTreeSet<&str> = rules.iter().map(|rule| rule["id"].as_str().unwrap()).collect();
        assert_eq!(ids.len(), rules.len(), "rules come once");
        for invocation in list(run, "invocations") {
            assert!(invocation["executionSuccessful"].is_boolean());
        }
        for artifact in list(run, "artifacts") {
            assert!(artifact["location"]["uri"].is_string());
        }
        for result in list(run, "results") {
            let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
            assert_eq!(rules[index]["id"], result["ruleId"]);
            assert!(["none", "note", "warning", "error"].contains(&result["level"].as_str().unwrap()));
            assert!(!result["message"]["text"].as_str().unwrap().is_empty());
            assert!(!list(result, "locations").is_empty());
            for location in list(result, "locations") {
                let physical = &location["physicalLocation"];
                let uri = physical["artifactLocation"]["uri"].as_str().unwrap();
                assert!(uri.bytes().all(|byte| byte.is_ascii_graphic()), "{uri}");
                assert_eq!(physical["region"]["startLine"], 1);
            }
            for flow in result["codeFlows"].as_array().into_iter().flatten() {
                for thread in list(flow, "threadFlows") {
                    assert!(!list(thread, "locations").is_empty());
                }
            }
            for suppression in result["suppressions"].as_array().into_iter().flatten() {
                assert_eq!(suppression["kind"], "external");
            }
        }
    }
}

#[test]
fn sarif_has_what_its_readers_require() {
    let case = harmful();
    let text = sarif(&case.run());
    if let Some(path) = std::env::var_os("PYTI_WRITE_SARIF") {
        std::fs::write(path, &text).unwrap();
    }
    let log = json(&text);
    is_sarif(&log);
    let run = &log["runs"][0];
    assert_eq!(run["results"].as_array().unwrap().len(), 5);
    assert_eq!(run["results"][0]["level"], "error");
    assert_eq!(run["results"][4]["kind"], "informational", "a rule on trial");
    assert_eq!(run["properties"]["verdict"], "harmful");
    let flow = &run["results"][0]["codeFlows"][0]["threadFlows"][0]["locations"];
    assert_eq!(flow.as_array().unwrap().len(), 6);
    assert_eq!(
        flow[2]["location"]["logicalLocations"][0]["fullyQualifiedName"],
        "import/python3.13/sh/curl"
    );
}

#[test]
fn sarif_of_what_was_not_judged_says_so() {
    let jobs = [wheel().judged()];
    let log = json(&sarif(&run(&jobs)));
    is_sarif(&log);
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert!(invocation.to_string().contains("was not judged"));
    let log = json(&sarif(&clean().run()));
    assert_eq!(log["runs"][0]["invocations"][0]["executionSuccessful"], true);
    assert!(list(&log["runs"][0], "results").is_empty());
}

#[test]
fn a_fingerprint_does_not_change_from_run_to_run() {
    let case = harmful();
    let (one, mut other) = (case.run(), case.run());
    other.id = "beef";
    other.version = Some("1.18.0");
    let print = |text: &str| json(text)["runs"][0]["results"][0]["partialFingerprints"].clone();
    assert_eq!(print(&sarif(&one)), print(&sarif(&other)));
}

/// What STIX 2.1 requires of the objects that we write.
pub(crate) fn is_stix(bundle: &Value) -> Vec<&Value> {
    assert_eq!(bundle["type"], "bundle");
    let objects = list(bundle, "objects");
    let ids: BTreeSet<&str> = objects
        .iter()
        .map(|object| object["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), objects.len(), "identifiers are unique");
    for object in objects {
        let kind = object["type"].as_str().unwrap();
        assert!(
            object["id"].as_str().unwrap().starts_with(&format!("{kind}--")),
            "{object}"
        );
        assert_eq!(object["spec_version"], "2.1");
        let required: &[&str] = match kind {
            "indicator" => &["pattern", "pattern_type", "valid_from", "created", "modified"],
            "identity" | "attack-pattern" => &["name", "created", "modified"],
            "relationship" => &["relationship_type", "source_ref", "target_ref"],
            "report" => &["name", "published", "object_refs"],
            "file" => &["hashes"],
            "domain-name" | "url" | "ipv4-addr" | "ipv6-addr" => &["value"],
            other => panic!("{other} is not ours"),
        };
        for field in required {
            assert!(!object[*field].is_null(), "{kind} has {field}");
        }
        for field in ["source_ref", "target_ref", "created_by_ref"] {
            if let Some(target) = object[field].as_str() {
                assert!(ids.contains(target), "{target} is in the bundle");
            }
        }
        for target in object["object_refs"].as_array().into_iter().flatten() {
            assert!(
                ids.contains(target.as_str().unwrap()),
                "{target} is in the bundle"
            );
        }
    }
    objects.iter().collect()
}

#[test]
fn indicators_are_what_the_package_asked_for() {
    let case = harmful();
    let text = indicators(&case.run());
    if let Some(path) = std::env::var_os("PYTI_WRITE_STIX") {
        std::fs::write(path, &text).unwrap();
    }
    let bundle = json(&text);
    let objects = is_stix(&bundle);
    let patterns: BTreeSet<&str> = objects
        .iter()
        .filter(|object| object["type"] == "indicator")
        .map(|object| object["pattern"].as_str().unwrap())
        .collect();
    let file = format!("[file:hashes.'SHA-256' = '{}']", "c".repeat(64));
    let wheel = format!("[file:hashes.'SHA-256' = '{}']", "4".repeat(64));
    assert_eq!(
        patterns,
        BTreeSet::from([
            "[domain-name:value = 'collector.example']",
            "[url:value = 'https://collector.example/v1/collect']",
            file.as_str(),
            wheel.as_str(),
        ]),
        "neither what no finding names nor an address that was made up"
    );
    assert!(objects.iter().any(|object| object["name"] == "T1552.001"));
    assert_eq!(
        text,
        indicators(&case.run()),
        "the same run gives the same bundle"
    );
}

#[test]
fn a_clean_package_has_no_indicators() {
    let case = clean();
    let bundle = json(&indicators(&case.run()));
    assert!(
        is_stix(&bundle)
            .iter()
            .all(|object| object["type"] != "indicator")
    );
}

#[test]
fn package_analysis_has_its_fields_by_phase() {
    let case = harmful();
    let text = package_analysis(&case.run());
    assert_eq!(text.lines().count(), 1, "a line for each file");
    let value = json(&text);
    assert_eq!(value["Package"]["Ecosystem"], "pypi");
    assert_eq!(value["CreatedTimestamp"], 1_767_323_045);
    let import = &value["Analysis"]["import"];
    assert_eq!(import["Status"], "completed");
    assert_eq!(import["DNS"][0]["Queries"][0]["Hostname"], "collector.example");
    assert_eq!(import["DNS"][0]["Queries"][0]["Types"][0], "A");
    let socket = list(import, "Sockets")
        .iter()
        .find(|s| s["Hostnames"][0] == "collector.example");
    assert_eq!(socket.unwrap()["Port"], 443);
    assert!(
        list(import, "Commands")
            .iter()
            .any(|command| command["Command"][0] == "/usr/bin/curl")
    );
    let file = |path: &str| {
        list(import, "Files")
            .iter()
            .find(|file| file["Path"] == path)
            .cloned()
    };
    assert_eq!(file("/home/dev/.aws/credentials").unwrap()["Read"], true);
    assert_eq!(
        file("/home/dev/.config/autostart/updater.desktop").unwrap()["Write"],
        true
    );
    assert!(file("/home/dev/.netrc").is_none(), "what failed did not happen");
    assert!(value["Analysis"]["install"]["Commands"].is_array());
    assert!(value["Analysis"]["execute"].is_null(), "nothing of it ran");
}

#[test]
fn events_are_a_table() {
    let case = harmful();
    let text = events_csv(&case.run());
    let lines: Vec<&str> = text.split_terminator("\r\n").collect();
    // the crowd, the thief, changes of install and import
    assert_eq!(lines.len(), 1 + 41 + 14 + 3);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("sent the decoy aws.credentials") && line.ends_with(",1"))
    );
    assert!(lines.iter().all(|line| !line.contains('\n')));
}

#[test]
fn denied_text_of_a_package_breaks_no_export() {
    let case = hostile();
    let run = case.run();
    is_sarif(&json(&sarif(&run)));
    is_stix(&json(&indicators(&run)));
    for line in package_analysis(&run).lines() {
        json(line);
    }
    let table = events_csv(&run);
    for cell in table.split(['\n', ',']) {
        let cell = cell.trim_start_matches('"');
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell}");
    }
    for (name, text) in [("sarif", sarif(&run)), ("stix", indicators(&run)), ("csv", table)] {
        let bad = text
            .chars()
            .find(|c| !matches!(c, '\n' | '\r') && (c.is_control() || ('\u{202a}'..='\u{202e}').contains(c)));
        assert_eq!(bad, None, "{name}");
    }
}
