//! The control group of a whole job, where one can be had: a hard limit behind the one that is measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where the agent sees its job's group, read-only.
pub(crate) const SHOWN_AT: &str = "/.pyti/group";

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
            remove_orphans(v1);
            group.join(&v1.join(&name), "memory.limit_in_bytes", memory_bytes, pid)
        } else if fs::read_to_string(v2).is_ok_and(|text| text.split_whitespace().any(|c| c == "memory")) {
            own_v2_folder()
                .inspect(|folder| remove_orphans(folder))
                .and_then(|folder| group.join(&folder.join(&name), "memory.max", memory_bytes, pid))
        } else {
            Err(io::ErrorKind::Unsupported.into())
        };
        made.ok().map(|()| group)
    }

    /// Where it is, for the agent to look at.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folders.first().map(PathBuf::as_path)
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

/// Removes groups of workers that are gone: a killed one could not do it itself. Empty groups only, by the kernel's
/// own rule; a group that is in use stays.
fn remove_orphans(parent: &Path) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(rest) = name.to_str().and_then(|name| name.strip_prefix("pyti-")) else {
            continue;
        };
        let owner = rest.split('-').next().unwrap_or_default();
        if !owner.is_empty()
            && owner.bytes().all(|b| b.is_ascii_digit())
            && !Path::new("/proc").join(owner).exists()
        {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// How many processes the kernel has ended because the job's group ran out of memory; 0 where there is no group.
/// Called in the agent.
pub(crate) fn oom_kills() -> u64 {
    let count = |name: &str| {
        let text = fs::read_to_string(Path::new(SHOWN_AT).join(name)).ok()?;
        text.lines()
            .find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok())
    };
    ["memory.oom_control", "memory.events"]
        .into_iter()
        .find_map(count)
        .unwrap_or(0)
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
