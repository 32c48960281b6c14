//! Results of all projects: all, with one reason, with one verdict.

use askama::Template;
use axum::response::Response;
use serde::Serialize;

use super::{Frame, ROWS, link, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::hostile::Hostile;
use crate::query::Query;
use crate::site::Site;
use crate::views::{ResultView, reason_meaning};
use crate::words;

#[derive(Template, Serialize)]
#[template(path = "results.html")]
struct ResultsPage {
    #[serde(skip)]
    frame: Frame,
    /// In words.
    which: String,
    reason: Option<Hostile>,
    verdict: Option<&'static str>,
    results: Vec<ResultView>,
    next: Option<String>,
}

pub(crate) async fn results(site: &Site, query: &Query, form: Form) -> Result<Response, Fault> {
    let before = query.number::<i64>("before")?;
    let verdict = match query.get("verdict") {
        None => None,
        Some(word) => Some(words::verdict_of(word).ok_or(Fault::Bad("there is no such verdict"))?),
    };
    let reason = query.get("reason").map(str::to_owned);
    let asked = reason.clone();
    let rows = site
        .read(move |store| {
            Ok(match (&asked, verdict) {
                (Some(reason), _) => store.results_by_reason(reason, before, ROWS)?,
                (None, Some(verdict)) => store.results_by_verdict(verdict, before, ROWS)?,
                (None, None) => store.latest(before, ROWS)?,
            })
        })
        .await?;
    let which = match (&reason, verdict) {
        (Some(reason), _) => match reason_meaning(reason) {
            Some(meaning) => format!("Because {meaning}"),
            None => "With this reason".to_owned(),
        },
        (None, Some(verdict)) => format!("Safe? {}", words::verdict_word(verdict)),
        (None, None) => "All results".to_owned(),
    };
    let word = if reason.is_some() {
        None
    } else {
        verdict.map(pyti_model::outcome::Verdict::word)
    };
    let reason_word = reason.clone().unwrap_or_default();
    let next = rows.last().filter(|_| rows.len() == ROWS as usize).map(|row| {
        let fields = [
            ("reason", reason_word.as_str()),
            ("verdict", word.unwrap_or("")),
            ("before", &row.id.to_string()),
        ];
        link(form, "/results", &fields)
    });
    let mut frame = Frame::new(site, which.clone(), "results", "/results");
    frame.json = link(
        Form::Json,
        "/results",
        &[("reason", &reason_word), ("verdict", word.unwrap_or(""))],
    );
    if verdict.is_some() {
        frame.atom = Some((
            "/verdicts.atom".to_owned(),
            "Suspicious and harmful uploads".to_owned(),
        ));
    }
    let page = ResultsPage {
        frame,
        which,
        reason: reason.map(Into::into),
        verdict: word,
        results: rows.into_iter().map(Into::into).collect(),
        next,
    };
    say(form, &page)
}
