//! The few messages of rtnetlink that a box's network needs, written by hand: a pair of devices, an address, a route.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};

use crate::sys::check;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_EXCL: u16 = 0x200;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const UNIVERSE: u8 = 0;
const LINK: u8 = 253;
const HOST: u8 = 254;
const UNICAST: u8 = 1;
const LOCAL: u8 = 2;
const NESTED: u16 = 1 << 15;

/// A socket to the kernel's routing, in the network namespace of the thread that opened it.
pub(crate) struct Netlink(OwnedFd);

impl Netlink {
    pub(crate) fn open() -> io::Result<Self> {
        // SAFETY: plain call; the descriptor is owned at once
        unsafe {
            let fd = libc::socket(
                libc::AF_NETLINK,
                libc::SOCK_RAW | libc::SOCK_CLOEXEC,
                libc::NETLINK_ROUTE,
            );
            check(libc::c_long::from(fd))?;
            Ok(Self(OwnedFd::from_raw_fd(fd)))
        }
    }

    /// Makes two devices that are joined: `here`, and `there` in another namespace.
    pub(crate) fn add_pair(&self, here: &str, there: &str, other: RawFd) -> io::Result<()> {
        let mut peer = link(0, 0, 0);
        attribute(&mut peer, IFLA_IFNAME, &text(there));
        attribute(&mut peer, IFLA_NET_NS_FD, &other.to_ne_bytes());
        let mut data = Vec::new();
        attribute(&mut data, VETH_INFO_PEER, &peer);
        let mut info = Vec::new();
        attribute(&mut info, IFLA_INFO_KIND, b"veth");
        attribute(&mut info, IFLA_INFO_DATA | NESTED, &data);
        let mut body = link(0, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &text(here));
        attribute(&mut body, IFLA_LINKINFO | NESTED, &info);
        self.ask(libc::RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// Switches a device on.
    pub(crate) fn up(&self, device: &str) -> io::Result<()> {
        let up = libc::IFF_UP.cast_unsigned();
        self.ask(libc::RTM_NEWLINK, 0, &link(index(device)?, up, up))
    }

    /// Gives a device an address, at once usable.
    pub(crate) fn add_address(&self, device: &str, address: IpAddr, prefix: u8) -> io::Result<()> {
        // nobody else is there who could have the same address, so nobody is asked
        const NODAD: u8 = 2;
        let mut body = vec![family(address), prefix, NODAD, 0];
        body.extend(index(device)?.to_ne_bytes());
        attribute(&mut body, IFA_LOCAL, &bytes(address));
        attribute(&mut body, IFA_ADDRESS, &bytes(address));
        self.ask(libc::RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// Sends everything without a better route to this neighbour.
    pub(crate) fn add_default_route(&self, gateway: IpAddr) -> io::Result<()> {
        let mut body = route(family(gateway), 0, UNIVERSE, UNICAST);
        attribute(&mut body, RTA_GATEWAY, &bytes(gateway));
        self.ask(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// This one address is a neighbour at a device.
    pub(crate) fn add_neighbour_route(&self, device: &str, address: IpAddr) -> io::Result<()> {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        let mut body = route(family(address), prefix, LINK, UNICAST);
        attribute(&mut body, RTA_DST, &bytes(address));
        attribute(&mut body, RTA_OIF, &index(device)?.to_ne_bytes());
        self.ask(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    /// Every address without a better route is this machine's own.
    pub(crate) fn add_local_route(&self, family_of: IpAddr) -> io::Result<()> {
        let mut body = route(family(family_of), 0, HOST, LOCAL);
        attribute(&mut body, RTA_OIF, &index("lo")?.to_ne_bytes());
        self.ask(libc::RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &body)
    }

    fn ask(&self, kind: u16, flags: u16, body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(16 + body.len()).map_err(io::Error::other)?;
        let mut message = length.to_ne_bytes().to_vec();
        message.extend(kind.to_ne_bytes());
        message.extend((NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        message.extend(1u32.to_ne_bytes());
        message.extend(0u32.to_ne_bytes());
        message.extend(body);
        let mut answer = [0u8; 4096];
        // SAFETY: both buffers are as long as they are said to be
        let read = unsafe {
            let sent = libc::send(self.0.as_raw_fd(), message.as_ptr().cast(), message.len(), 0);
            check(sent as libc::c_long)?;
            let read = libc::recv(self.0.as_raw_fd(), answer.as_mut_ptr().cast(), answer.len(), 0);
            usize::try_from(check(read as libc::c_long)?).unwrap_or(0)
        };
        // header, then the error's number: 0 for done
        if read < 20 {
            return Err(io::Error::other("the kernel's answer is too short"));
        }
        match i32::from_ne_bytes([answer[16], answer[17], answer[18], answer[19]]) {
            0 => Ok(()),
            error => Err(io::Error::from_raw_os_error(-error)),
        }
    }
}

/// `struct rtmsg`, of the main table.
fn route(family: u8, prefix: u8, scope: u8, kind: u8) -> Vec<u8> {
    const MAIN: u8 = 254;
    const BOOT: u8 = 3;
    let mut body = vec![family, prefix, 0, 0, MAIN, BOOT, scope, kind];
    body.extend(0u32.to_ne_bytes());
    body
}

fn family(address: IpAddr) -> u8 {
    let family = if address.is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    u8::try_from(family).unwrap_or(0)
}

fn bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// `struct ifinfomsg`.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0];
    body.extend(index.to_ne_bytes());
    body.extend(flags.to_ne_bytes());
    body.extend(change.to_ne_bytes());
    body
}

fn attribute(into: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    into.extend(length.to_ne_bytes());
    into.extend(kind.to_ne_bytes());
    into.extend(value);
    while !into.len().is_multiple_of(4) {
        into.push(0);
    }
}

fn text(name: &str) -> Vec<u8> {
    let mut bytes = name.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

fn index(device: &str) -> io::Result<u32> {
    let name = std::ffi::CString::new(device).map_err(io::Error::other)?;
    // SAFETY: the name ends with a zero
    match unsafe { libc::if_nametoindex(name.as_ptr()) } {
        0 => Err(io::Error::last_os_error()),
        index => Ok(index),
    }
}
