//! Ending services: everything that was there before the tests began, and what it started since.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

/// How long processes may take to go.
const PATIENCE: Duration = Duration::from_secs(2);

/// Processes by number, with when they began: numbers are used again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Noted(BTreeMap<i32, u64>);

/// A process, as `/proc` tells it.
struct Seen {
    parent: i32,
    began: u64,
    zombie: bool,
}

impl Noted {
    /// Everybody in the box but its first process and ourselves. Before the tests begin, all of them belong to services.
    pub(crate) fn now() -> Self {
        let own = std::process::id().cast_signed();
        Self(
            everybody()
                .into_iter()
                .filter(|(pid, seen)| *pid > 1 && *pid != own && !seen.zombie)
                .map(|(pid, seen)| (pid, seen.began))
                .collect(),
        )
    }

    /// Kills them and whatever descends from them. What the tests started descends from us, and stays.
    pub(crate) fn end(&self) {
        let until = Instant::now() + PATIENCE;
        let mut doomed = self.0.clone();
        while Instant::now() < until {
            reap(&doomed);
            let seen = everybody();
            for pid in descendants(&seen, &doomed) {
                if let Some(one) = seen.get(&pid) {
                    doomed.insert(pid, one.began);
                }
            }
            let alive = doomed
                .iter()
                .filter(|(pid, began)| seen.get(pid).is_some_and(|s| s.began == **began));
            let mut any = false;
            for (pid, _) in alive {
                any = true;
                if let Some(pid) = Pid::from_raw(*pid) {
                    // it may have gone meanwhile
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            if !any {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Takes leave of those that are our own children; others' are the first process's, which does the same.
fn reap(doomed: &BTreeMap<i32, u64>) {
    for pid in doomed.keys().filter_map(|pid| Pid::from_raw(*pid)) {
        // who is no child of ours, or lives still, is none of this
        let _ = waitpid(Some(pid), WaitOptions::NOHANG);
    }
}

fn everybody() -> BTreeMap<i32, Seen> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return BTreeMap::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let pid: i32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            Some((pid, read(&stat)?))
        })
        .collect()
}

/// Reads `/proc/PID/stat`: the name in brackets may hold anything.
fn read(stat: &str) -> Option<Seen> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let fields: Vec<&str> = rest.split(' ').collect();
    Some(Seen {
        zombie: matches!(*fields.first()?, "Z" | "X"),
        parent: fields.get(1)?.parse().ok()?,
        began: fields.get(19)?.parse().ok()?,
    })
}

fn descendants(seen: &BTreeMap<i32, Seen>, of: &BTreeMap<i32, u64>) -> BTreeSet<i32> {
    let is_of = |pid: i32| {
        of.get(&pid)
            .is_some_and(|began| seen.get(&pid).is_some_and(|s| s.began == *began))
    };
    seen.keys()
        .copied()
        .filter(|pid| {
            let mut at = *pid;
            // a chain of parents is no longer than there are processes
            for _ in 0..seen.len() {
                if is_of(at) {
                    return true;
                }
                match seen.get(&at) {
                    Some(one) if one.parent > 1 => at = one.parent,
                    _ => return false,
                }
            }
            false
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) b) S 3 7 7 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 4711 0";
        let seen = read(stat).unwrap();
        assert_eq!((seen.parent, seen.began, seen.zombie), (3, 4711, false));
        assert!(read("7 (a").is_none());
    }

    #[test]
    fn who_was_noted_ends_with_its_children_and_others_stay() {
        // a shell that waits for another: both go
        let sleeper = |text: &str| {
            Command::new("/bin/sh")
                .args(["-c", text])
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        };
        let mut doomed = sleeper("sleep 60 & wait");
        let mut spared = sleeper("exec sleep 60");
        let pid = doomed.id().cast_signed();
        let mut child = None;
        for _ in 0..500 {
            let seen = everybody();
            child = seen
                .iter()
                .find(|(_, s)| s.parent == pid)
                .map(|(pid, s)| (*pid, s.began));
            if child.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let (child, began) = child.expect("the shell has started its sleep");
        let noted = Noted([(pid, everybody()[&pid].began)].into());
        noted.end();
        let left = everybody();
        assert!(left.get(&child).is_none_or(|s| s.zombie || s.began != began));
        assert!(!left.contains_key(&pid), "it has been waited for");
        assert!(doomed.try_wait().is_err(), "by us");
        assert!(spared.try_wait().unwrap().is_none(), "nobody noted it");
        spared.kill().unwrap();
        spared.wait().unwrap();
    }

    #[test]
    fn a_number_that_is_used_again_is_somebody_else() {
        let mut spared = Command::new("/bin/sleep").arg("60").spawn().unwrap();
        let pid = spared.id().cast_signed();
        Noted([(pid, everybody()[&pid].began + 1)].into()).end();
        assert!(spared.try_wait().unwrap().is_none());
        spared.kill().unwrap();
        spared.wait().unwrap();
    }
}
