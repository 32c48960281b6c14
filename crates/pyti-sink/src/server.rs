//! One thread that answers for everybody: it waits for all sockets at once and never for one of them.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pyti_model::trace::Transport;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::connection::{Connection, Wants, World};
use crate::flow::Flows;
use crate::languages::Delivery;
use crate::names::Names;
use crate::record::{Caller, Ledger, Report, canonical};
use crate::relay::Relay;
use crate::settings::{Simulation, TCP_PORTS, UDP_PORTS};
use crate::sink::{Shared, lock};
use crate::socket::{self, Datagrams};

/// How often the clock is looked at while somebody is connected.
const TICK: Duration = Duration::from_millis(100);
/// Connections that are taken in one turn.
const TURN: usize = 64;
/// How long what was already said may take to be read at the end.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Bytes that are read at once: what one client asks in them is answered before the next one's turn comes.
const BUFFER: usize = 8 << 10;
/// Bytes of the longest datagram.
const DATAGRAM: usize = 64 << 10;

/// Lets this process have more descriptors, as far as the machine allows, and tells how many of ours fit: the agent and
/// the networks of other boxes need theirs.
fn room(wanted: usize) -> usize {
    const ENOUGH: u64 = 16_384;
    let mut limit = getrlimit(Resource::Nofile);
    let most = limit.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    if limit.current.is_some_and(|current| current < most) {
        limit.current = Some(most);
        // where it does not work, fewer fit
        let _ = setrlimit(Resource::Nofile, limit);
    }
    let current = getrlimit(Resource::Nofile).current.unwrap_or(ENOUGH);
    wanted.min(usize::try_from(current / 8).unwrap_or(usize::MAX))
}

enum Source {
    Wake,
    Listener(TcpListener),
    Datagrams(Datagrams, u16),
    Connection(Box<Connection>, Wants),
    Relay(Box<Relay>),
}

/// Tokens of the far side of relays have this bit besides.
const FAR: u64 = 1 << 63;

/// The thread's state.
pub(crate) struct Server<'a> {
    poll: OwnedFd,
    sources: HashMap<u64, Source>,
    next: u64,
    shared: Arc<Shared>,
    simulation: &'a Simulation,
    names: Names,
    ledger: Ledger,
    flows: Flows,
    buffer: Vec<u8>,
    /// Connections, and ports besides the usual ones, that fit.
    room: usize,
    port_room: usize,
    /// Connections now, and in all.
    live: usize,
    all: u64,
    opened: usize,
    /// What the next data connection shall say.
    due: Option<Delivery>,
    /// Given up when there are no more descriptors, so that somebody can be turned away.
    spare: Option<File>,
}

impl<'a> Server<'a> {
    pub(crate) fn new(simulation: &'a Simulation, shared: Arc<Shared>, began: Instant) -> io::Result<Self> {
        let mut server = Self {
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            sources: HashMap::new(),
            next: 1,
            simulation,
            names: Names::new(simulation.caps.names).with(
                simulation
                    .allow
                    .iter()
                    .map(|allow| allow.host.trim_end_matches('.').as_bytes().to_vec())
                    .collect(),
            ),
            ledger: Ledger::new(began, &simulation.caps),
            flows: Flows::new(simulation.caps.flows),
            buffer: vec![0; DATAGRAM],
            room: room(simulation.caps.connections),
            port_room: room(simulation.caps.ports),
            live: 0,
            all: 0,
            opened: 0,
            due: None,
            spare: File::open("/dev/null").ok(),
            shared,
        };
        let wake = server.shared.wake.as_raw_fd();
        server.add(wake, Source::Wake)?;
        for (transport, ports) in [(Transport::Tcp, TCP_PORTS), (Transport::Udp, UDP_PORTS)] {
            for port in ports {
                server.open(transport, *port)?;
            }
        }
        Ok(server)
    }

    fn add(&mut self, fd: i32, source: Source) -> io::Result<u64> {
        let token = self.next;
        self.next += 1;
        self.register(fd, token)?;
        self.sources.insert(token, source);
        Ok(token)
    }

    fn register(&self, fd: i32, token: u64) -> io::Result<()> {
        // SAFETY: the caller owns the descriptor, and keeps it open while it is registered
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        Ok(epoll::add(
            &self.poll,
            fd,
            EventData::new_u64(token),
            EventFlags::IN,
        )?)
    }

