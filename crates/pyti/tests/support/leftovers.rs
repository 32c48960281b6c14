//! What a program left behind: processes, mounts, control groups, files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::{Mutex, Once};
use std::time::{Duration, Instant};

/// Processes that the tests of this program started themselves.
static OURS: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Whoever loses its parent becomes a child of the tests: so nothing can hide by losing it.
pub fn adopt() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid())).unwrap();
    });
}

/// Starts a command and remembers it as ours.
pub fn spawn(command: &mut Command) -> Child {
    let mut ours = OURS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let child = command.spawn().unwrap();
    ours.insert(child.id());
    child
}

/// Demands that nothing is left of the process `id`, which has ended.
#[track_caller]
pub fn none(id: u32, what: &str, folder: &Path) {
    OURS.lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
        .remove(&id);
    let deadline = Instant::now() + Duration::from_secs(3);
    loop {
        let mut left = orphans();
        left.extend(mounts(folder));
        left.extend(groups(id));
        left.extend(files(&folder.join("tmp")));
        if left.is_empty() {
            return;
        }
        // the kernel takes a moment to tear down a namespace
        assert!(
            Instant::now() < deadline,
            "pyti {what} left behind:\n{}",
            left.join("\n")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Children of this process that it did not start, and that live.
fn orphans() -> Vec<String> {
    let ours = OURS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let me = std::process::id().to_string();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let (state, parent) = (fields.next()?, fields.next()?);
            if parent != me || state == "Z" || ours.contains(&id) || !comes_from_pyti(id) {
                return None;
            }
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            Some(format!(
                "process {id}: {}",
                String::from_utf8_lossy(&line).replace('\0', " ")
            ))
        })
        .collect()
}

/// Helpers of the tests (pip, a server, another `pyti`) are children too: what lies in a namespace of its own, or is
/// a hidden verb of the program, was started by a `pyti` that is gone.
fn comes_from_pyti(id: u32) -> bool {
    let own = |space: &str| {
        fs::read_link(format!("/proc/{id}/ns/{space}")).ok()
            != fs::read_link(format!("/proc/self/ns/{space}")).ok()
    };
    let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
    let hidden = line
        .split(|byte| *byte == 0)
        .nth(1)
        .is_some_and(|verb| verb.starts_with(b"__"));
    let program = fs::read_link(format!("/proc/{id}/exe")).is_ok_and(|exe| exe == super::program());
    program && hidden || own("pid") || own("user")
}

fn mounts(folder: &Path) -> Vec<String> {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let folder = folder.to_string_lossy();
    text.lines()
        .filter(|line| line.contains(&*folder))
        .map(|line| format!("mount {line}"))
        .collect()
}

/// Control groups that bear the number of the process.
fn groups(id: u32) -> Vec<String> {
    let prefix = format!("pyti-{id}-");
    let top = Path::new("/sys/fs/cgroup");
    let mut folders = vec![top.to_owned()];
    folders.extend(
        fs::read_dir(top)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path()),
    );
    folders
        .iter()
        .flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten())
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| format!("control group {}", entry.path().display()))
        .collect()
}

fn files(folder: &Path) -> Vec<String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| format!("file {}", entry.path().display()))
        .collect()
}

/// Processes below this one whose command line has the word.
pub fn descendants(of: u32, word: &str) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all: Vec<(u32, u32)> = entries
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((id, parent))
        })
        .collect();
    let mut below = BTreeSet::from([of]);
    loop {
        let more: Vec<u32> = all
            .iter()
            .filter(|(id, parent)| below.contains(parent) && !below.contains(id))
            .map(|(id, _)| *id)
            .collect();
        if more.is_empty() {
            break;
        }
        below.extend(more);
    }
    below.remove(&of);
    let says = |id: &u32| {
        fs::read(format!("/proc/{id}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(word))
    };
    below.into_iter().filter(says).collect()
}
