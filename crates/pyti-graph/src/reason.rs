//! Why a task was skipped, back to the first cause.

use std::fmt;

use crate::name::{KeyName, TaskName};
use crate::result::TaskResult;

/// Why a task was skipped. Reads as the end of "skipped because ...".
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(tag = "why", rename_all = "snake_case"))]
pub enum SkipReason {
    /// It is not for this platform.
    NotForPlatform,
    /// All it produces comes from elsewhere.
    Superseded {
        /// One of the things it would have produced.
        key: KeyName,
        /// The task that comes first, or `None` when the data was given.
        by: Option<TaskName>,
    },
    /// Something it needs did not end well.
    Needed {
        /// From the task that it needs to the first cause.
        chain: Vec<Link>,
        /// Other tasks that it needs and that did not end well.
        also: Vec<TaskName>,
        /// Why the first cause was itself skipped, if it was.
        origin: Option<Box<SkipReason>>,
    },
    /// A task that halts on failure ended badly.
    Halted {
        /// The task that halts.
        by: TaskName,
    },
    /// Its condition did not hold, or it found nothing to do.
    Said {
        /// Its own words.
        text: String,
    },
}

/// One task in the chain of reasons, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Link {
    /// The task.
    pub task: TaskName,
    /// How it ended.
    pub result: TaskResult,
}

impl SkipReason {
    /// The reason for a task that needs `cause` (and `also` others).
    pub(crate) fn needed(cause: Link, its_reason: Option<&Self>, also: Vec<TaskName>) -> Self {
        let mut chain = vec![cause];
        let origin = match its_reason {
            Some(Self::Needed {
                chain: rest, origin, ..
            }) => {
                chain.extend(rest.iter().cloned());
                origin.clone()
            }
            own => own.cloned().map(Box::new),
        };
        Self::Needed { chain, also, origin }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotForPlatform => f.write_str("it is not for this platform"),
            Self::Superseded { key, by: Some(task) } => write!(f, "`{key}` comes from {task} first"),
            Self::Superseded { key, by: None } => write!(f, "`{key}` was given"),
            Self::Needed { chain, also, origin } => {
                for (i, link) in chain.iter().enumerate() {
                    let because = if i == 0 { "" } else { " because " };
                    write!(f, "{because}{} {}", link.task, link.result.verb())?;
                }
                if let Some(origin) = origin {
                    write!(f, " because {origin}")?;
                }
                for (i, task) in also.iter().enumerate() {
                    write!(f, "{}{task}", if i == 0 { "; it also lacks " } else { ", " })?;
                }
                Ok(())
            }
            Self::Halted { by } => write!(f, "{by} ended badly and halts the graph"),
            Self::Said { text } => f.write_str(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(task: &str, result: TaskResult) -> Link {
        Link {
            task: task.into(),
            result,
        }
    }

    #[test]
    fn a_chain_reads_as_a_sentence() {
        let install = SkipReason::needed(link("build", TaskResult::Failure), None, vec![]);
        let import = SkipReason::needed(
            link("install", TaskResult::Skipped),
            Some(&install),
            vec!["lint".into()],
        );
        assert_eq!(install.to_string(), "build failed");
        assert_eq!(
            import.to_string(),
            "install was skipped because build failed; it also lacks lint"
        );
    }

    #[test]
    fn a_chain_ends_with_what_the_first_cause_says() {
        let said = SkipReason::Said {
            text: "docs were not asked for".into(),
        };
        let check = SkipReason::needed(link("docs", TaskResult::Skipped), Some(&said), vec![]);
        let report = SkipReason::needed(link("check", TaskResult::Skipped), Some(&check), vec![]);
        assert_eq!(
            report.to_string(),
            "check was skipped because docs was skipped because docs were not asked for"
        );
    }
}
