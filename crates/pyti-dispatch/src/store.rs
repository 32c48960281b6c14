//! What a store of jobs does, in the domain's own words; and one in memory.

use std::convert::Infallible;
use std::sync::{Mutex, PoisonError};

use crate::id::{JobId, Lease, Monotonic, WorkerId};
use crate::job::{Job, NewJob, Offers};
use crate::ledger::Ledger as _;
use crate::message::{Answer, Completion, HowReleased, LeaseAnswer, Message, Order};
use crate::policy::Policy;
use crate::queue::Queue;
use crate::worker::Worker;

/// A store of jobs. Every call returns after what it answers is durable. Calls block for as long as a commit takes, so
/// asynchronous code makes them on a thread for blocking.
pub trait JobStore: Send + Sync {
    /// What a completed job leaves behind, written in the transaction that ends the job (L5).
    type Record: Send;
    /// Why the store could not do it; then nothing happened.
    type Error: std::error::Error + Send + Sync + 'static;

    /// Any message.
    fn send(&self, message: Message) -> Result<Answer, Self::Error>;
    /// L5. The record is written if, and only if, this call ends the job: then once, whoever asks again.
    fn complete(&self, completion: Completion, record: Option<Self::Record>) -> Result<Answer, Self::Error>;
    /// L2. Jobs for a worker with room for `slots`; the store makes the leases.
    fn claim(&self, worker: &WorkerId, boot: u64, request: u64, slots: u16) -> Result<Answer, Self::Error>;
    /// A job as it stands.
    fn job(&self, id: JobId) -> Result<Option<Job>, Self::Error>;
    /// A worker as it stands.
    fn worker(&self, id: &WorkerId) -> Result<Option<Worker>, Self::Error>;

    /// L1.
    fn submit(&self, new: NewJob) -> Result<Answer, Self::Error> {
        self.send(Message::Submit(new))
    }
    /// The file of a job is stored.
    fn ready(&self, job: JobId) -> Result<Answer, Self::Error> {
        self.send(Message::Ready { job })
    }
    /// The same again as a new generation.
    fn requeue(&self, job: JobId) -> Result<Answer, Self::Error> {
        self.send(Message::Requeue { job })
    }
    /// L9.
    fn cancel(&self, job: JobId) -> Result<Answer, Self::Error> {
        self.send(Message::Cancel { job })
    }
    /// A worker becomes known.
    fn enrol(&self, worker: WorkerId, offers: Offers, approved: bool) -> Result<Answer, Self::Error> {
        self.send(Message::Enrol {
            worker,
            offers,
            approved,
        })
    }
    /// A worker started.
    fn hello(&self, worker: WorkerId, boot: u64, offers: Offers) -> Result<Answer, Self::Error> {
        self.send(Message::Hello { worker, boot, offers })
    }
    /// L4.
    fn renew(&self, worker: &WorkerId, leases: Vec<Lease>) -> Result<Answer, Self::Error> {
        self.send(Message::Renew {
            worker: worker.clone(),
            leases,
        })
    }
    /// L7.
    fn release(&self, worker: &WorkerId, lease: Lease, how: HowReleased) -> Result<Answer, Self::Error> {
        self.send(Message::Release {
            worker: worker.clone(),
            lease,
            how,
        })
    }
    /// Hold, drain, resume.
    fn order(&self, worker: &WorkerId, order: Order) -> Result<Answer, Self::Error> {
        self.send(Message::Order {
            worker: worker.clone(),
            order,
        })
    }
    /// L10.
    fn revoke(&self, worker: &WorkerId) -> Result<Answer, Self::Error> {
        self.send(Message::Revoke {
            worker: worker.clone(),
        })
    }
    /// L4: time has passed.
    fn tick(&self) -> Result<Answer, Self::Error> {
        self.send(Message::Tick)
    }
}

/// A store that forgets everything when it is dropped: for tests. Its clock stands until [`MemoryStore::pass`].
#[derive(Debug, Default)]
pub struct MemoryStore {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    queue: Queue,
    now: Monotonic,
    leases: u64,
    records: Vec<(JobId, String)>,
}

impl MemoryStore {
    /// An empty one.
    pub fn new(policy: Policy) -> Self {
        Self {
            inner: Mutex::new(Inner {
                queue: Queue::new(policy),
                ..Inner::default()
            }),
        }
    }

    /// Lets time pass.
    pub fn pass(&self, ms: u64) {
        let mut inner = self.lock();
        inner.now = inner.now.after(ms);
    }

    /// As if it had been stopped and started.
    pub fn restart(&self) {
        let mut inner = self.lock();
        let now = inner.now;
        inner.queue.restart(now);
    }

    /// What was left behind, in the order of coming.
    pub fn records(&self) -> Vec<(JobId, String)> {
        self.lock().records.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl JobStore for MemoryStore {
    type Record = String;
    type Error = Infallible;

    fn send(&self, message: Message) -> Result<Answer, Infallible> {
        let mut inner = self.lock();
        let now = inner.now;
        Ok(inner.queue.step(now, message).answer)
    }

    fn complete(&self, completion: Completion, record: Option<String>) -> Result<Answer, Infallible> {
        let mut inner = self.lock();
        let now = inner.now;
        let decision = inner.queue.step(now, Message::Complete(completion));
        if let (Answer::Lease(LeaseAnswer::Ok), Some(job), Some(record)) =
            (&decision.answer, decision.ended_job(), record)
        {
            inner.records.push((job, record));
        }
        Ok(decision.answer)
    }

    fn claim(&self, worker: &WorkerId, boot: u64, request: u64, slots: u16) -> Result<Answer, Infallible> {
        let mut inner = self.lock();
        let fresh = (0..slots)
            .map(|_| {
                inner.leases += 1;
                let mut bytes = [0; 16];
                bytes[..8].copy_from_slice(&inner.leases.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
                Lease(bytes)
            })
            .collect();
        drop(inner);
        self.send(Message::Claim {
            worker: worker.clone(),
            boot,
            request,
            fresh,
        })
    }

    fn job(&self, id: JobId) -> Result<Option<Job>, Infallible> {
        self.lock().queue.job(id)
    }

    fn worker(&self, id: &WorkerId) -> Result<Option<Worker>, Infallible> {
        self.lock().queue.worker(id)
    }
}
