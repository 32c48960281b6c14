//! How often somebody may call.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Most callers that are remembered; beyond, who has been quiet is forgotten, and then all.
const CALLERS: usize = 8192;

/// Calls a second, and how many may come at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) each_second: f64,
    pub(crate) at_once: f64,
}

/// Of those who have not said who they are.
pub(crate) const STRANGER: Rate = Rate {
    each_second: 10.0,
    at_once: 50.0,
};
/// Of workers and of holders of tokens.
pub(crate) const KNOWN: Rate = Rate {
    each_second: 200.0,
    at_once: 1000.0,
};

#[derive(Debug, Clone, Copy)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// What everybody has left.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<HashMap<String, Bucket>>);

impl Rates {
    /// Takes one call; if there is none, how long to wait.
    pub(crate) fn take(&self, caller: &str, rate: Rate, now: Instant) -> Result<(), Duration> {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= CALLERS && !buckets.contains_key(caller) {
            buckets.retain(|_, bucket| now.duration_since(bucket.at) < Duration::from_secs(10));
            if buckets.len() >= CALLERS {
                buckets.clear();
            }
        }
        let bucket = buckets.entry(caller.to_owned()).or_insert(Bucket {
            left: rate.at_once,
            at: now,
        });
        let passed = now.saturating_duration_since(bucket.at).as_secs_f64();
        bucket.left = (bucket.left + passed * rate.each_second).min(rate.at_once);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.left) / rate.each_second));
        }
        bucket.left -= 1.0;
        Ok(())
    }

    /// Forgets who has been quiet for long.
    pub(crate) fn sweep(&self, now: Instant) {
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        buckets.retain(|_, bucket| now.saturating_duration_since(bucket.at) < Duration::from_mins(10));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_caller_has_its_own_and_gets_it_back_with_time() {
        let rates = Rates::default();
        let rate = Rate {
            each_second: 2.0,
            at_once: 3.0,
        };
        let now = Instant::now();
        for _ in 0..3 {
            assert!(rates.take("a", rate, now).is_ok());
        }
        let wait = rates.take("a", rate, now).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500));
        assert!(rates.take("b", rate, now).is_ok());
        assert!(rates.take("a", rate, now + wait).is_ok());
        assert!(rates.take("a", rate, now + wait).is_err());
    }

    #[test]
    fn a_crowd_of_callers_does_not_fill_the_memory() {
        let rates = Rates::default();
        let now = Instant::now();
        for n in 0..3 * CALLERS {
            assert!(rates.take(&n.to_string(), STRANGER, now).is_ok());
        }
        assert!(rates.0.lock().unwrap().len() <= CALLERS);
    }
}
