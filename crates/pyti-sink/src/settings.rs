//! What a simulated network is told: whom it stands for, what it hands out, whom it lets through, how much it keeps.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use crate::authority::Authority;

/// A simulated network, as a command may be given one. The same value serves any number of commands.
#[derive(Debug, Clone)]
pub struct Simulation {
    /// Who vouches for its names.
    pub authority: Arc<Authority>,
    /// What the metadata service of a cloud hands out.
    pub credentials: Credentials,
    /// Whoever is not simulated. Empty by default.
    pub allow: Vec<Allow>,
    /// How much of everything.
    pub caps: Caps,
}

impl Simulation {
    /// Everything as by default; the fields may be changed.
    pub fn new(authority: Arc<Authority>) -> Self {
        Self {
            authority,
            credentials: Credentials::default(),
            allow: Vec::new(),
            caps: Caps::default(),
        }
    }
}

/// What the metadata service of a cloud hands out. Empty fields are answered with "not found", as by a machine
/// without a role.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Name of the role of an AWS machine.
    pub aws_role: String,
    /// Its access key's id (`ASIA…`).
    pub aws_access_key_id: String,
    /// Its secret key.
    pub aws_secret_access_key: String,
    /// Its session token.
    pub aws_session_token: String,
    /// E-mail address of a Google service account.
    pub google_account: String,
    /// Its access token (`ya29.…`).
    pub google_token: String,
    /// Access token of an Azure identity.
    pub azure_token: String,
}

/// Somebody who is not simulated: what is said to him is passed on and recorded.
#[derive(Clone)]
pub struct Allow {
    /// The name, or the address where it is called by one.
    pub host: String,
    /// The port.
    pub port: u16,
    /// Opens a way to him. Called once for each connection, on the sink's own thread, so it must not wait for the other
    /// side: it makes a pair of sockets, hands one to whoever does the connecting, and gives the other back.
    pub connect: Connect,
}

/// Opens a way to somebody: see [`Allow::connect`].
pub type Connect = Arc<dyn Fn() -> io::Result<UnixStream> + Send + Sync>;

impl std::fmt::Debug for Allow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Allow({}:{})", self.host, self.port)
    }
}

/// How much a simulated network takes and keeps. What goes beyond is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caps {
    /// Connections at once. More are reset.
    pub connections: usize,
    /// Connections in all. More are reset.
    pub connections_in_all: u64,
    /// Acts that are kept.
    pub acts: usize,
    /// Bytes that are kept of what was said on one connection, and again of what was understood of it.
    pub conversation_bytes: usize,
    /// Bytes that are kept in all.
    pub bytes: usize,
    /// Questions that are kept of one connection.
    pub exchanges: usize,
    /// Names that get an address of their own.
    pub names: usize,
    /// Ports that are opened because somebody calls them.
    pub ports: usize,
    /// Partners of UDP that are told apart.
    pub flows: usize,
    /// A connection is closed when nothing was said for so long.
    pub idle: Duration,
    /// A connection is closed after so long in any case.
    pub lasting: Duration,
    /// Whoever has said nothing for so long is spoken to, where neither side is known to begin.
    pub silence: Duration,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            connections: 1000,
            connections_in_all: 10_000,
            acts: 4096,
            conversation_bytes: 64 << 10,
            bytes: 8 << 20,
            exchanges: 256,
            names: 4096,
            ports: 1024,
            flows: 1024,
            idle: Duration::from_secs(10),
            lasting: Duration::from_mins(2),
            silence: Duration::from_millis(1500),
        }
    }
}

/// Ports that are open from the start, so that most things work for a caller that nobody announced.
pub(crate) const TCP_PORTS: &[u16] = &[
    21,
    22,
    23,
    25,
    53,
    80,
    110,
    143,
    443,
    465,
    587,
    993,
    995,
    1337,
    2375,
    2525,
    3000,
    3128,
    3306,
    3333,
    4443,
    4444,
    5000,
    5432,
    5555,
    6379,
    6443,
    6667,
    7777,
    8000,
    8080,
    8443,
    8888,
    9000,
    9001,
    9999,
    14444,
    27017,
    PASSIVE_PORT,
];
/// The same for UDP: names, time, QUIC, logs.
pub(crate) const UDP_PORTS: &[u16] = &[53, 123, 443, 514, 4444, 5353];
/// Where files of FTP go.
pub(crate) const PASSIVE_PORT: u16 = 50_021;
