//! Which interpreters this machine has.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use pyti_model::plan::Interpreter;
use serde::{Deserialize, Serialize};
use uv_pep440::Version;

use crate::ask::TIME_LIMIT;

const CACHE_CAP: u64 = 1 << 20;

/// A program that an interpreter runs to say what it is; asked without the site module, so that nothing that is installed
/// runs.
pub const QUESTION: &str = "\
import sys, os, json, platform, sysconfig
include = sysconfig.get_path('include')
print(json.dumps({
 'implementation': sys.implementation.name,
 'version': platform.python_version(),
 'free_threaded': bool(sysconfig.get_config_var('Py_GIL_DISABLED')),
 'executable': os.path.realpath(sys.executable),
 'prefix': os.path.realpath(sys.base_prefix),
 'platform': sysconfig.get_platform().replace('-', '_').replace('.', '_'),
 'include': include}))
";

/// What was found, and what was there but cannot be used.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Usable interpreters, newest first, each real executable once.
    pub interpreters: Vec<Interpreter>,
    /// One line for each candidate that was left out, with why.
    pub problems: Vec<String>,
}

/// No interpreter suits the request.
#[derive(Debug, thiserror::Error)]
#[error("no interpreter for {request:?}; there are: {}", if .there.is_empty() { "none".to_owned() } else { .there.join(", ") })]
pub struct NoInterpreter {
    /// What was asked for.
    pub request: String,
    /// Titles and versions of those that are there.
    pub there: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Answer {
    implementation: String,
    version: String,
    free_threaded: bool,
    executable: String,
    prefix: String,
    platform: String,
    include: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cached {
    mtime: i64,
    mtime_nsec: i64,
    size: u64,
    answer: Answer,
}

type Cache = BTreeMap<String, Cached>;

/// Finds interpreters; each candidate is asked.
pub fn find(env: &dyn Fn(&str) -> Option<String>) -> Found {
    search(env, &mut Cache::new())
}

/// Finds interpreters; those that have not changed since the last time (path, mtime, size) are not asked again.
/// A cache that cannot be read or written costs time, nothing else.
pub fn find_cached(env: &dyn Fn(&str) -> Option<String>, cache_dir: &Path) -> Found {
    let path = cache_dir.join("interpreters-1.json");
    let mut cache = read_cache(&path).unwrap_or_default();
    let before = cache.len();
    let found = search(env, &mut cache);
    if cache.len() != before || !path.exists() {
        // Another run may write at the same time: whole files only, the last one stays.
        let _ = write_cache(cache_dir, &path, &cache);
    }
    found
}

fn read_cache(path: &Path) -> Option<Cache> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .ok()?
        .take(CACHE_CAP)
        .read_to_end(&mut bytes)
        .ok()?;
    serde_json::from_slice(&bytes).ok()
}

fn write_cache(folder: &Path, path: &Path, cache: &Cache) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let file = tempfile::NamedTempFile::new_in(folder)?;
    serde_json::to_writer(&file, cache)?;
    file.persist(path)?;
    Ok(())
}

fn search(env: &dyn Fn(&str) -> Option<String>, cache: &mut Cache) -> Found {
    let mut found = Found::default();
    let mut seen = BTreeSet::new();
    for candidate in candidates(env) {
        // A script that chooses an interpreter (a shim) has no identity of its own.
        let Ok(real) = candidate.canonicalize() else {
            continue;
        };
        if !seen.insert(real.clone()) || is_script(&real) {
            continue;
        }
        match ask_cached(&real, cache) {
            Ok(answer) => admit(&mut found, answer),
            Err(why) => found.problems.push(format!("{}: {why}", candidate.display())),
        }
    }
    found.interpreters.sort_by_key(|i| std::cmp::Reverse(rank(i)));
    found
}

