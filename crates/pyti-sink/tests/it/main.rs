//! A sink with real sockets, in a network namespace of each test's own. Nothing leaves its loopback.

#![expect(
    clippy::print_stderr,
    reason = "a skipped test says so where a person reads it"
)]

mod floods;
mod manners;
mod support;
