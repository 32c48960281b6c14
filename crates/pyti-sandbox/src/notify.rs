//! Answers the filter's notifications: every refused call is recorded and gets its error.

use std::fs;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;

use pyti_model::effect::Denial;
use pyti_model::foreign::Foreign;

use crate::sys;
use crate::syscalls;

/// Most different calls that are listed.
const CAP: usize = 64;

#[repr(C)]
struct Notification {
    id: u64,
    pid: u32,
    flags: u32,
    data: Data,
}

#[repr(C)]
struct Data {
    number: i32,
    arch: u32,
    instruction: u64,
    arguments: [u64; 6],
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

/// The listening end of a command's filter.
pub(crate) struct Denials {
    listener: OwnedFd,
    seen: Vec<Denial>,
    lost: u64,
}

impl Denials {
    pub(crate) fn new(listener: OwnedFd) -> Self {
        // wakes the answered thread on the same CPU (Linux 6.6); without it answers only take longer
        // SAFETY: the flags are a number, not a pointer
        unsafe { libc::syscall(libc::SYS_ioctl, listener.as_raw_fd(), SET_FLAGS, 1) };
        Self {
            listener,
            seen: Vec::new(),
            lost: 0,
        }
    }

    pub(crate) fn fd(&self) -> i32 {
        self.listener.as_raw_fd()
    }

    /// Takes one notification and answers it. Called when the descriptor is readable.
    pub(crate) fn serve(&mut self) {
        // SAFETY: the structures are the kernel's; all-zero is what it wants before receiving
        unsafe {
            let mut notification: Notification = std::mem::zeroed();
            if sys::ioctl(self.listener.as_raw_fd(), RECV, &raw mut notification).is_err() {
                // the caller was killed meanwhile
                return;
            }
            let executable = fs::read_link(format!("/proc/{}/exe", notification.pid));
            // the number may belong to somebody else by now
            let valid = sys::ioctl(self.listener.as_raw_fd(), ID_VALID, &raw const notification.id).is_ok();
            let executable = executable
                .ok()
                .filter(|_| valid)
                .map(|path| Foreign::new(path.into_os_string().into_vec()));
            self.note(syscalls::name(notification.data.number), executable);
            let response = Response {
                id: notification.id,
                value: 0,
                error: -libc::EPERM,
                flags: 0,
            };
            // the caller may have been killed meanwhile
            let _ = sys::ioctl(self.listener.as_raw_fd(), SEND, &raw const response);
        }
    }

    fn note(&mut self, call: String, executable: Option<Foreign>) {
        if let Some(known) = self.seen.iter_mut().find(|denial| denial.call == call) {
            known.times += 1;
        } else if self.seen.len() < CAP {
            self.seen.push(Denial {
                call,
                times: 1,
                executable,
                answer: "EPERM".to_owned(),
            });
        } else {
            self.lost += 1;
        }
    }

    /// What was refused, and how many calls are not listed.
    pub(crate) fn finish(self) -> (Vec<Denial>, u64) {
        (self.seen, self.lost)
    }
}
