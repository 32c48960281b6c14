//! How several streams share one byte channel between host and guest. Pure.
//!
//! A frame is a stream's number and a length, four bytes each, little-endian, and then that many bytes. A length of
//! zero ends the stream. Stream 0 carries control messages, one JSON object a frame; stream 1 the Raw Data API.
//! What a guest sends is hostile: nothing is allocated by what a header claims, and a wrong one ends the channel.

use std::io::{self, Read, Write};

/// Most bytes that one frame carries.
pub const MOST: usize = 64 << 10;
/// The stream of control messages.
pub const CONTROL: u32 = 0;
/// The stream of the Raw Data API.
pub const AGENT: u32 = 1;
const HEADER: usize = 8;

/// A frame that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// Bytes of a stream, at least one.
    Data(u32, Vec<u8>),
    /// The stream has ended.
    End(u32),
}

/// Why frames cannot be read any more.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The channel broke.
    #[error("the channel to the guest broke")]
    Broken(#[source] io::Error),
    /// It ended within a frame.
    #[error("a frame was cut off")]
    Cut,
    /// A header claims more than a frame may carry.
    #[error("a frame of {0} bytes is too long")]
    TooLong(u32),
}

/// Reads one frame; `None` when the channel has ended between two.
pub fn read(from: &mut impl Read) -> Result<Option<Frame>, FrameError> {
    let mut header = [0; HEADER];
    let mut filled = 0;
    while filled < HEADER {
        match from.read(&mut header[filled..]) {
            Ok(0) if filled == 0 => return Ok(None),
            Ok(0) => return Err(FrameError::Cut),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(FrameError::Broken(error)),
        }
    }
    let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (stream, length) = (word(0), word(4));
    if length == 0 {
        return Ok(Some(Frame::End(stream)));
    }
    let size = usize::try_from(length)
        .ok()
        .filter(|size| *size <= MOST)
        .ok_or(FrameError::TooLong(length))?;
    let mut bytes = vec![0; size];
    match from.read_exact(&mut bytes) {
        Ok(()) => Ok(Some(Frame::Data(stream, bytes))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(FrameError::Cut),
        Err(error) => Err(FrameError::Broken(error)),
    }
}

/// Writes bytes of a stream, in as many frames as they need. No bytes are no frame.
pub fn write(to: &mut impl Write, stream: u32, bytes: &[u8]) -> io::Result<()> {
    for part in bytes.chunks(MOST) {
        let length = u32::try_from(part.len()).map_err(io::Error::other)?;
        let mut frame = Vec::with_capacity(HEADER + part.len());
        frame.extend_from_slice(&stream.to_le_bytes());
        frame.extend_from_slice(&length.to_le_bytes());
        frame.extend_from_slice(part);
        to.write_all(&frame)?;
    }
    Ok(())
}

/// Ends a stream.
pub fn end(to: &mut impl Write, stream: u32) -> io::Result<()> {
    let mut frame = [0; HEADER];
    frame[..4].copy_from_slice(&stream.to_le_bytes());
    to.write_all(&frame)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(mut bytes: &[u8]) -> (Vec<Frame>, Option<FrameError>) {
        let mut frames = Vec::new();
        loop {
            match read(&mut bytes) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => return (frames, None),
                Err(error) => return (frames, Some(error)),
            }
        }
    }

    #[test]
    fn a_length_that_lies_allocates_nothing_and_ends_the_channel() {
        let mut bytes = 7u32.to_le_bytes().to_vec();
        bytes.extend(u32::MAX.to_le_bytes());
        assert!(matches!(all(&bytes).1, Some(FrameError::TooLong(u32::MAX))));
        let most = u32::try_from(MOST).unwrap();
        let mut bytes = 7u32.to_le_bytes().to_vec();
        bytes.extend(most.to_le_bytes());
        bytes.extend(vec![1; MOST]);
        assert_eq!(
            all(&bytes).0,
            [Frame::Data(7, vec![1; MOST])],
            "the most is allowed"
        );
    }

    #[test]
    fn half_a_frame_is_told_from_the_end() {
        let mut whole = Vec::new();
        write(&mut whole, 3, b"hello").unwrap();
        end(&mut whole, 3).unwrap();
        assert_eq!(all(&whole).0.len(), 2);
        for cut in 1..whole.len() {
            let (_, error) = all(&whole[..cut]);
            // after the first frame, nothing is missing
            assert_eq!(error.is_none(), cut == 13, "{cut}");
        }
    }

    proptest! {
        #[test]
        fn whatever_comes_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..4096)) {
            let (frames, _) = all(&bytes);
            let carried: usize = frames.iter().map(|f| match f {
                Frame::Data(_, bytes) => bytes.len() + HEADER,
                Frame::End(_) => HEADER,
            }).sum();
            prop_assert!(carried <= bytes.len());
        }

        #[test]
        fn what_is_written_is_read(parts in proptest::collection::vec((any::<u32>(), proptest::collection::vec(any::<u8>(), 1..200_000)), 1..4)) {
            let mut bytes = Vec::new();
            for (stream, part) in &parts {
                write(&mut bytes, *stream, part).unwrap();
                end(&mut bytes, *stream).unwrap();
            }
            let (frames, error) = all(&bytes);
            prop_assert!(error.is_none());
            let mut read = Vec::new();
            let mut part = Vec::new();
            for frame in frames {
                match frame {
                    Frame::Data(_, bytes) => part.extend(bytes),
                    Frame::End(stream) => read.push((stream, std::mem::take(&mut part))),
                }
            }
            prop_assert_eq!(read, parts);
        }
    }
}
