//! Names and numbers: jobs, workers, leases, moments.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A job. Numbers are given in the order of submission and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Text that cannot be a name here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name: expected 1 to 64 of a-z, 0-9 and ._-+:/ beginning with a letter or digit")]
pub struct NotAName;

/// A short name of something that a job needs or a worker has: `linux/x86_64`, `cpython-3.12`, `sandbox`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Label(String);

impl Label {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let fits = |b: u8| plain(b) || b"._-+:/".contains(&b);
        if text.len() <= 64 && text.bytes().next().is_some_and(plain) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAName)
        }
    }
}

impl<'de> Deserialize<'de> for Label {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A worker's name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct WorkerId(pub Label);

impl WorkerId {
    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for WorkerId {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        text.parse().map(Self)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The right to answer for one job: 128 random bits. Whoever knows them and is the worker that they were given to may write.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Lease(pub [u8; 16]);

/// Text that is no lease.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a lease: expected 32 lower-case hexadecimal digits")]
pub struct NotALease;

impl FromStr for Lease {
    type Err = NotALease;

    fn from_str(text: &str) -> Result<Self, NotALease> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return Err(NotALease);
        }
        let mut bytes = [0; 16];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

fn nibble(digit: u8) -> Result<u8, NotALease> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotALease),
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

impl fmt::Debug for Lease {
    /// Only the beginning: what is logged must not be enough to answer with.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lease({:02x}{:02x}…)", self.0[0], self.0[1])
    }
}

impl JsonSchema for Lease {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Lease".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "pattern": "^[0-9a-f]{32}$"})
    }
}

impl Serialize for Lease {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Lease {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

/// A moment on the queue's own clock, in milliseconds. It never goes back, not even over a restart: a controller starts
/// it at the last moment that its ledger knows and adds what a monotonic clock has counted since. It is no date.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Monotonic(pub u64);

impl Monotonic {
    /// So many milliseconds later; at the end of time it stays there.
    #[must_use]
    pub fn after(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds since `earlier`; 0 if that is later.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_survives_text_and_debug_does_not_tell_it() {
        let lease = Lease(*b"0123456789abcdef");
        let text = lease.to_string();
        assert_eq!(text.parse::<Lease>().unwrap(), lease);
        assert!(!format!("{lease:?}").contains(&text[4..]));
        for bad in [
            "",
            "00",
            &text.to_uppercase().replace('6', "G"),
            &format!("{text}0"),
            &"é".repeat(16),
        ] {
            assert_eq!(bad.parse::<Lease>(), Err(NotALease), "{bad}");
        }
    }

    #[test]
    fn names_are_plain() {
        for good in ["linux/x86_64", "cpython-3.13t", "a", "w1.example"] {
            assert!(good.parse::<Label>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "A", "a b", "a\n", "é", &"a".repeat(65)] {
            assert_eq!(bad.parse::<Label>(), Err(NotAName), "{bad}");
        }
    }
}
