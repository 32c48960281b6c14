//! Images: roots of Linux distributions, built here, named by their digest.
//!
//! One image is three things that hold the same files: a folder (for the namespace sandbox, in which no disk image can be
//! mounted), a read-only disk (erofs, for a guest) and a kernel with its modules. `manifest.json` describes them; its
//! digest is the image's name for everything but people.

pub mod apt;
pub mod build;
mod manifest;
mod store;
pub mod tree;

pub use manifest::{Kernel, MANIFEST_FORM, Manifest};
pub use store::{Image, ImageError, Images, Problem, is_name};
