//! Methods by which a worker takes jobs and gives back what came of them.

use pyti_dispatch::{Idle, Lease, LeaseAnswer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::method::methods;
use crate::order::WorkOrder;
use crate::raw::Manifest;

/// Longest wait of a claim or of a question for a job, seconds.
pub const WAIT_S: u32 = 25;

methods! {
    /// Asks for jobs, and waits for some. Asked again under the same number, the same answer, as far as it still holds.
    Claim = "work.claim", Worker, reads: false, ClaimParams => Claimed;
    /// Says that jobs are still being done.
    Renew = "work.renew", Worker, reads: false, RenewParams => Renewed;
    /// Delivers. Only after `ok`, `ended` or `gone` may the worker forget what it has of the job.
    Complete = "work.complete", Worker, reads: false, CompleteParams => Completed;
    /// Gives a job back.
    Release = "work.release", Worker, reads: false, ReleaseParams => Released;
}

/// Of `work.claim`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ClaimParams {
    /// The worker's start.
    pub boot: u64,
    /// Its number of this request, from 1; one is open at a time, and they grow.
    pub request: u64,
    /// How many jobs it has room for.
    pub slots: u16,
    /// How long to wait for one, seconds; at most [`WAIT_S`], and not in a batch.
    #[serde(default)]
    pub wait_s: u32,
}

/// Of `work.claim`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Claimed {
    /// What to do.
    pub orders: Vec<WorkOrder>,
    /// Why there is nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Idle>,
}

/// What a job is about just now; for pages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Files and dependencies come together.
    #[default]
    Preparing,
    /// A box is open.
    Running,
    /// It has ended, and the recording is on its way.
    Delivering,
}

/// One lease that goes on.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Renewal {
    /// The lease.
    pub lease: Lease,
    /// How far it is.
    #[serde(default)]
    pub phase: Phase,
    /// How many segments of the recording were put.
    #[serde(default)]
    pub next_seq: u32,
}

/// Of `work.renew`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RenewParams {
    /// All that the worker holds; at most 256.
    pub leases: Vec<Renewal>,
}

/// What a lease is still worth.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RenewedLease {
    /// The lease.
    pub lease: Lease,
    /// Go on, or stop.
    pub answer: LeaseAnswer,
}

/// Of `work.renew`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Renewed {
    /// In the order of the question.
    pub leases: Vec<RenewedLease>,
}

/// What the worker says of its work. Status, findings and verdict are the controller's to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WorkOutcome {
    /// There is a recording, also when what it shows is a failure.
    Ran,
    /// There is none, by the worker's own fault: its machine, its disk, its program.
    Failed {
        /// For people, at most 1 KiB of it is kept.
        why: String,
    },
}

/// Of `work.complete`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CompleteParams {
    /// With what right.
    pub lease: Lease,
    /// What came of it.
    pub outcome: WorkOutcome,
    /// Everything that was put.
    #[serde(default)]
    pub manifest: Manifest,
}

/// How a delivery was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Taken {
    /// It is kept for good.
    Ok,
    /// Something of the manifest is not there: put it and complete again.
    Missing,
    /// The job is another's by now, was cancelled, or is over.
    Gone,
    /// This lease has ended the job before.
    Ended,
}

/// Of `work.complete`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Completed {
    /// How it was taken.
    pub answer: Taken,
    /// What is missing: `events/3`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

/// Of `work.release`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ReleaseParams {
    /// With what right.
    pub lease: Lease,
    /// Whether nothing of the job is to blame: the worker stops, or has no room. Else it may be why the worker died.
    pub clean: bool,
    /// Why, for people.
    #[serde(default)]
    pub reason: String,
}

/// Of `work.release`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Released {
    /// How it was taken.
    pub answer: LeaseAnswer,
}
