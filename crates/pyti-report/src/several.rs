//! Many targets: grouped by what they came to, most frequent first.

use std::collections::BTreeMap;

use crate::view::headline;
use crate::words::count;
use crate::{Look, Run};

/// A summary of several runs.
pub fn several(runs: &[Run<'_>], look: &Look) -> String {
    let mut groups: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for run in runs {
        let Some(job) = headline(run) else { continue };
        let outcome = &job.judgement.outcome;
        let reason = outcome
            .reasons
            .first()
            .map(|reason| reason.code.word().to_owned())
            .unwrap_or_default();
        let name = format!("{} ({})", run.title(), run.python);
        groups
            .entry((outcome.status.word().to_owned(), reason))
            .or_default()
            .push(name);
    }
    let mut sorted: Vec<_> = groups.into_iter().collect();
    sorted.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let mut out = format!(" {}\n", count(runs.len() as u64, "run"));
    for ((status, reason), names) in sorted {
        let what = if reason.is_empty() {
            status
        } else {
            format!("{status}: {reason}")
        };
        let mut line = names.iter().take(8).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > 8 {
            line.push_str(", …");
        }
        let line = look.cut(&line, look.width.saturating_sub(36).max(20));
        out.push_str(&format!(" {:>5}  {what:<26} {line}\n", names.len()));
    }
    out
}
