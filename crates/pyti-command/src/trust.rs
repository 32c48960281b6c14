//! Keys, signatures and tokens, as texts that were looked at.

use std::fmt;
use std::str::FromStr;

use pyti_dispatch::WorkerId;
use pyti_model::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Text that is not so many bytes in hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0} bytes as lower-case hexadecimal digits")]
pub struct NotHex(usize);

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex<const N: usize>(text: &str) -> Result<[u8; N], NotHex> {
    let nibble = |digit: u8| match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        _ => Err(NotHex(N)),
    };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(NotHex(N));
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Ok(bytes)
}

macro_rules! hex_type {
    ($(#[doc = $doc:literal])+ $name:ident, $n:literal) => {
        $(#[doc = $doc])+
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub struct $name(pub [u8; $n]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({}…)", stringify!($name), hex(&self.0[..4]))
            }
        }

        impl FromStr for $name {
            type Err = NotHex;

            fn from_str(text: &str) -> Result<Self, NotHex> {
                unhex(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                std::borrow::Cow::<str>::deserialize(deserializer)?
                    .parse()
                    .map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string",
                    "pattern": format!("^[0-9a-f]{{{}}}$", 2 * $n),
                })
            }
        }
    };
}

hex_type!(
    /// A worker's public key, ed25519.
    PublicKey,
    32
);
hex_type!(
    /// A signature, ed25519.
    Signature,
    64
);
hex_type!(
    /// What a controller asks to be signed: once, and within a minute.
    Nonce,
    40
);
hex_type!(
    /// Which controller; made when its data folder is.
    ControllerId,
    16
);

/// What a worker signs for a session. It names the controller, so that no other can use the signature.
pub fn session_text(controller: &ControllerId, worker: &WorkerId, nonce: &Nonce) -> Vec<u8> {
    format!("pyti session 1\n{controller}\n{worker}\n{nonce}\n").into_bytes()
}

/// How the text of a join token begins.
const JOIN: &str = "pyti-join-1";

/// What lets a new worker in, once: given to whoever sets it up. It carries the fingerprint of the controller's own
/// authority, so that the worker knows whom it speaks with from the first byte on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinToken {
    /// Proves that somebody wanted this worker.
    pub secret: Secret,
    /// SHA-256 of the authority's certificate (DER); none where the controller has a certificate that everybody knows.
    pub authority: Option<Digest>,
}

/// Text that is no join token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a join token: it looks like {JOIN}.SECRET.FINGERPRINT")]
pub struct NotAJoinToken;

impl JoinToken {
    /// The whole text, for the person whom it is made for.
    pub fn text(&self) -> Secret {
        let secret = self.secret.expose();
        Secret::new(match &self.authority {
            Some(authority) => format!("{JOIN}.{secret}.{authority}"),
            None => format!("{JOIN}.{secret}"),
        })
    }
}

impl FromStr for JoinToken {
    type Err = NotAJoinToken;

    fn from_str(text: &str) -> Result<Self, NotAJoinToken> {
        let mut parts = text.trim().split('.');
        let (Some(JOIN), Some(secret), authority, None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(NotAJoinToken);
        };
        let authority = authority
            .map(|text| text.parse().map_err(|_| NotAJoinToken))
            .transpose()?;
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        if secret.len() < 32 || secret.len() > 128 || !secret.bytes().all(plain) {
            return Err(NotAJoinToken);
        }
        Ok(Self {
            secret: Secret::new(secret),
            authority,
        })
    }
}

/// What a token lets its holder do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Submit jobs and cancel them.
    Submit,
    /// Everything: workers, tokens, jobs, the store.
    Admin,
}

impl Scope {
    /// All.
    pub const ALL: [Self; 2] = [Self::Submit, Self::Admin];

    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Submit => "submit",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Scope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.word() == text)
            .ok_or_else(|| format!("{text:?} is no scope; there are submit and admin"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn join_tokens_survive_text_and_say_nothing_in_debug() {
        let digest: Digest = "ab".repeat(32).parse().unwrap();
        for authority in [Some(digest), None] {
            let token = JoinToken {
                secret: Secret::new("s3cr3t".repeat(8)),
                authority,
            };
            assert_eq!(token.text().expose().parse::<JoinToken>(), Ok(token.clone()));
            assert!(!format!("{token:?}").contains("s3cr3t"));
        }
        for bad in [
            "",
            "pyti-join-1",
            "pyti-join-1.short",
            "pyti-join-2.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "pyti-join-1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.zz",
            "pyti-join-1.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x.y",
        ] {
            assert_eq!(bad.parse::<JoinToken>(), Err(NotAJoinToken), "{bad}");
        }
    }

    #[test]
    fn keys_are_parsed_not_assumed() {
        let key = PublicKey([7; 32]);
        let text = serde_json::to_string(&key).unwrap();
        assert_eq!(serde_json::from_str::<PublicKey>(&text).unwrap(), key);
        for bad in [
            "\"\"",
            "\"07\"",
            "7",
            "\"0707070707070707070707070707070707070707070707070707070707070G07\"",
        ] {
            assert!(serde_json::from_str::<PublicKey>(bad).is_err(), "{bad}");
        }
    }
}
