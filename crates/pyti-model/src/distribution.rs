//! Distributions: the files that an index serves.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of file a distribution is. Eggs, installers and rpm files are not looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A built distribution, PEP 427.
    Wheel,
    /// A source distribution, PEP 517 and PEP 625 (and the older archives that came before).
    Sdist,
    /// A folder with a project in it, on the machine of who asked; it is packed and treated like an sdist.
    Folder,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wheel => "wheel",
            Self::Sdist => "sdist",
            Self::Folder => "folder",
        })
    }
}

/// A SHA-256 digest, 64 lower-case hexadecimal digits. It names a blob in every store.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Digest(String);

/// Text that is no SHA-256 digest.
#[derive(Debug, thiserror::Error)]
#[error("not a SHA-256 digest: expected 64 hexadecimal digits, got {0} characters")]
pub struct NotADigest(usize);

impl Digest {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The digest that a hash function gave.
    ///
    /// ```
    /// assert_eq!(pyti_model::Digest::from([0xab; 32]).short(), "abababababab");
    /// ```
    fn from_bytes(bytes: [u8; 32]) -> Self {
        use fmt::Write as _;
        Self(bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
            // writing to a String cannot fail
            let _ = write!(text, "{byte:02x}");
            text
        }))
    }

    /// The first 12 digits, enough for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self::from_bytes(bytes)
    }
}

impl FromStr for Digest {
    type Err = NotADigest;

    fn from_str(text: &str) -> Result<Self, NotADigest> {
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(NotADigest(text.len()))
        }
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a text from outside can be used as the name of a file: no separator, no control character, not hidden, and
/// short enough for every file system.
///
/// ```
/// use pyti_model::distribution::is_plain_file_name;
/// assert!(is_plain_file_name("six-1.17.0-py2.py3-none-any.whl"));
/// assert!(!is_plain_file_name("../six.whl"));
/// assert!(!is_plain_file_name(".whl"));
/// ```
pub fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 240
        && !name.starts_with('.')
        && !name.chars().any(|c| c == '/' || c == '\\' || c.is_control())
}

/// One file of one release, as the worker chose and verified it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Distribution {
    /// Project name, normalised by PEP 503: `python-dateutil`.
    pub project: String,
    /// Version, normalised by PEP 440.
    pub version: String,
    /// The file's name as the index gave it; it was parsed, so it holds no separator and no control character.
    pub filename: String,
    /// Wheel, sdist or folder.
    pub kind: FileKind,
    /// Digest of the file's bytes; they were checked against it before use.
    pub sha256: Digest,
    /// Size in bytes.
    pub size: u64,
    /// Why it was yanked (PEP 592); an empty text when no reason was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yanked: Option<String>,
    /// When it was uploaded, RFC 3339, where the index says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploaded: Option<String>,
    /// The index that served it, without credentials.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_parsed_not_assumed() {
        let good = "A".repeat(64);
        assert_eq!(good.parse::<Digest>().unwrap().as_str(), "a".repeat(64));
        for bad in ["", "abc", &"g".repeat(64), &"a".repeat(65)] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<Digest>("\"../../etc\"").is_err());
    }
}
