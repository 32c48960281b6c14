//! The store as those see it who use it.

mod conformance;
mod crash;
mod damage;
mod pages;
mod support;
mod upkeep;
