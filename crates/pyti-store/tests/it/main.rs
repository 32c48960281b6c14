//! The store as those see it who use it.

#![expect(
    clippy::print_stdout,
    reason = "what is skipped is told, and children speak to their tests"
)]

mod conformance;
mod crash;
mod damage;
mod pages;
mod support;
mod upkeep;
