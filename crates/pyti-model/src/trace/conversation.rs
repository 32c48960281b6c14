//! What was said on the network, as far as it was understood.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Transport;
use crate::effect::Captured;
use crate::foreign::Foreign;

/// What was said on one connection (TCP), or to one address (UDP).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Conversation {
    /// How it was carried.
    pub transport: Transport,
    /// The address that was called.
    pub address: std::net::IpAddr,
    /// The port.
    pub port: u16,
    /// The name behind the address: the last one that was resolved to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Foreign>,
    /// What was spoken inside TLS, if there was any: `http`, `smtp`, `ftp`, `websocket`, `stratum`, `metadata`, `redis`…; `raw`
    /// when it is nothing that we know; `nothing` when nothing was said.
    pub language: String,
    /// The TLS around it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// Questions that were understood, in order, capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// What the process sent, after TLS was taken off: the first 64 KiB.
    pub sent: Captured,
    /// Bytes that it was answered.
    pub answered: u64,
    /// How long, microseconds.
    pub lasted_us: u64,
}

/// The TLS of a conversation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Tls {
    /// The name that was asked for (SNI).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<Foreign>,
    /// Protocols that were offered (ALPN).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offered: Vec<Foreign>,
    /// Whether our certificate was taken.
    pub accepted: bool,
    /// Why not: the alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
}

/// A question that was understood, and what it was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchange {
    /// `GET`, `POST`, `MAIL FROM`, `mining.subscribe`.
    pub verb: Foreign,
    /// URL path and query, address, parameters.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub target: Foreign,
    /// The host that it was for, as the question says (`Host`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<Foreign>,
    /// Header fields, capped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<(Foreign, Foreign)>,
    /// The body, capped.
    #[serde(default, skip_serializing_if = "is_silent")]
    pub body: Captured,
    /// Status that was answered: `200`, `250`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub answer: String,
}

fn is_silent(body: &Captured) -> bool {
    body.total == 0
}
