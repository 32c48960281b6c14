//! What a command in a box did.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Exit {
    /// It called exit.
    Code(i32),
    /// A signal ended it.
    Signal(i32),
}

impl Exit {
    /// Whether it ended by exit code 0.
    pub fn is_success(self) -> bool {
        self == Self::Code(0)
    }
}

/// A limit that a command hit, and was ended by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    /// Wall-clock time.
    Wall,
    /// CPU time, all processes together.
    Cpu,
    /// Nothing written and (nearly) no CPU used for a time.
    Inactivity,
    /// Memory, all processes and their tmpfs together.
    Memory,
    /// Number of processes and threads.
    Processes,
    /// Bytes or files in the command's layer.
    Disk,
    /// Bytes written to standard output and error.
    Output,
}

/// What a command may use. Every limit is always on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// Wall-clock seconds.
    pub wall_s: u32,
    /// CPU seconds.
    pub cpu_s: u32,
    /// Seconds without output or CPU use.
    pub inactivity_s: u32,
    /// Bytes of memory.
    pub memory_bytes: u64,
    /// Bytes of disk that a command's layer may take.
    pub disk_bytes: u64,
    /// Files and folders that a command's layer may hold.
    pub disk_inodes: u64,
    /// Processes and threads.
    pub processes: u32,
    /// Open files of one process.
    pub open_files: u32,
    /// Bytes of the largest file.
    pub file_bytes: u64,
    /// Bytes of output after which the command is ended; of these the head and the tail are kept.
    pub output_bytes: u64,
}

impl Default for Limits {
    /// The documented defaults: 10 minutes of wall and CPU, 5 without activity, 2 GiB of memory and disk,
    /// 512 processes.
    fn default() -> Self {
        Self {
            wall_s: 600,
            cpu_s: 600,
            inactivity_s: 300,
            memory_bytes: 2 << 30,
            disk_bytes: 2 << 30,
            disk_inodes: 400_000,
            processes: 512,
            open_files: 4096,
            file_bytes: 2 << 30,
            output_bytes: 64 << 20,
        }
    }
}

/// What a command cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cost {
    /// Wall-clock seconds.
    pub wall_s: f64,
    /// CPU seconds in user mode, all processes that were waited for.
    pub user_s: f64,
    /// CPU seconds in the kernel.
    pub system_s: f64,
    /// Most memory at once, bytes, as far as the source knows (see [`Meter`]).
    pub peak_memory_bytes: u64,
    /// Most processes at once that were seen.
    pub peak_processes: u32,
    /// Processes and threads that were begun, where the box's own count could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u64>,
    /// Bytes that were read by system calls (files, pipes and sockets alike), all processes that were waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_bytes: Option<u64>,
    /// Bytes that were written by system calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_bytes: Option<u64>,
    /// Where memory and CPU were read from.
    pub meter: Meter,
}

impl Cost {
    /// CPU seconds, user and kernel.
    pub fn cpu_s(&self) -> f64 {
        self.user_s + self.system_s
    }
}

/// Where the cost was read from, and so how hard the memory limit is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Meter {
    /// A control group, version 2: exact, enforced by the kernel.
    CgroupV2,
    /// A control group, version 1: exact, enforced by the kernel.
    CgroupV1,
    /// `/proc` sampled and rusage: *weak*, short peaks are missed.
    #[default]
    Sampled,
}

/// Captured output of one stream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Captured {
    /// The first bytes.
    pub head: Foreign,
    /// The last bytes, when not all fitted into the head.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub tail: Foreign,
    /// All bytes that were written.
    pub total: u64,
}

impl Captured {
    /// Bytes between head and tail that were not kept.
    pub fn dropped(&self) -> u64 {
        self.total
            .saturating_sub((self.head.len() + self.tail.len()) as u64)
    }

    /// Head and tail as one text for looking things up, with a mark where bytes were dropped.
    pub fn text(&self) -> String {
        let mut text = self.head.lossy().into_owned();
        if self.dropped() > 0 {
            text.push_str("\n[… ");
            text.push_str(&self.dropped().to_string());
            text.push_str(" bytes not kept …]\n");
        }
        text.push_str(&self.tail.lossy());
        text
    }
}

/// A process that was still alive when the command's own process had ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Survivor {
    /// Its number inside the box.
    pub pid: i32,
    /// Its command line.
    pub argv: Vec<Foreign>,
    /// Whether it ended by itself while it was watched; else it was killed.
    pub ended_by_itself: bool,
}

/// A system call that the box refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Denial {
    /// The system call's name: `mount`.
    pub call: String,
    /// How often.
    pub times: u64,
    /// The executable of the process that tried first, where it could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executable: Option<Foreign>,
    /// The name of the error that it got: `EPERM`.
    pub answer: String,
}

/// What was tried on the network. Nothing left the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Contact {
    /// A name was asked for.
    Name {
        /// The name, without its last dot.
        name: Foreign,
        /// Record type: `A`, `AAAA`, `TXT`…
        record: String,
        /// How often.
        times: u64,
    },
    /// A packet went to an address where nobody is.
    Address {
        /// `tcp`, `udp`, `icmp` or the protocol's number.
        protocol: String,
        /// IPv4 or IPv6 address.
        address: String,
        /// Port, for TCP and UDP.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Packets seen.
        times: u64,
    },
}

/// One path that a task changed: the difference between the state before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// Absolute path inside the box.
    pub path: Foreign,
    /// What happened to it.
    pub what: Changed,
    /// Kind of file that is there now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<Entry>,
    /// Size in bytes, for files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// Permission bits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<u32>,
}

/// What happened to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Changed {
    /// It was not there before.
    Added,
    /// It was there, and its content, kind or mode was written.
    Modified,
    /// It is gone.
    Deleted,
}

/// Kind of a file system entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Entry {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link and where it points.
    Link(Foreign),
    /// A named pipe, socket or device.
    Special,
}

/// Something that a recording lost. A lossy recording is never better than inconclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "loss")]
pub enum Loss {
    /// The list of changes was cut at a cap.
    Changes {
        /// How many are missing.
        dropped: u64,
    },
    /// Results that a probe wrote were cut or could not be parsed.
    Results {
        /// Bytes that are missing or unreadable.
        bytes: u64,
    },
    /// Packets or names beyond the cap.
    Contacts {
        /// How many are missing.
        dropped: u64,
    },
    /// Denials were not recorded: why.
    Notifications {
        /// The reason.
        why: String,
    },
    /// Something was not searched for decoys: it was too big to be unpacked and looked into.
    Search {
        /// The command or file that it came from.
        of: Foreign,
    },
    /// The agent or its channel broke.
    Channel {
        /// The reason.
        why: String,
    },
}

/// Everything known about one command that ran in a box.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effect {
    /// What was run.
    pub argv: Vec<Foreign>,
    /// How its first process ended.
    pub exit: Exit,
    /// The limit that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// What it cost.
    pub cost: Cost,
    /// Standard output.
    pub stdout: Captured,
    /// Standard error.
    pub stderr: Captured,
    /// Who was alive at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub survivors: Vec<Survivor>,
    /// What the box refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub denials: Vec<Denial>,
    /// What was tried on the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contacts: Vec<Contact>,
    /// What is missing from this record.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
}

impl Effect {
    /// Wall-clock time as a duration.
    pub fn wall(&self) -> Duration {
        Duration::try_from_secs_f64(self.cost.wall_s).unwrap_or_default()
    }
}
