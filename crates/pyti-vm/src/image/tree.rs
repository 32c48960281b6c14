//! The digest of a folder: what is in it, whoever owns it and wherever it lies.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use pyti_model::Digest;
use sha2::{Digest as _, Sha256};

/// Hashes names, kinds, permissions, times of change, links and contents, in the order of names. Devices and sockets are
/// left out: an image has none that counts.
pub fn digest(folder: &Path) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    walk(folder, Path::new(""), &mut hash)?;
    Ok(<[u8; 32]>::from(hash.finalize()).into())
}

/// Digest of one file.
pub fn file(path: &Path) -> io::Result<Digest> {
    let mut hash = Sha256::new();
    content(path, &mut hash)?;
    Ok(<[u8; 32]>::from(hash.finalize()).into())
}

fn walk(root: &Path, below: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(root.join(below))?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = below.join(entry.file_name());
        let metadata = entry.metadata()?;
        let kind = metadata.file_type();
        let letter = if kind.is_dir() {
            b'd'
        } else if kind.is_file() {
            b'f'
        } else if kind.is_symlink() {
            b'l'
        } else {
            continue;
        };
        field(hash, path.as_os_str().as_bytes());
        field(hash, &[letter]);
        if !kind.is_symlink() {
            field(hash, &metadata.permissions().mode().to_le_bytes());
        }
        if kind.is_file() {
            field(hash, &metadata.mtime().to_le_bytes());
            field(hash, &metadata.len().to_le_bytes());
            content(&entry.path(), hash)?;
        } else if kind.is_symlink() {
            field(hash, fs::read_link(entry.path())?.as_os_str().as_bytes());
        } else {
            walk(root, &path, hash)?;
        }
    }
    Ok(())
}

/// The length first, so that no two lists of fields give the same bytes.
fn field(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

fn content(path: &Path, hash: &mut Sha256) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut part = vec![0; 256 << 10];
    loop {
        match file.read(&mut part)? {
            0 => return Ok(()),
            read => hash.update(&part[..read]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_change_shows() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "x").unwrap();
        symlink("d/f", root.join("l")).unwrap();
        let first = digest(root).unwrap();
        assert_eq!(first, digest(root).unwrap());
        fs::set_permissions(root.join("d/f"), fs::Permissions::from_mode(0o755)).unwrap();
        let second = digest(root).unwrap();
        assert_ne!(first, second);
        fs::remove_file(root.join("l")).unwrap();
        symlink("d/g", root.join("l")).unwrap();
        let third = digest(root).unwrap();
        assert_ne!(second, third);
        fs::rename(root.join("d"), root.join("e")).unwrap();
        assert_ne!(third, digest(root).unwrap());
    }
}
