//! The networks that a command may see: an ordinary machine behind a router, who loses every packet or, simulated, answers
//! for everybody.
//!
//! A thread makes a network namespace for itself, the router's, and joins it to the box's by a pair of devices. It sees
//! every packet that the box sends. It ends with the command, and its namespace with it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyti_model::effect::{Captured, Contact, Loss};
use pyti_model::foreign::Foreign;
use pyti_model::trace::{Act, Conversation, Count, Deed, Endpoint, Result as Came, Transport};
use pyti_sink::{Handle, Simulation, Sink};

use crate::dns;
use crate::later::later;
use crate::netlink::Netlink;
use crate::packet::{self, Called};
use crate::spec::Network;
use crate::sys::{self, check};

pub(crate) const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
pub(crate) const BOX: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
pub(crate) const ROUTER_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, 2);
pub(crate) const BOX_V6: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 2, 0, 0, 0, 0x15);
/// Most different names and addresses that are listed. A command may run its subject a dozen times, so it is far above what
/// one run of anything honest asks for.
const CAP: usize = 4096;
/// Most hosts whose echoes are kept, and most bytes of each.
const ECHOES: usize = 64;
const ECHO_BYTES: usize = 64 << 10;

/// The network of one command.
pub(crate) struct BoxNetwork {
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<Heard>>,
    handle: Option<Handle>,
}

/// A box's empty network that is being joined to a router, by a thread that becomes the router. It can be begun before
/// it is known what the box will be; whoever drops it ends it.
pub(crate) struct Joining {
    thread: JoinHandle<Heard>,
    orders: Sender<Order>,
    result: Receiver<io::Result<Option<Handle>>>,
    stop: OwnedFd,
}

/// How a router shall be.
struct Order {
    /// Whether somebody answers.
    simulation: Option<Arc<Simulation>>,
    /// When the command began: times count from there.
    began: Instant,
}

impl Joining {
    /// Begins.
    pub(crate) fn begin(namespace: BorrowedFd<'_>) -> io::Result<Self> {
        let namespace = File::from(namespace.try_clone_to_owned()?);
        let (until, stop) = sys::pipe()?;
        let (orders, order) = channel::<Order>();
        let (ready, result) = channel();
        let thread = std::thread::Builder::new()
            .name("network".to_owned())
            .spawn(move || {
                let joined = join(&namespace);
                // nobody wants it any more
                let Ok(order) = order.recv() else {
                    return Heard::default();
                };
                match joined.and_then(|joined| joined.router(order)) {
                    Ok(router) => {
                        let _ = ready.send(Ok(router.handle()));
                        router.serve(&until)
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        Heard::default()
                    }
                }
            })?;
        Ok(Self {
            thread,
            orders,
            result,
            stop,
        })
    }

    /// Tells how the router shall be; it is made while the box makes its root. Times count from `began`. Nothing
    /// happens for networks that have no router.
    pub(crate) fn order(&self, network: &Network, began: Instant) {
        let simulation = match network {
            Network::None | Network::Lens => return,
            Network::Silent => None,
            Network::Simulate(simulation) => Some(Arc::clone(simulation)),
        };
        // a thread that is gone is noticed when it is waited for
        let _ = self.orders.send(Order { simulation, began });
    }

    /// Waits until it is there.
    pub(crate) fn wait(self) -> io::Result<BoxNetwork> {
        let handle = self.result.recv().map_err(io::Error::other)??;
        Ok(BoxNetwork {
            stop: Some(self.stop),
            thread: Some(self.thread),
            handle,
        })
    }
}

/// What was tried.
#[derive(Default)]
pub(crate) struct Heard {
    pub(crate) contacts: Vec<Contact>,
    /// Names and addresses that are not listed.
    pub(crate) dropped: u64,
    /// Of a simulated network: what was said, by time.
    pub(crate) acts: Vec<Act>,
    pub(crate) counts: Vec<Count>,
    pub(crate) losses: Vec<Loss>,
}

