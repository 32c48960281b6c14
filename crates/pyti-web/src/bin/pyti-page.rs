//! Renders one recording, shut off: what the hidden verb `__page` of `pyti` does, for tests and for whoever embeds this crate.

use std::process::ExitCode;

fn main() -> ExitCode {
    pyti_web::page_main()
}
