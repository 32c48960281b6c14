//! System calls that the standard library lacks, each with its errors as [`io::Error`].

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd, RawFd};

/// Turns the -1 of a system call into its error.
pub(crate) fn check(result: libc::c_long) -> io::Result<libc::c_long> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The error number of the last call, without allocation.
pub(crate) fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// `clone` as `fork` does it, into new namespaces and, where one is given, a control group of version 2: the copy has only the calling thread. Straight from the kernel,
/// because the C library's `fork` waits for locks that another thread may hold, which matters in a copy of a copy.
///
/// # Safety
///
/// The copy must only make system calls: locks may be held for ever by threads that it does not have.
pub(crate) unsafe fn fork_into(namespaces: libc::c_int, group: Option<RawFd>) -> libc::pid_t {
    /// The kernel's `struct clone_args`.
    #[repr(C)]
    #[derive(Default)]
    struct Arguments {
        flags: u64,
        descriptors: [u64; 3],
        exit_signal: u64,
        stack: [u64; 2],
        rest: [u64; 3],
        group: u64,
    }
    const INTO_CGROUP: u64 = 1 << 33;
    let pid = if let Some(group) = group {
        let arguments = Arguments {
            flags: u64::from(namespaces.cast_unsigned()) | INTO_CGROUP,
            exit_signal: u64::from(libc::SIGCHLD.cast_unsigned()),
            group: u64::from(group.cast_unsigned()),
            ..Arguments::default()
        };
        // SAFETY: the structure is the kernel's, with its size; without a stack of its own the copy goes on with a
        // copy of this one
        unsafe { libc::syscall(libc::SYS_clone3, &raw const arguments, size_of::<Arguments>()) }
    } else {
        let flags = libc::c_long::from(namespaces | libc::SIGCHLD);
        let none: libc::c_long = 0;
        // SAFETY: as above
        unsafe { libc::syscall(libc::SYS_clone, flags, none, none, none, none) }
    };
    libc::pid_t::try_from(pid).unwrap_or(-1)
}

/// `pipe2` with close-on-exec: (read, write).
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut fds = [0; 2];
    // SAFETY: the array has room for both descriptors
    check(libc::c_long::from(unsafe {
        libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC)
    }))?;
    // SAFETY: both are new and owned by nobody else
    Ok(unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) })
}

/// Makes a descriptor non-blocking.
pub(crate) fn nonblocking(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: plain calls on a descriptor that is open
    unsafe {
        let flags = check(libc::c_long::from(libc::fcntl(fd.as_raw_fd(), libc::F_GETFL)))?;
        let flags = libc::c_int::try_from(flags).unwrap_or(0) | libc::O_NONBLOCK;
        check(libc::c_long::from(libc::fcntl(
            fd.as_raw_fd(),
            libc::F_SETFL,
            flags,
        )))?;
    }
    Ok(())
}

/// `open_tree` with a copy of the mounts below, detached.
pub(crate) fn open_tree(path: &CStr) -> io::Result<OwnedFd> {
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC.cast_unsigned() | libc::AT_RECURSIVE.cast_unsigned();
    // SAFETY: the path ends with a zero; the result is checked
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, path.as_ptr(), flags) })?;
    owned(fd)
}

/// Puts a detached tree at a path.
pub(crate) fn move_mount(tree: BorrowedFd<'_>, target: &CStr) -> io::Result<()> {
    const MOVE_MOUNT_F_EMPTY_PATH: libc::c_uint = 4;
    // SAFETY: both paths end with a zero
    check(unsafe {
        libc::syscall(
            libc::SYS_move_mount,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_FDCWD,
            target.as_ptr(),
            MOVE_MOUNT_F_EMPTY_PATH,
        )
    })?;
    Ok(())
}

/// Attributes of mounts, as in `mount_setattr(2)`.
pub(crate) const RDONLY: u64 = 1;
pub(crate) const NOSUID: u64 = 2;
pub(crate) const NODEV: u64 = 4;

/// The kernel's `struct mount_attr`.
#[repr(C)]
pub(crate) struct MountAttr {
    pub(crate) attr_set: u64,
    pub(crate) attr_clr: u64,
    pub(crate) propagation: u64,
    pub(crate) userns_fd: u64,
}

/// `mount_setattr` on a tree, with everything below.
pub(crate) fn mount_setattr(tree: BorrowedFd<'_>, set: u64) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: set,
        attr_clr: 0,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the structure is the kernel's, with its size
    check(unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | libc::AT_RECURSIVE,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    })?;
    Ok(())
}

/// `pidfd_open`.
pub(crate) fn pidfd_open(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain call
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) })?;
    owned(fd)
}

/// `pidfd_getfd`: a copy of another process's descriptor.
pub(crate) fn pidfd_getfd(pidfd: BorrowedFd<'_>, fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain call
    let fd = check(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd.as_raw_fd(), fd, 0) })?;
    owned(fd)
}

fn owned(fd: libc::c_long) -> io::Result<OwnedFd> {
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the kernel just made it, and nobody else owns it
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `mount`; empty texts are passed as none.
pub(crate) fn mount(
    source: &CStr,
    target: &CStr,
    kind: &CStr,
    flags: libc::c_ulong,
    data: &CStr,
) -> io::Result<()> {
    let data = if data.is_empty() {
        std::ptr::null()
    } else {
        data.as_ptr().cast()
    };
    // SAFETY: all texts end with a zero
    let result = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data) };
    check(libc::c_long::from(result)).map(|_| ())
}

/// `umount2` with detaching.
pub(crate) fn detach(target: &CStr) -> io::Result<()> {
    // SAFETY: the text ends with a zero
    check(libc::c_long::from(unsafe {
        libc::umount2(target.as_ptr(), libc::MNT_DETACH)
    }))
    .map(|_| ())
}

/// `ioctl` with a pointer. By number, because C libraries disagree about the type of the request.
///
/// # Safety
///
/// The pointer is what the request wants.
pub(crate) unsafe fn ioctl<T>(fd: RawFd, request: u32, value: *const T) -> io::Result<()> {
    // SAFETY: as promised by the caller
    check(unsafe { libc::syscall(libc::SYS_ioctl, fd, request, value) }).map(|_| ())
}
