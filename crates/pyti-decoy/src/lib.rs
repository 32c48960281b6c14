//! Decoys: secrets that open nothing and were made to be found.
//!
//! [`Decoys::make`] turns 32 random bytes into the home of a developer: keys, tokens, browser profiles, wallets,
//! history, documents. [`Needles`] finds their secrets in what a command sent, wrote or ran, and [`annotate`] adds
//! what it found to a trace. Nothing here reads a file, a clock or a source of randomness.

mod annotate;
mod browser;
mod chance;
mod cloud;
mod code;
mod date;
mod decoys;
mod document;
mod home;
mod key;
mod machine;
mod persona;
mod search;
mod shell;
mod store;
mod token;
mod wallet;

pub use annotate::{Annotated, Output, annotate};
pub use decoys::{Decoys, Watched};
pub use home::{PlantedFile, PlantedFolder};
pub use machine::Machine;
pub use persona::Persona;
pub use search::{Hit, Looked, Needles, SHORTEST};
