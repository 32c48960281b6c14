//! The hidden verb `__parse` as a program of its own, for tests and benchmarks of this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(verb) if verb == pyti_index::parse::VERB => pyti_index::parse::main(arguments.collect()),
        _ => ExitCode::from(2),
    }
}
