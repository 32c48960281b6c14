//! Opens jobs for the tests, as whoever runs them and, run by root, as an ordinary user too.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::{Value, json};

/// The probe, where every user can start it.
pub(crate) fn probe() -> &'static Path {
    static COPY: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, path) = COPY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let path = folder.path().join("probe");
        fs::copy(env!("CARGO_BIN_EXE_pyti-sandbox-probe"), &path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        (folder, path)
    });
    path
}

/// Who opens the job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Me,
    Ordinary,
}

/// Everybody that this machine lets us be.
pub(crate) fn everybody() -> Vec<Who> {
    let root = fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if root && Path::new("/usr/bin/setpriv").exists() {
        vec![Who::Me, Who::Ordinary]
    } else {
        if root {
            eprintln!("SKIPPED: the same as an ordinary user, because /usr/bin/setpriv is missing");
        }
        vec![Who::Me]
    }
}

pub(crate) fn is_root() -> bool {
    everybody().len() == 2
}

/// The probe's command line, for somebody.
pub(crate) fn command(who: Who) -> Command {
    if who == Who::Me {
        return Command::new(probe());
    }
    let mut command = Command::new("/usr/bin/setpriv");
    command
        .args(["--reuid=54321", "--regid=54321", "--clear-groups", "--"])
        .arg(probe())
        .current_dir("/");
    command
}

/// Opens a job, and gives what each of its commands did.
pub(crate) fn job(who: Who, order: &Value) -> Vec<Value> {
    let Output {
        stdout,
        stderr,
        status,
    } = command(who).arg("host").arg(order.to_string()).output().unwrap();
    let said = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{who:?}: {said}");
    let answer: Value = serde_json::from_slice(&stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    answer["answers"].as_array().unwrap().clone()
}

/// One command in a job of its own.
pub(crate) fn one(who: Who, run: Value) -> Value {
    let answer = job(who, &json!({"groups": [[run]]})).remove(0);
    assert!(answer["error"].is_null(), "{who:?}: {answer}");
    answer
}

/// A shell script, as a command.
pub(crate) fn sh(script: &str) -> Value {
    json!({"argv": ["/bin/sh", "-c", script]})
}

/// A Python script, as a command.
pub(crate) fn py(script: &str) -> Value {
    json!({"argv": ["/usr/bin/python3", "-B", "-c", script]})
}

/// A command with more said about it.
pub(crate) fn with(mut run: Value, more: Value) -> Value {
    let (Some(all), Value::Object(more)) = (run.as_object_mut(), more) else {
        panic!("an object is wanted")
    };
    all.extend(more);
    run
}

/// Whether this machine has the Python that the scripts want; says so loudly when it has not.
pub(crate) fn python() -> bool {
    let there = Path::new("/usr/bin/python3").exists();
    if !there {
        eprintln!("SKIPPED: /usr/bin/python3 is missing");
    }
    there
}

pub(crate) fn stdout(answer: &Value) -> &str {
    answer["stdout"].as_str().unwrap_or_else(|| panic!("{answer}"))
}

pub(crate) fn code(answer: &Value) -> Option<i64> {
    answer["effect"]["exit"]["code"].as_i64()
}

pub(crate) fn limit(answer: &Value) -> Option<&str> {
    answer["effect"]["limit"].as_str()
}
