//! A real uv.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

/// uv that suits: of the machine, else fetched as a wheel by pip into a temporary folder. Once for all tests of a
/// program: what is being written cannot be started by another thread.
pub(crate) fn uv() -> Option<PathBuf> {
    static UV: OnceLock<Option<(PathBuf, Option<tempfile::TempDir>)>> = OnceLock::new();
    UV.get_or_init(|| {
        if let Some(uv) = pyti_resolve::uv::locate(&|name| std::env::var(name).ok()) {
            return Some((uv, None));
        }
        let wheel = pyti_resolve::uv::wheel_for(std::env::consts::ARCH)?;
        let folder = tempfile::tempdir().ok()?;
        let fetched = Command::new("python3")
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(folder.path())
            .arg(format!("uv=={}", pyti_resolve::uv::UV_VERSION))
            .status();
        if !fetched.is_ok_and(|status| status.success()) {
            return None;
        }
        let uv = pyti_resolve::uv::unpack(&folder.path().join(wheel.filename), folder.path()).ok()?;
        Some((uv, Some(folder)))
    })
    .as_ref()
    .map(|(path, _)| path.clone())
}
