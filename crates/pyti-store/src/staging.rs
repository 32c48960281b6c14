//! Segments of recordings on their way: immutable, named by lease, stream and number; durable only once a completion asks.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use pyti_dispatch::{Label, Lease};
use pyti_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::blobs::{Blobs, sync_folder, young};
use crate::error::{Result, StoreError};
use crate::rows;

/// Most bytes that one segment has as stored.
pub const SEGMENT_BYTES: usize = 1 << 20;

/// What became of a segment that was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    /// It is there now.
    New,
    /// It was there already.
    Same,
    /// Another was there, and stays.
    Other,
    /// It is not what its digest says.
    Damaged,
    /// The lease has brought as much as it may.
    OverQuota,
}

/// One segment of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Of which stream.
    pub stream: Label,
    /// Its number there.
    pub seq: u32,
    /// Its content.
    pub digest: Digest,
}

/// The folder of segments.
#[derive(Debug)]
pub struct Staging {
    folder: PathBuf,
    quota: u64,
}

impl Staging {
    pub(crate) fn open(folder: PathBuf, quota: u64) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        Ok(Self { folder, quota })
    }

    fn of(&self, lease: Lease) -> PathBuf {
        self.folder.join(lease.to_string())
    }

    fn path(&self, lease: Lease, stream: &Label, seq: u32) -> PathBuf {
        // a stream's name may hold a slash
        let stream = stream.as_str().replace('/', "=");
        self.of(lease).join(format!("{stream}-{seq:010}"))
    }

    /// Takes a segment. It promises nothing durable; [`Staging::missing`] does. The caller has checked the lease.
    pub fn put(&self, lease: Lease, stream: &Label, seq: u32, digest: &Digest, bytes: &[u8]) -> Result<Put> {
        if bytes.len() > SEGMENT_BYTES {
            return Ok(Put::OverQuota);
        }
        if rows::digest(&Sha256::digest(bytes)).as_ref() != Some(digest) {
            return Ok(Put::Damaged);
        }
        let path = self.path(lease, stream, seq);
        if let Some(there) = hash_of(&path)? {
            return Ok(if there == *digest { Put::Same } else { Put::Other });
        }
        let folder = self.of(lease);
        fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        let mut used = bytes.len() as u64;
        for entry in fs::read_dir(&folder).map_err(StoreError::io(&folder))? {
            let meta = entry
                .and_then(|e| e.metadata())
                .map_err(StoreError::io(&folder))?;
            used += meta.len();
        }
        if used > self.quota {
            return Ok(Put::OverQuota);
        }
        let mut temporary = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&folder)
            .map_err(StoreError::io(&folder))?;
        temporary.write_all(bytes).map_err(StoreError::io(&folder))?;
        match temporary.persist_noclobber(&path) {
            Ok(_) => Ok(Put::New),
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(if hash_of(&path)?.as_ref() == Some(digest) {
                    Put::Same
                } else {
                    Put::Other
                })
            }
            Err(error) => Err(StoreError::io(path)(error.error)),
        }
    }

    /// The first number of a stream that is not there.
    pub fn next_seq(&self, lease: Lease, stream: &Label) -> u32 {
        let mut seq = 0;
        while self.path(lease, stream, seq).exists() {
            seq += 1;
        }
        seq
    }

    /// What of a manifest is not there as it says; the rest is synced, file by file and then the folder.
    pub fn missing(&self, lease: Lease, manifest: &[Segment]) -> Result<Vec<String>> {
        let mut missing = Vec::new();
        for segment in manifest {
            let path = self.path(lease, &segment.stream, segment.seq);
            if hash_of(&path)?.as_ref() == Some(&segment.digest) {
                let file = File::open(&path).map_err(StoreError::io(&path))?;
                file.sync_all().map_err(StoreError::io(&path))?;
            } else {
                missing.push(format!("{}/{}", segment.stream, segment.seq));
            }
        }
        if missing.is_empty() && !manifest.is_empty() {
            sync_folder(&self.of(lease))?;
            sync_folder(&self.folder)?;
        }
        Ok(missing)
    }

    /// The segments of one stream, in order.
    pub fn read(&self, lease: Lease, stream: &Label) -> Stream {
        let paths = (0..self.next_seq(lease, stream))
            .map(|seq| self.path(lease, stream, seq))
            .rev()
            .collect();
        Stream { paths, open: None }
    }

    /// Makes one blob of a stream's segments; frames of zstd one after another are a file of zstd. Digest and size in bytes.
    pub fn seal(&self, lease: Lease, stream: &Label, blobs: &Blobs) -> Result<(Digest, u64)> {
        blobs.put_from(&mut self.read(lease, stream))
    }

    /// Forgets a lease's segments.
    pub fn forget(&self, lease: Lease) -> Result<()> {
        let folder = self.of(lease);
        match fs::remove_dir_all(&folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io(folder)(error)),
            _ => Ok(()),
        }
    }

    /// Forgets what is older than `grace` and of no lease that `keep` knows.
    pub(crate) fn sweep(
        &self,
        grace: std::time::Duration,
        keep: impl Fn(Lease) -> Result<bool>,
    ) -> Result<u64> {
        let mut swept = 0;
        for entry in fs::read_dir(&self.folder).map_err(StoreError::io(&self.folder))? {
            let entry = entry.map_err(StoreError::io(&self.folder))?;
            let lease = entry.file_name().to_string_lossy().parse::<Lease>();
            let (Ok(lease), Ok(meta)) = (lease, entry.metadata()) else {
                continue;
            };
            if !young(&meta, grace) && !keep(lease)? {
                self.forget(lease)?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}

/// Segments one after another.
#[derive(Debug)]
pub struct Stream {
    paths: Vec<PathBuf>,
    open: Option<File>,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(file) = &mut self.open {
                let n = file.read(buffer)?;
                if n > 0 || buffer.is_empty() {
                    return Ok(n);
                }
            }
            match self.paths.pop() {
                Some(path) => self.open = Some(File::open(path)?),
                None => return Ok(0),
            }
        }
    }
}

