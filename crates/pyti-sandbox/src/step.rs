//! Set-up as data: what a child does between fork and exec.
//!
//! The parent builds the list, with a name for each step; the child, forked from a process with many threads, only
//! walks it: no allocation, no lock. When a step fails, the child reports its number and the error number, and the
//! parent knows the rest.

use std::ffi::CString;
use std::os::fd::RawFd;

use crate::sys::{MountAttr, errno};

/// Name of a step whose failure is none.
pub(crate) const OPTIONAL: &str = "(optional)";

/// One system call, ready to be made.
pub(crate) enum Step {
    /// `open` for writing, `write`, `close`.
    Write(CString, Vec<u8>),
    /// `mount`; empty texts are passed as none.
    Mount {
        source: CString,
        target: CString,
        kind: CString,
        flags: libc::c_ulong,
        data: CString,
    },
    /// `mount_setattr` with everything below.
    MountAttributes(CString, u64),
    /// `chdir`.
    Chdir(CString),
    /// `pivot_root(".", ".")` and `umount2(".", MNT_DETACH)`.
    PivotHere,
    /// `sethostname`.
    HostName(CString),
    /// `prctl` with one argument.
    Prctl(libc::c_int, libc::c_ulong),
    /// Drops every capability, from the bounding set too.
    DropCapabilities,
    /// Landlock: everything below the root with these rights, nothing elsewhere.
    Landlock {
        file_access: u64,
        scoped: u64,
        size: usize,
    },
    /// `setrlimit`, soft and hard.
    Rlimit(libc::c_long, u64),
    /// `setsid`.
    NewSession,
    /// `dup2`.
    Dup(RawFd, RawFd),
    /// `ioctl(TIOCSCTTY)` on standard input.
    ControllingTerminal,
    /// Closes every descriptor from the first to the second number.
    CloseRange(u32, u32),
    /// Default action for every signal, and none blocked.
    ResetSignals,
}

/// Walks steps in order; the error is the step's number and the error number.
pub(crate) fn walk(steps: &[(Step, String)]) -> Result<(), (usize, i32)> {
    for (number, (step, name)) in steps.iter().enumerate() {
        match take(step) {
            Err(error) if name != OPTIONAL => return Err((number, error)),
            _ => {}
        }
    }
    Ok(())
}

fn take(step: &Step) -> Result<(), i32> {
    // SAFETY: every pointer is to data that the parent prepared and that lives longer than the walk; each call's
    // result is checked. Nothing here allocates.
    unsafe {
        match step {
            Step::Write(path, bytes) => {
                let fd = libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
                check(fd)?;
                let written = libc::write(fd, bytes.as_ptr().cast(), bytes.len());
                let error = errno();
                libc::close(fd);
                if written == bytes.len().cast_signed() {
                    Ok(())
                } else {
                    Err(error)
                }
            }
            Step::Mount {
                source,
                target,
                kind,
                flags,
                data,
            } => {
                let data = if data.as_bytes().is_empty() {
                    std::ptr::null()
                } else {
                    data.as_ptr().cast()
                };
                check(libc::mount(
                    source.as_ptr(),
                    target.as_ptr(),
                    kind.as_ptr(),
                    *flags,
                    data,
                ))
            }
            Step::MountAttributes(target, set) => {
                let attr = MountAttr {
                    attr_set: *set,
                    attr_clr: 0,
                    propagation: 0,
                    userns_fd: 0,
                };
                check_long(libc::syscall(
                    libc::SYS_mount_setattr,
                    libc::AT_FDCWD,
                    target.as_ptr(),
                    libc::AT_RECURSIVE,
                    &raw const attr,
                    size_of::<MountAttr>(),
                ))
            }
            Step::Chdir(path) => check(libc::chdir(path.as_ptr())),
            Step::PivotHere => {
                check_long(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()))?;
                check(libc::umount2(c".".as_ptr(), libc::MNT_DETACH))?;
                check(libc::chdir(c"/".as_ptr()))
            }
            Step::HostName(name) => check(libc::sethostname(name.as_ptr(), name.as_bytes().len())),
            Step::Prctl(option, value) => check(libc::prctl(*option, *value, 0, 0, 0)),
            Step::DropCapabilities => drop_capabilities(),
            Step::Landlock {
                file_access,
                scoped,
                size,
            } => landlock(*file_access, *scoped, *size),
            Step::Rlimit(resource, value) => {
                // what is already stricter stays so
                let mut limit = libc::rlimit64 {
                    rlim_cur: 0,
                    rlim_max: 0,
                };
                let none = std::ptr::null::<libc::rlimit64>();
                check_long(libc::syscall(
                    libc::SYS_prlimit64,
                    0,
                    *resource,
                    none,
                    &raw mut limit,
                ))?;
                limit.rlim_max = limit.rlim_max.min(*value);
                limit.rlim_cur = limit.rlim_max;
                check_long(libc::syscall(
                    libc::SYS_prlimit64,
                    0,
                    *resource,
                    &raw const limit,
                    none,
                ))
            }
            Step::NewSession => check(libc::setsid()),
            Step::Dup(from, to) => {
                if from == to {
                    // the same number: only the close-on-exec mark has to go
                    return check(libc::fcntl(*from, libc::F_SETFD, 0));
                }
                check(libc::dup2(*from, *to))
            }
            Step::ControllingTerminal => check(libc::ioctl(0, libc::TIOCSCTTY, 0)),
            Step::CloseRange(first, last) => {
                check_long(libc::syscall(libc::SYS_close_range, *first, *last, 0))
            }
            Step::ResetSignals => {
                for signal in 1..=64 {
                    // KILL and STOP and the library's own cannot be set, and need not be
                    libc::signal(signal, libc::SIG_DFL);
                }
                let mut none: libc::sigset_t = std::mem::zeroed();
                libc::sigemptyset(&raw mut none);
                check(libc::sigprocmask(
                    libc::SIG_SETMASK,
                    &raw const none,
                    std::ptr::null_mut(),
                ))
            }
        }
    }
}

