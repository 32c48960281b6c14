//! Watches on single files (inotify): in the light form they tell that a decoy was read, though not by whom.

use std::collections::HashMap;
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use crate::programs::Programs;

/// Read from, or closed by somebody who had it open for reading only. An open alone would not tell what for.
const READ: u32 = libc::IN_ACCESS | libc::IN_CLOSE_NOWRITE;

/// Watches of one command.
pub(crate) struct Watches {
    fd: OwnedFd,
    paths: HashMap<i32, Vec<u8>>,
}

impl Watches {
    /// Watches those of the paths that are plain files of the box.
    pub(crate) fn new(paths: &[PathBuf], programs: &Programs) -> io::Result<Self> {
        // SAFETY: plain call; the descriptor is new and owned at once
        let fd = unsafe {
            match libc::inotify_init1(libc::IN_CLOEXEC | libc::IN_NONBLOCK) {
                fd @ 0.. => OwnedFd::from_raw_fd(fd),
                _ => return Err(io::Error::last_os_error()),
            }
        };
        let mut watched = HashMap::new();
        for path in paths {
            let path = path.as_os_str().as_bytes();
            let Some(file) = programs.plain_file(path) else {
                continue;
            };
            // by its descriptor, so that no link of the box leads out of it
            let name =
                CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).map_err(io::Error::other)?;
            // SAFETY: the name ends with a zero
            let watch = unsafe { libc::inotify_add_watch(fd.as_raw_fd(), name.as_ptr(), READ) };
            if watch < 0 {
                return Err(io::Error::last_os_error());
            }
            watched.insert(watch, path.to_vec());
        }
        Ok(Self { fd, paths: watched })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// What was read since the last call, each once.
    pub(crate) fn read(&self) -> Vec<Vec<u8>> {
        let mut bytes = [0u8; 4096];
        let mut found: Vec<Vec<u8>> = Vec::new();
        // SAFETY: the buffer is as long as it is said to be
        let read = unsafe { libc::read(self.fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len()) };
        let mut rest = &bytes[..usize::try_from(read).unwrap_or(0)];
        // `struct inotify_event`: watch, mask, cookie, length of a name that follows
        while let Some((head, tail)) = rest.split_at_checked(16) {
            let word = |at: usize| head[at..at + 4].try_into().map_or(0, u32::from_ne_bytes);
            if let Some(path) = self.paths.get(&word(0).cast_signed())
                && !found.contains(path)
            {
                found.push(path.clone());
            }
            rest = tail
                .get(usize::try_from(word(12)).unwrap_or(0)..)
                .unwrap_or_default();
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_is_told_and_looking_and_writing_are_not() {
        let folder = std::env::temp_dir().join(format!("pyti-watch-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let (decoy, other) = (folder.join("decoy"), folder.join("other"));
        std::fs::write(&decoy, "secret").unwrap();
        std::fs::write(&other, "x").unwrap();
        let programs = Programs::new(std::process::id().cast_signed(), None);
        let watches = Watches::new(
            &[decoy.clone(), folder.clone(), folder.join("missing")],
            &programs,
        )
        .unwrap();
        std::fs::metadata(&decoy).unwrap();
        std::fs::read(&other).unwrap();
        std::fs::write(&decoy, "changed").unwrap();
        assert!(watches.read().is_empty());
        std::fs::read(&decoy).unwrap();
        assert_eq!(watches.read(), [decoy.as_os_str().as_bytes()]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
