//! The commands that tasks run: what is in the box with them, and with which environment.

use std::path::{Path, PathBuf};

use pyti_box::protocol::{PROGRAM, PYTHON, UV, VENV};
use pyti_probes::Invocation;
use pyti_sandbox::{Bind, Command, Lower, Network, RESULTS_FD};

use crate::job::Job;

/// Where the probes lie in a box.
pub(crate) const PROBES: &str = "/.pyti/probes";
/// How a probe is started in a box.
pub(crate) const INVOCATION: Invocation<'static> = Invocation {
    python: PYTHON,
    probes: PROBES,
    results_fd: RESULTS_FD,
};
/// Where the compilers' names lie that record their calls.
const COMPILERS: &str = "/.pyti/compilers";
/// Where the compilers' calls are recorded.
pub(crate) const COMPILER_LOG: &str = "/tmp/.pyti-compilers.jsonl";
/// Most bytes of results of one command.
const RESULTS_CAP: usize = 64 << 20;

/// A command of ours that reads an archive or a tree and runs nothing of it.
pub(crate) fn reading(job: &Job, argv: Vec<String>, files: &[&str]) -> Command {
    let mut command = Command::new(argv);
    command.results = true;
    command.results_cap = RESULTS_CAP;
    command.limits = job.order.plan.limits.clone();
    command.network = Network::None;
    command.env = plain_environment();
    command.binds.push(bind(PROGRAM));
    command.binds.extend(files.iter().map(|file| bind(file)));
    command
}

/// A command that runs code of the package or of its dependencies.
pub(crate) fn package(job: &Job, argv: Vec<String>, lowers: Vec<Lower>) -> Command {
    let plan = &job.order.plan;
    let mut command = Command::new(argv);
    command.results = true;
    command.results_cap = RESULTS_CAP;
    command.limits = plan.limits.clone();
    command.network = Network::Silent;
    command.lowers = lowers;
    command.env = plain_environment();
    set(
        &mut command,
        "PATH",
        &format!("{VENV}/bin:/usr/local/bin:/usr/bin:/bin:/usr/games"),
    );
    set(&mut command, "VIRTUAL_ENV", VENV);
    set(&mut command, "PYTHONHASHSEED", &plan.hash_seed.to_string());
    set(&mut command, "PYTHONFAULTHANDLER", "1");
    for (name, value) in &plan.env {
        set(&mut command, name, value);
    }
    command
}

/// A command of uv.
pub(crate) fn uv(job: &Job, argv: Vec<String>, env: Vec<(String, String)>, network: Network) -> Command {
    let mut command = Command::new(argv);
    command.limits = job.order.plan.limits.clone();
    command.network = network;
    command.env = env
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    command.binds.push(bind(UV));
    command
}

/// Lets the compilers' calls of a command be recorded: their names come first in its PATH.
pub(crate) fn record_compilers(job: &Job, command: &mut Command) -> Result<(), pyti_sandbox::BoxError> {
    let mut scripts = Vec::new();
    // a name that the machine lacks must stay missing
    let folders = [Path::new("/usr/bin"), Path::new("/usr/local/bin")];
    for name in pyti_archive::compilers::present_in(&folders) {
        // without this folder in PATH the real compiler is found, and what it starts is its own business
        let script =
            format!("#!/bin/sh\nPATH=\"${{PATH#{COMPILERS}:}}\"\nexec {PROGRAM} __compiler {name} \"$@\"\n");
        scripts.push((PathBuf::from(COMPILERS).join(name), script.into_bytes(), 0o755));
    }
    let path = command
        .env
        .iter()
        .find(|(name, _)| name == "PATH")
        .map(|(_, value)| value.clone());
    let mut with = std::ffi::OsString::from(COMPILERS);
    with.push(":");
    with.push(path.unwrap_or_default());
    set_os(command, "PATH", with);
    set(command, "PYTI_COMPILER_LOG", COMPILER_LOG);
    if !command.binds.iter().any(|b| b.target == Path::new(PROGRAM)) {
        command.binds.push(bind(PROGRAM));
    }
    command.lowers.push(Lower::Layer(job.boxes.layer_of(&scripts)?));
    Ok(())
}

/// Puts the probes into the box.
pub(crate) fn add_probes(job: &Job, command: &mut Command) -> Result<(), pyti_sandbox::BoxError> {
    let files: Vec<_> = pyti_probes::files()
        .iter()
        .map(|(name, text)| (PathBuf::from(PROBES).join(name), text.as_bytes().to_vec(), 0o644))
        .collect();
    command.lowers.push(Lower::Layer(job.boxes.layer_of(&files)?));
    Ok(())
}

/// Puts files into the box that are not part of what the command changes.
pub(crate) fn add_files(
    job: &Job,
    command: &mut Command,
    files: &[(String, Vec<u8>)],
) -> Result<(), pyti_sandbox::BoxError> {
    if !files.is_empty() {
        let files: Vec<_> = files
            .iter()
            .map(|(path, bytes)| (PathBuf::from(path), bytes.clone(), 0o644))
            .collect();
        command.lowers.push(Lower::Layer(job.boxes.layer_of(&files)?));
    }
    Ok(())
}

/// A file of the agent's root at the same place in the box.
pub(crate) fn bind(path: &str) -> Bind {
    let path = PathBuf::from(path);
    Bind {
        source: path.clone(),
        target: path,
        writable: false,
    }
}

/// Sets a variable of a command.
pub(crate) fn set(command: &mut Command, name: &str, value: &str) {
    set_os(command, name, value.into());
}

fn set_os(command: &mut Command, name: &str, value: std::ffi::OsString) {
    command.env.retain(|(known, _)| known != name);
    command.env.push((name.into(), value));
}

fn plain_environment() -> Vec<(std::ffi::OsString, std::ffi::OsString)> {
    [
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("HOME", "/home/dev"),
        ("USER", "dev"),
        ("LOGNAME", "dev"),
        ("SHELL", "/bin/sh"),
        ("LANG", "C.UTF-8"),
        ("TZ", "UTC"),
        ("TMPDIR", "/tmp"),
    ]
    .map(|(name, value)| (name.into(), value.into()))
    .into()
}
