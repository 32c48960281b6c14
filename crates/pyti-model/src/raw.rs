//! Raw data: what each task found out, without any judgement.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Digest;
use crate::foreign::Foreign;
use crate::plan::Purpose;

mod costs;
mod coverage;
mod provoke;
mod service;
mod test;

pub use costs::{Costs, FileSort, ImportNode, KindSize};
pub use coverage::{Branch, Coverage, CoverageCounts, CoverageOff, CoverageResult, FileCoverage, Measured};
pub use provoke::{Exercise, ScriptCall, Scripts};
pub use service::{Service, ServiceState};
pub use test::{
    Attempt, AttemptResult, AttemptUse, Evidence, Flaky, Recipe, Runner, Sources, Test, TestCase, TestCounts,
    TestOutcome,
};

/// Raw data of one task. The tag is the task's kind.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "task")]
pub enum RawData {
    /// An archive was unpacked.
    Unpack(Unpack),
    /// An unpacked tree was read, without running anything of it.
    Inspect(Box<Inspection>),
    /// Requirements were locked.
    Resolve(Resolve),
    /// An environment was made or taken from the cache.
    Provide(Provide),
    /// A hook of the build backend was called.
    Hook(Hook),
    /// A wheel was built.
    Build(Build),
    /// A wheel's metadata was read.
    Metadata(Metadata),
    /// The distribution was installed.
    Install(Install),
    /// The interpreter was started.
    Start(Start),
    /// Modules were imported.
    Import(Import),
    /// Console scripts were called.
    Scripts(Scripts),
    /// Exported functions were called.
    Exercise(Exercise),
    /// Tests were run.
    Test(Box<Test>),
    /// How much of the distribution its tests run was measured.
    Coverage(Box<Coverage>),
    /// What the distribution costs who uses it was measured.
    Costs(Box<Costs>),
    /// Its files were read for their quality.
    Quality(Box<crate::quality::Quality>),
}

/// An archive was unpacked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Unpack {
    /// Regular files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Name of the one folder at the top, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Foreign>,
    /// Entries that were not unpacked, each with why (traversal, device, duplicate…). Capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedEntry>,
    /// All that were refused, also beyond the cap.
    pub refused_total: u64,
    /// Why unpacking stopped, if it did: the archive is unusable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fatal: Option<Foreign>,
}

/// An entry of an archive that was not unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedEntry {
    /// Its name in the archive.
    pub name: Foreign,
    /// Why.
    pub why: String,
}

/// Core metadata, as far as PyTI needs it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Metadata {
    /// Name, as written.
    pub name: Foreign,
    /// Version, as written.
    pub version: Foreign,
    /// `Requires-Dist` lines.
    pub requires_dist: Vec<Foreign>,
    /// `Provides-Extra` values.
    pub provides_extra: Vec<Foreign>,
    /// `Requires-Python`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requires_python: Option<Foreign>,
    /// `Summary`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Foreign>,
    /// `License-Expression` or `License`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<Foreign>,
}

/// What was read from a tree without running anything of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Inspection {
    /// The build, as declared.
    pub build: BuildDeclaration,
    /// PKG-INFO, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Metadata>,
    /// How its tests could be run, best first.
    pub recipes: Vec<Recipe>,
    /// What was looked at and not taken, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rejected: Vec<String>,
    /// Requirement lines that the tree names anywhere, for tests or not: what is missing later may be one of these. Capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<String>,
    /// Top-level importable names of the tree, and where each is, relative to the root.
    pub importable: BTreeMap<String, String>,
    /// setup.py ends on purpose with advice: the advice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Foreign>,
}

/// `[build-system]` of pyproject.toml (PEP 518), or what stands for it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuildDeclaration {
    /// `build-backend`; the legacy backend of setuptools when nothing is declared.
    pub backend: String,
    /// `backend-path`, for backends that lie in the tree.
    pub backend_path: Vec<String>,
    /// `requires`.
    pub requires: Vec<String>,
    /// Whether this was declared, or the default of PEP 517 for a lone setup.py.
    pub declared: bool,
}

/// Requirements were locked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Resolve {
    /// What for.
    pub purpose: Purpose,
    /// Requirement lines, as asked.
    pub requirements: Vec<Foreign>,
    /// Lines that were refused or rewritten before uv saw them, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Packages in the lock: name and version.
    pub locked: Vec<(String, String)>,
    /// Files that had to be fetched now.
    pub fetched: u32,
    /// Files that were in the cache.
    pub cached: u32,
    /// Files that were built here from an sdist.
    pub built: u32,
    /// uv's own explanation, when it cannot be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub explanation: Option<Foreign>,
    /// Versions that the lens left out, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// An environment was made, or taken from the cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Provide {
    /// What for.
    pub purpose: Purpose,
    /// Name of the cached environment.
    pub environment: String,
    /// Whether it was in the cache.
    pub cached: bool,
    /// Packages in it.
    pub packages: u32,
}

