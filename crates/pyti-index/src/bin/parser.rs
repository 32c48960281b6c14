//! The hidden verb `__parse` as a program of its own, for tests and benchmarks of this crate. Its other verb,
//! `__reach`, tells what can be reached, `free` or `shut` off as the reader is.
#![expect(clippy::print_stdout, reason = "the answer of a test helper")]

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next() {
        Some(verb) if verb == pyti_index::parse::VERB => pyti_index::parse::main(arguments.collect()),
        Some(verb) if verb == "__reach" => reach(arguments.next().is_some_and(|how| how == "shut")),
        _ => ExitCode::from(2),
    }
}

fn reach(shut: bool) -> ExitCode {
    let place = std::env::temp_dir().join(format!("pyti-reach-{}", std::process::id()));
    if shut {
        match pyti_index::parse::shut_off() {
            Ok(landlock) => println!("landlock {landlock}"),
            Err(_) => return ExitCode::from(5),
        }
    }
    println!("read {}", std::fs::read("/etc/passwd").is_ok());
    println!("list {}", std::fs::read_dir("/").is_ok());
    println!("write {}", std::fs::write(&place, b"x").is_ok());
    println!("listen {}", std::net::TcpListener::bind("127.0.0.1:0").is_ok());
    println!(
        "run {}",
        std::process::Command::new("/bin/true")
            .status()
            .is_ok_and(|status| status.success())
    );
    // may not have come to be
    let _ = std::fs::remove_file(&place);
    ExitCode::SUCCESS
}
