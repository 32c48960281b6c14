//! Files by the digest of their bytes: `<dir>/<2 hex>/<sha256>/<filename>`.
//!
//! A file is written under a temporary name and renamed into its place, so that two processes can share a
//! store without locks: who comes second replaces the first's file with the same bytes.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pyti_model::distribution::{Digest, is_plain_file_name};
use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

/// A content-addressed folder of files.
#[derive(Debug, Clone)]
pub struct FileStore {
    dir: PathBuf,
}

/// How much is in a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreSize {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// What may stay in a store. Files go oldest use first.
#[derive(Debug, Clone, Copy, Default)]
pub struct PrunePolicy {
    /// Most bytes that stay.
    pub max_bytes: Option<u64>,
    /// Whatever was not used for so long goes.
    pub older_than: Option<Duration>,
}

/// What pruning took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FileStore {
    /// Opens the store in that folder, which is made when it is not there.
    pub fn open(dir: &Path) -> io::Result<Self> {
        make_dir(dir)?;
        Ok(Self {
            dir: fs::canonicalize(dir)?,
        })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The file with that digest. Notes that it was used.
    pub fn get(&self, digest: &Digest) -> Option<PathBuf> {
        let entry = fs::read_dir(self.folder(digest))
            .ok()?
            .filter_map(Result::ok)
            .find(|entry| {
                entry.file_type().is_ok_and(|kind| kind.is_file())
                    && !entry.file_name().as_encoded_bytes().starts_with(b".")
            })?;
        if let Ok(file) = File::open(entry.path()) {
            // only pruning looks at the time; a store that cannot be written to still serves
            let _ = file.set_modified(SystemTime::now());
        }
        Some(entry.path())
    }

    /// Puts bytes into the store.
    pub fn insert_bytes(&self, bytes: &[u8], filename: &str) -> io::Result<(Digest, PathBuf)> {
        let mut incoming = self.incoming()?;
        incoming.write(bytes)?;
        incoming.keep(filename)
    }

    /// Puts a copy of a file into the store.
    pub fn insert_file(&self, from: &Path, filename: &str) -> io::Result<(Digest, PathBuf)> {
        let mut source = File::open(from)?;
        let mut incoming = self.incoming()?;
        let mut buffer = vec![0; 1 << 16];
        loop {
            match source.read(&mut buffer)? {
                0 => return incoming.keep(filename),
                n => incoming.write(&buffer[..n])?,
            }
        }
    }

    /// A file that is being written into the store.
    pub(crate) fn incoming(&self) -> io::Result<Incoming<'_>> {
        let file = tempfile::Builder::new()
            .prefix(".incoming-")
            .tempfile_in(&self.dir)?;
        Ok(Incoming {
            store: self,
            file,
            hasher: Sha256::new(),
            written: 0,
        })
    }

    /// How much is in it.
    pub fn size(&self) -> io::Result<StoreSize> {
        let mut size = StoreSize::default();
        for (_, meta) in self.files()? {
            size.files += 1;
            size.bytes += meta.len();
        }
        Ok(size)
    }

    /// Takes away what the policy does not keep, and what killed processes left half-written a day ago.
    pub fn prune(&self, keep: PrunePolicy) -> io::Result<Pruned> {
        let now = SystemTime::now();
        let age = |meta: &fs::Metadata| {
            meta.modified()
                .ok()
                .and_then(|t| now.duration_since(t).ok())
                .unwrap_or_default()
        };
        for entry in fs::read_dir(&self.dir)?.filter_map(Result::ok) {
            let stale = entry
                .metadata()
                .is_ok_and(|meta| age(&meta) > Duration::from_hours(24));
            if stale && entry.file_name().as_encoded_bytes().starts_with(b".incoming-") {
                remove(&entry.path())?;
            }
        }
        let mut files = self.files()?;
        files.sort_by_key(|(_, meta)| std::cmp::Reverse(age(meta)));
        let mut left: u64 = files.iter().map(|(_, meta)| meta.len()).sum();
        let mut pruned = Pruned::default();
        for (path, meta) in files {
            let over = keep.max_bytes.is_some_and(|max| left > max);
            let old = keep.older_than.is_some_and(|limit| age(&meta) >= limit);
            if !over && !old {
                continue;
            }
            remove(&path)?;
            if let Some(folder) = path.parent() {
                // fails when another file came in meanwhile, and then it shall stay
                let _ = fs::remove_dir(folder);
            }
            left -= meta.len();
            pruned.files += 1;
            pruned.bytes += meta.len();
        }
        Ok(pruned)
    }

    fn folder(&self, digest: &Digest) -> PathBuf {
        self.dir.join(&digest.as_str()[..2]).join(digest.as_str())
    }

    fn files(&self) -> io::Result<Vec<(PathBuf, fs::Metadata)>> {
        let mut found = Vec::new();
        for shard in subfolders(&self.dir)? {
            for folder in subfolders(&shard)? {
                let Ok(entries) = fs::read_dir(&folder) else {
                    continue;
                };
                for entry in entries.filter_map(Result::ok) {
                    // what vanishes while we look was pruned by somebody else
                    if let Ok(meta) = entry.metadata()
                        && meta.is_file()
                    {
                        found.push((entry.path(), meta));
                    }
                }
            }
        }
        Ok(found)
    }
}

