//! Interpreters, and requirements that become locks through an unmodified uv.
//!
//! Nothing here reaches a network. uv is described as commands ([`uv::UvCommand`]) that the caller runs in a box
//! which reaches the lens and nothing else; what comes back is parsed here into types.

mod ask;
pub mod closure;
pub mod explain;
pub mod interpreters;
pub mod lock;
pub mod planfile;
pub mod requirements;
pub mod tools;
pub mod uv;

pub use lock::environment_key;
