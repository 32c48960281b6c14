//! uv, unmodified: which one, and the commands that it is given.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pyti_model::plan::Installer;
use sha2::{Digest as _, Sha256};

use crate::ask::{TIME_LIMIT, ask};
use crate::lock::{LockError, parse_box_lock};
use crate::requirements::{Refused, plain};

/// The version that is fetched when the machine has none that suits.
pub const UV_VERSION: &str = "0.13.9";
/// A `uv` of the machine is used when its version starts so: its lock form and messages were tried.
const SUITS: &str = "0.13.";
/// The largest program that is unpacked from a wheel, in bytes.
const PROGRAM_CAP: u64 = 256 << 20;
/// Folder in the box for the files of a command.
const FILES: &str = "/tmp/pyti-uv";

/// A wheel of uv on the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UvWheel {
    /// Its file name.
    pub filename: &'static str,
    /// Its SHA-256 digest, in hexadecimal.
    pub sha256: &'static str,
}

const WHEELS: [(&str, UvWheel); 2] = [
    (
        "x86_64",
        UvWheel {
            filename: "uv-0.13.9-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
            sha256: "d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19",
        },
    ),
    (
        "aarch64",
        UvWheel {
            filename: "uv-0.13.9-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl",
            sha256: "5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe",
        },
    ),
];

/// uv cannot be taken from this wheel.
#[derive(Debug, thiserror::Error)]
pub enum UvError {
    /// A file could not be read or written.
    #[error("{what} {path}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not one of the pinned wheels.
    #[error("{path} is not a pinned wheel of uv {UV_VERSION}: its digest is {sha256}")]
    WrongDigest {
        /// The file.
        path: PathBuf,
        /// What it has.
        sha256: String,
    },
    /// The wheel holds no program.
    #[error("{path} holds no uv: {why}")]
    NoProgram {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// The pinned wheel for an architecture as Rust names it (`x86_64`, `aarch64`).
pub fn wheel_for(arch: &str) -> Option<UvWheel> {
    WHEELS
        .iter()
        .find(|(name, _)| *name == arch)
        .map(|(_, wheel)| *wheel)
}

/// A uv of the machine that suits: `PYTI_UV`, then `PATH`. What does not suit, or does not say what it is within 10
/// seconds, is passed over.
pub fn locate(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    locate_within(env, TIME_LIMIT)
}

fn locate_within(env: &dyn Fn(&str) -> Option<String>, limit: Duration) -> Option<PathBuf> {
    let own = env("PYTI_UV").map(PathBuf::from);
    let path = env("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path)
        .filter(|f| f.is_absolute())
        .map(|f| f.join("uv"))
        .collect();
    own.into_iter().chain(on_path).find_map(|candidate| {
        let real = candidate.canonicalize().ok().filter(|p| p.is_file())?;
        let answer = ask(Command::new(&real).arg("--version"), limit).ok()?;
        suits(&answer).then_some(real)
    })
}

/// What this uv says its version is; `None` when it does not say it within 10 seconds.
pub fn version(uv: &Path) -> Option<String> {
    let answer = ask(Command::new(uv).arg("--version"), TIME_LIMIT).ok()?;
    Some(
        std::str::from_utf8(&answer)
            .ok()?
            .strip_prefix("uv ")?
            .split_whitespace()
            .next()?
            .to_owned(),
    )
}

fn suits(answer: &[u8]) -> bool {
    std::str::from_utf8(answer)
        .ok()
        .and_then(|text| text.strip_prefix("uv "))
        .is_some_and(|version| version.starts_with(SUITS))
}

/// Takes the program out of a pinned wheel; the file is verified first, and appears whole or not at all.
///
/// Starting it can fail for a moment with `ETXTBSY` when another thread of the same process forked while the program
/// was being written: unpack before starting other processes, or try again.
pub fn unpack(wheel: &Path, into: &Path) -> Result<PathBuf, UvError> {
    let io = |what, path: &Path| {
        let path = path.to_owned();
        move |source| UvError::Io { what, path, source }
    };
    // What was verified is what is unpacked: one reading, from memory.
    let mut bytes = Vec::new();
    std::fs::File::open(wheel)
        .and_then(|file| file.take(PROGRAM_CAP).read_to_end(&mut bytes))
        .map_err(io("cannot read", wheel))?;
    let sha256 = Sha256::digest(&bytes)
        .iter()
        .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    if !WHEELS.iter().any(|(_, pinned)| pinned.sha256 == sha256) {
        return Err(UvError::WrongDigest {
            path: wheel.to_owned(),
            sha256,
        });
    }
    take_program(&bytes, wheel, into)
}

fn take_program(bytes: &[u8], wheel: &Path, into: &Path) -> Result<PathBuf, UvError> {
    let none = |why: String| UvError::NoProgram {
        path: wheel.to_owned(),
        why,
    };
    let failed = |what, path: &Path, source| UvError::Io {
        what,
        path: path.to_owned(),
        source,
    };
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).map_err(|e| none(e.to_string()))?;
    let name = archive
        .file_names()
        .filter_map(|name| name.ok().map(std::borrow::Cow::into_owned))
        .find(|name| {
            name.split_once('/')
                .is_some_and(|(top, rest)| top.strip_suffix(".data").is_some() && rest == "scripts/uv")
        })
        .ok_or_else(|| none("no *.data/scripts/uv".to_owned()))?;
    let mut program = Vec::new();
    archive
        .by_name(&name)
        .map_err(|e| none(e.to_string()))?
        .take(PROGRAM_CAP)
        .read_to_end(&mut program)
        .map_err(|e| none(e.to_string()))?;
    std::fs::create_dir_all(into).map_err(|e| failed("cannot make", into, e))?;
    let target = into.join("uv");
    let write = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(into)?;
        file.write_all(&program)?;
        file.as_file()
            .set_permissions(std::fs::Permissions::from_mode(0o755))?;
        file.persist(&target)?;
        Ok(())
    };
    write().map_err(|e| failed("cannot write", &target, e))?;
    Ok(target)
}

/// A command for a box. Its environment is complete: nothing else is to be handed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UvCommand {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// Files that must be there: absolute path in the box, and content.
    pub files: Vec<(String, Vec<u8>)>,
}

