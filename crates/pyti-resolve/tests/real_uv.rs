//! The commands, given to a real uv: against a tiny index on loopback, and with a harmless wheel of our own.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use pyti_model::plan::{Installer, Interpreter};
use pyti_resolve::explain::{Kind, explain};
use pyti_resolve::lock::{BoxWheel, box_lock, parse_index_lock};
use pyti_resolve::uv::{
    Compile, InstallOne, MakeEnvironment, UvCommand, compile, install, locate, make_environment,
};
use pyti_resolve::{interpreters, uv};
use sha2::{Digest as _, Sha256};

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// An interpreter, and a uv: of the machine, or fetched once by pip into the temporary folder.
///
/// Once for all tests: a process that another test starts while the program is being written would inherit the
/// open file for a moment, and the program could not be run ("text file busy").
fn tools() -> Option<(Interpreter, PathBuf)> {
    static TOOLS: OnceLock<Option<(Interpreter, PathBuf)>> = OnceLock::new();
    TOOLS.get_or_init(find_tools).clone()
}

fn find_tools() -> Option<(Interpreter, PathBuf)> {
    let python = interpreters::choose(&interpreters::find(&env), None);
    let Ok(python) = python else {
        eprintln!("SKIPPED: no CPython on this machine");
        return None;
    };
    if let Some(uv) = locate(&env) {
        return Some((python, uv));
    }
    let Some(wheel) = uv::wheel_for(std::env::consts::ARCH) else {
        eprintln!("SKIPPED: no uv is pinned for this architecture");
        return None;
    };
    let folder = std::env::temp_dir().join(format!("pyti-test-uv-{}", uv::UV_VERSION));
    let file = folder.join(wheel.filename);
    if !file.is_file() {
        let fetched = Command::new(&python.executable)
            .args([
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary",
                ":all:",
                "--dest",
            ])
            .arg(&folder)
            .arg(format!("uv=={}", uv::UV_VERSION))
            .status();
        if !fetched.is_ok_and(|s| s.success()) {
            eprintln!("SKIPPED: uv is not on this machine, and pip could not fetch it");
            return None;
        }
    }
    match uv::unpack(&file, &folder) {
        Ok(uv) => Some((python, uv)),
        Err(why) => panic!("the fetched uv is refused: {why}"),
    }
}

/// Runs a command as a box would; paths under the box's file folder and home are moved into `root`.
fn run(command: &UvCommand, root: &Path) -> Output {
    let moved = |text: &str| text.replace("/tmp/pyti-uv", &root.join("files").display().to_string());
    std::fs::create_dir_all(root.join("files")).unwrap();
    for (path, content) in &command.files {
        std::fs::write(moved(path), content).unwrap();
    }
    let mut child = Command::new(&command.argv[0])
        .args(command.argv[1..].iter().map(|a| moved(a)))
        .env_clear()
        .envs(command.env.iter().cloned())
        .env("HOME", root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&command.stdin).unwrap();
    child.wait_with_output().unwrap()
}

/// An index with one project, `known`, of version 1.0 that is an sdist only. It serves until the test ends.
/// Its placeholder has a digest: without one, uv 0.13.9 fetches the file itself instead of its metadata.
fn index() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/simple/", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            std::thread::spawn(move || {
                let mut request = Vec::new();
                let mut byte = [0];
                while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                    request.push(byte[0]);
                }
                let request = String::from_utf8_lossy(&request).into_owned();
                let path = request.split(' ').nth(1).unwrap_or("");
                let file = "known-1.0-0sdist-py30-none-any.whl";
                let (status, kind, body) = match path {
                    "/simple/known/" => (
                        "200 OK",
                        "application/vnd.pypi.simple.v1+json",
                        format!(
                            r#"{{"meta":{{"api-version":"1.1"}},"name":"known","versions":["1.0"],"files":[{{"filename":"{file}","url":"/f/{file}","hashes":{{"sha256":"0000000000000000000000000000000000000000000000000000000000000000"}},"core-metadata":true,"size":1}}]}}"#
                        ),
                    ),
                    p if p.ends_with(".metadata") => (
                        "200 OK",
                        "text/plain",
                        "Metadata-Version: 2.1\nName: known\nVersion: 1.0\n".to_owned(),
                    ),
                    _ => ("404 Not Found", "text/plain", String::new()),
                };
                let _ = write!(
                    stream,
                    "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                    body.len()
                );
            });
        }
    });
    address
}

