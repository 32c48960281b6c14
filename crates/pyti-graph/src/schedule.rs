//! What may start when, and what follows from how it ended: a pure state
//! machine. Facts go in, starts and events come out; there are no threads,
//! no clock and no data in here.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use crate::cancel::Cancel;
use crate::event::{Event, EventKind};
use crate::name::{KeyName, TaskName};
use crate::plan::{Plan, PlannedTask, TaskId};
use crate::reason::{Link, SkipReason};
use crate::report::{Report, TaskReport};
use crate::result::{Outcome, TaskResult};

/// Leads one run of a plan from the first task to the last.
///
/// [`Runner`](crate::Runner) drives it with threads. To drive it with
/// something else (a pool, an event loop, machines), repeat: start what
/// [`start_ready`](Self::start_ready) says, [`finish`](Self::finish) what has ended, until
/// [`is_done`](Self::is_done).
///
/// ```
/// use pyti_graph::{GraphBuilder, Outcome, Schedule, TaskResult};
///
/// let mut b = GraphBuilder::<()>::new();
/// b.task("build");
/// b.task("install").needs_task("build");
/// b.task("import").needs_task("install");
/// let graph = b.build()?;
///
/// let mut schedule = Schedule::new(graph.plan(), 1);
/// while !schedule.is_done() {
///     for start in schedule.start_ready() {
///         schedule.finish(start.task, Outcome::failure("no compiler"), &[])?;
///     }
/// }
/// let report = schedule.report().expect("it is done");
/// let import = &report.tasks[2];
/// assert_eq!(import.outcome.result, TaskResult::Skipped);
/// assert_eq!(import.outcome.reasons, ["install was skipped because build failed"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Schedule<'p> {
    plan: &'p Plan,
    capacity: u32,
    load: u32,
    states: Vec<State>,
    /// Tasks that wait for capacity alone; the first fitting one starts.
    ready: BTreeMap<TaskId, Past>,
    /// Tasks whose last dependency has just ended.
    due: BTreeSet<TaskId>,
    stop: Option<Stop>,
    result: TaskResult,
    open: usize,
    events: Vec<Event>,
    seq: u64,
}

/// The life of a task, forward only except from resting back to ready.
#[derive(Debug)]
enum State {
    /// Some of its dependencies have not ended.
    Waiting {
        on: usize,
    },
    /// In `Schedule::ready`.
    Ready,
    Running {
        attempt: u32,
    },
    /// Between two attempts.
    Resting(Past),
    Ended(TaskReport),
}

impl State {
    const fn word(&self) -> &'static str {
        match self {
            Self::Waiting { .. } => "waiting",
            Self::Ready => "ready",
            Self::Running { .. } => "running",
            Self::Resting(_) => "resting",
            Self::Ended(_) => "ended",
        }
    }
}

/// The attempts a task has behind it, and how the last one ended.
#[derive(Clone, Debug, Default)]
struct Past {
    attempts: u32,
    last: Option<Outcome>,
}

/// Why nothing more is started, except what always runs.
#[derive(Clone, Copy, Debug)]
enum Stop {
    Halted { by: TaskId },
    Cancelled(Cancel),
}

/// An attempt at a task that is to be started now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Start {
    /// The task.
    pub task: TaskId,
    /// Which attempt, from 1.
    pub attempt: u32,
}

/// What follows the end of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The task has its result; what it published counts.
    Ended,
    /// The task rests for this long, then call
    /// [`retry_due`](Schedule::retry_due); what it published does not count.
    Retry {
        /// How long it rests.
        wait: Duration,
    },
}

/// The schedule was told something that cannot be so.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Only a task that `start_ready` started can do this.
    #[error("`{task}` cannot {act} because it is {state}; only what `start_ready` returned is running")]
    NotRunning {
        /// The task.
        task: TaskName,
        /// What it was said to do.
        act: &'static str,
        /// What it is instead.
        state: &'static str,
    },
    /// Only a task that `finish` sent to rest can be due again.
    #[error("`{task}` cannot be due again because it is {state}; only what `finish` told to retry is")]
    NotResting {
        /// The task.
        task: TaskName,
        /// What it is instead.
        state: &'static str,
    },
}

