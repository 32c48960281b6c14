//! The shape of a graph that was found sound: who waits for whom.

use std::fmt;

use crate::data::AnyKey;
use crate::limits::Limits;
use crate::name::{KeyName, TaskName};
use crate::reason::SkipReason;
use crate::result::Outcome;
use crate::retry::RetryPolicy;
use crate::settings::FailurePolicy;

/// A task of one plan, as a number. Tasks are numbered as they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub(crate) usize);

/// The tasks of a graph without what they do: checked, and never changed.
///
/// Got from [`Graph::plan`](crate::Graph::plan); drives a
/// [`Schedule`](crate::Schedule).
#[derive(Debug)]
pub struct Plan {
    pub(crate) tasks: Vec<PlannedTask>,
}

impl Plan {
    /// All tasks, in the order in which they were added.
    pub fn tasks(&self) -> impl ExactSizeIterator<Item = (TaskId, &PlannedTask)> {
        self.tasks.iter().enumerate().map(|(i, task)| (TaskId(i), task))
    }

    /// The task of this number.
    ///
    /// # Panics
    ///
    /// When the number comes from a larger plan.
    pub fn task(&self, id: TaskId) -> &PlannedTask {
        &self.tasks[id.0]
    }

    /// The number of the task of this name.
    pub fn id(&self, name: &str) -> Option<TaskId> {
        self.tasks.iter().position(|task| task.name == name).map(TaskId)
    }
}

/// Decides whether a task that ended so is hidden.
pub(crate) type Hide = Box<dyn Fn(&Outcome) -> bool + Send + Sync>;

/// What a task is, apart from what it does.
pub struct PlannedTask {
    pub(crate) name: TaskName,
    pub(crate) dependencies: Vec<Dependency>,
    pub(crate) dependents: Vec<TaskId>,
    pub(crate) reads: Vec<KeyName>,
    pub(crate) products: Vec<Product>,
    pub(crate) left_out: Option<SkipReason>,
    pub(crate) policy: FailurePolicy,
    pub(crate) weight: u32,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) hide: Option<Hide>,
}

/// A task that another waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dependency {
    /// The task that is waited for.
    pub task: TaskId,
    /// Whether it must end well; otherwise it must only end.
    pub needed: bool,
    /// The data it is waited for, when it is not for its own sake.
    pub key: Option<KeyName>,
}

/// Data that a task produces.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) key: AnyKey,
    /// Whether others read it from this task, not from one that comes first.
    pub(crate) used: bool,
}

impl PlannedTask {
    /// Its name.
    pub fn name(&self) -> &TaskName {
        &self.name
    }

    /// The tasks it waits for, each once.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// The data it waits for.
    pub fn reads(&self) -> &[KeyName] {
        &self.reads
    }

    /// The data that others read from it.
    pub fn products(&self) -> impl Iterator<Item = &KeyName> {
        self.products
            .iter()
            .filter(|product| product.used)
            .map(|product| &product.key.name)
    }

    /// Why it is left out on this platform, if it is.
    pub fn left_out(&self) -> Option<&SkipReason> {
        self.left_out.as_ref()
    }

    /// Its failure settings.
    pub fn policy(&self) -> &FailurePolicy {
        &self.policy
    }

    /// Its share of the capacity.
    pub fn weight(&self) -> u32 {
        self.weight
    }

    /// Its limits, with those of the graph where it has none.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// When it is run again.
    pub fn retry(&self) -> &RetryPolicy {
        &self.retry
    }

    pub(crate) fn uses_product(&self, key: &KeyName) -> bool {
        self.products().any(|product| product == key)
    }
}

impl fmt::Debug for PlannedTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedTask")
            .field("name", &self.name)
            .field("dependencies", &self.dependencies)
            .field("reads", &self.reads)
            .field("products", &self.products)
            .field("left_out", &self.left_out)
            .field("policy", &self.policy)
            .field("weight", &self.weight)
            .finish_non_exhaustive()
    }
}
