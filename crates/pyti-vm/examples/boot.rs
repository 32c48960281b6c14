//! Boots a guest of given parts and says how long each step took: `boot KERNEL MODULES BASE GUEST-PROGRAM`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use pyti_model::image::Accelerator;
use pyti_vm::machine::{Machine, Parts, Start};
use pyti_vm::{accelerator, initramfs, modules, qemu, vmm};

type Anything = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|verb| verb == vmm::VERB) {
        return vmm::main();
    }
    match boot() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&pyti_model::with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "an example talks to who runs it")]
fn say(text: &str) {
    println!("{text}");
}

fn boot() -> Result<(), Anything> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kernel, folder, base, guest] = arguments.as_slice() else {
        return Err("boot KERNEL MODULES BASE GUEST-PROGRAM".into());
    };
    let scratch = tempfile::tempdir()?;
    let program = initramfs::program(Path::new(guest))?;
    let collected = modules::collect(Path::new(folder))?;
    let names: Vec<_> = collected.iter().map(|m| m.name.as_str()).collect();
    say(&format!("modules: {}", names.join(" ")));
    let initrd = scratch.path().join("initramfs");
    std::fs::write(&initrd, initramfs::make(&program, &collected))?;
    let job = scratch.path().join("job");
    std::fs::File::create(&job)?.set_len(qemu::JOB_DISK)?;
    let parts = Parts {
        qemu: qemu::find(&std::env::var("PATH")?)?,
        program: std::env::current_exe()?,
        accelerator: Accelerator::Tcg,
        memory_mb: 1024,
        tsc_khz: accelerator::tsc_khz(),
        kernel: PathBuf::from(kernel),
        initramfs: initrd,
        base: PathBuf::from(base),
        job,
    };
    let patience = Duration::from_secs(90);
    let began = Instant::now();
    let (mut machine, hello) = Machine::start(&parts, Start::Cold, patience)?;
    say(&format!("first answer after {:?}: {hello:?}", began.elapsed()));
    machine.prepare(patience)?;
    say(&format!("prepared after {:?}", began.elapsed()));
    let guest = machine.rounds_per_ms(Duration::from_millis(300), patience)?;
    let host = pyti_vm::calibrate::rounds_per_ms(Duration::from_millis(300));
    say(&format!("rounds: {host} here, {guest} there"));
    let warm = ["/usr/bin/python3", "-c", "import json, unittest, subprocess"]
        .map(str::to_owned)
        .to_vec();
    machine
        .link
        .order(pyti_vm::control::Ask::Warm { argv: warm }, patience)?;
    say(&format!("python after {:?}", began.elapsed()));
    let order = pyti_vm::control::Ask::Open {
        layers_bytes: 256 << 20,
        layers_inodes: 10_000,
        memory_bytes: 512 << 20,
        prefixes: Vec::new(),
    };
    std::thread::sleep(Duration::from_millis(10));
    let opened = machine.link.order(order, patience);
    say(&format!("agent after {:?}: {opened:?}", began.elapsed()));
    let facts = machine.finish();
    say(&format!("{:?} {:?}", facts.end, facts.attempts));
    say(&facts.console.visible_lines());
    Ok(())
}
