//! What an index can do wrong.

use std::sync::atomic::{AtomicU32, Ordering};

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is answered, and the connection stays open.
    Stall,
    /// This status is answered, the first so many times.
    Status {
        /// The status: 500, 503, 404…
        code: u16,
        /// How often, before all is well.
        times: u32,
    },
    /// The connection is closed after so many bytes of the body, less than were announced.
    Truncate {
        /// Bytes that are sent.
        after: u64,
    },
    /// One byte of the body is another: hashes do not match.
    WrongHash,
    /// A page for people is sent, whatever was asked for, with status 200.
    Html,
    /// The body comes slowly.
    Slow {
        /// Bytes a second.
        bytes_per_second: u64,
    },
    /// The body is followed by blanks until it has so many bytes.
    Huge {
        /// Bytes in all.
        bytes: u64,
    },
    /// The connection is closed without an answer.
    Close,
    /// Ranges are ignored: the whole file comes, with status 200.
    NoRanges,
    /// Core metadata beside files is neither announced nor there.
    NoMetadata,
    /// Only HTML is spoken, whatever `Accept` says.
    NoJson,
    /// No `ETag` is given.
    NoEtag,
    /// The changelog was set back: its serials are lower than they were.
    Backwards,
    /// The changelog leaves out every event whose serial three divides.
    Forgetful,
    /// Pages and the root tell no serials.
    NoSerials,
}

/// What goes wrong where.
#[derive(Debug, Default)]
pub struct Faults {
    rules: Vec<(String, Fault, AtomicU32)>,
}

impl Faults {
    /// An index without faults.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same, and this goes wrong where the path holds `part` (everywhere when it is empty).
    #[must_use]
    pub fn on(mut self, part: &str, fault: Fault) -> Self {
        self.rules.push((part.to_owned(), fault, AtomicU32::new(0)));
        self
    }

    /// What goes wrong with a request for `path`, now.
    pub(crate) fn of(&self, path: &str) -> Vec<Fault> {
        self.rules
            .iter()
            .filter(|(part, ..)| path.contains(part.as_str()))
            .filter(|(_, fault, met)| match fault {
                Fault::Status { times, .. } => met.fetch_add(1, Ordering::SeqCst) < *times,
                _ => true,
            })
            .map(|(_, fault, _)| *fault)
            .collect()
    }
}