impl<'p> Schedule<'p> {
    /// The start of a run in which the weights of what runs at once never
    /// exceed the capacity (at least 1).
    pub fn new(plan: &'p Plan, capacity: u32) -> Self {
        let waiting = |(_, task): (TaskId, &PlannedTask)| State::Waiting {
            on: task.dependencies.len(),
        };
        let mut schedule = Self {
            plan,
            capacity: capacity.max(1),
            load: 0,
            states: plan.tasks().map(waiting).collect(),
            ready: BTreeMap::new(),
            due: plan
                .tasks()
                .filter(|(_, task)| task.dependencies.is_empty())
                .map(|(id, _)| id)
                .collect(),
            stop: None,
            result: TaskResult::Success,
            open: plan.tasks.len(),
            events: Vec::new(),
            seq: 0,
        };
        for task in &plan.tasks {
            schedule.tell(EventKind::Planned {
                task: task.name.clone(),
                waits_for: task
                    .dependencies
                    .iter()
                    .map(|on| plan.task(on.task).name.clone())
                    .collect(),
                weight: task.weight,
            });
        }
        schedule.settle();
        schedule
    }

    /// All attempts that can start now, in the order of the plan.
    pub fn start_ready(&mut self) -> Vec<Start> {
        self.start_ready_if(|_| Ok(()))
    }

    /// As [`start_ready`](Self::start_ready), but asks before the first attempt at a task.
    /// An outcome from the gate is the task's end.
    pub fn start_ready_if(&mut self, mut gate: impl FnMut(TaskId) -> Result<(), Outcome>) -> Vec<Start> {
        let mut starts = Vec::new();
        while let Some(id) = self
            .ready
            .keys()
            .copied()
            .find(|id| self.share(*id) <= self.capacity - self.load)
        {
            let past = self.ready.remove(&id).unwrap_or_default();
            if past.attempts == 0
                && let Err(outcome) = gate(id)
            {
                self.end(id, outcome, 0);
                self.settle();
                continue;
            }
            let attempt = past.attempts + 1;
            self.load += self.share(id);
            self.states[id.0] = State::Running { attempt };
            self.tell(EventKind::Started {
                task: self.name(id),
                attempt,
            });
            starts.push(Start { task: id, attempt });
        }
        starts
    }

    /// An attempt has ended, having published this data.
    ///
    /// A task that ends well without all the data it promised ends with an
    /// exception instead.
    ///
    /// # Errors
    ///
    /// When the task is not running.
    pub fn finish(
        &mut self,
        id: TaskId,
        outcome: Outcome,
        published: &[KeyName],
    ) -> Result<Next, ScheduleError> {
        let attempt = self.running(id, "finish")?;
        self.load -= self.share(id);
        let task = self.plan.task(id);
        let outcome = kept_promises(task, outcome, published);
        if self.admits(id) && task.retry.again(attempt, outcome.result) {
            let wait = task.retry.wait_after(attempt);
            self.states[id.0] = State::Resting(Past {
                attempts: attempt,
                last: Some(outcome.clone()),
            });
            self.tell(EventKind::RetryScheduled {
                task: task.name.clone(),
                outcome,
                attempt: attempt + 1,
                wait,
            });
            return Ok(Next::Retry { wait });
        }
        for key in published {
            let (task, key, used) = (task.name.clone(), key.clone(), task.uses_product(key));
            self.tell(if used {
                EventKind::Published { task, key }
            } else {
                EventKind::Dropped { task, key }
            });
        }
        self.end(id, outcome, attempt);
        self.settle();
        Ok(Next::Ended)
    }

    /// A running task says how far it is.
    ///
    /// # Errors
    ///
    /// When the task is not running.
    pub fn progress(&mut self, id: TaskId, text: impl Into<String>) -> Result<(), ScheduleError> {
        self.running(id, "make progress")?;
        self.tell(EventKind::Progress {
            task: self.name(id),
            text: text.into(),
        });
        Ok(())
    }

    /// A task has rested long enough. Does nothing when the task has ended
    /// meanwhile, because the graph halted or was cancelled.
    ///
    /// # Errors
    ///
    /// When the task is not resting.
    pub fn retry_due(&mut self, id: TaskId) -> Result<(), ScheduleError> {
        match &mut self.states[id.0] {
            State::Resting(past) => {
                let past = mem::take(past);
                self.make_ready(id, past);
                Ok(())
            }
            State::Ended(_) => Ok(()),
            other => Err(ScheduleError::NotResting {
                task: self.plan.task(id).name.clone(),
                state: other.word(),
            }),
        }
    }

