//! The second answer with its findings.

use pyti_model::finding::Severity;
use pyti_model::outcome::Verdict;

use super::change_sentence;
use crate::deeds;
use crate::findings::{self, Found};
use crate::seen::{Proof, Seen};
use crate::sentences::{shown, shown_str};
use crate::view;
use crate::words::count;
use crate::{Job, Run};

/// Findings that the page has.
const MOST: usize = 100;
/// Pieces of evidence of one finding.
const EVIDENCE: usize = 20;

/// Findings whose evidence is open.
const OPEN: usize = 3;

/// One finding.
pub(crate) struct FindingPart {
    pub(crate) number: usize,
    pub(crate) severity: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) sentence: String,
    pub(crate) phase: String,
    pub(crate) rule: String,
    pub(crate) title: String,
    pub(crate) family: &'static str,
    pub(crate) mitre: String,
    pub(crate) files: String,
    pub(crate) why_not: Option<String>,
    pub(crate) evidence: Vec<EvidencePart>,
    /// Whether its evidence is shown at once.
    pub(crate) open: bool,
    /// Whether something of a tree can be lit for it.
    pub(crate) lights: bool,
    pub(crate) more: usize,
}

/// One piece of evidence.
pub(crate) struct EvidencePart {
    pub(crate) when: String,
    pub(crate) text: String,
    pub(crate) who: String,
    pub(crate) place: String,
    /// Where on the page it is.
    pub(crate) anchor: Option<String>,
}

