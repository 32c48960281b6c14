//! What of the network is nobody's contact.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pyti_model::trace::{Deed, Endpoint, Transport};

/// A connection of UDP sends nothing: so do resolvers that choose an address to come from.
pub(super) fn is_silent(deed: &Deed) -> bool {
    matches!(
        deed,
        Deed::Connect {
            transport: Transport::Udp,
            ..
        }
    )
}

/// The box's own resolver: what is asked there is told by [`Deed::Resolve`].
pub(super) fn is_resolver(to: &Endpoint) -> bool {
    const RESOLVERS: [IpAddr; 2] = [
        IpAddr::V4(Ipv4Addr::new(10, 0, 2, 2)),
        IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, 2)),
    ];
    matches!(to, Endpoint::Ip { address, port: 53 } if RESOLVERS.contains(&address.to_canonical()))
}

/// The longest part of a name, bytes.
pub(super) fn longest_label(name: &[u8]) -> u64 {
    name.split(|byte| *byte == b'.')
        .map(|label| label.len() as u64)
        .max()
        .unwrap_or(0)
}