/// Reads what an interpreter answered to [`QUESTION`] in another root, which lies in this folder.
pub fn answered(bytes: &[u8], root: &Path) -> Result<Interpreter, String> {
    let mut answer: Answer = serde_json::from_slice(bytes).map_err(|e| format!("unreadable answer: {e}"))?;
    let include = Path::new(&answer.include);
    answer.include = root
        .join(include.strip_prefix("/").unwrap_or(include))
        .to_string_lossy()
        .into_owned();
    let mut found = Found::default();
    admit(&mut found, answer);
    let problem = || found.problems.first().cloned().unwrap_or_default();
    found.interpreters.pop().ok_or_else(problem)
}

fn admit(found: &mut Found, answer: Answer) {
    let name = answer.executable.clone();
    let Ok(version) = answer.version.trim_end_matches('+').parse::<Version>() else {
        found.problems.push(format!("{name}: unreadable version"));
        return;
    };
    if version.release()[..] < [3, 8][..] {
        found
            .problems
            .push(format!("{name}: version {} is older than 3.8", answer.version));
    } else if !matches!(answer.implementation.as_str(), "cpython" | "pypy") {
        found.problems.push(format!("{name}: neither CPython nor PyPy"));
    } else if !Path::new(&answer.executable).is_absolute() || !Path::new(&answer.prefix).is_absolute() {
        found
            .problems
            .push(format!("{name}: it does not know where it is"));
    } else if !found
        .interpreters
        .iter()
        .any(|known| known.executable == answer.executable)
    {
        let has_headers = Path::new(&answer.include).join("Python.h").is_file();
        found.interpreters.push(Interpreter {
            implementation: answer.implementation,
            version: version.to_string(),
            free_threaded: answer.free_threaded,
            executable: answer.executable,
            prefix: answer.prefix,
            platform: answer.platform,
            has_headers,
            image: None,
        });
    }
}

/// Final `CPython` with its lock first, then by version.
fn rank(interpreter: &Interpreter) -> (bool, bool, bool, Option<Version>) {
    let version = interpreter.version.parse::<Version>().ok();
    let last = version.as_ref().is_some_and(|v| !v.any_prerelease());
    (
        interpreter.implementation == "cpython",
        last,
        !interpreter.free_threaded,
        version,
    )
}

fn is_interpreter_name(name: &str) -> bool {
    let Some(rest) = name
        .strip_prefix("python3")
        .or_else(|| name.strip_prefix("pypy3"))
    else {
        return false;
    };
    let rest = rest.strip_suffix('t').unwrap_or(rest);
    rest.is_empty()
        || rest
            .strip_prefix('.')
            .is_some_and(|minor| !minor.is_empty() && minor.bytes().all(|b| b.is_ascii_digit()))
}

