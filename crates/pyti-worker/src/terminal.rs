//! The person's side of a shell in a box: bytes both ways, never a terminal itself.

use std::sync::Arc;

use pyti_box::protocol::{InputPart, TerminalInput, TerminalSize};
use pyti_box::rpc::{CallError, Peer};
use pyti_model::foreign::Foreign;

pub use pyti_box::protocol::{OutputStream, ShellEnd, ShellOrder, TerminalOrder, WindowSize};

/// Most bytes of one message.
const PART: usize = 32 << 10;

/// Who sits before a shell.
pub trait Terminal: Send + Sync {
    /// The shell runs; what is typed goes into this.
    fn opened(&self, input: Input);
    /// The shell, or what it started, wrote something: hostile bytes. May block; the shell waits then.
    fn output(&self, stream: OutputStream, bytes: &[u8]);
}

/// The way to a shell. When the shell has ended, everything is an error.
#[derive(Clone)]
pub struct Input {
    peer: Arc<Peer>,
}

impl Input {
    pub(crate) fn new(peer: Arc<Peer>) -> Self {
        Self { peer }
    }

    /// Types. Waits while the shell reads nothing.
    pub fn send(&self, bytes: &[u8]) -> Result<(), CallError> {
        bytes.chunks(PART).try_for_each(|part| self.part(part, false))
    }

    /// Nothing more will be typed. Means something only where the shell reads a pipe.
    pub fn end(&self) -> Result<(), CallError> {
        self.part(&[], true)
    }

    /// The window has another size.
    pub fn resize(&self, size: WindowSize) -> Result<(), CallError> {
        self.peer.notify::<TerminalSize>(&size)
    }

    fn part(&self, bytes: &[u8], last: bool) -> Result<(), CallError> {
        self.peer.notify::<TerminalInput>(&InputPart {
            bytes: Foreign::new(bytes),
            last,
        })
    }
}
