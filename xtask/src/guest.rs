//! The program for virtual machines: linked static, small, beside `pyti`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{bench, say};

/// Builds it for this machine's own target, where nothing has to be installed for that, and copies it to where `pyti` looks
/// for it: beside the programs of both profiles.
pub(crate) fn build() -> Result<PathBuf> {
    let target = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let release = bench::target_folder()?;
    let above = release.parent().context("the target folder has no parent")?;
    let apart = above.join("guest");
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    say("building pyti-guest, linked static");
    let status = Command::new(program)
        .args(["build", "--profile", "guest", "-p", "pyti-guest"])
        // named, so that build scripts and macros are not linked static too
        .args(["--target", &target, "--target-dir"])
        .arg(&apart)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .status()
        .context("cannot start cargo")?;
    if !status.success() {
        bail!("cargo ended with {status}");
    }
    let built = apart.join(target).join("guest/pyti-guest");
    let mut to = built.clone();
    for profile in ["debug", "release"] {
        let folder = above.join(profile);
        if folder.is_dir() {
            to = folder.join("pyti-guest");
            fs::copy(&built, &to).with_context(|| format!("cannot write {}", to.display()))?;
        }
    }
    Ok(to)
}
