//! What a task sees while it runs.

use std::any::type_name;
use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::cancel::{Cancel, CancelToken};
use crate::data::{DataError, Key, Store};
use crate::limits::Limits;
use crate::name::TaskName;
use crate::plan::PlannedTask;
use crate::result::Outcome;

/// What a task's body can fail with: any error.
pub type TaskError = Box<dyn Error + Send + Sync>;

pub(crate) type Body<C> = Box<dyn Fn(&TaskContext<'_, C>) -> Result<Outcome, TaskError> + Send + Sync>;

/// What a task does, and when.
pub(crate) struct Work<C> {
    pub(crate) condition: Option<Condition<C>>,
    pub(crate) body: Option<Body<C>>,
}

type Holds<C> = Box<dyn Fn(&Inputs<'_, C>) -> bool + Send + Sync>;

/// When a task runs, and what to say when it does not.
pub(crate) struct Condition<C> {
    pub(crate) holds: Holds<C>,
    pub(crate) otherwise: String,
}

/// What a task can read: the shared context, and the data it waits for.
///
/// All of it was final before the task started, so nothing here blocks.
pub struct Inputs<'a, C> {
    pub(crate) context: &'a C,
    pub(crate) task: &'a PlannedTask,
    pub(crate) data: Store,
}

impl<'a, C> Inputs<'a, C> {
    /// What all tasks share.
    pub fn context(&self) -> &'a C {
        self.context
    }

    /// Data that the task waits for.
    ///
    /// # Errors
    ///
    /// When the task does not wait for it, when it is not there, or when it
    /// is of another type.
    pub fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Result<Arc<T>, DataError> {
        self.try_get(key)?.ok_or_else(|| DataError::Absent {
            task: self.task.name.clone(),
            key: key.name(),
        })
    }

    /// Data that the task waits for, or `None` when nobody published it.
    ///
    /// # Errors
    ///
    /// When the task does not wait for it, or when it is of another type.
    pub fn try_get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Result<Option<Arc<T>>, DataError> {
        let (task, name) = (self.task.name.clone(), key.name());
        if !self.task.reads.contains(&name) {
            return Err(DataError::NotDeclared { task, key: name });
        }
        match self.data.get(key) {
            None if self.data.contains(&name) => Err(DataError::WrongType {
                task,
                key: name,
                used: type_name::<T>(),
            }),
            found => Ok(found),
        }
    }
}

impl<C> fmt::Debug for Inputs<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inputs")
            .field("task", &self.task.name)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

/// What a task's body works with: its inputs, and ways to speak.
pub struct TaskContext<'a, C> {
    pub(crate) inputs: Inputs<'a, C>,
    pub(crate) attempt: u32,
    pub(crate) published: Mutex<Store>,
    pub(crate) switch: Switch,
    pub(crate) progress: Box<dyn Fn(String) + Send + Sync + 'a>,
}

/// The two ways in which a running task can be told to stop.
pub(crate) struct Switch {
    /// The user's token.
    pub(crate) cancel: CancelToken,
    /// On when the run itself is coming down.
    pub(crate) closing: CancelToken,
}

impl<'a, C> TaskContext<'a, C> {
    /// What all tasks share.
    pub fn context(&self) -> &'a C {
        self.inputs.context
    }

    /// The name of the task.
    pub fn task(&self) -> &TaskName {
        &self.inputs.task.name
    }

    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// What the task may use.
    pub fn limits(&self) -> &Limits {
        &self.inputs.task.limits
    }

    /// Data that the task needs; see [`Inputs::get`].
    ///
    /// # Errors
    ///
    /// As [`Inputs::get`].
    pub fn get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Result<Arc<T>, DataError> {
        self.inputs.get(key)
    }

    /// Data that the task wants; see [`Inputs::try_get`].
    ///
    /// # Errors
    ///
    /// As [`Inputs::try_get`].
    pub fn try_get<T: Send + Sync + 'static>(&self, key: &Key<T>) -> Result<Option<Arc<T>>, DataError> {
        self.inputs.try_get(key)
    }

    /// Publishes data that the task produces.
    ///
    /// Others can read it once the task has ended, well or not, unless the
    /// task is run again: then only what the last attempt published counts.
    /// Data that comes from another task first is dropped.
    ///
    /// # Errors
    ///
    /// When the task does not produce it, or not of this type, or has
    /// published it already.
    pub fn put<T: Send + Sync + 'static>(&self, key: &Key<T>, value: T) -> Result<(), DataError> {
        let (task, key_name, wanted) = (self.task().clone(), key.name(), key.erased());
        let Some(product) = self
            .inputs
            .task
            .products
            .iter()
            .find(|product| product.key.name == key_name)
        else {
            return Err(DataError::NotProduced { task, key: key_name });
        };
        if product.key.type_id != wanted.type_id {
            return Err(DataError::WrongType {
                task,
                key: key_name,
                used: wanted.type_name,
            });
        }
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if published.contains(&key_name) {
            return Err(DataError::PublishedTwice { task, key: key_name });
        }
        published.insert(key, value);
        Ok(())
    }

    /// Says how far the task is; others see it as an event.
    pub fn progress(&self, text: impl Into<String>) {
        (self.progress)(text.into());
    }

    /// Whether the task should stop now.
    ///
    /// A task that always runs goes on through an orderly cancellation.
    pub fn cancelled(&self) -> bool {
        let told = match self.switch.cancel.state() {
            None => false,
            Some(Cancel::Orderly) => !self.inputs.task.policy.always_run,
            Some(Cancel::AtOnce) => true,
        };
        told || self.switch.closing.state().is_some()
    }

    /// Ends the task here, by `?`, when it should stop.
    ///
    /// ```
    /// use pyti_graph::{GraphBuilder, Outcome};
    ///
    /// let mut b = GraphBuilder::<Vec<u32>>::new();
    /// b.task("sum").run(|cx| {
    ///     let mut sum = 0;
    ///     for n in cx.context() {
    ///         cx.checkpoint()?;
    ///         sum += n;
    ///     }
    ///     Ok(Outcome::success().and(format!("sum is {sum}")))
    /// });
    /// ```
    ///
    /// # Errors
    ///
    /// When the task should stop.
    pub fn checkpoint(&self) -> Result<(), Stopped> {
        if self.cancelled() { Err(Stopped) } else { Ok(()) }
    }
}

impl<C> fmt::Debug for TaskContext<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaskContext")
            .field("inputs", &self.inputs)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}

/// A task stopped because it was told to. As an error of a body it ends the
/// task as cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped because the graph was cancelled")]
pub struct Stopped;
