//! zip, read with mistrust.
//!
//! The usual readers give the last of two entries with one name, believe the central directory without looking at
//! the entries, and never tell. Here every entry of the central directory is kept and compared with the header
//! that stands before its data; overlapping entries (a bomb's trick) and bytes that no entry owns are found.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::os::unix::fs::FileExt as _;

use crate::limits::Limits;

/// The largest central directory that is read.
const DIRECTORY_BYTES: u64 = 64 << 20;
/// End record, without its comment.
const END: usize = 22;
/// The longest comment and the end record.
const TAIL: u64 = 65_535 + END as u64;
/// What may follow an entry's data when its sizes were not known before: a data descriptor.
const DESCRIPTOR: u64 = 24;

/// One entry of the central directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Vec<u8>,
    pub(crate) size: u64,
    pub(crate) kind: Kind,
    pub(crate) executable: bool,
    /// Year, month, day, as written.
    pub(crate) date: (u16, u16, u16),
    /// Why it can't be read, if so.
    pub(crate) wrong: Option<String>,
    method: u16,
    packed: u64,
    crc: u32,
    header: u64,
    data: u64,
    described: bool,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Folder,
    Link,
    Special,
}

/// An open zip archive.
#[derive(Debug)]
pub(crate) struct Zip {
    file: File,
    pub(crate) entries: Vec<Entry>,
    /// What is odd about the archive as a whole.
    pub(crate) odd: Vec<String>,
}

impl Zip {
    /// Reads the central directory, and checks it against the entries and the limits.
    pub(crate) fn open(file: File, limits: &Limits) -> Result<Self, String> {
        let length = file
            .metadata()
            .map_err(|e| format!("the file cannot be read: {e}"))?
            .len();
        let end = find_end(&file, length)?;
        if end.entries > limits.entries {
            return Err(format!("more than {} entries", limits.entries));
        }
        let mut zip = Self {
            entries: Vec::new(),
            odd: end.odd,
            file,
        };
        let size = usize::try_from(end.size).map_err(|_| "a central directory without bounds")?;
        let mut directory = vec![0; size];
        zip.file
            .read_exact_at(&mut directory, end.start)
            .map_err(|e| format!("no central directory: {e}"))?;
        let mut rest = &directory[..];
        while !rest.is_empty() {
            if zip.entries.len() as u64 >= limits.entries {
                return Err(format!("more than {} entries", limits.entries));
            }
            let entry = entry(&mut rest, end.before)?;
            zip.entries.push(entry);
        }
        if zip.entries.len() as u64 != end.entries {
            let (says, has) = (end.entries, zip.entries.len());
            return Err(format!(
                "the end record says {says} entries, the central directory has {has}"
            ));
        }
        for index in 0..zip.entries.len() {
            zip.check_header(index, end.start)?;
        }
        zip.check_layout(end.start, end.before)?;
        zip.check_sizes(length, limits)?;
        Ok(zip)
    }

    /// Compares an entry with the header that stands before its data.
    fn check_header(&mut self, index: usize, directory: u64) -> Result<(), String> {
        let entry = &mut self.entries[index];
        let mut head = [0; 30];
        let read = self.file.read_exact_at(&mut head, entry.header);
        if read.is_err() || head[..4] != *b"PK\x03\x04" {
            return Err(format!(
                "the central directory names an entry at {}, where none is",
                entry.header
            ));
        }
        let (flags, method) = (u16_at(&head, 6), u16_at(&head, 8));
        let (name_length, extra_length) = (u16_at(&head, 26), u16_at(&head, 28));
        let mut name = vec![0; usize::from(name_length)];
        let named = self.file.read_exact_at(&mut name, entry.header + 30);
        entry.data = entry.header + 30 + u64::from(name_length) + u64::from(extra_length);
        entry.described = flags & 8 != 0;
        let end = entry
            .data
            .checked_add(entry.packed)
            .ok_or("an entry without bounds")?;
        if named.is_err() || end > directory {
            return Err("an entry reaches into the central directory".into());
        }
        let sizes = (u32_at(&head, 18), u32_at(&head, 22));
        let small = |size: u64| u32::try_from(size).unwrap_or(u32::MAX);
        let sizes_differ = sizes != (small(entry.packed), small(entry.size))
            && sizes != (u32::MAX, u32::MAX)
            && !(entry.described && sizes == (0, 0));
        let why = if name != entry.name {
            "another name stands before its data than in the central directory"
        } else if method != entry.method {
            "another method stands before its data than in the central directory"
        } else if sizes_differ {
            "another size stands before its data than in the central directory"
        } else if flags & 1 != 0 {
            "it is encrypted"
        } else {
            return Ok(());
        };
        entry.wrong.get_or_insert_with(|| why.to_owned());
        Ok(())
    }

