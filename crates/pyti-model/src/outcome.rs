//! What was concluded: results of tasks, status of jobs, reasons, blame, verdict.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;

/// Result of one task: Buildbot's seven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TaskResult {
    /// It did what it should.
    Success,
    /// It did, and there is something to look at.
    Warnings,
    /// It did not.
    Failure,
    /// It was not run, because something that it needs is missing.
    Skipped,
    /// It could not be run properly: our own fault or the machine's.
    Exception,
    /// It shall be run again.
    Retry,
    /// Somebody stopped it.
    Cancelled,
}

impl fmt::Display for TaskResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Success => "success",
            Self::Warnings => "warnings",
            Self::Failure => "failure",
            Self::Skipped => "skipped",
            Self::Exception => "exception",
            Self::Retry => "retry",
            Self::Cancelled => "cancelled",
        })
    }
}

/// Status of a job, by the strongest claim that held. Answers *works?*, never *safe?*.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Its tests ran and passed.
    Pass,
    /// It imports; there were no tests to run.
    Load,
    /// It installs; there is nothing to import.
    Install,
    /// A step failed.
    Fail,
    /// The interpreter crashed.
    Crash,
    /// A limit ended it.
    Killed,
    /// It was not attempted, by policy.
    Skip,
    /// It does not apply to this platform or interpreter.
    Na,
    /// The upload itself is unusable.
    Broken,
    /// PyTI or its machine failed; says nothing about the distribution.
    Error,
}

impl Status {
    /// All, best first.
    pub const ALL: [Self; 10] = [
        Self::Pass,
        Self::Load,
        Self::Install,
        Self::Fail,
        Self::Crash,
        Self::Killed,
        Self::Skip,
        Self::Na,
        Self::Broken,
        Self::Error,
    ];

    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Load => "load",
            Self::Install => "install",
            Self::Fail => "fail",
            Self::Crash => "crash",
            Self::Killed => "killed",
            Self::Skip => "skip",
            Self::Na => "na",
            Self::Broken => "broken",
            Self::Error => "error",
        }
    }

    /// Whether the strongest claim attempted held: pass, load or install.
    pub fn is_good(self) -> bool {
        matches!(self, Self::Pass | Self::Load | Self::Install)
    }

    /// Whether nothing could be tested: skip, na or broken.
    pub fn is_untestable(self) -> bool {
        matches!(self, Self::Skip | Self::Na | Self::Broken)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// Whose doing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The distribution under test.
    Package,
    /// Something that it needs.
    Dependency,
    /// The machine, the index, or what the box cannot give.
    Environment,
    /// PyTI.
    Us,
}

impl fmt::Display for Blame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Package => "package",
            Self::Dependency => "dependency",
            Self::Environment => "environment",
            Self::Us => "us",
        })
    }
}

macro_rules! reason_codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal, $blame:ident;)+) => {
        /// Why: a dotted word from one closed list.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum ReasonCode {
            $($(#[doc = $doc])+ #[serde(rename = $code)] $name,)+
        }

        impl ReasonCode {
            /// All codes, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// The word, as in JSON: `build.use_2to3`.
            pub fn word(self) -> &'static str {
                match self { $(Self::$name => $code),+ }
            }

            /// What it means, for people.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$name => concat!($($doc),+).trim_ascii()),+ }
            }

            /// Whose doing it usually is; a [`Reason`] may say otherwise.
            pub fn usual_blame(self) -> Blame {
                match self { $(Self::$name => Blame::$blame),+ }
            }
        }
    };
}

