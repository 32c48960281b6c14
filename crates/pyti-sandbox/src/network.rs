//! The silent network: an ordinary machine behind a router that loses every packet.
//!
//! A thread makes a network namespace for itself, joins it to the box's by a pair of devices, answers every name with
//! "does not exist", and writes down who was called. It ends with the command, and its namespace with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::Duration;

use pyti_model::effect::Contact;
use pyti_model::foreign::Foreign;

use crate::dns;
use crate::netlink::Netlink;
use crate::sys::{self, check};

const ROUTER: [u8; 4] = [10, 0, 2, 2];
const BOX: [u8; 4] = [10, 0, 2, 15];
/// Most different names and addresses that are listed.
const CAP: usize = 512;

/// The network of one command.
pub(crate) struct BoxNetwork {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<Heard>>,
}

/// What was tried.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) contacts: Vec<Contact>,
    pub(crate) dropped: u64,
}

impl BoxNetwork {
    /// Brings the loopback of the process's namespace up and, for a silent network, joins it to a router.
    pub(crate) fn join(pid: i32, silent: bool) -> io::Result<Self> {
        let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
        let (until, stop) = sys::pipe()?;
        let (ready, result) = channel();
        let thread = std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || match make(&namespace, silent) {
                Ok(router) => {
                    let _ = ready.send(Ok(()));
                    router.map(|mut router| router.serve(&until)).unwrap_or_default()
                }
                Err(error) => {
                    let _ = ready.send(Err(error));
                    Heard::default()
                }
            })?;
        result.recv().map_err(io::Error::other)??;
        Ok(Self {
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Ends the network and tells what was tried.
    pub(crate) fn finish(mut self) -> Heard {
        drop(self.stop.take());
        self.thread
            .take()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_default()
    }
}

fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: plain call; only this thread changes its namespace
    check(libc::c_long::from(unsafe {
        libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET)
    }))
    .map(|_| ())
}

/// On a thread of its own, whose network namespace changes.
fn make(namespace: &File, silent: bool) -> io::Result<Option<Router>> {
    if !silent {
        enter(namespace)?;
        crate::enter::loopback_up()?;
        return Ok(None);
    }
    // SAFETY: plain call; only this thread changes its namespace
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWNET) }))?;
    let own = File::open("/proc/thread-self/ns/net")?;
    let here = Netlink::open()?;
    here.add_pair("router", "eth0", namespace.as_raw_fd())?;
    here.add_address("router", ROUTER, 24)?;
    here.up("router")?;
    enter(namespace)?;
    crate::enter::loopback_up()?;
    let there = Netlink::open()?;
    there.add_address("eth0", BOX, 24)?;
    there.up("eth0")?;
    there.add_default_route(ROUTER)?;
    // a connection gives up after about 3 s instead of 2 min; where it cannot be set, it only takes longer
    let _ = std::fs::write("/proc/thread-self/net/../../../sys/net/ipv4/tcp_syn_retries", "1");
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1");
    enter(&own)?;
    crate::enter::loopback_up()?;
    let address = Ipv4Addr::from(ROUTER);
    let udp = UdpSocket::bind((address, 53))?;
    udp.set_nonblocking(true)?;
    let tcp = TcpListener::bind((address, 53))?;
    tcp.set_nonblocking(true)?;
    Ok(Some(Router {
        udp,
        tcp,
        tap: tap()?,
        names: BTreeMap::new(),
        addresses: BTreeMap::new(),
        dropped: 0,
    }))
}

