//! Tests of the judge over whole recordings.

mod attempts;
mod building;
mod comparing;
mod document;
mod folding;
mod judging;
mod properties;
mod support;
