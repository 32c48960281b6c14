//! The control group of a whole job, where one can be had: a hard limit behind the one that is measured.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use pyti_model::effect::Meter;

use crate::enter::JOB_UID;

/// Where the agent sees its job's group, read-only.
pub(crate) const SHOWN_AT: &str = "/.pyti/group";
/// Where the agent may make groups for its boxes.
pub(crate) const BOXES_AT: &str = "/.pyti/groups";
/// The folder of them, in the job's.
const BOXES: &str = "boxes";
/// With version 2, the agent's own group beside it.
const AGENT: &str = "agent";

/// Removed when dropped, after the job's processes are gone.
pub(crate) struct JobGroup {
    folders: Vec<PathBuf>,
    /// The list of the processes of the job that are in no box.
    procs: PathBuf,
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
        let mut group = Self {
            folders: Vec::new(),
            procs: PathBuf::new(),
        };
        let v1 = Path::new("/sys/fs/cgroup/memory");
        let v2 = Path::new("/sys/fs/cgroup/cgroup.controllers");
        let made = if v1.join("memory.limit_in_bytes").exists() {
            remove_orphans(v1);
            let folder = v1.join(&name);
            group
                .make(&folder, "memory.limit_in_bytes", memory_bytes)
                .inspect(|()| group.for_boxes(&folder))
        } else if fs::read_to_string(v2).is_ok_and(|text| text.split_whitespace().any(|c| c == "memory")) {
            own_v2_folder()
                .inspect(|folder| remove_orphans(folder))
                .and_then(|own| {
                    let folder = own.join(&name);
                    group.make(&folder, "memory.max", memory_bytes)?;
                    group.split(&folder);
                    Ok(())
                })
        } else {
            Err(io::ErrorKind::Unsupported.into())
        };
        made.ok().map(|()| group)
    }

    /// Where it is, for the agent to look at.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folders.first().map(PathBuf::as_path)
    }

    /// Where groups of boxes can be made, by the job's user; as root, with version 1.
    pub(crate) fn of_boxes(&self) -> Option<&Path> {
        self.folders.get(1).map(PathBuf::as_path)
    }

    /// With version 2 a group has processes or groups with limits, never both: so the agent goes into one of its own.
    fn split(&mut self, folder: &Path) {
        let (agent, boxes) = (folder.join(AGENT), folder.join(BOXES));
        let split = || -> io::Result<()> {
            fs::create_dir(&agent)?;
            fs::create_dir(&boxes)?;
            for group in [folder, &boxes] {
                fs::write(group.join("cgroup.subtree_control"), "+memory")?;
            }
            // SAFETY: plain call
            if unsafe { libc::geteuid() } == 0 {
                // what is born in a box's group needs the right to leave the one of whoever starts it
                for given in [
                    boxes.clone(),
                    boxes.join("cgroup.procs"),
                    folder.join("cgroup.procs"),
                    agent.join("cgroup.procs"),
                ] {
                    chown(given, Some(JOB_UID), Some(JOB_UID))?;
                }
            }
            Ok(())
        };
        if split().is_ok() {
            self.folders.push(boxes);
            self.procs = agent.join("cgroup.procs");
        } else {
            let _ = fs::write(folder.join("cgroup.subtree_control"), "-memory");
            for made in [boxes, agent] {
                let _ = fs::remove_dir(made);
            }
        }
    }

    fn for_boxes(&mut self, folder: &Path) {
        let boxes = folder.join(BOXES);
        if fs::create_dir(&boxes).is_ok() {
            // the folder alone: what limits the job stays root's
            if chown(&boxes, Some(JOB_UID), Some(JOB_UID)).is_ok() {
                self.folders.push(boxes);
            } else {
                remove(&boxes);
            }
        }
    }

    fn make(&mut self, folder: &Path, limit: &str, bytes: u64) -> io::Result<()> {
        fs::create_dir(folder)?;
        self.folders.push(folder.to_owned());
        self.procs = folder.join("cgroup.procs");
        fs::write(folder.join(limit), bytes.to_string())
    }

    /// Begins to move a process into the group, where it does not move itself ([`enter`]). The kernel waits until every
    /// CPU has taken notice, often longer than the whole set-up of the job: so both go on side by side.
    pub(crate) fn begin(&self, pid: i32) -> Option<JoinHandle<()>> {
        if self.folder()?.join("tasks").exists() && self.of_boxes().is_some() {
            return None;
        }
        let list = self.procs.clone();
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
        let list = &self.procs;
        let inside = fs::read_to_string(list).unwrap_or_default();
        family(pid)
            .iter()
            .all(|pid| inside.lines().any(|line| line == pid) || fs::write(list, pid).is_ok())
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
        if let Some(folder) = self.folder() {
            remove_with_boxes(folder);
        }
    }
}

