//! Tells archives apart by their bytes, and opens the right decompressor.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek as _};

use crate::limits::Limits;
use crate::meter::Meter;

/// Most memory that xz may ask for: its largest preset needs 65 MiB.
const XZ_MEMORY: u64 = 128 << 20;
/// Largest zstd window, as a power of two: 128 MiB, what `zstd --ultra` needs.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Zip,
    Tar,
    TarGzip,
    TarBzip2,
    TarXz,
    TarZstd,
}

impl Format {
    /// Looks at the first bytes. The file's name is not asked: it may lie.
    pub(crate) fn of(start: &[u8]) -> Result<Self, String> {
        Ok(match start {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Self::Zip,
            [0x1f, 0x8b, ..] => Self::TarGzip,
            [b'B', b'Z', b'h', ..] => Self::TarBzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::TarXz,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::TarZstd,
            [0x1f, 0x9d, ..] => return Err("an archive made by `compress`, which is not read".into()),
            [] => return Err("the file is empty".into()),
            other if is_tar_header(other) => Self::Tar,
            _ => return Err("neither a tar archive nor a zip archive".into()),
        })
    }
}

/// Whether a block is a tar header: its checksum is right (older than `ustar`, so there is no other mark).
fn is_tar_header(block: &[u8]) -> bool {
    let Some(block) = block.get(..512) else {
        return false;
    };
    let sum: u32 = block
        .iter()
        .enumerate()
        .map(|(i, b)| {
            if (148..156).contains(&i) {
                32
            } else {
                u32::from(*b)
            }
        })
        .sum();
    let stored = std::str::from_utf8(&block[148..156]).unwrap_or_default();
    u32::from_str_radix(stored.trim_matches(|c: char| c == '\0' || c == ' '), 8)
        .is_ok_and(|stored| stored == sum)
}

/// The format of an open file, which is left at its start.
pub(crate) fn detect(file: &mut File) -> Result<Format, String> {
    let mut start = Vec::new();
    let read = |file: &mut File, start: &mut Vec<u8>| -> io::Result<()> {
        file.by_ref().take(512).read_to_end(start)?;
        file.rewind()
    };
    read(file, &mut start).map_err(|e| format!("the file cannot be read: {e}"))?;
    Format::of(&start)
}

/// The tar stream of a file, decompressed and metered.
pub(crate) fn stream(file: File, format: Format, limits: &Limits) -> io::Result<Box<dyn Read>> {
    let length = file.metadata()?.len();
    let file = BufReader::with_capacity(64 << 10, file);
    Ok(match format {
        Format::TarGzip => Box::new(Meter::new(
            flate2::bufread::MultiGzDecoder::new(file),
            length,
            limits,
        )),
        Format::TarBzip2 => Box::new(Meter::new(
            bzip2::bufread::MultiBzDecoder::new(file),
            length,
            limits,
        )),
        Format::TarXz => {
            let decoder =
                liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                    .map_err(io::Error::other)?;
            Box::new(Meter::new(
                liblzma::bufread::XzDecoder::new_stream(file, decoder),
                length,
                limits,
            ))
        }
        Format::TarZstd => {
            let mut decoder = zstd::Decoder::with_buffer(file)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG)?;
            Box::new(Meter::new(decoder, length, limits))
        }
        Format::Tar | Format::Zip => Box::new(Meter::new(file, length, limits)),
    })
}
