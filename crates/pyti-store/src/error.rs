//! What can go wrong with the store.

use std::io;
use std::path::PathBuf;

/// Why the store could not do something.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another controller has the folder.
    #[error("{0} is in use by another process")]
    InUse(PathBuf),
    /// The database was written by a newer program.
    #[error("the database has schema {found}, and this program knows up to {known}")]
    Newer {
        /// Of the database.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// Too many readers wait already. Later it may work.
    #[error("too many readers at once")]
    Busy,
    /// A query took longer than one may.
    #[error("the query took longer than a second")]
    TooLong,
    /// The disk is full. Reading works, and what was acknowledged is there.
    #[error("the disk is full")]
    Full,
    /// A stored value is not what was written.
    #[error("{table} {id} is not as it was written")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// Which row.
        id: i64,
    },
    /// A blob is not what its name says.
    #[error("blob {0} is not as it was written")]
    CorruptBlob(String),
    /// A blob is not there.
    #[error("no blob {0}")]
    NoBlob(String),
    /// Something given is not acceptable.
    #[error("{0}")]
    Invalid(&'static str),
    /// The writer has stopped.
    #[error("the store is shut")]
    Shut,
    /// The database says.
    #[error("the database: {0}")]
    Sql(#[source] rusqlite::Error),
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err` beside a path.
    pub(crate) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| {
            if source.kind() == io::ErrorKind::StorageFull {
                Self::Full
            } else {
                Self::Io { path, source }
            }
        }
    }

    /// The same again, for each of those whose work was in one transaction.
    pub(crate) fn shared(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            Self::Sql(error) => Self::Sql(copy(error)),
            other => Self::Sql(rusqlite::Error::ToSqlConversionFailure(other.to_string().into())),
        }
    }
}

fn copy(error: &rusqlite::Error) -> rusqlite::Error {
    match error {
        rusqlite::Error::SqliteFailure(code, text) => rusqlite::Error::SqliteFailure(*code, text.clone()),
        other => rusqlite::Error::ToSqlConversionFailure(other.to_string().into()),
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DiskFull) => Self::Full,
            Some(rusqlite::ErrorCode::OperationInterrupted) => Self::TooLong,
            _ => Self::Sql(error),
        }
    }
}

/// What the store gives back.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;
