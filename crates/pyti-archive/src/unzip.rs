//! A zip archive becomes a tree.

use std::fs::File;
use std::io::Read as _;

use crate::limits::Limits;
use crate::tree::{Fatal, NewFile, Tree};
use crate::zipfile::{Kind, Zip};

/// Reads a whole zip archive into `tree`. Times are not kept: zip knows no time zone.
pub(crate) fn read(file: File, tree: &mut Tree<'_>, limits: &Limits) -> Result<(), Fatal> {
    let zip = Zip::open(file, limits).map_err(Fatal)?;
    if zip.entries.is_empty() {
        return Err(Fatal("the archive is empty".into()));
    }
    for odd in &zip.odd {
        tree.refuse(b"", odd.as_str());
    }
    for entry in &zip.entries {
        tree.count()?;
        if let Some(why) = &entry.wrong {
            tree.refuse(&entry.name, why.as_str());
            continue;
        }
        match entry.kind {
            Kind::Folder => tree.folder(&entry.name)?,
            Kind::Special => tree.refuse(&entry.name, "a device or a named pipe"),
            Kind::Link | Kind::File => {
                let mut content = match zip.content(entry) {
                    Ok(content) => content,
                    Err(error) => {
                        tree.refuse(&entry.name, error.to_string());
                        continue;
                    }
                };
                if entry.kind == Kind::File {
                    let new = NewFile {
                        size: entry.size,
                        executable: entry.executable,
                        modified: None,
                    };
                    tree.file(&entry.name, &new, &mut content)?;
                    // the checksum is looked at where the content ends
                    if let Err(error) = content.read(&mut [0]) {
                        let shown = pyti_model::Foreign::new(entry.name.as_slice()).visible();
                        return Err(Fatal(format!("{shown} cannot be read: {error}")));
                    }
                } else {
                    let mut target = Vec::new();
                    match content
                        .take(limits.name_bytes as u64 + 1)
                        .read_to_end(&mut target)
                    {
                        Ok(_) => tree.link(&entry.name, &target)?,
                        Err(error) => tree.refuse(&entry.name, error.to_string()),
                    }
                }
            }
        }
    }
    Ok(())
}
