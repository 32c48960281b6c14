//! Who may do what: identities, sessions, tokens, rates. docs/security.md is the threat model.

mod identity;
mod nonces;
mod rates;
pub(crate) mod tls;
mod tokens;

use ring::rand::SecureRandom as _;

pub(crate) use identity::{Identity, identify, open_session};
pub(crate) use nonces::Secrets;
pub(crate) use rates::Rates;
pub(crate) use tokens::{JOINS, Kept, Kind, TOKENS, look_up, make};

use crate::error::ServerError;

/// Random bytes that nobody can guess.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], ServerError> {
    let mut bytes = [0; N];
    ring::rand::SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| ServerError::Random)?;
    Ok(bytes)
}

/// SHA-256 in hexadecimal digits.
pub(crate) fn hashed(text: &str) -> String {
    pyti_command::trust::hex(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()).as_ref())
}
