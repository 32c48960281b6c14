//! Reads a layer: which paths were added, changed and deleted.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use pyti_model::effect::{Change, Changed, Entry};
use pyti_model::foreign::Foreign;

use crate::layer::{is_opaque, is_whiteout};

/// Most changes that are listed one by one.
const CAP: usize = 50_000;

/// Changes of one layer over those below it, by path, and how many are not listed.
pub(crate) fn changes(upper: &Path, lowers: &[PathBuf]) -> io::Result<(Vec<Change>, u64)> {
    let mut walk = Walk {
        lowers,
        list: Vec::new(),
        dropped: 0,
    };
    walk.folder(upper, Path::new(""), false)?;
    walk.list.sort_by(|a, b| a.path.cmp(&b.path));
    Ok((walk.list, walk.dropped))
}

struct Walk<'a> {
    lowers: &'a [PathBuf],
    list: Vec<Change>,
    dropped: u64,
}

impl Walk<'_> {
    /// `fresh`: nothing below counts, because a folder above is new or opaque.
    fn folder(&mut self, upper: &Path, relative: &Path, fresh: bool) -> io::Result<()> {
        for entry in fs::read_dir(upper.join(relative))? {
            let entry = entry?;
            let path = relative.join(entry.file_name());
            let metadata = entry.metadata()?;
            let below = if fresh { None } else { self.below(&path) };
            if is_whiteout(&metadata) {
                // a file that was made and deleted by the same command leaves a mark only where one was before
                if below.is_some() {
                    self.add(&path, Changed::Deleted, None, None);
                }
                continue;
            }
            let what = match &below {
                None => Some(Changed::Added),
                Some(before) if metadata.is_dir() && before.is_dir() => {
                    (before.mode() & 0o7777 != metadata.mode() & 0o7777).then_some(Changed::Modified)
                }
                Some(_) => Some(Changed::Modified),
            };
            if let Some(what) = what {
                self.add(
                    &path,
                    what,
                    Some(entry_of(&entry.path(), &metadata)),
                    Some(&metadata),
                );
            }
            if metadata.is_dir() {
                let hides = is_opaque(&entry.path());
                if hides && below.is_some() {
                    self.deleted_in(&path, upper);
                }
                let fresh = fresh || hides || !below.is_some_and(|b| b.is_dir());
                self.folder(upper, &path, fresh)?;
            }
        }
        Ok(())
    }

    /// What was at this path before, through all layers below.
    fn below(&self, path: &Path) -> Option<fs::Metadata> {
        for lower in self.lowers {
            let mut hidden = false;
            let mut there = lower.clone();
            for part in path.parent().into_iter().flat_map(Path::components) {
                there.push(part);
                match fs::symlink_metadata(&there) {
                    Ok(metadata) if is_whiteout(&metadata) || !metadata.is_dir() => return None,
                    Ok(_) => hidden |= is_opaque(&there),
                    Err(_) => break,
                }
            }
            match fs::symlink_metadata(lower.join(path)) {
                Ok(metadata) if is_whiteout(&metadata) => return None,
                Ok(metadata) => return Some(metadata),
                Err(_) if hidden => return None,
                Err(_) => {}
            }
        }
        None
    }

    /// What an opaque folder hides and does not have itself.
    fn deleted_in(&mut self, path: &Path, upper: &Path) {
        let mut names = std::collections::BTreeSet::new();
        for lower in self.lowers {
            for entry in fs::read_dir(lower.join(path)).into_iter().flatten().flatten() {
                names.insert(entry.file_name());
            }
        }
        for name in names {
            let path = path.join(name);
            if fs::symlink_metadata(upper.join(&path)).is_err() && self.below(&path).is_some() {
                self.add(&path, Changed::Deleted, None, None);
            }
        }
    }

    fn add(&mut self, path: &Path, what: Changed, entry: Option<Entry>, metadata: Option<&fs::Metadata>) {
        if self.list.len() >= CAP {
            self.dropped += 1;
            return;
        }
        let mut absolute = b"/".to_vec();
        absolute.extend_from_slice(path.as_os_str().as_bytes());
        self.list.push(Change {
            path: Foreign::new(absolute),
            what,
            size: metadata.filter(|m| m.is_file()).map(MetadataExt::size),
            mode: metadata.map(|m| m.mode() & 0o7777),
            entry,
        });
    }
}

fn entry_of(path: &Path, metadata: &fs::Metadata) -> Entry {
    if metadata.is_dir() {
        Entry::Folder
    } else if metadata.is_file() {
        Entry::File
    } else if metadata.is_symlink() {
        let target = fs::read_link(path)
            .map(|t| t.as_os_str().as_bytes().to_vec())
            .unwrap_or_default();
        Entry::Link(Foreign::new(target))
    } else {
        Entry::Special
    }
}
