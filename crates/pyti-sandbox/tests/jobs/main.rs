//! Real jobs with real commands in them. The program that they start is `probe.rs`.

mod layers;
mod limits;
mod support;
mod walls;
