//! The agent can be linked static: as the first process of a virtual machine it has no loader and no libraries.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the example `boxed` static, for this machine's own target: nothing has to be installed for that.
fn boxed() -> PathBuf {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("static");
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--offline",
            "--package",
            "pyti-sandbox",
            "--example",
            "boxed",
        ])
        // named, so that build scripts and macros are not linked static too
        .args(["--target", &target, "--target-dir"])
        .arg(&folder)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        // flags of the other build, and cargo's own that the test runs under
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    folder.join(target).join("debug/examples/boxed")
}

/// Whether a program names a loader (`PT_INTERP`), which is how it asks for libraries.
fn wants_a_loader(program: &Path) -> bool {
    const INTERP: u32 = 3;
    let bytes = std::fs::read(program).unwrap();
    assert_eq!(&bytes[..5], b"\x7fELF\x02", "no 64-bit ELF");
    let word = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
    let table = usize::try_from(u64::from_le_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let (size, count) = (usize::from(word(54)), usize::from(word(56)));
    (0..count).any(|n| {
        let at = table + n * size;
        u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) == INTERP
    })
}

#[test]
fn a_static_agent_runs_a_command_in_a_box() {
    let boxed = boxed();
    assert!(!wants_a_loader(&boxed));
    let script = "echo static $(id -u) $(ls /proc | grep -c '^[0-9]'); echo kept > kept; exit 3";
    for silent in [false, true] {
        let mut command = Command::new(&boxed);
        command
            .args(silent.then_some("--silent"))
            .args(["/bin/sh", "-c", script]);
        let output = command.output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{said}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(said.starts_with("static 1000 "), "{said}");
        let packed: String = said.split_whitespace().collect();
        assert!(
            packed.contains("Code(3,)") && packed.contains("/home/dev/kept"),
            "{said}"
        );
    }
}

#[test]
fn an_ordinary_program_wants_a_loader() {
    if cfg!(target_feature = "crt-static") {
        eprintln!(
            "\n!!! SKIPPED: an_ordinary_program_wants_a_loader: these tests are linked static themselves\n"
        );
        return;
    }
    assert!(wants_a_loader(&std::env::current_exe().unwrap()));
}
