//! After unpacking: copies parts of the tree elsewhere, and takes parts of it away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::limits::Limits;
use crate::name::EntryPath;

/// Copies `part` of the tree at `root` to the absolute path `to`; files that are there are replaced.
pub(crate) fn graft(root: &Path, part: &str, to: &Path) -> Result<(), String> {
    let from = inside(root, part)?.ok_or_else(|| format!("cannot graft {part}: it is not there"))?;
    let failed = |e: io::Error| format!("cannot graft {part}: {e}");
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    copy(&from, to, Limits::default().depth).map_err(failed)
}

/// Takes `part` away from the tree at `root`. Nothing there is fine.
pub(crate) fn hide(root: &Path, part: &str) -> Result<(), String> {
    let Some(path) = inside(root, part)? else {
        return Ok(());
    };
    let removed = if path.is_dir() && !path.is_symlink() {
        fs::remove_dir_all(&path)
    } else {
        fs::remove_file(&path)
    };
    removed.map_err(|e| format!("cannot hide {part}: {e}"))
}

/// The path of a part of the tree, when it is there and no link leads to it.
fn inside(root: &Path, part: &str) -> Result<Option<PathBuf>, String> {
    let path = EntryPath::parse(part.as_bytes(), &Limits::default())
        .and_then(|path| path.ok_or_else(|| "it is the tree itself".to_owned()))
        .map_err(|why| format!("{part} is no part of the tree: {why}"))?;
    if path.parents().any(|parent| parent.under(root).is_symlink()) {
        return Err(format!("{part} lies behind a link"));
    }
    let path = path.under(root);
    Ok(path.symlink_metadata().is_ok().then_some(path))
}

/// Copies files and folders; of links, those that stay within what is copied.
fn copy(from: &Path, to: &Path, depth: usize) -> io::Result<()> {
    let kind = from.symlink_metadata()?.file_type();
    if kind.is_dir() {
        if depth == 0 {
            return Err(io::Error::other("folders too deep"));
        }
        fs::create_dir_all(to)?;
        for entry in fs::read_dir(from)? {
            let name = entry?.file_name();
            copy(&from.join(&name), &to.join(&name), depth - 1)?;
        }
    } else if kind.is_file() {
        if to.is_symlink() {
            fs::remove_file(to)?;
        }
        fs::copy(from, to)?;
    } else if kind.is_symlink() {
        // a plain name beside it: anything else may lead elsewhere from the new place
        let target = fs::read_link(from)?;
        if target.components().count() == 1 && target.file_name().is_some() && to.symlink_metadata().is_err()
        {
            std::os::unix::fs::symlink(target, to)?;
        }
    }
    Ok(())
}