    /// Finds entries that share bytes, and bytes that belong to none.
    fn check_layout(&mut self, directory: u64, before: u64) -> Result<(), String> {
        let mut spans: Vec<(u64, u64, u64)> = self
            .entries
            .iter()
            .map(|e| {
                (
                    e.header,
                    e.data + e.packed,
                    if e.described { DESCRIPTOR } else { 0 },
                )
            })
            .collect();
        spans.sort_unstable();
        let (mut reached, mut slack, mut unowned) = (before, 0, 0);
        for (start, end, descriptor) in spans {
            if start < reached {
                return Err("two entries share their bytes, as in a bomb".into());
            }
            let gap = start - reached;
            unowned += if gap > slack { gap } else { 0 };
            (reached, slack) = (end, descriptor);
        }
        let gap = directory.saturating_sub(reached);
        unowned += if gap > slack { gap } else { 0 };
        if unowned > 0 {
            self.odd.push(format!(
                "{unowned} bytes lie between the entries and belong to none"
            ));
        }
        Ok(())
    }

    fn check_sizes(&self, length: u64, limits: &Limits) -> Result<(), String> {
        let total = self
            .entries
            .iter()
            .fold(0_u64, |sum, e| sum.saturating_add(e.size));
        if total > limits.total_bytes {
            return Err(format!(
                "{total} bytes when decompressed, more than {}",
                limits.total_bytes
            ));
        }
        if total > Limits::RATIO_FROM.max(length.saturating_mul(limits.ratio)) {
            return Err(format!("a decompression bomb: {length} bytes become {total}"));
        }
        Ok(())
    }

    /// The content of an entry. It never gives more bytes than the entry's size, and ends in an error when the
    /// size or the checksum is not what the entry says.
    pub(crate) fn content(&self, entry: &Entry) -> io::Result<impl Read + use<>> {
        if let Some(why) = &entry.wrong {
            return Err(io::Error::new(io::ErrorKind::InvalidData, why.clone()));
        }
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(entry.data))?;
        let packed = BufReader::with_capacity(32 << 10, file.take(entry.packed));
        let plain: Box<dyn Read> = match entry.method {
            0 => Box::new(packed),
            8 => Box::new(flate2::bufread::DeflateDecoder::new(packed)),
            12 => Box::new(bzip2::bufread::BzDecoder::new(packed)),
            93 => {
                let mut decoder = zstd::Decoder::with_buffer(packed)?;
                decoder.window_log_max(27)?;
                Box::new(decoder)
            }
            other => {
                let why = format!("compressed by method {other}, which is not read");
                return Err(io::Error::new(io::ErrorKind::Unsupported, why));
            }
        };
        Ok(Checked {
            inner: plain,
            left: entry.size,
            crc: entry.crc,
            sum: flate2::Crc::new(),
        })
    }
}

/// Gives what it reads, and checks size and checksum at the end.
struct Checked {
    inner: Box<dyn Read>,
    left: u64,
    crc: u32,
    sum: flate2::Crc,
}

impl Read for Checked {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wrong = |what: &str| Err(io::Error::new(io::ErrorKind::InvalidData, what));
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            if self.inner.read(&mut [0])? != 0 {
                return wrong("it is longer than the archive says");
            }
            return if self.sum.sum() == self.crc {
                Ok(0)
            } else {
                wrong("its checksum is wrong")
            };
        }
        let room = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let got = self.inner.read(&mut buffer[..room])?;
        if got == 0 {
            return wrong("it is shorter than the archive says");
        }
        self.left -= got as u64;
        self.sum.update(&buffer[..got]);
        Ok(got)
    }
}

struct End {
    /// Where the central directory starts in the file.
    start: u64,
    size: u64,
    entries: u64,
    /// Bytes before the archive; every offset is shifted by them.
    before: u64,
    odd: Vec<String>,
}

/// Finds the end record: the last one whose comment fits.
fn find_end(file: &File, length: u64) -> Result<End, String> {
    let tail_start = length.saturating_sub(TAIL);
    let mut tail = vec![0; usize::try_from(length - tail_start).map_err(|_| "a file without bounds")?];
    file.read_exact_at(&mut tail, tail_start)
        .map_err(|e| format!("the file cannot be read: {e}"))?;
    let found = (0..=tail.len().checked_sub(END).ok_or("too short for a zip archive")?)
        .rev()
        .find(|&at| {
            tail[at..].starts_with(b"PK\x05\x06")
                && at + END + usize::from(u16_at(&tail, at + 20)) <= tail.len()
        })
        .ok_or("no end record: the archive was cut, or is none")?;
    let record = &tail[found..];
    let mut odd = Vec::new();
    let after = record.len() - END - usize::from(u16_at(record, 20));
    if after > 0 {
        odd.push(format!("{after} bytes follow the end of the archive"));
    }
    if u16_at(record, 4) != 0 || u16_at(record, 6) != 0 {
        return Err("a part of an archive in several parts".into());
    }
    let mut at = tail_start + found as u64;
    let (mut entries, mut size, mut offset) = (
        u64::from(u16_at(record, 10)),
        u64::from(u32_at(record, 12)),
        u64::from(u32_at(record, 16)),
    );
    let full = entries == 0xffff || size == 0xffff_ffff || offset == 0xffff_ffff;
    if let Some((place, record)) = if full { zip64_end(file, at)? } else { None } {
        (entries, size, offset) = (u64_at(&record, 32), u64_at(&record, 40), u64_at(&record, 48));
        at = place;
    }
    if size > DIRECTORY_BYTES {
        return Err(format!(
            "a central directory of {size} bytes, more than {DIRECTORY_BYTES}"
        ));
    }
    let start = at
        .checked_sub(size)
        .ok_or("the central directory starts before the file")?;
    let before = start
        .checked_sub(offset)
        .ok_or("the central directory starts elsewhere than the end record says")?;
    if before > 0 {
        odd.push(format!("{before} bytes stand before the archive"));
    }
    Ok(End {
        start,
        size,
        entries,
        before,
        odd,
    })
}

