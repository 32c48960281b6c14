//! What `--json` prints: one object for each target and interpreter.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::FileKind;
use crate::finding::Finding;
use crate::outcome::{Reason, Status, TaskResult, Verdict};
use crate::quality::Assessment;
use crate::raw::{Service, TestCounts};

/// Version of the form. It grows when a field changes its meaning or goes; new fields don't count.
pub const SUMMARY_SCHEMA: &str = "pyti.run/1";

/// One target on one interpreter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    /// [`SUMMARY_SCHEMA`].
    pub schema: String,
    /// The run that it belongs to.
    pub run: String,
    /// Project name, normalised.
    pub name: String,
    /// Version; absent when none could be chosen.
    pub version: Option<String>,
    /// Interpreter: `3.13`.
    pub python: String,
    /// `sandbox`.
    pub isolation: String,
    /// Status of the job that a user would meet: the wheel's where there is one, else the sdist's.
    pub status: Status,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// The worst verdict of all files.
    pub verdict: Verdict,
    /// Its tests.
    pub tests: TestCounts,
    /// Services beside them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Tasks of all jobs, in order.
    pub tasks: Vec<TaskSummary>,
    /// All files.
    pub files: Vec<FileSummary>,
    /// Where the recording is.
    pub recording: Option<String>,
}

/// One task, as in `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TaskSummary {
    /// Task name, with its file: `sdist/build`.
    pub id: String,
    /// Its result.
    pub result: TaskResult,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Most memory at once, bytes.
    pub peak_memory_bytes: u64,
}

/// One file, as in `--json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FileSummary {
    /// File name.
    pub filename: String,
    /// Wheel or sdist.
    pub kind: FileKind,
    /// Status of its job.
    pub status: Status,
    /// Its reasons.
    pub reasons: Vec<Reason>,
    /// Verdict of its job.
    pub verdict: Verdict,
    /// What the verdict comes from, heaviest first.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// Why the verdict cannot be better than inconclusive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// What is said of its quality, where that was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<Assessment>,
}
