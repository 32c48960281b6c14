//! Packets of the box, as far as telling whom they are for needs them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pyti_model::trace::Transport;

use crate::network::{BOX, BOX_V6, ROUTER};

/// Extension headers of IPv6 that are skipped before a packet is given up.
const EXTENSIONS: usize = 6;

/// Whom a packet is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Called {
    /// `tcp`, `udp`, `icmp` or the protocol's number.
    pub(crate) protocol: String,
    pub(crate) address: IpAddr,
    /// For TCP and UDP.
    pub(crate) port: Option<u16>,
}

impl Called {
    pub(crate) fn transport(&self) -> Transport {
        match self.protocol.as_str() {
            "tcp" => Transport::Tcp,
            "udp" => Transport::Udp,
            "icmp" => Transport::Icmp,
            _ => Transport::Other,
        }
    }
}

/// Whom a packet from the box is for; `None` when it is for the router's names, not from the box, or one that the kernel
/// sends by itself.
pub(crate) fn called(packet: &[u8]) -> Option<Called> {
    match packet.first()? >> 4 {
        4 => fourth(packet),
        6 => sixth(packet),
        _ => None,
    }
}

/// What an echo request carries, of the same kind of packet; `None` when it is none.
pub(crate) fn echo(packet: &[u8]) -> Option<&[u8]> {
    let (kind, behind) = match packet.first()? >> 4 {
        4 if packet.get(9) == Some(&1) => (8, packet.get(usize::from(packet[0] & 15) * 4..)?),
        6 if packet.get(6) == Some(&58) => (128, packet.get(40..)?),
        _ => return None,
    };
    if behind.first() == Some(&kind) {
        behind.get(8..)
    } else {
        None
    }
}

fn fourth(packet: &[u8]) -> Option<Called> {
    let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
    if from != BOX.octets() {
        return None;
    }
    let behind = packet.get(usize::from(packet[0] & 15) * 4..).unwrap_or_default();
    // unreachable: the kernel's answer to what nobody waited for
    if packet[9] == 1 && behind.first() == Some(&3) {
        return None;
    }
    let called = named(packet[9], IpAddr::from(Ipv4Addr::from(to)), behind);
    (called.address != IpAddr::from(ROUTER) || called.port != Some(53)).then_some(called)
}

fn sixth(packet: &[u8]) -> Option<Called> {
    let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
    let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
    if from != BOX_V6.octets() {
        return None;
    }
    let (mut protocol, mut behind) = (packet[6], packet.get(40..).unwrap_or_default());
    for _ in 0..EXTENSIONS {
        // hop by hop, routing, fragment, destination
        if !matches!(protocol, 0 | 43 | 44 | 60) {
            break;
        }
        let length = match (protocol, behind.get(1)) {
            (44, _) | (_, None) => 8,
            (_, Some(eights)) => 8 + usize::from(*eights) * 8,
        };
        protocol = *behind.first()?;
        behind = behind.get(length..).unwrap_or_default();
    }
    // unreachable, and what the kernel asks its neighbours by itself
    if protocol == 58 && matches!(behind.first(), Some(1 | 130..=137 | 143)) {
        return None;
    }
    Some(named(protocol, IpAddr::from(Ipv6Addr::from(to)), behind))
}

fn named(protocol: u8, address: IpAddr, behind: &[u8]) -> Called {
    let port = || {
        behind
            .get(2..4)
            .map(|port| u16::from_be_bytes([port[0], port[1]]))
    };
    let (protocol, port) = match protocol {
        1 | 58 => ("icmp".to_owned(), None),
        6 => ("tcp".to_owned(), port()),
        17 => ("udp".to_owned(), port()),
        other => (other.to_string(), None),
    };
    Called {
        protocol,
        address,
        port,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: [u8; 4], protocol: u8, behind: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend(BOX.octets());
        packet.extend(address);
        packet.extend(behind);
        packet
    }

    fn to_v6(protocol: u8, behind: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x60, 0, 0, 0, 0, 0, protocol, 64];
        packet.extend(BOX_V6.octets());
        packet.extend("2001:db8::7".parse::<Ipv6Addr>().unwrap().octets());
        packet.extend(behind);
        packet
    }

    fn text(packet: &[u8]) -> String {
        called(packet).map_or_else(String::new, |called| {
            format!("{} {} {:?}", called.protocol, called.address, called.port)
        })
    }

    #[test]
    fn packets_are_read_and_the_routers_own_left_out() {
        let ports = [0x80, 0, 0x15, 0x38];
        assert_eq!(
            text(&to([203, 0, 113, 5], 6, &ports)),
            "tcp 203.0.113.5 Some(5432)"
        );
        assert_eq!(
            text(&to([203, 0, 113, 5], 17, &ports)),
            "udp 203.0.113.5 Some(5432)"
        );
        assert_eq!(text(&to(ROUTER.octets(), 17, &[0x80, 0, 0, 53])), "");
        assert_eq!(
            text(&to([203, 0, 113, 5], 17, &[0x80, 0, 0, 53])),
            "udp 203.0.113.5 Some(53)"
        );
        assert_eq!(text(&to([203, 0, 113, 5], 1, &[8, 0])), "icmp 203.0.113.5 None");
        assert_eq!(text(&to([203, 0, 113, 5], 1, &[3, 3])), "", "the kernel's own");
        assert_eq!(text(&to([203, 0, 113, 5], 47, &[])), "47 203.0.113.5 None");
        let mut strange = to([203, 0, 113, 5], 6, &ports);
        strange[12] = 11;
        assert_eq!(text(&strange), "", "not from the box");
    }

    #[test]
    fn packets_of_ipv6_are_read_and_what_the_kernel_sends_left_out() {
        let ports = [0x80, 0, 0x15, 0x38];
        assert_eq!(text(&to_v6(6, &ports)), "tcp 2001:db8::7 Some(5432)");
        assert_eq!(text(&to_v6(58, &[128, 0])), "icmp 2001:db8::7 None");
        assert_eq!(text(&to_v6(58, &[135, 0])), "", "a neighbour is looked for");
        let behind_options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &ports].concat();
        assert_eq!(text(&to_v6(0, &behind_options)), "udp 2001:db8::7 Some(5432)");
    }

    #[test]
    fn what_an_echo_carries_is_read() {
        let asked = [&[8, 0, 1, 2, 0, 1, 0, 1][..], b"payload"].concat();
        assert_eq!(echo(&to([203, 0, 113, 5], 1, &asked)), Some(&b"payload"[..]));
        assert_eq!(echo(&to([203, 0, 113, 5], 6, &asked)), None);
        assert_eq!(echo(&to([203, 0, 113, 5], 1, &[0; 12])), None, "an answer");
        let asked = [&[128, 0, 1, 2, 0, 1, 0, 1][..], b"payload"].concat();
        assert_eq!(echo(&to_v6(58, &asked)), Some(&b"payload"[..]));
    }

    #[test]
    fn cut_packets_do_no_harm() {
        for whole in [
            to([1, 2, 3, 4], 6, &[0; 8]),
            to_v6(60, &[6, 255, 0, 0, 0, 0, 0, 0]),
        ] {
            for cut in 0..whole.len() {
                let _ = (called(&whole[..cut]), echo(&whole[..cut]));
            }
        }
        let _ = called(&[0xff; 200]);
        let _ = called(&[0x4f; 60]);
    }
}
