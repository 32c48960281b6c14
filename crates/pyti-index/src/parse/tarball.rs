//! Source distributions: the metadata at their top.

use std::fs::File;
use std::io::{Read, Seek};

use flate2::read::MultiGzDecoder;

use super::Reply;
use super::zipped::{self, Want};
use crate::caps;

/// Unpacked bytes that are read at most.
const MAX_UNPACKED: u64 = 2 << 30;
const MAX_ENTRIES: usize = 500_000;

/// Finds `*/PKG-INFO` in a gzipped tar or a zip.
pub(super) fn sdist(mut file: &File) -> Result<Reply, String> {
    let mut magic = [0; 4];
    let text = |error: std::io::Error| error.to_string();
    let n = file.read(&mut magic).map_err(text)?;
    file.rewind().map_err(text)?;
    match &magic[..n] {
        [0x1f, 0x8b, ..] => tar(MultiGzDecoder::new(file).take(MAX_UNPACKED)),
        [b'P', b'K', ..] => zipped::whole(file, Want::PkgInfo),
        _ => Err("no static metadata is read from this kind of archive".into()),
    }
}

fn tar(stream: impl Read) -> Result<Reply, String> {
    let bad = |error: std::io::Error| format!("it cannot be unpacked: {error}");
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(bad)?.take(MAX_ENTRIES) {
        let entry = entry.map_err(bad)?;
        let path = entry.path_bytes().into_owned();
        let path = path.strip_prefix(b"./").unwrap_or(&path);
        let mut parts = path.split(|byte| *byte == b'/');
        let top = parts.next().is_some_and(|folder| !folder.is_empty());
        if !(top
            && parts.next() == Some(b"PKG-INFO")
            && parts.next().is_none()
            && entry.header().entry_type().is_file())
        {
            continue;
        }
        if entry.size() > caps::METADATA {
            return Err(format!("its metadata has {} bytes", entry.size()));
        }
        let mut bytes = Vec::new();
        entry.take(caps::METADATA).read_to_end(&mut bytes).map_err(bad)?;
        return Ok(Reply::Metadata { bytes });
    }
    Err("it holds no PKG-INFO".into())
}
