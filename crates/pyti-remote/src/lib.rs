//! The worker's side of the service, and every other client of a controller.
//!
//! * [`address`], [`client`]: calls over TLS or a socket; [`link`]: a worker's sessions and patience
//! * [`home`], [`key`], [`spool`], [`segments`]: what a worker keeps on its disk
//! * [`carry`]: one job in a process of its own, with the code of `pyti run`
//! * [`work`]: taking jobs, carrying them out, delivering
//!
//! docs/worker.md tells how it works and why so.

pub mod address;
pub mod backoff;
pub mod carry;
pub mod client;
mod deliver;
mod fetch;
pub mod home;
pub mod key;
pub mod link;
pub mod news;
pub mod offers;
mod process;
pub mod segments;
pub mod spool;
mod tls;
pub mod work;

use sha2::Digest as _;

/// The digest of bytes.
pub fn sha256(bytes: &[u8]) -> pyti_model::Digest {
    pyti_model::Digest::from(<[u8; 32]>::from(sha2::Sha256::digest(bytes)))
}
