//! Whether a task gets another attempt, and how long to wait for it.

use std::time::Duration;

use crate::result::TaskResult;

/// How long to wait before the next attempt.
///
/// ```
/// use std::time::Duration;
/// use pyti_graph::Backoff;
///
/// let backoff = Backoff { first: Duration::from_secs(1), factor: 2, most: Duration::from_secs(5) };
/// let waits: Vec<u64> = (1..=4).map(|attempt| backoff.after(attempt).as_secs()).collect();
/// assert_eq!(waits, [1, 2, 4, 5]);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Backoff {
    /// The wait after the first attempt.
    pub first: Duration,
    /// By how much each further wait is longer; 1 keeps it.
    pub factor: u32,
    /// No wait is longer than this.
    pub most: Duration,
}

impl Backoff {
    /// No wait at all.
    pub const NONE: Self = Self {
        first: Duration::ZERO,
        factor: 1,
        most: Duration::ZERO,
    };

    /// The same wait each time.
    pub const fn every(wait: Duration) -> Self {
        Self {
            first: wait,
            factor: 1,
            most: wait,
        }
    }

    /// The wait after the given attempt, counted from 1.
    pub fn after(&self, attempt: u32) -> Duration {
        let factor = self.factor.saturating_pow(attempt.saturating_sub(1));
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// When a task is run again by itself.
///
/// The default is one attempt: a task that ends with
/// [`TaskResult::Retry`] then ends the graph with that result, which asks
/// whoever started the graph to start it again.
///
/// ```
/// use pyti_graph::{RetryPolicy, TaskResult};
///
/// let thrice = RetryPolicy::attempts(3).on([TaskResult::Retry, TaskResult::Exception]);
/// assert!(thrice.again(2, TaskResult::Exception));
/// assert!(!thrice.again(3, TaskResult::Exception));
/// assert!(!thrice.again(1, TaskResult::Failure));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct RetryPolicy {
    most: u32,
    on: Vec<TaskResult>,
    backoff: Backoff,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self::attempts(1)
    }
}

impl RetryPolicy {
    /// At most this many attempts (at least one), when the task asks for it
    /// by [`TaskResult::Retry`], without a wait.
    pub fn attempts(most: u32) -> Self {
        Self {
            most: most.max(1),
            on: vec![TaskResult::Retry],
            backoff: Backoff::NONE,
        }
    }

    /// Which results are worth another attempt, instead of `Retry` alone.
    #[must_use]
    pub fn on(mut self, results: impl IntoIterator<Item = TaskResult>) -> Self {
        self.on = results.into_iter().collect();
        self
    }

    /// How long to wait between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Whether another attempt follows when this one, counted from 1, ended so.
    pub fn again(&self, attempt: u32, result: TaskResult) -> bool {
        attempt < self.most && self.on.contains(&result)
    }

    /// How long to wait after this attempt, counted from 1.
    pub fn wait_after(&self, attempt: u32) -> Duration {
        self.backoff.after(attempt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_never_overflow() {
        let backoff = Backoff {
            first: Duration::MAX,
            factor: u32::MAX,
            most: Duration::from_secs(9),
        };
        assert_eq!(backoff.after(u32::MAX), Duration::from_secs(9));
    }

    #[test]
    fn zero_attempts_mean_one() {
        assert_eq!(RetryPolicy::attempts(0), RetryPolicy::default());
        assert!(!RetryPolicy::default().again(1, TaskResult::Retry));
    }
}
