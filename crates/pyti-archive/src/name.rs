//! Names of entries, parsed into paths that cannot leave the folder that they are joined to.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use crate::limits::Limits;

/// A relative path without `.`, `..`, empty components or NUL. Components are bytes: names need not be UTF-8.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct EntryPath(Vec<Vec<u8>>);

impl EntryPath {
    /// Parses the name of an entry. `Ok(None)` is the root itself (`./`).
    pub(crate) fn parse(name: &[u8], limits: &Limits) -> Result<Option<Self>, String> {
        if name.is_empty() {
            return Err("it has no name".into());
        }
        if name.len() > limits.name_bytes {
            return Err(format!(
                "its name has {} bytes, more than {}",
                name.len(),
                limits.name_bytes
            ));
        }
        if name.contains(&0) {
            return Err("its name holds a NUL".into());
        }
        if name.starts_with(b"/") {
            return Err("its path is absolute".into());
        }
        let mut components = Vec::new();
        for component in name.split(|b| *b == b'/') {
            match component {
                b"" | b"." => {}
                b".." => return Err("its path climbs out with `..`".into()),
                long if long.len() > limits.component_bytes => {
                    return Err(format!(
                        "a part of its name has {} bytes, more than {}",
                        long.len(),
                        limits.component_bytes
                    ));
                }
                plain => components.push(plain.to_vec()),
            }
        }
        if components.len() > limits.depth {
            return Err(format!(
                "it lies {} folders deep, more than {}",
                components.len(),
                limits.depth
            ));
        }
        Ok((!components.is_empty()).then_some(Self(components)))
    }

    /// Its components, from the top.
    pub(crate) fn components(&self) -> &[Vec<u8>] {
        &self.0
    }

    /// The first component.
    pub(crate) fn top(&self) -> &[u8] {
        &self.0[0]
    }

    /// Every folder above it, from the top.
    pub(crate) fn parents(&self) -> impl Iterator<Item = Self> + '_ {
        (1..self.0.len()).map(|n| Self(self.0[..n].to_vec()))
    }

    /// One path from its components, for looking up.
    pub(crate) fn from_components(components: &[Vec<u8>]) -> Self {
        Self(components.to_vec())
    }

    /// As text, with `/` between the components.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.join(&b'/')
    }

    /// The same with letters folded, as a file system that ignores case would see it.
    pub(crate) fn folded(&self) -> Vec<u8> {
        match String::from_utf8(self.bytes()) {
            Ok(text) => text.to_lowercase().into_bytes(),
            Err(bytes) => bytes.into_bytes().to_ascii_lowercase(),
        }
    }

    /// The path below `root`.
    pub(crate) fn under(&self, root: &Path) -> PathBuf {
        let mut path = root.to_owned();
        path.extend(self.0.iter().map(|c| OsStr::from_bytes(c)));
        path
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &[u8]) -> Result<Option<EntryPath>, String> {
        EntryPath::parse(name, &Limits::default())
    }

    #[test]
    fn denied_what_leaves_or_cannot_be_a_name() {
        let long = [b'a'; 256];
        let deep = b"a/".repeat(65);
        for bad in [
            &b""[..],
            b"/etc/passwd",
            b"../x",
            b"a/../../x",
            b"a/..",
            b"..",
            b"a\0b",
            &long,
            &deep,
        ] {
            assert!(parse(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }

    #[test]
    fn allowed_plain_and_odd_names() {
        for (name, path) in [
            (&b"a/b.py"[..], &b"a/b.py"[..]),
            (b"./a//b/", b"a/b"),
            (b"...", b"..."),
            (b"..a/b..", b"..a/b.."),
            (b"\xff\xfe.py", b"\xff\xfe.py"),
            (b"a\\..\\b", b"a\\..\\b"),
        ] {
            assert_eq!(parse(name).unwrap().unwrap().bytes(), path);
        }
        assert_eq!(parse(b"./").unwrap(), None);
    }
}
