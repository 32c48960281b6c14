//! Which file a program is, and where it comes from.

use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _, OwnedFd};

use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use pyti_model::trace::Origin;

use crate::paths::{DELETED, is_below};
use crate::places::{Place, Places};
use crate::proc::{Folder, Identity};

/// The box's root, and when its command began.
pub(crate) struct Programs {
    root: Option<OwnedFd>,
    /// Where the kernel keeps what the command writes, if it does.
    upper: Option<PathBuf>,
    /// The day's clock when the box was ready: what was changed since was changed by the command.
    began: (i64, i64),
}

/// A program that somebody wants to run.
#[derive(Debug, Default)]
pub(crate) struct Target {
    /// Its path, links followed.
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) identity: Option<Identity>,
    pub(crate) origin: Option<Origin>,
    /// The file itself, not opened for reading.
    file: Option<OwnedFd>,
}

impl Target {
    /// Whether it is a text that names its interpreter. Nothing but a plain file is opened for that.
    pub(crate) fn is_script(&self) -> bool {
        self.identity.is_some_and(|identity| identity.regular)
            && self.file.as_ref().is_some_and(begins_like_a_script)
    }
}

/// The kernel's `struct open_how`.
#[repr(C)]
struct How {
    flags: u64,
    mode: u64,
    resolve: u64,
}

const NO_MAGIC_LINKS: u64 = 2;
const IN_ROOT: u64 = 16;

impl Programs {
    pub(crate) fn new(init: i32, upper: Option<PathBuf>) -> Self {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // files may be stamped by a clock that is some milliseconds behind: a layer's file is never taken for a written
        // one, but one that is written at once may be taken for a layer's
        // SAFETY: the structure lives
        unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
        let root = CString::new(format!("/proc/{init}/root")).ok().and_then(|path| {
            let flags = libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC;
            // SAFETY: the path ends with a zero; the descriptor is new and owned at once
            unsafe {
                match libc::open(path.as_ptr(), flags) {
                    fd @ 0.. => Some(OwnedFd::from_raw_fd(fd)),
                    _ => None,
                }
            }
        });
        Self {
            root,
            upper,
            began: (now.tv_sec, now.tv_nsec),
        }
    }

    /// Looks at what a path or descriptor of a process is now. Nothing is opened for reading but a plain file's
    /// first two bytes.
    pub(crate) fn look(
        &self,
        process: &Folder,
        path: &[u8],
        descriptor: Option<i32>,
        places: &Places,
    ) -> Target {
        let own = match descriptor {
            Some(fd) => Some(format!("fd/{fd}")),
            None => own_link(path),
        };
        if let Some(name) = own {
            let Some(link) = process.link(&name) else {
                return Target::default();
            };
            let identity = CString::new(name)
                .ok()
                .and_then(|name| Identity::of(process.as_fd(), &name));
            return self.target(link, identity, places);
        }
        let Some(file) = self.open(path) else {
            return Target::default();
        };
        let identity = Identity::of(file.as_fd(), c"");
        let link = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd()))
            .ok()
            .and_then(|own| crate::proc::read_link(file.as_fd(), &own));
        Target {
            file: Some(file),
            ..self.target(link.unwrap_or_else(|| path.to_vec()), identity, places)
        }
    }

    fn target(&self, path: Vec<u8>, identity: Option<Identity>, places: &Places) -> Target {
        Target {
            origin: Some(self.origin(&path, identity, places)),
            path: Some(path),
            identity,
            file: None,
        }
    }

    /// Where a program comes from.
    pub(crate) fn origin(&self, path: &[u8], identity: Option<Identity>, places: &Places) -> Origin {
        if path.ends_with(DELETED) || path.starts_with(b"/memfd:") {
            Origin::Nameless
        } else if places.of(path) == Place::System && !is_below(path, b"/etc") {
            Origin::System
        } else if is_below(path, b"/dev/shm") {
            Origin::Written
        } else {
            let written = |identity: Identity| match &self.upper {
                Some(upper) => {
                    let inside = path.strip_prefix(b"/").unwrap_or(path);
                    upper.join(OsStr::from_bytes(inside)).symlink_metadata().is_ok()
                }
                None => identity.changed >= self.began,
            };
            match identity {
                Some(identity) if written(identity) => Origin::Written,
                Some(_) => Origin::Layer,
                None => Origin::Unknown,
            }
        }
    }

    /// A plain file of the box, not opened for reading.
    pub(crate) fn plain_file(&self, path: &[u8]) -> Option<OwnedFd> {
        let file = self.open(path)?;
        Identity::of(file.as_fd(), c"")?.regular.then_some(file)
    }

    /// Opens a path of the box without leaving its root, and without opening what is there.
    fn open(&self, path: &[u8]) -> Option<OwnedFd> {
        let root = self.root.as_ref()?;
        let path = CString::new(path).ok()?;
        let how = How {
            flags: u64::from((libc::O_PATH | libc::O_CLOEXEC).cast_unsigned()),
            mode: 0,
            resolve: IN_ROOT | NO_MAGIC_LINKS,
        };
        // SAFETY: the path ends with a zero; the structure is the kernel's, with its size; the descriptor is owned at once
        unsafe {
            let fd = libc::syscall(
                libc::SYS_openat2,
                root.as_raw_fd(),
                path.as_ptr(),
                &raw const how,
                size_of::<How>(),
            );
            match i32::try_from(fd) {
                Ok(fd @ 0..) => Some(OwnedFd::from_raw_fd(fd)),
                _ => None,
            }
        }
    }
}

