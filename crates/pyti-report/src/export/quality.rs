//! Remarks about quality as results of SARIF.

use std::collections::BTreeMap;

use pyti_model::quality::{Grade, Remark};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::sarif::{message, uri};
use crate::sentences::{shown, shown_str};
use crate::{Run, view};

/// Remarks of a run, each with the number of its job.
pub(super) fn remarks(run: &Run<'_>) -> Vec<(usize, Remark)> {
    let assessed = crate::quality::of_run(run).into_iter();
    assessed
        .flat_map(|(n, assessment)| assessment.remarks.into_iter().map(move |remark| (n, remark)))
        .collect()
}

/// One remark for each rule.
pub(super) fn rules(remarks: &[(usize, Remark)]) -> BTreeMap<&str, &Remark> {
    let mut rules = BTreeMap::new();
    for (_, remark) in remarks {
        rules.entry(remark.rule.as_str()).or_insert(remark);
    }
    rules
}

/// The rule of a remark.
pub(super) fn rule(remark: &Remark) -> Value {
    let mut rule = json!({
        "id": shown_str(&remark.rule),
        "shortDescription": { "text": message(&shown_str(&remark.rule)) },
        "defaultConfiguration": { "level": remark.grade.word() },
        "properties": { "tags": ["quality", remark.side.word()] },
    });
    if !remark.advice.is_empty() {
        rule["help"] = json!({ "text": message(&shown_str(&remark.advice)) });
    }
    rule
}

/// A remark. Its place is a file within the archive, where it has one.
pub(super) fn result(run: &Run<'_>, job: usize, remark: &Remark, index: usize) -> Value {
    let mut said = shown_str(&remark.sentence);
    if remark.more > 0 {
        said.push_str(&format!(" (and {} more)", remark.more));
    }
    let mut region = json!({ "startLine": 1 });
    let mut place = json!({ "uri": uri(&view::filename(run.jobs[job])), "index": job });
    if let Some(at) = &remark.place {
        let path: Vec<String> = shown(&at.path).split('/').map(uri).collect();
        place = json!({ "uri": path.join("/") });
        if let Some(line) = at.line.filter(|line| *line > 0) {
            region["startLine"] = line.into();
            if let Some(column) = at.column.filter(|column| *column > 0) {
                region["startColumn"] = column.into();
            }
        }
    }
    json!({
        "ruleId": shown_str(&remark.rule),
        "ruleIndex": index,
        "kind": "fail",
        "level": match remark.grade { Grade::Error => "error", Grade::Warning => "warning", Grade::Note => "note" },
        "message": { "text": message(&said) },
        "locations": [{ "physicalLocation": { "artifactLocation": place, "region": region } }],
        "partialFingerprints": { "pytiRemark/v1": fingerprint(run, remark) },
        "properties": { "side": remark.side.word() },
    })
}

/// The same remark of the same project has the same one in every run and release.
fn fingerprint(run: &Run<'_>, remark: &Remark) -> String {
    let mut hash = Sha256::new();
    let path = remark
        .place
        .as_ref()
        .map(|place| shown(&place.path))
        .unwrap_or_default();
    for part in [run.name, &remark.rule, &path, &remark.sentence] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
