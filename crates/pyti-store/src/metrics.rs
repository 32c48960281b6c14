//! Counters of the store.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts while it runs.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    commits: AtomicU64,
    works: AtomicU64,
    reads: AtomicU64,
    busy: AtomicU64,
    late: AtomicU64,
}

/// How the store is doing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Transactions since the start.
    pub commits: u64,
    /// Works in them.
    pub works: u64,
    /// Queries answered.
    pub reads: u64,
    /// Queries refused because too many waited.
    pub busy: u64,
    /// Queries cut off because they took too long.
    pub late: u64,
    /// Size of the database in bytes.
    pub database_bytes: u64,
    /// Size of the write-ahead log in bytes.
    pub wal_bytes: u64,
}

impl Metrics {
    pub(crate) fn group(&self, works: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.works.fetch_add(works as u64, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn busy(&self) {
        self.busy.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn late(&self) {
        self.late.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn figures(&self, database_bytes: u64, wal_bytes: u64) -> Figures {
        Figures {
            commits: self.commits.load(Ordering::Relaxed),
            works: self.works.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            busy: self.busy.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
            database_bytes,
            wal_bytes,
        }
    }
}
