//! Reads what the arguments of a stopped call point at. Everything has a cap; nothing is trusted.

/// Longest path that the kernel takes, its zero included.
pub(crate) const PATH: usize = 4096;
/// First attempt at a text: nearly all are shorter, and less is faster.
const SHORT: usize = 256;
/// Pieces of memory that one call reads.
const PIECES: usize = 64;

/// A text out of a process's memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) bytes: Vec<u8>,
    /// It is longer than was asked for.
    pub(crate) cut: bool,
}

/// Memory of somebody else.
pub(crate) trait Memory {
    /// Reads what is there from each address, up to each length. What cannot be read is cut off: an empty piece is one
    /// of which nothing could be read.
    fn pieces(&self, wanted: &[(u64, usize)]) -> Vec<Vec<u8>>;

    /// A piece of known length, whole.
    fn exactly(&self, address: u64, length: usize) -> Option<Vec<u8>> {
        let piece = self.pieces(&[(address, length)]).pop()?;
        (piece.len() == length).then_some(piece)
    }

    /// Numbers of 64 bits, up to a zero or as many as wanted.
    fn pointers(&self, address: u64, most: usize) -> Option<Vec<u64>> {
        let mut all = Vec::new();
        let mut at = address;
        while all.len() < most {
            let room = to_page_end(at).div_ceil(8).min(most - all.len()).min(64);
            let piece = self.pieces(&[(at, room.max(1) * 8)]).pop().unwrap_or_default();
            if piece.len() < 8 {
                return None;
            }
            for word in piece.chunks_exact(8) {
                let word = word_of(word);
                if word == 0 {
                    return Some(all);
                }
                all.push(word);
                at = at.wrapping_add(8);
            }
        }
        Some(all)
    }

    /// A text that ends with a zero.
    fn text(&self, address: u64, cap: usize) -> Option<Text> {
        self.texts(&[address], cap, cap).pop()?
    }

    /// Texts that end with a zero, each up to a cap, and all together.
    fn texts(&self, addresses: &[u64], cap: usize, total: usize) -> Vec<Option<Text>> {
        let mut left = total;
        let mut all = Vec::with_capacity(addresses.len());
        for part in addresses.chunks(PIECES) {
            let wanted: Vec<_> = part
                .iter()
                .map(|address| (*address, SHORT.min(to_page_end(*address)).min(cap)))
                .collect();
            for (address, piece) in part.iter().zip(self.pieces(&wanted)) {
                let text = self.whole(*address, piece, cap.min(left));
                left = left.saturating_sub(text.as_ref().map_or(0, |text| text.bytes.len()));
                all.push(text);
            }
        }
        all
    }

    /// The rest of a text whose beginning was read.
    fn whole(&self, address: u64, mut piece: Vec<u8>, cap: usize) -> Option<Text> {
        loop {
            if let Some(end) = piece.iter().position(|byte| *byte == 0) {
                let cut = end > cap;
                piece.truncate(end.min(cap));
                return Some(Text { bytes: piece, cut });
            }
            if piece.len() >= cap {
                piece.truncate(cap);
                return Some(Text {
                    bytes: piece,
                    cut: true,
                });
            }
            let next = address.checked_add(piece.len() as u64)?;
            let more = self
                .pieces(&[(next, to_page_end(next).min(cap + 1 - piece.len()))])
                .pop()?;
            if more.is_empty() {
                return None;
            }
            piece.extend(more);
        }
    }
}

fn word_of(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_ne_bytes)
}

/// Bytes up to the next page: what lies beyond may not be there.
fn to_page_end(address: u64) -> usize {
    usize::try_from(4096 - address % 4096).unwrap_or(4096)
}

/// The memory of a stopped thread.
pub(crate) struct Stopped {
    tid: libc::pid_t,
}

impl Stopped {
    pub(crate) fn new(tid: u32) -> Self {
        Self {
            tid: tid.cast_signed(),
        }
    }

    fn read(&self, wanted: &[(u64, usize)], buffer: &mut [u8]) -> usize {
        let remote: Vec<libc::iovec> = wanted
            .iter()
            .map(|(address, length)| libc::iovec {
                iov_base: std::ptr::without_provenance_mut(usize::try_from(*address).unwrap_or(0)),
                iov_len: *length,
            })
            .collect();
        let local = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: the local buffer is as long as it is said to be; the remote pieces are only read, by the kernel,
        // which checks them
        let read = unsafe {
            libc::process_vm_readv(
                self.tid,
                &raw const local,
                1,
                remote.as_ptr(),
                remote.len() as libc::c_ulong,
                0,
            )
        };
        usize::try_from(read).unwrap_or(0)
    }
}

