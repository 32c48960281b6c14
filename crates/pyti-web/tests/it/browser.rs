//! The pages in Chromium, with axe. See `tests/browser.cjs` for what is looked at.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::safety;
use crate::server::{SDIST, Server, file};

/// Says loudly that something is not tested here.
#[expect(clippy::print_stderr, reason = "a test that is skipped must be seen")]
fn skipped(why: &str) {
    eprintln!(
        "SKIPPED: the pages were not looked at in a browser: {why}; `cargo xtask test` installs what is needed"
    );
}

/// The folder with the packages of npm, which `cargo xtask test` fills.
fn modules() -> PathBuf {
    let program = std::env::current_exe().unwrap();
    // target/debug/deps/it-…
    let target = program.ancestors().nth(3).unwrap();
    target.join("node").join("node_modules")
}

fn there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[test]
fn axe_finds_nothing_and_every_page_works_by_keyboard_without_script_and_at_360_pixels() {
    let modules = modules();
    if !Path::new("/usr/bin/chromium").is_file() || !there("node") {
        return skipped("no Chromium or no Node.js");
    }
    if !modules.join("axe-core").is_dir() || !modules.join("puppeteer-core").is_dir() {
        return skipped("axe-core and puppeteer-core are not there");
    }
    let server = Server::with_six();
    let (evil, _) = safety::enemy(&server);
    let harmful = safety::finding(&server);
    let pictures = modules.parent().unwrap().join("pictures");
    std::fs::create_dir_all(&pictures).unwrap();
    let paths = [
        "/".to_owned(),
        "/results".to_owned(),
        "/projects/six".to_owned(),
        "/projects/evil".to_owned(),
        "/results/2".to_owned(),
        format!("/results/{evil}"),
        format!("/results/{harmful}"),
        format!("/compare?a=2&b={evil}"),
        "/findings".to_owned(),
        "/rules".to_owned(),
        "/rules/decoy-read".to_owned(),
        "/reasons".to_owned(),
        "/workers".to_owned(),
        "/jobs/1".to_owned(),
        "/search?q=s".to_owned(),
        "/about".to_owned(),
    ];
    let mut child = Command::new("node")
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser.cjs"))
        .arg(format!("http://localhost:{}", server.address.port()))
        .args([&modules, &pictures])
        .args(&paths)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if line == "FOLLOWING" {
            let info = file("fresh-1", "1.0", "fresh-1.tar.gz");
            let id = server.put(info, "cpython-3.13", SDIST);
            server.site.tell(id);
        }
        said.push(line);
    }
    assert!(child.wait().unwrap().success(), "{said:#?}");
    let wrong: Vec<_> = said.iter().filter(|line| line.starts_with("WRONG")).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(said.contains(&"DONE".to_owned()), "{said:#?}");
}
