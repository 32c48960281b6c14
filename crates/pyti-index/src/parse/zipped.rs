//! Zip archives, as far as one entry's bytes need: the end record, the directory, one local header.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};

use flate2::read::DeflateDecoder;

use super::{Place, Reply};
use crate::caps;

const MAX_ENTRIES: usize = 200_000;
const MAX_DIRECTORY: u64 = 32 << 20;
/// Local headers may have other extra fields than the directory says.
const HEADER_ROOM: u64 = 30 + 1024 + 512;

/// Which entry is wanted.
#[derive(Clone, Copy)]
pub(super) enum Want {
    /// `*.dist-info/METADATA`.
    WheelMetadata,
    /// `*/PKG-INFO`.
    PkgInfo,
}

impl Want {
    fn is(self, name: &[u8]) -> bool {
        let mut parts = name.split(|byte| *byte == b'/');
        match (self, parts.next(), parts.next(), parts.next()) {
            (Self::WheelMetadata, Some(folder), Some(b"METADATA"), None) => folder.ends_with(b".dist-info"),
            (Self::PkgInfo, Some(folder), Some(b"PKG-INFO"), None) => !folder.is_empty(),
            _ => false,
        }
    }
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Result<u64, String> {
    let part = at
        .checked_add(N)
        .and_then(|end| bytes.get(at..end))
        .ok_or("the archive's directory is cut off")?;
    Ok(part.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// Reads the directory from the last bytes of an archive of `total` bytes.
pub(super) fn tail(bytes: &[u8], total: u64, want: Want) -> Result<Reply, String> {
    let start = total
        .checked_sub(bytes.len() as u64)
        .ok_or("more bytes than the archive has")?;
    let last = bytes.len().checked_sub(22).ok_or("too short for a zip archive")?;
    let end = (0..=last)
        .rev()
        .take(22 + 65_536)
        .find(|at| bytes[*at..].starts_with(b"PK\x05\x06"))
        .ok_or("not a zip archive: no end record")?;
    let (mut size, mut from) = (number::<4>(bytes, end + 12)?, number::<4>(bytes, end + 16)?);
    let mut count = number::<2>(bytes, end + 10)?;
    let marked = size == 0xffff_ffff || from == 0xffff_ffff || count == 0xffff;
    if let Some(locator) = end
        .checked_sub(20)
        .filter(|at| marked && bytes[*at..].starts_with(b"PK\x06\x07"))
    {
        let at = number::<8>(bytes, locator + 8)?;
        let Some(here) = at.checked_sub(start).and_then(|at| usize::try_from(at).ok()) else {
            return wider(at, total);
        };
        if !bytes
            .get(here..)
            .is_some_and(|rest| rest.starts_with(b"PK\x06\x06"))
        {
            return Err("the zip64 end record is not where it should be".into());
        }
        count = number::<8>(bytes, here + 32)?;
        size = number::<8>(bytes, here + 40)?;
        from = number::<8>(bytes, here + 48)?;
    }
    if size > MAX_DIRECTORY || count > MAX_ENTRIES as u64 {
        return Err(format!(
            "the archive's directory is too big: {count} entries, {size} bytes"
        ));
    }
    if from.checked_add(size).is_none_or(|end| end > total) {
        return Err("the archive's directory lies outside of it".into());
    }
    let Some(at) = from.checked_sub(start).and_then(|at| usize::try_from(at).ok()) else {
        return wider(from, total);
    };
    let place = find(bytes, at, count, want)?;
    match place
        .offset
        .checked_sub(start)
        .and_then(|at| usize::try_from(at).ok())
    {
        Some(at) => {
            let bytes = bytes.get(at..).ok_or("an entry lies outside of the archive")?;
            entry(bytes, &place).map(|bytes| Reply::Metadata { bytes })
        }
        None => Ok(Reply::Entry { place }),
    }
}

fn wider(from: u64, total: u64) -> Result<Reply, String> {
    if total.saturating_sub(from) > MAX_DIRECTORY + (1 << 16) {
        return Err("the archive's directory is too big".into());
    }
    Ok(Reply::Wider { from })
}

fn find(bytes: &[u8], mut at: usize, count: u64, want: Want) -> Result<Place, String> {
    let mut found = None;
    for _ in 0..count {
        if !bytes
            .get(at..)
            .is_some_and(|rest| rest.starts_with(b"PK\x01\x02"))
        {
            return Err("the archive's directory has fewer entries than it says".into());
        }
        let length = |field: usize| {
            number::<2>(bytes, at + field).and_then(|n| usize::try_from(n).map_err(|e| e.to_string()))
        };
        let (name, extra, comment) = (length(28)?, length(30)?, length(32)?);
        let title = bytes
            .get(at + 46..at + 46 + name)
            .ok_or("the archive's directory is cut off")?;
        if want.is(title) {
            if found.is_some() {
                return Err("more than one metadata file".into());
            }
            let deflated = match number::<2>(bytes, at + 10)? {
                0 => false,
                8 => true,
                other => return Err(format!("compression method {other} is not known")),
            };
            if number::<2>(bytes, at + 8)? & 1 == 1 {
                return Err("its metadata is encrypted".into());
            }
            let (compressed, size, offset) = (
                number::<4>(bytes, at + 20)?,
                number::<4>(bytes, at + 24)?,
                number::<4>(bytes, at + 42)?,
            );
            if [compressed, size, offset].contains(&0xffff_ffff)
                || compressed > caps::METADATA
                || size > caps::METADATA
            {
                return Err("its metadata is too big, or too far".into());
            }
            found = Some(Place {
                offset,
                span: compressed + HEADER_ROOM + name as u64,
                compressed,
                size,
                deflated,
            });
        }
        at += 46 + name + extra + comment;
    }
    found.ok_or_else(|| "it holds no metadata".into())
}

/// Reads one entry; the bytes begin at its local header.
pub(super) fn entry(bytes: &[u8], place: &Place) -> Result<Vec<u8>, String> {
    if !bytes.starts_with(b"PK\x03\x04") {
        return Err("the directory points to something that is no entry".into());
    }
    let skip = 30 + number::<2>(bytes, 26)? + number::<2>(bytes, 28)?;
    let data = usize::try_from(skip)
        .ok()
        .zip(usize::try_from(skip + place.compressed).ok())
        .and_then(|(from, to)| bytes.get(from..to))
        .ok_or("its metadata is cut off")?;
    let mut out = Vec::new();
    if place.deflated {
        DeflateDecoder::new(data)
            .take(caps::METADATA + 1)
            .read_to_end(&mut out)
            .map_err(|error| format!("its metadata cannot be unpacked: {error}"))?;
    } else {
        out.extend_from_slice(data);
    }
    if out.len() as u64 != place.size {
        return Err(format!(
            "its metadata has another size than the archive says ({} bytes)",
            place.size
        ));
    }
    Ok(out)
}

/// Reads a whole archive's wanted entry.
pub(super) fn whole(mut file: &File, want: Want) -> Result<Reply, String> {
    let text = |error: std::io::Error| error.to_string();
    let total = file.metadata().map_err(text)?.len();
    let mut from = total.saturating_sub(1 << 16);
    for _ in 0..4 {
        let mut read = |at: u64, cap: u64| -> Result<Vec<u8>, String> {
            let mut bytes = Vec::new();
            file.seek(SeekFrom::Start(at)).map_err(text)?;
            file.take(cap).read_to_end(&mut bytes).map_err(text)?;
            Ok(bytes)
        };
        let bytes = read(from, total - from)?;
        match tail(&bytes, total, want)? {
            Reply::Wider { from: earlier } => from = earlier,
            Reply::Entry { place } => {
                let bytes = read(place.offset, place.span)?;
                return entry(&bytes, &place).map(|bytes| Reply::Metadata { bytes });
            }
            reply => return Ok(reply),
        }
    }
    Err("the archive's directory points in circles".into())
}
