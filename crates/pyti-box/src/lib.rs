//! The Box interface: how a worker and the agent in a box talk, whatever isolates them.
//!
//! A backend (the namespace sandbox, later virtual machines) opens a box and gives two things: a byte channel to the
//! agent, and a handle whose drop destroys everything. Over the channel both sides speak the *Raw Data API*:
//! JSON-RPC 2.0, one message a line ([`rpc`]), with the methods of [`protocol`]. It has several rounds: the agent can
//! ask for more files and layers while it works.
//!
//! Nothing that arrives is trusted: lines are size-capped, messages are parsed into types, and an answer that fits
//! no question is an error.

pub mod protocol;
pub mod rpc;
pub mod schema;
pub mod tunnel;

use std::io::{self, Read, Write};

/// Both directions of the channel to an agent.
pub struct Channel {
    /// What the agent says.
    pub from_agent: Box<dyn Read + Send>,
    /// What is said to the agent.
    pub to_agent: Box<dyn Write + Send>,
}

/// A box that is open: dropping it destroys the box and everything in it.
pub trait OpenBox: Send {
    /// The channel to the agent. May be called once.
    fn channel(&mut self) -> io::Result<Channel>;
    /// Ends everything in the box now.
    fn kill(&mut self);
}

/// A way to isolate.
pub trait BoxBackend {
    /// What is needed to open a box.
    type Spec;
    /// Why one could not be opened.
    type Error: std::error::Error;
    /// Opens a box; its agent runs when this returns.
    fn open(&self, spec: &Self::Spec) -> Result<Box<dyn OpenBox>, Self::Error>;
}
