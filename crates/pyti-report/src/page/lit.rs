//! Which places of a recording findings point to, so that the page lights them.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::trace::{Act, EventRef};

use pyti_model::finding::Severity;

use crate::findings::Found;
use crate::seen::{Proof, Seen, Traced};

/// Findings that the style can light one by one; later ones are lit all together.
const LIGHTS: usize = 12;

/// Findings that light something: number and weight.
pub(crate) type Named = BTreeMap<usize, Severity>;

/// What is lit in one file's parts of the page.
#[derive(Default)]
pub(crate) struct Lit {
    /// Places of the recording, with the findings that name them.
    places: BTreeMap<EventRef, Named>,
    /// Processes that did what a finding names: event of the trace, process.
    processes: BTreeMap<(u64, usize), Named>,
    /// Those, and all above them.
    paths: BTreeMap<(u64, usize), Named>,
}

impl Lit {
    /// What the findings of a job light: those that count.
    pub(crate) fn of(job: usize, findings: &[Found<'_>], seen: &Seen<'_>) -> Self {
        let mut lit = Self::default();
        for found in findings.iter().filter(|found| found.job == job && found.counts()) {
            let (number, severity) = (found.number, found.finding.severity);
            for place in &found.finding.events {
                lit.places.entry(*place).or_default().insert(number, severity);
                let Proof::Act(traced, _, act) = seen.at(*place) else {
                    continue;
                };
                let Some(process) = act.process.and_then(|n| usize::try_from(n).ok()) else {
                    continue;
                };
                if process >= traced.trace.processes.len() {
                    continue;
                }
                let new = lit
                    .processes
                    .entry((traced.seq, process))
                    .or_default()
                    .insert(number, severity)
                    .is_none();
                if !new {
                    continue;
                }
                // whoever is lit for this finding has all above lit, too
                let mut at = Some(process);
                while let Some(n) = at {
                    let new = lit
                        .paths
                        .entry((traced.seq, n))
                        .or_default()
                        .insert(number, severity)
                        .is_none();
                    at = traced.tree().parent(n).filter(|_| new);
                }
            }
        }
        lit
    }

    /// Findings that name this place.
    pub(crate) fn place(&self, seq: u64, item: u32) -> Option<&Named> {
        self.places.get(&EventRef {
            seq,
            item: Some(item),
        })
    }

    /// The acts of a trace that findings name, in order.
    pub(crate) fn acts<'a>(&self, traced: &Traced<'a>) -> Vec<(u32, &'a Act)> {
        let all = EventRef {
            seq: traced.seq,
            item: None,
        }..=EventRef {
            seq: traced.seq,
            item: Some(u32::MAX),
        };
        self.places
            .range(all)
            .filter_map(|(place, _)| place.item)
            .filter_map(|at| Some((at, traced.trace.acts.get(usize::try_from(at).ok()?)?)))
            .collect()
    }

    /// Findings that something of this process is a proof of.
    pub(crate) fn process(&self, seq: u64, process: usize) -> Option<&Named> {
        self.processes.get(&(seq, process))
    }

    /// Findings whose path goes through this process.
    pub(crate) fn path(&self, seq: u64, process: usize) -> Option<&Named> {
        self.paths.get(&(seq, process))
    }

    /// Processes of a trace that did what findings name.
    pub(crate) fn wanted(&self, seq: u64) -> BTreeSet<usize> {
        self.processes
            .range((seq, 0)..=(seq, usize::MAX))
            .map(|((_, process), _)| *process)
            .collect()
    }

    /// Whether anything of a trace is lit.
    pub(crate) fn any(&self, seq: u64) -> bool {
        self.processes
            .range((seq, 0)..=(seq, usize::MAX))
            .next()
            .is_some()
    }
}

/// Classes that light something for these findings, with a space before; nothing for none.
pub(crate) fn class(findings: Option<&Named>) -> String {
    let Some(findings) = findings.filter(|all| !all.is_empty()) else {
        return String::new();
    };
    let mut class = match findings.values().max() {
        Some(Severity::Critical | Severity::High) | None => " lit".to_owned(),
        Some(Severity::Medium) => " lit mild".to_owned(),
        Some(Severity::Low | Severity::Info) => " lit weak".to_owned(),
    };
    for number in findings.keys() {
        if *number <= LIGHTS {
            class.push_str(&format!(" l{number}"));
        }
    }
    class
}

/// Numbers of findings: `1, 3`.
pub(crate) fn numbers(findings: Option<&Named>) -> String {
    let numbers: Vec<String> = findings
        .into_iter()
        .flat_map(BTreeMap::keys)
        .map(usize::to_string)
        .collect();
    crate::words::some(&numbers, 5)
}
