//! Telling running work to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

/// Cloned into everything that runs; once stopped, it stays so.
#[derive(Clone, Default)]
pub struct Stop {
    inner: Arc<(AtomicBool, Notify)>,
}

impl Stop {
    /// Nothing is to be stopped yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Stops everything that has a clone of this.
    pub fn stop(&self) {
        self.inner.0.store(true, Ordering::Release);
        self.inner.1.notify_waiters();
    }

    /// Whether it was stopped.
    pub fn is_stopped(&self) -> bool {
        self.inner.0.load(Ordering::Acquire)
    }

    /// Waits until it is stopped.
    pub async fn stopped(&self) {
        loop {
            let waiting = self.inner.1.notified();
            if self.is_stopped() {
                return;
            }
            waiting.await;
        }
    }
}
