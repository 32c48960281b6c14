//! Export: every result after a number, oldest first, one JSON object a line. No connection to the database is held while bytes go out.

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::Response;
use futures_util::stream::unfold;

use crate::door::with;
use crate::fault::Fault;
use crate::query::Query;
use crate::site::Site;
use crate::views::{FindingView, ResultView};

/// Results that are read at once.
const STEP: u32 = 200;

#[derive(serde::Serialize)]
struct Line {
    #[serde(flatten)]
    result: ResultView,
    findings: Vec<FindingView>,
}

struct State {
    site: Site,
    after: Option<i64>,
    left: u64,
}

/// Lines of the results after `after`, at most `limit`; the last line's id is where the next export goes on.
pub(crate) fn export(site: &Site, query: &Query) -> Result<Response, Fault> {
    let state = State {
        site: site.clone(),
        after: Some(query.number::<i64>("after")?.unwrap_or(0)),
        left: query.number::<u64>("limit")?.unwrap_or(u64::MAX),
    };
    let permit = site
        .inner
        .streams
        .clone()
        .try_acquire_owned()
        .map_err(|_| Fault::Busy)?;
    let lines = unfold((state, permit), |(mut state, permit)| async move {
        let after = state.after?;
        let step = u32::try_from(state.left).unwrap_or(STEP).min(STEP);
        if step == 0 {
            return None;
        }
        let read = state
            .site
            .read(move |store| {
                let rows = store.export(after, step)?;
                let mut lines = Vec::with_capacity(rows.len());
                for row in rows {
                    let findings = match row.verdict {
                        pyti_model::outcome::Verdict::Clean | pyti_model::outcome::Verdict::NotJudged => {
                            Vec::new()
                        }
                        _ => store.findings(row.id)?,
                    };
                    lines.push(Line {
                        result: row.into(),
                        findings: findings.into_iter().map(Into::into).collect(),
                    });
                }
                Ok(lines)
            })
            .await;
        let lines = match read {
            Ok(lines) => lines,
            // an end without this error would look like the end of all
            Err(fault) => {
                state.after = None;
                return Some((Err(std::io::Error::other(fault.to_string())), (state, permit)));
            }
        };
        let mut text = Vec::new();
        for line in &lines {
            if serde_json::to_writer(&mut text, line).is_ok() {
                text.push(b'\n');
            }
        }
        state.left -= lines.len() as u64;
        state.after = lines
            .last()
            .filter(|_| lines.len() == step as usize)
            .map(|line| line.result.id);
        if text.is_empty() {
            return None;
        }
        Some((Ok(text), (state, permit)))
    });
    Ok(with(
        StatusCode::OK,
        "application/jsonl; charset=utf-8",
        Body::from_stream(lines),
    ))
}
