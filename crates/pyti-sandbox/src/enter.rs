//! Inside, once a job: giving up root, namespaces, the agent's root, PID 1.
//!
//! The order matters; each line below says what the one before it made possible.

use std::ffi::{CString, OsStr};
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::net::TcpListener;
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::boxes::Boxes;
use crate::cgroup;
use crate::layer::{self, StoreKind};
use crate::root::{self, System};
use crate::spec::JobSpec;
use crate::sys::{self, check};

/// The user that jobs run as when root starts them: outside every range that Debian, Fedora or systemd hand out.
/// One for all jobs, because their namespaces keep them apart and the cached environments belong to it.
pub(crate) const JOB_UID: u32 = 65_525;

/// Most bytes of a job's specification.
const SPEC_CAP: usize = 4 << 20;

/// What the process inside has once it is PID 1 of its job.
pub struct Inside {
    /// To the worker.
    pub channel: UnixStream,
    /// Where the lens listens, on the job's loopback.
    pub lens_port: u16,
    /// What commands are run with.
    pub boxes: Boxes,
}

/// A step of the set-up failed. The worker was told.
#[derive(Debug, thiserror::Error)]
#[error("{step}: {source}")]
pub struct EnterError {
    step: &'static str,
    source: io::Error,
}

/// What the inside tells the host when it is set up, or is not.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Hello {
    /// The listener of the lens comes with this.
    Ready { lens_port: u16 },
    /// What failed.
    Failed { step: String, errno: i32, text: String },
}

/// Names a step whose call may fail.
trait At<T> {
    fn at(self, step: &'static str) -> Result<T, EnterError>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, step: &'static str) -> Result<T, EnterError> {
        self.map_err(|source| EnterError { step, source })
    }
}

/// Sets up the job. Returns only in the process that is its PID 1; the process that was started waits for that one
/// and ends with it.
pub fn enter() -> Result<Inside, EnterError> {
    // standard input is the channel; it gets another number, so that nothing reads it by mistake
    // SAFETY: a plain call; the descriptor is owned from here on
    let channel = unsafe {
        let fd = libc::fcntl(0, libc::F_DUPFD_CLOEXEC, 10);
        check(libc::c_long::from(fd)).at("taking the channel")?;
        UnixStream::from(OwnedFd::from_raw_fd(fd))
    };
    match set_up(&channel) {
        Ok(inside) => Ok(inside),
        Err(error) => {
            let errno = error.source.raw_os_error().unwrap_or(0);
            let failed = Hello::Failed {
                step: error.step.to_owned(),
                errno,
                text: error.source.to_string(),
            };
            let mut line = serde_json::to_vec(&failed).unwrap_or_default();
            line.push(b'\n');
            let mut to_host: &UnixStream = &channel;
            // when the host is gone there is nobody to tell
            let _ = to_host.write_all(&line);
            Err(error)
        }
    }
}

fn set_up(channel: &UnixStream) -> Result<Inside, EnterError> {
    let spec = read_spec(channel).at("reading the order")?;
    let null = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")
        .at("opening /dev/null")?;
    // SAFETY: both descriptors are open
    check(libc::c_long::from(unsafe { libc::dup2(null.as_raw_fd(), 0) })).at("closing standard input")?;
    // SAFETY: plain calls without arguments that could be wrong
    let root = unsafe { libc::geteuid() } == 0;
    // as root, trees are opened while every folder can still be passed through
    let system = System::read(spec.image.as_deref().unwrap_or(Path::new("/")));
    let early = if root {
        open_all(&spec, &system)?
    } else {
        Vec::new()
    };
    if let Some(group) = spec
        .binds
        .iter()
        .find(|bind| bind.target == Path::new(cgroup::SHOWN_AT))
    {
        // what it starts is born there; whether it worked is looked at from outside
        let _ = cgroup::enter(&group.source);
    }
    if root {
        drop_root()?;
    }
    // SAFETY: plain calls
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    let flags = libc::CLONE_NEWUSER
        | libc::CLONE_NEWNS
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET
        | libc::CLONE_NEWIPC;
    // SAFETY: this process has one thread
    check(libc::c_long::from(unsafe { libc::unshare(flags) })).at("making the job's namespaces")?;
    dumpable().at("staying readable")?;
    fs::write("/proc/self/setgroups", "deny").at("giving up groups")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).at("mapping the user")?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).at("mapping the group")?;
    // SAFETY: this process has one thread, so the child may do anything
    let child = unsafe { libc::fork() };
    check(libc::c_long::from(child)).at("starting the job's first process")?;
    if child > 0 {
        wait_and_end(child);
    }
    die_with_parent().at("tying the job to its worker")?;
    dumpable().at("staying readable")?;
    let trees = if root { early } else { open_all(&spec, &system)? };
    make_root(&spec, &system, trees)?;
    loopback_up().at("bringing the loopback up")?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).at("listening for the lens")?;
    let lens_port = listener.local_addr().at("listening for the lens")?.port();
    // SAFETY: plain call
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    }))
    .at("forbidding new privileges")?;
    let store = match spec.store {
        Some(kind) => kind,
        None if layer::overlay_works() => StoreKind::Overlay,
        None => StoreKind::Copy,
    };
    let shown = spec
        .binds
        .iter()
        .filter(|b| {
            let below = b.target.strip_prefix("/").unwrap_or(&b.target);
            b.source == b.target
                || spec
                    .image
                    .as_ref()
                    .is_some_and(|image| b.source == image.join(below))
        })
        .map(|b| b.target.clone())
        .collect();
    // boxes are started from a thread that is made here, before this one is closed to what the agent never does: a
    // filter is inherited, and would answer a box's calls before they are told
    let boxes = Boxes::new(store, shown);
    let own = pyti_trace::filter::agent_program(pyti_trace::Arch::OWN);
    // SAFETY: the program lives until the call is over
    unsafe { pyti_trace::filter::install(&own, false) }
        .map_err(io::Error::from_raw_os_error)
        .at("closing what the agent never does")?;
    let channel = channel.try_clone().at("keeping the channel")?;
    send_listener(&channel, &listener, &Hello::Ready { lens_port }).at("passing the lens's listener")?;
    Ok(Inside {
        channel,
        lens_port,
        boxes,
    })
}

