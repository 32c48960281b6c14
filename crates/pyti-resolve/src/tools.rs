//! Tools of ours that run in boxes beside a package, in environments of their own: which wheels they are.
//!
//! The locks are in the repository (`locks/`): a tool is the same for everybody and on every day. Of the wheels of a
//! release the one is taken that is made for the interpreter and the machine, else the one for all.

use pyti_model::distribution::Digest;
use pyti_model::plan::Interpreter;
use serde::Deserialize;

use crate::lock::LockError;

const COVERAGE: &str = include_str!("../locks/coverage.toml");

/// Wheels of a tool for one interpreter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolLock {
    /// As an index gives it: pylock.toml with one wheel for each package.
    pub index_lock: String,
    /// Version of the tool itself.
    pub version: String,
    /// File names and digests. What is installed must be these.
    pub wheels: Vec<(String, Digest)>,
}

#[derive(Deserialize)]
struct Document {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Package {
    name: String,
    version: String,
    requires_python: String,
    wheels: Vec<Wheel>,
}

#[derive(Deserialize)]
struct Wheel {
    name: String,
    hashes: Hashes,
}

#[derive(Deserialize)]
struct Hashes {
    sha256: Digest,
}

/// coverage.py for an interpreter, and what it needs to read a project's configuration. `None` when there is none.
pub fn coverage(interpreter: &Interpreter) -> Result<Option<ToolLock>, LockError> {
    of(COVERAGE, "coverage", interpreter)
}

fn of(text: &str, tool: &str, interpreter: &Interpreter) -> Result<Option<ToolLock>, LockError> {
    let document: Document =
        toml::from_str(text).map_err(|e| LockError::Unreadable(e.message().to_owned()))?;
    let numbers: String = interpreter
        .version
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    let Ok(version) = numbers.trim_end_matches('.').parse::<uv_pep440::Version>() else {
        return Ok(None);
    };
    let mut lock = ToolLock {
        index_lock: "lock-version = \"1.0\"\ncreated-by = \"pyti\"\n".to_owned(),
        version: String::new(),
        wheels: Vec::new(),
    };
    for package in document.packages {
        let wanted: uv_pep440::VersionSpecifiers = package
            .requires_python
            .parse()
            .map_err(|_| LockError::Unreadable(format!("{}: requires-python", package.name)))?;
        if !wanted.contains(&version) {
            continue;
        }
        let Some(wheel) = best(&package.wheels, interpreter) else {
            if package.name == tool {
                return Ok(None);
            }
            continue;
        };
        if package.name == tool {
            lock.version.clone_from(&package.version);
        }
        lock.index_lock.push_str(&format!(
            "\n[[packages]]\nname = \"{}\"\nversion = \"{}\"\nwheels = [{{ name = \"{}\", hashes = {{ sha256 = \"{}\" }} }}]\n",
            package.name, package.version, wheel.name, wheel.hashes.sha256
        ));
        lock.wheels
            .push((wheel.name.clone(), wheel.hashes.sha256.clone()));
    }
    Ok((!lock.version.is_empty()).then_some(lock))
}

/// The wheel that was compiled for the interpreter, else the one for all.
fn best<'a>(wheels: &'a [Wheel], interpreter: &Interpreter) -> Option<&'a Wheel> {
    let machine = interpreter
        .platform
        .split_once('_')
        .map_or("", |(_, machine)| machine);
    let mut numbers = interpreter.version.split('.');
    let short = format!("{}{}", numbers.next().unwrap_or(""), numbers.next().unwrap_or(""));
    let abi = format!("cp{short}{}", if interpreter.free_threaded { "t" } else { "" });
    let python = format!("-cp{short}-{abi}-");
    let compiled = wheels.iter().find(|wheel| {
        interpreter.implementation == "cpython"
            && wheel.name.contains(&python)
            && wheel
                .name
                .trim_end_matches(".whl")
                .ends_with(&format!("_{machine}"))
    });
    compiled.or_else(|| wheels.iter().find(|wheel| wheel.name.ends_with("-none-any.whl")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::parse_index_lock;

    fn interpreter(version: &str, implementation: &str, free_threaded: bool) -> Interpreter {
        Interpreter {
            implementation: implementation.to_owned(),
            version: version.to_owned(),
            free_threaded,
            executable: "/usr/bin/python3".to_owned(),
            prefix: "/usr".to_owned(),
            platform: "linux_x86_64".to_owned(),
            has_headers: false,
            image: None,
        }
    }

    #[test]
    fn each_interpreter_gets_one_wheel_of_each_package() {
        for (version, implementation, free, begins) in [
            ("3.8.18", "cpython", false, "coverage-7.6.1-cp38-cp38-"),
            ("3.9.1", "cpython", false, "coverage-7.10.7-cp39-"),
            ("3.11.7", "cpython", false, "coverage-7.17.4-cp311-cp311-"),
            ("3.13.0", "cpython", false, "coverage-7.17.4-cp313-cp313-"),
            ("3.13.0", "cpython", true, "coverage-7.17.4-py3-none-any"),
            ("3.14.0", "cpython", true, "coverage-7.17.4-cp314-cp314t-"),
            ("3.15.0rc1", "cpython", false, "coverage-7.17.4-cp315-cp315-"),
            ("3.11.9", "pypy", false, "coverage-7.17.4-py3-none-any"),
        ] {
            let lock = coverage(&interpreter(version, implementation, free))
                .unwrap()
                .unwrap();
            assert!(
                lock.wheels[0].0.starts_with(begins),
                "{version}: {:?}",
                lock.wheels
            );
            let parsed = parse_index_lock(lock.index_lock.as_bytes()).unwrap();
            assert_eq!(parsed.packages.len(), lock.wheels.len());
            assert!(parsed.packages.iter().all(|p| p.sha256.is_some()));
        }
    }

    #[test]
    fn toml_is_read_by_what_comes_along_where_the_interpreter_cannot() {
        let names = |version| {
            let lock = coverage(&interpreter(version, "cpython", false))
                .unwrap()
                .unwrap();
            lock.wheels
                .iter()
                .map(|(name, _)| name.split('-').next().unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(names("3.10.13"), ["coverage", "tomli"]);
        assert_eq!(names("3.11.7"), ["coverage"]);
    }

    #[test]
    fn there_is_none_for_what_is_too_old() {
        assert_eq!(coverage(&interpreter("3.7.17", "cpython", false)).unwrap(), None);
        assert_eq!(coverage(&interpreter("3.9.18", "pypy", false)).unwrap(), None);
    }
}
