//! The control group of a whole job, where one can be had: a hard limit behind the one that is measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Removed when dropped, after the job's processes are gone.
pub(crate) struct JobGroup {
    folders: Vec<PathBuf>,
}

impl JobGroup {
    /// Puts the process into a new group. `None` where that cannot be: the limits are then measured only.
    pub(crate) fn create(memory_bytes: u64, pid: i32) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "pyti-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let mut group = Self { folders: Vec::new() };
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers");
        let made = if v1.join("memory.limit_in_bytes").exists() {
            group.join(&v1.join(&name), "memory.limit_in_bytes", memory_bytes, pid)
        } else if fs::read_to_string(v2).is_ok_and(|text| text.split_whitespace().any(|c| c == "memory")) {
            own_v2_folder()
                .and_then(|folder| group.join(&folder.join(&name), "memory.max", memory_bytes, pid))
        } else {
            Err(io::ErrorKind::Unsupported.into())
        };
        made.ok().map(|()| group)
    }

    fn join(&mut self, folder: &Path, limit: &str, bytes: u64, pid: i32) -> io::Result<()> {
        fs::create_dir(folder)?;
        self.folders.push(folder.to_owned());
        fs::write(folder.join(limit), bytes.to_string())?;
        fs::write(folder.join("cgroup.procs"), pid.to_string())
    }
}

impl Drop for JobGroup {
    fn drop(&mut self) {
        for folder in &self.folders {
            // the last process may still be leaving
            for _ in 0..50 {
                if fs::remove_dir(folder).is_ok() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

/// The group that this process is in, when it may make groups below it.
fn own_v2_folder() -> io::Result<PathBuf> {
    let text = fs::read_to_string("/proc/self/cgroup")?;
    let path = text
        .lines()
        .find_map(|line| line.strip_prefix("0::/"))
        .ok_or(io::ErrorKind::Unsupported)?;
    Ok(Path::new("/sys/fs/cgroup").join(path))
}
