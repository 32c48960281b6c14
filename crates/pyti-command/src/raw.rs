//! The Raw Data API's names: segments of recordings, and the manifest that a delivery names them by.

use std::collections::BTreeMap;

use pyti_dispatch::{Label, Lease};
use pyti_model::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Most bytes of a segment as stored: one frame of zstd.
pub const SEGMENT_BYTES: usize = 1 << 20;
/// Most bytes of a segment unpacked.
pub const UNPACKED_BYTES: u64 = 16 << 20;
/// Most segments of one stream.
pub const SEGMENTS: usize = 4096;
/// The header that names the lease when a file is fetched.
pub const LEASE_HEADER: &str = "pyti-lease";

/// A stream of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StreamName {
    /// The recording. Its segments one after another are the recording's file.
    Events,
    /// The recording of an empty package in the same circumstances; may be absent.
    Baseline,
}

impl StreamName {
    /// All.
    pub const ALL: [Self; 2] = [Self::Events, Self::Baseline];

    /// The word, as in addresses.
    pub fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Baseline => "baseline",
        }
    }

    /// The same as a name of the store.
    ///
    /// # Panics
    ///
    /// Never: the words are names.
    pub fn label(self) -> Label {
        self.word().parse().unwrap_or_else(|_| unreachable!())
    }

    /// The stream of this word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|stream| stream.word() == word)
    }
}

/// One segment that was put.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SegmentRef {
    /// Its content.
    pub sha256: Digest,
    /// Its size as stored, bytes.
    pub size: u64,
}

/// Everything that belongs to a delivery: for each stream its segments, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Manifest(pub BTreeMap<StreamName, Vec<SegmentRef>>);

/// Answer to `GET /raw/v1/{lease}/{stream}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextSegment {
    /// The first number that is not there.
    pub next: u32,
}

/// Where a segment is put.
pub fn segment_path(lease: &Lease, stream: StreamName, seq: u32) -> String {
    format!("/raw/v1/{lease}/{}/{seq}", stream.word())
}

/// Where it is asked how far a stream is.
pub fn stream_path(lease: &Lease, stream: StreamName) -> String {
    format!("/raw/v1/{lease}/{}", stream.word())
}

/// Where a captured file is.
pub fn file_path(sha256: &Digest) -> String {
    format!("/file/v1/{sha256}")
}
