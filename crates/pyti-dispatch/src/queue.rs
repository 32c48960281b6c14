//! The queue in memory: for tests, and as the shortest telling of what a ledger is.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use pyti_model::Digest;

use crate::decide::decide;
use crate::id::{JobId, Lease, Monotonic, WorkerId};
use crate::job::{Job, JobKey, State};
use crate::ledger::{Ledger, Timers, Want};
use crate::message::{Change, Decision, Message};
use crate::policy::Policy;
use crate::worker::Worker;

type Claims = BTreeMap<(WorkerId, u64, u64), Vec<(JobId, Lease)>>;

/// Jobs, workers and alarms in memory.
#[derive(Debug, Clone, Default)]
pub struct Queue {
    policy: Policy,
    jobs: BTreeMap<JobId, Job>,
    keys: BTreeMap<JobKey, JobId>,
    leases: BTreeMap<Lease, JobId>,
    queued: BTreeSet<(u64, JobId)>,
    workers: BTreeMap<WorkerId, Worker>,
    claims: Claims,
    base: Monotonic,
    timers: Timers,
}

impl Queue {
    /// An empty one.
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            ..Self::default()
        }
    }

    /// Decides a message and writes what was decided.
    pub fn step(&mut self, now: Monotonic, message: Message) -> Decision {
        let Ok(decision) = decide(self, &self.policy, now, message);
        self.apply(&decision.changes);
        decision
    }

    /// Writes changes.
    pub fn apply(&mut self, changes: &[Change]) {
        for change in changes {
            match change {
                Change::Job(job) => self.put(job),
                Change::Worker(worker) => {
                    self.workers.insert(worker.id.clone(), (**worker).clone());
                }
                Change::Claimed {
                    worker,
                    boot,
                    request,
                    grants,
                } => {
                    self.claims
                        .insert((worker.clone(), *boot, *request), grants.clone());
                }
                Change::ForgetClaims { worker, before } => {
                    self.claims
                        .retain(|(w, boot, request), _| w != worker || (*boot, *request) >= *before);
                }
                Change::Base(base) => self.base = *base,
                Change::Arm(timer, at) => self.timers.arm(timer.clone(), *at),
                Change::Disarm(timer) => self.timers.disarm(timer),
            }
        }
    }

    fn put(&mut self, job: &Job) {
        if let Some(old) = self.jobs.get(&job.id) {
            self.queued.remove(&(old.order_key, old.id));
            if let Some(holder) = &old.holder {
                self.leases.remove(&holder.lease);
            }
        }
        if job.state == State::Queued {
            self.queued.insert((job.order_key, job.id));
        }
        if let Some(holder) = &job.holder {
            self.leases.insert(holder.lease, job.id);
        }
        self.keys.insert(job.key.clone(), job.id);
        self.jobs.insert(job.id, job.clone());
    }

    /// Sets every alarm anew, as after a start at `now` (L4).
    pub fn restart(&mut self, now: Monotonic) {
        let jobs = self.jobs.values().map(|job| (job.id, job.state));
        let workers = self.workers.values().map(|w| (&w.id, w.standing));
        self.timers = Timers::at_start(now, &self.policy, jobs, workers);
    }

    /// All jobs, by number.
    pub fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.jobs.values()
    }

    /// All workers, by name.
    pub fn workers(&self) -> impl Iterator<Item = &Worker> {
        self.workers.values()
    }

    /// The numbers that it goes by.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }
}

impl Ledger for Queue {
    type Error = Infallible;

    fn job(&self, id: JobId) -> Result<Option<Job>, Infallible> {
        Ok(self.jobs.get(&id).cloned())
    }

    fn by_key(&self, key: &JobKey) -> Result<Option<Job>, Infallible> {
        Ok(self.keys.get(key).and_then(|id| self.jobs.get(id)).cloned())
    }

    fn newest_generation(&self, file: &Digest, spec: &Digest) -> Result<Option<Job>, Infallible> {
        let key = |generation| JobKey {
            file: file.clone(),
            spec: spec.clone(),
            generation,
        };
        let newest = self.keys.range(key(0)..=key(u32::MAX)).next_back();
        Ok(newest.and_then(|(_, id)| self.jobs.get(id)).cloned())
    }

    fn by_lease(&self, lease: Lease) -> Result<Option<Job>, Infallible> {
        Ok(self.leases.get(&lease).and_then(|id| self.jobs.get(id)).cloned())
    }

    fn held(&self, worker: &WorkerId) -> Result<Vec<Job>, Infallible> {
        let of_it = |job: &&Job| {
            !job.state.ended() && job.holder.as_ref().is_some_and(|holder| holder.worker == *worker)
        };
        Ok(self.jobs.values().filter(of_it).cloned().collect())
    }

    fn next(&self, want: &Want<'_>) -> Result<Option<Job>, Infallible> {
        let mut queued = self.queued.iter().filter_map(|(_, id)| self.jobs.get(id));
        Ok(queued.find(|job| want.takes(job)).cloned())
    }

    fn worker(&self, id: &WorkerId) -> Result<Option<Worker>, Infallible> {
        Ok(self.workers.get(id).cloned())
    }

    fn claimed(
        &self,
        worker: &WorkerId,
        boot: u64,
        request: u64,
    ) -> Result<Option<Vec<(JobId, Lease)>>, Infallible> {
        Ok(self.claims.get(&(worker.clone(), boot, request)).cloned())
    }

    fn came_since(&self, project: &str, since: Monotonic) -> Result<u32, Infallible> {
        let count = self
            .jobs
            .values()
            .rev()
            .take_while(|job| job.entered >= since)
            .filter(|job| job.project == project)
            .count();
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    fn unused_id(&self) -> Result<JobId, Infallible> {
        Ok(JobId(self.jobs.last_key_value().map_or(1, |(id, _)| id.0 + 1)))
    }

    fn base(&self) -> Result<Monotonic, Infallible> {
        Ok(self.base)
    }

    fn timers(&self) -> &Timers {
        &self.timers
    }
}
