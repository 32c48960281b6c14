//! A recording folded into what is known of its job.

use std::collections::BTreeMap;

use pyti_model::effect::{Change, Effect, Loss};
use pyti_model::event::{Envelope, Event, PlannedTask};
use pyti_model::image::Guest;
use pyti_model::outcome::{Outcome, Reason, TaskResult};
use pyti_model::plan::{Plan, Purpose};
use pyti_model::raw::{
    AttemptUse, Build, Costs, Coverage, Import, Inspection, Install, RawData, Resolve, Test,
};
use pyti_model::trace::{Decoy, EventRef, Trace, Written};
use pyti_model::{Digest, Distribution, Foreign};
use serde::{Deserialize, Serialize};

/// Losses kept of one job or task; what comes after is only counted.
const MOST_LOSSES: usize = 256;

/// Everything that a recording says of one job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The plan, with the locks that were made while it was carried out. Absent when no box was opened.
    pub plan: Option<Plan>,
    /// The file that it is about: the one that was decided on, else the plan's target.
    pub file: Option<Distribution>,
    /// What it came to without opening a box.
    pub decided: Option<Outcome>,
    /// Its tasks, in order of the graph; those that the graph did not name follow in order of appearance.
    pub tasks: Vec<TaskRecord>,
    /// What was known of the machine.
    pub machine: BTreeMap<String, String>,
    /// Version of the program that recorded it.
    pub pyti: String,
    /// When it began, RFC 3339 in UTC; empty when the first event is missing.
    pub when: String,
    /// Whether the last event of a complete recording was there.
    pub complete: bool,
    /// Whether somebody interrupted it.
    pub interrupted: bool,
    /// What the recording lost, and what was wrong with its order.
    pub losses: Vec<Loss>,
    /// Wall-clock seconds from the beginning to the last event.
    pub wall_s: f64,
    /// What lay in its boxes to be found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub decoys: Vec<Decoy>,
    /// What its virtual machine showed, when it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guest: Option<Box<Guest>>,
    /// Sources of the distribution that its tasks' raw data speak of by line: path and text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<(Foreign, Foreign)>,
}

/// Everything that a recording says of one task.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TaskRecord {
    /// Its name: `install`.
    pub name: String,
    /// Names of the tasks that it needs.
    pub needs: Vec<String>,
    /// Preparation is shown folded.
    pub preparation: bool,
    /// Attempts that were begun.
    pub attempts: u32,
    /// When its last attempt began, microseconds since the recording began.
    pub started_us: Option<u64>,
    /// When it ended.
    pub ended_us: Option<u64>,
    /// Number of the event that says how it ended.
    pub ended_seq: Option<u64>,
    /// Its result, as the agent gave it; absent while it runs, or when the agent died.
    pub result: Option<TaskResult>,
    /// Reasons that the agent gave.
    pub reasons: Vec<Reason>,
    /// Why it was skipped.
    pub chain: Vec<String>,
    /// Its raw data.
    pub raw: Option<RawData>,
    /// Its commands, all attempts.
    pub effects: Vec<RecordedEffect>,
    /// What its last attempt changed.
    pub changes: Vec<Change>,
    /// Where in the recording each of the changes is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub change_places: Vec<EventRef>,
    /// What the attempts before the last one changed, and where in the recording that is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier_changes: Vec<(EventRef, Change)>,
    /// What the processes of its commands did, all attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traces: Vec<RecordedTrace>,
    /// What files hold that its commands wrote, all attempts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<RecordedFiles>,
    /// Bytes that its last attempt kept apart.
    pub blobs: Vec<RecordedBlob>,
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// CPU seconds of its commands.
    pub cpu_s: f64,
    /// Most memory at once, bytes.
    pub peak_memory_bytes: u64,
    /// What was lost of it.
    pub losses: Vec<Loss>,
}

/// A command, and where in the recording it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedEffect {
    /// Number of its event.
    pub seq: u64,
    /// Attempt of the task that ran it, from 1.
    pub attempt: u32,
    /// What it did.
    pub effect: Effect,
}

