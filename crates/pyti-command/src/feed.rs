//! What the feeds are at.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::method::{Nothing, methods};

methods! {
    /// Where the feeds were read up to, and what waits to become jobs.
    Status = "feed.status", Anyone, reads: true, Nothing => FeedStatus;
}

/// One feed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedView {
    /// Its name.
    pub name: String,
    /// Where it was read up to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What it is at, for people.
    #[serde(default)]
    pub state: String,
    /// When it last answered, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub heard_ms: Option<u64>,
}

/// Of `feed.status`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FeedStatus {
    /// Every feed that is configured.
    pub feeds: Vec<FeedView>,
    /// Events that wait to become jobs.
    pub open: u64,
    /// When the oldest of them happened, milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_ms: Option<u64>,
}
