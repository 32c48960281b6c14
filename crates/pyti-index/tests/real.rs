//! A real server of the ecosystem: pypiserver, from pip in a temporary environment.
#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{index, metadata, sdist, wheel};
use pyti_index::IndexError;

struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn pypiserver(dir: &Path) -> Option<(Running, u16)> {
    let venv = dir.join("venv");
    let run = |program: &Path, arguments: &[&str]| {
        Command::new(program)
            .args(arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !run(Path::new("python3"), &["-m", "venv", venv.to_str()?]) {
        return None;
    }
    let python = venv.join("bin/python");
    if !run(&python, &["-m", "pip", "install", "-q", "pypiserver"]) {
        return None;
    }
    let packages = dir.join("packages");
    std::fs::create_dir(&packages).ok()?;
    for upload in [
        wheel("demo", "1.0", &["six"], 20_000),
        sdist("demo", "1.0", &metadata("demo", "1.0", &[])),
        wheel("demo_two", "2.0", &[], 5),
    ] {
        std::fs::write(packages.join(&upload.filename), &upload.bytes).ok()?;
    }
    // port 0 is not understood by it, so a free one is asked for first
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .ok()?
        .local_addr()
        .ok()?
        .port();
    let child = Command::new(&python)
        .args([
            "-m",
            "pypiserver",
            "run",
            "-i",
            "127.0.0.1",
            "-p",
            &port.to_string(),
            "--disable-fallback",
            "-v",
        ])
        .arg(&packages)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut running = Running(child);
    let stderr = running.0.stderr.take()?;
    std::thread::spawn(move || BufReader::new(stderr).lines().for_each(drop));
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some((running, port));
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn pypiserver_s_pages_and_files_are_understood() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_owned();
    let Some((_running, port)) = tokio::task::spawn_blocking(move || pypiserver(&root))
        .await
        .unwrap()
    else {
        eprintln!("SKIPPED: no pypiserver: python3 -m venv or pip install failed");
        return;
    };
    let index = index(&format!("http://127.0.0.1:{port}/simple/"), dir.path());
    let project = index.project("demo").await.unwrap();
    assert_eq!(project.files.len(), 2, "{project:?}");
    for file in &project.files {
        assert!(file.sha256.is_some() || file.size.is_none());
        index.metadata(file, None).await.unwrap();
        index.fetch(file, &|_, _| ()).await.unwrap();
    }
    assert_eq!(index.project("Demo.Two").await.unwrap().files.len(), 1);
    let absent = index.project("nobody-has-this").await.unwrap_err();
    assert!(matches!(absent, IndexError::UnknownProject { .. }), "{absent:?}");
    assert_eq!(index.suggest("dmeo").await, ["demo"]);
}
