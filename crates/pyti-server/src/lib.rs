//! The controller of the service: it owns the store, gives jobs to workers, takes recordings, judges them, and answers.
//!
//! * [`Controller`]: the store, the queue's clock, signals, what everybody shares
//! * [`serve`](fn@serve): listeners (TCP, TLS, a Unix socket), limits, and the routes
//! * `rpc`, `methods`: `POST /rpc/v1`, the Command API; `raw`, `files`: segments of recordings and captured files
//! * `trust`: who may do what
//! * [`judging`]: status, findings and verdict from a recording, in a confined child
//! * `expand`, `capture`: from a target to files, specifications and jobs; files into the store
//! * `feed`: uploads of the index, as they happen
//!
//! docs/service.md tells how it is used, docs/protocol.md what is said, docs/security.md who is trusted with what.

mod capture;
mod config;
mod controller;
mod error;
mod expand;
mod feed;
mod files;
mod http;
pub mod judging;
mod methods;
mod orders;
mod peer;
mod raw;
mod rpc;
mod serve;
mod trust;
mod views;

pub use config::{ServeConfig, Tls};
pub use controller::Controller;
pub use error::ServerError;
pub use peer::Peer;
pub use serve::{Served, serve};
