//! Many targets: what they came to, grouped by reason, most frequent first.

use std::collections::BTreeMap;

use pyti_model::outcome::{ReasonCode, Status, Verdict};

use crate::paint::{Ink, status_ink};
use crate::sentences::{self, shown_str};
use crate::view;
use crate::words::{count, number};
use crate::{Look, Run, findings};

/// Names shown for one reason.
const NAMES: usize = 6;

/// The end of a run with several targets or interpreters. It ends with a line break.
pub fn several(runs: &[Run<'_>], look: &Look) -> String {
    let mut groups: BTreeMap<(usize, Option<ReasonCode>), Vec<String>> = BTreeMap::new();
    let pythons: std::collections::BTreeSet<&str> = runs.iter().map(|run| run.python).collect();
    for run in runs {
        let (status, reasons) = view::outcome(run);
        let rank = Status::ALL.iter().position(|s| *s == status).unwrap_or(0);
        let mut name = shown_str(run.name);
        if pythons.len() > 1 {
            name = format!("{name} ({})", shown_str(run.python));
        }
        groups
            .entry((rank, reasons.first().map(|r| r.code)))
            .or_default()
            .push(name);
    }
    let mut totals: BTreeMap<usize, usize> = BTreeMap::new();
    for ((rank, _), names) in &groups {
        *totals.entry(*rank).or_default() += names.len();
    }
    let mut lines = Vec::new();
    let parts: Vec<String> = totals
        .iter()
        .filter_map(|(rank, n)| {
            Status::ALL
                .get(*rank)
                .map(|s| look.ink(status_ink(*s), &format!("{n} {s}")))
        })
        .collect();
    lines.push(format!(
        " {}: {}",
        look.ink(Ink::Strong, &count(runs.len() as u64, "run")),
        if parts.is_empty() {
            "nothing was run".to_owned()
        } else {
            parts.join(", ")
        }
    ));
    let mut sorted: Vec<_> = groups.into_iter().collect();
    // most frequent first; ties in the order of the statuses
    sorted.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(a.0.cmp(&b.0)));
    for ((rank, code), names) in sorted {
        let Some(status) = Status::ALL.get(rank).copied() else {
            continue;
        };
        let why = code.map_or_else(|| sentences::status(status), ReasonCode::meaning);
        let word = format!("{:<7}", status.word().to_uppercase());
        let head = format!(
            " {:>5}  {}  ",
            number(names.len() as u64),
            look.ink(status_ink(status), &word)
        );
        lines.push(format!(
            "{head}{}",
            look.cut(&look.plain(why), look.columns().saturating_sub(17))
        ));
        let mut shown = names.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
        if names.len() > NAMES {
            shown.push_str(&format!(" and {} more", names.len() - NAMES));
        }
        let shown = look.cut(&look.plain(&shown), look.columns().saturating_sub(17));
        lines.push(format!("{}{}", " ".repeat(17), look.ink(Ink::Quiet, &shown)));
    }
    lines.extend(safe(runs, look));
    let first_bad = runs
        .iter()
        .find(|run| matches!(view::verdict(run), Verdict::Suspicious | Verdict::Harmful))
        .or_else(|| runs.iter().find(|run| !view::outcome(run).0.is_good()))
        .or_else(|| runs.first());
    if let Some(run) = first_bad {
        lines.push(look.plain(&format!(" {}", crate::terminal::next(run))));
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// The second answer of all runs: how many of each verdict, and the names of those that ask for a look.
fn safe(runs: &[Run<'_>], look: &Look) -> Vec<String> {
    const VERDICTS: [Verdict; 5] = [
        Verdict::Harmful,
        Verdict::Suspicious,
        Verdict::Inconclusive,
        Verdict::Notable,
        Verdict::Clean,
    ];
    if runs.iter().all(|run| view::verdict(run) == Verdict::NotJudged) {
        return Vec::new();
    }
    let of = |verdict: Verdict| runs.iter().filter(move |run| view::verdict(run) == verdict);
    let word = |verdict: Verdict| view::verdict_words(verdict).split(':').next().unwrap_or_default();
    let mut parts: Vec<String> = VERDICTS
        .iter()
        .filter(|verdict| of(**verdict).next().is_some())
        .map(|verdict| {
            let text = format!("{} {}", number(of(*verdict).count() as u64), word(*verdict));
            look.ink(findings::verdict_ink(*verdict), &text)
        })
        .collect();
    let unjudged = of(Verdict::NotJudged).count();
    if unjudged > 0 {
        parts.push(look.ink(Ink::Quiet, &format!("{} not judged", number(unjudged as u64))));
    }
    let mut lines = vec![format!(" safe?  {}", parts.join(", "))];
    for verdict in &VERDICTS[..3] {
        let names: Vec<String> = of(*verdict).map(|run| shown_str(run.name)).collect();
        if names.is_empty() {
            continue;
        }
        let text = format!("{}: {}", word(*verdict), crate::words::some(&names, NAMES));
        lines.push(format!(
            "        {}",
            look.cut(&look.plain(&text), look.columns().saturating_sub(8))
        ));
    }
    lines
}
