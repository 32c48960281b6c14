//! Where a box is started from: a thread that has an empty network and, where one can be had, a control group, both made
//! ahead, so that no command waits for them.
//!
//! A box inherits the network of the thread that starts it. So that network belongs to the agent, and the box, whose user
//! namespace is younger, has no power over its links. The thread lives as long as the box: `PR_SET_PDEATHSIG` ties
//! the two.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::cgroup::BoxGroup;
use crate::init::{self, Child};
use crate::network::Joining;
use crate::sys::{self, check};

/// What a starter thread needs: it only makes system calls and copies itself.
const STACK: usize = 256 << 10;

/// Starters, one of which is always ready or being made.
pub(crate) struct Starters {
    ready: Mutex<Receiver<io::Result<Starter>>>,
    /// Whether the last one was wanted with a router: then the next one is likely to be, too.
    routed: Arc<AtomicBool>,
}

/// One thread, before and while it has a box.
pub(crate) struct Starter {
    orders: Option<Sender<Order>>,
    started: Receiver<io::Result<i32>>,
    network: OwnedFd,
    router: Option<Joining>,
    group: Option<BoxGroup>,
    /// See [`BoxGroup::birthplace`].
    birthplace: Option<File>,
    thread: Option<JoinHandle<()>>,
}

struct Order {
    child: Borrowed,
    /// Whether the box shall be in the job's own network.
    home: bool,
    /// The folder of the control group that it is to be born in.
    birthplace: Option<RawFd>,
}

/// The prepared child; whoever sends it waits until it has been started.
struct Borrowed(*const Child);

// SAFETY: it is only read, while the thread that owns it waits, see `Starter::start`
unsafe impl Send for Borrowed {}

impl Starters {
    /// Begins to make the first one. To be called in the job's own network.
    pub(crate) fn new() -> Self {
        let (sender, ready) = sync_channel(0);
        let routed = Arc::new(AtomicBool::new(false));
        let likely = Arc::clone(&routed);
        let made = File::open("/proc/thread-self/ns/net").and_then(|home| {
            std::thread::Builder::new()
                .name("starters".to_owned())
                .stack_size(STACK)
                .spawn(move || make_ahead(&Arc::new(home), &sender, &likely))
        });
        if let Err(error) = made {
            // whoever asks for one is told that there is nobody
            drop(error);
        }
        Self {
            ready: Mutex::new(ready),
            routed,
        }
    }

    /// One that nobody else has.
    pub(crate) fn take(&self, routed: bool) -> io::Result<Starter> {
        self.routed.store(routed, Ordering::Relaxed);
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let starter = ready
                .recv()
                .unwrap_or_else(|_| Err(io::Error::other("no thread can be had to start boxes from")))?;
            // who shall see only its own loopback gets no network that has a router already
            if routed || starter.router.is_none() {
                return Ok(starter);
            }
        }
    }
}

/// The channel has no room: each is made when the one before was taken.
fn make_ahead(home: &Arc<File>, ready: &SyncSender<io::Result<Starter>>, routed: &AtomicBool) {
    loop {
        let mut starter = Starter::new(Arc::clone(home));
        if let Ok(starter) = &mut starter
            && routed.load(Ordering::Relaxed)
        {
            // where it fails, whoever wants it tries again and is told
            starter.router = Joining::begin(starter.network.as_fd()).ok();
        }
        if ready.send(starter).is_err() {
            return;
        }
    }
}

impl Starter {
    fn new(home: Arc<File>) -> io::Result<Self> {
        let (orders, wanted) = channel();
        let (tell, started) = channel();
        let (prepared, preparation) = channel();
        let thread = std::thread::Builder::new()
            .name("starter".to_owned())
            .stack_size(STACK)
            .spawn(move || match prepare() {
                Ok(ready) => {
                    let _ = prepared.send(Ok(ready));
                    live(&home, &wanted, &tell);
                }
                Err(error) => {
                    let _ = prepared.send(Err(error));
                }
            })?;
        let (network, mut group) = preparation.recv().map_err(io::Error::other)??;
        let birthplace = match group.as_ref().map(BoxGroup::birthplace) {
            Some(Ok(folder)) => folder,
            // without it nobody would be in the group
            Some(Err(_)) => {
                if let Some(group) = group.take() {
                    group.remove();
                }
                None
            }
            None => None,
        };
        Ok(Self {
            orders: Some(orders),
            started,
            network,
            router: None,
            group,
            birthplace,
            thread: Some(thread),
        })
    }

    /// The router of the box's network, once; it may have been begun ahead.
    pub(crate) fn router(&mut self) -> io::Result<Joining> {
        match self.router.take() {
            Some(joining) => Ok(joining),
            None => Joining::begin(self.network.as_fd()),
        }
    }

    /// The control group of the box, where it has one.
    pub(crate) fn group(&self) -> Option<&BoxGroup> {
        self.group.as_ref()
    }

    /// Starts the first process of the box, and gives its number; at `home`, in the job's own network.
    pub(crate) fn start(&self, child: &Child, home: bool) -> io::Result<i32> {
        let order = Order {
            child: Borrowed(child),
            home,
            birthplace: self.birthplace.as_ref().map(File::as_raw_fd),
        };
        let gone = || io::Error::other("the thread that starts the box is gone");
        self.orders
            .as_ref()
            .ok_or_else(gone)?
            .send(order)
            .map_err(|_| gone())?;
        // until it has answered, the child that it was lent is not given back
        self.started.recv().map_err(|_| gone())?
    }
}

impl Drop for Starter {
    /// To be dropped when the box's first process was waited for: then the group is empty but for the thread.
    fn drop(&mut self) {
        drop(self.orders.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Some(group) = self.group.take() {
            group.remove();
        }
    }
}

/// In the starter's thread: an empty network, and a group.
fn prepare() -> io::Result<(OwnedFd, Option<BoxGroup>)> {
    // SAFETY: plain call; only this thread changes its namespace
    check(libc::c_long::from(unsafe { libc::unshare(libc::CLONE_NEWNET) }))?;
    crate::enter::loopback_up()?;
    let network = File::open("/proc/thread-self/ns/net")?;
    Ok((network.into(), BoxGroup::enter()))
}

/// In the starter's thread: one box, and then its end.
fn live(home: &File, wanted: &Receiver<Order>, tell: &Sender<io::Result<i32>>) {
    let Ok(order) = wanted.recv() else { return };
    let started = if order.home { go_home(home) } else { Ok(()) }.and_then(|()| {
        // SAFETY: the owner waits until it is answered, so what it lent is there
        unsafe { start(&*order.child.0, order.birthplace) }
    });
    let _ = tell.send(started);
    // nobody sends a second one: this ends when the starter is dropped
    let _ = wanted.recv();
}

fn go_home(home: &File) -> io::Result<()> {
    // SAFETY: plain call; only this thread changes its namespace
    check(libc::c_long::from(unsafe {
        libc::setns(home.as_raw_fd(), libc::CLONE_NEWNET)
    }))
    .map(|_| ())
}

/// Copies this process into new namespaces. The copy has one thread, and runs the child to its end.
///
/// # Safety
///
/// The child lives until this returns.
unsafe fn start(child: &Child, birthplace: Option<RawFd>) -> io::Result<i32> {
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUTS;
    // SAFETY: the copy only walks data that was prepared, see `init`; it never returns
    let pid = unsafe { sys::fork_into(flags, birthplace) };
    if pid == 0 {
        init::run(child);
    }
    let pid = check(libc::c_long::from(pid))?;
    i32::try_from(pid).map_err(io::Error::other)
}
