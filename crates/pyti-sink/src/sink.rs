//! A simulated network that runs, and how calls are announced to it.

use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyti_model::effect::Loss;
use pyti_model::trace::Transport;

use crate::record::{Report, canonical};
use crate::server::Server;
use crate::settings::Simulation;
use crate::socket;
use crate::ties::Ties;

/// How long somebody waits for a port to be opened, at most.
const PATIENCE: Duration = Duration::from_millis(250);

/// A simulated network that runs: a thread in the network namespace of the thread that started it.
pub struct Sink {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<Report>>,
}

/// Where calls are announced. Cheap to clone; may be used from any thread.
#[derive(Clone)]
pub struct Handle {
    shared: Arc<Shared>,
}

/// What the thread and those who announce share.
pub(crate) struct Shared {
    /// Wakes the thread.
    pub(crate) wake: OwnedFd,
    /// Somebody waits for a port.
    pub(crate) urgent: AtomicBool,
    pub(crate) ties: Mutex<Ties>,
    pub(crate) ports: Mutex<Ports>,
}

#[derive(Default)]
pub(crate) struct Ports {
    pub(crate) open: HashSet<(Transport, u16)>,
    /// Whoever waits for a port.
    pub(crate) wanted: Vec<(Transport, u16, SyncSender<()>)>,
    pub(crate) stop: bool,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn wake(&self) {
        // a counter that is full wakes as well
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }
}

impl Handle {
    /// Announces that a process is about to call an address: the port is open when this returns, and the conversation
    /// will be the process's. Takes some microseconds when the port is open already, a fraction of a millisecond
    /// when not, and 250 ms at the very most. What is neither TCP nor UDP, or stays in the box, is ignored.
    ///
    /// A copy of the caller's socket makes it certain which of several calls to the same address is whose. It is closed
    /// when the call arrives, after a second at the latest.
    pub fn expect(&self, transport: Transport, to: SocketAddr, process: u32, socket: Option<OwnedFd>) {
        let to = canonical(to);
        let known = matches!(transport, Transport::Tcp | Transport::Udp);
        if !known || to.port() == 0 || to.ip().is_loopback() || to.ip().is_unspecified() {
            return;
        }
        lock(&self.shared.ties).expect(transport, to, process, socket, Instant::now());
        if let Some(opened) = self.want(transport, to.port()) {
            // if it cannot be opened, the call goes on and is refused, as by any closed port
            let _ = opened.recv_timeout(PATIENCE);
        }
    }

    /// Somebody called a port without being announced, and may try again: it is opened. Waits for nothing.
    pub fn noticed(&self, transport: Transport, port: u16) {
        if matches!(transport, Transport::Tcp | Transport::Udp) && port != 0 {
            let _ = self.want(transport, port);
        }
    }

    /// Wants a port opened; gives who tells that it is, when it is not open yet.
    fn want(&self, transport: Transport, port: u16) -> Option<Receiver<()>> {
        let (open, opened) = sync_channel(1);
        {
            let mut ports = lock(&self.shared.ports);
            if ports.stop || ports.open.contains(&(transport, port)) {
                return None;
            }
            ports.wanted.push((transport, port, open));
            self.shared.urgent.store(true, Ordering::Release);
        }
        self.shared.wake();
        Some(opened)
    }
}

impl Sink {
    /// Starts it. `began` is when the command began: times of acts count from there.
    pub fn start(simulation: Arc<Simulation>, began: Instant) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            wake: socket::event()?,
            urgent: AtomicBool::new(false),
            ties: Mutex::default(),
            ports: Mutex::default(),
        });
        let (ready, result) = sync_channel(1);
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("sink".to_owned())
            .spawn(move || {
                let _end = End(Arc::clone(&theirs));
                match Server::new(&simulation, theirs, began) {
                    Ok(server) => {
                        let _ = ready.send(Ok(()));
                        server.serve()
                    }
                    Err(error) => {
                        let _ = ready.send(Err(error));
                        Report::default()
                    }
                }
            })?;
        result.recv().map_err(io::Error::other)??;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Where calls are announced.
    pub fn handle(&self) -> Handle {
        Handle {
            shared: Arc::clone(&self.shared),
        }
    }

    /// Ends it: what was said already is read, then everybody is hung up on.
    pub fn finish(mut self) -> Report {
        self.stop()
    }

    fn stop(&mut self) -> Report {
        lock(&self.shared.ports).stop = true;
        self.shared.wake();
        let ended = self.thread.take().map(JoinHandle::join);
        let mut report = ended.and_then(Result::ok).unwrap_or_else(|| Report {
            losses: vec![Loss::Channel {
                why: "the simulated network broke".to_owned(),
            }],
            ..Report::default()
        });
        report.announced = lock(&self.shared.ties).all();
        report
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.stop();
        }
    }
}

/// However the thread ends, nobody waits for it afterwards.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        let mut ports = lock(&self.0.ports);
        ports.stop = true;
        // whoever waits is let go
        ports.wanted.clear();
    }
}
