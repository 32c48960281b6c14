//! The network that isn't there: names, TLS, HTTP, mail and others are answered, and what was said is recorded.
//!
//! A [`Sink`] is one thread in a network namespace of its own, in which every address is local. It listens at the usual
//! ports of all addresses from the start; any other port is opened just before a call that somebody announces
//! ([`Handle::expect`]), which also tells which process the conversation belongs to. Nothing of what is said leaves the
//! namespace, but what goes to somebody who is let through by name ([`Allow`]).
//!
//! Whatever comes from a client is hostile: everything is capped ([`Caps`]), nothing is waited for, and what was not kept
//! is counted. `docs/sink.md` tells what is simulated, and what a program can notice.

mod authority;
mod connection;
mod dns;
mod flow;
mod languages;
mod names;
mod record;
mod relay;
mod server;
mod settings;
mod sink;
mod socket;
mod ties;

pub use authority::{Authority, BUNDLE_PLACES, trust_variables};
pub use record::Report;
pub use settings::{Allow, Caps, Connect, Credentials, Simulation};
pub use sink::{Handle, Sink};

/// Our own fault, or the machine's: what a client does is never an error.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// A certificate.
    #[error("cannot make a certificate")]
    Certificate(#[source] rcgen::Error),
    /// TLS.
    #[error("cannot speak TLS")]
    Tls(#[source] rustls::Error),
}
