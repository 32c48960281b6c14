//! What the tests need from outside: uv, and wheels of pytest and setuptools. Fetched once, by the machine's pip.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const UV: &str = "0.13.9";

/// The uv of the tests: `PYTI_UV`, the one on PATH when its version suits, or one that pip fetches.
pub fn uv() -> Result<PathBuf, String> {
    if let Some(named) = std::env::var_os("PYTI_UV") {
        return Ok(named.into());
    }
    let version = Command::new("uv").arg("--version").output();
    if version.is_ok_and(|out| String::from_utf8_lossy(&out.stdout).split_whitespace().nth(1) == Some(UV)) {
        let found = Command::new("sh").args(["-c", "command -v uv"]).output();
        if let Ok(out) = found {
            return Ok(String::from_utf8_lossy(&out.stdout).trim().into());
        }
    }
    once(&format!("uv-{UV}"), |folder| {
        pip_download(folder, &["--no-deps", &format!("uv=={UV}")])?;
        let wheel = one_in(folder, |name| name.ends_with(".whl"))?;
        let unpacked = folder.join("unpacked");
        said(
            Command::new("python3")
                .args(["-m", "zipfile", "-e"])
                .args([&wheel, &unpacked]),
        )?;
        let data = one_in(&unpacked, |name| name.ends_with(".data"))?;
        fs::rename(data.join("scripts/uv"), folder.join("uv"))
            .map_err(|e| format!("the wheel of uv has no uv: {e}"))?;
        fs::set_permissions(folder.join("uv"), fs::Permissions::from_mode(0o755))
            .map_err(|e| e.to_string())?;
        fs::remove_dir_all(unpacked).map_err(|e| e.to_string())
    })
    .map(|folder| folder.join("uv"))
}

/// A folder with wheels of pytest and setuptools, and of all that these need.
pub fn wheels() -> Result<PathBuf, String> {
    once("wheels", |folder| {
        let projects = [
            "pytest",
            "setuptools",
            "wheel",
            "exceptiongroup",
            "tomli",
            "typing-extensions",
        ];
        pip_download(folder, &projects)
    })
}

/// A folder for PYTHONPATH with pypiserver, a server that people use.
pub fn pypiserver() -> Result<PathBuf, String> {
    once("pypiserver", |folder| {
        let mut pip = Command::new("python3");
        pip.args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
        ]);
        said(pip.arg("--target").arg(folder).arg("pypiserver==2.4.2"))
    })
}

/// A folder below the build's that is made once, whichever of the test programs comes first.
fn once(name: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let base = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let ready = base.join(name);
    fs::create_dir_all(base).map_err(|e| e.to_string())?;
    let lock = File::create(base.join(format!("{name}.lock"))).map_err(|e| e.to_string())?;
    lock.lock().map_err(|e| e.to_string())?;
    if ready.is_dir() {
        return Ok(ready);
    }
    let making = base.join(format!("{name}.making"));
    // of somebody who was interrupted
    let _ = fs::remove_dir_all(&making);
    fs::create_dir(&making).map_err(|e| e.to_string())?;
    make(&making)?;
    fs::rename(&making, &ready).map_err(|e| e.to_string())?;
    Ok(ready)
}

fn pip_download(folder: &Path, what: &[&str]) -> Result<(), String> {
    let mut pip = Command::new("python3");
    pip.args([
        "-m",
        "pip",
        "download",
        "--quiet",
        "--only-binary",
        ":all:",
        "--disable-pip-version-check",
        "-d",
    ]);
    said(pip.arg(folder).args(what))
}

fn said(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|e| format!("{command:?}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    ))
}

fn one_in(folder: &Path, fits: impl Fn(&str) -> bool) -> Result<PathBuf, String> {
    let entries = fs::read_dir(folder).map_err(|e| e.to_string())?.flatten();
    let mut found = entries
        .filter(|entry| fits(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path());
    found
        .next()
        .ok_or_else(|| format!("{} does not hold what it should", folder.display()))
}

/// A folder with the wheels that `pyti run --quality` pins.
pub fn linters() -> Result<PathBuf, String> {
    once("linters", |folder| {
        pip_download(folder, &["--no-deps", "ruff==0.17.6", "docutils==0.23"])
    })
}
