//! What must never happen, told without looking into the queue: from what was asked, written and answered.

use std::collections::{BTreeMap, BTreeSet};

use pyti_dispatch::{
    Answer, Change, Decision, Holder, HowReleased, Job, JobId, JobKey, Lease, LeaseAnswer, Mark, Order,
    Policy, Queue, State, WorkerId,
};
use pyti_model::outcome::Blame;

use crate::worker::Worker;
use crate::world::{Call, worker_id};

/// Works that may still fail at a worker after its quarantine began, and one.
const IN_FLIGHT: u32 = 3;

/// What is known of a worker's right to get jobs.
#[derive(Default, Clone, Copy)]
struct Stand {
    boot: u64,
    idle: bool,
    revoked: bool,
    /// Failures by our fault in a row, and the moment of the last.
    faults: (u32, u64),
}

pub(crate) struct Checks {
    pub(crate) bad: Vec<String>,
    policy: Policy,
    /// Jobs as last committed.
    jobs: BTreeMap<JobId, Job>,
    keys: BTreeMap<JobKey, JobId>,
    /// The place that each job should have.
    places: BTreeMap<JobId, u64>,
    came: Vec<(String, u64)>,
    /// Since when each lease has its full time.
    armed: BTreeMap<JobId, u64>,
    /// When each job last failed by our fault.
    faulted: BTreeMap<JobId, u64>,
    stands: BTreeMap<WorkerId, Stand>,
    answered: BTreeMap<(usize, u64, u64), BTreeSet<Lease>>,
    /// The newest lease of each job, until it is given back or taken away, and whose it is.
    newest: BTreeMap<JobId, (Lease, WorkerId)>,
    /// Completions that were written.
    completed: BTreeSet<Lease>,
    /// Submissions that were acknowledged.
    pub(crate) acknowledged: BTreeSet<JobId>,
    /// Completions that were acknowledged.
    pub(crate) delivered: BTreeSet<Lease>,
    /// Works that ran to their end and were not our fault.
    pub(crate) executions: BTreeMap<JobId, u32>,
}

impl Checks {
    pub(crate) fn new(policy: Policy) -> Self {
        Self {
            bad: Vec::new(),
            policy,
            jobs: BTreeMap::new(),
            keys: BTreeMap::new(),
            places: BTreeMap::new(),
            came: Vec::new(),
            armed: BTreeMap::new(),
            faulted: BTreeMap::new(),
            stands: BTreeMap::new(),
            answered: BTreeMap::new(),
            newest: BTreeMap::new(),
            completed: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            delivered: BTreeSet::new(),
            executions: BTreeMap::new(),
        }
    }

    pub(crate) fn fail(&mut self, what: String) {
        self.bad.push(what);
    }

    pub(crate) fn faults(&self, job: JobId) -> u8 {
        self.jobs.get(&job).map_or(0, |j| j.faults)
    }

    pub(crate) fn controller_started(&mut self, now: u64) {
        for since in self.armed.values_mut() {
            *since = now;
        }
    }

    /// A decision became durable.
    pub(crate) fn committed(&mut self, at: u64, call: &Call, decision: &Decision, workers: &[Worker]) {
        self.lease_answers(call, decision);
        for change in &decision.changes {
            if let Change::Job(job) = change {
                self.job_changed(at, call, job, workers);
            }
        }
        self.afterwards(at, call, decision);
    }

    /// The holder of the newest lease of an open job, who may write: nothing may be refused to it.
    fn holder(&self, worker: usize, lease: Lease) -> Option<(&Job, &Holder)> {
        let holds = |job: &&Job| {
            job.holder
                .as_ref()
                .is_some_and(|h| h.lease == lease && h.worker == worker_id(worker))
        };
        let job = self.jobs.values().find(holds)?;
        Some((job, job.holder.as_ref()?))
    }

