//! The program for virtual machines: linked static, small, beside `pyti`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::{bench, cargo, say};

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

/// What tests with real guests need: the program, and an image, which is built once below the target folder.
pub(crate) fn machines() -> Result<Vec<(&'static str, PathBuf)>> {
    let program = build()?;
    let release = bench::target_folder()?;
    let data = release.with_file_name("test-data");
    let images = data.join("images");
    if !images.join("names/default").is_file() {
        cargo(&["build", "-p", "pyti"])?;
        say("building an image for tests with virtual machines");
        let status = Command::new(release.with_file_name("debug").join("pyti"))
            .args(["image", "build", "default"])
            .env("PYTI_DATA_DIR", &data)
            .status()
            .context("cannot start pyti")?;
        if !status.success() {
            bail!("pyti image build ended with {status}");
        }
    }
    Ok(vec![("PYTI_GUEST", program), ("PYTI_TEST_IMAGES", images)])
}
