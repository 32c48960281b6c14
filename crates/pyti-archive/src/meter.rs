//! A reader that counts what a decompressor gives, and stops a bomb.

use std::io::{self, Read};

use crate::limits::Limits;

/// Counts the bytes that come out of a decompressor; fails once there are too many.
#[derive(Debug)]
pub(crate) struct Meter<R> {
    inner: R,
    seen: u64,
    cap: u64,
    compressed: u64,
    ratio: u64,
}

impl<R: Read> Meter<R> {
    /// A meter over `inner`, which decompresses `compressed` bytes.
    pub(crate) fn new(inner: R, compressed: u64, limits: &Limits) -> Self {
        Self {
            inner,
            seen: 0,
            cap: limits.total_bytes,
            compressed: compressed.max(1),
            ratio: limits.ratio,
        }
    }

    /// What is wrong with that many bytes, if anything.
    fn excess(&self) -> Option<String> {
        if self.seen > self.cap {
            return Some(format!("more than {} bytes when decompressed", self.cap));
        }
        let allowed = self.compressed.saturating_mul(self.ratio).max(Limits::RATIO_FROM);
        (self.seen > allowed).then(|| {
            format!(
                "a decompression bomb: {} bytes became more than {allowed}",
                self.compressed
            )
        })
    }
}

impl<R: Read> Read for Meter<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.seen += got as u64;
        match self.excess() {
            Some(excess) => Err(io::Error::new(io::ErrorKind::FileTooLarge, excess)),
            None => Ok(got),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_capped_and_what_fits_passes() {
        let limits = Limits {
            total_bytes: 10,
            ..Limits::default()
        };
        let read = |n: u64| Meter::new(io::repeat(0).take(n), 1, &limits).read_to_end(&mut Vec::new());
        assert_eq!(read(10).unwrap(), 10);
        assert_eq!(read(11).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    fn the_ratio_is_capped_only_above_its_floor() {
        let limits = Limits {
            ratio: 2,
            ..Limits::default()
        };
        let read = |n: u64, from: u64| {
            io::copy(
                &mut Meter::new(io::repeat(0).take(n), from, &limits),
                &mut io::sink(),
            )
        };
        assert!(read(Limits::RATIO_FROM, 1).is_ok());
        assert!(read(Limits::RATIO_FROM + 1, 1).is_err());
        assert!(read(Limits::RATIO_FROM + 1, Limits::RATIO_FROM).is_ok());
    }
}
