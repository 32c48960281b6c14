//! Findings of cases, and the verdict of findings.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::effect::{Effect, Limit, Loss};
use pyti_model::finding::{Family, Finding, RuleState, Severity};
use pyti_model::outcome::{TaskResult, Verdict};
use pyti_model::trace::{EventRef, Form};

use super::engine::{self, Match};
use super::facts::Facts;
use super::kind::Phase;
use super::rule::{Rule, RuleSet};
use crate::record::{JobRecord, TaskRecord};

/// Places that one finding names.
const MOST_EVENTS: usize = 24;
/// Findings of one rule in one task; what comes after is counted with the first.
const MOST_OF_RULE: usize = 12;
/// Reasons why a recording cannot tell.
const MOST_MISSING: usize = 40;

/// A finding, and where it happened.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) finding: Finding,
    sites: BTreeSet<(usize, Option<u32>, Option<u32>)>,
}

/// What a rule finds: one finding for each task, and for each key where the rule tells them apart.
pub(super) fn find(rule: &Rule, facts: &Facts<'_>) -> Vec<Found> {
    let mut merged: BTreeMap<(usize, String), (Match, Vec<EventRef>, Found)> = BTreeMap::new();
    let mut order: Vec<(usize, String)> = Vec::new();
    for case in engine::matches(rule, facts) {
        let last = case.steps.last().and_then(|of_step| of_step.first());
        let Some(last) = last.and_then(|at| facts.all.get(*at)) else {
            continue;
        };
        let mut key = (last.task, String::new());
        if let (Some(each), Some(step)) = (rule.each, rule.steps.last()) {
            key.1 = step.key(each, facts, last);
        }
        if !merged.contains_key(&key) {
            let of_task: Vec<_> = order.iter().filter(|(task, _)| *task == key.0).collect();
            match of_task.as_slice() {
                [first, ..] if of_task.len() >= MOST_OF_RULE => key = (*first).clone(),
                _ => order.push(key.clone()),
            }
        }
        let task = facts
            .record
            .tasks
            .get(last.task)
            .map_or("", |task| task.name.as_str());
        let (_, events, found) = merged.entry(key).or_insert_with(|| {
            let finding = Finding {
                rule: rule.id.clone(),
                title: rule.title.clone(),
                severity: rule.weight(last.phase),
                family: rule.family,
                phase: task.to_owned(),
                sentence: rule.template.fill(facts, &case.steps, &case.counts),
                events: Vec::new(),
                mitre: rule.mitre.clone(),
                state: rule.state,
                suppressed: None,
            };
            let sites = BTreeSet::new();
            (case.clone(), Vec::new(), Found { finding, sites })
        });
        for at in case.steps.iter().flatten() {
            let Some(fact) = facts.all.get(*at) else {
                continue;
            };
            found
                .sites
                .insert((fact.task, fact.command, fact.command.and(fact.branch)));
            for event in [Some(fact.at), fact.also].into_iter().flatten() {
                if events.len() < MOST_EVENTS && !events.contains(&event) {
                    events.push(event);
                }
            }
        }
    }
    merged
        .into_values()
        .map(|(_, mut events, mut found)| {
            events.sort_unstable();
            found.finding.events = events;
            found
        })
        .collect()
}

/// Leaves out what a heavier finding says better about the same events. The verdict stays the same: what covers weighs
/// more, or as much in the same family, and counts.
pub(super) fn cover(found: &mut Vec<Found>, rules: &RuleSet) {
    let covering: Vec<(Vec<String>, Finding)> = found
        .iter()
        .filter(|found| counts(&found.finding))
        .filter_map(|found| {
            let rule = rules.get(&found.finding.rule)?;
            (!rule.covers.is_empty()).then(|| (rule.covers.clone(), found.finding.clone()))
        })
        .collect();
    found.retain(|found| {
        let less = &found.finding;
        !covering.iter().any(|(rules, more)| {
            let heavier =
                more.severity > less.severity || more.severity == less.severity && more.family == less.family;
            heavier
                && more.phase == less.phase
                && rules.contains(&less.rule)
                && less.events.iter().any(|event| more.events.contains(event))
        })
    });
}

fn counts(finding: &Finding) -> bool {
    finding.state == RuleState::Active && finding.suppressed.is_none()
}

/// What findings come to: the maximum, never an average.
pub(super) fn verdict(found: &[Found]) -> Verdict {
    let counted = || found.iter().filter(|found| counts(&found.finding));
    let of = |severity: Severity| counted().filter(move |found| found.finding.severity == severity);
    if of(Severity::Critical).next().is_some() || together(of(Severity::High)) {
        Verdict::Harmful
    } else if of(Severity::High).next().is_some() {
        Verdict::Suspicious
    } else if of(Severity::Medium).next().is_some() {
        Verdict::Notable
    } else {
        let families: BTreeSet<Family> = of(Severity::Low).map(|found| found.finding.family).collect();
        if families.len() > 1 {
            Verdict::Notable
        } else {
            Verdict::Clean
        }
    }
}

