//! How long to wait before something is tried again.

use std::time::Duration;

/// The first wait.
const FIRST: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Waits that double, up to half a minute, each of random length between a half of it and the whole: workers that lost the
/// same controller do not come back in the same moment.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    tries: u32,
}

impl Backoff {
    /// The next wait. `dice` is random. Who answers may have said how long to wait at least.
    pub fn next(&mut self, dice: u64, at_least: Option<Duration>) -> Duration {
        let whole = FIRST
            .saturating_mul(1_u32.checked_shl(self.tries.min(16)).unwrap_or(u32::MAX))
            .min(LONGEST);
        self.tries = self.tries.saturating_add(1);
        let half = whole / 2;
        let span = u64::try_from(half.as_millis()).unwrap_or(1).max(1);
        let wait = half + Duration::from_millis(dice % (span + 1));
        // who is told to wait does not wait for hours, whatever the other says
        wait.max(at_least.unwrap_or_default().min(Duration::from_mins(10)))
    }

    /// It worked: the next wait is the first again.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

/// Something random, from the kernel.
pub fn dice() -> u64 {
    let mut bytes = [0; 8];
    let random = ring::rand::SystemRandom::new();
    // without randomness all wait equally long, which is no harm
    let _ = ring::rand::SecureRandom::fill(&random, &mut bytes);
    u64::from_le_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_an_end_and_begin_again() {
        let mut backoff = Backoff::default();
        let mut whole = FIRST;
        for _ in 0..40 {
            for dice in [0, u64::MAX, 12_345] {
                let wait = backoff.clone().next(dice, None);
                assert!(wait >= whole / 2 && wait <= whole, "{wait:?} of {whole:?}");
            }
            backoff.next(0, None);
            whole = (whole * 2).min(LONGEST);
        }
        backoff.reset();
        assert!(backoff.next(u64::MAX, None) <= FIRST);
    }

    #[test]
    fn who_answers_may_ask_for_more_but_not_for_ever() {
        let long = Duration::from_mins(2);
        assert_eq!(Backoff::default().next(0, Some(long)), long);
        assert_eq!(
            Backoff::default().next(0, Some(Duration::from_hours(99))),
            Duration::from_mins(10)
        );
    }
}