/// The zip64 end record and where it stands, when there is a locator right before the end record.
fn zip64_end(file: &File, end: u64) -> Result<Option<(u64, [u8; 56])>, String> {
    let Some(locator) = end.checked_sub(20) else {
        return Ok(None);
    };
    let mut bytes = [0; 20];
    if file.read_exact_at(&mut bytes, locator).is_err() || !bytes.starts_with(b"PK\x06\x07") {
        return Ok(None);
    }
    // the record stands right before its locator, whatever the locator says: else two readers differ
    let place = locator
        .checked_sub(56)
        .ok_or("no room for the zip64 end record")?;
    let mut record = [0; 56];
    file.read_exact_at(&mut record, place)
        .map_err(|e| format!("no zip64 end record: {e}"))?;
    if !record.starts_with(b"PK\x06\x06") || u64_at(&record, 4) != 44 {
        return Err("no zip64 end record before its locator".into());
    }
    Ok(Some((place, record)))
}

/// Takes one entry of the central directory.
fn entry(rest: &mut &[u8], before: u64) -> Result<Entry, String> {
    let cut = || "the central directory was cut".to_owned();
    let head = rest
        .get(..46)
        .filter(|head| head.starts_with(b"PK\x01\x02"))
        .ok_or_else(cut)?;
    let lengths = [u16_at(head, 28), u16_at(head, 30), u16_at(head, 32)].map(usize::from);
    let whole = rest.get(..46 + lengths.iter().sum::<usize>()).ok_or_else(cut)?;
    let (name, extra) = (
        &whole[46..46 + lengths[0]],
        &whole[46 + lengths[0]..46 + lengths[0] + lengths[1]],
    );
    let flags = u16_at(head, 8);
    let mut size = u64::from(u32_at(head, 24));
    let mut packed = u64::from(u32_at(head, 20));
    let mut header = u64::from(u32_at(head, 42));
    zip64(extra, [&mut size, &mut packed, &mut header])?;
    let unix = if head[5] == 3 { u32_at(head, 38) >> 16 } else { 0 };
    let kind = match unix & 0o170_000 {
        0o120_000 => Kind::Link,
        0o040_000 => Kind::Folder,
        0 | 0o100_000 if name.ends_with(b"/") => Kind::Folder,
        0 | 0o100_000 => Kind::File,
        _ => Kind::Special,
    };
    let wrong = if flags & 0x2041 != 0 {
        Some("it is encrypted".to_owned())
    } else if flags & 0x800 != 0 && std::str::from_utf8(name).is_err() {
        Some("its name says that it is UTF-8, and is not".to_owned())
    } else {
        None
    };
    let entry = Entry {
        name: name.to_vec(),
        size,
        kind,
        executable: unix & 0o111 != 0,
        date: dos_date(u16_at(head, 14)),
        wrong,
        method: u16_at(head, 10),
        packed,
        crc: u32_at(head, 16),
        header: header.checked_add(before).ok_or("an entry without bounds")?,
        data: 0,
        described: false,
    };
    *rest = &rest[whole.len()..];
    Ok(entry)
}

/// Year, month, day of a DOS date.
fn dos_date(date: u16) -> (u16, u16, u16) {
    (1980 + (date >> 9), (date >> 5) & 15, date & 31)
}

/// Takes the 64-bit numbers of those fields that are full.
fn zip64(mut extra: &[u8], fields: [&mut u64; 3]) -> Result<(), String> {
    while extra.len() >= 4 {
        let (id, length) = (u16_at(extra, 0), usize::from(u16_at(extra, 2)));
        let Some(mut value) = extra.get(4..4 + length) else {
            return Ok(());
        };
        if id == 1 {
            for field in fields.into_iter().filter(|field| **field == 0xffff_ffff) {
                if value.len() < 8 {
                    return Err("a zip64 field was cut".into());
                }
                *field = u64_at(value, 0);
                value = &value[8..];
            }
            return Ok(());
        }
        extra = &extra[4 + length..];
    }
    Ok(())
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from(u16_at(bytes, at)) | u32::from(u16_at(bytes, at + 2)) << 16
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}
