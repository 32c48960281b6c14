//! What this machine has for jobs.

use std::collections::BTreeSet;

use pyti_dispatch::{Label, Offers, WorkerId};
use pyti_model::plan::Interpreter;

/// The name of an interpreter in the queue: `cpython-3.13`. Nothing if it has none that fits.
pub fn label(interpreter: &Interpreter) -> Option<Label> {
    format!("{}-{}", interpreter.implementation, interpreter.short())
        .parse()
        .ok()
}

/// `linux/x86_64`
pub fn platform() -> String {
    format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH)
}

/// What is offered: these interpreters, so many jobs at once, and the memory of the machine shared by them.
pub fn offers(interpreters: &[Interpreter], slots: u16, memory_bytes: u64) -> Option<Offers> {
    let interpreters: BTreeSet<Label> = interpreters.iter().filter_map(label).collect();
    let isolation = pyti_model::plan::Isolation::Sandbox.word().parse().ok()?;
    // a fifth stays for the machine itself
    let share = memory_bytes / 5 * 4 / u64::from(slots.max(1));
    Some(Offers {
        platform: platform().parse().ok()?,
        interpreters,
        isolations: [isolation].into(),
        memory_mib: u32::try_from(share >> 20).unwrap_or(u32::MAX),
        slots: slots.max(1),
    })
}

/// Bytes of memory that this machine has.
pub fn memory_bytes() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .map_or(2 << 30, |kib| kib * 1024)
}

/// A worker's name made of the machine's, with what is no letter or digit left out.
pub fn name_of(host: &str) -> Option<WorkerId> {
    let plain: String = host
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '.' {
                c
            } else {
                '-'
            }
        })
        .take(64)
        .collect();
    plain.trim_start_matches(['-', '.']).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interpreter(implementation: &str, version: &str, free_threaded: bool) -> Interpreter {
        serde_json::from_value(serde_json::json!({
            "implementation": implementation, "version": version, "free_threaded": free_threaded,
            "executable": "/usr/bin/python3", "prefix": "/usr", "platform": "linux_x86_64", "has_headers": true,
        }))
        .unwrap()
    }

    #[test]
    fn interpreters_have_the_names_of_the_queue() {
        let of = |i: Interpreter| label(&i).unwrap().to_string();
        assert_eq!(of(interpreter("cpython", "3.13.0", false)), "cpython-3.13");
        assert_eq!(of(interpreter("cpython", "3.13.0", true)), "cpython-3.13t");
        assert_eq!(of(interpreter("pypy", "3.10.14", false)), "pypy-3.10");
    }

    #[test]
    fn memory_is_shared_by_what_runs_at_once() {
        let all = [interpreter("cpython", "3.13.0", false)];
        let one = offers(&all, 1, 10 << 30).unwrap();
        let four = offers(&all, 4, 10 << 30).unwrap();
        assert_eq!((one.memory_mib, four.memory_mib), (8192, 2048));
        assert_eq!(offers(&all, 0, 10 << 30).unwrap().slots, 1);
    }

    #[test]
    fn names_of_machines_become_names_of_workers() {
        let of = |host: &str| name_of(host).map(|name| name.to_string());
        assert_eq!(of("Builder_1.Example"), Some("builder-1.example".into()));
        assert_eq!(of("-x"), Some("x".into()));
        assert_eq!(of(""), None);
        assert_eq!(of("日本"), None);
        assert_eq!(of(&"a".repeat(300)).map(|n| n.len()), Some(64));
    }
}
