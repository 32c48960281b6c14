//! Reads hostile archives, wheels, and what an installation left behind.
//!
//! What is read here was made by strangers, so it is read inside a box, by hidden verbs of the program:
//! [`unpack`] (`__unpack`), [`wheel`] (`__wheel`), [`compare`] (`__compare`), and the compiler wrappers of
//! [`compilers`]. Each writes one JSON document to a file descriptor, and each has a parser for the other side,
//! which believes nothing of it. [`installed`] and [`metadata`] are pure.
//!
//! Everything is bounded by [`limits::Limits`] before it is allocated or written.

mod archive;
mod arrange;
pub mod compare;
pub mod compilers;
pub mod installed;
pub mod limits;
pub mod metadata;
mod meter;
mod modules;
mod name;
pub mod results;
mod tarball;
mod tree;
pub mod unpack;
mod unzip;
pub mod wheel;
mod zipfile;

pub use limits::Limits;
pub use results::ParseError;
