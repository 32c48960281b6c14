//! The kernel's side of the notification: structures and calls of `seccomp_unotify(2)`.

use std::io;
use std::os::fd::RawFd;

/// What the kernel tells of one stopped call.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notification {
    pub(crate) id: u64,
    /// The thread, as our process-id namespace numbers it.
    pub(crate) tid: u32,
    flags: u32,
    pub(crate) data: Data,
}

/// `struct seccomp_data`.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Data {
    pub(crate) number: i32,
    arch: u32,
    instruction: u64,
    pub(crate) arguments: [u64; 6],
}

#[repr(C)]
struct Response {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}

const RECV: u32 = 0xc050_2100;
const SEND: u32 = 0xc018_2101;
const ID_VALID: u32 = 0x4008_2102;
const SET_FLAGS: u32 = 0x4008_2104;
/// `SECCOMP_USER_NOTIF_FLAG_CONTINUE`
const CONTINUE: u32 = 1;

/// What happens with a stopped call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It goes on.
    Continue,
    /// It gets `EPERM`.
    Refuse,
}

fn ioctl<T>(fd: RawFd, request: u32, value: *mut T) -> io::Result<()> {
    // by number, because C libraries disagree about the type of the request
    // SAFETY: the callers below pass the structure that the request wants, and it lives until the call is over
    if unsafe { libc::syscall(libc::SYS_ioctl, fd, request, value) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Wakes the answered thread on the same CPU (Linux 6.6); without it answers only take longer. Tells whether it took.
pub(crate) fn wake_on_same_cpu(listener: RawFd) -> bool {
    const SYNC_WAKE_UP: libc::c_ulong = 1;
    // SAFETY: the flags are a number, not a pointer
    unsafe { libc::syscall(libc::SYS_ioctl, listener, SET_FLAGS, SYNC_WAKE_UP) == 0 }
}

/// Takes the next notification; waits for one.
pub(crate) fn receive(listener: RawFd) -> io::Result<Notification> {
    // SAFETY: all-zero is a valid value, and what the kernel wants before it fills it in
    let mut notification: Notification = unsafe { std::mem::zeroed() };
    ioctl(listener, RECV, &raw mut notification)?;
    Ok(notification)
}

/// Whether the thread is still stopped in that call. If so, what was read of it before was its own.
pub(crate) fn still_there(listener: RawFd, mut id: u64) -> bool {
    ioctl(listener, ID_VALID, &raw mut id).is_ok()
}

/// Lets the call go on or fail. An error means that the thread was killed meanwhile.
pub(crate) fn answer(listener: RawFd, id: u64, answer: Answer) -> io::Result<()> {
    let (error, flags) = match answer {
        Answer::Continue => (0, CONTINUE),
        Answer::Refuse => (-libc::EPERM, 0),
    };
    let mut response = Response {
        id,
        value: 0,
        error,
        flags,
    };
    ioctl(listener, SEND, &raw mut response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_structures_are_as_long_as_the_kernels() {
        assert_eq!(size_of::<Notification>(), 80);
        assert_eq!(size_of::<Data>(), 64);
        assert_eq!(size_of::<Response>(), 24);
        for (request, size) in [(RECV, 80), (SEND, 24), (ID_VALID, 8), (SET_FLAGS, 8)] {
            assert_eq!(request >> 16 & 0x3fff, size);
        }
    }
}