reason_codes! {
    // fail
    /// tests ran and some failed
    TestFailures = "test_failures", Package;
    /// tests ended in errors, outside their assertions
    TestErrors = "test_errors", Package;
    /// the test runner could not collect the tests
    CollectionError = "collection_error", Package;
    /// the test runner ended in a way that is no result
    RunnerError = "runner_error", Package;
    /// a module cannot be imported
    ImportError = "import_error", Package;
    /// the build failed
    Build = "build", Package;
    /// a compiler said no
    BuildCompilerError = "build.compiler_error", Package;
    /// the C sources do not fit the Cython that is there
    BuildCythonIncompatible = "build.cython_incompatible", Package;
    /// setup.py asks setuptools for `use_2to3`, which is gone
    BuildUse2to3 = "build.use_2to3", Package;
    /// the build backend raised an error
    BuildBackendError = "build.backend_error", Package;
    /// the build backend made no wheel, or not the one it named
    BuildNoWheel = "build.no_wheel", Package;
    /// an extension failed to compile and the build went on without it
    BuildExtensionDropped = "build.extension_dropped", Package;
    /// it cannot be installed
    Install = "install", Package;
    /// its tests need a module that nothing declares
    MissingTestDependency = "missing_test_dependency", Package;
    /// it needs a module that it does not declare
    UndeclaredDependency = "undeclared_dependency", Package;
    /// a library, header or program of the system is missing
    MissingSystemLibrary = "missing_system_library", Environment;
    /// it needs a network, and there is none
    NetworkNeeded = "network_needed", Environment;
    /// it needs a service that is not there
    ServiceNeeded = "service_needed", Environment;
    /// it needs a display
    DisplayNeeded = "display_needed", Environment;
    /// it needs credentials
    CredentialsNeeded = "credentials_needed", Environment;
    /// it depends on a locale or a time zone
    LocaleOrTimezone = "locale_or_timezone", Environment;
    /// a file or folder may not be written or read
    FilePermission = "file_permission", Environment;
    /// the box refused a system call in the step that failed
    LimitedByBox = "limited_by_box", Environment;
    // crash
    /// segmentation fault
    Segfault = "segfault", Package;
    /// abort
    Abort = "abort", Package;
    /// Fatal Python error
    FatalPythonError = "fatal_python_error", Package;
    /// illegal instruction
    IllegalInstruction = "illegal_instruction", Package;
    /// ended by another signal
    OtherSignal = "other_signal", Package;
    // killed
    /// over its time of wall clock or CPU
    TimeLimit = "time_limit", Package;
    /// did nothing for too long
    Inactivity = "inactivity", Package;
    /// over its memory
    MemoryLimit = "memory_limit", Package;
    /// over its number of processes
    PidsLimit = "pids_limit", Package;
    /// wrote too much output
    LogLimit = "log_limit", Package;
    /// filled its disk
    DiskLimit = "disk_limit", Package;
    // beside load and install
    /// there are no tests to run
    NoTests = "no_tests", Package;
    /// there is no sdist, where tests would be
    NoSdist = "no_sdist", Package;
    /// the test environment could not take the same dependencies as the runtime environment
    TestEnvDiffers = "test_env_differs", Dependency;
    /// the wheel built from the sdist has other files than the published one
    WheelDiffers = "wheel_differs", Package;
    /// processes outlived the step that started them
    Survivors = "survivors", Package;
    /// tests did not come to the same when they were run again
    FlakyTests = "flaky_tests", Package;
    /// the release was yanked
    Yanked = "yanked", Package;
    /// starting the interpreter does something new
    StartChanged = "start_changed", Package;
    // skip
    /// too big for the size policy
    SizePolicy = "size_policy", Environment;
    /// left out by policy or by who asked
    Policy = "policy", Environment;
    /// known to give no reliable result
    Unreliable = "unreliable", Package;
    // na
    /// needs another version of Python
    RequiresPython = "requires_python", Package;
    /// written for Python 2 only
    Python2Only = "python2_only", Package;
    /// files for Windows only
    WindowsOnly = "windows_only", Package;
    /// files for macOS only
    MacosOnly = "macos_only", Package;
    /// no wheel for this platform and no sdist
    NoMatchingWheel = "no_matching_wheel", Package;
    /// needs hardware that is not there
    Hardware = "hardware", Environment;
    // broken
    /// the release has no files
    NoFiles = "no_files", Package;
    /// the archive cannot be read, or lies
    BadArchive = "bad_archive", Package;
    /// the metadata cannot be read, or lies
    BadMetadata = "bad_metadata", Package;
    /// the bytes are not those that the index promised
    HashMismatch = "hash_mismatch", Environment;
    /// the index has put the project in quarantine
    Quarantined = "quarantined", Package;
    /// its requirements cannot be met
    Unresolvable = "unresolvable", Dependency;
    /// resolving needed too many builds
    ResolutionBudget = "resolution_budget", Dependency;
    /// the index does not know the name
    UnknownProject = "unknown_project", Environment;
    /// the build backend that it names does not exist
    BuildBackendMissing = "build_backend_missing", Package;
    /// it fails on purpose, with advice
    DeliberateError = "deliberate_error", Package;
    // error
    /// the box is not what it should be
    Testbed = "testbed", Us;
    /// a file could not be fetched
    Download = "download", Environment;
    /// the sandbox failed
    Sandbox = "sandbox", Us;
    /// results could not be stored
    Storage = "storage", Us;
    /// the worker or its agent died
    WorkerLost = "worker_lost", Us;
    /// it was interrupted
    Interrupted = "interrupted", Environment;
}

