//! What the processes of a command did, as it was seen from outside them.
//!
//! A [`Trace`] has several sources, and each proves something else: the notification of system calls tells what was
//! *attempted*, by whom and in which order; the simulated network tells what was *sent*; a look into what a command
//! opened, sent or wrote tells which *decoy* was used. What really changed in the file system is told by the
//! difference of layers ([`crate::effect::Change`]), not here.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::distribution::Digest;
use crate::effect::{Exit, Loss};
use crate::foreign::Foreign;

mod conversation;
mod decoy;
mod place;

pub use conversation::{Conversation, Exchange, Tls};
pub use decoy::{Decoy, DecoyPlace, DecoyUse};
pub use place::{EventRef, NoEventRef};

/// How much was looked at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Nothing but refused calls.
    #[default]
    None,
    /// All kept calls but those that only read: files opened for reading and looks at files are not seen.
    Light,
    /// All kept calls but looks: files that are opened are seen, those that are only asked about (`stat` and its kin), and
    /// lists of folders, are not.
    Opens,
    /// All kept calls.
    Full,
}

/// Everything that was seen of one command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Trace {
    /// How much was looked at.
    pub form: Form,
    /// The processes, in the order in which they were seen first; the first is the command's own.
    pub processes: Vec<Process>,
    /// What they did, in order, without what was only counted.
    pub acts: Vec<Act>,
    /// What was counted and not listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Count>,
    /// What is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
}

/// One process. A process that executes another program stays the same process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    /// Its place in [`Trace::processes`]. Numbers of the system are used again, this one is not.
    pub number: u32,
    /// The process that started it, where it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<u32>,
    /// Its number inside the box.
    pub pid: i32,
    /// When it began, microseconds since the command began; where only its first act is known, the time of that.
    pub began_us: u64,
    /// Its end, where it was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<End>,
    /// The executable that it runs at last; what it executed before is in its [`Deed::Execute`]s.
    pub executable: Foreign,
    /// The arguments that go with it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub argv: Vec<Foreign>,
}

/// The end of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct End {
    /// Microseconds since the command began; no earlier than the real end, and at most a look later.
    pub at_us: u64,
    /// How, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit: Option<Exit>,
}

/// One thing that a process did or tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Act {
    /// Microseconds since the command began.
    pub at_us: u64,
    /// The process: a place in [`Trace::processes`]; `None` when nobody knows who it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<u32>,
    /// Whether it came about.
    #[serde(default, skip_serializing_if = "Result::is_attempted")]
    pub result: Result,
    /// How often in a row, when the same was done again at once.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// What.
    #[serde(flatten)]
    pub deed: Deed,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

/// Whether an act came about. The three are never mixed up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Result {
    /// It was tried; what came of it is not known.
    #[default]
    Attempted,
    /// It was done: another source confirms it.
    Done,
    /// It did not work: name of the error (`ENOENT`).
    Failed(String),
    /// The box refused it.
    Refused,
}

impl Result {
    fn is_attempted(&self) -> bool {
        *self == Self::Attempted
    }
}

