//! A real controller on loopback, spoken with over real connections.

mod bytes;
mod envelope;
mod feeds;
mod flow;
mod index;
mod leases;
mod lives;
mod support;
mod trust;
