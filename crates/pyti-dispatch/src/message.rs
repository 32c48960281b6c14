//! What is said to the queue, and what it says.

use pyti_model::outcome::Blame;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{JobId, Lease, Monotonic, WorkerId};
use crate::job::{Job, Needs, NewJob, Offers, State};
use crate::ledger::Timer;
use crate::worker::Worker;

/// How a lease is given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HowReleased {
    /// Nothing of the job is to blame: the worker stops, or has no room.
    Clean,
    /// The worker died while it ran, so the job may be why.
    Unclean,
}

/// What a person wants of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// No new jobs until resumed.
    Hold,
    /// No new jobs, then leave.
    Drain,
    /// As before, its failures forgotten.
    Resume,
}

/// A finished job, as the controller has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Who sends it.
    pub worker: WorkerId,
    /// With what right.
    pub lease: Lease,
    /// Whose doing the outcome is; only ours is tried again. `None`: nobody's, it held.
    pub blame: Option<Blame>,
    /// What of its manifest is not stored, by name; the caller has looked, and synced the rest.
    pub missing: Vec<String>,
}

/// Everything that happens to the queue.
#[derive(Debug, Clone)]
pub enum Message {
    /// L1. From whoever makes jobs.
    Submit(NewJob),
    /// The file of a job is stored. From the feed's capture lane.
    Ready {
        /// Which.
        job: JobId,
    },
    /// The same again as a new generation. From an administrator, or when tests turn up.
    Requeue {
        /// Any generation of it.
        job: JobId,
    },
    /// L9.
    Cancel {
        /// Which.
        job: JobId,
    },
    /// A worker becomes known.
    Enrol {
        /// Its name.
        worker: WorkerId,
        /// What it has.
        offers: Offers,
        /// Whether it came with a token; otherwise somebody must approve it.
        approved: bool,
    },
    /// Somebody trusts a worker that waits.
    Approve {
        /// Which.
        worker: WorkerId,
    },
    /// A worker started, or what it has changed.
    Hello {
        /// Which.
        worker: WorkerId,
        /// Its own count of starts from 1 on, kept on its disk.
        boot: u64,
        /// What it has now.
        offers: Offers,
    },
    /// L2. A worker wants jobs. It has one such request open at a time, and their numbers grow.
    Claim {
        /// Which.
        worker: WorkerId,
        /// Its start.
        boot: u64,
        /// Its number of this request; sent again under the same number until it is answered.
        request: u64,
        /// One new random lease for each job that it has room for.
        fresh: Vec<Lease>,
    },
    /// L3, L4. A worker is still at it.
    Renew {
        /// Which.
        worker: WorkerId,
        /// All that it holds.
        leases: Vec<Lease>,
    },
    /// L5, L8.
    Complete(Completion),
    /// L7. A worker gives a job back.
    Release {
        /// Which.
        worker: WorkerId,
        /// With what right.
        lease: Lease,
        /// How.
        how: HowReleased,
    },
    /// From an administrator.
    Order {
        /// To which worker.
        worker: WorkerId,
        /// What.
        order: Order,
    },
    /// L10. From an administrator.
    Revoke {
        /// Which worker.
        worker: WorkerId,
    },
    /// L4. Time has passed. From the controller's own clock, about once a second.
    Tick,
}

/// A job given to a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Which.
    pub job: JobId,
    /// The right to answer.
    pub lease: Lease,
    /// Its number among the job's leases; for logs.
    pub epoch: u64,
}

/// Why a claim got nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Idle {
    /// Nothing that fits is queued.
    Empty,
    /// It has as much as it can hold.
    Full,
    /// It holds a job that runs alone, or empties itself for one.
    Alone,
    /// It is held by an administrator.
    Held,
    /// It shall leave.
    Draining,
    /// Too much failed there.
    Quarantined,
    /// It proves itself with one job at a time.
    Probation,
    /// That request was answered, and its leases are no longer current.
    Answered,
}

/// What a lease is still worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LeaseAnswer {
    /// Done as asked.
    Ok,
    /// The job was cancelled: stop.
    Cancelled,
    /// The job is no longer this lease's: stop, and forget it.
    Gone,
    /// This lease has ended the job already: forget it.
    Ended,
}

/// Why something is not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    /// Nobody knows that worker.
    #[error("worker not enrolled")]
    UnknownWorker,
    /// Somebody must approve it first.
    #[error("worker not approved yet")]
    NotApproved,
    /// It was sent away.
    #[error("worker revoked")]
    Revoked,
    /// The worker has started anew since, or must say hello first.
    #[error("request of another start of this worker")]
    OtherBoot,
    /// Nobody knows that job.
    #[error("no such job")]
    UnknownJob,
    /// The worker's name is taken.
    #[error("a worker of this name is enrolled already")]
    NameTaken,
}

/// What the queue says. It may be passed on only after the changes that came with it are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To submit and requeue.
    Submitted {
        /// The job.
        job: JobId,
        /// Whether it is new.
        new: bool,
    },
    /// To what needs no more words.
    Done,
    /// To a claim.
    Granted {
        /// What it got.
        grants: Vec<Grant>,
        /// Why it got no more, when it got nothing.
        idle: Option<Idle>,
    },
    /// To renewals, in their order.
    Renewed(Vec<(Lease, LeaseAnswer)>),
    /// To complete and release.
    Lease(LeaseAnswer),
    /// To complete: send these first.
    Missing(Vec<String>),
    /// To cancel: where the job stood then, or stands.
    Cancelled(State),
    /// To revoke.
    Revoked {
        /// Jobs that are queued again.
        requeued: Vec<JobId>,
    },
    /// To a tick.
    Ticked {
        /// Whether there is more to do at once.
        more: bool,
    },
    /// No.
    Refused(Refusal),
}

/// One thing to write. All of one decision are one transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// A job as it is now; new if its number is.
    Job(Box<Job>),
    /// A worker as it is now.
    Worker(Box<Worker>),
    /// What a request got (L2).
    Claimed {
        /// Who.
        worker: WorkerId,
        /// Its start.
        boot: u64,
        /// Its number.
        request: u64,
        /// What.
        grants: Vec<(JobId, Lease)>,
    },
    /// Requests of this worker before that one are forgotten: `(boot, request)`.
    ForgetClaims {
        /// Who.
        worker: WorkerId,
        /// Those before this start and number.
        before: (u64, u64),
    },
    /// The moment that places in the queue are counted from.
    Base(Monotonic),
    /// Not durable: wake at that moment.
    Arm(Timer, Monotonic),
    /// Not durable: do not.
    Disarm(Timer),
}

/// How a job ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub job: JobId,
    /// How.
    pub state: State,
}

/// Something that others want to know, after the commit. Losing one loses nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Signal {
    /// A job with these needs can be had.
    Wake(Needs),
    /// A job ended.
    Ended(Ended),
    /// A worker that shall leave holds nothing any more.
    Drained(WorkerId),
    /// Too much failed at a worker; for so many milliseconds.
    Quarantined(WorkerId, u64),
}

/// What the queue decided.
#[must_use = "a decision that nobody writes down did not happen"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// To be written as one transaction, first.
    pub changes: Vec<Change>,
    /// To be passed on then.
    pub signals: Vec<Signal>,
    /// To be answered then.
    pub answer: Answer,
}

impl Decision {
    /// The job that this decision ended, if it ended one.
    pub fn ended_job(&self) -> Option<JobId> {
        self.signals.iter().find_map(|signal| match signal {
            Signal::Ended(ended) => Some(ended.job),
            _ => None,
        })
    }
}