impl BoxNetwork {
    /// Announces that a process is about to call an address, so that somebody answers there; see [`Handle::expect`].
    /// Nothing happens where the network is not simulated.
    pub(crate) fn expect(&self, transport: Transport, to: SocketAddr, process: u32, socket: Option<OwnedFd>) {
        // what stays in the box is nobody's business here
        let own = [IpAddr::from(BOX), IpAddr::from(BOX_V6)];
        if let Some(handle) = &self.handle
            && !own.contains(&to.ip().to_canonical())
        {
            handle.expect(transport, to, process, socket);
        }
    }

    /// Ends the network and tells what was tried.
    pub(crate) fn finish(mut self) -> Heard {
        drop(self.stop.take());
        let ended = self.thread.take().map(JoinHandle::join);
        ended.and_then(Result::ok).unwrap_or_else(|| Heard {
            losses: vec![Loss::Channel {
                why: "the box's network broke".to_owned(),
            }],
            ..Heard::default()
        })
    }
}

fn enter(namespace: &File) -> io::Result<()> {
    // SAFETY: plain call; only this thread changes its namespace
    check(libc::c_long::from(unsafe {
        libc::setns(namespace.as_raw_fd(), libc::CLONE_NEWNET)
    }))
    .map(|_| ())
}

/// Two namespaces that are joined, in the thread of the router's.
struct Joined {
    here: Netlink,
    sixth: bool,
}

/// On a thread of its own, whose network namespace changes.
fn join(namespace: &File) -> io::Result<Joined> {
    // SAFETY: plain call; only this thread changes its namespace
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWNET) }))?;
    let own = File::open("/proc/thread-self/ns/net")?;
    crate::enter::loopback_up()?;
    let here = Netlink::open()?;
    here.add_pair("router", "eth0", namespace.as_raw_fd())?;
    here.add_address("router", ROUTER.into(), 32)?;
    here.up("router")?;
    here.add_neighbour_route("router", BOX.into())?;
    let sixth = sixth_here(&here).is_ok();
    enter(namespace)?;
    let there = Netlink::open()?;
    there.add_address("eth0", BOX.into(), 24)?;
    there.up("eth0")?;
    there.add_default_route(ROUTER.into())?;
    let sixth = sixth && sixth_there(&there).is_ok();
    // a connection gives up after about 3 s instead of 2 min; where it cannot be set, it only takes longer
    let _ = std::fs::write("/proc/thread-self/net/../../../sys/net/ipv4/tcp_syn_retries", "1");
    let _ = std::fs::write("/proc/sys/net/ipv4/tcp_syn_retries", "1");
    // whoever is the box's user may ask for echoes, as on most machines; the number is the job's group, and the box's is the same
    let _ = std::fs::write("/proc/sys/net/ipv4/ping_group_range", "0 0");
    enter(&own)?;
    Ok(Joined { here, sixth })
}

impl Joined {
    fn router(self, order: Order) -> io::Result<Router> {
        let Order { simulation, began } = order;
        let mut sixth = self.sixth;
        if simulation.is_some() {
            self.here.add_local_route(Ipv4Addr::UNSPECIFIED.into())?;
            sixth = sixth && self.here.add_local_route(Ipv6Addr::UNSPECIFIED.into()).is_ok();
        }
        let mut taps = vec![tap(libc::ETH_P_IP)?];
        if sixth {
            taps.push(tap(libc::ETH_P_IPV6)?);
        }
        let answers = if let Some(simulation) = simulation {
            Answers::Simulated(Sink::start(simulation, began)?)
        } else {
            let udp = UdpSocket::bind((ROUTER, 53))?;
            udp.set_nonblocking(true)?;
            let tcp = TcpListener::bind((ROUTER, 53))?;
            tcp.set_nonblocking(true)?;
            Answers::Silent { udp, tcp }
        };
        Ok(Router {
            answers,
            taps,
            began,
            names: BTreeMap::new(),
            addresses: BTreeMap::new(),
            echoes: BTreeMap::new(),
            dropped: 0,
        })
    }
}

