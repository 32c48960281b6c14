//! Archives made byte by byte, so that they can lie.
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    reason = "each test uses a part of it"
)]

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A tar entry, with any name, kind and link.
pub fn tar_entry(tar: &mut Vec<u8>, kind: u8, name: &[u8], link: &[u8], content: &[u8]) {
    tar_entry_of_size(tar, kind, name, link, content, content.len() as u64);
}

/// The same, with a size that may lie.
pub fn tar_entry_of_size(tar: &mut Vec<u8>, kind: u8, name: &[u8], link: &[u8], content: &[u8], size: u64) {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name);
    header[100..107].copy_from_slice(b"0007755");
    header[124..135].copy_from_slice(format!("{size:011o}").as_bytes());
    header[136..147].copy_from_slice(b"14000000000");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link);
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    tar.extend(header);
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// The end of a tar archive.
pub fn tar_end(tar: &mut Vec<u8>) {
    tar.resize(tar.len() + 1024, 0);
}

/// A record of an extended header.
pub fn pax(key: &str, value: &str) -> Vec<u8> {
    let body = format!(" {key}={value}\n");
    let mut length = body.len() + 1;
    while length.to_string().len() + body.len() != length {
        length = length.to_string().len() + body.len();
    }
    format!("{length}{body}").into_bytes()
}

/// gzip.
/// As small as it gets: how small the fast level is depends on what flate2 is built with.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// An entry of a zip archive; the second header may differ from the first.
#[derive(Clone)]
pub struct ZipEntry {
    pub name: Vec<u8>,
    pub local_name: Vec<u8>,
    pub content: Vec<u8>,
    pub mode: u32,
    pub flags: u16,
    pub size: u32,
    pub crc: u32,
    pub deflate: bool,
    pub offset: Option<u32>,
}

impl ZipEntry {
    pub fn new(name: &[u8], content: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Self {
            name: name.to_vec(),
            local_name: name.to_vec(),
            content: content.to_vec(),
            mode: 0o100_644,
            flags: 0,
            size: u32::try_from(content.len()).unwrap(),
            crc: crc.sum(),
            deflate: true,
            offset: None,
        }
    }
}

/// A zip archive.
pub fn zip(entries: &[ZipEntry]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for entry in entries {
        let packed = if entry.deflate {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            encoder.write_all(&entry.content).unwrap();
            encoder.finish().unwrap()
        } else {
            entry.content.clone()
        };
        let offset = u32::try_from(out.len()).unwrap();
        let middle = |name: &[u8]| {
            let mut bytes = Vec::new();
            bytes.extend(entry.flags.to_le_bytes());
            bytes.extend(if entry.deflate { 8_u16 } else { 0 }.to_le_bytes());
            bytes.extend([0, 0, 0x21, 0]);
            bytes.extend(entry.crc.to_le_bytes());
            bytes.extend(u32::try_from(packed.len()).unwrap().to_le_bytes());
            bytes.extend(entry.size.to_le_bytes());
            bytes.extend(u16::try_from(name.len()).unwrap().to_le_bytes());
            bytes.extend(0_u16.to_le_bytes());
            bytes
        };
        out.extend(b"PK\x03\x04\x14\0");
        out.extend(middle(&entry.local_name));
        out.extend(&entry.local_name);
        out.extend(&packed);
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        directory.extend(middle(&entry.name));
        directory.extend([0; 6]);
        directory.extend((entry.mode << 16).to_le_bytes());
        directory.extend(entry.offset.unwrap_or(offset).to_le_bytes());
        directory.extend(&entry.name);
    }
    let (start, size) = (
        u32::try_from(out.len()).unwrap(),
        u32::try_from(directory.len()).unwrap(),
    );
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    let count = u16::try_from(entries.len()).unwrap();
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(size.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0, 0]);
    out
}

/// Writes bytes to a file in a folder.
pub fn put(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Every path below a folder, sorted, links with their targets.
pub fn listing(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(folder).unwrap().to_string_lossy().into_owned();
            if path.is_symlink() {
                found.push(format!(
                    "{name} -> {}",
                    std::fs::read_link(&path).unwrap().display()
                ));
            } else if path.is_dir() {
                open.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}
