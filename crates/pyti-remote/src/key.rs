//! A worker's key: made here, kept here, readable by its owner only.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use pyti_command::trust::{PublicKey, Signature};
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, KeyPair as _};

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("cannot use the key {0}")]
    File(PathBuf, #[source] io::Error),
    /// Others may read it.
    #[error("the key {path} can be read by others (mode {mode:04o})")]
    Open {
        /// Where it is.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is no key.
    #[error("{0} is no key of a worker")]
    NotOne(PathBuf),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes for a key")]
    Random,
}

/// An ed25519 key.
pub struct Key(Ed25519KeyPair);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.public())
    }
}

impl Key {
    /// Reads the key in this file, or makes one there.
    pub fn at(path: &Path) -> Result<Self, KeyError> {
        match File::open(path) {
            Ok(file) => Self::read(path, file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(KeyError::File(path.to_owned(), error)),
        }
    }

    fn read(path: &Path, file: File) -> Result<Self, KeyError> {
        let wrong = |error| KeyError::File(path.to_owned(), error);
        let mode = file.metadata().map_err(wrong)?.mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(KeyError::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let mut bytes = Vec::new();
        file.take(4096).read_to_end(&mut bytes).map_err(wrong)?;
        Ed25519KeyPair::from_pkcs8(&bytes)
            .map(Self)
            .map_err(|_| KeyError::NotOne(path.to_owned()))
    }

    fn make(path: &Path) -> Result<Self, KeyError> {
        let made = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| KeyError::Random)?;
        let beside = path.with_extension("new");
        let written = || -> io::Result<()> {
            // what an earlier start left half-written is no key of anybody
            let _ = fs::remove_file(&beside);
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(made.as_ref())?;
            file.sync_all()?;
            fs::rename(&beside, path)?;
            if let Some(folder) = path.parent() {
                File::open(folder)?.sync_all()?;
            }
            Ok(())
        };
        written().map_err(|error| KeyError::File(path.to_owned(), error))?;
        Ed25519KeyPair::from_pkcs8(made.as_ref())
            .map(Self)
            .map_err(|_| KeyError::NotOne(path.to_owned()))
    }

    /// The half that everybody may know.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(bytes)
    }

    /// Signs.
    pub fn sign(&self, text: &[u8]) -> Signature {
        let mut bytes = [0; 64];
        bytes.copy_from_slice(self.0.sign(text).as_ref());
        Signature(bytes)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let first = Key::at(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let again = Key::at(&path).unwrap();
        assert_eq!(first.public(), again.public());
        let signature = again.sign(b"text");
        let public = ring::signature::UnparsedPublicKey::new(&ring::signature::ED25519, first.public().0);
        assert!(public.verify(b"text", &signature.0).is_ok());
        assert!(public.verify(b"other", &signature.0).is_err());
    }

    #[test]
    fn a_key_that_others_read_and_what_is_no_key_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        Key::at(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Key::at(&path), Err(KeyError::Open { mode: 0o640, .. })));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(Key::at(&path).is_ok());
        let other = folder.path().join("other");
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&other)
            .unwrap();
        assert!(matches!(Key::at(&other), Err(KeyError::NotOne(_))));
    }
}
