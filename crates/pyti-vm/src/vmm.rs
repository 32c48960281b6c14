//! QEMU in a sandbox: the program is started again, shuts itself in as an agent would, and becomes QEMU.
//!
//! It has a root that holds `/usr`, the image, the kernel and one folder of its own; no network; a user who owns nothing;
//! no capability; QEMU's own seccomp filter besides. What it may speak with are the descriptors that the host gave it.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The hidden verb.
pub const VERB: &str = "__vmm";
/// The first descriptor that QEMU inherits is the port; those that were sent follow, in order.
pub const FIRST: i32 = 20;
/// Most descriptors that are sent.
const MOST: usize = 4;
/// Most bytes of a command line.
const CAP: usize = 64 << 10;

/// Sends a command line and descriptors to the process that will become QEMU.
pub fn order(channel: &UnixStream, argv: &[OsString], fds: &[&dyn AsFd]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for word in argv {
        bytes.extend_from_slice(word.as_bytes());
        bytes.push(0);
    }
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let borrowed: Vec<_> = fds.iter().map(|fd| fd.as_fd()).collect();
    if !borrowed.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&borrowed)) {
        return Err(io::Error::other("too many descriptors"));
    }
    sendmsg(
        channel,
        &[IoSlice::new(&length.to_le_bytes())],
        &mut control,
        SendFlags::empty(),
    )?;
    io::Write::write_all(&mut &*channel, &bytes)
}

fn receive(channel: &UnixStream) -> io::Result<(Vec<OsString>, Vec<OwnedFd>)> {
    let mut length = [0; 4];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = recvmsg(
        channel,
        &mut [IoSliceMut::new(&mut length)],
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if got.bytes != 4 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    let length = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if length > CAP {
        return Err(io::Error::other("the command line is too long"));
    }
    let mut bytes = vec![0; length];
    io::Read::read_exact(&mut &*channel, &mut bytes)?;
    let argv = bytes
        .split(|b| *b == 0)
        .filter(|word| !word.is_empty())
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect();
    Ok((argv, fds))
}

/// Shuts itself in and becomes QEMU.
pub fn main() -> ExitCode {
    match become_qemu() {
        Ok(never) => match never {},
        Err(error) => {
            complain(&error.to_string());
            ExitCode::from(5)
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "its standard error is its last way to say what is wrong"
)]
fn complain(text: &str) {
    eprintln!("vmm: {text}");
}

fn become_qemu() -> Result<std::convert::Infallible, Box<dyn std::error::Error + Send + Sync>> {
    let inside = pyti_sandbox::enter()?;
    let channel = inside.channel;
    let (argv, fds) = receive(&channel)?;
    let (program, arguments) = argv.split_first().ok_or("no command line")?;
    // above all numbers that they will get, so that none is overwritten
    let mut held = vec![rustix::io::fcntl_dupfd_cloexec(&channel, 100)?];
    for fd in &fds {
        held.push(rustix::io::fcntl_dupfd_cloexec(fd, 100)?);
    }
    for (number, fd) in held.iter().enumerate() {
        let to = FIRST + i32::try_from(number)?;
        // SAFETY: both are plain numbers; the new one is inherited on purpose
        if unsafe { libc::dup2(fd.as_raw_fd(), to) } < 0 {
            return Err(io::Error::last_os_error().into());
        }
    }
    give_up_everything()?;
    Err(Command::new(program)
        .args(arguments)
        .env_clear()
        .env("HOME", "/tmp")
        .exec()
        .into())
}

/// No capability in the namespace either, and no core that would hold a guest's memory.
fn give_up_everything() -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    let header = Header {
        version: 0x2008_0522,
        pid: 0,
    };
    let nothing = [0u32; 6];
    // SAFETY: plain calls; the structures live until they return
    unsafe {
        for capability in 0..64 {
            // those that the kernel does not know are refused
            libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0);
        }
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        // as the namespace's root, exec would give them back
        let secure = 0b1010_1111;
        libc::prctl(libc::PR_SET_SECUREBITS, secure, 0, 0, 0);
        if libc::syscall(libc::SYS_capset, &raw const header, nothing.as_ptr()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let none = libc::rlimit {
            rlim_cur: 0,
            rlim_max: 0,
        };
        libc::setrlimit(libc::RLIMIT_CORE, &raw const none);
    }
    Ok(())
}
