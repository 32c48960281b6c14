//! Tests of the judge over whole recordings.

mod building;
mod comparing;
mod document;
mod folding;
mod judging;
mod properties;
mod support;
