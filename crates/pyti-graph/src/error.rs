//! Why a graph was refused, and the path on which the fault lies.

use std::fmt;

use crate::name::{KeyName, TaskName};

/// A graph was refused before anything ran.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GraphError {
    /// Two tasks have one name.
    #[error("there are two tasks named `{task}`; rename one")]
    DuplicateTask {
        /// The name.
        task: TaskName,
    },
    /// A task waits for one that is not in the graph.
    #[error("there is no task `{missing}` ({path}); add it or drop the dependency")]
    UnknownTask {
        /// The name that no task has.
        missing: TaskName,
        /// Who waits for it.
        path: Path,
    },
    /// One name is used for data of two types.
    #[error("`{key}` is {one} for one task and {other} for `{task}`; use one key for both, or two names")]
    TypeClash {
        /// The name.
        key: KeyName,
        /// The type it was first used with.
        one: &'static str,
        /// The other type.
        other: &'static str,
        /// The task that uses the other type.
        task: TaskName,
    },
    /// A task needs data that nobody produces on this platform.
    #[error(
        "nobody produces `{key}` ({path}){}; add a producer, give the data, or read it with `wants`",
        left_out_note(.not_for_platform)
    )]
    MissingProducer {
        /// The data.
        key: KeyName,
        /// Who needs it.
        path: Path,
        /// The producers that there are for other platforms.
        not_for_platform: Vec<TaskName>,
    },
    /// Two tasks produce the same data, and nothing says which comes first.
    #[error(
        "both `{one}` and `{other}` produce `{key}`{}; give them different ranks or narrow one with `applies`",
        in_brackets(.path)
    )]
    DoubleProducer {
        /// The data.
        key: KeyName,
        /// A producer.
        one: TaskName,
        /// Another, neither before nor after it.
        other: TaskName,
        /// Who reads it. Empty when nobody does.
        path: Path,
    },
    /// Tasks wait for each other.
    #[error("tasks wait for each other: {path}; drop one of these dependencies")]
    Cycle {
        /// All the way round.
        path: Path,
    },
}

fn left_out_note(tasks: &[TaskName]) -> String {
    if tasks.is_empty() {
        return String::new();
    }
    let names: Vec<String> = tasks.iter().map(|task| format!("`{task}`")).collect();
    format!("; not for this platform: {}", names.join(", "))
}

fn in_brackets(path: &Path) -> String {
    if path.steps.is_empty() {
        String::new()
    } else {
        format!(" ({path})")
    }
}

/// A way through the graph, each step from who waits to what it waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Path {
    /// The steps, each starting where the one before ends.
    pub steps: Vec<Step>,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, step) in self.steps.iter().enumerate() {
            write!(f, "{}{step}", if i == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// One task that waits, and what for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The task needs another.
    Needs {
        /// Who waits.
        task: TaskName,
        /// What for.
        on: TaskName,
    },
    /// The task comes after another.
    After {
        /// Who waits.
        task: TaskName,
        /// What for.
        on: TaskName,
    },
    /// The task reads data.
    Reads {
        /// Who waits.
        task: TaskName,
        /// What for.
        key: KeyName,
        /// Who produces it, if anybody does.
        from: Option<TaskName>,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Needs { task, on } => write!(f, "{task} needs {on}"),
            Self::After { task, on } => write!(f, "{task} comes after {on}"),
            Self::Reads {
                task,
                key,
                from: Some(from),
            } => write!(f, "{task} reads `{key}` from {from}"),
            Self::Reads {
                task,
                key,
                from: None,
            } => write!(f, "{task} reads `{key}`"),
        }
    }
}