impl fmt::Display for ReasonCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// One reason, with what it is about and where the proof is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reason {
    /// The word.
    pub code: ReasonCode,
    /// Whose doing it is.
    pub blame: Blame,
    /// The task that met it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// What exactly: the module, the header, the limit. May hold text of the package.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub detail: Foreign,
    /// Sequence numbers of the events that show it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<u64>,
}

impl Reason {
    /// A reason with its usual blame.
    pub fn new(code: ReasonCode, detail: impl Into<Foreign>) -> Self {
        Self {
            code,
            blame: code.usual_blame(),
            task: None,
            detail: detail.into(),
            evidence: Vec::new(),
        }
    }

    /// The same, blamed on somebody else.
    #[must_use]
    pub fn blaming(mut self, blame: Blame) -> Self {
        self.blame = blame;
        self
    }

    /// The same, met by that task.
    #[must_use]
    pub fn in_task(mut self, task: impl Into<String>) -> Self {
        self.task = Some(task.into());
        self
    }
}

/// Answers *safe?*, never *works?*.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// No judge looked at it.
    #[default]
    NotJudged,
    /// Nothing beyond the baseline.
    Clean,
    /// Something worth knowing.
    Notable,
    /// Something that should be looked at before use.
    Suspicious,
    /// Harm was attempted.
    Harmful,
    /// The recording cannot tell.
    Inconclusive,
}

impl Verdict {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::NotJudged => "not_judged",
            Self::Clean => "clean",
            Self::Notable => "notable",
            Self::Suspicious => "suspicious",
            Self::Harmful => "harmful",
            Self::Inconclusive => "inconclusive",
        }
    }
}

/// What a job came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Outcome {
    /// By the strongest claim that held.
    pub status: Status,
    /// Why, most telling first.
    pub reasons: Vec<Reason>,
}

impl Outcome {
    /// An outcome with one reason.
    pub fn because(status: Status, reason: Reason) -> Self {
        Self {
            status,
            reasons: vec![reason],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_word_survives_json_and_is_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for code in ReasonCode::ALL {
            let json = serde_json::to_string(code).unwrap();
            assert_eq!(json, format!("\"{}\"", code.word()));
            assert_eq!(serde_json::from_str::<ReasonCode>(&json).unwrap(), *code);
            assert!(seen.insert(code.word()), "{code} twice");
            assert!(!code.meaning().is_empty());
        }
    }

    #[test]
    fn every_status_word_survives_json() {
        for status in Status::ALL {
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(json, format!("\"{status}\""));
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
    }
}
