//! Each name gets an address of its own, so that a connection tells its host.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use pyti_model::foreign::Foreign;

/// First of the addresses for names: 198.18.0.0/15 is set aside for tests of networks (RFC 2544).
const FIRST: u32 = 0xc612_0000;
/// The same in IPv6, out of the range for documentation (RFC 3849).
const FIRST_V6: u128 = 0x2001_0db8_5afe_0000_0000_0000_0000_0000;
/// Most names that could ever have one.
const ROOM: u32 = (1 << 17) - 256;

/// Names and their addresses.
pub(crate) struct Names {
    cap: u32,
    /// By lower-case name.
    numbers: HashMap<Vec<u8>, u32>,
    /// As it was asked for last.
    asked: Vec<Foreign>,
    /// Names that had to share the last address.
    pub(crate) shared: u64,
    /// Hosts that are let through: they exist, whatever they are called.
    let_through: Vec<Vec<u8>>,
}

impl Names {
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            cap: u32::try_from(cap).unwrap_or(ROOM).clamp(1, ROOM),
            numbers: HashMap::new(),
            asked: Vec::new(),
            shared: 0,
            let_through: Vec::new(),
        }
    }

    /// The same names, and besides those of hosts which are let through.
    pub(crate) fn with(self, let_through: Vec<Vec<u8>>) -> Self {
        Self { let_through, ..self }
    }

    /// Whether a name is that of a host which is let through.
    pub(crate) fn is_let_through(&self, name: &[u8]) -> bool {
        self.let_through
            .iter()
            .any(|host| host.eq_ignore_ascii_case(name))
    }

    /// The addresses of a name.
    pub(crate) fn addresses(&mut self, name: &[u8]) -> (Ipv4Addr, Ipv6Addr) {
        let key = name.to_ascii_lowercase();
        let number = match self.numbers.get(&key) {
            Some(number) => *number,
            None => self.add(key),
        };
        if let Some(slot) = self.asked.get_mut(number as usize) {
            *slot = Foreign::new(name);
        }
        // .0 and .255 look odd, and so do neighbours: 37 has no factor in common with 254
        let (block, place) = (number / 254, number % 254);
        let v4 = FIRST + (block << 8) + 1 + (place * 37 + 16) % 254;
        (
            Ipv4Addr::from(v4),
            Ipv6Addr::from(FIRST_V6 + u128::from(number) + 0x10),
        )
    }

    fn add(&mut self, key: Vec<u8>) -> u32 {
        let number = u32::try_from(self.asked.len()).unwrap_or(ROOM);
        if number >= self.cap {
            self.shared += 1;
            return self.cap - 1;
        }
        self.asked.push(Foreign::default());
        self.numbers.insert(key, number);
        number
    }

    /// The name that was last asked for with this address.
    pub(crate) fn host(&self, address: IpAddr) -> Option<&Foreign> {
        let number = match address {
            IpAddr::V4(v4) => {
                let offset = u32::from(v4).checked_sub(FIRST)?;
                let (block, place) = (offset >> 8, (offset & 255).checked_sub(1)?);
                // 37 * 103 = 15 * 254 + 1
                block * 254 + ((place + 254 - 16) % 254 * 103) % 254
            }
            IpAddr::V6(v6) => u32::try_from(u128::from(v6).checked_sub(FIRST_V6 + 0x10)?).ok()?,
        };
        self.asked.get(usize::try_from(number).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_an_address_that_tells_it() {
        let mut names = Names::new(2000);
        let mut seen = std::collections::HashSet::new();
        for number in 0..1500 {
            let name = format!("n{number}.example");
            let (v4, v6) = names.addresses(name.as_bytes());
            assert!(
                v4.octets()[0] == 198 && (18..20).contains(&v4.octets()[1]),
                "{v4}"
            );
            assert!(!matches!(v4.octets()[3], 0 | 255), "{v4}");
            assert!(seen.insert(v4), "{v4}");
            assert_eq!(names.host(v4.into()).unwrap().lossy(), name);
            assert_eq!(names.host(v6.into()).unwrap().lossy(), name);
        }
        let first = names.addresses(b"N0.Example");
        assert_eq!(names.host(first.0.into()).unwrap().lossy(), "N0.Example");
        assert_eq!(names.addresses(b"n0.example"), first);
        assert_eq!(names.host("8.8.8.8".parse().unwrap()), None);
        assert_eq!(names.host("198.19.255.255".parse().unwrap()), None);
        assert_eq!(names.host("::1".parse().unwrap()), None);
    }

    #[test]
    fn too_many_names_share_one() {
        let mut names = Names::new(3);
        let all: Vec<_> = (0..9u8).map(|n| names.addresses(&[b'a' + n]).0).collect();
        assert_eq!(all[2], all[8]);
        assert_ne!(all[1], all[2]);
        assert_eq!(names.shared, 6);
    }
}
