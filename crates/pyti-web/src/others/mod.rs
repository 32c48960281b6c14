//! For programs and feed readers: Atom, badges, files of a result, a stream, an export, metrics.

mod artifact;
mod atom;
mod badge;
mod export;
mod metrics;
mod stream;

pub(crate) use artifact::artifact;
pub(crate) use atom::{project_atom, verdicts_atom};
pub(crate) use badge::badge;
pub(crate) use export::export;
pub(crate) use metrics::{metrics, ready};
pub(crate) use stream::stream;
