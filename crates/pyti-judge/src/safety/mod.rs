//! Is it safe? What a recording shows of harm, by rules that are data.
//!
//! ```text
//! record ─▶ facts ─(baseline subtracted)─▶ rules ─▶ cases ─▶ findings ─(suppressions shown)─▶ verdict
//! ```
//!
//! [`judge_safety`] is a function of its arguments: no clock, no files, no network. The same recording and the same
//! rules give the same judgement years later. The verdict is the maximum over what was found, so that no amount of
//! harmless behaviour hides harm, and what is missing from a recording makes it worse, never better.
//!
//! How rules are written: `docs/rules.md`.

mod baseline;
mod beside;
mod engine;
mod facts;
mod gather;
mod kind;
mod other_names;
mod pathfile;
mod place;
mod rule;
mod sentence;
mod step;
mod suppress;
#[cfg(test)]
mod tests;
mod tree;
mod verdict;
mod wire;
mod written;

use pyti_model::finding::{Finding, Judgement, RuleState};
use pyti_model::outcome::Verdict;
use pyti_model::trace::EventRef;

pub use baseline::{ActLine, Baseline, Difference, difference};
pub use kind::{Key, Kind, Phase, Weights, Within};
pub use rule::{Rule, RuleError, RuleErrors, RuleSet, state_word};
pub use suppress::Suppression;

use crate::record::JobRecord;
use facts::Facts;
use verdict::Found;

/// What a recording shows of harm.
///
/// A recording that nobody watched is not judged. What is missing from one that was watched makes the verdict
/// inconclusive at best, and softens nothing that was found.
pub fn judge_safety(
    record: &JobRecord,
    rules: &RuleSet,
    suppressions: &[Suppression],
    baseline: Option<&Baseline>,
) -> Judgement {
    if !verdict::is_watched(record) {
        return Judgement {
            rules: rules.digest().to_owned(),
            ..Judgement::default()
        };
    }
    let mut facts = Facts::of(record);
    if let Some(baseline) = baseline {
        let known: Vec<bool> = facts
            .all
            .iter()
            .map(|fact| baseline.knows(&facts, fact))
            .collect();
        let mut known = known.into_iter();
        facts.retain(|_| !known.next().unwrap_or(false));
    }
    let mut found: Vec<Found> = rules
        .rules()
        .iter()
        .filter(|rule| rule.state != RuleState::Retired)
        .flat_map(|rule| verdict::find(rule, &facts))
        .collect();
    for found in &mut found {
        let finding = &mut found.finding;
        finding.suppressed = suppressions
            .iter()
            .find(|suppression| suppression.covers(record, finding))
            .map(Suppression::words);
    }
    verdict::cover(&mut found, rules);
    let mut missing = verdict::missing(record);
    if rules.rules().is_empty() {
        missing.push("there are no rules to judge by".to_owned());
    }
    let verdict = verdict::with_missing(verdict::verdict(&found), &missing);
    let mut findings: Vec<Finding> = found.into_iter().map(|found| found.finding).collect();
    let telling = |finding: &Finding| rules.get(&finding.rule).map_or(0, |rule| rule.telling);
    findings.sort_by(|a, b| {
        let order = b.severity.cmp(&a.severity).then(telling(b).cmp(&telling(a)));
        order
            .then(a.events.first().cmp(&b.events.first()))
            .then(a.rule.cmp(&b.rule))
    });
    debug_assert_ne!(verdict, Verdict::NotJudged);
    Judgement {
        verdict,
        findings,
        missing,
        rules: rules.digest().to_owned(),
    }
}

/// What one rule makes of a recording: for who writes rules.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Trial {
    /// What it finds.
    pub findings: Vec<Finding>,
    /// What each step takes alone.
    pub steps: Vec<StepTrial>,
}

/// What one step takes alone.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StepTrial {
    /// The step, from 1.
    pub step: usize,
    /// Facts that fit it.
    pub matched: usize,
    /// The first of them: where, and in words.
    pub examples: Vec<(EventRef, String)>,
}

impl RuleSet {
    /// Tries one rule on a recording, whatever its state; `None` when there is no such rule.
    pub fn test(&self, record: &JobRecord, id: &str) -> Option<Trial> {
        let rule = self.get(id)?;
        let facts = Facts::of(record);
        let steps = engine::hits(rule, &facts)
            .into_iter()
            .enumerate()
            .map(|(number, hits)| StepTrial {
                step: number + 1,
                matched: hits.len(),
                examples: hits
                    .iter()
                    .take(8)
                    .filter_map(|at| facts.all.get(*at))
                    .map(|fact| (fact.at, said(&facts, fact)))
                    .collect(),
            });
        Some(Trial {
            steps: steps.collect(),
            findings: verdict::find(rule, &facts)
                .into_iter()
                .map(|found| found.finding)
                .collect(),
        })
    }
}

fn said(facts: &Facts<'_>, fact: &facts::Fact<'_>) -> String {
    baseline::words(facts, fact)
        .unwrap_or_else(|| format!("{} {}", fact.kind.word(), sentence::shown(fact.place.as_bytes())))
}

/// A finding in full, several lines: its sentence, each event in words, and what its rule means. What came from the
/// package is made visible.
pub fn explain(record: &JobRecord, rules: &RuleSet, finding: &Finding) -> String {
    let facts = Facts::of(record);
    let mut out = format!("{}\n", finding.sentence);
    out.push_str(&format!(
        "\n  {} · {} · {} · rule {}",
        finding.severity.word(),
        finding.family.word(),
        finding.phase,
        finding.rule
    ));
    if finding.state != RuleState::Active {
        out.push_str(&format!(" ({}: it does not count)", state_word(finding.state)));
    }
    if let Some(suppressed) = &finding.suppressed {
        out.push_str(&format!("\n  suppressed by {suppressed}"));
    }
    out.push_str("\n\nWhat happened:\n");
    for event in &finding.events {
        let told: Vec<String> = facts
            .all
            .iter()
            .filter(|fact| fact.at == *event)
            .map(|fact| said(&facts, fact))
            .collect();
        match told.as_slice() {
            [] => out.push_str(&format!("  {event:<8} (not in this recording)\n")),
            [first, ..] => out.push_str(&format!("  {event:<8} {first}\n")),
        }
    }
    if let Some(rule) = rules.get(&finding.rule) {
        out.push_str("\nWhat it means:\n");
        out.push_str(&format!(
            "  {}\n",
            rule.note.split_whitespace().collect::<Vec<_>>().join(" ")
        ));
    }
    for technique in &finding.mitre {
        out.push_str(&format!("  MITRE ATT&CK {technique}\n"));
    }
    out
}
