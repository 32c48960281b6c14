//! What the queue must be able to look up, and the alarms that it keeps besides.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::Digest;

use crate::id::{JobId, Lease, Monotonic, WorkerId};
use crate::job::{Job, JobKey, Offers, State, Wait};
use crate::policy::Policy;
use crate::worker::{Standing, Worker};

/// Which job a worker may have next.
#[derive(Debug, Clone, Copy)]
pub struct Want<'a> {
    /// What the worker has; `None`: everything fits.
    pub offers: Option<&'a Offers>,
    /// `Some(true)`: only jobs that must run alone; `Some(false)`: none of those.
    pub alone: Option<bool>,
    /// From so many losses on a job must run alone.
    pub alone_from: u8,
    /// Not these.
    pub skip: &'a [JobId],
}

impl Want<'_> {
    /// Whether a queued job is wanted.
    pub fn takes(&self, job: &Job) -> bool {
        job.state == State::Queued
            && self.offers.is_none_or(|offers| offers.fit(&job.needs))
            && self
                .alone
                .is_none_or(|alone| alone == (job.lost >= self.alone_from))
            && !self.skip.contains(&job.id)
    }
}

/// What was written so far. A decision reads it and says what to write; it never writes.
pub trait Ledger {
    /// Why something could not be read.
    type Error;

    /// A job.
    fn job(&self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// The job of a key.
    fn by_key(&self, key: &JobKey) -> Result<Option<Job>, Self::Error>;
    /// The job of the highest generation.
    fn newest_generation(&self, file: &Digest, spec: &Digest) -> Result<Option<Job>, Self::Error>;
    /// The job whose newest lease that is.
    fn by_lease(&self, lease: Lease) -> Result<Option<Job>, Self::Error>;
    /// Jobs that have not ended and whose newest lease is this worker's.
    fn held(&self, worker: &WorkerId) -> Result<Vec<Job>, Self::Error>;
    /// The queued job with the smallest `(order_key, id)` that is wanted.
    fn next(&self, want: &Want<'_>) -> Result<Option<Job>, Self::Error>;
    /// A worker.
    fn worker(&self, id: &WorkerId) -> Result<Option<Worker>, Self::Error>;
    /// What a request got, if it is known.
    fn claimed(
        &self,
        worker: &WorkerId,
        boot: u64,
        request: u64,
    ) -> Result<Option<Vec<(JobId, Lease)>>, Self::Error>;
    /// How many jobs of a project came at `since` or later; may stop counting at 256.
    fn came_since(&self, project: &str, since: Monotonic) -> Result<u32, Self::Error>;
    /// A number that no job has.
    fn unused_id(&self) -> Result<JobId, Self::Error>;
    /// The newest moment that a place was counted from.
    fn base(&self) -> Result<Monotonic, Self::Error>;
    /// The alarms.
    fn timers(&self) -> &Timers;
}

/// What an alarm is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Timer {
    /// The lease of a job expires.
    Lease(JobId),
    /// A job has waited long enough.
    BackOff(JobId),
    /// A worker's quarantine is over.
    Quarantine(WorkerId),
}

/// Alarms by moment. They are never written down: a start sets each anew with its full time (L4), so that an outage of the
/// controller costs nobody a lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timers {
    at: BTreeMap<Timer, Monotonic>,
    order: BTreeSet<(Monotonic, Timer)>,
}

impl Timers {
    /// The alarms of a ledger that starts at `now`.
    pub fn at_start<'a>(
        now: Monotonic,
        policy: &Policy,
        jobs: impl IntoIterator<Item = (JobId, State)>,
        workers: impl IntoIterator<Item = (&'a WorkerId, Standing)>,
    ) -> Self {
        let mut timers = Self::default();
        for (id, state) in jobs {
            match state {
                State::Leased => timers.arm(Timer::Lease(id), now.after(policy.lease_ms)),
                State::Waiting(Wait::BackOff(ms)) => timers.arm(Timer::BackOff(id), now.after(ms)),
                _ => {}
            }
        }
        for (id, standing) in workers {
            if let Standing::Quarantined(ms) = standing {
                timers.arm(Timer::Quarantine(id.clone()), now.after(ms));
            }
        }
        timers
    }

    /// Sets an alarm, instead of an earlier one for the same.
    pub fn arm(&mut self, timer: Timer, at: Monotonic) {
        if let Some(before) = self.at.insert(timer.clone(), at) {
            self.order.remove(&(before, timer.clone()));
        }
        self.order.insert((at, timer));
    }

    /// Takes an alarm away.
    pub fn disarm(&mut self, timer: &Timer) {
        if let Some(before) = self.at.remove(timer) {
            self.order.remove(&(before, timer.clone()));
        }
    }

    /// What is due, oldest first.
    pub fn due(&self, now: Monotonic, most: usize) -> Vec<Timer> {
        self.order
            .iter()
            .take_while(|(at, _)| *at <= now)
            .take(most)
            .map(|(_, timer)| timer.clone())
            .collect()
    }

    /// When the next one is due.
    pub fn next(&self) -> Option<Monotonic> {
        self.order.first().map(|(at, _)| *at)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.at.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_alarm_set_anew_rings_once() {
        let mut timers = Timers::default();
        timers.arm(Timer::Lease(JobId(1)), Monotonic(10));
        timers.arm(Timer::Lease(JobId(1)), Monotonic(30));
        timers.arm(Timer::BackOff(JobId(2)), Monotonic(20));
        assert_eq!(timers.due(Monotonic(19), 9), []);
        assert_eq!(timers.due(Monotonic(20), 9), [Timer::BackOff(JobId(2))]);
        assert_eq!(timers.due(Monotonic(99), 1), [Timer::BackOff(JobId(2))]);
        timers.disarm(&Timer::BackOff(JobId(2)));
        assert_eq!((timers.next(), timers.len()), (Some(Monotonic(30)), 1));
        timers.disarm(&Timer::Lease(JobId(1)));
        assert!(timers.is_empty() && timers.next().is_none());
    }
}
