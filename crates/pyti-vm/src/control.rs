//! What host and guest tell each other besides the Raw Data API. Pure.
//!
//! Each message is one JSON object in one frame. The host asks and the guest answers with the same number; what the
//! guest tells by itself has the number 0.

use pyti_model::foreign::Foreign;
use serde::{Deserialize, Serialize};

/// Version of this protocol: a guest of another one is not spoken with.
pub const VERSION: u32 = 1;

/// From the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its number, from 1.
    pub id: u32,
    /// What is asked.
    pub what: Ask,
}

/// What a host asks of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ask {
    /// Is somebody there?
    Ping,
    /// Runs a fixed loop for so many milliseconds, and says how far it came.
    Calibrate {
        /// Milliseconds.
        ms: u32,
    },
    /// Reads what jobs will need, so that a template has it in memory.
    Warm {
        /// A program of the image and its arguments.
        argv: Vec<String>,
    },
    /// Sets the clock and stirs in entropy: clones of one template share both. Before anything else of a job.
    Prepare {
        /// Nanoseconds since 1970.
        unix_ns: u64,
        /// At least 32 random bytes.
        entropy: Vec<u8>,
    },
    /// Looks at the job's disk anew and mounts it.
    MountJob,
    /// Starts the agent.
    Open {
        /// Bytes that all layers may take together.
        layers_bytes: u64,
        /// Files and folders that all layers may hold together.
        layers_inodes: u64,
        /// Bytes of memory of the whole job.
        memory_bytes: u64,
        /// Folders of the image that every box shows besides `/usr`.
        prefixes: Vec<String>,
    },
    /// A file for the job's cache follows on this stream, to its end.
    File {
        /// The stream; odd, so that it is no stream of the guest's.
        stream: u32,
        /// Where it goes, below the cache.
        path: String,
        /// Its size, bytes.
        size: u64,
    },
    /// What shows that somebody was at the kernel.
    Facts,
}

/// From the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// The number of the question, or 0.
    pub id: u32,
    /// What is told.
    pub what: Tell,
}

/// What a guest tells its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tell {
    /// It is there: told once, after the boot.
    Hello {
        /// [`VERSION`] of the guest.
        version: u32,
        /// Release of its kernel.
        kernel: String,
        /// Milliseconds since its kernel began.
        uptime_ms: u64,
    },
    /// What was asked is done.
    Done,
    /// How far a calibration came: rounds of the loop a millisecond.
    Rounds {
        /// Rounds.
        per_ms: u64,
    },
    /// What was asked could not be done.
    Failed {
        /// What was being done.
        step: String,
        /// The error's number, or 0.
        errno: i32,
        /// The error.
        text: String,
    },
    /// A connection to the lens was opened on this stream.
    Lens {
        /// The stream; even, from 2 on, each number once.
        stream: u32,
    },
    /// Nothing to tell; the guest lives.
    Alive,
    /// The agent ended.
    Ended {
        /// What it said on standard error.
        complaint: Foreign,
    },
    /// What the kernel shows of itself.
    Facts {
        /// `/proc/sys/kernel/tainted`.
        tainted: u64,
        /// Names of modules that are loaded now and were not when the job began.
        modules: Vec<String>,
    },
}

/// Parses a message of a guest. `None` when it is none.
pub fn told(bytes: &[u8]) -> Option<Told> {
    serde_json::from_slice(bytes).ok()
}

/// A message as the bytes of a frame.
pub fn bytes<T: Serialize>(message: &T) -> Vec<u8> {
    serde_json::to_vec(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_survives_the_wire_and_nonsense_is_none() {
        let hello = Told {
            id: 0,
            what: Tell::Hello {
                version: VERSION,
                kernel: "6.12".to_owned(),
                uptime_ms: 3,
            },
        };
        assert_eq!(told(&bytes(&hello)), Some(hello));
        for nonsense in [
            "",
            "[]",
            "{}",
            "{\"id\":0}",
            "{\"id\":-1,\"what\":\"alive\"}",
            "{\"id\":0,\"what\":\"else\"}",
        ] {
            assert_eq!(told(nonsense.as_bytes()), None, "{nonsense}");
        }
    }
}
