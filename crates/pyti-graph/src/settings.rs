//! What a task's result does to the graph, and what the graph may do to it.

use crate::result::TaskResult;

/// What a failure, or warnings, of a task make of the whole graph's result.
///
/// Buildbot says the same with two flags per result (`flunkOnFailure` and
/// `warnOnFailure`, `flunkOnWarnings` and `warnOnWarnings`). Of the four
/// combinations two mean the same, because flunking wins; three are left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Effect {
    /// The graph goes on as if the task had succeeded.
    #[default]
    Ignore,
    /// The graph ends with warnings at best.
    Warn,
    /// The graph fails.
    Flunk,
}

impl Effect {
    /// The effect two of Buildbot's flags stand for.
    ///
    /// ```
    /// use pyti_graph::Effect;
    ///
    /// let flunk_on_failure = false;
    /// let warn_on_failure = true;
    /// assert_eq!(Effect::from_flags(flunk_on_failure, warn_on_failure), Effect::Warn);
    /// ```
    pub const fn from_flags(flunk: bool, warn: bool) -> Self {
        match (flunk, warn) {
            (true, _) => Self::Flunk,
            (false, true) => Self::Warn,
            (false, false) => Self::Ignore,
        }
    }

    const fn as_result(self) -> TaskResult {
        match self {
            Self::Ignore => TaskResult::Success,
            Self::Warn => TaskResult::Warnings,
            Self::Flunk => TaskResult::Failure,
        }
    }
}

/// The failure settings of one task.
///
/// The default is Buildbot's: a failure flunks the graph, warnings leave no
/// mark, nothing halts, and the task does not run in spite of failures.
///
/// ```
/// use pyti_graph::{Effect, FailurePolicy, TaskResult};
///
/// let lenient = FailurePolicy { on_failure: Effect::Warn, ..FailurePolicy::default() };
/// assert_eq!(lenient.weigh(TaskResult::Failure), TaskResult::Warnings);
/// assert_eq!(lenient.weigh(TaskResult::Exception), TaskResult::Exception);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FailurePolicy {
    /// What a failure makes of the graph (`flunkOnFailure`, `warnOnFailure`).
    pub on_failure: Effect,
    /// What warnings make of the graph (`flunkOnWarnings`, `warnOnWarnings`).
    pub on_warnings: Effect,
    /// Whether a bad end starts nothing more (`haltOnFailure`).
    pub halt_on_failure: bool,
    /// Whether this runs whatever happened before (`alwaysRun`).
    pub always_run: bool,
}

impl Default for FailurePolicy {
    fn default() -> Self {
        Self {
            on_failure: Effect::Flunk,
            on_warnings: Effect::Ignore,
            halt_on_failure: false,
            always_run: false,
        }
    }
}

impl FailurePolicy {
    /// What the task's result counts as in the result of the graph.
    ///
    /// Only a failure and warnings are negotiable: an exception, a retry or
    /// a cancellation says that the question was not answered, and no
    /// setting turns that into an answer. (`computeResultAndTermination` in
    /// `master/buildbot/process/results.py` does the same.)
    pub const fn weigh(&self, result: TaskResult) -> TaskResult {
        match result {
            TaskResult::Failure => self.on_failure.as_result(),
            TaskResult::Warnings => self.on_warnings.as_result(),
            other => other,
        }
    }

    /// Whether this result means that nothing more is started.
    pub const fn halts(&self, result: TaskResult) -> bool {
        self.halt_on_failure && result.is_bad()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buildbot's code, flag by flag, to compare with.
    fn buildbot(result: TaskResult, flunk: bool, warn: bool) -> TaskResult {
        let mut possible = result;
        if result.is_bad() || result == TaskResult::Warnings {
            possible = TaskResult::Success;
            if warn {
                possible = TaskResult::Warnings;
            }
            if flunk {
                possible = TaskResult::Failure;
            }
        }
        possible
    }

    #[test]
    fn weigh_agrees_with_buildbot_for_all_flags() {
        for flunk in [false, true] {
            for warn in [false, true] {
                let effect = Effect::from_flags(flunk, warn);
                let policy = FailurePolicy {
                    on_failure: effect,
                    on_warnings: effect,
                    ..FailurePolicy::default()
                };
                for result in [TaskResult::Failure, TaskResult::Warnings] {
                    assert_eq!(policy.weigh(result), buildbot(result, flunk, warn));
                }
            }
        }
    }

    #[test]
    fn nothing_softens_what_is_not_an_answer() {
        let policy = FailurePolicy {
            on_failure: Effect::Ignore,
            ..FailurePolicy::default()
        };
        for result in [
            TaskResult::Exception,
            TaskResult::Retry,
            TaskResult::Cancelled,
            TaskResult::Skipped,
        ] {
            assert_eq!(policy.weigh(result), result);
        }
    }

    #[test]
    fn only_a_bad_end_halts() {
        let policy = FailurePolicy {
            halt_on_failure: true,
            ..FailurePolicy::default()
        };
        let halting = TaskResult::ALL.map(|result| policy.halts(result));
        assert_eq!(halting, [false, false, true, false, true, true, true]);
        assert!(!FailurePolicy::default().halts(TaskResult::Failure));
    }
}
