//! The two processes of a command, between fork and exec: the first one in its namespaces, and the command itself.
//! Copied from a process with many threads, so nothing here allocates or locks.

use std::ffi::CString;
use std::os::fd::RawFd;

use pyti_trace::filter;

use crate::step::{Step, walk};
use crate::sys::{self, errno};

/// Everything that the children need, prepared by the parent.
pub(crate) struct Child {
    /// First: who it is in its namespaces.
    pub(crate) namespaces: Vec<(Step, String)>,
    /// Whether the kernel keeps changes apart, in the slot's upper folder.
    pub(crate) overlay: bool,
    /// Then: its root.
    pub(crate) init: Vec<(Step, String)>,
    /// The filter, and whether somebody listens.
    pub(crate) filter: Vec<libc::sock_filter>,
    /// Used when the filter cannot be had with a listener.
    pub(crate) deaf_filter: Vec<libc::sock_filter>,
    /// In the command's process, before exec.
    pub(crate) command: Vec<(Step, String)>,
    /// Where the program may be, in order.
    pub(crate) programs: Vec<CString>,
    /// Arguments, ending with a null pointer.
    pub(crate) argv: Vec<*const libc::c_char>,
    /// Environment, ending with a null pointer.
    pub(crate) envp: Vec<*const libc::c_char>,
    /// Where records are written.
    pub(crate) status: RawFd,
    /// Where the agent says "go on".
    pub(crate) go: RawFd,
}

/// Descriptor of the status pipe in the command's process until exec.
pub(crate) const STATUS_FD: RawFd = 250;

/// What a child tells the agent: written at once.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) kind: i32,
    pub(crate) first: i32,
    pub(crate) second: i32,
    /// Of the last record: kibibytes of the largest process.
    pub(crate) largest_kib: i32,
    /// Of the last record: microseconds that everybody spent together, in user space and in the kernel.
    pub(crate) user_us: i64,
    pub(crate) system_us: i64,
}

impl Record {
    pub(crate) const fn plain(kind: i32, first: i32, second: i32) -> Self {
        Self {
            kind,
            first,
            second,
            largest_kib: 0,
            user_us: 0,
            system_us: 0,
        }
    }
}

pub(crate) const LISTENER: i32 = 3;
/// `first`: stage * 1000 + step; `second`: error number.
pub(crate) const STEP_FAILED: i32 = 4;
/// `second`: error number.
pub(crate) const EXEC_FAILED: i32 = 5;
/// `first`: wait status of the command; `second`: 1 when somebody is still alive.
pub(crate) const COMMAND_ENDED: i32 = 6;
/// `second`: error number of the filter with a listener.
pub(crate) const NO_LISTENER: i32 = 7;
/// Everybody has ended and was waited for; the first process ends now. The rest of the record tells what they used.
pub(crate) const ALL_GONE: i32 = 8;

pub(crate) const STAGE_NAMESPACES: i32 = 1;
pub(crate) const STAGE_INIT: i32 = 2;
pub(crate) const STAGE_COMMAND: i32 = 3;

/// Exit code of the command's process when the program could not be started.
const NOT_STARTED: i32 = 126;

fn tell(fd: RawFd, kind: i32, first: i32, second: i32) {
    write_down(fd, Record::plain(kind, first, second));
}

fn write_down(fd: RawFd, record: Record) {
    // SAFETY: the record lives until the call is over; a short or failed write means that nobody listens
    unsafe { libc::write(fd, (&raw const record).cast(), size_of::<Record>()) };
}

fn fail(fd: RawFd, stage: i32, (step, error): (usize, i32)) -> ! {
    tell(
        fd,
        STEP_FAILED,
        stage * 1000 + i32::try_from(step).unwrap_or(999),
        error,
    );
    // SAFETY: ends this process without running anything of the agent's
    unsafe { libc::_exit(125) }
}

fn wait_for_go(fd: RawFd) {
    let mut byte = 0u8;
    // SAFETY: one byte is read into one byte
    while unsafe { libc::read(fd, (&raw mut byte).cast(), 1) } == -1 && errno() == libc::EINTR {}
}

