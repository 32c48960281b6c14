//! Reading a command line of the authors: what it runs, behind wrappers such as `coverage run` and `xvfb-run`.

use pyti_model::raw::Runner;

use crate::pytest::words;

/// What a command line runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Runs {
    pub(crate) what: What,
    /// What follows the program.
    pub(crate) arguments: Vec<String>,
    /// Services that a wrapper offers.
    pub(crate) services: Vec<&'static str>,
}

/// A program that runs tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// A runner that is known. Its command may name what it runs.
    Known(Runner),
    /// stestr, testr and ostestr: unittest's tests by way of subunit.
    Stestr,
    /// A file of the tree.
    File(String),
    /// A module, by `python -m`.
    Module(String),
}

/// Reads it; nothing when it is no program that could be one for tests.
pub(crate) fn read(line: &str) -> Option<Runs> {
    // the shell's own words end what is read
    let line = line.split(['|', ';', '\n']).next()?.split("&&").next()?;
    let mut words: Vec<String> = words(line.trim().trim_start_matches(['-', '!', '@']));
    words.truncate(200);
    let mut services = Vec::new();
    for _ in 0..8 {
        if !unwrap(&mut words, &mut services) {
            break;
        }
    }
    let program = words.first()?.clone();
    let rest = || words[1..].to_vec();
    let runs = |what, arguments| {
        Some(Runs {
            what,
            arguments,
            services: services.clone(),
        })
    };
    let name = program.rsplit('/').next().unwrap_or(&program);
    if is_python(name) {
        return of_python(&words[1..]).and_then(|(what, arguments)| runs(what, arguments));
    }
    match name {
        "django-admin" | "django-admin.py" if words.get(1).is_some_and(|w| w == "test") => {
            runs(What::Known(Runner::Django), words[2..].to_vec())
        }
        "manage.py" if words.get(1).is_some_and(|w| w == "test") => {
            runs(What::File(program.trim_start_matches("./").to_owned()), rest())
        }
        "setup.py" => of_setup(&words[1..]).and_then(|what| runs(what, Vec::new())),
        _ if name.ends_with(".py") => runs(What::File(program.trim_start_matches("./").to_owned()), rest()),
        _ => of_name(name, &words[1..]).and_then(|what| runs(what, rest())),
    }
}

/// Runners that have a program of their own.
fn of_name(name: &str, arguments: &[String]) -> Option<What> {
    Some(match name {
        "pytest" | "py.test" => What::Known(Runner::Pytest),
        "zope-testrunner" => What::Known(Runner::Zope),
        "test" if arguments.iter().all(|a| a.starts_with('-')) && !arguments.is_empty() => {
            // buildout's bin/test; a shell's `test -d x` has other words
            return arguments
                .iter()
                .any(|a| a == "-vc" || a == "-1")
                .then_some(What::Known(Runner::Zope));
        }
        "trial" => What::Known(Runner::Trial),
        "nose2" => What::Known(Runner::Nose2),
        "unit2" | "green" | "nosetests" => What::Known(Runner::Unittest),
        "stestr" | "testr" | "ostestr" => What::Stestr,
        _ => return None,
    })
}

fn of_python(words: &[String]) -> Option<(What, Vec<String>)> {
    let mut words = words.iter();
    loop {
        let word = words.next()?;
        match word.as_str() {
            "-m" => {
                let module = words.next()?;
                let rest: Vec<String> = words.cloned().collect();
                return Some((of_module(module, &rest)?, rest));
            }
            "-W" | "-X" | "--check-hash-based-pycs" => drop(words.next()),
            "-c" => return None,
            option if option.starts_with('-') => {}
            file if file.ends_with("setup.py") => {
                let rest: Vec<String> = words.cloned().collect();
                return Some((of_setup(&rest)?, Vec::new()));
            }
            file if file.rsplit('/').next().is_some_and(|n| n.ends_with(".py")) => {
                let file = file.trim_start_matches("./").to_owned();
                return Some((What::File(file), words.cloned().collect()));
            }
            // python $(which trial), python bin/pytest
            other => {
                let rest: Vec<String> = words.cloned().collect();
                return Some((of_name(other.rsplit('/').next()?, &rest)?, rest));
            }
        }
    }
}

fn of_module(module: &str, rest: &[String]) -> Option<What> {
    Some(match module {
        "pytest" => What::Known(Runner::Pytest),
        "unittest" | "unittest2" | "nose" | "green" => What::Known(Runner::Unittest),
        "zope.testrunner" => What::Known(Runner::Zope),
        "twisted.trial" => What::Known(Runner::Trial),
        "nose2" => What::Known(Runner::Nose2),
        "stestr" => What::Stestr,
        "django" if rest.first().is_some_and(|w| w == "test") => What::Known(Runner::Django),
        "doctest" => What::Known(Runner::Doctest),
        _ if module
            .split('.')
            .any(|part| part.starts_with("test") || part.starts_with("runtest")) =>
        {
            What::Module(module.to_owned())
        }
        _ => return None,
    })
}

/// `setup.py test` and its like.
fn of_setup(words: &[String]) -> Option<What> {
    Some(match words.first()?.as_str() {
        "test" => What::Known(Runner::Unittest),
        "pytest" => What::Known(Runner::Pytest),
        "testr" | "stestr" => What::Stestr,
        "trial" => What::Known(Runner::Trial),
        _ => return None,
    })
}

