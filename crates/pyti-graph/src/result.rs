//! The seven results a task can end with, and which of two is worse.

use std::fmt;
use std::str::FromStr;

/// How a task, or a whole graph, ended.
///
/// These are Buildbot's seven results, with Buildbot's names and numbers
/// (`master/buildbot/process/results.py`), so that stored results can be
/// exchanged with tools that know them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum TaskResult {
    /// It did what it should.
    Success,
    /// It did what it should, and there is something to look at.
    Warnings,
    /// It did not hold; the fault is in what was worked on.
    Failure,
    /// It was not run, or found that there was nothing to do.
    Skipped,
    /// It could not say; the fault is in the task or in what is around it.
    Exception,
    /// It asks to be run again.
    Retry,
    /// It was told to stop, or never started because everything was.
    Cancelled,
}

impl TaskResult {
    /// All results, in the order of their numbers.
    pub const ALL: [Self; 7] = [
        Self::Success,
        Self::Warnings,
        Self::Failure,
        Self::Skipped,
        Self::Exception,
        Self::Retry,
        Self::Cancelled,
    ];

    /// The number Buildbot stores for this result.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The name, as written in events and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Warnings => "warnings",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Exception => "exception",
            Self::Retry => "retry",
            Self::Cancelled => "cancelled",
        }
    }

    /// The worse of two results.
    ///
    /// The order is that of Buildbot's `worst_status`, from the best to the
    /// worst: skipped, success, warnings, failure, exception, retry,
    /// cancelled. A skipped task thus never hides a success, and a
    /// cancellation is never hidden by anything.
    ///
    /// ```
    /// use pyti_graph::TaskResult::{Failure, Retry, Skipped, Success};
    ///
    /// assert_eq!(Success.worst(Skipped), Success);
    /// assert_eq!(Failure.worst(Retry), Retry);
    /// ```
    #[must_use]
    pub const fn worst(self, other: Self) -> Self {
        if self.badness() < other.badness() {
            other
        } else {
            self
        }
    }

    /// Whether a task that needs this one may run: success or warnings.
    pub const fn is_good(self) -> bool {
        matches!(self, Self::Success | Self::Warnings)
    }

    /// Whether this stops the graph when the task halts on failure.
    ///
    /// A skipped task says nothing about what it would have found.
    pub const fn is_bad(self) -> bool {
        !self.is_good() && !matches!(self, Self::Skipped)
    }

    const fn badness(self) -> u8 {
        match self {
            Self::Skipped => 0,
            Self::Success => 1,
            Self::Warnings => 2,
            Self::Failure => 3,
            Self::Exception => 4,
            Self::Retry => 5,
            Self::Cancelled => 6,
        }
    }

    /// "build *failed*": the result as the end of a sentence about the task.
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Self::Success => "succeeded",
            Self::Warnings => "ended with warnings",
            Self::Failure => "failed",
            Self::Skipped => "was skipped",
            Self::Exception => "ended with an exception",
            Self::Retry => "asked to be run again",
            Self::Cancelled => "was cancelled",
        }
    }
}

impl fmt::Display for TaskResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is not the name of a result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a result; expected success, warnings, failure, skipped, exception, retry or cancelled")]
pub struct UnknownResult(String);

impl FromStr for TaskResult {
    type Err = UnknownResult;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|result| result.as_str() == name)
            .ok_or_else(|| UnknownResult(name.to_owned()))
    }
}

/// What a task says about how it ended: a result and, in words, why.
///
/// ```
/// use pyti_graph::{Outcome, TaskResult};
///
/// let outcome = Outcome::failure("no compiler").and("looked for cc and clang");
/// assert_eq!(outcome.result, TaskResult::Failure);
/// assert_eq!(outcome.to_string(), "failure: no compiler; looked for cc and clang");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Outcome {
    /// How it ended.
    pub result: TaskResult,
    /// Why, the most important reason first. May be empty.
    pub reasons: Vec<String>,
}

impl Outcome {
    /// Success, with nothing to explain.
    pub const fn success() -> Self {
        Self {
            result: TaskResult::Success,
            reasons: Vec::new(),
        }
    }

    /// Any result with one reason.
    pub fn new(result: TaskResult, reason: impl Into<String>) -> Self {
        Self {
            result,
            reasons: vec![reason.into()],
        }
    }

    /// Success, but look at this.
    pub fn warnings(reason: impl Into<String>) -> Self {
        Self::new(TaskResult::Warnings, reason)
    }

    /// What was worked on does not hold.
    pub fn failure(reason: impl Into<String>) -> Self {
        Self::new(TaskResult::Failure, reason)
    }

    /// There was nothing to do.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::new(TaskResult::Skipped, reason)
    }

    /// The task itself, or what is around it, broke.
    pub fn exception(reason: impl Into<String>) -> Self {
        Self::new(TaskResult::Exception, reason)
    }

    /// Run this again, please.
    pub fn retry(reason: impl Into<String>) -> Self {
        Self::new(TaskResult::Retry, reason)
    }

    /// The task stopped because it was told to.
    pub fn cancelled(reason: impl Into<String>) -> Self {
        Self::new(TaskResult::Cancelled, reason)
    }

    /// The same outcome with one more reason.
    #[must_use]
    pub fn and(mut self, reason: impl Into<String>) -> Self {
        self.reasons.push(reason.into());
        self
    }
}

impl From<TaskResult> for Outcome {
    fn from(result: TaskResult) -> Self {
        Self {
            result,
            reasons: Vec::new(),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.reasons.is_empty() {
            self.result.fmt(f)
        } else {
            write!(f, "{}: {}", self.result, self.reasons.join("; "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn worst_follows_buildbots_order() {
        use TaskResult::{Cancelled, Exception, Failure, Retry, Skipped, Success, Warnings};
        let best_to_worst = [Skipped, Success, Warnings, Failure, Exception, Retry, Cancelled];
        for (i, a) in best_to_worst.into_iter().enumerate() {
            for (j, b) in best_to_worst.into_iter().enumerate() {
                assert_eq!(a.worst(b), best_to_worst[i.max(j)], "{a} and {b}");
            }
        }
    }

    #[test]
    fn names_and_numbers_are_buildbots() {
        let names = [
            "success",
            "warnings",
            "failure",
            "skipped",
            "exception",
            "retry",
            "cancelled",
        ];
        for ((code, result), name) in (0..).zip(TaskResult::ALL).zip(names) {
            assert_eq!(result.code(), code);
            assert_eq!(result.as_str(), name);
            assert_eq!(name.parse(), Ok(result));
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_names_there_are() {
        let error = "ok".parse::<TaskResult>().unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("`ok` is not a result; expected success")
        );
    }
}