fn begins_like_a_script(file: &OwnedFd) -> bool {
    let Ok(path) = CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())) else {
        return false;
    };
    let mut bytes = [0u8; 2];
    // SAFETY: the path ends with a zero; the buffer is as long as it is said to be; the descriptor is owned at once
    unsafe {
        let fd = libc::open(path.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK);
        if fd < 0 {
            return false;
        }
        let file = OwnedFd::from_raw_fd(fd);
        libc::read(file.as_raw_fd(), bytes.as_mut_ptr().cast(), 2) == 2 && bytes == *b"#!"
    }
}

/// Paths that mean something else for everybody who uses them, as names below a process's folder.
fn own_link(path: &[u8]) -> Option<String> {
    let rest = path
        .strip_prefix(b"/proc/self/")
        .or_else(|| path.strip_prefix(b"/proc/thread-self/"))
        .or_else(|| {
            path.strip_prefix(b"/dev/")
                .filter(|rest| rest.starts_with(b"fd/"))
        })?;
    let text = std::str::from_utf8(rest).ok()?;
    let number = text
        .strip_prefix("fd/")
        .is_some_and(|fd| fd.parse::<u32>().is_ok());
    (number || text == "exe").then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told() {
        let own = std::process::id().cast_signed();
        let programs = Programs::new(own, None);
        let places = Places::new(&[], &[], &[], &[]);
        let process = Folder::open(own.cast_unsigned()).unwrap();
        let look = |path: &str| programs.look(&process, path.as_bytes(), None, &places);
        assert_eq!(look("/usr/bin/env").origin, Some(Origin::System));
        assert_eq!(look("/nowhere/at/all").origin, None);
        let folder = std::env::temp_dir().join(format!("pyti-origin-{own}"));
        std::fs::create_dir_all(&folder).unwrap();
        // the stamp of a file may be older than it
        std::thread::sleep(std::time::Duration::from_millis(20));
        let script = folder.join("script");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        let target = look(script.to_str().unwrap());
        assert!(target.is_script());
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(target.origin, Some(Origin::Written));
        let upper = Programs::new(own, Some("/etc".into()));
        let same = |path: &str| upper.look(&process, path.as_bytes(), None, &places).origin;
        assert_eq!(same("/proc/version"), Some(Origin::Layer));
        assert_eq!(
            same("/etc/passwd"),
            Some(Origin::Layer),
            "/etc/etc/passwd is not there"
        );
        let old = look("/etc/passwd");
        assert_eq!(old.origin, Some(Origin::Layer));
        assert!(!old.is_script());
        assert_eq!(
            programs.origin(b"/memfd:x (deleted)", None, &places),
            Origin::Nameless
        );
        assert_eq!(programs.origin(b"/tmp/x", None, &places), Origin::Unknown);
    }

    #[test]
    fn links_of_ones_own_are_known() {
        assert_eq!(own_link(b"/proc/self/fd/7").as_deref(), Some("fd/7"));
        assert_eq!(own_link(b"/dev/fd/7").as_deref(), Some("fd/7"));
        assert_eq!(own_link(b"/proc/self/exe").as_deref(), Some("exe"));
        for other in [
            "/proc/self/fd/../exe",
            "/proc/self/cwd/x",
            "/dev/null",
            "/proc/1/exe",
        ] {
            assert_eq!(own_link(other.as_bytes()), None, "{other}");
        }
    }
}