/// What a process did or tried. Paths are absolute and as seen inside the box.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "deed")]
pub enum Deed {
    /// Executed a program (`execve`, `execveat`). Failed looks along PATH are only counted.
    Execute {
        /// The program, links followed where that was possible.
        path: Foreign,
        /// Its arguments, as far as they fit.
        argv: Vec<Foreign>,
        /// Arguments that are not listed.
        #[serde(default, skip_serializing_if = "is_zero")]
        argv_dropped: u32,
        /// The working folder.
        cwd: Foreign,
        /// Names of its environment variables, where they were looked at.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        variables: Vec<Foreign>,
        /// Where the program comes from.
        origin: Origin,
        /// Those of the descriptors 0, 1 and 2 that were internet sockets.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        sockets: Vec<u8>,
    },
    /// Opened a file.
    Open {
        /// The file.
        path: Foreign,
        /// What for.
        access: Access,
    },
    /// Looked at a file without opening it: `stat`, `access`, `readlink`.
    Look {
        /// The file.
        path: Foreign,
    },
    /// Read the names in a folder.
    List {
        /// The folder.
        path: Foreign,
    },
    /// Made a folder.
    MakeFolder {
        /// The folder.
        path: Foreign,
    },
    /// Made a pipe, socket or device in the file system.
    MakeNode {
        /// Its place.
        path: Foreign,
    },
    /// Renamed.
    Rename {
        /// From.
        from: Foreign,
        /// To.
        to: Foreign,
    },
    /// Made a link.
    Link {
        /// The new name.
        path: Foreign,
        /// What it points to.
        to: Foreign,
        /// Whether it is a symbolic one.
        symbolic: bool,
    },
    /// Removed a file or folder.
    Remove {
        /// The file.
        path: Foreign,
        /// Whether a folder was meant.
        folder: bool,
    },
    /// Changed permission bits.
    Mode {
        /// The file.
        path: Foreign,
        /// The bits.
        mode: u32,
    },
    /// Changed an owner.
    Owner {
        /// The file.
        path: Foreign,
    },
    /// Cut a file to a length.
    Truncate {
        /// The file.
        path: Foreign,
    },
    /// Made a file in memory that has no name in the file system.
    Memory {
        /// The name that it was given.
        name: Foreign,
    },
    /// Asked to be traced, or traced another (`ptrace`).
    Ptrace {
        /// `traceme`, `attach`, `seize`, `peek`, `poke`… or the number.
        request: String,
        /// Whom: number inside the box.
        target: i32,
    },
    /// Read or wrote the memory of a process (`process_vm_readv`, `process_vm_writev`).
    ForeignMemory {
        /// Whose: number inside the box.
        target: i32,
        /// Whether it wrote.
        write: bool,
    },
    /// Sent a signal to another process.
    Signal {
        /// To whom: number inside the box; negative for a group.
        target: i32,
        /// The signal's number.
        signal: i32,
    },
    /// Changed what it is itself: name, dumpability, user, session (`prctl`, `setuid`, `setsid`, `capset`…).
    Become {
        /// The call, with its option: `prctl set_name`, `setsid`.
        call: String,
        /// The new name, where it is one.
        #[serde(default, skip_serializing_if = "Foreign::is_empty")]
        text: Foreign,
    },
    /// Asked for what tells machines apart: `sysinfo`, `sched_getaffinity`.
    Inquire {
        /// The call.
        call: String,
    },
    /// Called something that the box refuses: `mount`, `unshare`, `bpf`.
    Forbidden {
        /// The call.
        call: String,
    },
    /// Took an address to listen at.
    Bind {
        /// The address.
        to: Endpoint,
    },
    /// Waits for connections.
    Listen {
        /// The address, where it was known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        at: Option<Endpoint>,
    },
    /// Connected.
    Connect {
        /// To whom.
        to: Endpoint,
        /// `tcp`, `udp` or `unix`.
        transport: Transport,
    },
    /// Sent without a connection.
    Send {
        /// To whom.
        to: Endpoint,
    },
    /// Asked for a name. Told by the simulated network.
    Resolve {
        /// The name, without its last dot.
        name: Foreign,
        /// Record type: `A`, `AAAA`, `TXT`…
        record: String,
        /// What was answered: addresses or texts; nothing when the name does not exist.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        answer: Vec<String>,
    },
    /// Spoke with somebody. Told by the simulated network.
    Converse(Box<Conversation>),
    /// Packets that no other source explains. Told by the tap of the simulated network.
    Packet {
        /// To whom.
        to: Endpoint,
        /// `tcp`, `udp`, `icmp` or the protocol's number.
        protocol: String,
    },
    /// A decoy was used.
    Decoy {
        /// Which: [`Decoy::id`].
        decoy: String,
        /// How.
        #[serde(flatten)]
        used: DecoyUse,
    },
    /// The interpreter itself told something (PEP 578): claimed by the process.
    Audit {
        /// The event: `ctypes.dlopen`, `exec`.
        name: String,
        /// Its first argument, cut.
        text: Foreign,
    },
    /// A kind that a newer version added.
    #[serde(other)]
    Unknown,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// Where a program comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The machine or image: `/usr`, or an interpreter's prefix.
    System,
    /// A file that was there when the command began: of the environment or the sources.
    Layer,
    /// A file that this command wrote.
    Written,
    /// A file without a name: in memory, or deleted.
    Nameless,
    /// Nobody knows.
    Unknown,
}

