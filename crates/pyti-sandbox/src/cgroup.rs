//! The control group of a whole job, where one can be had: a hard limit behind the one that is measured.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where the agent sees its job's group, read-only.
pub(crate) const SHOWN_AT: &str = "/.pyti/group";

/// Removed when dropped, after the job's processes are gone.
pub(crate) struct JobGroup {
    folders: Vec<PathBuf>,
}

impl JobGroup {
    /// A new group, empty. `None` where that cannot be: the limits are then measured only.
    pub(crate) fn create(memory_bytes: u64) -> Option<Self> {
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
            group.make(&v1.join(&name), "memory.limit_in_bytes", memory_bytes)
        } else if fs::read_to_string(v2).is_ok_and(|text| text.split_whitespace().any(|c| c == "memory")) {
            own_v2_folder()
                .inspect(|folder| remove_orphans(folder))
                .and_then(|folder| group.make(&folder.join(&name), "memory.max", memory_bytes))
        } else {
            Err(io::ErrorKind::Unsupported.into())
        };
        made.ok().map(|()| group)
    }

    /// Where it is, for the agent to look at.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folders.first().map(PathBuf::as_path)
    }

    fn make(&mut self, folder: &Path, limit: &str, bytes: u64) -> io::Result<()> {
        fs::create_dir(folder)?;
        self.folders.push(folder.to_owned());
        fs::write(folder.join(limit), bytes.to_string())
    }

    /// Begins to move a process into the group. The kernel waits until every CPU has taken notice, often longer than
    /// the whole set-up of the job: so both go on side by side.
    pub(crate) fn begin(&self, pid: i32) -> Option<JoinHandle<()>> {
        let list = self.folder()?.join("cgroup.procs");
        std::thread::Builder::new()
            .name("group".to_owned())
            .spawn(move || {
                // whether it worked is looked at afterwards
                let _ = fs::write(list, pid.to_string());
            })
            .ok()
    }

    /// Whether a process and all that it started are in the group: those that were started meanwhile are moved, too.
    pub(crate) fn holds(&self, begun: Option<JoinHandle<()>>, pid: i32) -> bool {
        if begun.is_some_and(|thread| thread.join().is_err()) {
            return false;
        }
        let Some(list) = self.folder().map(|folder| folder.join("cgroup.procs")) else {
            return false;
        };
        let inside = fs::read_to_string(&list).unwrap_or_default();
        family(pid)
            .iter()
            .all(|pid| inside.lines().any(|line| line == pid) || fs::write(&list, pid).is_ok())
    }
}

/// A process and all that it started, as numbers in text.
fn family(pid: i32) -> Vec<String> {
    let mut all = vec![pid.to_string()];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(children.split_whitespace().map(str::to_owned));
        at += 1;
    }
    all
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
