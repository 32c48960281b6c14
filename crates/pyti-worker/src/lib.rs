//! The worker: the environment part of PyTI.
//!
//! It finds what a [`target`] means, fetches files, opens a box, and passes on what the agent in it says: events go
//! to a [`recording`], questions are answered from the index and the caches. Nothing of a package runs here, and
//! nothing of a package is parsed here beyond what the types of `pyti-box` and `pyti-index` let through.

mod baseline;
mod boxed;
mod built;
mod carry;
mod clock;
mod desk;
mod environments;
mod folder;
pub mod folders;
mod job;
mod prepare;
mod provide;
pub mod recording;
pub mod runs;
mod scratch;
mod stop;
pub mod target;
pub mod terminal;
mod tools;
mod tunnels;
mod worker;

pub use boxed::MachineOptions;
pub use carry::{CarryError, Chosen};
pub use clock::now;
pub use job::JobError;
pub use prepare::{Nothing, Prepared, PreparedJob, Progress, Request};
pub use stop::Stop;
pub use tools::ToolError;
pub use worker::{Settings, Worker, WorkerError};
