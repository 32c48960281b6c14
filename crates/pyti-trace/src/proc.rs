//! What `/proc` says of a process. The folder is held open: when the process has ended, its number may be somebody
//! else's, but what is read through the folder never is.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

/// Most bytes of a file of `/proc` that are read: what is looked for stands at the beginning.
const FILE: usize = 4096;

/// The folder of one process.
#[derive(Debug)]
pub(crate) struct Folder(OwnedFd);

/// From `status`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// The process that a thread belongs to.
    pub(crate) process: u32,
    /// Its parent now.
    pub(crate) parent: u32,
    /// Its number in its own namespace.
    pub(crate) inner: i32,
}

/// From `stat`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stat {
    /// The name of what it runs, cut to 15 bytes.
    pub(crate) name: Vec<u8>,
    /// It has ended, but nobody has waited for it.
    pub(crate) ended: bool,
    pub(crate) session: u32,
    /// Since the machine started, in ticks.
    pub(crate) start: u64,
    /// Where its arguments lie: another place after every `execve`. 0 where it is not told.
    pub(crate) image: u64,
    /// How it ended, as `wait` tells it.
    pub(crate) exit: i32,
}

/// Which file something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) device: u64,
    pub(crate) inode: u64,
    /// When it was changed last, seconds and nanoseconds of the day's clock: nobody can set this back.
    pub(crate) changed: (i64, i64),
    pub(crate) regular: bool,
}

