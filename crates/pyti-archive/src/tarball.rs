//! tar, entry by entry.
//!
//! Entries are read raw and extended headers are interpreted here: so each has a size cap, and an archive that
//! two readers would cut differently (a pax `size` beside another size in the header) is refused.

use std::io::Read;

use tar::{Archive, EntryType, PaxExtensions};

use crate::limits::Limits;
use crate::tree::{Fatal, NewFile, Tree};

/// Bytes after the end of the archive that are looked at.
const TRAILING: u64 = 1 << 20;

/// What extended headers say about the entry that follows them.
#[derive(Debug, Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    modified: Option<u64>,
    sparse: bool,
}

impl Extended {
    /// Takes the records of a pax header.
    fn take_pax(&mut self, records: &[u8]) -> Result<(), Fatal> {
        for record in PaxExtensions::new(records) {
            let record = record.map_err(|e| Fatal(format!("an extended header cannot be read: {e}")))?;
            let (key, value) = (record.key_bytes(), record.value_bytes());
            let number = || {
                std::str::from_utf8(value)
                    .ok()
                    .and_then(|text| text.split('.').next()?.parse().ok())
            };
            match key {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"mtime" => self.modified = number(),
                b"size" => {
                    let size = number().ok_or_else(|| Fatal("an extended header holds no size".into()))?;
                    self.size = Some(size);
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Reads a whole tar stream into `tree`.
pub(crate) fn read(stream: Box<dyn Read>, tree: &mut Tree<'_>, limits: &Limits) -> Result<(), Fatal> {
    let broken = |e: std::io::Error| Fatal(format!("the archive cannot be read: {e}"));
    let mut archive = Archive::new(stream);
    let mut extended = Extended::default();
    let mut any = false;
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        any = true;
        tree.count()?;
        let kind = entry.header().entry_type();
        if matches!(
            kind,
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader | EntryType::XGlobalHeader
        ) {
            let size = entry.header().entry_size().map_err(broken)?;
            if size > limits.header_bytes {
                return Err(Fatal(format!(
                    "an extended header of {size} bytes, more than {}",
                    limits.header_bytes
                )));
            }
            let mut content = Vec::new();
            entry.read_to_end(&mut content).map_err(broken)?;
            if content.len() as u64 != size {
                return Err(Fatal("the archive ends within an extended header".into()));
            }
            let text = content.strip_suffix(b"\0").unwrap_or(&content);
            match kind {
                EntryType::GNULongName => extended.name = Some(text.to_vec()),
                EntryType::GNULongLink => extended.link = Some(text.to_vec()),
                EntryType::XHeader => extended.take_pax(&content)?,
                _ => {} // global records: git's commit id; names and sizes have no business there
            }
            continue;
        }
        one(&mut entry, std::mem::take(&mut extended), tree)?;
    }
    if !any {
        return Err(Fatal("the archive is empty".into()));
    }
    trailing(archive.into_inner(), tree);
    Ok(())
}

/// Reads one entry that is no header.
fn one(
    entry: &mut tar::Entry<'_, Box<dyn Read>>,
    extended: Extended,
    tree: &mut Tree<'_>,
) -> Result<(), Fatal> {
    let name = extended.name.unwrap_or_else(|| entry.path_bytes().into_owned());
    let link = extended
        .link
        .or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned))
        .unwrap_or_default();
    let header = entry.header();
    let size = header
        .entry_size()
        .map_err(|e| Fatal(format!("a header holds no size: {e}")))?;
    if extended.size.is_some_and(|other| other != size) {
        let shown = pyti_model::Foreign::new(name).visible();
        return Err(Fatal(format!(
            "the archive lies about the size of {shown}: {size} bytes, and another size"
        )));
    }
    if extended.sparse {
        tree.refuse(&name, "a sparse file");
        return Ok(());
    }
    match header.entry_type() {
        // before POSIX, a folder was a file whose name ends in a slash
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") && size == 0 => tree.folder(&name),
        EntryType::Regular | EntryType::Continuous => {
            let new = NewFile {
                size,
                executable: header.mode().is_ok_and(|mode| mode & 0o111 != 0),
                modified: extended.modified.or_else(|| header.mtime().ok()),
            };
            tree.file(&name, &new, entry)
        }
        EntryType::Directory => tree.folder(&name),
        EntryType::Symlink => tree.link(&name, &link),
        EntryType::Link => tree.hard_link(&name, &link),
        EntryType::GNUSparse => Err(Fatal(
            "it holds sparse files of the old GNU form, which are not read".into(),
        )),
        other => {
            tree.refuse(
                &name,
                match other {
                    EntryType::Char | EntryType::Block => "a device".to_owned(),
                    EntryType::Fifo => "a named pipe".to_owned(),
                    other => format!("an entry of the unknown kind {:?}", char::from(other.as_byte())),
                },
            );
            Ok(())
        }
    }
}

/// Looks at what comes after the end: padding is zeros.
fn trailing(rest: Box<dyn Read>, tree: &mut Tree<'_>) {
    let mut bytes = Vec::new();
    let ended = rest.take(TRAILING).read_to_end(&mut bytes);
    if ended.is_err() || bytes.iter().any(|b| *b != 0) {
        tree.refuse(b"", "something that is no padding follows the end of the archive");
    }
}
