//! The cache of environments: one folder a key, complete or absent.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use pyti_model::Digest;

/// Complete environments, each under its key. Any number of processes may use it at once: an environment appears
/// by one rename and is never changed.
pub(crate) struct Environments {
    folder: PathBuf,
}

impl Environments {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.folder.join(key).is_dir()
    }

    /// Takes a complete environment from the stage of a job. Whoever comes first wins; the other's is dropped.
    pub(crate) fn commit(&self, stage: &Path, key: &Digest) -> io::Result<()> {
        let from = stage.join(key.as_str());
        // the stage was written by an agent: only a real folder is taken
        if !fs::symlink_metadata(&from)?.is_dir() {
            return Err(io::Error::other("what the agent left is no folder"));
        }
        match fs::rename(&from, self.folder.join(key.as_str())) {
            Err(error) if self.has(key.as_str()) => {
                let _ = fs::remove_dir_all(&from);
                let _ = error;
                Ok(())
            }
            other => other,
        }
    }
}
