//! What happened, in order: the recording.
//!
//! A recording is a sequence of [`Envelope`]s. The agent stamps number and time; the worker only adds its own
//! events before the first and after the last of the agent's. Terminal, HTML, JSON, JUnit and every judgement are
//! readers of it, live or years later.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::{Digest, Distribution};
use crate::effect::{Change, Effect, Loss};
use crate::foreign::Foreign;
use crate::image::Guest;
use crate::outcome::{Outcome, Reason, TaskResult};
use crate::plan::Plan;
use crate::raw::RawData;
use crate::trace::{Decoy, Trace, Written};

/// Version of the recording's form: (major, minor). A reader refuses a newer major version with a clear message and
/// skips event kinds that a newer minor version added.
pub const RECORDING_VERSION: (u32, u32) = (1, 2);

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Envelope {
    /// Number in this recording, from 0, without gaps.
    pub seq: u64,
    /// Microseconds on the monotonic clock since the recording began.
    pub at_us: u64,
    /// What.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "event")]
#[expect(
    clippy::large_enum_variant,
    reason = "the big ones are rare, and boxes would show in every match"
)]
pub enum Event {
    /// The first event of every recording.
    Began {
        /// [`RECORDING_VERSION`] of the writer.
        recording: (u32, u32),
        /// Version of PyTI.
        pyti: String,
        /// When, RFC 3339 in UTC.
        when: String,
        /// The plan as it was then.
        plan: Box<Plan>,
        /// What is known of the machine: kernel, layer store, meters, Landlock version, uv.
        machine: BTreeMap<String, String>,
    },
    /// The job's box is open.
    Opened {
        /// What it is made of: layer store, meter, Landlock version, uv.
        machine: BTreeMap<String, String>,
    },
    /// The graph of tasks is known.
    Planned {
        /// Names of the tasks, in order of the graph.
        tasks: Vec<PlannedTask>,
    },
    /// A task began.
    Started {
        /// The task.
        task: String,
        /// Attempt, from 1.
        attempt: u32,
    },
    /// Something to tell who is waiting; not kept for judgement.
    Progress {
        /// The task.
        task: String,
        /// Short text.
        text: Foreign,
        /// How far, where the total is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        done: Option<u64>,
        /// The total.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        total: Option<u64>,
    },
    /// A command ran in a box.
    Ran {
        /// The task that ran it.
        task: String,
        /// What it did.
        effect: Box<Effect>,
    },
    /// A layer was sealed: what a command changed.
    Changed {
        /// The task.
        task: String,
        /// The changes, by path. Capped; what is missing is a [`Loss`].
        changes: Vec<Change>,
    },
    /// What the processes of a command did; comes after its [`Event::Ran`].
    Traced {
        /// The task.
        task: String,
        /// What was seen.
        trace: Box<Trace>,
    },
    /// What lies in the boxes of this job to be found.
    Planted {
        /// The decoys.
        decoys: Vec<Decoy>,
    },
    /// What some of the files hold that a command wrote; comes after its [`Event::Changed`].
    Written {
        /// The task.
        task: String,
        /// The files, capped.
        files: Vec<Written>,
    },
    /// Source of a file of the distribution, which a task's raw data speak of by line.
    Source {
        /// The task.
        task: String,
        /// Its path, as the raw data have it.
        path: Foreign,
        /// Its text.
        text: Foreign,
    },
    /// Bytes worth keeping apart: a wheel that was built.
    Blob {
        /// The task.
        task: String,
        /// What it is: a file name.
        name: Foreign,
        /// Its digest.
        sha256: Digest,
        /// Its size, bytes.
        size: u64,
    },
    /// A task ended.
    Ended {
        /// The task.
        task: String,
        /// Its result.
        result: TaskResult,
        /// Reasons, with blame. For a skipped task the chain of reasons is in `chain`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        reasons: Vec<Reason>,
        /// Why it was skipped: `import ← install ← build failed`.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        chain: Vec<String>,
        /// Raw data.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<RawData>,
        /// Wall-clock seconds.
        wall_s: f64,
        /// CPU seconds of its commands.
        cpu_s: f64,
        /// Most memory at once, bytes.
        peak_memory_bytes: u64,
    },
    /// The virtual machine of the job has ended.
    Guest {
        /// What it showed.
        guest: Box<Guest>,
    },
    /// Something was lost.
    Lost {
        /// The task, where it belongs to one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        task: Option<String>,
        /// What.
        what: Loss,
    },
    /// A lock was made and written into the plan.
    Locked {
        /// The purpose.
        purpose: crate::plan::Purpose,
        /// The lock.
        lock: Box<crate::plan::Lock>,
    },
    /// A file was decided on without opening a box (policy, nothing to test).
    Decided {
        /// The file, where there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<Box<Distribution>>,
        /// What it came to.
        outcome: Outcome,
    },
    /// The last event of every complete recording.
    Finished {
        /// Whether somebody interrupted it.
        interrupted: bool,
    },
    /// An event kind that a newer minor version added.
    #[serde(other)]
    Unknown,
}

/// A task of the graph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PlannedTask {
    /// Its name: `install`.
    pub name: String,
    /// Names of the tasks that it needs.
    pub needs: Vec<String>,
    /// Preparation (locks, environments) is shown folded.
    pub preparation: bool,
}
