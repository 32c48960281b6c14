//! Everything that happens while a graph runs, in order.

use std::time::Duration;

use crate::name::{KeyName, TaskName};
use crate::reason::SkipReason;
use crate::result::{Outcome, TaskResult};

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Event {
    /// Its place in the stream: 0, 1, 2 and so on, without a gap.
    pub seq: u64,
    /// What happened.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub kind: EventKind,
}

/// What happened.
///
/// There is no clock in an event: the pure part of this crate has none, and
/// who receives an event can stamp it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "kind", rename_all = "snake_case"))]
#[non_exhaustive]
pub enum EventKind {
    /// The task is part of the graph. Comes once a task, before all else.
    Planned {
        /// The task.
        task: TaskName,
        /// The tasks it waits for.
        waits_for: Vec<TaskName>,
        /// Its share of the capacity.
        weight: u32,
    },
    /// All the task waits for has ended; it waits for capacity alone.
    Ready {
        /// The task.
        task: TaskName,
    },
    /// An attempt at the task started.
    Started {
        /// The task.
        task: TaskName,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// The task says how far it is.
    Progress {
        /// The task.
        task: TaskName,
        /// Its words.
        text: String,
    },
    /// Data of the task can now be read by others. Comes before its end.
    Published {
        /// The task.
        task: TaskName,
        /// The data.
        key: KeyName,
    },
    /// Data of the task was dropped, because it comes from elsewhere first.
    Dropped {
        /// The task.
        task: TaskName,
        /// The data.
        key: KeyName,
    },
    /// The attempt did not hold, and there will be another.
    RetryScheduled {
        /// The task.
        task: TaskName,
        /// How this attempt ended.
        outcome: Outcome,
        /// The number of the next attempt.
        attempt: u32,
        /// How long it waits.
        wait: Duration,
    },
    /// Why the task will not run. Its end follows at once.
    Skipped {
        /// The task.
        task: TaskName,
        /// Why, back to the first cause.
        reason: SkipReason,
    },
    /// The task has its result. Comes exactly once a task.
    Ended {
        /// The task.
        task: TaskName,
        /// How it ended.
        outcome: Outcome,
        /// How many attempts were started; 0 when it never ran.
        attempts: u32,
        /// Whether it asks not to be shown.
        hidden: bool,
    },
    /// Nothing more is started, except what always runs.
    Halted {
        /// The task that ended badly.
        by: TaskName,
    },
    /// The graph was told to stop.
    Cancelled {
        /// Whether not even what always runs is started.
        at_once: bool,
    },
    /// All tasks have ended. The last event.
    GraphEnded {
        /// The result of the whole.
        result: TaskResult,
    },
}

impl EventKind {
    /// The task this is about, if it is about one.
    pub fn task(&self) -> Option<&TaskName> {
        match self {
            Self::Planned { task, .. }
            | Self::Ready { task }
            | Self::Started { task, .. }
            | Self::Progress { task, .. }
            | Self::Published { task, .. }
            | Self::Dropped { task, .. }
            | Self::RetryScheduled { task, .. }
            | Self::Skipped { task, .. }
            | Self::Ended { task, .. } => Some(task),
            Self::Halted { .. } | Self::Cancelled { .. } | Self::GraphEnded { .. } => None,
        }
    }
}
