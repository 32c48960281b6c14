//! What the child that reads packages can reach.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod common;

use std::process::Command;

fn reach(how: &str) -> String {
    let out = Command::new(common::parser())
        .args(["__reach", how])
        .output()
        .unwrap();
    assert!(out.status.success());
    String::from_utf8(out.stdout).unwrap()
}

#[test]
fn denied_everything_when_shut_off() {
    let told = reach("shut");
    if told.starts_with("landlock false") {
        eprintln!("SKIPPED: this kernel has no Landlock");
        return;
    }
    assert_eq!(
        told,
        "landlock true\nread false\nlist false\nwrite false\nlisten false\nrun false\n"
    );
}

#[test]
fn allowed_everything_when_free() {
    assert_eq!(
        reach("free"),
        "read true\nlist true\nwrite true\nlisten true\nrun true\n"
    );
}