/// One line of JSON, read byte by byte: what follows it belongs to somebody else.
fn read_spec(mut channel: &UnixStream) -> io::Result<JobSpec> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        channel.read_exact(&mut byte)?;
        if byte[0] == b'\n' {
            return serde_json::from_slice(&line).map_err(io::Error::other);
        }
        line.push(byte[0]);
        if line.len() > SPEC_CAP {
            return Err(io::Error::other("the order is too long"));
        }
    }
}

/// A tree that will be shown, detached, with where it goes.
struct Tree {
    fd: OwnedFd,
    target: PathBuf,
    folder: bool,
}

fn open_all(spec: &JobSpec, system: &System) -> Result<Vec<Tree>, EnterError> {
    let mut trees = Vec::new();
    let mut open = |source: &Path, target: &Path, attributes: u64| -> io::Result<()> {
        let fd = sys::open_tree(&c_path(source)?)?;
        // a device is bound with its power to be one; everything else is shorn
        sys::mount_setattr(fd.as_fd(), attributes)?;
        trees.push(Tree {
            fd,
            target: target.to_owned(),
            folder: source.is_dir(),
        });
        Ok(())
    };
    let plain = sys::NOSUID | sys::NODEV;
    for bind in &spec.binds {
        let attributes = if bind.writable { plain } else { plain | sys::RDONLY };
        open(&bind.source, &bind.target, attributes)
            .map_err(|e| named(&e, &bind.source))
            .at("opening what the job shall see")?;
    }
    open(&spec.program, Path::new("/.pyti/pyti"), plain | sys::RDONLY).at("opening the program")?;
    for (folder, path) in &system.folders {
        open(path, Path::new(folder), plain | sys::RDONLY).at("opening the system's folders")?;
    }
    for device in &spec.devices {
        open(device, device, sys::NOSUID).at("opening devices")?;
    }
    for device in root::DEVICES {
        open(Path::new(device), Path::new(device), sys::NOSUID).at("opening devices")?;
    }
    Ok(trees)
}

fn named(error: &io::Error, path: &Path) -> io::Error {
    // the number is kept for the hint; the path is what a person needs
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

fn drop_root() -> Result<(), EnterError> {
    // SAFETY: plain calls
    unsafe {
        check(libc::c_long::from(libc::setgroups(0, std::ptr::null()))).at("giving up root's groups")?;
        check(libc::c_long::from(libc::setresgid(JOB_UID, JOB_UID, JOB_UID))).at("giving up root's group")?;
        check(libc::c_long::from(libc::setresuid(JOB_UID, JOB_UID, JOB_UID))).at("giving up root")?;
    }
    dumpable().at("staying readable")
}

/// Lets `/proc/self` stay ours after a change of credentials.
fn dumpable() -> io::Result<()> {
    // SAFETY: plain call
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0)
    }))
    .map(|_| ())
}

fn die_with_parent() -> io::Result<()> {
    // SAFETY: plain call
    check(libc::c_long::from(unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0)
    }))
    .map(|_| ())
}

