//! What somebody wrote down about how a project is tested, where what is read from its sources is not enough.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One entry of a registry of overrides. What it leaves out is found as usual.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Override {
    /// The project, its name normalised: `psycopg2`.
    pub project: String,
    /// The versions that it is for, as a specifier (PEP 440): `>=2.9,<3`. Empty for all.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub versions: String,
    /// Why it is needed, for people.
    pub why: String,
    /// Requirement lines, in the place of those that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requirements: Option<Vec<String>>,
    /// Extras of the distribution, in the place of those that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extras: Option<Vec<String>>,
    /// The command, as its authors would type it: `pytest -m "not slow" tests`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// Services, in the place of those that were found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<Vec<String>>,
    /// Seconds of wall clock that the tests may take, in the place of the usual limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u32>,
    /// Variables besides those that were found.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Why its tests are not run at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip: Option<String>,
    /// Where it was read: file, and line of its entry.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
}
