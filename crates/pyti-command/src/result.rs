//! Results, as programs read them.

use pyti_dispatch::JobId;
use pyti_model::outcome::{Blame, Status, Verdict};
use pyti_model::{Digest, FileKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::method::methods;

methods! {
    /// Results in the order of their commits, after one of them; all, or of a project. For who follows.
    Query = "result.query", Anyone, reads: true, QueryParams => Results;
}

/// Of `result.query`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct QueryParams {
    /// Only those after this number, oldest first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<i64>,
    /// Only those before this number, newest first; this way when `after` is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<i64>,
    /// Only of this project; not together with `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Only with this verdict; not together with `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Verdict>,
    /// Only with this first reason; not together with `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How many at most; 200 is the most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
}

/// Of `result.query`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Results {
    /// The results.
    pub results: Vec<ResultView>,
    /// Ask again with it in the place of `after` or `before`; absent at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<i64>,
}

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FindingView {
    /// The rule.
    pub rule: String,
    /// How bad, 0 (info) to 4 (critical).
    pub severity: u8,
    /// Whether it counts.
    pub active: bool,
    /// The sentence for people. What came from the package was made visible in it.
    pub sentence: String,
}

/// One result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResultView {
    /// Its number: the order of commits.
    pub id: i64,
    /// Of which job.
    pub job: JobId,
    /// Normalized name of the project.
    pub project: String,
    /// The version.
    pub version: String,
    /// The file's name.
    pub file: String,
    /// The file.
    pub sha256: Digest,
    /// Wheel or sdist.
    pub kind: FileKind,
    /// `linux/x86_64`
    pub platform: String,
    /// `cpython-3.13`
    pub interpreter: String,
    /// `sandbox`
    pub isolation: String,
    /// When, milliseconds since 1970.
    pub finished_ms: u64,
    /// Works?
    pub status: Status,
    /// The first reason's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Safe?
    pub verdict: Verdict,
    /// Whose doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blame: Option<Blame>,
    /// Processor time, milliseconds.
    pub cost_ms: u64,
    /// Tests that passed.
    pub passed: u32,
    /// Tests that did not.
    pub failed: u32,
    /// The recording, where it is still kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recording: Option<Digest>,
    /// What the judge found; only in the answer about one job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingView>,
}
