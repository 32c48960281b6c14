//! Real guests: what is restored, what clones share and what they must not, what a guest can do to its host.
//!
//! They need an image and the guest's program. Where these are missing every test says loudly that it is skipped.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use pyti_model::image::GuestEnd;
use pyti_vm::control::Ask;
use pyti_vm::link::LinkError;
use pyti_vm::machine::{Machine, Start};
use support::{Place, patience, tell};

/// Guests take turns, so that what is measured is measured alone.
static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());

macro_rules! place {
    ($name:literal) => {
        match Place::find() {
            Ok(place) => (
                place,
                ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner),
            ),
            Err(why) => {
                tell(&format!("\n!!! SKIPPED: {}: {why}\n", $name));
                return;
            }
        }
    };
}

/// Runs Python in the guest, as root, outside every box, and gives what it said.
fn python(machine: &Machine, code: &str) -> Result<String, LinkError> {
    // what a program says reaches the host when it fails
    let code = format!("import sys\n{code}\nsys.exit(1)\n");
    let argv = ["/usr/bin/python3", "-I", "-S", "-c", &code]
        .map(str::to_owned)
        .to_vec();
    match machine.link.order(Ask::Warm { argv }, patience()) {
        Err(LinkError::Failed { text, .. }) => Ok(text.trim().to_owned()),
        Err(other) => Err(other),
        Ok(()) => Ok(String::new()),
    }
}

/// Numbers of the processes that are a QEMU with this disk.
fn processes_of(program: &str) -> Vec<PathBuf> {
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            std::fs::read(path.join("cmdline")).is_ok_and(|line| {
                String::from_utf8_lossy(&line)
                    .split('\0')
                    .next()
                    .is_some_and(|p| p.ends_with(program))
            })
        })
        .collect()
}

#[test]
fn a_warm_guest_answers_sooner_than_a_cold_one() {
    let (place, _alone) = place!("a_warm_guest_answers_sooner_than_a_cold_one");
    let ready = place.ready();
    let folder = tempfile::tempdir().unwrap();
    let parts = Place::parts(&ready, folder.path(), b"");
    let began = Instant::now();
    let (cold, hello) = Machine::start(&parts, Start::Cold, patience()).unwrap();
    let cold_took = began.elapsed();
    assert!(hello.unwrap().kernel.starts_with("6."));
    drop(cold);
    let mut warm_took = Vec::new();
    for _ in 0..5 {
        let began = Instant::now();
        let warm = ready.template.restore(&parts, patience()).unwrap();
        warm_took.push(began.elapsed());
        drop(warm);
    }
    warm_took.sort();
    let began = Instant::now();
    let clones: Vec<_> = (0..4)
        .map(|_| {
            let (template, parts) = (ready.template.clone(), parts.clone());
            std::thread::spawn(move || template.restore(&parts, patience()).unwrap())
        })
        .collect();
    let clones: Vec<_> = clones.into_iter().map(|thread| thread.join().unwrap()).collect();
    tell(&format!(
        "first answer: cold {cold_took:?}; warm min {:?}, median {:?}, max {:?}; four side by side {:?}",
        warm_took[0],
        warm_took[2],
        warm_took[4],
        began.elapsed()
    ));
    drop(clones);
    assert!(warm_took[2] < cold_took, "{warm_took:?} {cold_took:?}");
}

#[test]
fn clones_share_neither_clock_nor_randomness() {
    let (place, _alone) = place!("clones_share_neither_clock_nor_randomness");
    let mut drawn = BTreeSet::new();
    for _ in 0..3 {
        let (machine, _folder) = place.guest();
        machine.prepare(patience()).unwrap();
        let said = python(
            &machine,
            "import os, time\nsys.stderr.write('%s %d' % (os.urandom(16).hex(), time.time()))",
        )
        .unwrap();
        let (random, seconds) = said.split_once(' ').unwrap();
        drawn.insert(random.to_owned());
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let there: u64 = seconds.parse().unwrap();
        assert!(now.abs_diff(there) < 60, "{there} is not {now}");
    }
    assert_eq!(drawn.len(), 3, "{drawn:?}");
}

#[test]
fn less_entropy_than_is_needed_is_refused() {
    let (place, _alone) = place!("less_entropy_than_is_needed_is_refused");
    let (machine, _folder) = place.guest();
    let ask = |entropy| Ask::Prepare {
        unix_ns: 1_700_000_000_000_000_000,
        entropy,
    };
    let error = machine.link.order(ask(vec![1; 31]), patience()).unwrap_err();
    assert!(error.to_string().contains("reseeding"), "{error}");
    machine.link.order(ask(vec![1; 32]), patience()).unwrap();
}