fn check(result: libc::c_int) -> Result<(), i32> {
    if result == -1 { Err(errno()) } else { Ok(()) }
}

fn check_long(result: libc::c_long) -> Result<(), i32> {
    if result == -1 { Err(errno()) } else { Ok(()) }
}

unsafe fn drop_capabilities() -> Result<(), i32> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: i32,
    }
    const VERSION_3: u32 = 0x2008_0522;
    // SAFETY: plain calls on data on the stack
    unsafe {
        for capability in 0..64 {
            // beyond the last capability that the kernel knows it answers EINVAL
            if libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) == -1 && errno() == libc::EINVAL {
                break;
            }
        }
        // an ambient set would survive exec
        libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
        let header = Header {
            version: VERSION_3,
            pid: 0,
        };
        let none = [0u32; 6];
        check_long(libc::syscall(libc::SYS_capset, &raw const header, none.as_ptr()))
    }
}

unsafe fn landlock(file_access: u64, scoped: u64, size: usize) -> Result<(), i32> {
    #[repr(C)]
    struct Ruleset {
        file_access: u64,
        net_access: u64,
        scoped: u64,
    }
    #[repr(C, packed)]
    struct PathBeneath {
        allowed: u64,
        parent: i32,
    }
    // SAFETY: the structures are the kernel's, `size` is what this kernel knows of the first
    unsafe {
        let ruleset = Ruleset {
            file_access,
            net_access: 0,
            scoped,
        };
        let fd = libc::syscall(libc::SYS_landlock_create_ruleset, &raw const ruleset, size, 0);
        check_long(fd)?;
        let root = libc::open(c"/".as_ptr(), libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC);
        check(root)?;
        let rule = PathBeneath {
            allowed: file_access,
            parent: root,
        };
        check_long(libc::syscall(
            libc::SYS_landlock_add_rule,
            fd,
            1,
            &raw const rule,
            0,
        ))?;
        check_long(libc::syscall(libc::SYS_landlock_restrict_self, fd, 0))?;
        libc::syscall(libc::SYS_close, fd);
        check(libc::close(root))
    }
}

/// What this kernel's Landlock can forbid, as a step; `None` when it has none. From version 2, because version 1
/// forbids every rename between folders.
pub(crate) fn landlock_step() -> Option<Step> {
    // SAFETY: asks only for the version
    let version = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, 1) };
    let (rights, scoped, size): (u32, u64, usize) = match version {
        ..=1 => return None,
        2 => (14, 0, 8),
        3 => (15, 0, 8),
        4 => (15, 0, 16),
        5 => (16, 0, 16),
        // abstract sockets and signals stay among those who share these rules
        6.. => (16, 3, 24),
    };
    Some(Step::Landlock {
        file_access: (1 << rights) - 1,
        scoped,
        size,
    })
}

/// Version of Landlock that this kernel has; 0 for none.
pub(crate) fn landlock_version() -> i64 {
    // SAFETY: asks only for the version
    unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, 1) }.max(0)
}