/// Takes one wrapper away; whether there was one.
fn unwrap(words: &mut Vec<String>, services: &mut Vec<&'static str>) -> bool {
    let Some(first) = words.first() else { return false };
    // NAME=value before a command
    if first.contains('=')
        && first
            .split('=')
            .next()
            .is_some_and(|name| !name.is_empty() && is_name(name))
    {
        words.remove(0);
        return true;
    }
    let name = first.rsplit('/').next().unwrap_or(first).to_owned();
    let second = words.get(1).map(String::as_str).unwrap_or_default();
    match name.as_str() {
        "env" | "time" | "exec" | "sudo" | "nice" => words.remove(0),
        "xvfb-run" | "dbus-run-session" | "dbus-launch" => {
            services.push(if name == "xvfb-run" { "xvfb" } else { "dbus" });
            words.remove(0);
            drop_options(words, &["-s", "--server-args", "-n", "-e", "--server-num"]);
            return true;
        }
        "poetry" | "pdm" | "hatch" | "uv" | "pipenv" | "rye" | "pixi" if second == "run" => {
            words.drain(..2);
            drop_options(
                words,
                &[
                    "--with", "--group", "--extra", "--python", "-p", "-e", "--env", "-m",
                ],
            );
            return true;
        }
        "coverage" if second == "run" => {
            after_coverage(words, 2);
            return true;
        }
        _ if is_python(&name) && second == "-m" && words.get(2).is_some_and(|w| w == "coverage") => {
            if words.get(3).is_none_or(|w| w != "run") {
                return false;
            }
            after_coverage(words, 4);
            return true;
        }
        "slipcover" | "kernprof" => words.remove(0),
        _ => return false,
    };
    true
}

/// What `coverage run` runs is what python would run.
fn after_coverage(words: &mut Vec<String>, from: usize) {
    words.drain(..from.min(words.len()));
    drop_options(
        words,
        &[
            "--source",
            "--rcfile",
            "--omit",
            "--include",
            "--context",
            "--data-file",
            "--concurrency",
        ],
    );
    if words
        .first()
        .is_some_and(|word| word == "-m" || word.ends_with(".py") || !word.starts_with('-'))
    {
        words.insert(0, "python".to_owned());
    }
}

/// Takes options away from the beginning; these have a value that stands apart.
fn drop_options(words: &mut Vec<String>, valued: &[&str]) {
    while let Some(word) = words.first() {
        if word == "--" {
            words.remove(0);
            return;
        }
        // coverage's and python's -m names what is run
        if !word.starts_with('-') || word == "-m" && !valued.contains(&"-m") {
            return;
        }
        let has_value = valued.contains(&word.as_str()) && words.len() > 1;
        words.drain(..=usize::from(has_value));
    }
}

fn is_python(name: &str) -> bool {
    let rest = name
        .strip_prefix("python")
        .or_else(|| name.strip_prefix("pypy"))
        .unwrap_or(if name == "py" { "" } else { "no" });
    rest.chars().all(|c| c.is_ascii_digit() || c == '.')
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Option<(What, String)> {
        read(line).map(|runs| (runs.what, runs.arguments.join(" ")))
    }

    #[test]
    fn runners_are_seen_behind_their_wrappers() {
        use Runner::{Django, Nose2, Pytest, Trial, Unittest, Zope};
        for (line, runner, arguments) in [
            ("pytest -v tests", Pytest, "-v tests"),
            ("- python -W error -m pytest tests", Pytest, "tests"),
            ("coverage run --branch --source x -m pytest -q", Pytest, "-q"),
            (
                "python3.12 -m coverage run -p -m unittest discover -s tests",
                Unittest,
                "discover -s tests",
            ),
            ("poetry run pytest", Pytest, ""),
            ("uv run --group test pytest x", Pytest, "x"),
            (
                "FOO=1 zope-testrunner --test-path=src -vc",
                Zope,
                "--test-path=src -vc",
            ),
            ("python -m twisted.trial x.test", Trial, "x.test"),
            ("nose2 -v", Nose2, "-v"),
            ("python setup.py test", Unittest, ""),
            (
                "python -m django test --settings=tests.settings",
                Django,
                "test --settings=tests.settings",
            ),
            ("pytest && echo done", Pytest, ""),
        ] {
            assert_eq!(
                of(line),
                Some((What::Known(runner), arguments.to_owned())),
                "{line}"
            );
        }
        assert_eq!(
            read("xvfb-run -a -s '-screen 0' pytest").unwrap().services,
            ["xvfb"]
        );
    }

    #[test]
    fn scripts_are_files_and_other_programs_are_nothing() {
        assert_eq!(
            of("python alltests.py -q"),
            Some((What::File("alltests.py".into()), "-q".into()))
        );
        assert_eq!(
            of("./tests/run.py"),
            Some((What::File("tests/run.py".into()), String::new()))
        );
        assert_eq!(
            of("python -m x.tests"),
            Some((What::Module("x.tests".into()), String::new()))
        );
        assert_eq!(of("stestr run {posargs}").unwrap().0, What::Stestr);
        for line in [
            "ruff check .",
            "python -c 'import x'",
            "python setup.py sdist",
            "python -m build",
            "",
            "test -d x",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }
}
