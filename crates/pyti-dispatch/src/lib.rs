//! The queue of jobs and their leases: a state machine without files, clock, threads or network.
//!
//! [`decide`] takes what is written so far (a [`Ledger`]), a moment and a [`Message`], and returns a [`Decision`]: what to
//! write, whom to tell, what to answer. Whoever calls it writes first and answers then. [`Queue`] is a ledger in memory;
//! a database is another, and both decide by the same code.
//!
//! A lease is fenced by its epoch, never by time: expiry only lets another worker take the job, and until one has, the
//! holder may go on. A result is taken if, and only if, its lease is the job's newest and the job has not ended. docs/queue.md
//! tells the rules L1 to L10; [`rules`] names them, and the simulator among the tests shows that each is needed.

pub mod conformance;
mod decide;
mod id;
mod job;
mod ledger;
mod message;
mod policy;
mod queue;
pub mod rules;
mod store;
mod worker;

pub use decide::decide;
pub use id::{JobId, Label, Lease, Monotonic, NotALease, NotAName, WorkerId};
pub use job::{Death, Holder, Job, JobKey, Mark, Needs, NewJob, Offers, Priority, State, Wait};
pub use ledger::{Ledger, Timer, Timers, Want};
pub use message::{
    Answer, Change, Completion, Decision, Ended, Grant, HowReleased, Idle, LeaseAnswer, Message, Order,
    Refusal, Signal,
};
pub use policy::Policy;
pub use queue::Queue;
pub use store::{JobStore, MemoryStore};
pub use worker::{Health, Standing, Worker};
