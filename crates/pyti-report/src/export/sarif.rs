//! SARIF 2.1.0: findings for code scanning and for whatever else reads results of analysers.

use std::collections::BTreeMap;

use pyti_model::finding::{Finding, RuleState, Severity};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{moment, quality, text};
use crate::deeds;
use crate::findings::{self, Found};
use crate::page::change_sentence;
use crate::seen::{Proof, Seen};
use crate::sentences::{shown, shown_str};
use crate::{Run, view};

/// Pieces of evidence of one finding.
const EVIDENCE: usize = 200;

/// All findings of a run as SARIF 2.1.0. The files are its artifacts, the evidence its code flows, suppressed findings
/// are suppressed results.
pub fn sarif(run: &Run<'_>) -> String {
    let all = findings::findings(run);
    let seen: Vec<Seen<'_>> = run.jobs.iter().map(Seen::of).collect();
    let mut rules: BTreeMap<&str, &Finding> = BTreeMap::new();
    for found in &all {
        rules.entry(&found.finding.rule).or_insert(found.finding);
    }
    let index: BTreeMap<&str, usize> = rules.keys().enumerate().map(|(n, rule)| (*rule, n)).collect();
    let version = run
        .jobs
        .iter()
        .map(|job| job.record.pyti.as_str())
        .find(|version| !version.is_empty());
    let remarks = quality::remarks(run);
    let told = quality::rules(&remarks);
    let mut all_rules: Vec<Value> = rules.values().map(|finding| rule(finding)).collect();
    let first = all_rules.len();
    all_rules.extend(told.values().map(|remark| quality::rule(remark)));
    let mut driver = json!({ "name": "PyTI", "rules": all_rules });
    if let Some(version) = version {
        driver["version"] = shown_str(version).into();
    }
    let mut results: Vec<Value> = all
        .iter()
        .map(|found| {
            let at = index
                .get(found.finding.rule.as_str())
                .copied()
                .unwrap_or_default();
            result(run, found, at, &seen)
        })
        .collect();
    results.extend(remarks.iter().map(|(n, remark)| {
        let at = told
            .keys()
            .position(|rule| *rule == remark.rule.as_str())
            .unwrap_or_default();
        quality::result(run, *n, remark, first + at)
    }));
    text(&json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": driver },
            "automationDetails": {
                "id": format!("pyti/{}/{}/{}", shown_str(run.name), shown_str(run.version.unwrap_or("none")), shown_str(run.id)),
            },
            "columnKind": "unicodeCodePoints",
            "artifacts": run.jobs.iter().map(|job| artifact(job)).collect::<Vec<_>>(),
            "invocations": [invocation(run)],
            "results": results,
            "properties": {
                "verdict": view::verdict(run),
                "interpreter": shown_str(run.interpreter),
                "isolation": shown_str(run.isolation),
            },
        }],
    }))
}

fn rule(finding: &Finding) -> Value {
    let mut tags = vec!["security".to_owned(), finding.family.word().to_owned()];
    tags.extend(finding.mitre.iter().map(|id| format!("attack/{}", shown_str(id))));
    json!({
        "id": shown_str(&finding.rule),
        "shortDescription": { "text": message(&shown_str(&finding.title)) },
        "defaultConfiguration": { "level": level(finding.severity) },
        "properties": {
            "tags": tags,
            "security-severity": security_severity(finding.severity),
        },
    })
}

