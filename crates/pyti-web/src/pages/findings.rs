//! Findings across projects: all, of one rule, of one severity, or with one verdict.

use askama::Template;
use axum::response::Response;
use serde::Serialize;

use super::{Frame, ROWS, link, say};
use crate::address::Form;
use crate::fault::Fault;
use crate::hostile::Hostile;
use crate::query::Query;
use crate::site::Site;
use crate::views::FindingView;
use crate::words;

/// Results with one verdict, whose findings are one page.
const VERDICTS: u32 = 25;

#[derive(Template, Serialize)]
#[template(path = "findings.html")]
struct FindingsPage {
    #[serde(skip)]
    frame: Frame,
    rule: Option<Hostile>,
    severity: Option<&'static str>,
    verdict: Option<&'static str>,
    findings: Vec<FindingView>,
    next: Option<String>,
    #[serde(skip)]
    severities: Vec<&'static str>,
    #[serde(skip)]
    verdicts: [&'static str; 4],
}

impl FindingsPage {
    fn has(&self, severity: &str) -> bool {
        self.severity == Some(severity)
    }

    fn judged(&self, verdict: &str) -> bool {
        self.verdict == Some(verdict)
    }

    fn asked(&self) -> String {
        self.rule
            .as_ref()
            .map_or_else(String::new, |rule| rule.raw().to_owned())
    }
}

pub(crate) async fn findings(site: &Site, query: &Query, form: Form) -> Result<Response, Fault> {
    let before = query.number::<i64>("before")?;
    let rule = query.get("rule").map(str::to_owned);
    let severity = match query.get("severity") {
        None => None,
        Some(word) => Some(
            words::SEVERITIES
                .iter()
                .position(|known| *known == word)
                .and_then(|at| u8::try_from(at).ok())
                .ok_or(Fault::Bad("there is no such severity"))?,
        ),
    };
    let verdict = match query.get("verdict") {
        None => None,
        Some(word) => Some(words::verdict_of(word).ok_or(Fault::Bad("there is no such verdict"))?),
    };
    let asked = rule.clone();
    // where the next page goes on: the number of a finding, or of a result when a verdict was asked for
    let (rows, last) = site
        .read(move |store| {
            let rows = match (&asked, severity, verdict) {
                (Some(rule), None, None) => store.findings_by_rule(rule, before, ROWS)?,
                (None, Some(severity), None) => store.findings_by_severity(severity, before, ROWS)?,
                (None, None, None) => store.findings_latest(before, ROWS)?,
                (None, None, Some(verdict)) => {
                    let results = store.results_by_verdict(verdict, before, VERDICTS)?;
                    let last = results
                        .last()
                        .filter(|_| results.len() == VERDICTS as usize)
                        .map(|row| row.id);
                    let mut rows = Vec::new();
                    for result in results {
                        rows.extend(store.findings(result.id)?);
                    }
                    return Ok((rows, last));
                }
                _ => return Err(Fault::Bad("one of rule, severity and verdict at a time")),
            };
            let last = rows
                .last()
                .filter(|_| rows.len() == ROWS as usize)
                .map(|row| row.id);
            Ok((rows, last))
        })
        .await?;
    let severity = severity.map(words::severity_word);
    let verdict = verdict.map(pyti_model::outcome::Verdict::word);
    let rule_word = rule.clone().unwrap_or_default();
    let fields = [
        ("rule", rule_word.as_str()),
        ("severity", severity.unwrap_or("")),
        ("verdict", verdict.unwrap_or("")),
    ];
    let next = last.map(|id| {
        let id = id.to_string();
        let mut fields = fields.to_vec();
        fields.push(("before", &id));
        link(form, "/findings", &fields)
    });
    let mut frame = Frame::new(site, "Findings", "findings", "/findings");
    frame.json = link(Form::Json, "/findings", &fields);
    frame.atom = Some((
        "/verdicts.atom".to_owned(),
        "Suspicious and harmful uploads".to_owned(),
    ));
    let page = FindingsPage {
        frame,
        rule: rule.map(Into::into),
        severity,
        verdict,
        findings: rows.into_iter().map(Into::into).collect(),
        next,
        severities: words::SEVERITIES.iter().rev().copied().collect(),
        verdicts: ["harmful", "suspicious", "notable", "inconclusive"],
    };
    say(form, &page)
}
