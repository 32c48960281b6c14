//! Tokens: made of random bytes, kept as hashes, found by a public name that is part of the hash.

use pyti_command::Secret;
use pyti_command::trust::Scope;
use pyti_dispatch::WorkerId;
use pyti_store::{Store, StoreError};
use serde::{Deserialize, Serialize};

use super::nonces::same;
use crate::controller::now_ms;
use crate::error::ServerError;

/// Where join tokens are kept; the store takes them from there.
pub(crate) const JOINS: &str = "join";
/// Where API tokens are kept.
pub(crate) const TOKENS: &str = "token";
/// Where sessions are kept.
pub(crate) const SESSIONS: &str = "session";

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Join,
    Api,
    Session,
}

impl Kind {
    pub(crate) fn space(self) -> &'static str {
        match self {
            Self::Join => JOINS,
            Self::Api => TOKENS,
            Self::Session => SESSIONS,
        }
    }

    /// How its text begins; a join token's text is made by its own type.
    fn prefix(self) -> &'static str {
        match self {
            Self::Join => "",
            Self::Api => "pyti-api-1.",
            Self::Session => "pyti-session-1.",
        }
    }

    /// The kind that a text is of.
    pub(crate) fn of(text: &str) -> Option<Self> {
        [Self::Api, Self::Session]
            .into_iter()
            .find(|kind| text.starts_with(kind.prefix()))
    }
}

/// What is kept of a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    /// SHA-256 of its text, hexadecimal.
    hash: String,
    /// Whose it is: a worker's name for a session, else what an administrator called it.
    pub(crate) name: String,
    /// What it lets its holder do.
    #[serde(default)]
    pub(crate) scopes: Vec<Scope>,
    /// The only worker that may use it, of a join token.
    #[serde(default)]
    pub(crate) worker: Option<WorkerId>,
    /// Milliseconds since 1970.
    pub(crate) until_ms: u64,
}

/// The public name of a token, from its hash: it says nothing about the text.
fn id_of(hash: &str) -> &str {
    &hash[..16]
}

/// Makes a token and keeps it; its public name, its text, and until when it is good.
pub(crate) fn make(
    store: &Store,
    kind: Kind,
    name: String,
    scopes: Vec<Scope>,
    worker: Option<WorkerId>,
    valid_ms: u64,
) -> Result<(String, Secret, u64), ServerError> {
    let secret = pyti_command::trust::hex(&super::random::<32>()?);
    let text = format!("{}{secret}", kind.prefix());
    let hash = super::hashed(&text);
    let until_ms = now_ms().saturating_add(valid_ms);
    let kept = Kept {
        hash: hash.clone(),
        name,
        scopes,
        worker,
        until_ms,
    };
    let value = serde_json::to_vec(&kept).map_err(|error| ServerError::Config(error.to_string()))?;
    let id = id_of(&hash).to_owned();
    store.keep_put(kind.space(), &id, &value, Some(until_ms))?;
    Ok((id, Secret::new(text), until_ms))
}

/// What is kept of the token with this text, and its public name; `None` if there is none, or it is over.
pub(crate) fn look_up(store: &Store, kind: Kind, text: &str) -> Result<Option<(String, Kept)>, StoreError> {
    if text.len() > 256 {
        return Ok(None);
    }
    let hash = super::hashed(text);
    let id = id_of(&hash);
    let Some(value) = store.keep_get(kind.space(), id)? else {
        return Ok(None);
    };
    let Ok(kept) = serde_json::from_slice::<Kept>(&value) else {
        return Ok(None);
    };
    Ok(same(kept.hash.as_bytes(), hash.as_bytes()).then(|| (id.to_owned(), kept)))
}
