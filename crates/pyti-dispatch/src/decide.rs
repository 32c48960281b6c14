//! From ledger and message to changes, signals and an answer: the whole of what the queue decides.

mod lease;
mod reap;
mod submit;
mod workers;

use crate::id::{JobId, Monotonic, WorkerId};
use crate::job::{Job, State};
use crate::ledger::{Ledger, Timer};
use crate::message::{Answer, Change, Decision, Ended, Message, Refusal, Signal};
use crate::policy::Policy;
use crate::rules::Rule;
use crate::worker::{Standing, Worker};

/// Decides one message. Reads the ledger, changes nothing: the caller writes `changes` as one transaction, then passes on the
/// signals and the answer.
///
/// # Errors
///
/// Only what the ledger's look-ups say; nothing is decided then.
pub fn decide<L: Ledger>(
    ledger: &L,
    policy: &Policy,
    now: Monotonic,
    message: Message,
) -> Result<Decision, L::Error> {
    let mut turn = Turn {
        ledger,
        policy,
        now,
        changes: Vec::new(),
        signals: Vec::new(),
    };
    let answer = match message {
        Message::Submit(new) => turn.submit(new)?,
        Message::Ready { job } => turn.ready(job)?,
        Message::Requeue { job } => turn.requeue(job)?,
        Message::Cancel { job } => turn.cancel(job)?,
        Message::Enrol {
            worker,
            offers,
            approved,
        } => turn.enrol(worker, offers, approved)?,
        Message::Approve { worker } => turn.approve(&worker)?,
        Message::Hello { worker, boot, offers } => turn.hello(&worker, boot, offers)?,
        Message::Claim {
            worker,
            boot,
            request,
            fresh,
        } => turn.claim(&worker, boot, request, &fresh)?,
        Message::Renew { worker, leases } => turn.renew(&worker, &leases)?,
        Message::Complete(completion) => turn.complete(completion)?,
        Message::Release { worker, lease, how } => turn.release(&worker, lease, how)?,
        Message::Order { worker, order } => turn.order(&worker, order)?,
        Message::Revoke { worker } => turn.revoke(&worker)?,
        Message::Tick => turn.tick()?,
    };
    Ok(Decision {
        changes: turn.changes,
        signals: turn.signals,
        answer,
    })
}

/// One message being decided.
struct Turn<'a, L> {
    ledger: &'a L,
    policy: &'a Policy,
    now: Monotonic,
    changes: Vec<Change>,
    signals: Vec<Signal>,
}

impl<L: Ledger> Turn<'_, L> {
    fn has(&self, rule: Rule) -> bool {
        self.policy.rules.has(rule)
    }

    /// Writes a job, and what follows from where it stands now.
    fn put(&mut self, job: Job) {
        match job.state {
            State::Queued => self.signals.push(Signal::Wake(job.needs.clone())),
            state if state.ended() => self.signals.push(Signal::Ended(Ended { job: job.id, state })),
            _ => {}
        }
        self.changes.push(Change::Job(Box::new(job)));
    }

    fn put_worker(&mut self, worker: Worker) {
        self.changes.push(Change::Worker(Box::new(worker)));
    }

    fn disarm_lease(&mut self, job: JobId) {
        self.changes.push(Change::Disarm(Timer::Lease(job)));
    }

    fn arm_lease(&mut self, job: JobId) {
        let at = self.now.after(self.policy.lease_ms);
        self.changes.push(Change::Arm(Timer::Lease(job), at));
    }

    /// A worker whose writing is taken, or why not (L3).
    fn writer(&self, id: &WorkerId) -> Result<Result<Worker, Refusal>, L::Error> {
        let Some(worker) = self.ledger.worker(id)? else {
            return Ok(Err(Refusal::UnknownWorker));
        };
        Ok(match worker.standing {
            Standing::Revoked if self.has(Rule::ActiveOnly) => Err(Refusal::Revoked),
            Standing::Pending => Err(Refusal::NotApproved),
            _ => Ok(worker),
        })
    }

    /// Notes how a work ended at a worker, and puts it into quarantine when too many ended badly.
    fn note_end(&mut self, worker: &mut Worker, bad: bool) {
        worker.health.note(bad);
        let health = worker.health;
        let jump = health.bad() >= self.policy.quarantine_at || (health.probation && bad);
        if worker.standing == Standing::Active && jump && self.has(Rule::Quarantine) {
            let ms = self.policy.quarantine(health.quarantines);
            worker.standing = Standing::Quarantined(ms);
            worker.health.quarantines = health.quarantines.saturating_add(1);
            worker.health.ends = 0;
            worker.health.probation = true;
            let timer = Timer::Quarantine(worker.id.clone());
            self.changes.push(Change::Arm(timer, self.now.after(ms)));
            self.signals.push(Signal::Quarantined(worker.id.clone(), ms));
        }
    }

    /// Whether a bad end is rather the job's than the worker's: it ended badly before.
    fn suspect(&self, job: &Job) -> bool {
        job.lost >= self.policy.alone_from || job.faults > 0
    }

    /// Says so when a worker that shall leave holds nothing but `but` any more.
    fn note_drained(&mut self, worker: &Worker, but: JobId) -> Result<(), L::Error> {
        if worker.standing == Standing::Draining
            && !self
                .ledger
                .held(&worker.id)?
                .iter()
                .any(|job| job.id != but && job.state == State::Leased)
        {
            self.signals.push(Signal::Drained(worker.id.clone()));
        }
        Ok(())
    }

    /// One more loss: queued again, or given up (L7).
    fn lose(&mut self, job: &mut Job) {
        job.lost = job.lost.saturating_add(1);
        job.state = if job.lost >= self.policy.lost_cap && self.has(Rule::LostCap) {
            State::Dead(crate::job::Death::Lost)
        } else {
            State::Queued
        };
    }
}

fn refused(refusal: Refusal) -> Answer {
    Answer::Refused(refusal)
}