/// The findings that count, those that do not, and how many are not shown.
pub(crate) fn parts(
    run: &Run<'_>,
    all: &[Found<'_>],
    seen: &[Seen<'_>],
    has: &dyn Fn(&str) -> bool,
) -> (Vec<FindingPart>, Vec<FindingPart>, usize) {
    let (counted, others) = all
        .iter()
        .take(MOST)
        .map(|found| (found.counts(), part(run, found, seen, has)))
        .partition::<Vec<_>, _>(|(counts, _)| *counts);
    let strip = |list: Vec<(bool, FindingPart)>| list.into_iter().map(|(_, part)| part).collect();
    (strip(counted), strip(others), all.len().saturating_sub(MOST))
}

fn part(run: &Run<'_>, found: &Found<'_>, seen: &[Seen<'_>], has: &dyn Fn(&str) -> bool) -> FindingPart {
    let finding = found.finding;
    let kinds: Vec<&str> = std::iter::once(found.job)
        .chain(found.also.iter().copied())
        .filter_map(|n| run.jobs.get(n))
        .map(|job| view::kind_word(view::kind(*job)))
        .collect();
    let evidence = seen.get(found.job).map_or_else(Vec::new, |seen| {
        finding
            .events
            .iter()
            .take(EVIDENCE)
            .map(|place| evidence(found.job, *place, seen, has))
            .collect()
    });
    FindingPart {
        number: found.number,
        severity: finding.severity.word(),
        tone: tone(finding.severity, found.counts()),
        sentence: findings::sentence(finding),
        phase: shown_str(&finding.phase),
        rule: shown_str(&finding.rule),
        title: shown_str(&finding.title),
        family: finding.family.word(),
        mitre: finding
            .mitre
            .iter()
            .take(8)
            .map(|id| shown_str(id))
            .collect::<Vec<_>>()
            .join(", "),
        files: if run.jobs.len() > 1 {
            kinds.join(" and ")
        } else {
            String::new()
        },
        why_not: findings::why_not(finding),
        more: finding.events.len().saturating_sub(EVIDENCE),
        open: found.number <= OPEN && found.counts(),
        lights: found.counts()
            && seen.get(found.job).is_some_and(|seen| {
                finding
                    .events
                    .iter()
                    .any(|place| matches!(seen.at(*place), Proof::Act(..)))
            }),
        evidence,
    }
}

fn evidence(
    job: usize,
    place: pyti_model::trace::EventRef,
    seen: &Seen<'_>,
    has: &dyn Fn(&str) -> bool,
) -> EvidencePart {
    let anchor = event_anchor(job, place.seq, place.item.unwrap_or_default());
    let mut part = EvidencePart {
        when: String::new(),
        text: String::new(),
        who: String::new(),
        place: place.to_string(),
        anchor: has(&anchor).then_some(anchor),
    };
    match seen.at(place) {
        Proof::Act(traced, _, act) => {
            part.when = deeds::at(act.at_us);
            part.text = deeds::say(act, traced).line();
            let process = act.process.and_then(|n| usize::try_from(n).ok());
            part.who = process.and_then(|n| traced.trace.processes.get(n)).map_or_else(
                || "a process that is not known".to_owned(),
                |process| deeds::short_process(process).0,
            );
            if let (None, Some(process)) = (&part.anchor, process) {
                let anchor = process_anchor(job, traced.seq, process);
                part.anchor = has(&anchor).then_some(anchor);
            }
        }
        Proof::Command(traced) => {
            let anchor = command_anchor(job, traced.seq);
            part.anchor = has(&anchor).then_some(anchor);
            part.text = format!("the whole command of {}", shown_str(traced.task));
        }
        Proof::Change(task, change) => {
            part.text = change_sentence(change);
            part.who = shown_str(task);
        }
        Proof::Written(task, file) => {
            part.text = format!("wrote {}", shown(&file.path));
            part.who = shown_str(task);
            if let Some(place) = seen.change_of(task, &file.path) {
                let anchor = event_anchor(job, place.seq, place.item.unwrap_or_default());
                part.anchor = has(&anchor).then_some(anchor);
            }
        }
        Proof::Ran(task, effect) => {
            part.text = shown_str(&deeds::ran(effect));
            part.who = shown_str(task);
            if let Some(traced) = seen.trace_of(task, place.seq) {
                let anchor = command_anchor(job, traced.seq);
                part.anchor = has(&anchor).then_some(anchor);
            }
        }
        Proof::Other => "an event that tells no more".clone_into(&mut part.text),
    }
    part
}

/// Anchor of a command's tree on the page.
pub(crate) fn command_anchor(job: usize, seq: u64) -> String {
    format!("f{job}-t{seq}")
}

/// Anchor of a process on the page.
pub(crate) fn process_anchor(job: usize, seq: u64, process: usize) -> String {
    format!("f{job}-t{seq}-p{process}")
}

/// Anchor of a piece of evidence on the page.
pub(crate) fn event_anchor(job: usize, seq: u64, item: u32) -> String {
    format!("f{job}-e{seq}-{item}")
}

fn tone(severity: Severity, counts: bool) -> &'static str {
    if !counts {
        return "none";
    }
    match severity {
        Severity::Critical | Severity::High => "bad",
        Severity::Medium => "mild",
        Severity::Low | Severity::Info => "none",
    }
}

/// What stands under the word of the second answer.
pub(crate) fn sentence(run: &Run<'_>, all: &[Found<'_>]) -> String {
    let verdict = view::verdict(run);
    let words = view::verdict_words(verdict);
    let mut text = words.split_once(": ").map_or_else(
        || "what it did is recorded; no judge has looked at it".to_owned(),
        |(_, rest)| rest.to_owned(),
    );
    let counted = all.iter().filter(|found| found.counts()).count() as u64;
    if counted > 0 && verdict != Verdict::NotJudged {
        let noun = if verdict == Verdict::Clean {
            "remark"
        } else {
            "finding"
        };
        text.push_str(&format!(" · {}", count(counted, noun)));
    }
    text
}

/// Digest of the rules that judged, where one did.
pub(crate) fn rules(run: &Run<'_>) -> Option<String> {
    run.jobs
        .iter()
        .find_map(|job: &Job<'_>| job.found)
        .map(|found| shown_str(&found.rules))
        .filter(|rules| !rules.is_empty())
}