/// What the started process does for the rest of its life: it ends when the job does, and the job with it.
fn wait_and_end(child: libc::pid_t) -> ! {
    // changes of credentials cleared the mark, so it is set only now; the host's thread lives as long as the job
    let _ = die_with_parent();
    let mut status = 0;
    // SAFETY: plain calls; the process ends here
    unsafe {
        libc::close(10);
        loop {
            let waited = libc::waitpid(child, &raw mut status, 0);
            if waited == child || sys::errno() != libc::EINTR {
                break;
            }
        }
        libc::_exit(if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            70
        });
    }
}

fn make_root(spec: &JobSpec, system: &System, trees: Vec<Tree>) -> Result<(), EnterError> {
    let private = libc::MS_REC | libc::MS_PRIVATE;
    sys::mount(c"none", c"/", c"", private, c"").at("making mounts private")?;
    let options = format!(
        "size={},nr_inodes={},mode=0755",
        spec.layers_bytes, spec.layers_inodes
    );
    let options = CString::new(options)
        .map_err(io::Error::other)
        .at("mounting the job's memory")?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    sys::mount(c"pyti", c"/tmp", c"tmpfs", flags, &options).at("mounting the job's memory")?;
    let base = Path::new("/tmp");
    for tree in trees {
        let target = base.join(tree.target.strip_prefix("/").unwrap_or(&tree.target));
        if tree.folder {
            fs::create_dir_all(&target).at("making the job's root")?;
        } else {
            if let Some(parent) = target.parent() {
                fs::create_dir_all(parent).at("making the job's root")?;
            }
            File::create(&target).at("making the job's root")?;
        }
        let target = c_path(&target).at("making the job's root")?;
        sys::move_mount(tree.fd.as_fd(), &target).at("showing what the job shall see")?;
    }
    root::make(base, system, spec.binds.iter().map(|b| b.target.as_path())).at("making the job's root")?;
    let proc_flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    sys::mount(c"proc", c"/tmp/proc", c"proc", proc_flags, c"").at("mounting /proc")?;
    sys::mount(
        c"devpts",
        c"/tmp/dev/pts",
        c"devpts",
        libc::MS_NOSUID | libc::MS_NOEXEC,
        c"newinstance,ptmxmode=0666,mode=0620",
    )
    .at("mounting /dev/pts")?;
    std::env::set_current_dir(base).at("entering the job's root")?;
    // SAFETY: both texts end with a zero
    check(unsafe { libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()) })
        .at("entering the job's root")?;
    sys::detach(c".").at("leaving the host's root")?;
    std::env::set_current_dir("/").at("entering the job's root")
}

pub(crate) fn loopback_up() -> io::Result<()> {
    const SIOCSIFFLAGS: u32 = 0x8914;
    // SAFETY: the request is filled in before the call; the socket is closed by its owner
    unsafe {
        let fd = libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0);
        check(libc::c_long::from(fd))?;
        let socket = OwnedFd::from_raw_fd(fd);
        let mut request: libc::ifreq = std::mem::zeroed();
        for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
            *slot = libc::c_char::from_ne_bytes([*byte]);
        }
        let flags = libc::IFF_UP | libc::IFF_RUNNING;
        request.ifr_ifru.ifru_flags = i16::try_from(flags).unwrap_or(0);
        sys::ioctl(socket.as_raw_fd(), SIOCSIFFLAGS, &raw const request)
    }
}

/// Sends one line with a descriptor beside it (`SCM_RIGHTS`).
fn send_listener(channel: &UnixStream, listener: &TcpListener, hello: &Hello) -> io::Result<()> {
    let mut line = serde_json::to_vec(hello)?;
    line.push(b'\n');
    let mut part = libc::iovec {
        iov_base: line.as_mut_ptr().cast(),
        iov_len: line.len(),
    };
    let mut space = [0u64; 8];
    // SAFETY: the message points at data that lives until the call is over; the space is big enough and aligned
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = &raw mut part;
        message.msg_iovlen = 1;
        message.msg_control = space.as_mut_ptr().cast();
        message.msg_controllen = libc::CMSG_SPACE(4) as _;
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(4) as _;
        libc::CMSG_DATA(header)
            .cast::<i32>()
            .write_unaligned(listener.as_raw_fd());
        let sent = check(libc::sendmsg(channel.as_raw_fd(), &raw const message, 0) as libc::c_long)?;
        if usize::try_from(sent) == Ok(line.len()) {
            Ok(())
        } else {
            Err(io::Error::other("the message was cut"))
        }
    }
}

/// A path as the kernel wants it.
pub(crate) fn c_path(path: &Path) -> io::Result<CString> {
    c_text(path.as_os_str())
}

/// A text as the kernel wants it.
pub(crate) fn c_text(text: &OsStr) -> io::Result<CString> {
    CString::new(text.as_bytes()).map_err(|_| io::Error::other("a text holds a zero byte"))
}