impl Identity {
    /// Of an open file, or of a name below it.
    pub(crate) fn of(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> Option<Self> {
        // SAFETY: the name ends with a zero; the structure is read only when it was filled in
        unsafe {
            let mut stat: libc::stat = std::mem::zeroed();
            let flags = if name.is_empty() { libc::AT_EMPTY_PATH } else { 0 };
            let done = libc::fstatat(folder.as_raw_fd(), name.as_ptr(), &raw mut stat, flags);
            (done == 0).then_some(Self {
                device: stat.st_dev,
                inode: stat.st_ino,
                changed: (stat.st_ctime, stat.st_ctime_nsec),
                regular: stat.st_mode & libc::S_IFMT == libc::S_IFREG,
            })
        }
    }

    /// Whether both are the same file.
    pub(crate) fn is(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl AsFd for Folder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Folder {
    /// Opens the folder of a process or thread.
    pub(crate) fn open(pid: u32) -> io::Result<Self> {
        let path = CString::new(format!("/proc/{pid}")).map_err(io::Error::other)?;
        let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
        // SAFETY: the path ends with a zero; the descriptor is new and owned at once
        unsafe {
            match libc::open(path.as_ptr(), flags) {
                fd @ 0.. => Ok(Self(OwnedFd::from_raw_fd(fd))),
                _ => Err(io::Error::last_os_error()),
            }
        }
    }

    fn read(&self, name: &std::ffi::CStr) -> Option<Vec<u8>> {
        let mut bytes = vec![0u8; FILE];
        // SAFETY: the name ends with a zero; the buffer is as long as it is said to be; the descriptor is owned at once
        let read = unsafe {
            let flags = libc::O_RDONLY | libc::O_CLOEXEC;
            let fd = libc::openat(self.0.as_raw_fd(), name.as_ptr(), flags);
            if fd < 0 {
                return None;
            }
            let file = OwnedFd::from_raw_fd(fd);
            libc::read(file.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len())
        };
        bytes.truncate(usize::try_from(read).ok()?);
        Some(bytes)
    }

    pub(crate) fn status(&self) -> Option<Status> {
        Status::parse(&self.read(c"status")?)
    }

    pub(crate) fn stat(&self) -> Option<Stat> {
        Stat::parse(&self.read(c"stat")?)
    }

    /// The arguments that it says it runs with, cut.
    pub(crate) fn arguments(&self) -> Vec<Vec<u8>> {
        let bytes = self.read(c"cmdline").unwrap_or_default();
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        if bytes.is_empty() {
            return Vec::new();
        }
        bytes
            .split(|byte| *byte == 0)
            .take(64)
            .map(<[u8]>::to_vec)
            .collect()
    }

    /// Where one of its links points: `exe`, `cwd`, `fd/3`.
    pub(crate) fn link(&self, name: &str) -> Option<Vec<u8>> {
        let name = CString::new(name).ok()?;
        read_link(self.0.as_fd(), &name)
    }

    /// Which file it runs.
    pub(crate) fn program(&self) -> Option<Identity> {
        Identity::of(self.0.as_fd(), c"exe")
    }

    /// Whether a thread is one of its own.
    pub(crate) fn has_thread(&self, tid: u32) -> bool {
        let Ok(name) = CString::new(format!("task/{tid}")) else {
            return false;
        };
        // SAFETY: the name ends with a zero
        unsafe { libc::faccessat(self.0.as_raw_fd(), name.as_ptr(), libc::F_OK, 0) == 0 }
    }
}

/// A link below a folder; an empty name is the descriptor's own.
pub(crate) fn read_link(folder: BorrowedFd<'_>, name: &std::ffi::CStr) -> Option<Vec<u8>> {
    let mut bytes = vec![0u8; FILE];
    // SAFETY: the name ends with a zero; the buffer is as long as it is said to be
    let read = unsafe {
        libc::readlinkat(
            folder.as_raw_fd(),
            name.as_ptr(),
            bytes.as_mut_ptr().cast(),
            bytes.len(),
        )
    };
    bytes.truncate(usize::try_from(read).ok()?);
    Some(bytes)
}

impl Status {
    /// The name of a program may hold anything but a line break: the kernel writes that as `\n`.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut found = Self::default();
        for line in bytes.split(|byte| *byte == b'\n') {
            let Some(colon) = line.iter().position(|byte| *byte == b':') else {
                continue;
            };
            let value = std::str::from_utf8(&line[colon + 1..]).unwrap_or_default();
            match &line[..colon] {
                b"Tgid" => found.process = value.trim().parse().ok()?,
                b"PPid" => found.parent = value.trim().parse().ok()?,
                b"NSpid" => found.inner = value.split_whitespace().last()?.parse().ok()?,
                _ => {}
            }
        }
        (found.process != 0 && found.inner != 0).then_some(found)
    }
}

impl Stat {
    /// The name stands in brackets, and may hold brackets and spaces itself; behind the last bracket there are
    /// only numbers.
    fn parse(bytes: &[u8]) -> Option<Self> {
        let open = bytes.iter().position(|byte| *byte == b'(')?;
        let close = bytes.iter().rposition(|byte| *byte == b')')?;
        let name = bytes.get(open + 1..close)?.to_vec();
        let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // the third field of the manual is the first here
        let field = |number: usize| fields.get(number - 3);
        Some(Self {
            name,
            ended: matches!(*field(3)?, "Z" | "X"),
            session: field(6)?.parse().ok()?,
            start: field(22)?.parse().ok()?,
            image: field(48).and_then(|field| field.parse().ok()).unwrap_or(0),
            exit: field(52).and_then(|field| field.parse().ok()).unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn our_own_entry_is_read() {
        let own = Folder::open(std::process::id()).unwrap();
        let status = own.status().unwrap();
        assert_eq!(status.process, std::process::id());
        assert!(status.inner > 0);
        let stat = own.stat().unwrap();
        assert!(!stat.ended && stat.start > 0 && stat.image > 0);
        assert!(own.program().unwrap().regular);
        assert!(own.link("cwd").unwrap().starts_with(b"/"));
        assert!(own.link("fd/999999").is_none());
        assert!(own.has_thread(std::process::id()));
        assert!(!own.has_thread(1 << 30));
        assert!(!own.arguments().is_empty());
    }

    #[test]
    fn an_evil_name_moves_nothing() {
        let text = b"7 (a) Z 1 (b c)) R 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 4242 22 23".to_vec();
        let stat = Stat::parse(&text).unwrap();
        assert_eq!(stat.name, b"a) Z 1 (b c)");
        assert_eq!((stat.ended, stat.session, stat.start), (false, 5, 4242));
        assert_eq!(Stat::parse(b"7 (a"), None);
    }

    #[test]
    fn an_ended_process_is_not_read() {
        let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
        let folder = Folder::open(child.id()).unwrap();
        child.wait().unwrap();
        assert_eq!((folder.stat(), folder.status()), (None, None));
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_not(bytes: Vec<u8>) {
            let _ = (Stat::parse(&bytes), Status::parse(&bytes));
        }
    }
}
