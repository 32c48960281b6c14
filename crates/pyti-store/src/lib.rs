//! Where the service keeps everything: one SQLite file for jobs, results and findings, and blobs named by their content.
//!
//! * [`Store`] is a [`pyti_dispatch::JobStore`]: it decides by the same code as the queue in memory, and passes the same suite.
//! * One thread writes; works that wait together are one transaction with one sync. Nobody is answered before it.
//! * Few threads of low priority read; beyond a bound readers are refused, so that no crowd slows the queue.
//! * A blob is written and synced before the row that names it; a row of a result has a checksum, looked at when it is read.
//!
//! docs/store.md tells why so. Every call blocks; asynchronous code makes them on a thread for blocking.

mod blobs;
mod clock;
mod error;
mod feed;
mod keep;
mod ledger;
mod metrics;
mod pages;
mod readers;
mod results;
mod rows;
mod schema;
mod serving;
mod shown;
mod sql;
mod staging;
mod store;
mod sum;
mod upkeep;
mod writer;

pub use blobs::{Blobs, Checked};
pub use clock::Clock;
pub use error::{Result, StoreError};
pub use feed::{Expansion, FeedEvent, OpenEvent, Upload};
pub use keep::AuditRow;
pub use metrics::Figures;
pub use pages::MOST;
pub use results::{Class, Env, FileInfo, NewFinding, NewResult, OUTBOX_FILE, OUTBOX_RESULT, Recording};
pub use schema::NEWEST as NEWEST_SCHEMA;
pub use serving::{Joined, Joining, Submission, Submitted};
pub use shown::{Count, File, FileState, FindingRow, QueueRow, ResultRow, VersionRow};
pub use staging::{Put, SEGMENT_BYTES, Segment, Staging, Stream};
pub use store::{Options, Store};
pub use upkeep::{Backup, Problem, Pruned, Retention};
