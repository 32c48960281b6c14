//! The verbs as programs: arguments in, results out of a descriptor.

mod common;

use std::fs;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{listing, put, tar_end, tar_entry};
use pyti_archive::unpack::{Request, Then};
use pyti_archive::{compilers, unpack};

fn program() -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples/verb");
    assert!(
        path.exists(),
        "{} is missing: cargo builds it with `cargo test -p pyti-archive`",
        path.display()
    );
    path
}

/// Runs a command line; gives its output and what it wrote to descriptor 7.
fn run(argv: &[String]) -> (Output, Vec<u8>) {
    let mut results = tempfile::tempfile().unwrap();
    let fd = results.as_raw_fd();
    let mut command = Command::new(&argv[0]);
    command.args(&argv[1..]);
    // SAFETY: dup2 is async-signal-safe, and both descriptors are open in the child.
    unsafe {
        command.pre_exec(move || {
            if libc::dup2(fd, 7) == 7 {
                Ok(())
            } else {
                Err(std::io::Error::last_os_error())
            }
        });
    }
    let output = command.output().unwrap();
    std::io::Seek::rewind(&mut results).unwrap();
    let mut bytes = Vec::new();
    results.read_to_end(&mut bytes).unwrap();
    (output, bytes)
}

fn request(dir: &Path) -> Request {
    let mut tar = Vec::new();
    for name in [
        "p-1/setup.py",
        "p-1/p/__init__.py",
        "p-1/p/tests/test_p.py",
        "p-1/tests/test_a.py",
    ] {
        tar_entry(&mut tar, b'0', name.as_bytes(), b"", b"pass\n");
    }
    tar_entry(&mut tar, b'2', b"p-1/link", b"p", b"");
    tar_end(&mut tar);
    let text = |path: PathBuf| path.to_str().unwrap().to_owned();
    Request {
        archive: text(put(dir, "p-1.tar", &tar)),
        destination: text(dir.join("src")),
        ..Request::default()
    }
}

fn unpack_argv(request: &Request) -> Vec<String> {
    unpack::argv(request, program().to_str().unwrap(), 7)
}

#[test]
fn unpack_writes_results_then_grafts_and_hides() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request(dir.path());
    let site = dir.path().join("site/p/tests");
    request.graft = vec![("p/tests".into(), site.to_str().unwrap().into())];
    request.hide = vec!["p".into(), "not-there".into()];
    let (output, results) = run(&unpack_argv(&request));
    assert!(output.status.success(), "{output:?}");
    let report = unpack::parse(&results).unwrap();
    assert_eq!((report.files, report.fatal), (4, None));
    assert_eq!(
        listing(&dir.path().join("src")),
        ["link -> p", "setup.py", "tests/test_a.py"]
    );
    assert_eq!(listing(&dir.path().join("site")), ["p/tests/test_p.py"]);
}

#[test]
fn denied_hiding_and_grafting_outside_of_the_tree() {
    for part in ["../p-1.tar", "/etc", "link/tests", "."] {
        let dir = tempfile::tempdir().unwrap();
        let mut hiding = request(dir.path());
        hiding.hide = vec![part.into()];
        let report = unpack::parse(&run(&unpack_argv(&hiding)).1).unwrap();
        assert!(report.fatal.is_some(), "{part}");
        let dir = tempfile::tempdir().unwrap();
        let mut grafting = request(dir.path());
        grafting.graft = vec![(part.into(), "/nowhere/at/all".into())];
        let report = unpack::parse(&run(&unpack_argv(&grafting)).1).unwrap();
        assert!(report.fatal.is_some(), "{part}");
    }
}

#[test]
fn unpack_is_followed_by_a_program() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request(dir.path());
    request.then = Some(Then {
        cwd: request.destination.clone(),
        argv: ["sh", "-c", "echo here; ls; echo from-it >&7; exit 3"]
            .map(str::to_owned)
            .into(),
    });
    let (output, results) = run(&unpack_argv(&request));
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(output.stdout, b"here\nlink\np\nsetup.py\ntests\n");
    assert_eq!(results, b"from-it\n", "the verb itself wrote nothing");
}

#[test]
fn a_program_that_cannot_follow_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut request = request(dir.path());
    request.then = Some(Then {
        cwd: "/".into(),
        argv: vec!["no-such-program-at-all".into()],
    });
    let (output, results) = run(&unpack_argv(&request));
    assert_eq!(
        output.status.code(),
        Some(i32::from(pyti_archive::results::NOT_STARTED))
    );
    assert!(unpack::parse(&results).unwrap().fatal.is_some());

    fs::write(&request.archive, b"<html>").unwrap();
    request.then = Some(Then {
        cwd: "/".into(),
        argv: vec!["true".into()],
    });
    let (output, results) = run(&unpack_argv(&request));
    assert_eq!(
        output.status.code(),
        Some(i32::from(pyti_archive::results::NOT_STARTED))
    );
    assert!(unpack::parse(&results).unwrap().fatal.is_some());
}

