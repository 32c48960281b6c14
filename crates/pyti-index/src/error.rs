use std::io;

use pyti_model::distribution::Digest;
use pyti_model::outcome::{Blame, Reason, ReasonCode};

use crate::redacted::RedactedUrl;

/// Why an index gave no answer that can be used.
#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    /// No index knows the name.
    #[error("no index knows a project named {name}")]
    UnknownProject {
        /// The normalised name.
        name: String,
    },
    /// The name is none (PEP 503).
    #[error("not a project name: {0:?}")]
    BadName(String),
    /// Offline, and not in the cache.
    #[error("{what} is not in the cache, and this run is offline")]
    Offline {
        /// Name or file.
        what: String,
    },
    /// No answer: connection, TLS, time.
    #[error("no answer from {url} after {attempts} attempts")]
    Unreachable {
        /// Who was asked.
        url: RedactedUrl,
        /// How often.
        attempts: u32,
        /// The last failure.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An answer with another status than success.
    #[error("{url} answered with status {status} ({attempts} attempts)")]
    Status {
        /// Who was asked.
        url: RedactedUrl,
        /// HTTP status.
        status: u16,
        /// How often.
        attempts: u32,
    },
    /// An answer that is no project page.
    #[error("{url} answered with something that is no project page: {why}")]
    NotAPage {
        /// Who was asked.
        url: RedactedUrl,
        /// What is wrong.
        why: String,
    },
    /// An answer that is no feed.
    #[error("{url} answered with something that is no feed: {why}")]
    NotAFeed {
        /// Who was asked.
        url: RedactedUrl,
        /// What is wrong.
        why: String,
    },
    /// An answer that is larger than it may be.
    #[error("{url} sent more than {cap} bytes")]
    TooBig {
        /// Who was asked.
        url: RedactedUrl,
        /// The cap.
        cap: u64,
    },
    /// Bytes that are not those that the index promised.
    #[error("{filename} has the digest {got}, the index promised {promised}")]
    HashMismatch {
        /// The file.
        filename: String,
        /// What the page says.
        promised: Digest,
        /// What came.
        got: Digest,
    },
    /// A file that is shorter or longer than the index promised.
    #[error("{filename} has {got} bytes, the index promised {promised}")]
    SizeMismatch {
        /// The file.
        filename: String,
        /// What the page says.
        promised: u64,
        /// What came.
        got: u64,
    },
    /// An address that is not fetched: neither http nor https.
    #[error("{0} is neither http nor https")]
    Scheme(RedactedUrl),
    /// The store or the cache cannot be used.
    #[error("cannot {action}")]
    Storage {
        /// What was done.
        action: &'static str,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The HTTP client cannot be made: a certificate or proxy that cannot be used.
    #[error("cannot set up the HTTP client: {what}")]
    Client {
        /// What about it.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl IndexError {
    pub(crate) fn storage(action: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Storage { action, source }
    }

    /// Whose doing it is.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Storage { .. } => Blame::Us,
            _ => Blame::Environment,
        }
    }

    /// The same as a reason of an outcome.
    pub fn reason(&self) -> Reason {
        let code = match self {
            Self::UnknownProject { .. } | Self::BadName(_) => ReasonCode::UnknownProject,
            Self::HashMismatch { .. } | Self::SizeMismatch { .. } => ReasonCode::HashMismatch,
            Self::Storage { .. } => ReasonCode::Storage,
            _ => ReasonCode::Download,
        };
        Reason::new(code, self.to_string()).blaming(self.blame())
    }
}

/// Why the metadata of a file cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// The index.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The archive holds none, or cannot be read.
    #[error("{filename}: {why}")]
    Archive {
        /// The file.
        filename: String,
        /// What is wrong.
        why: String,
    },
    /// It is of another project or version than its file's name says.
    #[error("the metadata of {filename} says {field} {got:?}, the file's name says {expected:?}")]
    Lies {
        /// The file.
        filename: String,
        /// `name` or `version`.
        field: &'static str,
        /// What it says.
        got: String,
        /// What it should say.
        expected: String,
    },
    /// The sdist's metadata must be built, and nobody is there to do it.
    #[error("the metadata of {filename} must be built: {why}")]
    MustBuild {
        /// The file.
        filename: String,
        /// Why its static metadata does not do.
        why: String,
    },
    /// Building it failed.
    #[error("the metadata of {filename} could not be built: {why}")]
    Build {
        /// The file.
        filename: String,
        /// What the builder said.
        why: String,
    },
    /// The child that parses could not do its work.
    #[error("cannot run the parser on {filename}: {why}")]
    Parser {
        /// The file.
        filename: String,
        /// What happened.
        why: String,
    },
}

impl MetadataError {
    /// The same as a reason of an outcome.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Index(error) => error.reason(),
            Self::Archive { .. } => Reason::new(ReasonCode::BadArchive, self.to_string()),
            Self::Lies { .. } => Reason::new(ReasonCode::BadMetadata, self.to_string()),
            Self::MustBuild { .. } | Self::Build { .. } => Reason::new(ReasonCode::Build, self.to_string()),
            Self::Parser { .. } => Reason::new(ReasonCode::Testbed, self.to_string()),
        }
    }
}
