//! The words that rules are written in: kinds of facts, phases, scopes and keys.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $text:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum $name {
            $($(#[doc = $text])+ #[serde(rename = $word)] $variant,)+
        }

        impl $name {
            /// All, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The word, as in rules.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }

            /// One line about it.
            pub fn about(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($text),+).trim_ascii(),)+
                }
            }
        }
    };
}

words! {
    /// A kind of fact.
    Kind {
        /// A program was executed.
        Execute = "execute",
        /// A file was opened for reading.
        Read = "read",
        /// A file was opened for writing, renamed or linked to that name, cut, or is changed at the end.
        Write = "write",
        /// A file was looked at (`stat`), not opened.
        Look = "look",
        /// The names in a folder were read.
        List = "list",
        /// Something was renamed; `path` is the new name, `from` the old one.
        Rename = "rename",
        /// Something was removed, or is gone at the end.
        Remove = "remove",
        /// A file was cut to a length, or emptied when it was opened.
        Truncate = "truncate",
        /// Permission bits were changed.
        Mode = "mode",
        /// A file without a name was made in memory.
        Memory = "memory",
        /// `ptrace` was called.
        Ptrace = "ptrace",
        /// The memory of another process was read or written.
        ForeignMemory = "foreign_memory",
        /// A signal was sent.
        Signal = "signal",
        /// A process changed what it is itself: name, user, session.
        Become = "become",
        /// A process asked what tells machines apart.
        Inquire = "inquire",
        /// Something was called that the box refuses.
        Forbidden = "forbidden",
        /// An address was taken to listen at.
        Bind = "bind",
        /// A process waits for connections.
        Listen = "listen",
        /// A connection was tried.
        Connect = "connect",
        /// Something was sent without a connection.
        Send = "send",
        /// A name was asked for.
        Resolve = "resolve",
        /// Something was said to somebody.
        Converse = "converse",
        /// A packet that nothing else explains.
        Packet = "packet",
        /// A decoy's file was opened.
        DecoyRead = "decoy_read",
        /// A decoy's secret was in what was sent.
        DecoySent = "decoy_sent",
        /// A decoy's secret was in the arguments of a program.
        DecoyArgument = "decoy_argument",
        /// A decoy's secret was in a file that was written.
        DecoyWritten = "decoy_written",
        /// A decoy's secret was printed.
        DecoyPrinted = "decoy_printed",
        /// The interpreter told something (PEP 578).
        Audit = "audit",
        /// What a written file holds.
        File = "file",
        /// A process outlived its command.
        Survivor = "survivor",
        /// Starting the interpreter does something else than before the installation: `text` says what.
        StartDiffers = "start_differs",
        /// A `.pth` file that runs code was installed.
        PathFile = "path_file",
        /// A console script was installed: `name`.
        Script = "script",
        /// A module was imported: `path` is its file, `name` the module.
        Module = "module",
        /// A limit ended a command: `name` is the limit.
        Limit = "limit",
        /// A command lasted long and did next to nothing: `number` is seconds.
        Idle = "idle",
        /// A file of the published wheel that a build of the sdist does not give.
        WheelDiffers = "wheel_differs",
    }
}

words! {
    /// When something happened. It follows from the name of the task.
    Phase {
        /// The build was asked what it needs.
        Requires = "requires",
        /// It was built.
        Build = "build",
        /// It was installed.
        Install = "install",
        /// The interpreter was started, with nothing imported.
        Start = "start",
        /// It was imported.
        Import = "import",
        /// Its console scripts were run.
        Scripts = "scripts",
        /// Its functions were called.
        Exercise = "exercise",
        /// Its tests ran.
        Test = "test",
        /// Something else; judged like an import.
        Other = "other",
    }
}

impl Phase {
    /// The phase of a task: `build-sdist` is a build.
    pub fn of(task: &str) -> Self {
        let end = task.find(['-', ':', '@', '.']).unwrap_or(task.len());
        match &task[..end] {
            "requires" | "hook" => Self::Requires,
            "build" => Self::Build,
            "install" => Self::Install,
            "start" => Self::Start,
            "import" => Self::Import,
            "scripts" => Self::Scripts,
            "exercise" => Self::Exercise,
            "test" => Self::Test,
            _ => Self::Other,
        }
    }

    /// The beginning of a sentence.
    pub fn when(self) -> &'static str {
        match self {
            Self::Requires => "While it was asked what its build needs",
            Self::Build => "While it was built",
            Self::Install => "While it was installed",
            Self::Start => "When Python started, with nothing imported",
            Self::Import => "While it was imported",
            Self::Scripts => "While its commands were run",
            Self::Exercise => "While its functions were called",
            Self::Test => "While its tests ran",
            Self::Other => "While it was worked on",
        }
    }

    /// Whether the command's own process is a program of ours or the machine's that only starts what is foreign, so that
    /// two of its children have nothing to do with each other.
    pub(super) fn has_harness(self) -> bool {
        matches!(self, Self::Install | Self::Test)
    }
}

words! {
    /// How near to each other the steps of a rule have to happen.
    Within {
        /// In one process, whatever it executes.
        Process = "process",
        /// In one branch of processes: a process and all that descend from it.
        Branch = "branch",
        /// In one task.
        Task = "task",
        /// Anywhere in the recording.
        Job = "job",
    }
}

words! {
    /// What is counted, or told apart.
    Key {
        /// The path.
        Path = "path",
        /// The folder of the path.
        Folder = "folder",
        /// The host, else the address.
        Host = "host",
        /// The address.
        Address = "address",
        /// Whose tool a decoy belongs to.
        Tool = "tool",
        /// The decoy.
        Decoy = "decoy",
        /// The pattern of `path`, `call`, `host` or `program` that took it; a set counts as one.
        Pattern = "pattern",
        /// The name: of a script, a limit, a name that was asked for.
        Name = "name",
    }
}

/// Weights of a rule by phase.
pub type Weights = BTreeMap<Phase, pyti_model::finding::Severity>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_follow_from_the_names_of_tasks() {
        assert_eq!(Phase::of("build-sdist"), Phase::Build);
        assert_eq!(Phase::of("import@2"), Phase::Import);
        assert_eq!(Phase::of("tests"), Phase::Other);
        assert_eq!(Phase::of(""), Phase::Other);
    }

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for kind in Kind::ALL {
            let json = serde_json::to_string(kind).unwrap();
            assert_eq!(json, format!("\"{}\"", kind.word()));
            assert!(kind.about().ends_with('.'), "{}", kind.about());
        }
    }
}