    /// Stops the graph: nothing more is started except, in order, what
    /// always runs. What runs must be told by whoever runs it.
    pub fn cancel(&mut self, how: Cancel) {
        let further = match self.stop {
            Some(Stop::Cancelled(before)) => before < how,
            Some(Stop::Halted { .. }) | None => true,
        };
        if further && !self.is_done() {
            self.stop = Some(Stop::Cancelled(how));
            self.result = self.result.worst(TaskResult::Cancelled);
            self.tell(EventKind::Cancelled {
                at_once: how == Cancel::AtOnce,
            });
            self.withdraw();
            self.settle();
        }
    }

    /// Whether all tasks have ended.
    pub fn is_done(&self) -> bool {
        self.open == 0
    }

    /// The weight of what runs now; never above the capacity.
    pub fn load(&self) -> u32 {
        self.load
    }

    /// What happened since this was last asked.
    pub fn take_events(&mut self) -> Vec<Event> {
        mem::take(&mut self.events)
    }

    /// All results, once all tasks have ended.
    pub fn report(&self) -> Option<Report> {
        let ended = |state: &State| match state {
            State::Ended(task) => Some(task.clone()),
            _ => None,
        };
        let tasks = self.states.iter().map(ended).collect::<Option<Vec<_>>>()?;
        Some(Report {
            result: self.result,
            tasks,
        })
    }

    fn name(&self, id: TaskId) -> TaskName {
        self.plan.task(id).name.clone()
    }

    fn tell(&mut self, kind: EventKind) {
        self.events.push(Event { seq: self.seq, kind });
        self.seq += 1;
    }

    /// What the task takes of the capacity; all, if it is heavier.
    fn share(&self, id: TaskId) -> u32 {
        self.plan.task(id).weight.min(self.capacity)
    }

    fn running(&self, id: TaskId, act: &'static str) -> Result<u32, ScheduleError> {
        match &self.states[id.0] {
            State::Running { attempt } => Ok(*attempt),
            other => Err(ScheduleError::NotRunning {
                task: self.name(id),
                act,
                state: other.word(),
            }),
        }
    }

    /// Whether a stop, if there is one, lets this task start.
    fn admits(&self, id: TaskId) -> bool {
        match self.stop {
            None => true,
            Some(Stop::Cancelled(Cancel::AtOnce)) => false,
            Some(Stop::Halted { .. } | Stop::Cancelled(Cancel::Orderly)) => {
                self.plan.task(id).policy.always_run
            }
        }
    }

    /// Decides about all tasks whose dependencies have ended. A task is
    /// judged only then, even if its fate is known before: so "after" holds
    /// along any way through the graph, also through tasks that never ran.
    fn settle(&mut self) {
        while let Some(id) = self.due.pop_first() {
            let task = self.plan.task(id);
            if let Some(reason) = &task.left_out {
                self.skip(id, reason.clone());
            } else if self.admits(id) && (task.policy.always_run || self.lacking(task).is_none()) {
                self.make_ready(id, Past::default());
            } else if let Some(Stop::Cancelled(_)) = self.stop {
                self.end_unfinished(id, Past::default());
            } else if let Some(reason) = self.lacking(task) {
                self.skip(id, reason);
            } else {
                self.end_unfinished(id, Past::default());
            }
        }
        if self.is_done()
            && !matches!(
                self.events.last(),
                Some(Event {
                    kind: EventKind::GraphEnded { .. },
                    ..
                })
            )
        {
            self.tell(EventKind::GraphEnded { result: self.result });
        }
    }

    /// What the task needs and does not get, with the chain of reasons.
    fn lacking(&self, task: &PlannedTask) -> Option<SkipReason> {
        let mut bad =
            task.dependencies
                .iter()
                .filter(|on| on.needed)
                .filter_map(|on| match &self.states[on.task.0] {
                    State::Ended(report) if !report.outcome.result.is_good() => Some(report),
                    _ => None,
                });
        let first = bad.next()?;
        let also = bad.map(|report| report.task.clone()).collect();
        let link = Link {
            task: first.task.clone(),
            result: first.outcome.result,
        };
        Some(SkipReason::needed(link, first.skipped.as_ref(), also))
    }

