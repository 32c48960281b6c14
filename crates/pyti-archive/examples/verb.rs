//! The hidden verbs as a program of their own: `verb __unpack …`; the tests run it.

use std::process::ExitCode;

use pyti_archive::{compare, compilers, unpack, wheel};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    if compilers::is_wrapper_name(&program) {
        return compilers::main(&program, &args.collect::<Vec<_>>());
    }
    let verb = args.next().unwrap_or_default();
    let rest = args.collect();
    match verb.to_str() {
        Some(unpack::VERB) => unpack::main(rest),
        Some(wheel::VERB) => wheel::main(rest),
        Some(compare::VERB) => compare::main(rest),
        _ => ExitCode::from(pyti_archive::results::BAD_ARGUMENTS),
    }
}