/// The router's side of IPv6. A machine without it has none in its boxes either, and that is no error.
fn sixth_here(here: &Netlink) -> io::Result<()> {
    here.add_address("router", ROUTER_V6.into(), 128)?;
    here.add_neighbour_route("router", BOX_V6.into())
}

/// The box's side of IPv6.
fn sixth_there(there: &Netlink) -> io::Result<()> {
    there.add_address("eth0", BOX_V6.into(), 64)?;
    there.add_default_route(ROUTER_V6.into())
}

/// A socket that sees every packet of this namespace and family.
fn tap(protocol: i32) -> io::Result<OwnedFd> {
    let protocol = i32::from(u16::try_from(protocol).unwrap_or(0).to_be());
    // SAFETY: plain call; the descriptor is owned at once
    unsafe {
        let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
        let fd = libc::socket(libc::AF_PACKET, kind, protocol);
        check(libc::c_long::from(fd))?;
        Ok(OwnedFd::from_raw_fd(fd))
    }
}

/// Who answers.
enum Answers {
    /// Every name is answered with "does not exist", everything else with nothing.
    Silent { udp: UdpSocket, tcp: TcpListener },
    /// Everybody, by the sink, on its own thread.
    Simulated(Sink),
}

struct Router {
    answers: Answers,
    taps: Vec<OwnedFd>,
    began: Instant,
    names: BTreeMap<(Vec<u8>, String), u64>,
    /// Packets, and when the first came.
    addresses: BTreeMap<Called, (u64, u64)>,
    /// What was carried by echo requests, of a simulated network.
    echoes: BTreeMap<IpAddr, Echo>,
    dropped: u64,
}

/// What echo requests to one host carried; the kernel gives each back.
#[derive(Default)]
struct Echo {
    began_us: u64,
    last_us: u64,
    kept: Vec<u8>,
    total: u64,
}

impl Echo {
    fn act(self, address: IpAddr) -> Act {
        let conversation = Conversation {
            transport: Transport::Icmp,
            address,
            port: 0,
            host: None,
            language: "raw".to_owned(),
            tls: None,
            exchanges: Vec::new(),
            sent: Captured {
                head: Foreign::new(self.kept),
                tail: Foreign::default(),
                total: self.total,
            },
            answered: self.total,
            lasted_us: self.last_us - self.began_us,
        };
        Act {
            at_us: self.began_us,
            process: None,
            result: Came::Done,
            times: 1,
            deed: Deed::Converse(Box::new(conversation)),
        }
    }
}

impl Router {
    fn handle(&self) -> Option<Handle> {
        match &self.answers {
            Answers::Simulated(sink) => Some(sink.handle()),
            Answers::Silent { .. } => None,
        }
    }

