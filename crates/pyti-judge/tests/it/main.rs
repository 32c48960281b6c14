//! Tests of the judge over whole recordings.

mod comparing;
mod document;
mod folding;
mod judging;
mod properties;
mod support;
