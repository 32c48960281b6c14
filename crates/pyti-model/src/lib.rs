//! The nouns of PyTI.
//!
//! Everything that crosses a boundary is a type of this crate: between the worker and the agent in the box,
//! between a recording on disk and the reports made from it, between the command line and a program that reads
//! its JSON. No input or output happens here, and nothing here decides anything.
//!
//! * [`plan`]: what shall be done, frozen so that it can be done again
//! * [`event`]: what happened, one [`event::Envelope`] after another; together they are the *recording*
//! * [`raw`]: what each task found out, its *raw data*
//! * [`overriding`]: what somebody wrote down about how a project is tested
//! * [`outcome`]: what was concluded: [`outcome::Status`], reasons and blame
//! * [`effect`]: what a command in a box did: how it ended, what it cost, what it changed, whom it called
//! * [`trace`]: what the processes of a command did, as seen from outside them
//! * [`quality`]: what was read of a distribution's files, and what is said of their quality
//! * [`finding`]: what a judge found in a recording
//! * [`foreign`]: text that came from a package and is never trusted

mod causes;
pub mod distribution;
pub mod effect;
pub mod event;
pub mod finding;
pub mod foreign;
pub mod image;
pub mod outcome;
pub mod overriding;
pub mod plan;
pub mod quality;
pub mod raw;
pub mod summary;
pub mod trace;

pub use causes::with_causes;
pub use distribution::{Digest, Distribution, FileKind};
pub use foreign::Foreign;
