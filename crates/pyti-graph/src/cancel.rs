//! Telling a running graph, from any thread, to stop.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How firmly a graph is told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cancel {
    /// Start nothing but what always runs, so that it can tidy up.
    Orderly,
    /// Start nothing at all.
    AtOnce,
}

/// A switch that stops a graph; clones are the same switch.
///
/// It can only be turned further, never back.
///
/// ```
/// use pyti_graph::{Cancel, CancelToken};
///
/// let token = CancelToken::new();
/// let other = token.clone();
/// other.cancel(Cancel::Orderly);
/// assert_eq!(token.state(), Some(Cancel::Orderly));
/// ```
#[derive(Clone, Default)]
pub struct CancelToken {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    cancel: Option<Cancel>,
    listeners: Vec<(u64, Listener)>,
    next_listener: u64,
}

type Listener = Box<dyn Fn(Cancel) + Send>;

impl CancelToken {
    /// A switch that is off.
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns it on, or further on.
    pub fn cancel(&self, how: Cancel) {
        let mut state = self.lock();
        if state.cancel < Some(how) {
            state.cancel = Some(how);
            for (_, tell) in &state.listeners {
                tell(how);
            }
            self.shared.changed.notify_all();
        }
    }

    /// Whether and how firmly it is on.
    pub fn state(&self) -> Option<Cancel> {
        self.lock().cancel
    }

    /// Waits for this long, or until it is turned on at all.
    /// Says whether it was.
    pub fn wait(&self, most: Duration) -> bool {
        let until = Instant::now().checked_add(most);
        let mut state = self.lock();
        while state.cancel.is_none() {
            let left = until.map_or(most, |until| until.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return false;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Calls `tell` when it is turned on, and now if it is already,
    /// until the subscription is dropped.
    pub(crate) fn subscribe(&self, tell: impl Fn(Cancel) + Send + 'static) -> Subscription<'_> {
        let mut state = self.lock();
        if let Some(how) = state.cancel {
            tell(how);
        }
        let id = state.next_listener;
        state.next_listener += 1;
        state.listeners.push((id, Box::new(tell)));
        Subscription { token: self, id }
    }

    // Nothing that holds the lock can leave the state half changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for CancelToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CancelToken").field(&self.state()).finish()
    }
}

/// Keeps a listener on a token.
pub(crate) struct Subscription<'a> {
    token: &'a CancelToken,
    id: u64,
}

impl Drop for Subscription<'_> {
    fn drop(&mut self) {
        self.token.lock().listeners.retain(|(id, _)| *id != self.id);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn it_turns_only_further() {
        let token = CancelToken::new();
        assert_eq!(token.state(), None);
        token.cancel(Cancel::AtOnce);
        token.cancel(Cancel::Orderly);
        assert_eq!(token.state(), Some(Cancel::AtOnce));
    }

    #[test]
    fn listeners_hear_each_step_once_until_dropped() {
        let token = CancelToken::new();
        let (sender, heard) = mpsc::channel();
        let subscription = token.subscribe(move |how| sender.send(how).unwrap());
        token.cancel(Cancel::Orderly);
        token.cancel(Cancel::Orderly);
        token.cancel(Cancel::AtOnce);
        drop(subscription);
        assert_eq!(
            heard.iter().collect::<Vec<_>>(),
            [Cancel::Orderly, Cancel::AtOnce]
        );
    }

    #[test]
    fn a_late_listener_hears_what_was_said() {
        let token = CancelToken::new();
        token.cancel(Cancel::Orderly);
        let (sender, heard) = mpsc::channel();
        let _subscription = token.subscribe(move |how| sender.send(how).unwrap());
        assert_eq!(heard.try_recv(), Ok(Cancel::Orderly));
    }

    #[test]
    fn waiting_ends_with_the_time_or_the_switch() {
        let token = CancelToken::new();
        assert!(!token.wait(Duration::from_millis(1)));
        let other = token.clone();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| token.wait(Duration::MAX));
            other.cancel(Cancel::Orderly);
            assert!(waiting.join().unwrap());
        });
    }
}
