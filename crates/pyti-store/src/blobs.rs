//! Bytes on disk under the name of their content. What has a name is whole: written beside, synced, then renamed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use pyti_model::Digest;
use sha2::{Digest as _, Sha256};

use crate::error::{Result, StoreError};
use crate::rows;

/// A folder of blobs.
#[derive(Debug)]
pub struct Blobs {
    folder: PathBuf,
    /// Shared while a blob is put, alone while one is deleted, so that none is deleted between "it is there" and its row.
    deleting: RwLock<()>,
}

impl Blobs {
    pub(crate) fn open(folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder).map_err(StoreError::io(&folder))?;
        Ok(Self {
            folder,
            deleting: RwLock::new(()),
        })
    }

    /// Where a blob is.
    pub(crate) fn path(&self, digest: &Digest) -> PathBuf {
        let (head, tail) = digest.as_str().split_at(2);
        self.folder.join(head).join(tail)
    }

    /// Stores bytes; they are durable when this returns.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        self.put_from(&mut &*bytes).map(|(digest, _)| digest)
    }

    /// Stores what a reader gives, to its end; digest and size in bytes. The caller bounds the reader.
    pub fn put_from(&self, from: &mut dyn Read) -> Result<(Digest, u64)> {
        let mut temporary = tempfile::Builder::new()
            .prefix(".new-")
            .tempfile_in(&self.folder)
            .map_err(StoreError::io(&self.folder))?;
        let mut hash = Sha256::new();
        let mut size = 0;
        let mut buffer = vec![0; 64 << 10];
        loop {
            let n = match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => n,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(StoreError::io(&self.folder)(error)),
            };
            hash.update(&buffer[..n]);
            size += n as u64;
            temporary
                .write_all(&buffer[..n])
                .map_err(StoreError::io(&self.folder))?;
        }
        let digest = rows::digest(&hash.finalize()).ok_or(StoreError::Invalid("a digest"))?;
        let path = self.path(&digest);
        let folder = path.parent().unwrap_or(&self.folder);
        let _shared = self.deleting.read().unwrap_or_else(PoisonError::into_inner);
        if path.exists() {
            // young again, so that nobody takes it for rubbish
            let file = File::open(&path).map_err(StoreError::io(&path))?;
            file.set_modified(SystemTime::now())
                .map_err(StoreError::io(&path))?;
        } else {
            temporary
                .as_file()
                .sync_all()
                .map_err(StoreError::io(&self.folder))?;
            if !folder.exists() {
                fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
                sync_folder(&self.folder)?;
            }
            temporary
                .persist(&path)
                .map_err(|error| StoreError::io(&path)(error.error))?;
        }
        sync_folder(folder)?;
        Ok((digest, size))
    }

    /// Whether it is there.
    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Reads a blob, at most `most` bytes of it; the last read fails if it is not what its name says.
    pub fn open_blob(&self, digest: &Digest) -> Result<Checked> {
        let path = self.path(digest);
        match File::open(&path) {
            Ok(file) => Ok(Checked {
                size: file.metadata().map_err(StoreError::io(&path))?.len(),
                file,
                hash: Some(Sha256::new()),
                wanted: digest.clone(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(StoreError::NoBlob(digest.to_string()))
            }
            Err(error) => Err(StoreError::io(path)(error)),
        }
    }

    /// The whole blob in memory, checked.
    pub fn read(&self, digest: &Digest, most: u64) -> Result<Vec<u8>> {
        let mut checked = self.open_blob(digest)?;
        if checked.size > most {
            return Err(StoreError::Invalid("a blob bigger than asked for"));
        }
        let mut bytes = Vec::new();
        checked.read_to_end(&mut bytes).map_err(|error| {
            if error.kind() == io::ErrorKind::InvalidData {
                StoreError::CorruptBlob(digest.to_string())
            } else {
                StoreError::io(self.path(digest))(error)
            }
        })?;
        Ok(bytes)
    }

    /// Deletes a blob, unless it was put within `grace`. Whether it is gone.
    pub(crate) fn delete(&self, digest: &Digest, grace: Duration) -> Result<bool> {
        let path = self.path(digest);
        let _alone = self.deleting.write().unwrap_or_else(PoisonError::into_inner);
        match fs::metadata(&path) {
            Ok(meta) if young(&meta, grace) => Ok(false),
            Ok(_) => {
                fs::remove_file(&path).map_err(StoreError::io(&path))?;
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(StoreError::io(path)(error)),
        }
    }

    /// Every blob there; half-written ones that are older than `grace` are deleted on the way.
    pub(crate) fn each(
        &self,
        grace: Duration,
        mut see: impl FnMut(Digest, &fs::Metadata) -> Result<()>,
    ) -> Result<()> {
        for entry in read_dir(&self.folder)? {
            let path = entry.path();
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with(".new-") {
                if entry.metadata().is_ok_and(|meta| !young(&meta, grace)) {
                    fs::remove_file(&path).map_err(StoreError::io(&path))?;
                }
                continue;
            }
            for file in read_dir(&path)? {
                let digest = format!("{name}{}", file.file_name().to_string_lossy());
                if let (Ok(digest), Ok(meta)) = (digest.parse(), file.metadata()) {
                    see(digest, &meta)?;
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn young(meta: &fs::Metadata, grace: Duration) -> bool {
    meta.modified()
        .ok()
        .and_then(|at| at.elapsed().ok())
        .is_none_or(|age| age < grace)
}

fn read_dir(folder: &Path) -> Result<Vec<fs::DirEntry>> {
    let entries = fs::read_dir(folder).map_err(StoreError::io(folder))?;
    entries.collect::<io::Result<_>>().map_err(StoreError::io(folder))
}

/// Makes names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> Result<()> {
    let opened = File::open(folder).map_err(StoreError::io(folder))?;
    opened.sync_all().map_err(StoreError::io(folder))
}

/// A blob being read.
#[derive(Debug)]
pub struct Checked {
    file: File,
    size: u64,
    hash: Option<Sha256>,
    wanted: Digest,
}

impl Checked {
    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        if n > 0 {
            if let Some(hash) = &mut self.hash {
                hash.update(&buffer[..n]);
            }
        } else if !buffer.is_empty()
            && let Some(hash) = self.hash.take()
            && rows::digest(&hash.finalize()).as_ref() != Some(&self.wanted)
        {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("blob {} is not as it was written", self.wanted),
            ));
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_comes_back_and_a_flipped_bit_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("blobs")).unwrap();
        let digest = blobs.put(b"some bytes").unwrap();
        assert_eq!(blobs.put(b"some bytes").unwrap(), digest);
        assert_eq!(blobs.read(&digest, 100).unwrap(), b"some bytes");
        assert!(matches!(blobs.read(&digest, 9), Err(StoreError::Invalid(_))));
        fs::write(blobs.path(&digest), b"some bytez").unwrap();
        assert!(matches!(
            blobs.read(&digest, 100),
            Err(StoreError::CorruptBlob(_))
        ));
        let other: Digest = "00".repeat(32).parse().unwrap();
        assert!(matches!(blobs.read(&other, 100), Err(StoreError::NoBlob(_))));
    }

    #[test]
    fn a_young_blob_is_spared_and_an_old_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path().join("blobs")).unwrap();
        let digest = blobs.put(b"x").unwrap();
        assert!(!blobs.delete(&digest, Duration::from_mins(1)).unwrap());
        assert!(blobs.has(&digest));
        assert!(blobs.delete(&digest, Duration::ZERO).unwrap());
        assert!(!blobs.has(&digest));
    }
}
