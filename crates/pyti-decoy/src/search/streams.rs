//! Compressed streams within bytes. Each is unpacked up to a cap: a stream that grows without end tells nothing more.

use std::io::Read as _;

use flate2::{Decompress, FlushDecompress, Status};

/// Bytes unpacked of one stream.
pub(crate) const LONGEST: usize = 4 << 20;
/// Streams unpacked of one text.
const MOST: usize = 1024;
/// Bytes of a stream that must have been read before it broke, for it to have been one.
const FEWEST_READ: u64 = 64;
/// The method of a zip entry that is deflated.
const DEFLATED: usize = 8;
/// Less than this is no stream but chance, where a stream has no mark of its own.
const SHORTEST: usize = 12;

/// What was in a stream.
#[derive(Debug)]
pub(crate) struct Unpacked {
    /// `gzip`, `zlib`, `deflate`, `zstd`, `zip`.
    pub(crate) name: &'static str,
    /// Where it begins.
    pub(crate) offset: usize,
    /// Its bytes, as far as they could be read: a stream that was cut off tells what it can.
    pub(crate) bytes: Vec<u8>,
    /// Whether it goes on after the cap.
    pub(crate) cut: bool,
}

/// Bytes, and whether there were more.
type Content = (Vec<u8>, bool);

/// Whether the bytes end as a gzip stream begins, read backwards.
pub(crate) fn ends_reversed(bytes: &[u8]) -> bool {
    let end = &bytes[bytes.len().saturating_sub(256)..];
    end.windows(3).any(|w| w == [8, 0x8b, 0x1f])
}

/// Whether a deflate stream can begin so: of random bytes nearly none can. What passes may still be none.
fn can_begin(bytes: &[u8]) -> bool {
    let Some(bits) = bytes.first_chunk::<4>().map(|b| u32::from_le_bytes(*b)) else {
        return false;
    };
    match bits >> 1 & 3 {
        0 => bytes.get(1..5).is_some_and(|b| b[0] == !b[2] && b[1] == !b[3]),
        1 => true,
        2 => {
            let (literals, distances) = (bits >> 3 & 31, bits >> 8 & 31);
            literals <= 29 && distances <= 29 && has_code_lengths(bytes, (bits >> 13 & 15) + 4)
        }
        _ => false,
    }
}

/// Whether the lengths of the code for lengths, at bit 17, make a complete code.
fn has_code_lengths(bytes: &[u8], count: u32) -> bool {
    let Some(head) = bytes.get(..10) else {
        return false;
    };
    let mut bits = head.iter().rev().fold(0u128, |sum, b| sum << 8 | u128::from(*b)) >> 17;
    let mut room = 0;
    for _ in 0..count {
        let length = bits & 7;
        if length > 0 {
            room += 128 >> length;
        }
        bits >>= 3;
    }
    room == 128
}

/// What unpacks, with its scratch space: making it anew for each guess would cost more than the guess.
#[derive(Debug)]
pub(crate) struct Unpacker {
    with_head: Decompress,
    bare: Decompress,
    room: Vec<u8>,
}

impl Default for Unpacker {
    fn default() -> Self {
        Self {
            with_head: Decompress::new(true),
            bare: Decompress::new(false),
            room: vec![0; 32 << 10],
        }
    }
}

impl Unpacker {
    /// All streams in the bytes, and whether there were more than are unpacked. A stream without a head is looked for at
    /// the first places, as many as are told.
    pub(crate) fn unpack(&mut self, bytes: &[u8], bare_offsets: usize) -> (Vec<Unpacked>, bool) {
        let mut out = Vec::new();
        let mut spared = false;
        for offset in 0..bytes.len() {
            let Some((name, (unpacked, cut))) = self.at(&bytes[offset..]) else {
                continue;
            };
            if out.len() == MOST {
                spared = true;
                break;
            }
            out.push(Unpacked {
                name,
                offset,
                bytes: unpacked,
                cut,
            });
        }
        self.bare(bytes, bare_offsets, &mut out);
        (out, spared)
    }

    /// The stream that begins here and says so.
    fn at(&mut self, bytes: &[u8]) -> Option<(&'static str, Content)> {
        match bytes {
            [0x1f, 0x8b, 8, ..] => self.gzip(bytes),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => self.zstandard(bytes),
            [b'P', b'K', 3, 4, ..] => self.zip(bytes),
            [first, second, ..]
                if first & 0x8f == 8
                    && second & 0x20 == 0
                    && (u16::from(*first) << 8 | u16::from(*second)).is_multiple_of(31) =>
            {
                let content = self.inflate(bytes, true)?;
                (content.0.len() >= SHORTEST).then_some(("zlib", content))
            }
            _ => None,
        }
    }

    /// The stream that begins here and would say so under this key.
    pub(crate) fn under_key(&mut self, bytes: &[u8], key: u8) -> Option<Unpacked> {
        let plain: Vec<u8> = bytes.iter().map(|b| b ^ key).collect();
        let (name, (bytes, cut)) = self.at(&plain)?;
        Some(Unpacked {
            name,
            offset: 0,
            bytes,
            cut,
        })
    }

