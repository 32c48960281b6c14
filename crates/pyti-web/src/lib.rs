//! The pages of the service, and what it says to programs: JSON of every page, a stream of results, Atom, badges, export, metrics.
//!
//! * [`router`] answers; [`Site`] is what it answers from: a [`pyti_store::Store`], and settings.
//! * What comes from outside (addresses, headers) is parsed in one place, pure; what comes from packages is [`Hostile`] text, which can
//!   only be shown through one renderer.
//! * A recording is hostile too: [`page_main`] reads it in a child that is shut off, and renders the report of `pyti-report` there.
//!
//! docs/web.md tells what, how and why.

mod address;
mod child;
mod door;
mod fault;
mod follow;
mod hostile;
mod moment;
mod others;
mod pages;
mod query;
mod recording;
mod rendered;
mod site;
mod statics;
mod views;
mod words;

pub use child::page_main;
pub use door::router;
pub use hostile::{Hostile, Markup};
pub use recording::{Limits, RecordingError, read_recording};
pub use rendered::Render;
pub use site::{FeedLag, Settings, Site};