    fn make_ready(&mut self, id: TaskId, past: Past) {
        self.ready.insert(id, past);
        self.states[id.0] = State::Ready;
        self.tell(EventKind::Ready { task: self.name(id) });
    }

    /// Ends all that had its turn before it but not yet started.
    fn withdraw(&mut self) {
        for i in 0..self.states.len() {
            let id = TaskId(i);
            if self.admits(id) {
                continue;
            }
            if let State::Resting(past) = &mut self.states[i] {
                let past = mem::take(past);
                self.end_unfinished(id, past);
            } else if let Some(past) = self.ready.remove(&id) {
                self.end_unfinished(id, past);
            }
        }
    }

    /// Ends a task that a stop keeps from its next attempt.
    fn end_unfinished(&mut self, id: TaskId, past: Past) {
        match (self.stop, past.last) {
            (Some(Stop::Halted { .. }), Some(last)) => self.end(id, last, past.attempts),
            (Some(Stop::Halted { by }), None) => self.skip(id, SkipReason::Halted { by: self.name(by) }),
            (_, None) => self.end(
                id,
                Outcome::cancelled("the graph was cancelled before this started"),
                0,
            ),
            (_, Some(last)) => {
                let reason = format!("the graph was cancelled before attempt {}", past.attempts + 1);
                let outcome = Outcome::cancelled(reason).and(format!("the one before: {last}"));
                self.end(id, outcome, past.attempts);
            }
        }
    }

    fn skip(&mut self, id: TaskId, reason: SkipReason) {
        self.record(id, Outcome::skipped(reason.to_string()), 0, Some(reason));
    }

    fn end(&mut self, id: TaskId, outcome: Outcome, attempts: u32) {
        let said = (outcome.result == TaskResult::Skipped).then(|| SkipReason::Said {
            text: if outcome.reasons.is_empty() {
                "it found nothing to do".to_owned()
            } else {
                outcome.reasons.join("; ")
            },
        });
        self.record(id, outcome, attempts, said);
    }

    /// The one place where a task gets its result.
    fn record(&mut self, id: TaskId, outcome: Outcome, attempts: u32, skipped: Option<SkipReason>) {
        let planned = self.plan.task(id);
        let task = planned.name.clone();
        let hidden = planned.hide.as_ref().is_some_and(|hide| hide(&outcome));
        let halts = planned.policy.halts(outcome.result) && self.stop.is_none();
        self.result = self.result.worst(planned.policy.weigh(outcome.result));
        self.open -= 1;

        if let Some(reason) = skipped.clone() {
            self.tell(EventKind::Skipped {
                task: task.clone(),
                reason,
            });
        }
        self.tell(EventKind::Ended {
            task: task.clone(),
            outcome: outcome.clone(),
            attempts,
            hidden,
        });
        self.states[id.0] = State::Ended(TaskReport {
            task: task.clone(),
            outcome,
            attempts,
            hidden,
            skipped,
        });

        for dependent in &planned.dependents {
            if let State::Waiting { on } = &mut self.states[dependent.0] {
                *on -= 1;
                if *on == 0 {
                    self.due.insert(*dependent);
                }
            }
        }
        if halts {
            self.stop = Some(Stop::Halted { by: id });
            self.tell(EventKind::Halted { by: task });
            self.withdraw();
        }
    }
}

/// The outcome, or an exception when data that others read is missing.
fn kept_promises(task: &PlannedTask, outcome: Outcome, published: &[KeyName]) -> Outcome {
    let missing: Vec<String> = task
        .products()
        .filter(|key| !published.contains(key))
        .map(|key| format!("`{key}`"))
        .collect();
    if missing.is_empty() || !outcome.result.is_good() {
        return outcome;
    }
    let broken = format!(
        "{} ended with {} without publishing {}, which it declares to produce; call `put` before returning",
        task.name,
        outcome.result,
        missing.join(", ")
    );
    Outcome {
        result: TaskResult::Exception,
        reasons: [vec![broken], outcome.reasons].concat(),
    }
}