/// A socket that sees every packet of this namespace.
fn tap() -> io::Result<OwnedFd> {
    let protocol = i32::from(u16::try_from(libc::ETH_P_IP).unwrap_or(0).to_be());
    // SAFETY: plain call; the descriptor is owned at once
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = libc::socket(libc::AF_PACKET, kind, protocol);
        check(libc::c_long::from(fd))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

struct Router {
    udp: UdpSocket,
    tcp: TcpListener,
    tap: OwnedFd,
    names: BTreeMap<(Vec<u8>, String), u64>,
    addresses: BTreeMap<(String, Ipv4Addr, Option<u16>), u64>,
    dropped: u64,
}

impl Router {
    fn serve(&mut self, until: &OwnedFd) -> Heard {
        loop {
            let entry = |fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            let mut fds = [
                entry(until.as_raw_fd()),
                entry(self.udp.as_raw_fd()),
                entry(self.tcp.as_raw_fd()),
                entry(self.tap.as_raw_fd()),
            ];
            // SAFETY: the array is as long as it is said to be
            unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, -1) };
            self.answer_udp();
            self.answer_tcp();
            self.listen();
            if fds[0].revents != 0 {
                return self.finish();
            }
        }
    }

    fn answer_udp(&mut self) {
        let mut message = [0; 2048];
        while let Ok((length, from)) = self.udp.recv_from(&mut message) {
            if let Some(answer) = self.asked(&message[..length]) {
                let _ = self.udp.send_to(&answer, from);
            }
        }
    }

    fn answer_tcp(&mut self) {
        while let Ok((mut stream, _)) = self.tcp.accept() {
            // a client that stalls is not waited for: it holds up only names that nobody gets anyway
            let patience = Some(Duration::from_millis(200));
            let _ = stream.set_nonblocking(false);
            let _ = stream.set_read_timeout(patience);
            let _ = stream.set_write_timeout(patience);
            let mut length = [0; 2];
            if stream.read_exact(&mut length).is_err() {
                continue;
            }
            let mut message = vec![0; usize::from(u16::from_be_bytes(length)).min(2048)];
            if stream.read_exact(&mut message).is_ok()
                && let Some(answer) = self.asked(&message)
            {
                let length = u16::try_from(answer.len()).unwrap_or(0).to_be_bytes();
                let _ = stream.write_all(&[&length[..], &answer].concat());
            }
        }
    }

    fn asked(&mut self, message: &[u8]) -> Option<Vec<u8>> {
        let question = dns::question(message)?;
        let full = self.names.len() >= CAP;
        match self
            .names
            .get_mut(&(question.name.clone(), question.record.clone()))
        {
            Some(times) => *times += 1,
            None if full => self.dropped += 1,
            None => {
                self.names.insert((question.name, question.record), 1);
            }
        }
        dns::no_such_name(message)
    }

    /// Reads what came by: packets from the box to anybody but the router.
    fn listen(&mut self) {
        let mut packet = [0u8; 256];
        loop {
            // SAFETY: the buffer is as long as it is said to be
            let read =
                unsafe { libc::recv(self.tap.as_raw_fd(), packet.as_mut_ptr().cast(), packet.len(), 0) };
            let Ok(length) = usize::try_from(read) else { return };
            let Some((protocol, address, port)) = called(&packet[..length.min(packet.len())]) else {
                continue;
            };
            let full = self.addresses.len() >= CAP;
            match self.addresses.get_mut(&(protocol.clone(), address, port)) {
                Some(times) => *times += 1,
                None if full => self.dropped += 1,
                None => {
                    self.addresses.insert((protocol, address, port), 1);
                }
            }
        }
    }

    fn finish(&mut self) -> Heard {
        let names = std::mem::take(&mut self.names)
            .into_iter()
            .map(|((name, record), times)| Contact::Name {
                name: Foreign::new(name),
                record,
                times,
            });
        let addresses =
            std::mem::take(&mut self.addresses)
                .into_iter()
                .map(|((protocol, address, port), times)| Contact::Address {
                    protocol,
                    address: address.to_string(),
                    port,
                    times,
                });
        Heard {
            contacts: names.chain(addresses).collect(),
            dropped: self.dropped,
        }
    }
}

/// Whom an IPv4 packet from the box is for; `None` when it is for the router's names, or not from the box.
fn called(packet: &[u8]) -> Option<(String, Ipv4Addr, Option<u16>)> {
    if packet.len() < 20 || packet[0] >> 4 != 4 || packet[12..16] != BOX {
        return None;
    }
    let to = Ipv4Addr::new(packet[16], packet[17], packet[18], packet[19]);
    let header = usize::from(packet[0] & 15) * 4;
    let port = || {
        Some(u16::from_be_bytes([
            *packet.get(header + 2)?,
            *packet.get(header + 3)?,
        ]))
    };
    let (protocol, port) = match packet[9] {
        1 => ("icmp".to_owned(), None),
        6 => ("tcp".to_owned(), port()),
        17 => ("udp".to_owned(), port()),
        other => (other.to_string(), None),
    };
    if to.octets() == ROUTER && port == Some(53) {
        return None;
    }
    Some((protocol, to, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_read_and_the_routers_own_left_out() {
        let mut packet = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0];
        packet.extend(BOX);
        packet.extend([203, 0, 113, 5]);
        packet.extend([0x80, 0, 0x15, 0x38]);
        assert_eq!(
            called(&packet),
            Some(("tcp".into(), Ipv4Addr::new(203, 0, 113, 5), Some(5432)))
        );
        packet[16..20].copy_from_slice(&ROUTER);
        packet[22..24].copy_from_slice(&[0, 53]);
        packet[9] = 17;
        assert_eq!(called(&packet), None);
        assert_eq!(called(&packet[..10]), None);
    }
}
