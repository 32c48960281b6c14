//! The pages over a real store, asked over a real socket, with reports rendered in the real child.

mod browser;
#[path = "../../examples/site/fill.rs"]
mod fill;
mod limits;
mod pages;
mod safety;
mod server;
mod stream;