#[test]
fn denied_arguments_that_make_no_sense() {
    let program = program();
    for args in [
        &["__unpack"][..],
        &["__unpack", "--results", "1", "x"],
        &["__wheel", "x"],
        &["__compare", "--results", "9"],
    ] {
        let output = Command::new(&program).args(args).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(output.stderr.starts_with(b"pyti: "), "{args:?}");
    }
}

#[test]
fn results_that_are_not_results_are_refused() {
    assert!(unpack::parse(b"").is_err());
    assert!(unpack::parse(b"{\"files\": -1}").is_err());
    assert!(unpack::parse(&vec![b' '; 5 << 20]).is_err());
}

/// A folder with a tool, a folder with wrappers of it, and the log.
fn wrapped(tool: &str) -> (tempfile::TempDir, String, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let (real, wrappers) = (dir.path().join("real"), dir.path().join("wrappers"));
    fs::create_dir(&real).unwrap();
    fs::create_dir(&wrappers).unwrap();
    fs::write(real.join("gcc"), tool).unwrap();
    fs::set_permissions(real.join("gcc"), fs::Permissions::from_mode(0o755)).unwrap();
    std::os::unix::fs::symlink(program(), wrappers.join("gcc")).unwrap();
    let path = format!("{}:{}:/usr/bin:/bin", wrappers.display(), real.display());
    let log = dir.path().join("log");
    (dir, path, log)
}

#[test]
fn compilers_are_run_unchanged_and_logged() {
    let (_dir, path, log) =
        wrapped("#!/bin/sh\necho out \"$@\"\necho 'a.c:1: warning: odd' >&2\nprintf 'no end' >&2\nexit 4\n");
    let run = || {
        Command::new("sh")
            .args(["-c", "gcc -c 'a b.c'"])
            .env("PATH", &path)
            .env(compilers::LOG_VARIABLE, &log)
            .output()
    };
    let output = run().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(output.stdout, b"out -c a b.c\n");
    assert_eq!(output.stderr, b"a.c:1: warning: odd\nno end");
    run().unwrap();
    let (calls, dropped) = compilers::parse(&fs::read(&log).unwrap());
    assert_eq!((calls.len(), dropped), (2, 0));
    assert_eq!(calls[0].program, "gcc".into());
    assert_eq!(calls[0].argv, ["-c".into(), "a b.c".into()]);
    assert_eq!((calls[0].exit, calls[0].warnings), (4, 1));
    assert!(calls[0].wall_s > 0.0);
}

#[test]
fn compilers_that_die_or_are_not_there_are_logged() {
    let (_dir, path, log) = wrapped("#!/bin/sh\nkill -SEGV $$\n");
    let status = Command::new("sh")
        .args(["-c", "gcc"])
        .env("PATH", &path)
        .env(compilers::LOG_VARIABLE, &log)
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(139));
    let only_wrappers = path.split(':').next().unwrap();
    let wrapper = Path::new(only_wrappers).join("gcc");
    let status = Command::new(wrapper)
        .env("PATH", only_wrappers)
        .env(compilers::LOG_VARIABLE, &log)
        .output()
        .unwrap();
    assert_eq!(status.status.code(), Some(127));
    let (calls, _) = compilers::parse(&fs::read(&log).unwrap());
    assert_eq!(calls.iter().map(|call| call.exit).collect::<Vec<_>>(), [139, 127]);
}

#[test]
fn a_real_compiler_works_through_its_wrapper() {
    let real = Path::new("/usr/bin/gcc");
    if !real.exists() {
        use std::io::Write as _;
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: a_real_compiler_works_through_its_wrapper: no /usr/bin/gcc here"
        );
        return;
    }
    let (dir, path, log) = wrapped("#!/bin/sh\nexec /usr/bin/gcc \"$@\"\n");
    fs::write(dir.path().join("a.c"), "int main(void) { return 0; }\n").unwrap();
    let output = Command::new("sh")
        .args(["-c", "gcc -o a a.c && ./a"])
        .current_dir(dir.path())
        .env("PATH", path)
        .env(compilers::LOG_VARIABLE, &log)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let (calls, _) = compilers::parse(&fs::read(&log).unwrap());
    assert!(calls[0].cpu_s > 0.0, "{calls:?}");
}