/// What the processes of a command did, and where in the recording it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTrace {
    /// Number of its event.
    pub seq: u64,
    /// Attempt of the task, from 1.
    pub attempt: u32,
    /// What was seen.
    pub trace: Trace,
}

/// What files hold that a command wrote, and where in the recording it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFiles {
    /// Number of its event.
    pub seq: u64,
    /// The files.
    pub files: Vec<Written>,
}

/// Bytes that were kept apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedBlob {
    /// What it is: a file name.
    pub name: Foreign,
    /// Its digest.
    pub sha256: Digest,
    /// Its size, bytes.
    pub size: u64,
}

impl TaskRecord {
    /// The commands of the last attempt.
    pub fn last_effects(&self) -> impl DoubleEndedIterator<Item = &RecordedEffect> {
        let last = self.effects.last().map_or(0, |e| e.attempt);
        self.effects.iter().filter(move |e| e.attempt == last)
    }

    /// The command that decides: the one whose tests gave the result, else the last one of the last attempt.
    pub fn deciding(&self) -> Option<&RecordedEffect> {
        if let Some(RawData::Test(test)) = &self.raw
            && let Some(taken) = test.attempts.iter().find(|a| a.used == AttemptUse::Taken)
            && let Some(effect) = taken
                .command
                .and_then(|at| self.last_effects().nth(usize::try_from(at).ok()?))
        {
            return Some(effect);
        }
        self.effects.last()
    }

    /// Whether it was begun, or ended by anything but being left out.
    pub fn was_attempted(&self) -> bool {
        self.attempts > 0 && self.result != Some(TaskResult::Skipped)
            || self
                .result
                .is_some_and(|r| !matches!(r, TaskResult::Skipped | TaskResult::Cancelled))
    }
}