    fn serve(mut self, until: &OwnedFd) -> Heard {
        loop {
            let entry = |fd| libc::pollfd {
                fd,
                events: libc::POLLIN,
                revents: 0,
            };
            let mut fds = vec![entry(until.as_raw_fd())];
            fds.extend(self.taps.iter().map(|tap| entry(tap.as_raw_fd())));
            if let Answers::Silent { udp, tcp } = &self.answers {
                fds.extend([entry(udp.as_raw_fd()), entry(tcp.as_raw_fd())]);
            }
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
        loop {
            let Answers::Silent { udp, .. } = &self.answers else {
                return;
            };
            let Ok((length, from)) = udp.recv_from(&mut message) else {
                return;
            };
            let answer = self.asked(&message[..length]);
            if let (Some(answer), Answers::Silent { udp, .. }) = (answer, &self.answers) {
                let _ = udp.send_to(&answer, from);
            }
        }
    }

    fn answer_tcp(&mut self) {
        loop {
            let Answers::Silent { tcp, .. } = &self.answers else {
                return;
            };
            let Ok((mut stream, _)) = tcp.accept() else { return };
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
        let handle = self.handle();
        let mut bytes = [0u8; 2048];
        for tap in &self.taps {
            loop {
                // SAFETY: the buffer is as long as it is said to be
                let read = unsafe { libc::recv(tap.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0) };
                let Ok(length) = usize::try_from(read) else { break };
                let packet = &bytes[..length.min(bytes.len())];
                let Some(called) = packet::called(packet) else {
                    continue;
                };
                let at = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
                if handle.is_some()
                    && let Some(carried) = packet::echo(packet)
                    && (self.echoes.len() < ECHOES || self.echoes.contains_key(&called.address))
                {
                    let echo = self.echoes.entry(called.address).or_insert_with(|| Echo {
                        began_us: at,
                        ..Echo::default()
                    });
                    let room = ECHO_BYTES.saturating_sub(echo.kept.len()).min(carried.len());
                    echo.kept.extend_from_slice(&carried[..room]);
                    echo.total += carried.len() as u64;
                    echo.last_us = at;
                }
                let full = self.addresses.len() >= CAP;
                match self.addresses.get_mut(&called) {
                    Some((times, _)) => *times += 1,
                    None if full => self.dropped += 1,
                    None => {
                        if let (Some(handle), Some(port)) = (&handle, called.port) {
                            handle.noticed(called.transport(), port);
                        }
                        self.addresses.insert(called, (1, at));
                    }
                }
            }
        }
    }

    fn finish(mut self) -> Heard {
        // the kernel lets go of such a socket only after a grace period, which nobody has to wait for
        let taps = std::mem::take(&mut self.taps);
        later(move || drop(taps));
        let report = match self.answers {
            Answers::Simulated(sink) => Some(sink.finish()),
            Answers::Silent { .. } => None,
        };
        let mut heard = Heard::default();
        if let Some(mut report) = report {
            self.names = std::mem::take(&mut report.names)
                .into_iter()
                .map(|((name, record), times)| ((name.as_bytes().to_vec(), record), times))
                .collect();
            heard.acts = std::mem::take(&mut report.acts);
            let unexplained = self.addresses.iter().filter_map(|(called, seen)| {
                let to = SocketAddr::new(called.address, called.port.unwrap_or(0));
                let transport = called.transport();
                let known = report.explained.contains(&(transport, to))
                    || (transport == Transport::Icmp && self.echoes.contains_key(&called.address));
                (!known).then_some((called, *seen, transport, to))
            });
            heard
                .acts
                .extend(unexplained.map(|(called, (times, at_us), transport, to)| Act {
                    at_us,
                    process: report.announced.get(&(transport, to)).copied(),
                    result: Came::Attempted,
                    times: u32::try_from(times).unwrap_or(u32::MAX),
                    deed: Deed::Packet {
                        to: Endpoint::Ip {
                            address: to.ip(),
                            port: to.port(),
                        },
                        protocol: called.protocol.clone(),
                    },
                }));
            let echoes = std::mem::take(&mut self.echoes).into_iter();
            heard.acts.extend(echoes.map(|(address, echo)| echo.act(address)));
            heard.acts.sort_by_key(|act| act.at_us);
            heard.counts = report.counts;
            heard.losses = report.losses;
        }
        let names = self
            .names
            .into_iter()
            .map(|((name, record), times)| Contact::Name {
                name: Foreign::new(name),
                record,
                times,
            });
        let addresses = self
            .addresses
            .into_iter()
            .map(|(called, (times, _))| Contact::Address {
                protocol: called.protocol,
                address: called.address.to_string(),
                port: called.port,
                times,
            });
        heard.contacts = names.chain(addresses).collect();
        heard.dropped = self.dropped;
        heard
    }
}
