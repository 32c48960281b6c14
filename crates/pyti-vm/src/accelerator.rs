//! What can run a guest here: the processor itself, or emulation. Decided by what happens, not by what is said.
//!
//! `/dev/kvm` can exist and be useless (a nested hypervisor that interprets every instruction), and flags of the processor
//! can be missing where it works. So a loop is run in a guest of a few bytes, under an alarm, and its speed decides.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use pyti_model::image::Accelerator;
use serde::{Deserialize, Serialize};

use crate::qemu::Qemu;

mod kvm;

/// Rounds of the loop.
const ROUNDS: u32 = 20_000;
/// A processor does them in some 20 µs; an interpreter needs 130 ms *(measured)*.
const NATIVE: Duration = Duration::from_millis(20);

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is to be used.
    pub accelerator: Accelerator,
    /// Why, for people.
    pub why: String,
    /// Kilohertz of the processor's time stamp counter.
    pub tsc_khz: u64,
}

/// What a verdict depends on: another boot, processor or program, and it is found anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Key {
    boot: String,
    qemu: String,
    processor: String,
}

#[derive(Serialize, Deserialize)]
struct Cached {
    key: Key,
    verdict: Verdict,
}

/// Tries it, or remembers what came of it since this machine was started. A cache that cannot be used costs a tenth of
/// a second.
pub fn probe(qemu: &Qemu, cache: &Path) -> Verdict {
    let key = Key {
        boot: read("/proc/sys/kernel/random/boot_id"),
        qemu: qemu.version.text.clone(),
        processor: read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name"))
            .unwrap_or_default()
            .to_owned(),
    };
    let file = cache.join("accelerator-2.json");
    let known = fs::read(&file)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Cached>(&bytes).ok());
    if let Some(known) = known.filter(|known| known.key == key) {
        return known.verdict;
    }
    let verdict = judge(&kvm::run(ROUNDS, NATIVE * 5));
    let cached = Cached {
        key,
        verdict: verdict.clone(),
    };
    if let (Ok(bytes), Ok(mut new)) = (
        serde_json::to_vec(&cached),
        tempfile::NamedTempFile::new_in(cache),
    ) && std::io::Write::write_all(&mut new, &bytes).is_ok()
    {
        let _ = new.persist(&file);
    }
    verdict
}

/// What became of the loop.
#[derive(Debug)]
enum Ran {
    /// It came to its end in this time.
    Ended(Duration),
    /// It had not when the alarm went off.
    TooSlow(Duration),
    /// There is no KVM to try.
    Absent(std::io::Error),
    /// A step failed.
    Failed(&'static str, std::io::Error),
}

fn judge(ran: &Ran) -> Verdict {
    let tcg = |why: String| Verdict {
        accelerator: Accelerator::Tcg,
        why,
        tsc_khz: tsc_khz(),
    };
    match ran {
        Ran::Ended(time) if *time <= NATIVE => Verdict {
            accelerator: Accelerator::Kvm,
            why: format!("a loop of {ROUNDS} rounds took {} µs under KVM", time.as_micros()),
            tsc_khz: tsc_khz(),
        },
        Ran::Ended(time) | Ran::TooSlow(time) => tcg(format!(
            "/dev/kvm is there but interprets: a loop of {ROUNDS} rounds took {} ms or more",
            time.as_millis()
        )),
        Ran::Absent(error) => tcg(format!("/dev/kvm cannot be used: {error}")),
        Ran::Failed(step, error) => tcg(format!("/dev/kvm is there but does not work ({step}): {error}")),
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// Kilohertz of the time stamp counter, measured against the clock for 50 ms.
pub fn tsc_khz() -> u64 {
    let (began, first) = (Instant::now(), stamp());
    std::thread::sleep(Duration::from_millis(50));
    let (last, took) = (stamp(), began.elapsed());
    let micros = u64::try_from(took.as_micros()).unwrap_or(1).max(1);
    last.wrapping_sub(first) / micros * 1000 + (last.wrapping_sub(first) % micros) * 1000 / micros
}

#[cfg(target_arch = "x86_64")]
fn stamp() -> u64 {
    // SAFETY: the instruction is there on every x86-64 processor
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn stamp() -> u64 {
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_decides_not_presence() {
        let kvm = |ran| judge(&ran).accelerator;
        assert_eq!(kvm(Ran::Ended(Duration::from_micros(20))), Accelerator::Kvm);
        assert_eq!(kvm(Ran::Ended(Duration::from_millis(130))), Accelerator::Tcg);
        assert_eq!(kvm(Ran::TooSlow(NATIVE * 5)), Accelerator::Tcg);
        assert_eq!(
            kvm(Ran::Absent(std::io::ErrorKind::NotFound.into())),
            Accelerator::Tcg
        );
        let failed = judge(&Ran::Failed("running", std::io::ErrorKind::Other.into()));
        assert_eq!(failed.accelerator, Accelerator::Tcg);
        assert!(failed.why.contains("running"));
    }

    #[test]
    fn a_verdict_is_kept_with_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let qemu = |text: &str| Qemu {
            path: "/usr/bin/qemu".into(),
            version: crate::qemu::Version {
                number: (7, 2),
                text: text.to_owned(),
            },
        };
        let first = probe(&qemu("one"), folder.path());
        let file = folder.path().join("accelerator-2.json");
        let mut cached: Cached = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        cached.verdict.why = "remembered".to_owned();
        fs::write(&file, serde_json::to_vec(&cached).unwrap()).unwrap();
        assert_eq!(probe(&qemu("one"), folder.path()).why, "remembered");
        assert_eq!(probe(&qemu("two"), folder.path()).accelerator, first.accelerator);
        assert_ne!(probe(&qemu("two"), folder.path()).why, "remembered");
        fs::write(&file, "nonsense").unwrap();
        assert_ne!(probe(&qemu("two"), folder.path()).why, "remembered");
    }

    #[test]
    fn the_clock_ticks() {
        if cfg!(target_arch = "x86_64") {
            assert!(tsc_khz() > 100_000);
        }
    }
}
