//! What shall be done: a plan is frozen in a file and can be done again.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Distribution;
use crate::effect::Limits;
use crate::image::InImage;
use crate::overriding::Override;
use crate::raw::Recipe;

/// Version of the plan's form. A reader refuses a newer one.
pub const PLAN_VERSION: u32 = 1;

/// An interpreter that a job runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Interpreter {
    /// `cpython` or `pypy`.
    pub implementation: String,
    /// Full version: `3.13.0`.
    pub version: String,
    /// Whether it runs without the global lock (PEP 703).
    pub free_threaded: bool,
    /// Absolute path of the real executable, no shim and no link.
    pub executable: String,
    /// Its `sys.base_prefix`.
    pub prefix: String,
    /// Platform tag: `linux_x86_64`.
    pub platform: String,
    /// Whether `Python.h` is there.
    pub has_headers: bool,
    /// The image in which it lies; absent when it is this machine's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<InImage>,
}

impl Interpreter {
    /// For people: `CPython 3.13`.
    pub fn title(&self) -> String {
        let name = match self.implementation.as_str() {
            "cpython" => "CPython",
            "pypy" => "PyPy",
            other => other,
        };
        let free = if self.free_threaded { " free-threaded" } else { "" };
        format!("{name} {}{free}", self.short())
    }

    /// Major and minor version: `3.13`, with `t` when free-threaded.
    pub fn short(&self) -> String {
        let mut parts = self.version.split('.');
        let major = parts.next().unwrap_or("");
        let minor = parts.next().unwrap_or("");
        format!("{major}.{minor}{}", if self.free_threaded { "t" } else { "" })
    }
}

/// How a job is shut in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Namespaces, layers, seccomp and Landlock on this kernel.
    #[default]
    Sandbox,
    /// The same sandbox in a virtual machine that QEMU runs.
    Vm,
    /// The same sandbox in a virtual machine that libvirt runs.
    Libvirt,
}

impl Isolation {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Sandbox => "sandbox",
            Self::Vm => "vm",
            Self::Libvirt => "libvirt",
        }
    }
}

/// Who installs the distribution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Installer {
    /// uv, offline.
    #[default]
    Uv,
    /// pip, without an index.
    Pip,
}

/// Whether the package's own code is watched.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Watch {
    /// Only what it changes, says and costs is recorded, on a network that stays silent.
    #[default]
    Off,
    /// System calls are recorded, the network is simulated, decoys lie about: a verdict can be given.
    On,
}

impl Watch {
    /// Whether nothing is watched.
    pub fn is_off(&self) -> bool {
        *self == Self::Off
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_first(guise: &u8) -> bool {
    *guise == 0
}

/// A host of the real network and its port, as [`Plan::allow`] names them.
///
/// ```
/// use pyti_model::plan::host_and_port;
/// assert_eq!(host_and_port("files.example:443"), Some(("files.example", 443)));
/// assert_eq!(host_and_port("files.example"), None);
/// assert_eq!(host_and_port(":443"), None);
/// ```
pub fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port = port.parse().ok().filter(|port| *port > 0)?;
    (!host.is_empty()).then_some((host, port))
}

/// Everything that decides a job. The same plan gives the same work, on any machine that has the interpreter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// [`PLAN_VERSION`] of who wrote it.
    pub version: u32,
    /// The file under test.
    pub target: Distribution,
    /// The sdist of the same release, where a wheel's tests are taken from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion: Option<Distribution>,
    /// Why there is no companion although the release has an sdist: it could not be had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub companion_lost: Option<String>,
    /// The published wheel of the same release, which the build of an sdist is compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<Distribution>,
    /// Extras asked for: `name[extra]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub extras: Vec<String>,
    /// The interpreter.
    pub interpreter: Interpreter,
    /// The isolation.
    pub isolation: Isolation,
    /// The installer.
    #[serde(default)]
    pub installer: Installer,
    /// Tasks that who asked left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<String>,
    /// Whether this job runs the tests (an sdist's job leaves them to the wheel's when there is one).
    pub run_tests: bool,
    /// Variables added to the environment of the package's own commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Limits of each command.
    pub limits: Limits,
    /// Pre-releases allowed everywhere.
    #[serde(default)]
    pub pre: bool,
    /// Only what was uploaded before this moment (RFC 3339) is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_newer: Option<String>,
    /// `PYTHONHASHSEED` of the package's own commands.
    pub hash_seed: u32,
    /// Whether the package's own code is watched: system calls, a network that is simulated, decoys.
    #[serde(default, skip_serializing_if = "Watch::is_off")]
    pub watch: Watch,
    /// In which guise the machine shows itself. Names and decoys differ in every run; another than 0 has one processor.
    #[serde(default, skip_serializing_if = "is_first")]
    pub guise: u8,
    /// Whether exported functions are called with cheap arguments.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exercise: bool,
    /// Hosts of the real network that may be spoken with, `HOST:PORT`; all of it is recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// How often the tests are run, each time in a pristine box; 0 and 1 are once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repeat: u32,
    /// Services that are started beside the tests whatever their recipe says; `none` alone starts none at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// What a registry says about how the tests of this project are run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overriding: Option<Box<Override>>,
    /// Whether the tests are run once more to measure how much of the distribution they run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub coverage: bool,
    /// Whether the distribution's files are read for their quality.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub quality: bool,
    /// Whether pylint is asked, too.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pylint: bool,
    /// The recipe that gave the result: a plan that names it is repeated with it, and with no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
    /// Locks found so far (pylock.toml, PEP 751), by purpose; a plan with locks resolves nothing again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub locks: BTreeMap<Purpose, Lock>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// What a set of requirements is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To build the sdist (PEP 518, and what the hooks of PEP 517 ask besides).
    Build,
    /// To import and use the distribution.
    Runtime,
    /// To run its tests; holds the runtime's too.
    Test,
    /// Programs of ours that read its files.
    Quality,
}

impl Purpose {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Runtime => "runtime",
            Self::Test => "test",
            Self::Quality => "quality",
        }
    }
}

/// Requirements and what they were locked to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lock {
    /// The requirement lines that were locked.
    pub requirements: Vec<String>,
    /// What the index gave, as pylock.toml.
    pub index_lock: String,
    /// What is installed in the box, as pylock.toml: paths and digests of wheels, also of those that we built.
    pub box_lock: String,
    /// Name of the cached environment made from it.
    pub environment: String,
}