fn hash_of(path: &Path) -> Result<Option<Digest>> {
    match fs::read(path) {
        Ok(bytes) => Ok(rows::digest(&Sha256::digest(&bytes))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io(path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(bytes: &[u8]) -> Digest {
        rows::digest(&Sha256::digest(bytes)).unwrap()
    }

    #[test]
    fn segments_are_immutable_and_the_manifest_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let staging = Staging::open(folder.path().join("staging"), 100).unwrap();
        let blobs = Blobs::open(folder.path().join("blobs")).unwrap();
        let (lease, stream) = (Lease([1; 16]), "events".parse::<Label>().unwrap());
        let put = |seq, bytes: &[u8]| staging.put(lease, &stream, seq, &digest(bytes), bytes).unwrap();
        assert_eq!(put(0, b"one"), Put::New);
        assert_eq!(put(0, b"one"), Put::Same);
        assert_eq!(put(0, b"two"), Put::Other);
        assert_eq!(
            staging.put(lease, &stream, 1, &digest(b"x"), b"y").unwrap(),
            Put::Damaged
        );
        assert_eq!(staging.next_seq(lease, &stream), 1);
        let segment = |seq, bytes: &[u8]| Segment {
            stream: stream.clone(),
            seq,
            digest: digest(bytes),
        };
        let manifest = [segment(0, b"one"), segment(1, b"two")];
        assert_eq!(staging.missing(lease, &manifest).unwrap(), ["events/1"]);
        assert_eq!(put(1, b"other"), Put::New);
        assert_eq!(staging.missing(lease, &manifest).unwrap(), ["events/1"]);
        assert_eq!(
            staging
                .missing(lease, &[segment(0, b"one"), segment(1, b"other")])
                .unwrap(),
            [""; 0]
        );
        assert_eq!(put(2, &[7; 100]), Put::OverQuota);
        let (sealed, size) = staging.seal(lease, &stream, &blobs).unwrap();
        assert_eq!(
            (size, blobs.read(&sealed, 100).unwrap()),
            (8, b"oneother".to_vec())
        );
        staging.forget(lease).unwrap();
        assert_eq!(staging.next_seq(lease, &stream), 0);
        staging.forget(lease).unwrap();
    }
}
