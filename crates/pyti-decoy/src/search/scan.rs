//! Looks for many byte strings at once, under every one-byte XOR key at once.
//!
//! XOR with one key leaves the difference of neighbours as it is: `(a ^ k) ^ (b ^ k) == a ^ b`. So both the patterns
//! and the text are turned into differences, and one pass finds a pattern plain (key 0) and under all 255 keys.
//! The search itself is Wu and Manber's: blocks of four differences say how far it may jump. An automaton
//! (Aho-Corasick) of some thousand patterns outgrows the cache and looks at every byte; this looks at about every sixth.

/// Differences in a block.
const BLOCK: usize = 4;
/// Buckets of blocks, as bits of their hash.
const HASH_BITS: u32 = 16;
/// No bucket.
const NONE: u32 = u32::MAX;
/// Differences of the part of each pattern that is looked up; the rest is compared.
const LONGEST_WINDOW: usize = 19;

/// What was looked for.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    /// The bytes.
    pub(crate) bytes: Vec<u8>,
    /// A number of the caller's: whose it is.
    pub(crate) owner: u32,
    /// A number of the caller's: which form of it.
    pub(crate) form: u8,
}

/// One place where a pattern was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    /// The place of the pattern in the list that the scanner was made of.
    pub(crate) pattern: usize,
    /// Its first byte.
    pub(crate) offset: usize,
    /// The key; 0 when it lies there plainly.
    pub(crate) key: u8,
}

/// Patterns, ready to be looked for.
#[derive(Debug, Clone)]
pub(crate) struct Scanner {
    patterns: Vec<Pattern>,
    /// Differences of each pattern.
    differences: Vec<Vec<u8>>,
    /// Length of the window, differences.
    window: usize,
    /// How far the window may move on, by the hash of its last block.
    shift: Vec<u8>,
    /// The first pattern whose window ends with a block of this hash.
    first: Vec<u32>,
    /// The next such pattern.
    next: Vec<u32>,
}

fn hash(block: &[u8]) -> usize {
    let word = block
        .first_chunk::<BLOCK>()
        .map_or(0, |bytes| u32::from_le_bytes(*bytes));
    (word.wrapping_mul(0x9e37_79b1) >> (32 - HASH_BITS)) as usize
}

fn differences(bytes: &[u8], into: &mut Vec<u8>) {
    into.clear();
    into.extend(
        bytes
            .iter()
            .zip(bytes.get(1..).unwrap_or_default())
            .map(|(a, b)| a ^ b),
    );
}

impl Scanner {
    /// Takes patterns of at least `shortest` bytes; shorter ones are left out.
    pub(crate) fn new(patterns: Vec<Pattern>, shortest: usize) -> Self {
        let shortest = shortest.max(BLOCK + 1);
        let patterns: Vec<Pattern> = patterns
            .into_iter()
            .filter(|p| p.bytes.len() >= shortest)
            .collect();
        let differences: Vec<Vec<u8>> = patterns
            .iter()
            .map(|p| {
                let mut out = Vec::new();
                differences(&p.bytes, &mut out);
                out
            })
            .collect();
        let window = differences
            .iter()
            .map(Vec::len)
            .min()
            .unwrap_or(shortest - 1)
            .min(LONGEST_WINDOW);
        let farthest = u8::try_from(window - BLOCK + 1).unwrap_or(u8::MAX);
        let mut shift = vec![farthest; 1 << HASH_BITS];
        let mut first = vec![NONE; 1 << HASH_BITS];
        let mut next = vec![NONE; patterns.len()];
        for (number, differences) in differences.iter().enumerate() {
            for (end, block) in (BLOCK..=window).zip(differences.windows(BLOCK)) {
                let left = u8::try_from(window - end).unwrap_or(u8::MAX);
                let slot = hash(block);
                shift[slot] = shift[slot].min(left);
                if left == 0 {
                    next[number] = first[slot];
                    first[slot] = u32::try_from(number).unwrap_or(NONE);
                }
            }
        }
        Self {
            patterns,
            differences,
            window,
            shift,
            first,
            next,
        }
    }

    /// The pattern of a match.
    pub(crate) fn pattern(&self, found: Match) -> &Pattern {
        &self.patterns[found.pattern]
    }

    /// Tells each place, in order of their offsets. `room` is scratch space, so that a caller with many texts
    /// need not allocate for each.
    pub(crate) fn scan(&self, bytes: &[u8], room: &mut Vec<u8>, mut found: impl FnMut(Match)) {
        if self.patterns.is_empty() {
            return;
        }
        differences(bytes, room);
        let text = room.as_slice();
        let mut end = self.window;
        while end <= text.len() {
            let slot = hash(&text[end - BLOCK..end]);
            let shift = self.shift[slot];
            if shift > 0 {
                end += usize::from(shift);
                continue;
            }
            let start = end - self.window;
            let mut number = self.first[slot];
            while let Some(differences) = self.differences.get(number as usize) {
                if text[start..].starts_with(differences) {
                    found(Match {
                        pattern: number as usize,
                        offset: start,
                        key: bytes[start] ^ self.patterns[number as usize].bytes[0],
                    });
                }
                number = self.next[number as usize];
            }
            end += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn scanner(patterns: &[&[u8]]) -> Scanner {
        let patterns = patterns
            .iter()
            .zip(0..)
            .map(|(bytes, owner)| Pattern {
                bytes: bytes.to_vec(),
                owner,
                form: 0,
            })
            .collect();
        Scanner::new(patterns, 12)
    }

    fn all(scanner: &Scanner, text: &[u8]) -> Vec<Match> {
        let mut out = Vec::new();
        scanner.scan(text, &mut Vec::new(), |m| out.push(m));
        out
    }

    #[test]
    fn at_the_first_and_at_the_last_byte() {
        let s = scanner(&[b"abcdefghijkl", b"0123456789abcdef"]);
        let found = all(&s, b"abcdefghijkl..0123456789abcdef");
        assert_eq!(
            found.iter().map(|m| (m.pattern, m.offset)).collect::<Vec<_>>(),
            [(0, 0), (1, 14)]
        );
        assert!(all(&s, b"abcdefghijk").is_empty());
        assert!(all(&s, b"").is_empty());
    }

    #[test]
    fn nothing_is_found_without_patterns() {
        assert!(all(&scanner(&[]), b"abcdefghijklmnop").is_empty());
        assert!(all(&scanner(&[b"short"]), b"short short short").is_empty());
    }

    proptest! {
        #[test]
        fn the_same_as_looking_everywhere(
            pattern in prop::collection::vec(any::<u8>(), 12..60),
            other in prop::collection::vec(any::<u8>(), 12..60),
            before in prop::collection::vec(any::<u8>(), 0..200),
            after in prop::collection::vec(any::<u8>(), 0..200),
            key: u8,
        ) {
            let s = scanner(&[&other, &pattern]);
            let text: Vec<u8> = before.iter().copied()
                .chain(pattern.iter().map(|b| b ^ key))
                .chain(after.iter().copied())
                .collect();
            let found = all(&s, &text);
            let looked_for = Match { pattern: 1, offset: before.len(), key };
            prop_assert!(found.contains(&looked_for));
            for m in found {
                let plain: Vec<u8> = text[m.offset..].iter().map(|b| b ^ m.key).collect();
                prop_assert!(plain.starts_with(&s.pattern(m).bytes));
            }
        }
    }
}
