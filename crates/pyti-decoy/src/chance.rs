//! Randomness from 32 given bytes: the same bytes and the same label give the same stream.

use sha2::{Digest as _, Sha256};

/// Letters of both cases and digits.
pub(crate) const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
/// Lower-case hexadecimal digits.
pub(crate) const HEX: &[u8] = b"0123456789abcdef";
/// Lower-case letters and digits.
pub(crate) const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";

/// A stream of bytes: SHA-256 of the entropy, the label and a counter. Each place has a label of its own, so that a
/// new decoy changes none of the others.
#[derive(Debug, Clone)]
pub(crate) struct Chance {
    entropy: [u8; 32],
    label: String,
    counter: u64,
    block: [u8; 32],
    used: usize,
}

impl Chance {
    pub(crate) fn new(entropy: &[u8; 32], label: &str) -> Self {
        Self {
            entropy: *entropy,
            label: label.to_owned(),
            counter: 0,
            block: [0; 32],
            used: 32,
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        if self.used == self.block.len() {
            let mut hasher = Sha256::new();
            hasher.update(self.entropy);
            hasher.update(self.counter.to_le_bytes());
            hasher.update(self.label.as_bytes());
            self.block = hasher.finalize().into();
            self.counter += 1;
            self.used = 0;
        }
        let byte = self.block[self.used];
        self.used += 1;
        byte
    }

    pub(crate) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(crate) fn vec(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.byte()).collect()
    }

    pub(crate) fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }

    /// A number from 0 to `end`, `end` not among them. 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).unwrap_or(u64::MAX).max(1);
        // 64 bits for a handful of choices: the bias is no matter
        usize::try_from(self.number() % end).unwrap_or(0)
    }

    /// A number from `first` to `last`, both among them.
    pub(crate) fn between(&mut self, first: i64, last: i64) -> i64 {
        let width = usize::try_from(last - first + 1).unwrap_or(1);
        first + i64::try_from(self.below(width)).unwrap_or(0)
    }

    /// True once in `times`.
    pub(crate) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(crate) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Characters of an alphabet.
    pub(crate) fn text(&mut self, alphabet: &[u8], length: usize) -> String {
        (0..length).map(|_| char::from(self.pick(alphabet))).collect()
    }

    /// Letters and digits.
    pub(crate) fn word(&mut self, length: usize) -> String {
        self.text(ALPHANUMERIC, length)
    }

    /// A random (version 4) UUID.
    pub(crate) fn uuid(&mut self) -> String {
        let mut bytes: [u8; 16] = self.bytes();
        bytes[6] = bytes[6] & 0x0f | 0x40;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        let hex = hex(&bytes);
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// Another order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(last + 1);
            list.swap(last, other);
        }
    }
}

/// Lower-case hexadecimal digits of bytes.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_again_and_something_else_elsewhere() {
        let word = |entropy: u8, label: &str| Chance::new(&[entropy; 32], label).word(40);
        assert_eq!(word(1, "a"), word(1, "a"));
        assert_ne!(word(1, "a"), word(1, "b"));
        assert_ne!(word(1, "a"), word(2, "a"));
    }

    #[test]
    fn numbers_keep_to_their_bounds() {
        let mut chance = Chance::new(&[3; 32], "x");
        for _ in 0..1000 {
            assert!((-3..=4).contains(&chance.between(-3, 4)));
            assert!(chance.below(3) < 3);
        }
        assert_eq!(chance.below(0), 0);
        let uuid = chance.uuid();
        assert!(uuid.len() == 36 && uuid.as_bytes()[14] == b'4');
    }
}