/// Requirements to be locked.
#[derive(Debug, Clone, Copy)]
pub struct Compile<'a> {
    /// uv in the box.
    pub uv: &'a str,
    /// Real path of the interpreter.
    pub python: &'a str,
    /// The lens's Simple API, an address of one snapshot.
    pub index_url: &'a str,
    /// Requirement lines.
    pub requirements: &'a [String],
    /// Constraint lines.
    pub constraints: &'a [String],
    /// Pre-releases everywhere.
    pub pre: bool,
    /// Only what was uploaded before this moment, RFC 3339.
    pub exclude_newer: Option<&'a str>,
}

fn environment() -> Vec<(String, String)> {
    // uv reads dozens of variables (UV_CONSTRAINT, HTTP_PROXY, …) even with --no-config; these are all it gets.
    [
        ("HOME", "/home/dev"),
        ("LANG", "C.UTF-8"),
        ("NO_PROXY", "127.0.0.1"),
        ("PATH", "/usr/bin:/bin"),
        ("TMPDIR", "/tmp"),
        // whoever asks the index for the lens tries again; here it would only take longer
        ("UV_HTTP_RETRIES", "0"),
        ("UV_HTTP_TIMEOUT", "600"),
        ("UV_LINK_MODE", "copy"),
        ("UV_PYTHON_DOWNLOADS", "never"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .to_vec()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&w| w.to_owned()).collect()
}

/// uv's command that prints the index lock. Every line is parsed and written again; one that would lead uv past the
/// lens is refused.
pub fn compile(request: &Compile<'_>) -> Result<UvCommand, Refused> {
    let lines = |lines: &[String]| -> Result<Vec<u8>, Refused> {
        let plain: Result<Vec<String>, Refused> = lines.iter().map(|line| plain(line)).collect();
        Ok(plain?
            .iter()
            .flat_map(|line| [line.as_bytes(), b"\n"].concat())
            .collect())
    };
    let mut argv = words(&[
        request.uv,
        "pip",
        "compile",
        "--no-config",
        "--no-build",
        "--no-cache",
    ]);
    argv.extend(words(&[
        "--color",
        "never",
        "--no-progress",
        "--no-header",
        "--no-annotate",
    ]));
    argv.extend(words(&["--python", request.python, "--format", "pylock.toml"]));
    argv.extend(words(&["--default-index", request.index_url]));
    if request.pre {
        argv.extend(words(&["--prerelease", "allow"]));
    }
    if let Some(moment) = request.exclude_newer {
        argv.push(format!("--exclude-newer={moment}"));
    }
    let mut files = Vec::new();
    if !request.constraints.is_empty() {
        let path = format!("{FILES}/constraints.txt");
        argv.extend(words(&["--constraints", &path]));
        files.push((path, lines(request.constraints)?));
    }
    argv.push("-".to_owned());
    Ok(UvCommand {
        argv,
        env: environment(),
        stdin: lines(request.requirements)?,
        files,
    })
}

/// An environment to be made from a box lock.
#[derive(Debug, Clone, Copy)]
pub struct MakeEnvironment<'a> {
    /// uv in the box.
    pub uv: &'a str,
    /// Real path of the interpreter.
    pub python: &'a str,
    /// Where the environment will be: `/home/dev/venv`.
    pub venv: &'a str,
    /// What goes into it.
    pub box_lock: &'a str,
}

