//! What an image is. Pure.

use std::collections::BTreeMap;

use pyti_model::Digest;
use pyti_model::plan::Interpreter;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Version of the manifest's form.
pub const MANIFEST_FORM: u32 = 1;

/// What an image is made of. Two images with the same manifest are the same, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`MANIFEST_FORM`] of who wrote it.
    pub form: u32,
    /// `debian`, `ubuntu`.
    pub distribution: String,
    /// `bookworm`, `trixie`.
    pub release: String,
    /// As Debian writes it: `amd64`.
    pub architecture: String,
    /// What was asked for besides an interpreter: names of services or packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub with: Vec<String>,
    /// Packages and their versions.
    pub packages: BTreeMap<String, String>,
    /// The interpreters in it, in paths of the image.
    pub interpreters: Vec<Interpreter>,
    /// Digest of the folder's files: names, kinds, permissions, contents.
    pub tree: Digest,
    /// Digest of the disk.
    pub disk: Digest,
    /// Bytes of the disk.
    pub disk_bytes: u64,
    /// The kernel for guests.
    pub kernel: Kernel,
}

/// A kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kernel {
    /// Its release: `6.12.117+deb13-cloud-amd64`.
    pub release: String,
    /// Digest of the file that QEMU starts.
    pub image: Digest,
    /// Modules, in the order of loading, with their digests.
    pub modules: Vec<(String, Digest)>,
}

impl Manifest {
    /// The bytes that are written and hashed.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The image's digest.
    pub fn digest(&self) -> Digest {
        digest(&self.bytes())
    }

    /// Reads one; a newer form is refused with a sentence.
    pub fn read(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            form: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        if head.form > MANIFEST_FORM {
            return Err(format!(
                "it has the form {}, this PyTI reads up to {MANIFEST_FORM}",
                head.form
            ));
        }
        serde_json::from_slice(bytes).map_err(|e| e.to_string())
    }

    /// The kernel's major and minor version.
    pub fn kernel_version(&self) -> (u32, u32) {
        let mut parts = self
            .kernel
            .release
            .split(['.', '-', '+'])
            .map_while(|p| p.parse().ok());
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// Digest of bytes.
pub(crate) fn digest(bytes: &[u8]) -> Digest {
    <[u8; 32]>::from(Sha256::digest(bytes)).into()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn manifest() -> Manifest {
        Manifest {
            form: MANIFEST_FORM,
            distribution: "debian".to_owned(),
            release: "trixie".to_owned(),
            architecture: "amd64".to_owned(),
            with: Vec::new(),
            packages: [("python3".to_owned(), "3.13.5-1".to_owned())].into(),
            interpreters: vec![Interpreter {
                implementation: "cpython".to_owned(),
                version: "3.13.5".to_owned(),
                free_threaded: false,
                executable: "/usr/bin/python3.13".to_owned(),
                prefix: "/usr".to_owned(),
                platform: "linux_x86_64".to_owned(),
                has_headers: true,
                image: None,
            }],
            tree: digest(b"tree"),
            disk: digest(b"disk"),
            disk_bytes: 4,
            kernel: Kernel {
                release: "6.12.117+deb13-cloud-amd64".to_owned(),
                image: digest(b"kernel"),
                modules: vec![("erofs".to_owned(), digest(b"module"))],
            },
        }
    }

    #[test]
    fn a_manifest_is_read_as_it_was_written_and_names_its_image() {
        let manifest = manifest();
        assert_eq!(Manifest::read(&manifest.bytes()).unwrap(), manifest);
        let mut other = manifest.clone();
        other.disk_bytes += 1;
        assert_ne!(manifest.digest(), other.digest());
        assert_eq!(manifest.kernel_version(), (6, 12));
    }

    #[test]
    fn a_newer_form_is_refused() {
        let mut newer = manifest();
        newer.form = MANIFEST_FORM + 1;
        assert!(Manifest::read(&newer.bytes()).unwrap_err().contains("form"));
        assert!(Manifest::read(b"{}").is_err());
    }
}
