//! Folders of jobs at work: gone with their job, or with the next `pyti` when theirs was killed.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

/// Younger ones are left alone: somebody may be about to lock them.
const YOUNG: Duration = Duration::from_mins(1);

/// A folder of one job, locked while the job lives.
pub(crate) struct Scratch {
    folder: TempDir,
    _held: File,
}

impl Scratch {
    /// Makes one below that folder.
    pub(crate) fn new(stage: &Path) -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("job-").tempdir_in(stage)?;
        let held = File::open(folder.path())?;
        held.lock()?;
        Ok(Self { folder, _held: held })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what nobody holds any more. What cannot be removed is left to the next one.
pub(crate) fn sweep(stage: &Path, now: SystemTime) {
    for entry in fs::read_dir(stage).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(metadata) = entry.metadata() else { continue };
        let age = metadata
            .modified()
            .ok()
            .and_then(|at| now.duration_since(at).ok());
        if age.is_none_or(|age| age < YOUNG) {
            continue;
        }
        if metadata.is_dir() {
            // the lock ends with whoever took it, however that was
            if File::open(&path).is_ok_and(|folder| folder.try_lock().is_ok()) {
                let _ = fs::remove_dir_all(&path);
            }
        } else if age.is_some_and(|age| age > YOUNG * 60 * 24) {
            let _ = fs::remove_file(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_stays_and_what_was_left_goes() {
        let stage = tempfile::tempdir().unwrap();
        let held = Scratch::new(stage.path()).unwrap();
        let left = stage.path().join("job-left");
        fs::create_dir_all(left.join("inside")).unwrap();
        sweep(stage.path(), SystemTime::now());
        assert!(left.is_dir(), "it is young");
        let later = SystemTime::now() + YOUNG * 2;
        sweep(stage.path(), later);
        assert!(held.path().is_dir() && !left.exists());
        let path = held.path().to_owned();
        drop(held);
        assert!(!path.exists());
    }
}
