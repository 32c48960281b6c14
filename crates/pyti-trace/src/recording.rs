//! The thread that records one command.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::path::PathBuf;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyti_model::effect::{Denial, Loss};
use pyti_model::foreign::Foreign;
use pyti_model::trace::{End, Form, Trace, Transport};

use crate::recorder::Recorder;
use crate::{tree, wire};

/// Called just before a process connects, or sends to an address: how, to whom, the process's place in the list, and a
/// copy of its socket, where it could be had. The call goes on when this returns, so it must return within a few
/// milliseconds.
pub type OnCall = Box<dyn FnMut(Transport, SocketAddr, u32, Option<OwnedFd>) + Send>;

/// What is known of a command before it starts.
pub struct Setup {
    /// How much is looked at; the filter must have been made for the same form.
    pub form: Form,
    /// When the command began: times are counted from here.
    pub began: Instant,
    /// The first process of the box, as this process numbers it.
    pub init: i32,
    /// Where the command's program is looked for, in order.
    pub programs: Vec<Vec<u8>>,
    /// The command's arguments.
    pub argv: Vec<Foreign>,
    /// The command's working folder.
    pub cwd: Vec<u8>,
    /// Names of the variables that the command is given: only others are told later.
    pub variables: Vec<Vec<u8>>,
    /// Files and folders at or below which everything is listed.
    pub watched: Vec<PathBuf>,
    /// Folders of environments: what is usual there is counted.
    pub quiet: Vec<PathBuf>,
    /// Folders that the command is there to fill: what is written there is counted, the difference of layers lists it.
    pub filled: Vec<PathBuf>,
    /// Folders of the machine, besides `/usr` and its like: what is read there is counted.
    pub system: Vec<PathBuf>,
    /// The upper folder of the box's overlay, as this process sees it; `None` where the root is no overlay.
    pub upper: Option<PathBuf>,
    /// Who is told of calls to the internet before they go on.
    pub on_call: Option<OnCall>,
}

/// What was recorded.
pub struct Recorded {
    /// Processes, acts, counts, losses.
    pub trace: Trace,
    /// What was refused, by call.
    pub denials: Vec<Denial>,
}

/// A recording that runs.
pub struct Recording {
    stop: OwnedFd,
    thread: Option<JoinHandle<Recorded>>,
    form: Form,
}

/// Ends of processes that are taken at once.
const EVENTS: usize = 64;

impl Recording {
    /// Starts to answer what the listener tells. The box must not run the command before this returns.
    ///
    /// # Errors
    ///
    /// A descriptor or the thread cannot be had.
    pub fn start(listener: OwnedFd, setup: Setup) -> io::Result<Self> {
        more_files();
        wire::wake_on_same_cpu(listener.as_raw_fd());
        // SAFETY: plain calls; the descriptors are new and owned at once
        let (epoll, stop) = unsafe {
            (
                owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
                owned(libc::eventfd(0, libc::EFD_CLOEXEC))?,
            )
        };
        let told = stop.try_clone()?;
        let form = setup.form;
        let recorder = Recorder::new(listener, setup, epoll.as_raw_fd());
        let thread = std::thread::Builder::new()
            .name("recording".to_owned())
            .spawn(move || follow(recorder, &epoll, &told))?;
        Ok(Self {
            stop,
            thread: Some(thread),
            form,
        })
    }

    /// Ends the recording: everything of the command is gone. `command` is how its first process ended, as `wait`
    /// tells it, and when, where that is known.
    pub fn finish(mut self, command: Option<(i32, u64)>) -> Recorded {
        self.stop();
        let form = self.form;
        let result = self.thread.take().map(JoinHandle::join);
        let mut recorded = result.and_then(Result::ok).unwrap_or_else(|| Recorded {
            trace: Trace {
                form,
                losses: vec![Loss::Notifications {
                    why: "the recording ended with an error of its own".to_owned(),
                }],
                ..Trace::default()
            },
            denials: Vec::new(),
        });
        if let Some((status, at_us)) = command
            && let Some(process) = recorded.trace.processes.first_mut()
        {
            process.ended = Some(End {
                at_us,
                exit: Some(tree::exit(status)),
            });
        }
        recorded
    }