fn candidates(env: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = Vec::new();
    if let Some(path) = env("PATH") {
        folders.extend(std::env::split_paths(&path).filter(|f| f.is_absolute() && !f.ends_with("shims")));
    }
    folders.push("/usr/local/bin".into());
    folders.push("/usr/bin".into());
    let home = env("HOME").map(PathBuf::from);
    let pyenv = env("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| home.as_ref().map(|h| h.join(".pyenv")));
    if let Some(root) = pyenv {
        folders.extend(below(&root.join("versions")).into_iter().map(|v| v.join("bin")));
    }
    let uv = env("UV_PYTHON_INSTALL_DIR")
        .map(PathBuf::from)
        .or_else(|| env("XDG_DATA_HOME").map(|d| Path::new(&d).join("uv/python")))
        .or_else(|| home.map(|h| h.join(".local/share/uv/python")));
    if let Some(root) = uv {
        folders.extend(below(&root).into_iter().map(|v| v.join("bin")));
    }
    folders
        .iter()
        .flat_map(|folder| below(folder))
        .filter(|path| {
            path.file_name()
                .and_then(|n| n.to_str())
                .is_some_and(is_interpreter_name)
        })
        .collect()
}

/// The entries of a folder, sorted; none when it cannot be read.
fn below(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    paths.sort();
    paths
}

fn is_script(path: &Path) -> bool {
    let mut head = [0; 2];
    std::fs::File::open(path)
        .and_then(|mut f| f.read_exact(&mut head))
        .is_ok()
        && &head == b"#!"
}

fn ask_cached(path: &Path, cache: &mut Cache) -> Result<Answer, String> {
    let meta = path.metadata().map_err(|e| e.to_string())?;
    let key = path.to_string_lossy().into_owned();
    if let Some(known) = cache.get(&key)
        && (known.mtime, known.mtime_nsec, known.size) == (meta.mtime(), meta.mtime_nsec(), meta.size())
    {
        return Ok(known.answer.clone());
    }
    cache.remove(&key);
    let answer = ask(path, TIME_LIMIT)?;
    cache.insert(
        key,
        Cached {
            mtime: meta.mtime(),
            mtime_nsec: meta.mtime_nsec(),
            size: meta.size(),
            answer: answer.clone(),
        },
    );
    Ok(answer)
}

fn ask(path: &Path, limit: Duration) -> Result<Answer, String> {
    let bytes = crate::ask::ask(Command::new(path).args(["-I", "-S", "-c", QUESTION]), limit)?;
    serde_json::from_slice(&bytes).map_err(|e| format!("unreadable answer: {e}"))
}

/// Chooses by a request such as `3.11`, `3.13t`, `3.12.1`, `pypy3.10`, `cpython3.12` or a path; without one, the
/// newest final `CPython` with its global lock.
pub fn choose(found: &Found, request: Option<&str>) -> Result<Interpreter, NoInterpreter> {
    let wanted = |i: &&Interpreter| match request {
        None => {
            i.implementation == "cpython"
                && !i.free_threaded
                && i.version.parse::<Version>().is_ok_and(|v| !v.any_prerelease())
        }
        Some(text) if text.contains('/') => Path::new(text)
            .canonicalize()
            .is_ok_and(|real| real == Path::new(&i.executable)),
        Some(text) => matches_request(i, text),
    };
    found
        .interpreters
        .iter()
        .find(wanted)
        .cloned()
        .ok_or_else(|| NoInterpreter {
            request: request.unwrap_or("newest final CPython").to_owned(),
            there: found
                .interpreters
                .iter()
                .map(|i| format!("{} ({})", i.title(), i.version))
                .collect(),
        })
}

fn matches_request(interpreter: &Interpreter, text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let (implementation, rest) = if let Some(rest) = text.strip_prefix("pypy") {
        ("pypy", rest)
    } else {
        (
            "cpython",
            text.strip_prefix("cpython")
                .or_else(|| text.strip_prefix("python"))
                .unwrap_or(&text),
        )
    };
    let (version, free) = rest.strip_suffix('t').map_or((rest, false), |v| (v, true));
    interpreter.implementation == implementation
        && interpreter.free_threaded == free
        && (version.is_empty()
            || interpreter.version == version
            || interpreter
                .version
                .strip_prefix(version)
                // `3.1` is not `3.11`, and `3.14` takes `3.14.0rc1`.
                .is_some_and(|after| {
                    after.starts_with('.') && version.bytes().all(|b| b.is_ascii_digit() || b == b'.')
                }))
}

/// What must be bound to run it: nothing when it lies in `/usr`, else its prefix. A prefix that others share
/// (`/`, `~/.local`, a home) is never bound whole, only what belongs to the interpreter.
pub fn prefixes(interpreter: &Interpreter) -> Vec<PathBuf> {
    let prefix = Path::new(&interpreter.prefix);
    let executable = Path::new(&interpreter.executable);
    let in_usr = |path: &Path| path.starts_with("/usr") && path != Path::new("/usr/..");
    let mut all = Vec::new();
    let shared = prefix
        .parent()
        .is_none_or(|up| up == Path::new("/home") || up == Path::new("/"))
        || prefix.ends_with(".local");
    if !in_usr(prefix) {
        if shared {
            let name = format!(
                "{}{}",
                if interpreter.implementation == "pypy" {
                    "pypy"
                } else {
                    "python"
                },
                interpreter.short()
            );
            all.extend([prefix.join("lib").join(&name), prefix.join("include").join(&name)]);
            all.extend(below(&prefix.join("lib")).into_iter().filter(|path| {
                path.file_name()
                    .and_then(|n| n.to_str())
                    .is_some_and(|n| n.starts_with(&format!("lib{name}")))
            }));
            all.retain(|path| path.exists());
        } else {
            all.push(prefix.to_owned());
        }
    }
    if !in_usr(executable) && !all.iter().any(|bound| executable.starts_with(bound)) {
        all.push(executable.to_owned());
    }
    all
}

/// Which package brings the missing `Python.h`; nothing when it is there.
pub fn missing_headers_hint(interpreter: &Interpreter) -> Option<String> {
    if interpreter.has_headers {
        None
    } else if interpreter.prefix == "/usr" && interpreter.implementation == "cpython" {
        Some(format!("python3-dev (or python{}-dev)", interpreter.short()))
    } else {
        Some(format!(
            "the development files of {} in {}",
            interpreter.title(),
            interpreter.prefix
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn python(implementation: &str, version: &str, free_threaded: bool) -> Interpreter {
        Interpreter {
            implementation: implementation.into(),
            version: version.into(),
            free_threaded,
            executable: format!("/opt/{implementation}-{version}/bin/python"),
            prefix: format!("/opt/{implementation}-{version}"),
            platform: "linux_x86_64".into(),
            has_headers: true,
            image: None,
        }
    }

    #[test]
    fn requests_choose() {
        let mut found = Found {
            interpreters: vec![
                python("pypy", "3.10.14", false),
                python("cpython", "3.15.0a1", false),
                python("cpython", "3.13.1", true),
                python("cpython", "3.11.7", false),
                python("cpython", "3.13.1", false),
            ],
            problems: Vec::new(),
        };
        found.interpreters.sort_by_key(|i| std::cmp::Reverse(rank(i)));
        let pick =
            |request| choose(&found, request).map(|i| i.executable + if i.free_threaded { "t" } else { "" });
        assert_eq!(pick(None).unwrap(), "/opt/cpython-3.13.1/bin/python");
        assert_eq!(pick(Some("3.13t")).unwrap(), "/opt/cpython-3.13.1/bin/pythont");
        assert_eq!(
            pick(Some("cpython3.11")).unwrap(),
            "/opt/cpython-3.11.7/bin/python"
        );
        assert_eq!(pick(Some("pypy3.10")).unwrap(), "/opt/pypy-3.10.14/bin/python");
        assert_eq!(pick(Some("3.15")).unwrap(), "/opt/cpython-3.15.0a1/bin/python");
        let error = pick(Some("3.1")).unwrap_err();
        assert!(error.to_string().contains("CPython 3.11 (3.11.7)"), "{error}");
    }

    #[test]
    fn only_what_belongs_to_it_is_bound() {
        let mut one = python("cpython", "3.11.7", false);
        assert_eq!(prefixes(&one), [PathBuf::from("/opt/cpython-3.11.7")]);
        one.prefix = "/usr".into();
        one.executable = "/usr/bin/python3.11".into();
        assert!(prefixes(&one).is_empty());
        one.prefix = "/home/someone".into();
        one.executable = "/home/someone/bin/python3.11".into();
        assert_eq!(prefixes(&one), [PathBuf::from("/home/someone/bin/python3.11")]);
    }

    #[test]
    #[expect(clippy::print_stderr, reason = "a skipped test says so")]
    fn this_machine_is_searched_and_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let env = |name: &str| std::env::var(name).ok();
        let first = find_cached(&env, folder.path());
        let second = find_cached(&env, folder.path());
        assert_eq!(first.interpreters, second.interpreters);
        if first.interpreters.is_empty() {
            eprintln!("SKIPPED: no interpreter on this machine");
        }
        assert!(
            first
                .interpreters
                .iter()
                .all(|i| Path::new(&i.executable).is_file())
        );
    }

    #[test]
    fn who_hangs_is_left_out_and_who_answers_is_not() {
        let sleeper = ask(Path::new("/usr/bin/tail"), Duration::from_millis(50));
        assert!(sleeper.is_err());
        assert!(is_interpreter_name("python3.13t") && is_interpreter_name("pypy3"));
        assert!(!is_interpreter_name("python3-config") && !is_interpreter_name("python3.13-config"));
    }
}