/// Removes an empty group, and those of its boxes: an agent that was killed could not do it itself.
fn remove_with_boxes(folder: &Path) {
    let boxes = folder.join(BOXES);
    for left in fs::read_dir(&boxes).into_iter().flatten().flatten() {
        if left.path().is_dir() {
            remove(&left.path());
        }
    }
    for below in [boxes, folder.join(AGENT)] {
        if below.is_dir() {
            remove(&below);
        }
    }
    remove(folder);
}

/// Removes an empty group.
fn remove(folder: &Path) {
    // the last process may still be leaving, and one that held much takes its time
    for _ in 0..300 {
        match fs::remove_dir(folder) {
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                std::thread::sleep(Duration::from_millis(10));
            }
            _ => return,
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
            remove_with_boxes(&entry.path());
        }
    }
}

/// Moves the calling thread into a group of version 1. A thread that moves itself, alone, waits for nobody.
pub(crate) fn enter(folder: &Path) -> io::Result<()> {
    fs::write(folder.join("tasks"), "0")
}

/// The group of one box, below the job's.
pub(crate) struct BoxGroup {
    folder: PathBuf,
    version: Version,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit(self) -> &'static str {
        match self {
            Self::One => "memory.limit_in_bytes",
            Self::Two => "memory.max",
        }
    }

    fn peak(self) -> &'static str {
        match self {
            Self::One => "memory.max_usage_in_bytes",
            Self::Two => "memory.peak",
        }
    }

    fn events(self) -> &'static str {
        match self {
            Self::One => "memory.oom_control",
            Self::Two => "memory.events",
        }
    }

    /// Bytes of files of disks that the kernel keeps in memory and gives back when it is needed, from `memory.stat`.
    fn files(self, stat: &str) -> u64 {
        let count = |name| count_of(stat, name).unwrap_or(0);
        match self {
            Self::One => count("cache").saturating_sub(count("shmem")),
            Self::Two => count("file").saturating_sub(count("shmem")),
        }
    }

    fn meter(self) -> Meter {
        match self {
            Self::One => Meter::CgroupV1,
            Self::Two => Meter::CgroupV2,
        }
    }
}

/// The number behind a name, in a file of lines of names and numbers.
fn count_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let (found, number) = line.split_once(' ')?;
        (found == name).then(|| number.trim().parse().ok())?
    })
}

/// What a box's group has counted; nothing where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct GroupUse {
    /// Most memory at once, without what could have been given back at once: files of disks.
    pub(crate) peak_bytes: u64,
    /// Processes that the kernel has ended because the limit was reached.
    pub(crate) killed: u64,
    pub(crate) meter: Meter,
}

impl BoxGroup {
    /// Makes a group and moves the calling thread into it, so that what it starts is born there; `None` where that
    /// cannot be.
    pub(crate) fn enter() -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let parent = Path::new(BOXES_AT);
        if !parent.is_dir() {
            return None;
        }
        let version = if parent.join("tasks").exists() {
            Version::One
        } else {
            Version::Two
        };
        let group = Self {
            folder: parent.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string()),
            version,
        };
        fs::create_dir(&group.folder).ok()?;
        // with version 2 threads do not move alone: what is started is born in another group than its parent
        if version == Version::Two || enter(&group.folder).is_ok() {
            Some(group)
        } else {
            group.remove();
            None
        }
    }

    /// With version 2: the folder that a process is to be born in.
    pub(crate) fn birthplace(&self) -> io::Result<Option<File>> {
        match self.version {
            Version::One => Ok(None),
            Version::Two => File::open(&self.folder).map(Some),
        }
    }

    /// Sets the limit.
    pub(crate) fn limit(&self, bytes: u64) -> io::Result<()> {
        if self.version == Version::Two {
            // whoever is over goes with everybody beside him: half a command helps nobody
            let _ = fs::write(self.folder.join("memory.oom.group"), "1");
        }
        fs::write(self.folder.join(self.version.limit()), bytes.to_string())
    }

    /// What has been used until now.
    pub(crate) fn used(&self) -> GroupUse {
        let read = |name: &str| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let peak = read(self.version.peak()).trim().parse().unwrap_or(0);
        GroupUse {
            peak_bytes: u64::saturating_sub(peak, self.version.files(&read("memory.stat"))),
            killed: count_of(&read(self.version.events()), "oom_kill").unwrap_or(0),
            meter: self.version.meter(),
        }
    }

    /// Removes it; nobody may be in it any more.
    pub(crate) fn remove(self) {
        remove(&self.folder);
    }
}

/// How many processes the kernel has ended because the job's group ran out of memory; 0 where there is no group.
/// Called in the agent.
pub(crate) fn oom_kills() -> u64 {
    let count = |name: &str| {
        let text = fs::read_to_string(Path::new(SHOWN_AT).join(name)).ok()?;
        count_of(&text, "oom_kill")
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
