//! What can go wrong with the controller, and what of it is told to whom.

use std::path::PathBuf;

use pyti_command::rpc::{RpcError, codes};
use pyti_store::StoreError;

/// Why there is no controller.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The store cannot be opened or used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The configuration cannot be used.
    #[error("the configuration: {0}")]
    Config(String),
    /// A file cannot be used.
    #[error("cannot use {path}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A certificate cannot be made or used.
    #[error("the certificate: {0}")]
    Certificate(String),
    /// The index cannot be used.
    #[error(transparent)]
    Index(#[from] pyti_index::IndexError),
    /// The system has no random numbers.
    #[error("the system has no random numbers")]
    Random,
}

impl ServerError {
    /// For `map_err` beside a path.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, source }
    }
}

/// How an error of the store is told to who asked. What only we can do something about is logged, and told as such.
pub(crate) fn of_store(error: StoreError) -> RpcError {
    match error {
        StoreError::Busy | StoreError::TooLong => RpcError::plain(codes::BUSY).retry_after_ms(1_000),
        StoreError::Full => RpcError::plain(codes::STORAGE_FULL).retry_after_ms(30_000),
        StoreError::Shut => RpcError::plain(codes::SHUTTING_DOWN).retry_after_ms(2_000),
        StoreError::Invalid(why) => RpcError::new(codes::CONFLICT, why),
        StoreError::NoBlob(_) => RpcError::new(codes::NOT_FOUND, "not kept (any more)"),
        other => {
            tracing::error!(error = %pyti_model::with_causes(&other), "the store failed");
            RpcError::plain(codes::INTERNAL)
        }
    }
}

/// The same of an error of the index.
pub(crate) fn of_index(error: &pyti_index::IndexError) -> RpcError {
    RpcError::new(codes::INDEX, pyti_model::with_causes(error))
}
