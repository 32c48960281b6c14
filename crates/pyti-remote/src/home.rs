//! A worker's own folder: who it is, who its controller is, how often it started, and what it has not delivered yet.
//!
//! ```text
//! lock              held while a worker uses the folder
//! key               its key, ed25519; only its owner may read it
//! controller.json   its controller and the name that it has there
//! counters.json     its starts, and its requests for jobs
//! spool/            see the module `spool`
//! ```

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use pyti_command::trust::ControllerId;
use pyti_dispatch::WorkerId;
use pyti_model::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::key::{Key, KeyError};
use crate::spool::Spool;

/// Longest of our own small files, bytes.
const SMALL: u64 = 1 << 20;

/// Why the folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// Another worker has it.
    #[error("another worker uses {0}")]
    Busy(PathBuf),
    /// A file cannot be used.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] io::Error),
    /// The key.
    #[error(transparent)]
    Key(#[from] KeyError),
}

/// Whom a worker belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The controller.
    pub controller: ControllerId,
    /// Its own authority, as the join token named it; none where a public certificate is believed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authority: Option<Digest>,
    /// The name that this worker has there.
    pub worker: WorkerId,
}

/// How often something was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Starts of this worker; the present one is counted.
    pub boot: u64,
    /// Requests for jobs since then; the open one is counted.
    pub request: u64,
}

/// The folder, locked for this process.
#[derive(Debug)]
pub struct Home {
    folder: PathBuf,
    /// Everything that is not delivered.
    pub spool: Spool,
    /// The key.
    pub key: Key,
    _lock: File,
}

impl Home {
    /// Opens the folder, which is made if need be, and locks it.
    pub fn open(folder: &Path) -> Result<Self, HomeError> {
        let wrong = |path: &Path| {
            let path = path.to_owned();
            move |error| HomeError::File(path, error)
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(wrong(folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(&path)
            .map_err(wrong(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(HomeError::Busy(folder.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(wrong(&path)(error)),
        }
        let spool = folder.join("spool");
        Ok(Self {
            key: Key::at(&folder.join("key"))?,
            spool: Spool::open(&spool).map_err(wrong(&spool))?,
            folder: folder.to_owned(),
            _lock: lock,
        })
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whom this worker belongs to, once it was enrolled.
    pub fn membership(&self) -> Result<Option<Membership>, HomeError> {
        self.read("controller.json")
    }

    /// Remembers it.
    pub fn join(&self, membership: &Membership) -> Result<(), HomeError> {
        self.write("controller.json", membership)
    }

    /// Counts a start. What was written is on the disk.
    pub fn start(&self) -> Result<Counters, HomeError> {
        let before: Counters = self.read("counters.json")?.unwrap_or_default();
        let now = Counters {
            boot: before.boot + 1,
            request: 0,
        };
        self.write("counters.json", &now)?;
        Ok(now)
    }

    /// Counts a request. What was written is on the disk.
    pub fn request(&self, counters: &mut Counters) -> Result<u64, HomeError> {
        let next = Counters {
            request: counters.request + 1,
            ..*counters
        };
        self.write("counters.json", &next)?;
        *counters = next;
        Ok(next.request)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, HomeError> {
        let path = self.folder.join(name);
        read_json(&path).map_err(|error| HomeError::File(path, error))
    }

    fn write<T: Serialize>(&self, name: &str, value: &T) -> Result<(), HomeError> {
        let path = self.folder.join(name);
        write_json(&path, value).map_err(|error| HomeError::File(path, error))
    }
}

/// A small file of ours; nothing when it is not there.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    let mut bytes = Vec::new();
    match File::open(path) {
        Ok(file) => file.take(SMALL).read_to_end(&mut bytes)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from)
}

/// Writes a small file whole or not at all, and waits until it is on the disk.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let bytes = serde_json::to_vec(value)?;
    write_synced(path, &bytes)
}

/// Writes a file whole or not at all, and waits until it is on the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path
        .parent()
        .ok_or_else(|| io::Error::other("a file without a folder"))?;
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder)
}

/// Waits until the names in a folder are on the disk.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_and_requests_only_grow() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let mut first = home.start().unwrap();
        assert_eq!((first.boot, first.request), (1, 0));
        assert_eq!(home.request(&mut first).unwrap(), 1);
        assert_eq!(home.request(&mut first).unwrap(), 2);
        drop(home);
        let home = Home::open(folder.path()).unwrap();
        let second = home.start().unwrap();
        assert_eq!((second.boot, second.request), (2, 0));
    }

    #[test]
    fn one_worker_has_a_folder_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert!(matches!(Home::open(folder.path()), Err(HomeError::Busy(_))));
        drop(home);
        assert!(Home::open(folder.path()).is_ok());
    }

    #[test]
    fn a_membership_survives() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        assert_eq!(home.membership().unwrap(), None);
        let membership = Membership {
            controller: ControllerId([3; 16]),
            authority: Some("ab".repeat(32).parse().unwrap()),
            worker: "box-1".parse().unwrap(),
        };
        home.join(&membership).unwrap();
        assert_eq!(home.membership().unwrap(), Some(membership));
        fs::write(folder.path().join("controller.json"), "{").unwrap();
        assert!(matches!(home.membership(), Err(HomeError::File(..))));
    }
}
