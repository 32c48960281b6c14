//! The stream of events: numbered and stamped here, kept and shown by the worker.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use pyti_box::protocol::Happened;
use pyti_box::rpc::Peer;
use pyti_model::event::{Envelope, Event};

/// Numbers and stamps events and sends them.
pub(crate) struct Events {
    peer: Arc<Peer>,
    began: Instant,
    began_us: u64,
    next: Mutex<u64>,
}

impl Events {
    /// The next event gets number `first`; the clock of the recording shows `began_us` now.
    pub(crate) fn new(peer: Arc<Peer>, first: u64, began_us: u64) -> Self {
        Self {
            peer,
            began: Instant::now(),
            began_us,
            next: Mutex::new(first),
        }
    }

    /// Sends one event. When the channel is broken there is nobody to tell; the worker records that loss itself.
    pub(crate) fn send(&self, event: Event) {
        // the lock is held while sending, so that numbers arrive in order
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let at_us = self.began_us + u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX / 2);
        let envelope = Envelope {
            seq: *next,
            at_us,
            event,
        };
        if self.peer.notify::<Happened>(&envelope).is_ok() {
            *next += 1;
        }
    }

    /// Number of the next event.
    pub(crate) fn next(&self) -> u64 {
        *self.next.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
