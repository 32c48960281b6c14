//! What a graph came to: one result for the whole and one a task.

use crate::name::TaskName;
use crate::reason::SkipReason;
use crate::result::{Outcome, TaskResult};

/// The results of a graph that has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Report {
    /// The result of the whole: the worst of what each task's settings make
    /// of its result, and `Success` when nothing counts.
    pub result: TaskResult,
    /// One entry a task, in the order in which they were added.
    pub tasks: Vec<TaskReport>,
}

/// How one task ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TaskReport {
    /// The task.
    pub task: TaskName,
    /// How it ended.
    pub outcome: Outcome,
    /// How many attempts were started; 0 when it never ran.
    pub attempts: u32,
    /// Whether it asks not to be shown.
    pub hidden: bool,
    /// Why it was skipped, if it was.
    pub skipped: Option<SkipReason>,
}

impl Report {
    /// The entry of the task of this name.
    pub fn task(&self, name: &str) -> Option<&TaskReport> {
        self.tasks.iter().find(|task| task.task == name)
    }
}
