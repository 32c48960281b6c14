//! A recording, cut into segments: each one frame of zstd, whole lines where they fit, and all of them one after another the
//! recording again.

use std::io::{self, BufRead as _, BufReader, Read};

use pyti_command::raw::{SEGMENT_BYTES, SEGMENTS, UNPACKED_BYTES};

/// How much goes into one segment, unpacked, as long as it stays small enough packed.
const WANTED: usize = 4 << 20;
/// Most bytes of a recording, unpacked.
const CAP: u64 = 4 << 30;

/// Cuts a recording, and gives each segment to `keep`, in order. A recording that breaks off is taken as far as it goes, as its
/// readers do.
pub fn cut(recording: impl Read, mut keep: impl FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    let decoder = zstd::stream::read::Decoder::new(recording)?;
    let mut reader = BufReader::with_capacity(1 << 16, decoder.take(CAP));
    let mut gathered: Vec<u8> = Vec::new();
    let mut count = 0_usize;
    let mut whole = |bytes: Vec<u8>| -> io::Result<()> {
        count += 1;
        if count > SEGMENTS {
            return Err(io::Error::other(format!(
                "the recording has more than {SEGMENTS} segments"
            )));
        }
        keep(bytes)
    };
    loop {
        let begins = gathered.len();
        let most = UNPACKED_BYTES - 1;
        let read = (&mut reader).take(most).read_until(b'\n', &mut gathered);
        let broken = read.map_or(true, |bytes| bytes == 0);
        // the line that ended too much begins the next segment
        if begins > 0 && gathered.len() > WANTED {
            let rest = gathered.split_off(begins);
            packed(&gathered, &mut whole)?;
            gathered = rest;
        }
        if broken {
            break;
        }
    }
    packed(&gathered, &mut whole)
}

/// Packs bytes into one segment, or into several where one would be too big.
fn packed(bytes: &[u8], keep: &mut impl FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    let frame = zstd::bulk::compress(bytes, 3)?;
    if frame.len() <= SEGMENT_BYTES {
        return keep(frame);
    }
    let middle = bytes.len() / 2;
    // behind the line that ends next to the middle, or through a line that is too long for one segment
    let at = bytes[..middle]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(middle, |end| end + 1);
    let (before, after) = bytes.split_at(at);
    packed(before, keep)?;
    packed(after, keep)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recording(lines: &[Vec<u8>]) -> Vec<u8> {
        zstd::bulk::compress(&lines.join(&b'\n'), 1).unwrap()
    }

    /// Bytes that do not get smaller.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 33).to_le_bytes()[0] | 0x80
            })
            .collect()
    }

    fn segments(recording: &[u8]) -> Vec<Vec<u8>> {
        let mut segments = Vec::new();
        cut(recording, |segment| {
            segments.push(segment);
            Ok(())
        })
        .unwrap();
        segments
    }

    #[test]
    fn a_small_recording_is_one_segment() {
        let lines = [b"{\"seq\":0}".to_vec(), b"{\"seq\":1}".to_vec(), Vec::new()];
        let cut = segments(&recording(&lines));
        assert_eq!(cut.len(), 1);
        assert_eq!(zstd::decode_all(&*cut[0]).unwrap(), lines.join(&b'\n'));
        assert!(segments(&recording(&[])).is_empty());
    }

    #[test]
    fn segments_keep_within_both_limits_and_are_the_recording_again() {
        let mut lines: Vec<Vec<u8>> = (0..3000).map(|_| noise(2000)).collect();
        lines.push(vec![b'a'; 40 << 20]);
        lines.push(noise(5 << 20));
        lines.extend((0..200_000).map(|n| format!("{{\"seq\":{n}}}").into_bytes()));
        let whole = lines.join(&b'\n');
        let cut = segments(&recording(&lines));
        let mut again = Vec::new();
        for segment in &cut {
            let unpacked = zstd::decode_all(&**segment).unwrap();
            assert!(segment.len() <= SEGMENT_BYTES && unpacked.len() as u64 <= UNPACKED_BYTES);
            again.extend(unpacked);
        }
        assert!(again == whole, "{} of {}", again.len(), whole.len());
        assert!(cut.len() > 10);
        assert!(zstd::decode_all(&*cut.concat()).unwrap() == whole);
    }

    #[test]
    fn what_breaks_off_is_taken_as_far_as_it_goes() {
        let lines: Vec<Vec<u8>> = (0..100_000)
            .map(|n| format!("{{\"seq\":{n}}}").into_bytes())
            .collect();
        let mut broken = recording(&lines);
        broken.truncate(broken.len() / 2);
        let got: Vec<u8> = segments(&broken)
            .iter()
            .flat_map(|segment| zstd::decode_all(&**segment).unwrap())
            .collect();
        assert!(!got.is_empty() && lines.join(&b'\n').starts_with(&got));
        assert!(cut(&b"no recording"[..], |_| Ok(())).is_ok());
        let full = cut(&*recording(&lines), |_| Err(io::Error::other("full")));
        assert!(full.is_err());
    }
}