    /// A deflate stream without a head can begin anywhere; it is looked for at the beginning and behind empty lines.
    fn bare(&mut self, bytes: &[u8], offsets: usize, out: &mut Vec<Unpacked>) {
        let behind_lines = bytes
            .windows(4)
            .enumerate()
            .filter(|(_, w)| w == b"\r\n\r\n")
            .map(|(at, _)| at + 4)
            .take(MOST);
        for offset in (0..offsets.min(bytes.len())).chain(behind_lines) {
            // by chance a few bytes come out of anything
            if let Some((unpacked, cut)) = self.inflate(&bytes[offset..], false)
                && unpacked.len() >= SHORTEST
            {
                out.push(Unpacked {
                    name: "deflate",
                    offset,
                    bytes: unpacked,
                    cut,
                });
            }
        }
    }

    /// Unpacks until the end, an error or the cap; `None` when nothing came out.
    fn inflate(&mut self, bytes: &[u8], head: bool) -> Option<Content> {
        if !can_begin(&bytes[if head { 2 } else { 0 }..]) {
            return None;
        }
        let stream = if head { &mut self.with_head } else { &mut self.bare };
        stream.reset(head);
        let mut out = Vec::new();
        loop {
            let read = usize::try_from(stream.total_in()).unwrap_or(usize::MAX);
            let before = stream.total_out();
            let status = stream.decompress(
                bytes.get(read..).unwrap_or_default(),
                &mut self.room,
                FlushDecompress::None,
            );
            let made = usize::try_from(stream.total_out() - before).unwrap_or(0);
            out.extend_from_slice(&self.room[..made.min(self.room.len())]);
            if out.len() >= LONGEST {
                return Some((out, true));
            }
            match &status {
                Ok(Status::Ok) if made > 0 || stream.total_in() > read as u64 => {}
                // a stream ends, or its bytes do; one that is broken soon was none
                Ok(_) => {
                    let is_over =
                        matches!(status, Ok(Status::StreamEnd)) || stream.total_in() >= bytes.len() as u64;
                    return (is_over && !out.is_empty()).then_some((out, false));
                }
                Err(_) => {
                    return (stream.total_in() >= FEWEST_READ && !out.is_empty()).then_some((out, false));
                }
            }
        }
    }

    fn gzip(&mut self, bytes: &[u8]) -> Option<(&'static str, Content)> {
        let mut reader = flate2::bufread::GzDecoder::new(bytes);
        self.capped(|room| reader.read(room))
            .map(|content| ("gzip", content))
    }

    fn zstandard(&mut self, bytes: &[u8]) -> Option<(&'static str, Content)> {
        let mut reader = zstd::stream::read::Decoder::with_buffer(bytes).ok()?;
        // a frame may ask for a window of gigabytes
        reader.window_log_max(24).ok()?;
        self.capped(|room| reader.read(room))
            .map(|content| ("zstd", content))
    }

    /// One entry of a zip archive, by its own head; what is only stored lies there plainly anyway.
    fn zip(&mut self, bytes: &[u8]) -> Option<(&'static str, Content)> {
        let short = |at: usize| {
            bytes
                .get(at..at + 2)
                .map(|b| usize::from(b[0]) | usize::from(b[1]) << 8)
        };
        if short(8)? != DEFLATED {
            return None;
        }
        let start = 30 + short(26)? + short(28)?;
        self.inflate(bytes.get(start..)?, false)
            .map(|content| ("zip", content))
    }

    /// Reads until the end, an error or the cap.
    fn capped(&mut self, mut read: impl FnMut(&mut [u8]) -> std::io::Result<usize>) -> Option<Content> {
        let mut out = Vec::new();
        while let Ok(length @ 1..) = read(&mut self.room) {
            out.extend_from_slice(&self.room[..length]);
            if out.len() >= LONGEST {
                return Some((out, true));
            }
        }
        (!out.is_empty()).then_some((out, false))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn a_bomb_ends_at_the_cap() {
        let bomb = gz(&vec![0; 3 * LONGEST]);
        let (streams, _) = Unpacker::default().unpack(&bomb, 0);
        assert!(streams[0].cut);
        assert!(streams[0].bytes.len() < LONGEST + (64 << 10));
        let (streams, _) = Unpacker::default().unpack(&gz(&vec![0; LONGEST / 2]), 0);
        assert!(!streams[0].cut);
    }

    #[test]
    fn of_half_a_stream_half_is_read() {
        let text: Vec<u8> = (0..20_000u32)
            .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
            .collect();
        let mut whole = gz(&text);
        whole.truncate(whole.len() / 2);
        let (streams, _) = Unpacker::default().unpack(&whole, 0);
        let first = &streams.iter().find(|s| s.name == "gzip").unwrap().bytes;
        assert!(first.len() > 20_000 && text.starts_with(first));
    }

    #[test]
    fn more_streams_than_are_unpacked_is_told() {
        let one = gz(b"something of some length");
        let (streams, spared) = Unpacker::default().unpack(&one.repeat(3), 0);
        assert_eq!((streams.len(), spared), (3, false));
        let (streams, spared) = Unpacker::default().unpack(&one.repeat(MOST + 3), 0);
        assert_eq!((streams.len(), spared), (MOST, true));
    }
}
