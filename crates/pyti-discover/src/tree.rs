//! A source tree, however it is kept.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Files that are listed at most.
const FILES: usize = 200_000;
/// Bytes of one file that are read at most; longer files are not read at all.
const FILE_BYTES: u64 = 2 << 20;
/// Folders in folders.
const DEPTH: usize = 64;

/// Whether a path is that of a Python source.
pub(crate) fn is_python(path: &str) -> bool {
    Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "py")
}

/// A source tree. Paths are relative to its root, with `/`.
pub trait Tree {
    /// All regular files, sorted.
    fn files(&self) -> &[String];
    /// The content of one; nothing when it is not there or too long.
    fn read(&self, path: &str) -> Option<Cow<'_, [u8]>>;

    /// The content as text, with invalid UTF-8 replaced.
    fn text(&self, path: &str) -> Option<String> {
        self.read(path).map(|bytes| {
            String::from_utf8_lossy(&bytes)
                .trim_start_matches('\u{feff}')
                .to_owned()
        })
    }

    /// Whether this file is there.
    fn has(&self, path: &str) -> bool {
        self.files()
            .binary_search_by(|file| file.as_str().cmp(path))
            .is_ok()
    }

    /// Whether anything lies below this folder.
    fn has_folder(&self, folder: &str) -> bool {
        let prefix = format!("{folder}/");
        let at = self
            .files()
            .partition_point(|file| file.as_str() < prefix.as_str());
        self.files().get(at).is_some_and(|file| file.starts_with(&prefix))
    }
}

/// A folder. Links are neither followed nor listed.
#[derive(Debug)]
pub struct FolderTree {
    root: PathBuf,
    files: Vec<String>,
}

impl FolderTree {
    /// Lists the files; what cannot be read or is beyond the caps is left out.
    pub fn new(root: &Path) -> Self {
        let mut files = Vec::new();
        walk(root, "", 0, &mut files);
        files.sort_unstable();
        Self {
            root: root.to_owned(),
            files,
        }
    }
}

fn walk(folder: &Path, prefix: &str, depth: usize, files: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (Ok(kind), Ok(name)) = (entry.file_type(), entry.file_name().into_string()) else {
            continue;
        };
        if files.len() >= FILES {
            return;
        }
        if kind.is_dir() && depth < DEPTH {
            walk(&entry.path(), &format!("{prefix}{name}/"), depth + 1, files);
        } else if kind.is_file() {
            files.push(format!("{prefix}{name}"));
        }
    }
}

impl Tree for FolderTree {
    fn files(&self) -> &[String] {
        &self.files
    }

    fn read(&self, path: &str) -> Option<Cow<'_, [u8]>> {
        if !self.has(path) {
            return None;
        }
        let mut bytes = Vec::new();
        File::open(self.root.join(path))
            .ok()?
            .take(FILE_BYTES + 1)
            .read_to_end(&mut bytes)
            .ok()?;
        (bytes.len() as u64 <= FILE_BYTES).then_some(Cow::Owned(bytes))
    }
}

/// A tree in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    names: Vec<String>,
    content: BTreeMap<String, Vec<u8>>,
}

impl MemoryTree {
    /// Files and their content.
    pub fn new<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let content: BTreeMap<String, Vec<u8>> = files
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()))
            .collect();
        Self {
            names: content.keys().cloned().collect(),
            content,
        }
    }
}

impl Tree for MemoryTree {
    fn files(&self) -> &[String] {
        &self.names
    }

    fn read(&self, path: &str) -> Option<Cow<'_, [u8]>> {
        self.content
            .get(path)
            .map(|bytes| Cow::Borrowed(bytes.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_not_followed_and_files_are() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("a")).unwrap();
        fs::write(folder.path().join("a/b.py"), "x").unwrap();
        std::os::unix::fs::symlink("/etc/hostname", folder.path().join("out")).unwrap();
        let tree = FolderTree::new(folder.path());
        assert_eq!(tree.files(), ["a/b.py"]);
        assert_eq!(tree.read("out"), None);
        assert_eq!(tree.text("a/b.py").as_deref(), Some("x"));
        assert!(tree.has_folder("a") && !tree.has_folder("b"));
    }
}