/// Bytes on their way into a store, hashed as they come.
pub(crate) struct Incoming<'a> {
    store: &'a FileStore,
    file: NamedTempFile,
    hasher: Sha256,
    pub(crate) written: u64,
}

impl Incoming<'_> {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    pub(crate) fn digest(&self) -> io::Result<Digest> {
        Digest::from(<[u8; 32]>::from(self.hasher.clone().finalize()))
            .to_string()
            .parse()
            .map_err(io::Error::other)
    }

    /// Moves the file into its place.
    pub(crate) fn keep(self, filename: &str) -> io::Result<(Digest, PathBuf)> {
        if !is_plain_file_name(filename) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "not a plain file name",
            ));
        }
        let digest = self.digest()?;
        let folder = self.store.folder(&digest);
        self.file
            .as_file()
            .set_permissions(fs::Permissions::from_mode(0o644))?;
        // the same bytes under another name stay under the name that came first
        if let Some(path) = self.store.get(&digest)
            && path.file_name().is_some_and(|name| name == filename)
        {
            return Ok((digest, path));
        }
        make_dir(&folder)?;
        let path = folder.join(filename);
        self.file.persist(&path).map_err(|error| error.error)?;
        Ok((digest, path))
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    fs::create_dir_all(dir)?;
    let mode = fs::metadata(dir)?.permissions().mode() & 0o777;
    if mode & 0o055 != 0o055 {
        fs::set_permissions(dir, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn subfolders(dir: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(dir) {
        Ok(entries) => Ok(entries
            .filter_map(Result::ok)
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
            .map(|entry| entry.path())
            .collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// The digest of some bytes.
pub(crate) fn digest_of(bytes: &[u8]) -> Digest {
    <[u8; 32]>::from(Sha256::digest(bytes)).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_by_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        let (digest, path) = store.insert_bytes(b"hello", "a-1.0.tar.gz").unwrap();
        assert_eq!(
            digest.as_str(),
            "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
        );
        assert!(path.ends_with(format!("2c/{digest}/a-1.0.tar.gz")));
        assert_eq!(store.get(&digest), Some(path.clone()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
        assert_eq!(store.insert_file(&path, "a-1.0.tar.gz").unwrap().0, digest);
        assert_eq!(store.size().unwrap(), StoreSize { files: 1, bytes: 5 });
    }

    #[test]
    fn denied_names_that_leave_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        assert!(store.insert_bytes(b"x", "../x").is_err());
        assert_eq!(store.size().unwrap().files, 0);
    }

    #[test]
    fn pruning_keeps_what_the_policy_keeps() {
        let dir = tempfile::tempdir().unwrap();
        let store = FileStore::open(dir.path()).unwrap();
        let (old, path) = store.insert_bytes(b"old", "old").unwrap();
        File::open(path)
            .unwrap()
            .set_modified(SystemTime::now() - Duration::from_hours(48))
            .unwrap();
        let (new, _) = store.insert_bytes(b"newer", "new").unwrap();
        let pruned = store
            .prune(PrunePolicy {
                max_bytes: Some(5),
                older_than: None,
            })
            .unwrap();
        assert_eq!(pruned, Pruned { files: 1, bytes: 3 });
        assert!(store.get(&old).is_none() && store.get(&new).is_some());
        assert_eq!(store.prune(PrunePolicy::default()).unwrap(), Pruned::default());
    }
}
