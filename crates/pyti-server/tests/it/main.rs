//! A real controller on loopback, spoken with over real connections.

mod flow;
mod support;
