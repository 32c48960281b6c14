//! The program in a virtual machine.
//!
//! It is the part of `pyti` that runs inside: the guest's first process, the agent, and the verbs that read archives and
//! trees in boxes. A program of its own, because it is linked static and read into a guest's memory at every boot, so
//! that everything of the host's side (index, reports, terminal) would only cost.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    if pyti_vm::guest::is_init() {
        return pyti_vm::guest::main(pyti_agent::VERB);
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let rest = || arguments.iter().skip(2).cloned().collect::<Vec<_>>();
    match arguments.get(1).and_then(|verb| verb.to_str()) {
        Some(pyti_agent::VERB) => pyti_agent::main(),
        Some(pyti_archive::unpack::VERB) => pyti_archive::unpack::main(rest()),
        Some(pyti_archive::wheel::VERB) => pyti_archive::wheel::main(rest()),
        Some(pyti_archive::compare::VERB) => pyti_archive::compare::main(rest()),
        Some("__compiler") => {
            let mut rest = rest().into_iter();
            match rest.next() {
                Some(name) => pyti_archive::compilers::main(&name, &rest.collect::<Vec<_>>()),
                None => ExitCode::from(2),
            }
        }
        Some(pyti_discover::VERB) => pyti_discover::main(rest()),
        Some(pyti_discover::survey::VERB) => pyti_discover::survey::main(rest()),
        Some(pyti_services::VERB) => pyti_services::main(rest()),
        Some(pyti_services::SMTP_VERB) => pyti_services::smtp(rest()),
        _ => ExitCode::from(2),
    }
}
