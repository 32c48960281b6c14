//! The program that the tests start again as QEMU, and, by `hold IMAGES GUEST MACHINES`, a host that starts a guest and waits.

use std::process::ExitCode;
use std::time::Duration;

#[path = "support.rs"]
mod support;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some(pyti_vm::vmm::VERB) => pyti_vm::vmm::main(),
        Some("hold") => match support::Place::find() {
            Ok(place) => {
                let _guest = place.guest();
                support::tell("ready");
                std::thread::sleep(Duration::from_mins(10));
                ExitCode::SUCCESS
            }
            Err(why) => {
                support::tell(&why);
                ExitCode::FAILURE
            }
        },
        _ => ExitCode::from(2),
    }
}
