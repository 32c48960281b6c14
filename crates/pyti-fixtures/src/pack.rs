//! Archives, byte for byte the same every time. They are written by hand because some must lie.

use std::fmt::Write as _;
use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// 2020-09-13, in octal: the time of every entry.
const TIME: &str = "13727405000";

/// A tar archive that grows. Names and links are at most 100 bytes.
#[derive(Debug, Default)]
pub(crate) struct Tar {
    bytes: Vec<u8>,
}

impl Tar {
    /// Adds a file.
    pub(crate) fn file(&mut self, name: &[u8], content: &[u8]) {
        self.header(b'0', name, b"", content.len());
        self.bytes.extend(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// Adds an entry without content.
    pub(crate) fn special(&mut self, kind: u8, name: &[u8], link: &[u8]) {
        self.header(kind, name, link, 0);
    }

    /// Adds the header of an entry; its content is the caller's affair.
    pub(crate) fn header(&mut self, kind: u8, name: &[u8], link: &[u8], size: usize) {
        let mut header = [0_u8; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &name[..name.len().min(100)]);
        put(100, if kind == b'5' { b"0000755" } else { b"0000644" });
        put(108, b"0000000");
        put(116, b"0000000");
        put(124, format!("{size:011o}").as_bytes());
        put(136, TIME.as_bytes());
        put(148, b"        ");
        put(156, &[kind]);
        put(157, &link[..link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        self.bytes.extend(header);
    }

    /// The bytes so far, without an end.
    pub(crate) fn open(self) -> Vec<u8> {
        self.bytes
    }

    /// The whole archive.
    pub(crate) fn finish(mut self) -> Vec<u8> {
        self.bytes.resize(self.bytes.len() + 1024, 0);
        self.bytes
    }
}

/// gzip without name and time.
pub(crate) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // writing to memory cannot fail
    let _ = encoder.write_all(bytes);
    encoder.finish().unwrap_or_default()
}

/// A wheel with a right RECORD; with `lie`, RECORD has a wrong hash of the first file.
pub(crate) fn wheel(stem: &str, mut contents: Vec<(String, Vec<u8>)>, lie: bool) -> Vec<u8> {
    let mut record = String::new();
    for (n, (name, content)) in contents.iter().enumerate() {
        let digest = if lie && n == 0 {
            Sha256::digest(b"another content")
        } else {
            Sha256::digest(content)
        };
        let _ = writeln!(
            record,
            "{name},sha256={},{}",
            URL_SAFE_NO_PAD.encode(digest),
            content.len()
        );
    }
    let own = format!("{stem}.dist-info/RECORD");
    let _ = writeln!(record, "{own},,");
    contents.push((own, record.into_bytes()));
    zip(&contents)
}

/// A zip archive. Contents are far below what needs 64-bit fields.
fn zip(contents: &[(String, Vec<u8>)]) -> Vec<u8> {
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_le_bytes();
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    for (name, content) in contents {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        let _ = encoder.write_all(content);
        let packed = encoder.finish().unwrap_or_default();
        let mut crc = flate2::Crc::new();
        crc.update(content);
        // flags (UTF-8 names), deflate, 1980-01-02 00:00
        let mut middle = vec![0, 8, 8, 0, 0, 0, 0x22, 0];
        middle.extend(crc.sum().to_le_bytes());
        middle.extend(number(packed.len()));
        middle.extend(number(content.len()));
        middle.extend(short(name.len()));
        middle.extend([0, 0]);
        directory.extend(b"PK\x01\x02\x14\x03\x14\0");
        directory.extend(&middle);
        directory.extend([0; 6]);
        directory.extend((0o100_644_u32 << 16).to_le_bytes());
        directory.extend(number(out.len()));
        directory.extend(name.as_bytes());
        out.extend(b"PK\x03\x04\x14\0");
        out.extend(&middle);
        out.extend(name.as_bytes());
        out.extend(packed);
    }
    let (start, size) = (out.len(), directory.len());
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(short(contents.len()));
    out.extend(short(contents.len()));
    out.extend(number(size));
    out.extend(number(start));
    out.extend([0, 0]);
    out
}
