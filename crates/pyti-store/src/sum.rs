//! A checksum over a row, because a flipped bit inside a value passes the database's own integrity check.

use sha2::{Digest as _, Sha256};

/// Sums up values, each with its length, so that no two rows look alike.
pub(crate) struct Sum(Sha256);

impl Sum {
    pub(crate) fn new(table: &str) -> Self {
        Self(Sha256::new()).text(table)
    }

    pub(crate) fn number(mut self, n: i64) -> Self {
        self.0.update(b"n");
        self.0.update(n.to_le_bytes());
        self
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.0.update(b"t");
        self.0.update((text.len() as u64).to_le_bytes());
        self.0.update(text.as_bytes());
        self
    }

    /// The first 64 bits.
    pub(crate) fn end(self) -> i64 {
        let digest = self.0.finalize();
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&digest[..8]);
        i64::from_le_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_value_ends_matters() {
        assert_ne!(
            Sum::new("t").text("ab").text("c").end(),
            Sum::new("t").text("a").text("bc").end()
        );
        assert_eq!(Sum::new("t").number(1).end(), Sum::new("t").number(1).end());
        assert_ne!(Sum::new("t").number(1).end(), Sum::new("t").number(2).end());
    }
}