    fn stop(&self) {
        let one = 1u64;
        // SAFETY: eight bytes from eight bytes
        unsafe { libc::write(self.stop.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

impl Drop for Recording {
    /// The thread ends by itself; nobody wants to know what it saw.
    fn drop(&mut self) {
        self.stop();
    }
}

/// Waits with `poll`, not with `epoll`, for what stops calls: only then does the kernel's wish to go on with us on the
/// caller's own CPU arrive here, and waking another one costs several times as much as all the rest. Ends of processes,
/// which are many and rare, have an `epoll` of their own.
fn follow(mut recorder: Recorder, ends: &OwnedFd, stop: &OwnedFd) -> Recorded {
    let mut trouble = None;
    let mut wait = None;
    let entry = |fd: RawFd| libc::pollfd {
        fd,
        events: libc::POLLIN,
        revents: 0,
    };
    // a descriptor of -1 is passed over
    let mut fds = [
        entry(recorder.listener()),
        entry(ends.as_raw_fd()),
        entry(recorder.watches().unwrap_or(-1)),
        entry(stop.as_raw_fd()),
    ];
    loop {
        poll(&mut fds, wait);
        let [listener, ended, watches, stop] = fds.map(|entry| entry.revents);
        // ends first: a number that comes next may be somebody else's
        if ended != 0 {
            for pid in taken(ends) {
                recorder.ended(pid);
            }
        }
        if watches != 0 {
            recorder.watched();
        }
        if listener & libc::POLLIN != 0 {
            if let Err(error) = recorder.serve() {
                trouble = Some(error);
                break;
            }
        } else if listener != 0 {
            // nobody is left who could be stopped
            fds[0].fd = -1;
        } else if stop != 0 {
            break;
        }
        wait = recorder.look_again();
    }
    let (mut trace, denials) = recorder.finish();
    if let Some(error) = trouble {
        trace.losses.push(Loss::Notifications {
            why: format!("the listener broke: {error}"),
        });
    }
    Recorded { trace, denials }
}

fn poll(fds: &mut [libc::pollfd; 4], wait: Option<Duration>) {
    // rounded up: too early would mean to look in vain
    let wait = wait.map_or(-1, |wait| i32::try_from(wait.as_millis() + 1).unwrap_or(100));
    // SAFETY: the array is as long as it is said to be
    let ready = unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, wait) };
    if ready < 0 {
        // interrupted: what stands there is old
        for entry in fds {
            entry.revents = 0;
        }
    }
}

/// Numbers of processes that have ended.
fn taken(ends: &OwnedFd) -> Vec<u32> {
    // SAFETY: all-zero is a valid value
    let mut events: [libc::epoll_event; EVENTS] = unsafe { std::mem::zeroed() };
    let most = i32::try_from(events.len()).unwrap_or(1);
    // SAFETY: the array is as long as it is said to be
    let ready = unsafe { libc::epoll_wait(ends.as_raw_fd(), events.as_mut_ptr(), most, 0) };
    let events = &events[..usize::try_from(ready).unwrap_or(0)];
    events
        .iter()
        .filter_map(|event| u32::try_from(event.u64).ok())
        .collect()
}

/// # Safety
///
/// The number is the result of a call that makes a descriptor.
unsafe fn owned(fd: i32) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: as promised by the caller
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Two descriptors are held of each process: as many as this process may have are asked for, once.
fn more_files() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        // SAFETY: the structure is filled in by the first call, and lives
        unsafe {
            let mut limit: libc::rlimit = std::mem::zeroed();
            if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 && limit.rlim_cur < limit.rlim_max {
                limit.rlim_cur = limit.rlim_max.min(65_536);
                // where that is refused, fewer processes are followed, and that is recorded
                libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
            }
        }
    });
}
