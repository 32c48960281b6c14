//! A real controller on loopback, spoken with over real connections.
#![expect(
    clippy::print_stdout,
    reason = "a skipped test says so, and processes of tests say how far they are"
)]

mod bytes;
mod envelope;
mod feeds;
mod flow;
mod index;
mod leases;
mod lives;
mod support;
mod trust;
