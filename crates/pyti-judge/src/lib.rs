//! What a recording came to.
//!
//! Everything here is pure: [`fold`] makes a [`JobRecord`] of a recording's events, [`judge`] says what it came to,
//! [`compare::compare`] says what changed between two runs. The same recording gives the same judgement years later,
//! or a better one, when the rules have become better.
//!
//! * [`record`]: events → what is known of a job; total on every sequence
//! * [`judge`](mod@judge): what is known → a status, reasons, blame
//! * [`patterns`]: what texts of builds, interpreters and tests mean, as data
//! * [`catalog`]: ports, packages and modules that reasons name, as data
//! * [`safety`]: what is known → findings and a verdict, by rules that are data
//! * [`compare`]: two runs side by side
//! * [`perf`]: paired measurements of two releases → an interval of the difference
//! * [`exit`]: exit codes, and which job stands for a release

pub mod catalog;
mod cause;
pub mod compare;
pub mod exit;
pub mod judge;
pub mod patterns;
pub mod perf;
pub mod record;
pub mod safety;
mod step;

pub use exit::{exit_code, headline};
pub use judge::{Judgement, judge, judge_task};
pub use record::{
    Fold, JobRecord, RecordedBlob, RecordedEffect, RecordedFiles, RecordedTrace, TaskRecord, fold,
};