/// What a file was opened for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of the call")]
pub struct Access {
    /// To read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub read: bool,
    /// To write.
    #[serde(default, skip_serializing_if = "is_false")]
    pub write: bool,
    /// To write at the end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub append: bool,
    /// To make it where it is missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub create: bool,
    /// Only when it is missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub exclusive: bool,
    /// To empty it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub truncate: bool,
    /// Only when it is a folder.
    #[serde(default, skip_serializing_if = "is_false")]
    pub folder: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

/// How something is carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// ICMP.
    Icmp,
    /// A socket of the file system, or an abstract one.
    Unix,
    /// Another.
    Other,
}

/// Whom a socket call is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    /// An internet address.
    Ip {
        /// IPv4 or IPv6.
        address: std::net::IpAddr,
        /// Port; 0 where the protocol has none, or any was asked for.
        port: u16,
    },
    /// A socket of the file system; an abstract one begins with a zero byte.
    Unix(Foreign),
    /// Another family, or one that could not be read.
    Other(String),
}

/// Something that was counted and not listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// What: `open_system` (files of the machine read), `open_missing`, `execute_missing`, `look`, `toolchain`…
    pub what: String,
    /// How often.
    pub times: u64,
}

/// What a file holds that a command wrote: for those that matter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Written {
    /// The file.
    pub path: Foreign,
    /// Digest of its bytes.
    pub sha256: Digest,
    /// Its size, bytes.
    pub size: u64,
    /// Its first bytes.
    pub preview: Foreign,
    /// Whether it is a program: ELF, or text that begins with `#!`.
    #[serde(default, skip_serializing_if = "is_false")]
    pub program: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Captured;

    #[test]
    fn acts_survive_json_and_are_short() {
        let act = Act {
            at_us: 12,
            process: Some(3),
            result: Result::Failed("ENOENT".into()),
            times: 1,
            deed: Deed::Open {
                path: "/etc/passwd".into(),
                access: Access {
                    read: true,
                    ..Access::default()
                },
            },
        };
        let json = serde_json::to_string(&act).unwrap();
        assert_eq!(
            json,
            r#"{"at_us":12,"process":3,"result":{"failed":"ENOENT"},"deed":"open","path":"/etc/passwd","access":{"read":true}}"#
        );
        assert_eq!(serde_json::from_str::<Act>(&json).unwrap(), act);
    }

    #[test]
    fn a_kind_of_a_newer_version_is_skipped() {
        let json = r#"{"at_us":1,"deed":"teleport","where":"moon"}"#;
        assert_eq!(serde_json::from_str::<Act>(json).unwrap().deed, Deed::Unknown);
    }

    #[test]
    fn conversations_survive_json() {
        let conversation = Conversation {
            transport: Transport::Tcp,
            address: "198.18.0.7".parse().unwrap(),
            port: 443,
            host: Some("collector.example".into()),
            language: "http".into(),
            tls: Some(Tls::default()),
            exchanges: vec![Exchange {
                verb: "POST".into(),
                target: "/x".into(),
                host: None,
                headers: vec![("a".into(), Foreign::new(b"\xff".to_vec()))],
                body: Captured::default(),
                answer: "200".into(),
            }],
            sent: Captured::default(),
            answered: 3,
            lasted_us: 4,
        };
        let deed = Deed::Converse(Box::new(conversation));
        let json = serde_json::to_string(&deed).unwrap();
        assert_eq!(serde_json::from_str::<Deed>(&json).unwrap(), deed);
    }
}