fn result(run: &Run<'_>, found: &Found<'_>, index: usize, seen: &[Seen<'_>]) -> Value {
    let finding = found.finding;
    let jobs = std::iter::once(found.job).chain(found.also.iter().copied());
    let flow: Vec<Value> = seen.get(found.job).map_or_else(Vec::new, |seen| {
        finding
            .events
            .iter()
            .take(EVIDENCE)
            .zip(1..)
            .map(|(place, order)| {
                let (said, path, at_us) = evidence(seen, *place);
                let mut location = json!({ "message": { "text": message(&said) } });
                if let Some(path) = path {
                    location["logicalLocations"] = json!([{ "fullyQualifiedName": path, "kind": "process" }]);
                }
                let mut properties = json!({ "event": place });
                if let Some(at_us) = at_us {
                    properties["at_us"] = at_us.into();
                }
                json!({ "location": location, "executionOrder": order, "properties": properties })
            })
            .collect()
    });
    let counted = finding.state == RuleState::Active;
    let mut result = json!({
        "ruleId": shown_str(&finding.rule),
        "ruleIndex": index,
        "kind": if counted { "fail" } else { "informational" },
        "level": if counted { level(finding.severity) } else { "none" },
        "message": { "text": message(&findings::sentence(finding)) },
        "locations": jobs
            .filter(|n| *n < run.jobs.len())
            .map(|n| json!({
                "physicalLocation": {
                    "artifactLocation": { "uri": uri(&view::filename(run.jobs[n])), "index": n },
                    "region": { "startLine": 1 },
                },
                "logicalLocations": [{ "fullyQualifiedName": shown_str(&finding.phase), "kind": "phase" }],
            }))
            .collect::<Vec<_>>(),
        "partialFingerprints": { "pytiFinding/v1": fingerprint(run, finding) },
        "properties": {
            "number": found.number,
            "severity": finding.severity,
            "family": finding.family,
            "phase": shown_str(&finding.phase),
            "state": finding.state,
        },
    });
    if !flow.is_empty() {
        result["codeFlows"] = json!([{ "threadFlows": [{ "locations": flow }] }]);
    }
    if let Some(why) = &finding.suppressed {
        result["suppressions"] = json!([{
            "kind": "external",
            "status": "accepted",
            "justification": shown_str(why),
        }]);
    }
    result
}

/// A piece of evidence: what, by whom, when.
fn evidence(seen: &Seen<'_>, place: pyti_model::trace::EventRef) -> (String, Option<String>, Option<u64>) {
    match seen.at(place) {
        Proof::Act(traced, _, act) => {
            let path = act.process.and_then(|n| usize::try_from(n).ok()).map(|process| {
                let names = deeds::ancestry(traced, process);
                format!("{}/{}", shown_str(traced.task), names.join("/"))
            });
            (deeds::say(act, traced).line(), path, Some(act.at_us))
        }
        Proof::Command(traced) => (
            format!("the whole command of {}", shown_str(traced.task)),
            Some(shown_str(traced.task)),
            None,
        ),
        Proof::Change(task, change) => (change_sentence(change), Some(shown_str(task)), None),
        Proof::Written(task, file) => (
            format!("wrote {}", shown(&file.path)),
            Some(shown_str(task)),
            None,
        ),
        Proof::Ran(task, _) => ("a command was run".to_owned(), Some(shown_str(task)), None),
        Proof::Other => ("an event of the recording".to_owned(), None, None),
    }
}

fn artifact(job: &crate::Job<'_>) -> Value {
    let name = view::filename(*job);
    let mut artifact = json!({ "location": { "uri": uri(&name) }, "roles": ["analysisTarget"] });
    if let Some(file) = &job.record.file {
        artifact["length"] = file.size.into();
        artifact["hashes"] = json!({ "sha-256": file.sha256.to_string() });
    }
    artifact
}

fn invocation(run: &Run<'_>) -> Value {
    let missing = findings::missing(run);
    let whole = run
        .jobs
        .iter()
        .all(|job| job.record.complete && !job.record.interrupted);
    let judged = run.jobs.iter().all(|job| job.found.is_some());
    let mut notes: Vec<String> = missing.clone();
    if !judged {
        notes.push("what it did was not judged".to_owned());
    }
    let mut invocation = json!({
        "executionSuccessful": whole && missing.is_empty() && judged,
        "toolExecutionNotifications": notes
            .iter()
            .map(|note| json!({ "level": "warning", "message": { "text": message(note) } }))
            .collect::<Vec<_>>(),
    });
    if let Some(when) = run.jobs.iter().find_map(|job| moment(&job.record.when)) {
        invocation["startTimeUtc"] = when.into();
    }
    invocation
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical | Severity::High => "error",
        Severity::Medium => "warning",
        Severity::Low | Severity::Info => "note",
    }
}

/// The number by which code scanning sorts: above 9 critical, 7 high, 4 medium.
fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "9.5",
        Severity::High => "8.0",
        Severity::Medium => "5.5",
        Severity::Low => "2.5",
        Severity::Info => "0.0",
    }
}

/// The same finding of the same project has the same one in every run and release.
fn fingerprint(run: &Run<'_>, finding: &Finding) -> String {
    let mut hash = Sha256::new();
    for part in [run.name, &finding.rule, &finding.phase, &finding.sentence] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Plain text in which nothing is a link or a placeholder (SARIF 3.11).
pub(super) fn message(plain: &str) -> String {
    let mut out = String::with_capacity(plain.len() + 4);
    for c in plain.chars() {
        match c {
            '[' | ']' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '{' | '}' => {
                out.push(c);
                out.push(c);
            }
            c => out.push(c),
        }
    }
    if out.is_empty() {
        "nothing is said".to_owned()
    } else {
        out
    }
}

/// A file name as a relative reference.
pub(super) fn uri(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'+' | b'!' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}