/// PID 1 of the box. Never returns.
pub(crate) fn run(child: &Child) -> ! {
    if let Err(error) = walk(&child.namespaces) {
        fail(child.status, STAGE_NAMESPACES, error);
    }
    // SAFETY: this process has one thread, and only makes system calls
    unsafe { first_process(child) }
}

/// Makes the root, starts the command, reaps everybody. Never returns.
unsafe fn first_process(child: &Child) -> ! {
    if let Err(error) = walk(&child.init) {
        fail(child.status, STAGE_INIT, error);
    }
    // SAFETY: the filters live in the parent's memory, which this process has a copy of
    unsafe {
        match filter::install(&child.filter, true) {
            Ok(listener) => {
                tell(child.status, LISTENER, listener, 0);
                wait_for_go(child.go);
                libc::close(listener);
            }
            Err(error) => {
                if let Err(error) = filter::install(&child.deaf_filter, false) {
                    fail(child.status, STAGE_INIT, (998, error));
                }
                tell(child.status, NO_LISTENER, 0, error);
            }
        }
        // the command has this process's uid: without this it could write into its memory, and talk to the agent
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        let command = sys::fork_into(0, None);
        if command == -1 {
            fail(child.status, STAGE_INIT, (999, errno()));
        }
        if command == 0 {
            become_command(child);
        }
        // only the status pipe is kept: an open end of another pipe would never let it end
        libc::dup2(child.status, 3);
        libc::syscall(libc::SYS_close_range, 4, u32::MAX, 0);
        for fd in 0..3 {
            libc::close(fd);
        }
        reap(command)
    }
}

unsafe fn reap(command: libc::pid_t) -> ! {
    // SAFETY: plain calls
    unsafe {
        loop {
            let mut status = 0;
            let pid = libc::waitpid(-1, &raw mut status, 0);
            if pid == -1 {
                if errno() == libc::EINTR {
                    continue;
                }
                // nobody is left
                say_goodbye();
                libc::_exit(0);
            }
            if pid == command {
                // whoever has ended meanwhile is reaped before it is said who is alive
                let mut ignored = 0;
                let alive = loop {
                    match libc::waitpid(-1, &raw mut ignored, libc::WNOHANG) {
                        0 => break 1,
                        -1 => break 0,
                        _ => {}
                    }
                };
                tell(3, COMMAND_ENDED, status, alive);
            }
        }
    }
}

/// Tells what everybody used: whoever waits for this process learns it only when all mounts are taken down.
unsafe fn say_goodbye() {
    let mut record = Record::plain(ALL_GONE, 0, 0);
    for whose in [libc::RUSAGE_CHILDREN, libc::RUSAGE_SELF] {
        // SAFETY: all-zero is a valid value, and the call fills it in
        let usage = unsafe {
            let mut usage: libc::rusage = std::mem::zeroed();
            libc::getrusage(whose, &raw mut usage);
            usage
        };
        let micros = |time: libc::timeval| time.tv_sec * 1_000_000 + time.tv_usec;
        record.user_us += micros(usage.ru_utime);
        record.system_us += micros(usage.ru_stime);
        if whose == libc::RUSAGE_CHILDREN {
            record.largest_kib = i32::try_from(usage.ru_maxrss).unwrap_or(i32::MAX);
        }
    }
    write_down(3, record);
}

unsafe fn become_command(child: &Child) -> ! {
    // SAFETY: plain calls; the pointers were made by the parent and end with null
    unsafe {
        libc::dup3(child.status, STATUS_FD, libc::O_CLOEXEC);
        if let Err(error) = walk(&child.command) {
            fail(STATUS_FD, STAGE_COMMAND, error);
        }
        let mut error = libc::ENOENT;
        for program in &child.programs {
            libc::execve(program.as_ptr(), child.argv.as_ptr(), child.envp.as_ptr());
            match errno() {
                libc::ENOENT | libc::ENOTDIR => {}
                other => error = other,
            }
        }
        tell(STATUS_FD, EXEC_FAILED, 0, error);
        libc::_exit(NOT_STARTED)
    }
}
