//! Services that tests want beside them: databases, queues, a display.
//!
//! The [`catalogue`] is data: which program serves, how its folder is prepared, how it is started and when it is ready.
//! The verb [`VERB`] of the `pyti` program is what runs in the box: it starts services on the loopback that the tests see,
//! waits until they are ready, runs the tests' command beside them, and ends everything ([`supervise`]). What it writes is
//! taken apart from what the tests say by [`split`].
//!
//! How and why so: `docs/services.md`.

pub mod catalogue;
mod locate;
pub mod request;
mod smtp;
mod start;
mod stop;
pub mod supervise;
mod told;

pub use catalogue::{Service, find};
pub use locate::locate;
pub use request::{Request, Wanted};
pub use smtp::{VERB as SMTP_VERB, main as smtp};
pub use supervise::{VERB, main};
pub use told::{Told, split};

/// Where services keep what is theirs, inside a box.
pub const FOLDER: &str = "/var/lib/pyti-services";
/// Places of their sockets and locks, inside a box: nothing there was made by the tests.
pub const SOCKETS: &[&str] = &[
    "/run/postgresql",
    "/run/mysqld",
    "/tmp/.s.PGSQL.5432",
    "/tmp/.X11-unix",
    "/tmp/.X99-lock",
];
