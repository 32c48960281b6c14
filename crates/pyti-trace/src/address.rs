//! Socket addresses out of a process's memory.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use pyti_model::foreign::Foreign;
use pyti_model::trace::Endpoint;

/// Longest address that the kernel takes (`struct sockaddr_storage`).
pub(crate) const LONGEST: usize = 128;

/// Whom a connection goes to that is undone.
pub(crate) const NOBODY: &str = "nobody";

/// Reads a `struct sockaddr`.
pub(crate) fn endpoint(bytes: &[u8]) -> Endpoint {
    let family = match bytes {
        [low, high, ..] => i32::from(u16::from_ne_bytes([*low, *high])),
        _ => return Endpoint::Other("no address".to_owned()),
    };
    let port = || Some(u16::from_be_bytes([*bytes.get(2)?, *bytes.get(3)?]));
    let read = match family {
        libc::AF_INET => (|| {
            let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Some(Endpoint::Ip {
                address: IpAddr::V4(Ipv4Addr::from(address)),
                port: port()?,
            })
        })(),
        libc::AF_INET6 => (|| {
            let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Some(Endpoint::Ip {
                address: IpAddr::V6(Ipv6Addr::from(address)),
                port: port()?,
            })
        })(),
        libc::AF_UNIX => {
            let name = bytes.get(2..).unwrap_or_default();
            // an abstract name begins with a zero and has no other end than its length
            let name = match name.first() {
                Some(0) => name,
                _ => name.split(|byte| *byte == 0).next().unwrap_or_default(),
            };
            Some(Endpoint::Unix(Foreign::new(name)))
        }
        // connecting to nobody undoes a connection
        libc::AF_UNSPEC => Some(Endpoint::Other(NOBODY.to_owned())),
        _ => None,
    };
    read.unwrap_or_else(|| Endpoint::Other(format!("family {family}")))
}

/// The internet address of an endpoint, an IPv4 address in IPv6's clothes taken out of them.
pub(crate) fn internet(endpoint: &Endpoint) -> Option<SocketAddr> {
    match endpoint {
        Endpoint::Ip { address, port } => Some(SocketAddr::new(address.to_canonical(), *port)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn family(number: i32) -> Vec<u8> {
        u16::try_from(number).unwrap().to_ne_bytes().to_vec()
    }

    #[test]
    fn addresses_are_read() {
        let mut v4 = family(libc::AF_INET);
        v4.extend([0x1, 0xbb, 203, 0, 113, 5, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(
            endpoint(&v4),
            Endpoint::Ip {
                address: "203.0.113.5".parse().unwrap(),
                port: 443
            }
        );
        let mut v6 = family(libc::AF_INET6);
        v6.extend([0, 53, 0, 0, 0, 0]);
        v6.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
        assert_eq!(
            endpoint(&v6),
            Endpoint::Ip {
                address: "2001:db8::1".parse().unwrap(),
                port: 53
            }
        );
        let mut named = family(libc::AF_UNIX);
        named.extend(b"/run/x\0rest");
        assert_eq!(endpoint(&named), Endpoint::Unix("/run/x".into()));
        let mut nameless = family(libc::AF_UNIX);
        nameless.extend(b"\0a\0b");
        assert_eq!(
            endpoint(&nameless),
            Endpoint::Unix(Foreign::new(b"\0a\0b".to_vec()))
        );
        assert_eq!(
            endpoint(&family(libc::AF_INET)),
            Endpoint::Other("family 2".into())
        );
        assert_eq!(endpoint(&[]), Endpoint::Other("no address".into()));
    }

    #[test]
    fn mapped_addresses_lose_their_clothes() {
        let mapped = Endpoint::Ip {
            address: "::ffff:203.0.113.5".parse().unwrap(),
            port: 80,
        };
        assert_eq!(internet(&mapped), Some("203.0.113.5:80".parse().unwrap()));
        assert_eq!(internet(&Endpoint::Unix("/x".into())), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_some_address(bytes in proptest::collection::vec(any::<u8>(), 0..LONGEST)) {
            let _ = internet(&endpoint(&bytes));
        }
    }
}
