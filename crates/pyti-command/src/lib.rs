//! The Command API: what controller, workers and command line say to each other, as types for all of them.
//!
//! * [`rpc`]: the envelope, JSON-RPC 2.0, with its limits and errors
//! * [`worker`], [`work`], [`job`], [`result`], [`feed`], [`admin`]: the methods, each a type that is a [`Method`]
//! * [`order`]: what a worker is told to do for a job; [`raw`]: segments of recordings and their manifest
//! * [`trust`], [`secret`]: keys, signatures, tokens
//! * [`version`]: which versions of the protocol two programs have in common
//! * [`openrpc`]: all of it described, as docs/openrpc.json
//!
//! docs/protocol.md tells how they are used. Nothing here does input or output.

pub mod admin;
pub mod feed;
pub mod job;
pub mod method;
pub mod openrpc;
pub mod order;
pub mod raw;
pub mod result;
pub mod rpc;
pub mod secret;
pub mod trust;
pub mod version;
pub mod work;
pub mod worker;

pub use method::{Access, Method, Nothing};
pub use secret::Secret;