impl Memory for Stopped {
    fn pieces(&self, wanted: &[(u64, usize)]) -> Vec<Vec<u8>> {
        if let [(_, length)] = wanted {
            // by far the most
            let mut buffer = vec![0; *length];
            let read = self.read(wanted, &mut buffer);
            buffer.truncate(read);
            return vec![buffer];
        }
        let mut all = Vec::with_capacity(wanted.len());
        let mut rest = wanted;
        while !rest.is_empty() {
            let part = &rest[..rest.len().min(PIECES)];
            let mut buffer = vec![0; part.iter().map(|(_, length)| length).sum()];
            let read = self.read(part, &mut buffer);
            buffer.truncate(read);
            let (mut at, mut done) = (0, 0);
            for (_, length) in part {
                let end = (at + length).min(read);
                if at >= read && done > 0 {
                    break;
                }
                all.push(buffer[at..end].to_vec());
                done += 1;
                at = end;
                if end == read {
                    break;
                }
            }
            rest = &rest[done..];
        }
        all
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Memory made of pages.
    #[derive(Default)]
    pub(crate) struct Pages(pub(crate) BTreeMap<u64, Vec<u8>>);

    impl Pages {
        /// Puts bytes somewhere; what is not put anywhere is not there.
        pub(crate) fn put(&mut self, address: u64, bytes: &[u8]) {
            for (number, byte) in bytes.iter().enumerate() {
                let at = address + number as u64;
                let page = self.0.entry(at / 4096).or_insert_with(|| vec![0; 4096]);
                page[usize::try_from(at % 4096).unwrap()] = *byte;
            }
        }
    }

    impl Memory for Pages {
        fn pieces(&self, wanted: &[(u64, usize)]) -> Vec<Vec<u8>> {
            let one = |(address, length): &(u64, usize)| {
                let mut out = Vec::new();
                for number in 0..*length as u64 {
                    let Some(at) = address.checked_add(number) else {
                        break;
                    };
                    let Some(page) = self.0.get(&(at / 4096)) else {
                        break;
                    };
                    out.push(page[usize::try_from(at % 4096).unwrap()]);
                }
                out
            };
            wanted.iter().map(one).collect()
        }
    }

    fn own() -> Stopped {
        Stopped::new(std::process::id())
    }

    fn address(bytes: &[u8]) -> u64 {
        bytes.as_ptr().addr() as u64
    }

    #[test]
    fn texts_of_every_length_are_read_and_cut_at_the_cap() {
        for length in [0, 1, 255, 256, 257, 4095, 4096, 5000, 20_000] {
            let mut bytes = vec![b'x'; length];
            bytes.push(0);
            let text = own().text(address(&bytes), PATH).unwrap();
            assert_eq!(text.bytes.len(), length.min(PATH), "{length}");
            assert_eq!(text.cut, length > PATH, "{length}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_read() {
        let memory = own();
        assert_eq!(memory.text(8, PATH), None);
        assert_eq!(memory.exactly(u64::MAX - 3, 8), None);
        assert_eq!(memory.pointers(16, 4), None);
        assert!(memory.text(address(b"fine\0"), PATH).is_some());
    }

    #[test]
    fn a_list_with_a_hole_keeps_the_others() {
        let (one, three) = (b"one\0".to_vec(), b"three\0".to_vec());
        let texts = own().texts(&[address(&one), 16, address(&three)], PATH, 1 << 20);
        let lengths: Vec<_> = texts
            .iter()
            .map(|text| text.as_ref().map(|text| text.bytes.len()))
            .collect();
        assert_eq!(lengths, [Some(3), None, Some(5)]);
    }

    #[test]
    fn a_text_that_ends_where_the_memory_does_is_read() {
        let mut pages = Pages::default();
        pages.put(2 * 4096 - 5, b"/tmp\0");
        assert_eq!(pages.text(2 * 4096 - 5, PATH).unwrap().bytes, b"/tmp");
        pages.put(4 * 4096 - 4, b"/tmp");
        assert_eq!(pages.text(4 * 4096 - 4, PATH), None, "it runs into nothing");
    }

    #[test]
    fn lists_of_pointers_end_at_zero_or_at_the_cap() {
        let list: Vec<u64> = (1..=200).chain([0, 7]).collect();
        let at = list.as_ptr().addr() as u64;
        assert_eq!(own().pointers(at, 1000).unwrap().len(), 200);
        assert_eq!(own().pointers(at, 64).unwrap().len(), 64);
    }
}
