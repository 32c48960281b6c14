//! Two results side by side.

use askama::Template;
use axum::response::Response;
use pyti_judge::{JobRecord, Judgement};
use pyti_store::{ResultRow, Store};
use serde::{Deserialize, Serialize};

use super::{Frame, link, say};
use crate::address::Form;
use crate::child::Wanted;
use crate::fault::Fault;
use crate::hostile::{Hostile, Markup};
use crate::query::Query;
use crate::site::Site;
use crate::views::{FindingView, ResultView};

#[derive(Template, Serialize)]
#[template(path = "compare.html")]
struct Compare {
    #[serde(skip)]
    frame: Frame,
    /// What was asked for.
    a: Hostile,
    b: Hostile,
    pair: Option<Pair>,
}

#[derive(Serialize)]
struct Pair {
    before: ResultView,
    after: ResultView,
    /// Findings that only the second has, only the first, and both.
    findings_new: Vec<FindingView>,
    findings_gone: Vec<FindingView>,
    findings_same: usize,
    /// Tests, tasks and changed files, as `pyti diff --json` says them.
    comparison: Option<serde_json::Value>,
    no_comparison: Option<String>,
    #[serde(skip)]
    html: Option<Markup>,
}

/// What a child says of two recordings.
#[derive(Serialize, Deserialize)]
struct Compared {
    html: String,
    comparison: serde_json::Value,
}

/// Compares two recordings, in a child.
pub(crate) fn compare_recordings(
    before: (JobRecord, Judgement),
    after: (JobRecord, Judgement),
) -> Result<Vec<u8>, String> {
    // the page tells both verdicts and their findings itself
    let safe = pyti_judge::compare::Safe::default();
    let comparison = pyti_judge::compare::compare(&[before], &[after], safe);
    let compared = Compared {
        html: pyti_report::diff_fragment(&comparison),
        comparison: serde_json::to_value(&comparison).map_err(|e| e.to_string())?,
    };
    serde_json::to_vec(&compared).map_err(|e| e.to_string())
}

/// A result by its number, or the newest result of the file with this digest.
fn find(store: &Store, what: &str) -> Result<ResultRow, Fault> {
    let none = || Fault::NotFound("there is no such result or file".to_owned());
    if let Ok(id) = what.parse::<i64>() {
        return store.result(id)?.ok_or_else(none);
    }
    let digest = what
        .parse()
        .map_err(|_| Fault::Bad("a result's number or a file's SHA-256 is needed on each side"))?;
    let file = store.files(&digest)?.into_iter().next().ok_or_else(none)?;
    let results = store.file_current(file.id)?;
    results.into_iter().max_by_key(|row| row.id).ok_or_else(none)
}

pub(crate) async fn compare(site: &Site, query: &Query, form: Form) -> Result<Response, Fault> {
    let side = |name: &str| query.get(name).unwrap_or_default().trim().to_owned();
    let (a, b) = (side("a"), side("b"));
    let mut frame = Frame::new(site, "Two results compared", "compare", "/compare");
    frame.json = link(Form::Json, "/compare", &[("a", &a), ("b", &b)]);
    let pair = if a.is_empty() || b.is_empty() {
        None
    } else {
        Some(pair(site, a.clone(), b.clone()).await?)
    };
    let page = Compare {
        frame,
        a: a.into(),
        b: b.into(),
        pair,
    };
    say(form, &page)
}

async fn pair(site: &Site, a: String, b: String) -> Result<Pair, Fault> {
    let (before, after, of_before, of_after) = site
        .read(move |store| {
            let (before, after) = (find(store, &a)?, find(store, &b)?);
            let of = (store.findings(before.id)?, store.findings(after.id)?);
            Ok((before, after, of.0, of.1))
        })
        .await?;
    let known = |list: &[pyti_store::FindingRow], one: &pyti_store::FindingRow| {
        list.iter()
            .any(|other| other.rule == one.rule && other.sentence == one.sentence)
    };
    let only = |here: &[pyti_store::FindingRow], there: &[pyti_store::FindingRow]| -> Vec<FindingView> {
        here.iter()
            .filter(|one| !known(there, one))
            .cloned()
            .map(Into::into)
            .collect()
    };
    let (findings_new, findings_gone) = (only(&of_after, &of_before), only(&of_before, &of_after));
    let store = &site.inner.store;
    let rendered = site
        .inner
        .renderer
        .get(store, &after, Some(&before), Wanted::Compare)
        .await;
    let (mut html, mut comparison, mut no_comparison) = (None, None, None);
    match rendered {
        Ok(bytes) => {
            let compared: Compared = serde_json::from_slice(&bytes)
                .map_err(|_| Fault::Broken("the comparison could not be read".to_owned()))?;
            if !super::file::is_ours(&compared.html) {
                return Err(Fault::Broken(
                    "the comparison is not as our templates make it".to_owned(),
                ));
            }
            html = Some(Markup::ours(compared.html));
            comparison = Some(compared.comparison);
        }
        Err(fault @ (Fault::Busy | Fault::TooLong)) => return Err(fault),
        Err(fault) => no_comparison = Some(fault.to_string()),
    }
    Ok(Pair {
        findings_same: of_after.len() - findings_new.len(),
        before: before.into(),
        after: after.into(),
        findings_new,
        findings_gone,
        comparison,
        no_comparison,
        html,
    })
}
