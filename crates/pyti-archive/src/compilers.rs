//! Compiler wrappers: what a build asked of compilers, linkers and build tools, and what they said.
//!
//! A folder of links to the program, one for each tool that is there, stands first in `PATH` of a build. Called by
//! a tool's name, the program runs the next tool of that name in `PATH`, passes everything through unchanged, and
//! appends one line of JSON to the file that [`LOG_VARIABLE`] names.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use pyti_model::Foreign;
use pyti_model::raw::CompilerCall;

/// The environment variable that names the log.
pub const LOG_VARIABLE: &str = "PYTI_COMPILER_LOG";

/// Tools that are wrapped, where they are there. Debian's Python asks for compilers by their long names.
pub const NAMES: &[&str] = &[
    "aarch64-linux-gnu-ar",
    "aarch64-linux-gnu-g++",
    "aarch64-linux-gnu-gcc",
    "aarch64-linux-gnu-ld",
    "ar",
    "as",
    "c++",
    "c99",
    "cargo",
    "cc",
    "clang",
    "clang++",
    "cmake",
    "cython",
    "f77",
    "f95",
    "flang",
    "g++",
    "gcc",
    "gfortran",
    "go",
    "ld",
    "make",
    "meson",
    "ninja",
    "nvcc",
    "rustc",
    "swig",
    "x86_64-linux-gnu-ar",
    "x86_64-linux-gnu-g++",
    "x86_64-linux-gnu-gcc",
    "x86_64-linux-gnu-gfortran",
    "x86_64-linux-gnu-ld",
];

/// Arguments of one call that are kept, and bytes of each.
const ARGUMENTS: usize = 200;
const ARGUMENT_BYTES: usize = 1000;
/// First bytes of what a tool said that are kept.
const SAID_BYTES: usize = 4096;
/// Calls that are read from one log.
const CALLS: usize = 2000;
/// Bytes of one line of the log that are read.
const LINE_BYTES: usize = 512 << 10;
/// Bytes of the log beyond which wrappers write no more.
const LOG_BYTES: u64 = 64 << 20;

/// Whether the program was called by a tool's name.
pub fn is_wrapper_name(argv0: &OsStr) -> bool {
    tool(argv0).is_some()
}

fn tool(argv0: &OsStr) -> Option<&'static str> {
    let name = Path::new(argv0).file_name()?.to_str()?;
    NAMES.iter().copied().find(|known| *known == name)
}

/// The tools of [`NAMES`] that are in one of these folders. Only these may be wrapped: a wrapper for what is not
/// there would make a package believe that it is.
pub fn present_in(folders: &[&Path]) -> Vec<&'static str> {
    NAMES
        .iter()
        .copied()
        .filter(|name| folders.iter().any(|folder| is_program(&folder.join(name))))
        .collect()
}

fn is_program(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// The real tool: the first of that name in `path` that is not this very program.
fn real(name: &str, path: &OsStr) -> Option<PathBuf> {
    let own = fs::metadata("/proc/self/exe")
        .ok()
        .map(|meta| (meta.dev(), meta.ino()));
    env::split_paths(path)
        .map(|folder| folder.join(name))
        .find(|candidate| {
            is_program(candidate) && fs::metadata(candidate).ok().map(|meta| (meta.dev(), meta.ino())) != own
        })
}

/// Runs the real tool in its place, and logs the call. The exit code is the tool's, 128 + signal for signals,
/// 127 when there is no such tool.
pub fn main(argv0: &OsStr, args: &[OsString]) -> ExitCode {
    let Some(name) = tool(argv0) else {
        return crate::results::complain(
            127,
            &format!("{}: not a tool that is wrapped", Path::new(argv0).display()),
        );
    };
    let start = Instant::now();
    let path = env::var_os("PATH").unwrap_or_default();
    let spawned = real(name, &path)
        .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
        .and_then(|program| Command::new(program).args(args).stderr(Stdio::piped()).spawn());
    let (exit, said) = match spawned {
        Ok(child) => watch(child),
        Err(error) => {
            crate::results::complain(127, &format!("{name}: {error}"));
            (127, Said::default())
        }
    };
    let call = CompilerCall {
        program: name.into(),
        argv: args
            .iter()
            .take(ARGUMENTS)
            .map(|arg| Foreign::new(&arg.as_bytes()[..arg.len().min(ARGUMENT_BYTES)]))
            .collect(),
        wall_s: start.elapsed().as_secs_f64(),
        cpu_s: cpu_of_children(),
        exit,
        warnings: said.warnings,
        said: Foreign::new(said.head),
    };
    if let Some(log) = env::var_os(LOG_VARIABLE) {
        append(Path::new(&log), &call);
    }
    ExitCode::from(u8::try_from(exit).unwrap_or(u8::MAX))
}

/// What a tool wrote to standard error.
#[derive(Debug, Default)]
struct Said {
    head: Vec<u8>,
    warnings: u32,
    line: Vec<u8>,
}

impl Said {
    fn take(&mut self, bytes: &[u8]) {
        let room = SAID_BYTES.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend(&bytes[..room]);
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < ARGUMENT_BYTES {
                self.line.push(*byte);
            }
        }
    }

    fn end_line(&mut self) {
        const MARK: &[u8] = b"warning:";
        if self
            .line
            .windows(MARK.len())
            .any(|window| window.eq_ignore_ascii_case(MARK))
        {
            self.warnings = self.warnings.saturating_add(1);
        }
        self.line.clear();
    }
}

