//! What people run to test, bench and package PyTI.

fn main() {}