    /// Whether nobody but this worker was given the job of a lease since, and the job is open.
    fn unrivalled(&self, worker: usize, lease: Lease) -> bool {
        self.newest.iter().any(|(id, (newest, who))| {
            *newest == lease && *who == worker_id(worker) && !self.jobs[id].state.ended()
        })
    }

    fn revoked(&self, worker: usize) -> bool {
        self.stands.get(&worker_id(worker)).is_some_and(|s| s.revoked)
    }

    fn lease_answers(&mut self, call: &Call, decision: &Decision) {
        match (call, &decision.answer) {
            (
                Call::Complete {
                    worker, lease, blame, ..
                },
                answer,
            ) => {
                let held = self.holder(*worker, *lease).map(|(j, h)| (j.state, h.mark));
                let taken = *answer == Answer::Lease(LeaseAnswer::Ok);
                let may = !self.revoked(*worker);
                let mine = self.unrivalled(*worker, *lease);
                match held {
                    None if mine && may => {
                        self.fail(format!("{lease:?}: finished work thrown away: {answer:?}"));
                    }
                    None if taken => {
                        self.fail(format!("{lease:?}: a result was taken from who does not hold it"));
                    }
                    Some(_) if taken && !may => self.fail(format!("{lease:?}: taken from a revoked worker")),
                    Some((state, Mark::Live)) if taken && state.ended() => {
                        self.fail(format!("{lease:?}: taken for a job that ended before: {state}"));
                    }
                    Some((state, Mark::Live)) if !state.ended() && may => match answer {
                        Answer::Lease(LeaseAnswer::Ok) | Answer::Missing(_) => {}
                        other => self.fail(format!("{lease:?}: finished work thrown away: {other:?}")),
                    },
                    Some((_, Mark::Completed)) if may && !taken => {
                        self.fail(format!("{lease:?}: another answer when asked again: {answer:?}"));
                    }
                    _ => {}
                }
                let done = decision
                    .changes
                    .iter()
                    .any(|c| matches!(c, Change::Job(j) if j.state == State::Done));
                if taken && matches!(held, Some((_, Mark::Live))) && *blame != Some(Blame::Us) && !done {
                    self.fail(format!("{lease:?}: tried again, though it is not our fault"));
                }
            }
            (Call::Renew { worker, .. }, Answer::Renewed(answers)) => {
                if self.revoked(*worker) {
                    self.fail("a revoked worker renewed".to_owned());
                }
                for (lease, answer) in answers {
                    if let Some((job, holder)) = self.holder(*worker, *lease)
                        && holder.mark == Mark::Live
                        && matches!(job.state, State::Leased | State::Queued)
                        && *answer != LeaseAnswer::Ok
                    {
                        self.fail(format!(
                            "{lease:?}: not renewed, though nobody else has it: {answer:?}"
                        ));
                    }
                }
            }
            _ => {}
        }
    }

    fn job_changed(&mut self, at: u64, call: &Call, job: &Job, workers: &[Worker]) {
        let id = job.id;
        let Some(before) = self.jobs.get(&id).cloned() else {
            if let Some(other) = self.keys.insert(job.key.clone(), id) {
                self.fail(format!("jobs {other} and {id} are the same"));
            }
            let recent = at.saturating_sub(Policy::FAIR_WINDOW_MS);
            let crowd = self
                .came
                .iter()
                .filter(|(p, t)| *p == job.project && *t >= recent)
                .count();
            self.came.push((job.project.clone(), at));
            self.places
                .insert(id, at + Policy::slack_ms(job.priority, crowd as u32));
            self.jobs.insert(id, job.clone());
            return;
        };
        if before.state.ended() && before.state != job.state {
            self.fail(format!("job {id} was {} and became {}", before.state, job.state));
        }
        if job.epoch > before.epoch {
            self.granted(at, call, job, workers);
        }
        if job.lost > before.lost {
            self.lost(at, call, &before);
        }
        if job.lost > self.policy.lost_cap {
            self.fail(format!("job {id} was lost {} times", job.lost));
        }
        if job.faults > before.faults {
            self.faulted.insert(id, at);
        }
        if job.faults > self.policy.fault_cap {
            self.fail(format!("job {id} failed {} times by our fault", job.faults));
        }
        self.jobs.insert(id, job.clone());
    }