/// A hook of the build backend was called (PEP 517).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Hook {
    /// `get_requires_for_build_wheel`, `prepare_metadata_for_build_wheel`, `build_wheel`.
    pub name: String,
    /// The backend.
    pub backend: String,
    /// Requirements that it asks for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requires: Vec<Foreign>,
    /// Whether the backend has the hook.
    pub present: bool,
    /// The exception that it raised: type and text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PythonError>,
}

/// An exception, as a probe saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PythonError {
    /// Class name: `ModuleNotFoundError`.
    pub class: Foreign,
    /// Its text.
    pub message: Foreign,
    /// The missing module, for `ModuleNotFoundError`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<Foreign>,
    /// The traceback, capped.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub traceback: Foreign,
}

/// A wheel was built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Build {
    /// The backend and its version, where known: `setuptools 80.9.0`.
    pub backend: String,
    /// The wheel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wheel: Option<BuiltWheel>,
    /// The exception that the hook raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<PythonError>,
    /// Calls of compilers, linkers and the like, in order. Capped.
    pub compiler_calls: Vec<CompilerCall>,
    /// How the wheel's files compare with the published wheel's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<WheelComparison>,
}

/// A wheel that was built here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BuiltWheel {
    /// Its file name.
    pub filename: Foreign,
    /// Its digest.
    pub sha256: Digest,
    /// Its size, bytes.
    pub size: u64,
    /// Its files.
    pub files: u32,
    /// Compiled extension modules in it.
    pub extensions: Vec<Foreign>,
}

/// One call of a compiler, linker or archiver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CompilerCall {
    /// The program: `gcc`.
    pub program: Foreign,
    /// Its arguments. Capped.
    pub argv: Vec<Foreign>,
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// CPU seconds.
    pub cpu_s: f64,
    /// Exit code; 128 + signal for signals.
    pub exit: i32,
    /// Warnings that it printed.
    pub warnings: u32,
    /// The first lines that it printed, capped.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub said: Foreign,
}

/// How two wheels' files compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WheelComparison {
    /// The other wheel.
    pub with: String,
    /// Files that are the same.
    pub same: u32,
    /// Files with another content (metadata that names its generator and RECORD left out).
    pub different: Vec<Foreign>,
    /// Files that only the wheel built here has.
    pub only_built: Vec<Foreign>,
    /// Files that only the published wheel has.
    pub only_published: Vec<Foreign>,
}

impl WheelComparison {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.different.is_empty() && self.only_built.is_empty() && self.only_published.is_empty()
    }
}

/// The distribution was installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Install {
    /// Installer and version: `uv 0.13.9`.
    pub installer: String,
    /// Files added by the package (what the installer itself adds is not counted).
    pub files: u32,
    /// Their bytes.
    pub bytes: u64,
    /// Changed paths outside site-packages and the environment's scripts. Capped.
    pub outside: Vec<Foreign>,
    /// Top-level modules and packages that are there now.
    pub top_level: Vec<String>,
    /// All importable modules of the distribution, dotted.
    pub modules: Vec<String>,
    /// Console scripts.
    pub scripts: Vec<Foreign>,
    /// `.pth` files that run code.
    pub executable_pth: Vec<Foreign>,
    /// Compiled extension modules.
    pub extensions: Vec<Foreign>,
}

/// The interpreter was started, doing nothing, before and after the installation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Start {
    /// Modules loaded at start that were not loaded before the installation.
    pub new_modules: Vec<Foreign>,
    /// Entries of `sys.path` that are new.
    pub new_paths: Vec<Foreign>,
    /// Events of the interpreter's audit hook that are new (import left out).
    pub new_events: Vec<Foreign>,
    /// It wrote to standard output or error.
    pub spoke: bool,
    /// It changed files.
    pub changed_files: u32,
}

impl Start {
    /// Whether starting the interpreter does the same as before.
    pub fn is_unchanged(&self) -> bool {
        self.new_modules.is_empty()
            && self.new_paths.is_empty()
            && self.new_events.is_empty()
            && !self.spoke
            && self.changed_files == 0
    }
}

/// Modules were imported.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Import {
    /// Each module with its outcome, top-level ones first.
    pub modules: Vec<ModuleImport>,
}

/// One module was imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModuleImport {
    /// Dotted name.
    pub module: Foreign,
    /// Whether it is at the top.
    pub top_level: bool,
    /// What came of it.
    pub outcome: ImportOutcome,
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// `__file__`, as proof of what was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<Foreign>,
}

/// What came of an import.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum ImportOutcome {
    /// It was imported.
    Imported,
    /// It raised an exception.
    Raised {
        /// The exception.
        error: PythonError,
    },
    /// It called exit.
    Exited {
        /// The code.
        code: i32,
    },
    /// The interpreter died.
    Crashed {
        /// The signal.
        signal: i32,
    },
    /// A limit ended it.
    Killed,
}
