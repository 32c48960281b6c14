//! Why there is no page.

use axum::http::StatusCode;
use pyti_store::StoreError;

use crate::query::NotAQuery;

/// Why a request is not answered as asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// The question makes no sense.
    #[error("{0}")]
    Bad(&'static str),
    /// Too many ask at once. Later it may work.
    #[error("too many ask at once")]
    Busy,
    /// It took too long.
    #[error("this takes too long now")]
    TooLong,
    /// Something stored is damaged, or could not be read.
    #[error("{0}")]
    Broken(String),
}

impl Fault {
    /// The code of HTTP.
    pub(crate) fn code(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Busy | Self::TooLong => StatusCode::SERVICE_UNAVAILABLE,
            Self::Broken(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What to do now.
    pub(crate) fn hint(&self) -> &'static str {
        match self {
            Self::NotFound(_) => "Look for the project by the first letters of its name.",
            Self::Bad(_) => "Follow the links of the pages: none leads here.",
            Self::Busy | Self::TooLong => "Try again in a few seconds.",
            Self::Broken(_) => "The operator of this service can see more: pyti admin store check.",
        }
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => Self::Busy,
            StoreError::TooLong => Self::TooLong,
            StoreError::NoBlob(_) => Self::NotFound("the recording is not kept any more".to_owned()),
            // paths and statements are not for everybody
            StoreError::Corrupt { .. } | StoreError::CorruptBlob(_) => Self::Broken(error.to_string()),
            _ => Self::Broken("the store cannot be read".to_owned()),
        }
    }
}

impl From<NotAQuery> for Fault {
    fn from(_: NotAQuery) -> Self {
        Self::Bad("the part behind the question mark cannot be read")
    }
}