macro_rules! raw_of {
    ($(#[doc = $doc:literal] $name:ident: $variant:ident -> $kind:ty;)+) => {
        impl JobRecord {
            $(#[doc = $doc]
            pub fn $name(&self) -> Option<&$kind> {
                self.tasks.iter().find_map(|task| match &task.raw {
                    Some(RawData::$variant(raw)) => {
                        let raw: &$kind = raw;
                        Some(raw)
                    }
                    _ => None,
                })
            })+
        }
    };
}

raw_of! {
    #[doc = "What was read from the tree, its own or the companion's."] inspection: Inspect -> Inspection;
    #[doc = "What was installed."] install: Install -> Install;
    #[doc = "What was imported."] import: Import -> Import;
    #[doc = "What was built."] build: Build -> Build;
    #[doc = "What the tests came to."] test: Test -> Test;
    #[doc = "How much of it its tests run."] coverage: Coverage -> Coverage;
    #[doc = "What it costs who uses it."] costs: Costs -> Costs;
}

impl JobRecord {
    /// The task of that name.
    pub fn task(&self, name: &str) -> Option<&TaskRecord> {
        self.tasks.iter().find(|task| task.name == name)
    }

    /// Raw data of the task of that name.
    pub fn raw(&self, name: &str) -> Option<&RawData> {
        self.task(name)?.raw.as_ref()
    }

    /// The lock made for a purpose.
    pub fn resolve(&self, purpose: Purpose) -> Option<&Resolve> {
        self.tasks.iter().rev().find_map(|task| match &task.raw {
            Some(RawData::Resolve(raw)) if raw.purpose == purpose => Some(raw),
            _ => None,
        })
    }
}

/// Folds events into a record, one by one: for who watches while it happens.
///
/// It takes every sequence. What cannot be right (a gap, an event twice, an end without a beginning) is taken as
/// far as it makes sense and noted as a [`Loss`].
#[derive(Debug, Default)]
pub struct Fold {
    record: JobRecord,
    next: u64,
    began: bool,
    uncounted: u64,
}

/// Folds a recording into what is known of its job. Total: see [`Fold`].
pub fn fold(events: impl IntoIterator<Item = Envelope>) -> JobRecord {
    let mut fold = Fold::new();
    for envelope in events {
        fold.push(envelope);
    }
    fold.finish()
}

impl Fold {
    /// Nothing happened yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What is known so far.
    pub fn record(&self) -> &JobRecord {
        &self.record
    }

    /// What is known.
    pub fn finish(self) -> JobRecord {
        let Self {
            mut record,
            uncounted,
            ..
        } = self;
        if uncounted > 0 {
            record.losses.push(Loss::Channel {
                why: format!("{uncounted} more losses of this kind"),
            });
        }
        record
    }

    /// Takes the next event.
    pub fn push(&mut self, envelope: Envelope) {
        let Envelope { seq, at_us, event } = envelope;
        if seq > self.next {
            self.odd(format!("events {} to {} are missing", self.next, seq - 1));
        } else if seq < self.next {
            self.odd(format!("event {seq} came late or twice"));
        }
        self.next = self.next.max(seq.saturating_add(1));
        if self.record.complete {
            self.odd(format!("event {seq} came after the last one"));
        }
        #[expect(clippy::cast_precision_loss, reason = "a job does not last 285 years")]
        let at_s = at_us as f64 / 1e6;
        self.record.wall_s = self.record.wall_s.max(at_s);
        self.apply(seq, at_us, event);
    }

    fn apply(&mut self, seq: u64, at_us: u64, event: Event) {
        match event {
            Event::Began {
                pyti,
                when,
                plan,
                machine,
                ..
            } => {
                if self.began {
                    self.odd(format!("event {seq} begins the recording again"));
                    return;
                }
                self.began = true;
                self.record.pyti = pyti;
                self.record.when = when;
                self.record.machine = machine;
                if self.record.file.is_none() {
                    self.record.file = Some(plan.target.clone());
                }
                self.record.plan = Some(*plan);
            }
            Event::Opened { machine } => self.record.machine.extend(machine),
            Event::Planned { tasks } => self.planned(tasks),
            Event::Started { task, attempt } => self.started(seq, at_us, task, attempt),
            Event::Ran { task, effect } => {
                let task = self.task(seq, task);
                let attempt = task.attempts.max(1);
                task.effects.push(RecordedEffect {
                    seq,
                    attempt,
                    effect: *effect,
                });
            }
            Event::Changed { task, changes } => {
                let task = self.task(seq, task);
                task.change_places
                    .extend((0..).zip(&changes).map(|(item, _)| EventRef {
                        seq,
                        item: Some(item),
                    }));
                task.changes.extend(changes);
            }
            Event::Traced { task, trace } => {
                let task = self.task(seq, task);
                let attempt = task.attempts.max(1);
                task.traces.push(RecordedTrace {
                    seq,
                    attempt,
                    trace: *trace,
                });
            }
            Event::Written { task, files } => self.task(seq, task).written.push(RecordedFiles { seq, files }),
            Event::Source { path, text, .. } => self.record.sources.push((path, text)),
            Event::Planted { decoys } => self.record.decoys.extend(decoys),
            Event::Blob {
                task,
                name,
                sha256,
                size,
            } => {
                self.task(seq, task)
                    .blobs
                    .push(RecordedBlob { name, sha256, size });
            }
            Event::Ended {
                task,
                result,
                reasons,
                chain,
                raw,
                wall_s,
                cpu_s,
                peak_memory_bytes,
            } => {
                let left_out = matches!(result, TaskResult::Skipped | TaskResult::Cancelled);
                let record = self.task(seq, task);
                if record.result.is_some() {
                    // Two ends contradict each other; the first was said while the task was still watched.
                    let why = format!("task {} ended twice", record.name);
                    self.odd(why);
                    return;
                }
                record.result = Some(result);
                record.ended_us = Some(at_us);
                record.ended_seq = Some(seq);
                record.reasons = reasons;
                record.chain = chain;
                record.raw = raw;
                record.wall_s = sane(wall_s);
                record.cpu_s = sane(cpu_s);
                record.peak_memory_bytes = peak_memory_bytes;
                if record.attempts == 0 && !left_out {
                    let why = format!("task {} ended and had not begun", record.name);
                    self.odd(why);
                }
            }
            Event::Lost {
                task: Some(task),
                what,
            } => {
                let losses = &mut self.task(seq, task).losses;
                if losses.len() < MOST_LOSSES {
                    losses.push(what);
                } else {
                    self.uncounted += 1;
                }
            }
            Event::Lost { task: None, what } => self.lose(what),
            Event::Locked { purpose, lock } => match &mut self.record.plan {
                Some(plan) => {
                    plan.locks.insert(purpose, *lock);
                }
                None => self.odd(format!("a lock for {} came before the plan", purpose.word())),
            },
            Event::Decided { file, outcome } => {
                if let Some(file) = file {
                    self.record.file = Some(*file);
                }
                self.record.decided.get_or_insert(outcome);
            }
            Event::Finished { interrupted } => {
                self.record.complete = true;
                self.record.interrupted |= interrupted;
            }
            Event::Guest { guest } => self.record.guest = Some(guest),
            Event::Progress { .. } | Event::Unknown => {}
        }
    }

    fn planned(&mut self, planned: Vec<PlannedTask>) {
        let mut known = std::mem::take(&mut self.record.tasks);
        for PlannedTask {
            name,
            needs,
            preparation,
        } in planned
        {
            if self.record.tasks.iter().any(|task| task.name == name) {
                self.odd(format!("task {name} is planned twice"));
                continue;
            }
            let mut task = match known.iter().position(|task| task.name == name) {
                Some(at) => known.remove(at),
                None => TaskRecord {
                    name,
                    ..TaskRecord::default()
                },
            };
            task.needs = needs;
            task.preparation = preparation;
            self.record.tasks.push(task);
        }
        self.record.tasks.append(&mut known);
    }

    fn started(&mut self, seq: u64, at_us: u64, task: String, attempt: u32) {
        let task = self.task(seq, task);
        let right = task.attempts.saturating_add(1);
        let before = task.result.take();
        task.attempts = attempt.max(right);
        task.started_us = Some(at_us);
        task.ended_us = None;
        task.ended_seq = None;
        let places = std::mem::take(&mut task.change_places);
        let changes = std::mem::take(&mut task.changes);
        task.earlier_changes.extend(places.into_iter().zip(changes));
        task.blobs.clear();
        let odd = (attempt != right || before.is_some_and(|r| r != TaskResult::Retry))
            .then(|| format!("task {} began attempt {attempt} out of turn", task.name));
        if let Some(why) = odd {
            // A settled result is not to be undone by a later, contradicting beginning.
            task.result = before.filter(|r| *r != TaskResult::Retry);
            self.odd(why);
        }
    }

    /// The task of that name; one that nobody planned is noted and made.
    fn task(&mut self, seq: u64, name: String) -> &mut TaskRecord {
        let at = self.record.tasks.iter().position(|task| task.name == name);
        let at = at.unwrap_or_else(|| {
            self.odd(format!("event {seq} is about task {name}, which was not planned"));
            self.record.tasks.push(TaskRecord {
                name,
                ..TaskRecord::default()
            });
            self.record.tasks.len() - 1
        });
        &mut self.record.tasks[at]
    }

    fn odd(&mut self, why: String) {
        self.lose(Loss::Channel { why });
    }

    fn lose(&mut self, what: Loss) {
        if self.record.losses.len() < MOST_LOSSES {
            self.record.losses.push(what);
        } else {
            self.uncounted += 1;
        }
    }
}

/// Seconds as they can be: what is negative, infinite or no number counts as nothing.
fn sane(seconds: f64) -> f64 {
    if seconds.is_finite() && seconds > 0.0 {
        seconds
    } else {
        0.0
    }
}
