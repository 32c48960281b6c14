//! The queue's clock, which never goes back, and the calendar.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use pyti_dispatch::Monotonic;

/// Where the queue's time comes from.
#[derive(Debug, Clone, Default)]
pub enum Clock {
    /// The machine's monotonic clock.
    #[default]
    System,
    /// Only what a test says, in milliseconds.
    Manual(Arc<AtomicU64>),
}

/// A clock that goes on from a moment.
#[derive(Debug, Clone)]
pub(crate) struct Running {
    clock: Clock,
    from: u64,
    started: Instant,
}

impl Running {
    /// Goes on from the last moment that the database knows.
    pub(crate) fn from(clock: Clock, last: Monotonic) -> Self {
        Self {
            clock,
            from: last.0,
            started: Instant::now(),
        }
    }

    pub(crate) fn now(&self) -> Monotonic {
        Monotonic(match &self.clock {
            Clock::System => {
                let passed = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
                self.from.saturating_add(passed)
            }
            Clock::Manual(ms) => ms.load(Ordering::SeqCst),
        })
    }
}

/// Milliseconds since 1970 by the machine's calendar; for people and for ages of days, never for leases.
pub(crate) fn calendar_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