    fn lost(&mut self, at: u64, call: &Call, before: &Job) {
        match call {
            Call::Tick => {
                let since = self.armed.get(&before.id).copied().unwrap_or(0);
                if at < since + self.policy.lease_ms {
                    self.fail(format!("job {}: a lease did not get its full time", before.id));
                }
            }
            Call::Release {
                how: HowReleased::Unclean,
                ..
            } => {}
            other => self.fail(format!("job {}: counted as lost by {other:?}", before.id)),
        }
    }

    fn granted(&mut self, at: u64, call: &Call, job: &Job, workers: &[Worker]) {
        let Call::Claim {
            worker,
            boot,
            request,
            ..
        } = call
        else {
            self.fail(format!("job {} was leased by {call:?}", job.id));
            return;
        };
        let id = job.id;
        let who = worker_id(*worker);
        let stand = self.stands.get(&who).copied().unwrap_or_default();
        if stand.revoked || stand.idle {
            self.fail(format!("job {id} was given to {who}, which gets none"));
        }
        if *boot < stand.boot {
            self.fail(format!("job {id} was given to a start of {who} that is over"));
        }
        let quiet = self.policy.quarantine_ms;
        if stand.faults.0 >= self.policy.quarantine_at + IN_FLIGHT && at < stand.faults.1 + quiet {
            self.fail(format!("job {id} was given to {who}, where too much fails"));
        }
        if !workers[*worker].offers.fit(&job.needs) {
            self.fail(format!("job {id} cannot run on {who}"));
        }
        if let Some(when) = self.faulted.get(&id)
            && at < when + self.policy.back_off(job.faults)
        {
            self.fail(format!("job {id} did not wait after its failure"));
        }
        if self
            .answered
            .get(&(*worker, *boot, *request))
            .is_some_and(|l| job.holder.as_ref().is_none_or(|h| !l.contains(&h.lease)))
        {
            self.fail(format!("request {request} of {who} got two answers"));
        }
        let alone = job.lost >= self.policy.alone_from;
        let beside = self.jobs.values().filter(|j| {
            j.id != id
                && j.state == State::Leased
                && j.holder.as_ref().is_some_and(|h| h.worker == who)
                && (alone || j.lost >= self.policy.alone_from)
        });
        if let Some(other) = beside.map(|j| j.id).next() {
            self.fail(format!(
                "jobs {id} and {other} run beside each other, and one kills workers"
            ));
        }
        let place = (self.places[&id], id);
        let waits = self.jobs.values().find(|j| {
            j.id != id
                && j.state == State::Queued
                && j.lost < self.policy.alone_from
                && workers[*worker].offers.fit(&j.needs)
                && (self.places[&j.id], j.id) < place
        });
        if let Some(other) = waits.map(|j| j.id) {
            self.fail(format!("job {id} overtook job {other}"));
        }
        self.armed.insert(id, at);
        if let Some(holder) = &job.holder {
            self.newest.insert(id, (holder.lease, who));
        }
    }

