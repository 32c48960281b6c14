//! Programs of others that a job needs: uv, and pip's own wheel.

use std::io;
use std::path::{Path, PathBuf};

use pyti_index::{Index, IndexError};
use pyti_model::plan::Interpreter;
use pyti_resolve::uv;

/// uv, and its version.
#[derive(Debug, Clone)]
pub(crate) struct Uv {
    pub(crate) path: PathBuf,
    pub(crate) version: String,
}

/// A program could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// The index does not have uv, or cannot be asked.
    #[error("uv {} cannot be fetched from the index", uv::UV_VERSION)]
    Fetch(#[source] IndexError),
    /// The index has uv, but not this file.
    #[error("the index has no {0}")]
    Missing(String),
    /// The file is not what it should be.
    #[error("uv cannot be unpacked")]
    Unpack(#[source] uv::UvError),
    /// Nothing is cached and `--offline` was asked for.
    #[error("uv is not on this machine")]
    Io(#[source] io::Error),
}

impl ToolError {
    /// What to do next.
    pub fn hint(&self) -> &'static str {
        "install uv (pip install uv), or name one by PYTI_UV"
    }
}

/// uv from PATH when its version suits, else from the cache, else from the index at the pinned version and hash.
pub(crate) async fn uv(
    index: &Index,
    tools: &Path,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Uv, ToolError> {
    if let Some(path) = uv::locate(env) {
        let version = uv::version(&path).unwrap_or_else(|| uv::UV_VERSION.to_owned());
        return Ok(Uv { path, version });
    }
    let version = uv::UV_VERSION.to_owned();
    let folder = tools.join(format!("uv-{version}"));
    let ready = folder.join("uv");
    if ready.is_file() {
        return Ok(Uv { path: ready, version });
    }
    let wanted = uv::wheel_for(std::env::consts::ARCH)
        .ok_or_else(|| ToolError::Missing(format!("uv for {}", std::env::consts::ARCH)))?;
    let project = index.project("uv").await.map_err(ToolError::Fetch)?;
    let file = project
        .files
        .iter()
        .find(|file| file.filename == wanted.filename)
        .ok_or_else(|| ToolError::Missing(wanted.filename.to_owned()))?;
    let (_, wheel) = index.fetch(file, &|_, _| ()).await.map_err(ToolError::Fetch)?;
    std::fs::create_dir_all(&folder).map_err(ToolError::Io)?;
    let path = uv::unpack(&wheel, &folder).map_err(ToolError::Unpack)?;
    Ok(Uv { path, version })
}

/// The wheel of pip that an interpreter carries for `ensurepip`, or Debian's folder of such wheels.
pub(crate) fn bundled_pip(interpreter: &Interpreter) -> Option<PathBuf> {
    let lib = Path::new(&interpreter.prefix).join("lib");
    let short = interpreter.short();
    let folders = [
        lib.join(format!("python{short}/ensurepip/_bundled")),
        PathBuf::from("/usr/share/python-wheels"),
    ];
    folders.iter().find_map(|folder| {
        let mut wheels: Vec<_> = std::fs::read_dir(folder)
            .ok()?
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
                name.starts_with("pip-") && path.extension().is_some_and(|e| e == "whl")
            })
            .collect();
        wheels.sort();
        wheels.pop()
    })
}
