//! Accidents of the machine: a killed agent, a full disk. Both are our errors, and lose nothing that was recorded.

mod support;

use std::process::Command;

use pyti_fixtures::{Faults, LocalIndex};
use rustix::process::{Pid, Signal};
use support::{Place, fixtures, leftovers, reasons, run_arguments, task};

#[test]
fn a_killed_agent_is_our_error_and_what_it_did_is_kept() {
    let Some(place) = Place::new("a_killed_agent_is_our_error_and_what_it_did_is_kept") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["hangs-in-import", "no-tests"]), Faults::none()).unwrap();
    let arguments = run_arguments(&index, ["--only", "wheel", "hangs-in-import"]);
    let running = place.start_until(&arguments, "install: success");
    let agents = leftovers::descendants(running.child.id(), "__agent");
    assert!(!agents.is_empty(), "there is no agent");
    for agent in agents {
        let id = Pid::from_raw(i32::try_from(agent).unwrap()).unwrap();
        // its boxes end with it, so one of them may be gone already
        let _ = rustix::process::kill_process(id, Signal::KILL);
    }
    let ended = place.wait_for(running).code(5);
    let object = ended.object();
    assert_eq!(object["status"], "error", "{}", ended.story());
    assert!(
        reasons(&object).contains(&"worker_lost".to_owned()),
        "{}",
        ended.story()
    );
    assert_eq!(
        task(&object, "install").unwrap()["result"],
        "success",
        "{}",
        ended.story()
    );
    place.ends(["report"]).code(0);
    place.run(&index, ["--only", "wheel", "no-tests"]).code(0);
}

/// A folder of the place becomes a file system of so many bytes, for this one `pyti`.
fn with_little_disk(
    place: &Place,
    folder: &str,
    bytes: u64,
    arguments: &[std::ffi::OsString],
) -> (i32, String) {
    let path = place.path().join(folder);
    std::fs::create_dir_all(&path).unwrap();
    let plain = place.pyti(arguments);
    let mount = format!(
        "mount -t tmpfs -o size={bytes} none {} && exec \"$@\"",
        path.display()
    );
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "sh", "-c", &mount, "sh"])
        .arg(plain.get_program())
        .args(plain.get_args());
    command
        .current_dir(place.work())
        .env_clear()
        .envs(std::env::vars_os());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let output = command.output().unwrap();
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn a_full_disk_is_our_error() {
    let test = "a_full_disk_is_our_error";
    if !rustix::process::geteuid().is_root() {
        support::skipped(test, "only root can mount a small file system");
        return;
    }
    let Some(place) = Place::new(test) else { return };
    let index = LocalIndex::start(fixtures(&["no-tests", "writes-some-output"]), Faults::none()).unwrap();
    let arguments = run_arguments(&index, ["--only", "wheel", "writes-some-output"]);
    for folder in ["data", "cache"] {
        let (code, said) = with_little_disk(&place, folder, 4096, &arguments);
        assert_eq!(code, 5, "{folder}: {said}");
        assert!(
            said.contains("No space left") || said.contains("storage"),
            "{folder}: {said}"
        );
    }
    let (code, said) = with_little_disk(&place, "data", 64 << 20, &arguments);
    assert_eq!(code, 0, "{said}");
}
