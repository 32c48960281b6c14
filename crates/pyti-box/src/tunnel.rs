//! What both ends of a connection that is let through do alike: see [`crate::protocol::OpenTunnel`].

use std::io::Read;

use pyti_model::foreign::Foreign;

use crate::protocol::{TunnelData, TunnelPart};
use crate::rpc::Peer;

/// Most bytes of one message.
const PART: usize = 32 << 10;

/// Passes on what is said on this side, to its end or that of the other side.
pub fn pass_on(mut from: impl Read, peer: &Peer, tunnel: u64) {
    let mut buffer = vec![0; PART];
    loop {
        // a connection that breaks says no more
        let read = from.read(&mut buffer).unwrap_or(0);
        let part = TunnelPart {
            tunnel,
            bytes: Foreign::new(&buffer[..read]),
            last: read == 0,
        };
        if peer.notify::<TunnelData>(&part).is_err() || read == 0 {
            return;
        }
    }
}
