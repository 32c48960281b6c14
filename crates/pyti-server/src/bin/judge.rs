//! The hidden verb `__judge` as a program of its own, for tests of this crate; `__parse` too, because one program does both.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(verb) if verb == pyti_server::judging::VERB => pyti_server::judging::main(arguments.collect()),
        Some(verb) if verb == pyti_index::parse::VERB => pyti_index::parse::main(arguments.collect()),
        _ => ExitCode::from(2),
    }
}
