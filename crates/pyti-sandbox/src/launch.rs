//! On the host: starting the program again, as a job.

use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::cgroup::{BOXES_AT, JobGroup, SHOWN_AT};
use crate::enter::{Hello, JOB_UID};
use crate::spec::{Bind, JobSpec};
use crate::sys::check;

/// How long the set-up may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most bytes of the agent's standard error that are kept.
const COMPLAINT: usize = 16 << 10;

/// Why a job could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The program cannot be started again.
    #[error("cannot start {program}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A step of the set-up failed.
    #[error("{step}: {text}")]
    Step {
        /// What was being done.
        step: String,
        /// The error's number, or 0.
        errno: i32,
        /// The error.
        text: String,
    },
    /// The process inside ended or said something else.
    #[error("the job ended while it was set up{}", if .0.is_empty() { String::new() } else { format!(": {}", .0) })]
    Ended(String),
    /// A folder that the job shall write cannot be given to it.
    #[error("cannot give {0} to the job")]
    Give(String, #[source] io::Error),
}

impl LaunchError {
    /// The one command that mends it, or what else to do; `None` when there is nothing to say.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Step { step, text, .. }
                if step == "opening what the job shall see" && text.contains("Permission denied") =>
            {
                let path = text.split(": ").next().unwrap_or_default();
                Some(format!("sudo chown -R \"$(id -un)\" '{path}' (pyti has run here as root before)"))
            }
            Self::Step { step, errno, .. } => crate::doctor::mend(step, *errno),
            Self::Give(..) => Some(
                "set PYTI_CACHE_DIR and PYTI_DATA_DIR to a folder on a disk of this machine: root may change owners there".to_owned(),
            ),
            _ => None,
        }
    }
}

/// A job that runs. Dropping it ends every process of it; the kernel takes mounts, network and memory away with them.
pub struct Job {
    stream: UnixStream,
    lens: Option<TcpListener>,
    lens_port: u16,
    pid: i32,
    ended: Receiver<()>,
    keeper: Option<JoinHandle<()>>,
    complaint: Arc<Mutex<Vec<u8>>>,
    group: Option<JobGroup>,
}

/// Starts `program VERB` in namespaces of its own.
pub fn launch(spec: &JobSpec, verb: &str) -> Result<Job, LaunchError> {
    // SAFETY: plain call
    if unsafe { libc::geteuid() } == 0 {
        for bind in spec.binds.iter().filter(|bind| bind.writable) {
            chown(&bind.source, Some(JOB_UID), Some(JOB_UID))
                .map_err(|e| LaunchError::Give(bind.source.display().to_string(), e))?;
        }
    }
    let start = |source| LaunchError::Start {
        program: spec.program.display().to_string(),
        source,
    };
    let (ours, theirs) = UnixStream::pair().map_err(start)?;
    let mut command = Command::new(&spec.program);
    command
        .arg(verb)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let complaint = Arc::new(Mutex::new(Vec::new()));
    let (started, start_result) = channel();
    let (say_ended, ended) = channel();
    let listening = Arc::clone(&complaint);
    // the job dies with the thread that started it, so that thread does nothing but wait for it
    let keeper = std::thread::Builder::new()
        .name("job".to_owned())
        .spawn(move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    let _ = started.send(Err(error));
                    return;
                }
            };
            // the command holds the other end of the channel; kept open, the end would never be noticed
            drop(command);
            let _ = started.send(Ok(child.id()));
            if let Some(mut stderr) = child.stderr.take() {
                let mut part = [0; 1024];
                while let Ok(read @ 1..) = stderr.read(&mut part) {
                    let mut kept = listening.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = COMPLAINT.saturating_sub(kept.len()).min(read);
                    kept.extend_from_slice(&part[..room]);
                }
            }
            let _ = child.wait();
            let _ = say_ended.send(());
        })
        .map_err(start)?;
    let pid = start_result
        .recv()
        .map_err(io::Error::other)
        .and_then(|result| result)
        .map_err(start)?;
    let pid = i32::try_from(pid).unwrap_or(i32::MAX);
    let group = JobGroup::create(spec.memory_bytes);
    let mut job = Job {
        stream: ours,
        lens: None,
        lens_port: 0,
        pid,
        ended,
        keeper: Some(keeper),
        complaint,
        group,
    };
    let mut spec = spec.clone();
    // version 1 is root's, who opens it before it gives up being root; version 2 may have been delegated
    // SAFETY: plain call
    let root = unsafe { libc::geteuid() } == 0;
    if let Some(group) = &job.group
        && (root || group.of_boxes().is_some())
    {
        let mut show = |source: Option<&Path>, target: &str, writable| {
            spec.binds.extend(source.map(|source| Bind {
                source: source.to_owned(),
                target: target.into(),
                writable,
            }));
        };
        show(group.folder(), SHOWN_AT, false);
        show(group.of_boxes(), BOXES_AT, true);
    }
    let moving = job.group.as_ref().and_then(|group| group.begin(pid));
    job.set_up(&spec)?;
    // nothing of a package runs before this returns
    if job.group.as_ref().is_some_and(|group| !group.holds(moving, pid)) {
        job.group = None;
    }
    Ok(job)
}

