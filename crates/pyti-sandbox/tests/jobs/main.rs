//! Real jobs with real commands in them. The program that they start is `probe.rs`.

#![expect(
    clippy::print_stderr,
    reason = "a skipped test says so where a person reads it"
)]
#![expect(
    clippy::needless_pass_by_value,
    reason = "commands are written in place, and read better without ampersands"
)]

mod calls;
mod layers;
mod limits;
mod linked;
mod network;
mod recorded;
mod support;
mod traces;
mod walls;
