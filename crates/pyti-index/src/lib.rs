//! Index client, file store and lens: what an index offers, parsed into types and checked.
//!
//! [`config::Settings`] says which index and how it is reached, as pip and uv have it; [`Index`] asks it, with
//! retries, caps and a cache on disk; [`select`] chooses among the files of a project without any I/O;
//! [`Lens`] shows an unmodified uv a view of the index in which every answer was checked by us.
//!
//! Everything that an index says is hostile until it is parsed into a type: pages, file names, metadata and
//! archives are size-capped, and bytes of packages are read in a child that can touch nothing ([`parse`]).

pub mod config;
mod error;
pub mod feeds;
mod http;
mod index;
pub mod lens;
mod metadata;
mod names;
pub mod parse;
mod project;
mod redacted;
pub mod requirements;
pub mod select;
mod simple;
mod sort_key;
mod store;
mod suggest;

pub use config::{ConfigError, Overrides, Settings};
pub use error::{IndexError, MetadataError};
pub use index::Index;
pub use lens::{Entry, Lens, Offered, View};
pub use metadata::{MetadataBuilder, classifiers};
pub use names::{NameProblem, ParsedName, parse_any, parse_filename};
pub use project::{Project, ProjectFile, ProjectState, ProjectStatus};
pub use redacted::RedactedUrl;
pub use sort_key::sort_key;
pub use store::{FileStore, PrunePolicy, Pruned, StoreSize};

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Byte caps on what is read from an index.
pub mod caps {
    /// A project page: the largest real ones have some 20 MB.
    pub const PAGE: u64 = 64 << 20;
    /// What a feed tells at once: the root of the largest index has some 30 MB.
    pub const FEED: u64 = 128 << 20;
    /// A metadata file: the largest real ones have some 2 MB (long descriptions).
    pub const METADATA: u64 = 10 << 20;
    /// A distribution file, when nothing smaller was asked for.
    pub const FILE: u64 = 4 << 30;
}
