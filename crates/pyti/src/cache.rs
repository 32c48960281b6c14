//! `pyti cache`.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::args::{CacheArgs, CacheCommand};
use crate::output::print;
use crate::run::env;

/// Shows or prunes the caches.
pub(crate) fn cache(args: CacheArgs) -> anyhow::Result<u8> {
    let folders = pyti_worker::folders::Folders::find(&env)?;
    let parts = [
        ("files", folders.files()?),
        ("environments", folders.environments()?),
        ("index", folders.index()?),
        ("built", folders.built()?),
        ("tools", folders.tools()?),
    ];
    match args.command {
        CacheCommand::Size => {
            let mut text = format!("{}\n", folders.cache().display());
            for (name, folder) in &parts {
                let (files, bytes) = size(folder);
                text.push_str(&format!(
                    "{name:<13} {:>10.1} MB  {files} files\n",
                    megabytes(bytes)
                ));
            }
            print(&text)?;
        }
        CacheCommand::Prune { days } => {
            let mut freed = 0;
            for (_, folder) in &parts {
                freed += prune(folder, Duration::from_secs(days * 86_400));
            }
            print(&format!("{:.1} MB freed", megabytes(freed)))?;
        }
    }
    Ok(0)
}

#[expect(clippy::cast_precision_loss, reason = "a size for people")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}

fn size(path: &Path) -> (u64, u64) {
    let Ok(metadata) = fs::symlink_metadata(path) else {
        return (0, 0);
    };
    if !metadata.is_dir() {
        return (1, metadata.len());
    }
    fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .fold((0, 0), |(files, bytes), entry| {
            let (f, b) = size(&entry.path());
            (files + f, bytes + b)
        })
}

/// Removes entries of a cache that were not made or used for this long; returns bytes.
fn prune(folder: &Path, age: Duration) -> u64 {
    let mut freed = 0;
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata
            .accessed()
            .or_else(|_| metadata.modified())
            .unwrap_or(SystemTime::now());
        if SystemTime::now().duration_since(used).unwrap_or_default() < age {
            continue;
        }
        let (_, bytes) = size(&entry.path());
        let gone = if metadata.is_dir() {
            fs::remove_dir_all(entry.path())
        } else {
            fs::remove_file(entry.path())
        };
        if gone.is_ok() {
            freed += bytes;
        }
    }
    freed
}
