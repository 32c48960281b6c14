//! What is to be done: a specification that makes a job, and the order that a worker gets for it.

use std::collections::BTreeMap;

use pyti_dispatch::{JobId, JobKey, Label, Lease};
use pyti_model::Distribution;
use pyti_model::effect::Limits;
use pyti_model::plan::{Installer, Watch};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Version of a specification's form.
pub const SPEC_VERSION: u32 = 1;

/// In what a file is tested.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Environment {
    /// `linux/x86_64`
    pub platform: Label,
    /// `cpython-3.13`
    pub interpreter: Label,
    /// `sandbox`
    pub isolation: Label,
}

impl Environment {
    /// The interpreter as command lines name it: `3.13`, `pypy3.10`, `3.13t`.
    ///
    /// ```
    /// use pyti_command::order::Environment;
    /// let of = |interpreter: &str| Environment {
    ///     platform: "linux/x86_64".parse().unwrap(),
    ///     interpreter: interpreter.parse().unwrap(),
    ///     isolation: "sandbox".parse().unwrap(),
    /// };
    /// assert_eq!(of("cpython-3.13t").python(), "3.13t");
    /// assert_eq!(of("pypy-3.10").python(), "pypy3.10");
    /// ```
    pub fn python(&self) -> String {
        match self.interpreter.as_str().split_once('-') {
            Some(("cpython", version)) => version.to_owned(),
            Some((other, version)) => format!("{other}{version}"),
            None => self.interpreter.to_string(),
        }
    }
}

/// How it is tested: what `pyti run` takes as options, with the same defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Options {
    /// Extras asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// Tasks left out.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// Variables for the package's own commands.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Pre-releases allowed.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub pre: bool,
    /// Only what was uploaded before, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exclude_newer: Option<String>,
    /// Who installs.
    #[serde(skip_serializing_if = "is_default")]
    pub installer: Installer,
    /// `PYTHONHASHSEED`.
    #[serde(skip_serializing_if = "is_default")]
    pub hash_seed: u32,
    /// Whether it is not watched: then there is no verdict.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub no_watch: bool,
    /// Whether exported functions are called.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub exercise: bool,
    /// Hosts of the real network that may be spoken with, `HOST:PORT`; only an administrator may ask for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// How often the tests are run.
    #[serde(skip_serializing_if = "is_default")]
    pub repeat: u32,
    /// Limits of each command; the defaults where there are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Options {
    /// Whether the package's own code is watched.
    pub fn watch(&self) -> Watch {
        if self.no_watch { Watch::Off } else { Watch::On }
    }
}

/// What makes a job together with its file; its hash is part of the job's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Spec {
    /// [`SPEC_VERSION`] of who wrote it.
    pub version: u32,
    /// In what.
    pub environment: Environment,
    /// How.
    #[serde(default)]
    pub options: Options,
    /// Whether the tests run in this job: an sdist leaves them to its wheel where there is one.
    pub run_tests: bool,
    /// Grows when the rules of who tests what change, so that files are tested again.
    #[serde(default)]
    pub policy: u32,
}

impl Spec {
    /// The bytes that are stored and hashed.
    pub fn bytes(&self) -> Result<Vec<u8>, serde_json::Error> {
        serde_json::to_vec(self)
    }
}

/// One job, as a worker gets it: all that it must know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkOrder {
    /// Which.
    pub job: JobId,
    /// The right to answer.
    pub lease: Lease,
    /// Its number among the job's leases; for logs.
    pub epoch: u64,
    /// File, specification and generation.
    pub key: JobKey,
    /// The file under test; its bytes are at `GET /file/v1/{sha256}`.
    pub file: Distribution,
    /// The sdist of the same release, where a wheel's tests are taken from; its bytes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion: Option<Distribution>,
    /// Why there is none although the release has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion_lost: Option<String>,
    /// The published wheel of the same release, which the build of an sdist is compared with; its bytes too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Distribution>,
    /// In what and how.
    pub spec: Spec,
    /// Whether it must be the only job at work there: it was lost before.
    #[serde(default)]
    pub alone: bool,
}