/// Makes the environment, installs the lock and compiles byte code; the first step that fails ends it with its code.
///
/// Byte code carries the time and size of its source, as pip's does: layers keep modification times when they are
/// mounted or copied, so it stays valid; a test that edits an installed source is noticed, which unchecked hashes
/// would hide; and no source is read and hashed at each import, as with checked ones. A source that does not compile
/// (templates, other Pythons' syntax) is normal in wheels and fails nothing.
pub fn make_environment(request: &MakeEnvironment<'_>) -> Result<UvCommand, LockError> {
    let wheels = parse_box_lock(request.box_lock)?;
    let mut script = String::from(
        "set -e\n\"$1\" venv --no-config --offline --no-cache --no-progress --color never --quiet --python \"$2\" \"$3\"\n",
    );
    let mut files = Vec::new();
    if !wheels.is_empty() {
        script.push_str(
            "\"$1\" pip sync --no-config --offline --no-build --no-cache --no-progress --color never \
             --python \"$3/bin/python\" \"$4\"\n\
             code=0\n\
             \"$3/bin/python\" -I -S -m compileall -q --invalidation-mode timestamp \"$3/lib\" >/dev/null 2>&1 || code=$?\n\
             [ \"$code\" -le 1 ]\n",
        );
        files.push((
            format!("{FILES}/pylock.toml"),
            request.box_lock.as_bytes().to_vec(),
        ));
    }
    // Paths are arguments of the script, never part of its text.
    let mut argv = words(&[
        "/bin/sh",
        "-c",
        &script,
        "sh",
        request.uv,
        request.python,
        request.venv,
    ]);
    argv.push(format!("{FILES}/pylock.toml"));
    Ok(UvCommand {
        argv,
        env: environment(),
        stdin: Vec::new(),
        files,
    })
}

/// One wheel to be installed into an environment, without what it depends on.
#[derive(Debug, Clone, Copy)]
pub struct InstallOne<'a> {
    /// uv in the box.
    pub uv: &'a str,
    /// The environment.
    pub venv: &'a str,
    /// The wheel in the box.
    pub wheel: &'a str,
    /// Who installs.
    pub installer: Installer,
    /// The wheel of pip in the box (such as the one bundled with the interpreter), which runs from where it lies.
    pub pip_wheel: Option<&'a str>,
}