    fn afterwards(&mut self, at: u64, call: &Call, decision: &Decision) {
        match (call, &decision.answer) {
            (Call::Hello { worker, boot }, Answer::Done) => {
                let stand = self.stands.entry(worker_id(*worker)).or_default();
                stand.boot = stand.boot.max(*boot);
            }
            (
                Call::Claim {
                    worker,
                    boot,
                    request,
                    ..
                },
                Answer::Granted { grants, .. },
            ) if !grants.is_empty() => {
                let leases: BTreeSet<Lease> = grants.iter().map(|g| g.lease).collect();
                self.answered.entry((*worker, *boot, *request)).or_insert(leases);
            }
            (Call::Renew { .. }, Answer::Renewed(answers)) => {
                for (lease, _) in answers.iter().filter(|(_, a)| *a == LeaseAnswer::Ok) {
                    let job = self.jobs.values().find(|j| j.newest(*lease).is_some());
                    if let Some(id) = job.map(|j| j.id) {
                        self.armed.insert(id, at);
                    }
                }
            }
            (Call::Complete { worker, blame, .. }, Answer::Lease(LeaseAnswer::Ok)) => {
                let suspect = decision
                    .changes
                    .iter()
                    .any(|c| matches!(c, Change::Job(j) if j.lost >= self.policy.alone_from || j.faults > 1));
                if let Call::Complete { lease, .. } = call {
                    self.completed.insert(*lease);
                    self.newest.retain(|_, (newest, _)| newest != lease);
                }
                let written = decision.changes.iter().any(|c| matches!(c, Change::Job(_)));
                let stand = self.stands.entry(worker_id(*worker)).or_default();
                if written && *blame == Some(Blame::Us) {
                    // what fails while it is quarantined does not make that longer
                    let quiet = stand.faults.0 >= self.policy.quarantine_at + IN_FLIGHT
                        && at < stand.faults.1 + self.policy.quarantine_ms;
                    if !suspect && !quiet {
                        stand.faults = (stand.faults.0 + 1, at);
                    }
                } else if written {
                    stand.faults = (0, 0);
                }
            }
            (Call::Release { lease, .. }, Answer::Lease(LeaseAnswer::Ok)) => {
                self.newest.retain(|_, (newest, _)| newest != lease);
            }
            (Call::Cancel(_), Answer::Cancelled(was)) if !was.ended() => {
                let cancelled = |c: &Change| matches!(c, Change::Job(j) if j.state == State::Cancelled);
                if !decision.changes.iter().any(cancelled) {
                    self.fail(format!("a cancelled job stayed {was}"));
                }
            }
            (Call::Order(worker, order), Answer::Done) => {
                let stand = self.stands.entry(worker_id(*worker)).or_default();
                stand.idle = *order != Order::Resume;
                stand.faults = (0, 0);
            }
            (Call::Revoke(worker), Answer::Revoked { .. }) => {
                let who = worker_id(*worker);
                self.stands.entry(who.clone()).or_default().revoked = true;
                self.newest.retain(|_, (_, holder)| *holder != who);
                let left = self
                    .jobs
                    .values()
                    .find(|j| j.state == State::Leased && j.holder.as_ref().is_some_and(|h| h.worker == who));
                if let Some(id) = left.map(|j| j.id) {
                    self.fail(format!("job {id} stayed with {who}, which was revoked"));
                }
            }
            _ => {}
        }
    }

    /// At the very end.
    pub(crate) fn finish(&mut self, durable: &Queue) {
        let jobs: BTreeMap<JobId, &Job> = durable.jobs().map(|j| (j.id, j)).collect();
        let mut bad = Vec::new();
        for id in &self.acknowledged {
            if !jobs.contains_key(id) {
                bad.push(format!("job {id} was acknowledged and is not there"));
            }
        }
        for lease in self.delivered.difference(&self.completed) {
            bad.push(format!("{lease:?}: acknowledged, and nothing is written of it"));
        }
        self.bad.extend(bad);
    }

    /// Runs to the end, and jobs done.
    pub(crate) fn work(&self) -> (u32, u32) {
        let done = self.jobs.values().filter(|j| j.state == State::Done);
        done.fold((0, 0), |(runs, jobs), job| {
            (
                runs + self.executions.get(&job.id).copied().unwrap_or(0),
                jobs + 1,
            )
        })
    }

    /// Jobs given up for losses, and all jobs.
    pub(crate) fn dead(&self) -> (u32, u32) {
        let dead = self.jobs.values().filter(|j| matches!(j.state, State::Dead(_)));
        (dead.count() as u32, self.jobs.len() as u32)
    }
}