#[test]
fn a_release_with_only_an_sdist_is_locked_and_a_missing_name_is_told() {
    let Some((python, uv)) = tools() else { return };
    let folder = tempfile::tempdir().unwrap();
    let index = index();
    let lock = |line: &str| {
        let command = compile(&Compile {
            uv: uv.to_str().unwrap(),
            python: &python.executable,
            index_url: &index,
            requirements: &[line.to_owned()],
            constraints: &["known==1.0".to_owned()],
            pre: false,
            exclude_newer: None,
        });
        run(&command.unwrap(), folder.path())
    };
    let good = lock("known");
    assert!(good.status.success(), "{}", String::from_utf8_lossy(&good.stderr));
    let parsed = parse_index_lock(&good.stdout).unwrap();
    assert_eq!(
        (parsed.packages.len(), parsed.packages[0].is_placeholder),
        (1, true)
    );

    let bad = lock("unknown-thing");
    let told = explain(&bad.stderr, &["unknown-thing".to_owned()]);
    assert_eq!(
        told.kind,
        Kind::MissingName {
            name: "unknown-thing".into()
        },
        "{}",
        told.uv
    );
    let bad = lock("known>=2");
    let told = explain(&bad.stderr, &["known>=2".to_owned()]);
    assert!(
        matches!(told.kind, Kind::Unsatisfiable | Kind::Conflict),
        "{}",
        told.uv
    );
}

fn wheel(folder: &Path, name: &str) -> BoxWheel {
    let filename = format!("{name}-1.0-py3-none-any.whl");
    let path = folder.join(&filename);
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let info = format!("{name}-1.0.dist-info");
    for (file, text) in [
        (format!("{name}.py"), "ANSWER = 42\n".to_owned()),
        (
            format!("{name}_template.py"),
            "this is {{ no python }}\n".to_owned(),
        ),
        (
            format!("{info}/METADATA"),
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"),
        ),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
        (
            format!("{info}/RECORD"),
            format!(
                "{name}.py,,\n{name}_template.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"
            ),
        ),
    ] {
        zip.start_file(file, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
    let sha256 = Sha256::digest(std::fs::read(&path).unwrap())
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
        .parse()
        .unwrap();
    BoxWheel {
        name: name.into(),
        version: "1.0".into(),
        filename,
        path: path.display().to_string(),
        built_from: Some("b".repeat(64).parse().unwrap()),
        sha256,
    }
}

fn bundled_pip(python: &Interpreter) -> Option<String> {
    let code = "import ensurepip, pathlib; print(*(pathlib.Path(ensurepip.__file__).parent / '_bundled').glob('pip-*.whl'))";
    let output = Command::new(&python.executable)
        .args(["-I", "-c", code])
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    Path::new(&path).is_file().then_some(path)
}

#[test]
fn an_environment_is_made_and_a_wrong_digest_is_refused() {
    let Some((python, uv)) = tools() else { return };
    let folder = tempfile::Builder::new().prefix("pyti").tempdir().unwrap();
    let uv = uv.to_str().unwrap();
    let venv = folder.path().join("venv").display().to_string();
    let make = |lock: &str, venv: &str| {
        let request = MakeEnvironment {
            uv,
            python: &python.executable,
            venv,
            box_lock: lock,
        };
        run(&make_environment(&request).unwrap(), folder.path())
    };
    let first = wheel(folder.path(), "pyti_first");
    let made = make(&box_lock(std::slice::from_ref(&first), None), &venv);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let says = |module: &str| {
        let code =
            format!("import {module}, os; print({module}.ANSWER, os.path.exists({module}.__cached__))");
        let python = format!("{venv}/bin/python");
        String::from_utf8(
            Command::new(python)
                .args(["-B", "-c", &code])
                .output()
                .unwrap()
                .stdout,
        )
        .unwrap()
    };
    assert_eq!(says("pyti_first"), "42 True\n");

    let second = wheel(folder.path(), "pyti_second");
    let request = InstallOne {
        uv,
        venv: &venv,
        wheel: &second.path,
        installer: Installer::Uv,
        pip_wheel: None,
    };
    let installed = run(&install(&request).unwrap(), folder.path());
    assert!(
        installed.status.success(),
        "{}",
        String::from_utf8_lossy(&installed.stderr)
    );
    assert_eq!(says("pyti_second"), "42 False\n");

    let third = wheel(folder.path(), "pyti_third");
    if let Some(pip) = bundled_pip(&python) {
        let request = InstallOne {
            uv,
            venv: &venv,
            wheel: &third.path,
            installer: Installer::Pip,
            pip_wheel: Some(&pip),
        };
        let installed = run(&install(&request).unwrap(), folder.path());
        assert!(
            installed.status.success(),
            "{}",
            String::from_utf8_lossy(&installed.stderr)
        );
        assert!(says("pyti_third").starts_with("42 "));
    } else {
        eprintln!("SKIPPED in part: this interpreter bundles no pip");
    }

    let lying = BoxWheel {
        sha256: "0".repeat(64).parse().unwrap(),
        ..first
    };
    let other = folder.path().join("other").display().to_string();
    assert!(!make(&box_lock(&[lying], None), &other).status.success());
    let empty = folder.path().join("empty").display().to_string();
    assert!(make(&box_lock(&[], None), &empty).status.success());
}
