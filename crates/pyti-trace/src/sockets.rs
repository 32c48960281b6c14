//! What a descriptor of a stopped process is.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use pyti_model::trace::{Endpoint, Transport};

use crate::address;

/// Opens a process by its number.
pub(crate) fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: plain call; the descriptor is new and owned at once
    unsafe {
        let fd = libc::syscall(libc::SYS_pidfd_open, pid, 0);
        owned(fd)
    }
}

/// A copy of a process's descriptor.
fn copy(process: BorrowedFd<'_>, fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain call; the descriptor is new and owned at once
    unsafe { owned(libc::syscall(libc::SYS_pidfd_getfd, process.as_raw_fd(), fd, 0)) }
}

/// # Safety
///
/// The number is the result of a call that makes a descriptor.
unsafe fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    match i32::try_from(fd) {
        // SAFETY: as promised by the caller
        Ok(fd @ 0..) => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A descriptor of a stopped process: a socket, or a handle of another process.
pub(crate) struct Socket(OwnedFd);

impl Socket {
    pub(crate) fn of(process: BorrowedFd<'_>, fd: i32) -> io::Result<Self> {
        copy(process, fd).map(Self)
    }

    /// The copy itself.
    pub(crate) fn into_copy(self) -> OwnedFd {
        self.0
    }

    fn option(&self, name: i32) -> Option<i32> {
        let mut value = 0i32;
        let mut length: libc::socklen_t = 4;
        // SAFETY: the value is as long as it is said to be
        let done = unsafe {
            libc::getsockopt(
                self.0.as_raw_fd(),
                libc::SOL_SOCKET,
                name,
                (&raw mut value).cast(),
                &raw mut length,
            )
        };
        (done == 0).then_some(value)
    }

    /// How it carries what is sent.
    pub(crate) fn transport(&self) -> Transport {
        let (domain, kind, protocol) = (
            self.option(libc::SO_DOMAIN),
            self.option(libc::SO_TYPE),
            self.option(libc::SO_PROTOCOL),
        );
        match (domain, kind, protocol) {
            (Some(libc::AF_UNIX), ..) => Transport::Unix,
            (_, _, Some(libc::IPPROTO_ICMP | libc::IPPROTO_ICMPV6)) => Transport::Icmp,
            (_, Some(libc::SOCK_STREAM), _) => Transport::Tcp,
            (_, Some(libc::SOCK_DGRAM), _) => Transport::Udp,
            _ => Transport::Other,
        }
    }

    /// The process that it is a handle of, as its own namespace numbers it.
    pub(crate) fn process(&self) -> Option<i32> {
        let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", self.0.as_raw_fd())).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        line.split_whitespace().last()?.parse().ok()
    }

    /// Whether it belongs to the internet.
    pub(crate) fn is_internet(&self) -> bool {
        matches!(self.option(libc::SO_DOMAIN), Some(libc::AF_INET | libc::AF_INET6))
    }

    /// Its own address.
    pub(crate) fn name(&self) -> Option<Endpoint> {
        let mut bytes = [0u8; address::LONGEST];
        let mut length = libc::socklen_t::try_from(bytes.len()).ok()?;
        // SAFETY: the buffer is as long as it is said to be
        let done =
            unsafe { libc::getsockname(self.0.as_raw_fd(), bytes.as_mut_ptr().cast(), &raw mut length) };
        let length = usize::try_from(length).ok()?.min(bytes.len());
        (done == 0).then(|| address::endpoint(&bytes[..length]))
    }
}
