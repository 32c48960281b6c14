//! A job: one file in one environment, and where it stands.

use std::fmt;

use pyti_model::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::id::{JobId, Label, Lease, Monotonic, WorkerId};

/// What makes a job the same job (L1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct JobKey {
    /// The file under test.
    pub file: Digest,
    /// Environment, options and version of the policy, hashed by whoever makes jobs.
    pub spec: Digest,
    /// 0 at first; a re-test, or tests that turn up later, is the next one.
    pub generation: u32,
}

/// What a worker must have to take a job.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Needs {
    /// `linux/x86_64`
    pub platform: Label,
    /// `cpython-3.12`
    pub interpreter: Label,
    /// `sandbox`
    pub isolation: Label,
    /// Memory that one job may use, in MiB.
    pub memory_mib: u32,
}

/// What a worker has. It is believed only as far as it decides what the worker is asked to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Offers {
    /// `linux/x86_64`
    pub platform: Label,
    /// Every interpreter there.
    pub interpreters: std::collections::BTreeSet<Label>,
    /// Every isolation that works there.
    pub isolations: std::collections::BTreeSet<Label>,
    /// Memory for one job, in MiB.
    pub memory_mib: u32,
    /// Jobs at once.
    pub slots: u16,
}

impl Offers {
    /// Whether a job with these needs can run there.
    pub fn fit(&self, needs: &Needs) -> bool {
        self.platform == needs.platform
            && self.interpreters.contains(&needs.interpreter)
            && self.isolations.contains(&needs.isolation)
            && self.memory_mib >= needs.memory_mib
    }
}

/// How soon a job's turn comes. None waits for ever: each is only a head start ([`crate::Policy::slack_ms`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// A person waits.
    Interactive,
    /// A project's first upload.
    NewProject,
    /// A project that many use.
    Popular,
    /// Any other release.
    Release,
    /// Tested before.
    Retest,
}

impl Priority {
    /// All, soonest first.
    pub const ALL: [Self; 5] = [
        Self::Interactive,
        Self::NewProject,
        Self::Popular,
        Self::Release,
        Self::Retest,
    ];

    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::NewProject => "new_project",
            Self::Popular => "popular",
            Self::Release => "release",
            Self::Retest => "retest",
        }
    }
}

/// A job to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewJob {
    /// What makes it the same as another.
    pub key: JobKey,
    /// Normalized name of the project; many files of one project do not push others back.
    pub project: String,
    /// What it needs of a worker.
    pub needs: Needs,
    /// How soon.
    pub priority: Priority,
    /// Whether the file is stored; if not, the job waits for [`crate::Message::Ready`].
    pub captured: bool,
}

/// Why a job is not in the queue yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Its file is not stored yet.
    Capture,
    /// It failed by our fault; this long in milliseconds, counted anew after a restart.
    BackOff(u64),
}

/// Why a job ended without a result of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Death {
    /// Failed by our fault too often.
    Faults,
    /// Its worker was lost too often.
    Lost,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Not yet.
    Waiting(Wait),
    /// Any worker that fits may have it.
    Queued,
    /// A worker has it.
    Leased,
    /// It has a result.
    Done,
    /// Given up.
    Dead(Death),
    /// Nobody wants it any more.
    Cancelled,
}

impl State {
    /// Whether nothing can happen to it any more.
    pub fn ended(self) -> bool {
        matches!(self, Self::Done | Self::Dead(_) | Self::Cancelled)
    }

    /// One word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting(_) => "waiting",
            Self::Queued => "queued",
            Self::Leased => "leased",
            Self::Done => "done",
            Self::Dead(_) => "dead",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It may still answer, also after it expired, as long as nobody else has the job.
    Live,
    /// It delivered.
    Completed,
    /// It was given back.
    Released,
}

/// The newest lease of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The lease.
    pub lease: Lease,
    /// Who got it.
    pub worker: WorkerId,
    /// What became of it.
    pub mark: Mark,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// What makes it this job.
    pub key: JobKey,
    /// Normalized name of the project.
    pub project: String,
    /// What it needs of a worker.
    pub needs: Needs,
    /// How soon.
    pub priority: Priority,
    /// When it came.
    pub entered: Monotonic,
    /// Its place: the smallest goes first. Fixed when it came, so that whoever waits long enough is first.
    pub order_key: u64,
    /// Where it stands.
    pub state: State,
    /// How many leases there were.
    pub epoch: u64,
    /// The newest lease; none after a revocation, and before the first.
    pub holder: Option<Holder>,
    /// Failures by our fault.
    pub faults: u8,
    /// Leases that expired or were given back unclean.
    pub lost: u8,
}

impl Job {
    /// Whether `lease` is its newest.
    pub fn newest(&self, lease: Lease) -> Option<&Holder> {
        self.holder.as_ref().filter(|h| h.lease == lease)
    }

    pub(crate) fn marked(&mut self, mark: Mark) {
        if let Some(holder) = &mut self.holder {
            holder.mark = mark;
        }
    }
}