/// Passes standard error on until the tool has ended.
fn watch(mut child: Child) -> (i32, Said) {
    let mut said = Said::default();
    if let Some(mut from) = child.stderr.take() {
        let mut buffer = [0; 8192];
        loop {
            match from.read(&mut buffer) {
                Ok(0) => break,
                Ok(got) => {
                    said.take(&buffer[..got]);
                    // the build has closed its standard error: the tool shall not fail for that
                    let _ = io::stderr().write_all(&buffer[..got]);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        said.end_line();
    }
    let exit = child.wait().map_or(127, |status| {
        status.code().or(status.signal().map(|s| 128 + s)).unwrap_or(127)
    });
    (exit, said)
}

/// CPU seconds of the tool and everything that it waited for.
fn cpu_of_children() -> f64 {
    // SAFETY: `rusage` is plain numbers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is to a live, exclusive `rusage`.
    if unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage) } != 0 {
        return 0.0;
    }
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|time| {
            let micros = i32::try_from(time.tv_usec).unwrap_or_default();
            f64::from(i32::try_from(time.tv_sec).unwrap_or(i32::MAX)) + f64::from(micros) / 1e6
        })
        .sum()
}

/// Appends a line, in one write. A log that cannot be written must not fail the build.
fn append(log: &Path, call: &CompilerCall) {
    let Ok(mut line) = serde_json::to_vec(call) else {
        return;
    };
    line.push(b'\n');
    let opened = OpenOptions::new().append(true).create(true).open(log);
    if let Ok(mut file) = opened
        && file.metadata().is_ok_and(|meta| meta.len() < LOG_BYTES)
    {
        let _ = file.write_all(&line);
    }
}

/// Parses a log that a build could have written to as it liked: the calls, and how many lines are not believed
/// or over the cap.
pub fn parse(log: &[u8]) -> (Vec<CompilerCall>, u64) {
    let (mut calls, mut dropped) = (Vec::new(), 0);
    for line in log.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let call = (calls.len() < CALLS && line.len() <= LINE_BYTES)
            .then(|| serde_json::from_slice::<CompilerCall>(line).ok())
            .flatten()
            .filter(|call| call.wall_s >= 0.0 && call.cpu_s >= 0.0 && call.argv.len() <= ARGUMENTS);
        match call {
            Some(call) => calls.push(call),
            None => dropped += 1,
        }
    }
    (calls, dropped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_tools_are_known_by_their_last_component() {
        assert!(NAMES.is_sorted());
        assert!(is_wrapper_name(OsStr::new("/somewhere/gcc")));
        assert!(is_wrapper_name(OsStr::new("cc")));
        assert!(!is_wrapper_name(OsStr::new("/gcc/pyti")));
    }

    #[test]
    fn warnings_are_counted_over_any_cut() {
        let text = b"a.c:1: warning: x\nnote: no warning\nB.c: Warning: y\nlast warning: z";
        for cut in 0..text.len() {
            let mut said = Said::default();
            said.take(&text[..cut]);
            said.take(&text[cut..]);
            said.end_line();
            assert_eq!(said.warnings, 3, "cut at {cut}");
            assert_eq!(said.head, text);
        }
    }

    #[test]
    fn a_log_is_believed_line_by_line() {
        let call = CompilerCall {
            program: "gcc".into(),
            argv: vec!["-c".into()],
            wall_s: 0.5,
            cpu_s: 0.4,
            exit: 1,
            warnings: 2,
            said: "x".into(),
        };
        let mut log = serde_json::to_vec(&call).unwrap();
        log.extend(b"\n{\"lie\": 1}\n\xff\n");
        log.extend(serde_json::to_vec(&call).unwrap());
        let (calls, dropped) = parse(&log);
        assert_eq!((calls, dropped), (vec![call.clone(), call], 2));
        assert_eq!(parse(b""), (Vec::new(), 0));
    }

    #[test]
    fn only_tools_that_are_there_are_wrapped() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("gcc"), "#!/bin/sh\n").unwrap();
        assert_eq!(present_in(&[dir.path()]), Vec::<&str>::new(), "not executable");
        fs::set_permissions(dir.path().join("gcc"), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(present_in(&[dir.path(), Path::new("/nowhere")]), ["gcc"]);
        assert_eq!(real("gcc", dir.path().as_os_str()), Some(dir.path().join("gcc")));
        std::os::unix::fs::symlink("/proc/self/exe", dir.path().join("cc")).unwrap();
        assert_eq!(
            real("cc", dir.path().as_os_str()),
            None,
            "it would call itself without end"
        );
    }
}
