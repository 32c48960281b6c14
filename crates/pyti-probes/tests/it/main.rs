//! The real probes on the machine's own Pythons: each trap that was met, beside a twin without it.

mod cover;
mod doctest;
mod hook;
mod importer;
mod pytest;
mod pytest_configured;
mod script;
mod start;
mod support;
mod unittest;
