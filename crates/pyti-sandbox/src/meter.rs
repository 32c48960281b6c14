//! What a command's processes use, sampled from `/proc`: weak, but to be had everywhere.

use std::fs;
use std::path::{Path, PathBuf};

use pyti_model::foreign::Foreign;

/// One look at all processes of a box.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Sample {
    pub(crate) cpu_s: f64,
    pub(crate) memory_bytes: u64,
    /// Processes and threads.
    pub(crate) tasks: u32,
}

/// The process-id namespace of a box, by which its processes are known.
pub(crate) struct Meter {
    namespace: Option<PathBuf>,
    init: i32,
}

impl Meter {
    pub(crate) fn of(init: i32) -> Self {
        Self {
            namespace: fs::read_link(format!("/proc/{init}/ns/pid")).ok(),
            init,
        }
    }

    /// All processes of the box, its first one included.
    pub(crate) fn processes(&self) -> Vec<i32> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .filter(|pid| {
                let namespace = fs::read_link(format!("/proc/{pid}/ns/pid")).ok();
                // the first process shows its namespace to nobody
                *pid == self.init || namespace.is_some() && namespace == self.namespace
            })
            .collect()
    }

    pub(crate) fn sample(&self) -> Sample {
        let mut sample = Sample::default();
        for pid in self.processes() {
            let folder = PathBuf::from(format!("/proc/{pid}"));
            sample.cpu_s += cpu_seconds(&folder).unwrap_or(0.0);
            let (memory, threads) = memory_and_threads(&folder).unwrap_or((0, 0));
            sample.memory_bytes += memory;
            if pid != self.init {
                sample.tasks += threads;
            }
        }
        sample
    }
}

/// User and kernel time of a process and of the children it has waited for.
fn cpu_seconds(folder: &Path) -> Option<f64> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // the name may hold spaces and brackets; what follows the last bracket is numbers
    let rest = stat.rsplit_once(')')?.1;
    let ticks: u32 = rest
        .split_whitespace()
        .skip(11)
        .take(4)
        .filter_map(|n| n.parse::<u32>().ok())
        .sum();
    // the kernel counts in hundredths of a second for user space, whatever its own clock
    Some(f64::from(ticks) / 100.0)
}

fn memory_and_threads(folder: &Path) -> Option<(u64, u32)> {
    let status = fs::read_to_string(folder.join("status")).ok()?;
    let (mut kib, mut threads) = (0, 0);
    for line in status.lines() {
        let Some((name, value)) = line.split_once(':') else {
            continue;
        };
        let number = || {
            value
                .split_whitespace()
                .next()
                .and_then(|n| n.parse::<u64>().ok())
                .unwrap_or(0)
        };
        match name {
            "RssAnon" | "RssShmem" => kib += number(),
            "Threads" => threads = u32::try_from(number()).unwrap_or(u32::MAX),
            _ => {}
        }
    }
    Some((kib * 1024, threads))
}

/// A process that outlives the command.
pub(crate) struct Alive {
    /// Its number as we see it.
    pub(crate) pid: i32,
    /// Its number inside the box.
    pub(crate) number: i32,
    /// Its command line, cut.
    pub(crate) argv: Vec<Foreign>,
}

impl Alive {
    /// Reads what `/proc` says now.
    pub(crate) fn look(pid: i32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let number = numbers
            .and_then(|n| n.split_whitespace().last()?.parse().ok())
            .unwrap_or(pid);
        let argv = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let argv = argv.split(|b| *b == 0).filter(|part| !part.is_empty()).take(32);
        Self {
            pid,
            number,
            argv: argv
                .map(|part| Foreign::new(&part[..part.len().min(1024)]))
                .collect(),
        }
    }
}
