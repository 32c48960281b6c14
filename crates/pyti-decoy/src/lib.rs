//! Decoys: secrets that open nothing and were made to be found.
//!
//! [`Decoys::make`] turns 32 random bytes into the home of a developer: keys, tokens, browser profiles, wallets,
//! history, documents. [`Needles`] finds their secrets in what a command sent, wrote or ran, and [`annotate`] adds
//! what it found to a trace. Nothing here reads a file, a clock or a source of randomness.

mod annotate;
mod search;

pub use annotate::{Annotated, Output, annotate};
pub use search::{Hit, Looked, Needles, SHORTEST};
