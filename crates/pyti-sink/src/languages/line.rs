//! Lines out of a stream of bytes.

/// Bytes of a line beyond which the rest is dropped.
const LONGEST: usize = 16 << 10;

/// What has come of a line so far.
#[derive(Default)]
pub(crate) struct Lines {
    rest: Vec<u8>,
    /// The line was too long, and its end is awaited.
    skipping: bool,
}

impl Lines {
    /// Takes one line, without its end, off the front of what was said; `None` when its end is still to come.
    pub(crate) fn next(&mut self, said: &mut &[u8]) -> Option<Vec<u8>> {
        let end = said.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = said.split_at(end.map_or(said.len(), |end| end + 1));
        *said = rest;
        if !self.skipping {
            let room = LONGEST.saturating_sub(self.rest.len());
            self.rest.extend_from_slice(&piece[..piece.len().min(room)]);
            self.skipping = piece.len() > room;
        }
        end?;
        self.skipping = false;
        let mut line = std::mem::take(&mut self.rest);
        while matches!(line.last(), Some(b'\n' | b'\r')) {
            line.pop();
        }
        Some(line)
    }
}

/// A word and what follows it, without the spaces between.
pub(crate) fn split(line: &[u8]) -> (&[u8], &[u8]) {
    let line = line.trim_ascii();
    match line.iter().position(u8::is_ascii_whitespace) {
        Some(at) => (&line[..at], line[at..].trim_ascii()),
        None => (line, b""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut lines, mut found) = (Lines::default(), Vec::new());
        for mut piece in pieces.iter().copied() {
            while let Some(line) = lines.next(&mut piece) {
                found.push(line);
            }
            assert!(piece.is_empty());
        }
        found
    }

    #[test]
    fn lines_come_whole_however_they_are_cut() {
        let whole = b"one\r\ntwo\n\nthree\r\nrest";
        let expected: Vec<Vec<u8>> = [&b"one"[..], b"two", b"", b"three"].map(<[u8]>::to_vec).to_vec();
        assert_eq!(all(&[whole]), expected);
        let bytes: Vec<&[u8]> = whole.chunks(1).collect();
        assert_eq!(all(&bytes), expected);
    }

    #[test]
    fn long_lines_are_cut() {
        let long = vec![b'a'; 100_000];
        let found = all(&[&long, &long, b"\nshort\n"]);
        assert_eq!(found[0].len(), LONGEST);
        assert_eq!(found[1], b"short");
    }
}