#[test]
fn each_guest_sees_its_own_job_and_leaves_nothing() {
    let (place, _alone) = place!("each_guest_sees_its_own_job_and_leaves_nothing");
    let ready = place.ready();
    let disk = fs::metadata(place.image.disk()).unwrap().modified().unwrap();
    for name in ["one", "two"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, name).unwrap();
        let job = pyti_vm::jobdisk::make(folder.path(), &[(file, format!("cache/{name}"))]).unwrap();
        let parts = pyti_vm::machine::Parts {
            job,
            ..ready.parts.clone()
        };
        let machine = ready.template.restore(&parts, patience()).unwrap();
        machine.prepare(patience()).unwrap();
        machine.link.order(Ask::MountJob, patience()).unwrap();
        // the guest's root overwrites what it can reach: memory, and disks that refuse
        let said = python(
            &machine,
            "import os, ctypes\nlibc = ctypes.CDLL(None)\nos.stat('/dev')\nlibc.mount(b'dev', b'/dev', b'devtmpfs', 0, None)\n\
             left = 0\nfor name in ('vda', 'vdb'):\n  try:\n    open('/dev/' + name, 'r+b').write(b'x' * 4096)\n    left += 1\n  except OSError: pass\n\
             sys.stderr.write('%d written, %s' % (left, sorted(n for n in os.listdir('/dev') if n.startswith('vd'))))",
        )
        .unwrap();
        assert!(said.starts_with("0 written"), "{said}");
        assert!(said.contains("vda") && said.contains("vdb"), "{said}");
    }
    assert_eq!(
        fs::metadata(place.image.disk()).unwrap().modified().unwrap(),
        disk
    );
    assert_eq!(place.image.verify(), []);
}

#[test]
fn a_guest_that_reboots_panics_or_switches_off_is_told_apart() {
    let (place, _alone) = place!("a_guest_that_reboots_panics_or_switches_off_is_told_apart");
    let reboot = "import ctypes\nctypes.CDLL(None).reboot(0x01234567)";
    let off = "import ctypes\nctypes.CDLL(None).reboot(0x4321fedc)";
    let panic = "import ctypes\nctypes.CDLL(None).mount(b'p', b'/proc', b'proc', 0, None)\nopen('/proc/sys/kernel/sysrq', 'w').write('1')\nopen('/proc/sysrq-trigger', 'w').write('c')";
    for (code, end, attempt) in [
        (reboot, GuestEnd::Reboot, "reboot"),
        (off, GuestEnd::Shutdown, "shutdown"),
        (panic, GuestEnd::Panic, "panic"),
    ] {
        let (mut machine, _folder) = place.guest();
        assert!(python(&machine, code).is_err(), "{attempt}: it answered");
        let guest = machine.finish();
        assert_eq!(guest.end, end, "{attempt}: {}", guest.console.visible_lines());
        assert!(
            guest.attempts.iter().any(|a| a.what == attempt),
            "{:?}",
            guest.attempts
        );
    }
    let (mut machine, _folder) = place.guest();
    python(&machine, "pass").unwrap();
    assert_eq!(machine.finish().end, GuestEnd::Killed);
}

#[test]
fn a_console_that_is_flooded_is_kept_in_part_and_a_busy_guest_ends_at_once() {
    let (place, _alone) = place!("a_console_that_is_flooded_is_kept_in_part");
    let (mut machine, _folder) = place.guest();
    let flood = "import ctypes\nctypes.CDLL(None).mount(b'd', b'/dev', b'devtmpfs', 0, None)\nwith open('/dev/ttyS0', 'w') as c: c.write('flood ' * 40000)";
    python(&machine, flood).unwrap();
    let burning = std::sync::Arc::clone(&machine.link);
    let argv = ["/usr/bin/python3", "-c", "while True: pass"]
        .map(str::to_owned)
        .to_vec();
    std::thread::spawn(move || burning.order(Ask::Warm { argv }, Duration::from_secs(1)));
    std::thread::sleep(Duration::from_millis(1500));
    let began = Instant::now();
    let guest = machine.finish();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    assert!(
        guest.console.len() <= 64 << 10 && guest.console_dropped > 100_000,
        "{}",
        guest.console_dropped
    );
}

#[test]
fn a_template_that_cannot_be_read_is_made_anew() {
    let (place, _alone) = place!("a_template_that_cannot_be_read_is_made_anew");
    let _ = place.ready();
    for entry in fs::read_dir(place.settings.folder.join("templates"))
        .unwrap()
        .flatten()
    {
        if entry.path().join("state").is_file() {
            fs::write(entry.path().join("state"), "nonsense").unwrap();
        }
    }
    let scratch = tempfile::tempdir().unwrap();
    let order = pyti_vm::open::Order {
        image: &place.image,
        files: &[],
        scratch: scratch.path(),
        prefixes: Vec::new(),
        memory_bytes: 0,
        layers: (128 << 20, 10_000),
    };
    let said = std::sync::Mutex::new(Vec::new());
    let mut opened = pyti_vm::open::open(&place.settings, &order, &|what| {
        said.lock().unwrap().push(what.to_owned());
    })
    .unwrap();
    assert!(
        said.lock().unwrap().iter().any(|what| what.contains("of no use")),
        "{said:?}"
    );
    assert_eq!(opened.facts["isolation"], "vm");
    assert!(opened.scale >= 1.0);
    assert_eq!(opened.finish().end, GuestEnd::Killed);
}

#[test]
fn a_killed_host_leaves_nothing_running() {
    let (place, _alone) = place!("a_killed_host_leaves_nothing_running");
    let before: BTreeSet<_> = processes_of("qemu-system-x86_64").into_iter().collect();
    let mut host = Command::new(&place.settings.program)
        .arg("hold")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(host.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert_eq!(line.trim(), "ready");
    let ours: Vec<_> = processes_of("qemu-system-x86_64")
        .into_iter()
        .filter(|p| !before.contains(p))
        .collect();
    assert_eq!(ours.len(), 1, "{ours:?}");
    host.kill().unwrap();
    host.wait().unwrap();
    let began = Instant::now();
    while ours.iter().any(|process| process.exists()) {
        assert!(
            began.elapsed() < Duration::from_secs(10),
            "QEMU outlives its host"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}