/// Whether two of different families happened in one branch of processes.
fn together<'f>(found: impl Iterator<Item = &'f Found>) -> bool {
    let mut families: BTreeMap<(usize, Option<u32>, Option<u32>), BTreeSet<Family>> = BTreeMap::new();
    for found in found {
        for site in &found.sites {
            families.entry(*site).or_default().insert(found.finding.family);
        }
    }
    families.keys().any(|(task, command, branch)| {
        // what belongs to nobody known belongs to everybody
        let mut sites = vec![(*task, *command, *branch)];
        if branch.is_some() {
            sites.push((*task, *command, None));
        }
        if command.is_some() {
            sites.push((*task, None, None));
        }
        let all: BTreeSet<Family> = sites
            .iter()
            .filter_map(|site| families.get(site))
            .flatten()
            .copied()
            .collect();
        all.len() > 1
    })
}

/// A verdict where something is missing: it is never better than inconclusive, and a finding is never softened.
pub(super) fn with_missing(verdict: Verdict, missing: &[String]) -> Verdict {
    match verdict {
        Verdict::Harmful | Verdict::Suspicious => verdict,
        _ if !missing.is_empty() => Verdict::Inconclusive,
        other => other,
    }
}

/// Whether somebody watched.
pub(super) fn is_watched(record: &JobRecord) -> bool {
    let traced = record
        .tasks
        .iter()
        .flat_map(|task| &task.traces)
        .any(|recorded| recorded.trace.form != Form::None);
    let asked = record.plan.as_ref().is_some_and(|plan| !plan.watch.is_off());
    let ran = record
        .tasks
        .iter()
        .any(|task| Phase::of(&task.name) != Phase::Other && task.was_attempted());
    traced || asked && ran
}

/// What is missing from a recording, so that it cannot tell.
pub(super) fn missing(record: &JobRecord) -> Vec<String> {
    let mut out = Vec::new();
    if !record.complete {
        out.push("the recording has no end".to_owned());
    }
    if record.interrupted {
        out.push("somebody interrupted it".to_owned());
    }
    out.extend(record.losses.iter().map(loss));
    for task in &record.tasks {
        let mut of_task = Vec::new();
        missing_of(record, task, &mut of_task);
        out.extend(of_task.into_iter().map(|what| format!("{}: {what}", task.name)));
    }
    let mut once = BTreeSet::new();
    out.retain(|what| once.insert(what.clone()));
    if out.len() > MOST_MISSING {
        let more = out.len() - MOST_MISSING;
        out.truncate(MOST_MISSING);
        out.push(format!("and {more} more"));
    }
    out
}

fn missing_of(record: &JobRecord, task: &TaskRecord, out: &mut Vec<String>) {
    out.extend(task.losses.iter().map(loss));
    let phase = Phase::of(&task.name);
    for recorded in &task.effects {
        out.extend(recorded.effect.losses.iter().map(loss));
        // what a test would have done later harms nobody who only installs and uses it; and a program that is called
        // with nothing may well wait for somebody
        if let Some(limit) = recorded.effect.limit
            && !matches!(
                phase,
                Phase::Test | Phase::Scripts | Phase::Exercise | Phase::Other
            )
            && !ran_whole(task, &recorded.effect)
        {
            out.push(format!(
                "a command was ended by a limit ({}): what it would have done next is not known",
                limit_word(limit)
            ));
        }
    }
    for recorded in &task.traces {
        out.extend(recorded.trace.losses.iter().map(loss));
    }
    if task.was_attempted() && task.result.is_none() && record.complete {
        out.push("it did not end".to_owned());
    }
    if phase == Phase::Other || record.plan.as_ref().is_none_or(|plan| plan.watch.is_off()) {
        return;
    }
    let ran = task.effects.len();
    let watched = task
        .traces
        .iter()
        .filter(|recorded| recorded.trace.form != Form::None)
        .count();
    if ran > 0 && watched == 0 {
        out.push("nobody watched what its processes did".to_owned());
    }
    if task.result == Some(TaskResult::Exception) {
        out.push("it could not be carried out".to_owned());
    }
}

/// Whether the same command was run to its end as well: on a network that answers, say.
fn ran_whole(task: &TaskRecord, cut: &Effect) -> bool {
    task.effects
        .iter()
        .any(|other| other.effect.limit.is_none() && other.effect.argv == cut.argv)
}

fn limit_word(limit: Limit) -> &'static str {
    match limit {
        Limit::Wall => "wall-clock time",
        Limit::Cpu => "CPU time",
        Limit::Inactivity => "inactivity",
        Limit::Memory => "memory",
        Limit::Processes => "processes",
        Limit::Disk => "disk",
        Limit::Output => "output",
    }
}

fn loss(loss: &Loss) -> String {
    match loss {
        Loss::Changes { dropped } => format!("{dropped} changes of files are not listed"),
        Loss::Results { bytes } => format!("{bytes} bytes of results could not be read"),
        Loss::Contacts { dropped } => format!("{dropped} contacts are not listed"),
        Loss::Notifications { why } => {
            format!("acts were not seen: {}", super::sentence::shown(why.as_bytes()))
        }
        Loss::Search { of } => format!(
            "{} was too big to be searched for decoys",
            super::sentence::shown(of.as_bytes())
        ),
        Loss::Channel { why } => format!(
            "the recording is not whole: {}",
            super::sentence::shown(why.as_bytes())
        ),
    }
}