    fn modify(&self, fd: i32, token: u64, wants: Wants) {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, wants.read);
        flags.set(EventFlags::OUT, wants.write);
        // SAFETY: as above
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let _ = epoll::modify(&self.poll, fd, EventData::new_u64(token), flags);
    }

    fn open(&mut self, transport: Transport, port: u16) -> io::Result<()> {
        if transport == Transport::Tcp {
            let listener = socket::listen(port)?;
            self.add(listener.as_raw_fd(), Source::Listener(listener))?;
        } else {
            let datagrams = Datagrams::bind(port)?;
            self.add(datagrams.as_raw_fd(), Source::Datagrams(datagrams, port))?;
        }
        lock(&self.shared.ports).open.insert((transport, port));
        Ok(())
    }

    pub(crate) fn serve(mut self) -> Report {
        let mut looked = Instant::now();
        loop {
            let busy = self.live > 0 || !self.flows.is_empty() || lock(&self.shared.ties).holds();
            let wait = if busy { Some(TICK) } else { None };
            self.turn(wait);
            if lock(&self.shared.ports).stop {
                break;
            }
            let now = Instant::now();
            if now.saturating_duration_since(looked) >= TICK {
                looked = now;
                self.tick(now);
            }
        }
        let until = Instant::now() + LAST_WORDS;
        while self.turn(Some(Duration::ZERO)) && Instant::now() < until {}
        self.finish()
    }

    /// One round; whether anything happened.
    fn turn(&mut self, wait: Option<Duration>) -> bool {
        let mut events = Vec::with_capacity(256);
        let wait = wait.map(|wait| rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(wait.subsec_nanos()),
        });
        let spare = rustix::buffer::spare_capacity(&mut events);
        if epoll::wait(&self.poll, spare, wait.as_ref()).is_err() {
            return false;
        }
        for event in &events {
            // a call that is held up comes before whoever is connected already
            if self.shared.urgent.load(Ordering::Acquire) {
                self.open_wanted();
            }
            self.serve_one(event.data.u64());
        }
        !events.is_empty()
    }

    fn serve_one(&mut self, token: u64) {
        let near = token & !FAR;
        let Some(mut source) = self.sources.remove(&near) else {
            return;
        };
        let keep = match &mut source {
            Source::Wake => {
                self.open_wanted();
                true
            }
            Source::Listener(listener) => {
                self.accept(listener);
                true
            }
            Source::Datagrams(datagrams, port) => {
                self.receive(datagrams, *port);
                true
            }
            Source::Connection(connection, before) => {
                let alive = self.guarded(|world| connection.ready(world));
                self.settle(connection, before, near);
                if let Some(delivery) = connection.delivery.take() {
                    self.deliver(delivery);
                }
                alive
            }
            Source::Relay(relay) => {
                let alive = relay.ready(&mut self.buffer[..BUFFER]);
                self.settle_relay(relay, near);
                alive
            }
        };
        if keep {
            self.sources.insert(near, source);
        } else {
            self.end(source);
        }
    }

    /// Runs what reads hostile bytes: should it ever panic, one conversation is lost and not the whole network, and the loss
    /// is counted.
    fn guarded(&mut self, act: impl FnOnce(&mut World<'_>) -> bool) -> bool {
        let mut world = self.world();
        let outcome = catch_unwind(AssertUnwindSafe(|| act(&mut world)));
        outcome.unwrap_or_else(|_| {
            self.ledger.dropped.borrow_mut().broken += 1;
            false
        })
    }

    fn world(&mut self) -> World<'_> {
        World {
            simulation: self.simulation,
            names: &mut self.names,
            ledger: &mut self.ledger,
            buffer: &mut self.buffer[..BUFFER],
        }
    }

    fn settle(&self, connection: &Connection, before: &mut Wants, token: u64) {
        if connection.wants != *before {
            *before = connection.wants;
            self.modify(connection.stream.as_raw_fd(), token, *before);
        }
    }

    /// Gives the newest data connection what to say; when there is none yet, the next one.
    fn deliver(&mut self, delivery: Delivery) {
        let newest = self
            .sources
            .iter()
            .filter(|(_, source)| matches!(source, Source::Connection(data, _) if data.is_data()))
            .map(|(token, _)| *token)
            .max();
        let Some(token) = newest else {
            self.due = Some(delivery);
            return;
        };
        let Some(mut source) = self.sources.remove(&token) else {
            return;
        };
        let mut alive = true;
        if let Source::Connection(data, before) = &mut source {
            alive = data.deliver(delivery);
            self.settle(data, before, token);
        }
        if alive {
            self.sources.insert(token, source);
        } else {
            self.end(source);
        }
    }

    fn settle_relay(&self, relay: &mut Relay, token: u64) {
        for (fd, far, wants) in relay.changes() {
            self.modify(fd, if far { token | FAR } else { token }, wants);
        }
    }

    fn end(&mut self, source: Source) {
        match source {
            Source::Connection(connection, _) => {
                self.live = self.live.saturating_sub(1);
                self.guarded(|world| {
                    connection.finish(world);
                    false
                });
            }
            Source::Relay(relay) => {
                self.live = self.live.saturating_sub(1);
                relay.finish(&mut self.ledger);
            }
            _ => {}
        }
    }

    fn open_wanted(&mut self) {
        let mut count = [0; 8];
        let _ = rustix::io::read(&self.shared.wake, &mut count);
        let wanted = {
            let mut ports = lock(&self.shared.ports);
            self.shared.urgent.store(false, Ordering::Release);
            std::mem::take(&mut ports.wanted)
        };
        for (transport, port, tell) in wanted {
            let open = lock(&self.shared.ports).open.contains(&(transport, port));
            if !open {
                if self.opened >= self.port_room || self.open(transport, port).is_err() {
                    self.ledger.dropped.borrow_mut().ports += 1;
                } else {
                    self.opened += 1;
                }
            }
            let _ = tell.try_send(());
        }
    }

    fn accept(&mut self, listener: &TcpListener) {
        for _ in 0..TURN {
            let (stream, from) = match listener.accept() {
                Ok((stream, from)) => (stream, canonical(from)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                    // somebody must be turned away, or this would come again at once, and for ever
                    self.spare = None;
                    let turned_away = listener.accept();
                    drop(turned_away);
                    self.spare = File::open("/dev/null").ok();
                    self.ledger.dropped.borrow_mut().refused += 1;
                    return;
                }
                // it was over before it began
                Err(_) => continue,
            };
            self.all += 1;
            let Ok(to) = stream.local_addr().map(canonical) else {
                continue;
            };
            let now = Instant::now();
            let process = lock(&self.shared.ties).take(Transport::Tcp, to, from, now);
            self.ledger.explain(Transport::Tcp, to);
            if self.live >= self.room || self.all > self.simulation.caps.connections_in_all {
                socket::reset_at_close(&stream);
                self.ledger.dropped.borrow_mut().refused += 1;
                continue;
            }
            if stream.set_nonblocking(true).is_err() {
                continue;
            }
            let _ = stream.set_nodelay(true);
            let caller = Caller {
                process,
                began: now,
                transport: Transport::Tcp,
                to,
            };
            self.welcome(stream, caller);
        }
    }

    fn welcome(&mut self, stream: std::net::TcpStream, caller: Caller) {
        let fd = stream.as_raw_fd();
        let host = self.names.host(caller.to.ip()).cloned();
        if let Some(relay) = Relay::for_caller(&caller, host, &self.simulation.allow, &self.ledger, &stream) {
            let far = relay.far();
            if let Ok(token) = self.add(fd, Source::Relay(Box::new(relay.with(stream)))) {
                self.live += 1;
                if let Some(far) = far {
                    let _ = self.register(far, token | FAR);
                }
            }
            return;
        }
        let mut connection = Connection::new(stream, caller, &self.world());
        if connection.is_data()
            && let Some(delivery) = self.due.take()
        {
            connection.deliver(delivery);
        }
        let first = Wants {
            read: true,
            write: false,
        };
        let wants = connection.wants;
        if let Ok(token) = self.add(fd, Source::Connection(Box::new(connection), first)) {
            self.live += 1;
            if wants != first {
                self.modify(fd, token, wants);
            }
        }
    }

    fn receive(&mut self, datagrams: &Datagrams, port: u16) {
        for _ in 0..TURN {
            let (length, from, to): (usize, SocketAddr, IpAddr) = match datagrams.receive(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => continue,
            };
            let to = SocketAddr::new(to, port);
            self.ledger.explain(Transport::Udp, to);
            let answer = catch_unwind(AssertUnwindSafe(|| {
                self.flows.take(
                    from,
                    to,
                    &self.buffer[..length],
                    &mut self.names,
                    &mut self.ledger,
                    &mut lock(&self.shared.ties),
                )
            }));
            match answer {
                Ok(Some(answer)) => {
                    let _ = datagrams.send(&answer, from, to.ip());
                }
                Ok(None) => {}
                Err(_) => self.ledger.dropped.borrow_mut().broken += 1,
            }
        }
    }

    fn tick(&mut self, now: Instant) {
        let tokens: Vec<u64> = self
            .sources
            .iter()
            .filter(|(_, source)| matches!(source, Source::Connection(..) | Source::Relay(_)))
            .map(|(token, _)| *token)
            .collect();
        for token in tokens {
            let Some(mut source) = self.sources.remove(&token) else {
                continue;
            };
            let keep = match &mut source {
                Source::Connection(connection, before) => {
                    let alive = self.guarded(|world| connection.tick(now, world));
                    self.settle(connection, before, token);
                    alive
                }
                Source::Relay(relay) => relay.tick(now, &self.simulation.caps),
                _ => true,
            };
            if keep {
                self.sources.insert(token, source);
            } else {
                self.end(source);
            }
        }
        self.flows.tick(now, &self.names, &mut self.ledger);
        lock(&self.shared.ties).sweep(now);
    }

    fn finish(mut self) -> Report {
        let mut sources: Vec<(u64, Source)> = std::mem::take(&mut self.sources).into_iter().collect();
        sources.sort_by_key(|(token, _)| *token);
        for (_, source) in sources {
            self.end(source);
        }
        self.flows.finish(&self.names, &mut self.ledger);
        self.ledger.finish(self.names.shared)
    }
}
