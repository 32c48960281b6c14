//! What was seen of a job's processes: traces, changes and files of its recording, with the numbers that findings name.

use std::collections::HashMap;
use std::net::IpAddr;

use pyti_model::Foreign;
use pyti_model::effect::{Change, Effect};
use pyti_model::trace::{Act, Decoy, DecoyUse, Deed, EventRef, Trace, Written};

use crate::Job;
use crate::tree::Tree;

/// The parts of a recording that tell what processes did.
pub(crate) struct Seen<'a> {
    /// One for each command that was traced, in order of the tasks.
    pub(crate) traces: Vec<Traced<'a>>,
    /// What lay in the boxes to be found.
    pub(crate) decoys: &'a [Decoy],
    /// What some of the written files hold, by task.
    pub(crate) written: Vec<(&'a str, &'a Written)>,
    places: HashMap<u64, Place<'a>>,
    changes: HashMap<EventRef, (&'a str, &'a Change)>,
}

enum Place<'a> {
    Trace(usize),
    Ran(&'a str, &'a Effect),
    Written(&'a str, &'a [Written]),
}

/// One command's trace.
pub(crate) struct Traced<'a> {
    /// Number of its event.
    pub(crate) seq: u64,
    /// The task that ran it.
    pub(crate) task: &'a str,
    /// Attempt of the task, from 1.
    pub(crate) attempt: u32,
    /// What was seen.
    pub(crate) trace: &'a Trace,
    names: HashMap<IpAddr, &'a Foreign>,
    /// Secrets in what an act sent or passed on: decoy, encoding.
    carried: HashMap<u32, Vec<(&'a str, &'a str)>>,
    tree: std::sync::OnceLock<Tree>,
}

/// What a finding points to.
pub(crate) enum Proof<'s, 'a> {
    /// Something that a process did.
    Act(&'s Traced<'a>, u32, &'a Act),
    /// A whole command.
    Command(&'s Traced<'a>),
    /// A path that a task changed.
    Change(&'a str, &'a Change),
    /// What a written file holds.
    Written(&'a str, &'a Written),
    /// A command as it was run.
    Ran(&'a str, &'a Effect),
    /// Another event, or none.
    Other,
}

impl<'a> Seen<'a> {
    /// What a job's recording tells.
    pub(crate) fn of(job: &Job<'a>) -> Self {
        let mut seen = Self {
            traces: Vec::new(),
            decoys: &job.record.decoys,
            written: Vec::new(),
            places: HashMap::new(),
            changes: HashMap::new(),
        };
        for task in &job.record.tasks {
            let name = task.name.as_str();
            for ran in &task.effects {
                seen.places.insert(ran.seq, Place::Ran(name, &ran.effect));
            }
            for traced in &task.traces {
                seen.places.insert(traced.seq, Place::Trace(seen.traces.len()));
                seen.traces.push(Traced {
                    seq: traced.seq,
                    task: name,
                    attempt: traced.attempt,
                    trace: &traced.trace,
                    names: names(&traced.trace),
                    carried: carried(&traced.trace),
                    tree: std::sync::OnceLock::new(),
                });
            }
            for written in &task.written {
                seen.places
                    .insert(written.seq, Place::Written(name, &written.files));
                seen.written.extend(written.files.iter().map(|file| (name, file)));
            }
            let earlier = task
                .earlier_changes
                .iter()
                .map(|(place, change)| (*place, change));
            let last = task.change_places.iter().copied().zip(&task.changes);
            seen.changes
                .extend(earlier.chain(last).map(|(place, change)| (place, (name, change))));
        }
        seen
    }