impl Job {
    fn set_up(&mut self, spec: &JobSpec) -> Result<(), LaunchError> {
        let ended =
            |job: &Self, error: io::Error| LaunchError::Ended(job.complaint().unwrap_or(error.to_string()));
        let mut line = serde_json::to_vec(spec).map_err(|e| LaunchError::Ended(e.to_string()))?;
        line.push(b'\n');
        self.stream.write_all(&line).map_err(|e| ended(self, e))?;
        self.stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(|e| ended(self, e))?;
        let (hello, listener) = receive(&self.stream).map_err(|e| ended(self, e))?;
        self.stream.set_read_timeout(None).map_err(|e| ended(self, e))?;
        match hello {
            Hello::Ready { lens_port } => {
                self.lens = listener;
                self.lens_port = lens_port;
                Ok(())
            }
            Hello::Failed { step, errno, text } => Err(LaunchError::Step { step, errno, text }),
        }
    }

    /// The channel to the agent.
    pub fn channel(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }

    /// The listener on the job's loopback, once: what is served on it is what uv inside reaches.
    pub fn take_lens(&mut self) -> Option<TcpListener> {
        self.lens.take()
    }

    /// Its port.
    pub fn lens_port(&self) -> u16 {
        self.lens_port
    }

    /// What the agent said on standard error.
    pub fn complaint(&self) -> Option<String> {
        let kept = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&kept).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Waits until it has ended, or for this long; tells whether it has.
    pub fn wait(&self, most: Duration) -> bool {
        !matches!(
            self.ended.recv_timeout(most),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        )
    }

    /// Ends everything in it, now. Returns when nothing of it is left.
    pub fn kill(&mut self) {
        let Some(keeper) = self.keeper.take() else { return };
        // nobody has waited for the process yet but the keeper, so the number is still its own unless it has ended
        if !keeper.is_finished() {
            // SAFETY: plain call
            unsafe { libc::kill(self.pid, libc::SIGKILL) };
        }
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = keeper.join();
        // now and not when the job is dropped: whoever shares it may hold it until the program has ended
        self.group = None;
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Receives the first line, and the descriptor beside it.
fn receive(stream: &UnixStream) -> io::Result<(Hello, Option<TcpListener>)> {
    let mut line = Vec::new();
    let mut listener = None;
    loop {
        let mut byte = 0u8;
        let mut part = libc::iovec {
            iov_base: (&raw mut byte).cast(),
            iov_len: 1,
        };
        let mut space = [0u64; 8];
        // SAFETY: the message points at data that lives until the call is over; a descriptor that came is owned at once
        let read = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = space.as_mut_ptr().cast();
            message.msg_controllen = size_of_val(&space) as _;
            let read = libc::recvmsg(stream.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC);
            let read = check(read as libc::c_long)?;
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            if !header.is_null()
                && (*header).cmsg_level == libc::SOL_SOCKET
                && (*header).cmsg_type == libc::SCM_RIGHTS
            {
                let fd = libc::CMSG_DATA(header).cast::<i32>().read_unaligned();
                listener = Some(TcpListener::from(OwnedFd::from_raw_fd(fd)));
            }
            read
        };
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if byte == b'\n' {
            return Ok((serde_json::from_slice(&line)?, listener));
        }
        line.push(byte);
        if line.len() > 64 << 10 {
            return Err(io::Error::other("the answer is too long"));
        }
    }
}
