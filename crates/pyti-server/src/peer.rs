//! Who is at the other end of a connection.

use std::net::SocketAddr;

/// The other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Somebody over TCP.
    Tcp(SocketAddr),
    /// A process of this machine over the Unix socket, as the kernel told when it connected.
    Unix {
        /// Its user.
        uid: u32,
        /// Whether that user is root or the controller's own: then it may do everything.
        trusted: bool,
    },
}

impl Peer {
    /// Whether it may do what an administrator may.
    pub fn is_local(&self) -> bool {
        matches!(self, Self::Unix { trusted: true, .. })
    }

    /// By what calls without a token are counted.
    pub(crate) fn bucket(&self) -> String {
        match self {
            Self::Tcp(address) => address.ip().to_string(),
            Self::Unix { uid, .. } => format!("uid {uid}"),
        }
    }
}