    /// What stands at a place of the recording.
    pub(crate) fn at(&self, place: EventRef) -> Proof<'_, 'a> {
        if let Some((task, change)) = self.changes.get(&place) {
            return Proof::Change(task, change);
        }
        let item = place.item.and_then(|item| usize::try_from(item).ok());
        match (self.places.get(&place.seq), item) {
            (Some(Place::Trace(at)), item) => {
                let Some(traced) = self.traces.get(*at) else {
                    return Proof::Other;
                };
                match (place.item, item.and_then(|item| traced.trace.acts.get(item))) {
                    (Some(item), Some(act)) => Proof::Act(traced, item, act),
                    (Some(_), None) => Proof::Other,
                    (None, _) => Proof::Command(traced),
                }
            }
            (Some(Place::Ran(task, effect)), _) => Proof::Ran(task, effect),
            (Some(Place::Written(task, files)), Some(item)) => files
                .get(item)
                .map_or(Proof::Other, |file| Proof::Written(task, file)),
            _ => Proof::Other,
        }
    }

    /// The trace of that event.
    pub(crate) fn traced(&self, seq: u64) -> Option<&Traced<'a>> {
        match self.places.get(&seq) {
            Some(Place::Trace(at)) => self.traces.get(*at),
            _ => None,
        }
    }

    /// The trace of a command, by the number of the event that tells that it ran: the next one of its task, when no
    /// other command ran in between.
    pub(crate) fn trace_of(&self, task: &str, ran: u64) -> Option<&Traced<'a>> {
        let traced = self
            .traces
            .iter()
            .filter(|traced| traced.task == task && traced.seq > ran)
            .min_by_key(|traced| traced.seq)?;
        let between = self.places.iter().any(|(seq, place)| {
            *seq > ran && *seq < traced.seq && matches!(place, Place::Ran(of, _) if *of == task)
        });
        (!between).then_some(traced)
    }

    /// What a file holds that a task wrote, where that was kept.
    pub(crate) fn content(&self, task: &str, path: &Foreign) -> Option<&'a Written> {
        self.written
            .iter()
            .rev()
            .find(|(of, file)| *of == task && file.path == *path)
            .map(|(_, file)| *file)
    }

    /// Where the recording tells that a task changed a path.
    pub(crate) fn change_of(&self, task: &str, path: &Foreign) -> Option<EventRef> {
        self.changes
            .iter()
            .filter(|(_, (of, change))| *of == task && change.path == *path)
            .map(|(place, _)| *place)
            .max()
    }

    /// The decoy of that name.
    pub(crate) fn decoy(&self, id: &str) -> Option<&'a Decoy> {
        self.decoys.iter().find(|decoy| decoy.id == id)
    }
}

impl<'a> Traced<'a> {
    /// Its processes as a tree.
    pub(crate) fn tree(&self) -> &Tree {
        self.tree.get_or_init(|| Tree::of(self.trace))
    }

    /// Secrets in what an act sent or passed on: decoy, encoding.
    pub(crate) fn carried(&self, act: u32) -> &[(&'a str, &'a str)] {
        self.carried.get(&act).map_or(&[], Vec::as_slice)
    }

    /// The name that was last resolved to an address.
    pub(crate) fn name_of(&self, address: &IpAddr) -> Option<&'a Foreign> {
        self.names.get(address).copied()
    }
}

fn names(trace: &Trace) -> HashMap<IpAddr, &Foreign> {
    let mut names = HashMap::new();
    for act in &trace.acts {
        if let Deed::Resolve { name, answer, .. } = &act.deed {
            for address in answer.iter().filter_map(|text| text.parse().ok()) {
                names.insert(address, name);
            }
        }
    }
    names
}

fn carried(trace: &Trace) -> HashMap<u32, Vec<(&str, &str)>> {
    let mut carried: HashMap<u32, Vec<(&str, &str)>> = HashMap::new();
    for act in &trace.acts {
        if let Deed::Decoy {
            decoy,
            used: DecoyUse::Sent { encoding, act } | DecoyUse::Argument { encoding, act },
        } = &act.deed
        {
            carried.entry(*act).or_default().push((decoy, encoding));
        }
    }
    carried
}