/// The installation of the wheel under test; nothing when pip shall do it and no wheel of pip is given.
pub fn install(request: &InstallOne<'_>) -> Option<UvCommand> {
    let python = format!("{}/bin/python", request.venv);
    let argv = match request.installer {
        Installer::Uv => words(&[
            request.uv,
            "pip",
            "install",
            "--no-config",
            "--offline",
            "--no-deps",
            "--no-index",
            "--no-build",
            "--no-cache",
            "--no-progress",
            "--color",
            "never",
            "--python",
            &python,
            request.wheel,
        ]),
        Installer::Pip => {
            let pip = format!("{}/pip", request.pip_wheel?);
            words(&[
                &python,
                &pip,
                "--isolated",
                "--no-input",
                "--disable-pip-version-check",
                "--no-cache-dir",
                "install",
                "--no-deps",
                "--no-index",
                "--no-color",
                "--progress-bar",
                "off",
                request.wheel,
            ])
        }
    };
    Some(UvCommand {
        argv,
        env: environment(),
        ..UvCommand::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_that_suit() {
        assert!(suits(b"uv 0.13.9 (x86_64-unknown-linux-gnu)\n"));
        assert!(!suits(b"uv 0.12.0\n") && !suits(b"\xff") && !suits(b"0.13.9"));
    }

    #[test]
    fn a_uv_that_hangs_is_passed_over_and_the_next_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let folder = folder.path().join(name);
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("uv"), text).unwrap();
            std::fs::set_permissions(folder.join("uv"), std::fs::Permissions::from_mode(0o755)).unwrap();
            folder
        };
        let hangs = program("hangs", "#!/bin/sh\nexec /bin/sleep 60\n");
        let good = program("good", "#!/bin/sh\necho uv 0.13.9\n");
        let old = program("old", "#!/bin/sh\necho uv 0.4.0\n");
        let path = std::env::join_paths([&old, &hangs, &good])
            .unwrap()
            .into_string()
            .unwrap();
        let env = |name: &str| (name == "PATH").then(|| path.clone());
        // another thread may have forked while the scripts were written: they cannot be started for a moment
        let found = (0..20).find_map(|_| locate_within(&env, Duration::from_millis(500)));
        assert_eq!(found, Some(good.join("uv").canonicalize().unwrap()));
        assert_eq!(version(&good.join("uv")).as_deref(), Some("0.13.9"));
        assert_eq!(version(Path::new("/bin/true")), None);
    }

    #[test]
    fn what_is_not_pinned_is_not_unpacked() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("uv.whl");
        let mut zip = zip::ZipWriter::new(std::fs::File::create(&wheel).unwrap());
        zip.start_file("uv-1.data/scripts/uv", zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(b"#!/bin/sh\n").unwrap();
        zip.finish().unwrap();
        assert!(matches!(
            unpack(&wheel, folder.path()),
            Err(UvError::WrongDigest { .. })
        ));
        assert!(!folder.path().join("uv").exists());
        // The twin: the same bytes pass once the digest is no question.
        let program = take_program(&std::fs::read(&wheel).unwrap(), &wheel, folder.path()).unwrap();
        assert_eq!(program.metadata().unwrap().permissions().mode() & 0o777, 0o755);
    }

    #[test]
    fn direct_references_never_reach_uv() {
        let ask = |line: &str| {
            compile(&Compile {
                uv: "/.pyti/uv",
                python: "/usr/bin/python3",
                index_url: "http://127.0.0.1:1/s/0/simple/",
                requirements: &[line.to_owned()],
                constraints: &[],
                pre: true,
                exclude_newer: None,
            })
        };
        assert!(ask("x @ git+https://example.invalid/x").is_err());
        assert_eq!(ask("x>=1").unwrap().stdin, b"x>=1\n");
    }
}
