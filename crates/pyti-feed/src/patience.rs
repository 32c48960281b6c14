//! How long an event waits for a page that is as new as itself.

use std::time::Duration;

/// What to do with an event whose project's page could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Ask again after this time.
    Again(Duration),
    /// It is no use.
    GiveUp,
}

/// Tries of one event. Pages of an index are some seconds to a minute behind its changelog; the last try is half an hour later.
const TRIES: u32 = 12;

/// The next step after `tries` tries that came to nothing: 2 s, doubled each time, five minutes at most.
pub fn after(tries: u32) -> Next {
    if tries >= TRIES {
        return Next::GiveUp;
    }
    let seconds = 2u64.checked_shl(tries).unwrap_or(u64::MAX).min(300);
    Next::Again(Duration::from_secs(seconds))
}

/// The time between two questions: `base`, doubled for each failure in a row, five minutes at most.
pub fn between(base: Duration, failures: u32) -> Duration {
    base.saturating_mul(1 << failures.min(16))
        .min(Duration::from_mins(5))
        .max(base)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_and_ends() {
        assert_eq!(after(0), Next::Again(Duration::from_secs(2)));
        assert_eq!(after(3), Next::Again(Duration::from_secs(16)));
        assert_eq!(after(11), Next::Again(Duration::from_mins(5)));
        assert_eq!(after(12), Next::GiveUp);
        let all: u64 = (0..TRIES)
            .map(|tries| match after(tries) {
                Next::Again(time) => time.as_secs(),
                Next::GiveUp => 0,
            })
            .sum();
        assert!((900..3600).contains(&all), "{all}");
    }

    #[test]
    fn questions_get_rarer_while_nothing_answers() {
        let base = Duration::from_secs(15);
        assert_eq!(between(base, 0), base);
        assert_eq!(between(base, 2), Duration::from_mins(1));
        assert_eq!(between(base, 99), Duration::from_mins(5));
        assert_eq!(between(Duration::from_mins(20), 3), Duration::from_mins(20));
    }
}
