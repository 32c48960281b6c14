//! Runners other than pytest and unittest: zope.testrunner, trial, nose2, stestr, Django's, and programs of their own.

use std::collections::BTreeMap;

use pyti_model::raw::{Evidence, Recipe, Runner};

use crate::commandline::{Runs, What};
use crate::evidence;
use crate::ini;
use crate::requirements::{Wanted, canonical};
use crate::suite::Suite;
use crate::tree::Tree;
use crate::workflow::Workflow;

/// Programs at the root, or in a folder for tests, that run everything.
const PROGRAMS: &[&str] = &[
    "runtests.py",
    "alltests.py",
    "run_tests.py",
    "runtest.py",
    "test/alltests.py",
    "test/runtests.py",
    "tests/alltests.py",
    "tests/runtests.py",
    "tests/run_tests.py",
    "tests/run.py",
];

/// A way of the authors' own.
#[derive(Debug)]
pub(super) struct Own {
    runner: Runner,
    arguments: Vec<String>,
    cwd: String,
    why: String,
    evidence: Vec<Evidence>,
    /// A tool of theirs names it; otherwise it only lies there.
    pub(super) is_commanded: bool,
    /// It runs files that are recognised as tests; without them it finds nothing.
    pub(super) wants_files: bool,
}

/// The way that a command line or a program in the tree shows.
pub(super) fn of(
    tree: &dyn Tree,
    importable: &BTreeMap<String, String>,
    command: Option<&(&Workflow, &str, Runs)>,
    suite: &Suite,
    rejected: &mut Vec<String>,
) -> Option<Own> {
    if let Some((flow, line, runs)) = command {
        let what = format!(
            "command: {}, as {} runs it",
            line.chars().take(200).collect::<String>(),
            flow.rung
        );
        let own = |runner, arguments: Vec<String>, cwd: &str, wants_files| Own {
            runner,
            arguments,
            cwd: cwd.to_owned(),
            why: what.clone(),
            evidence: vec![evidence::at_one_of(
                tree,
                &flow.file,
                &[line, &flow.needle],
                what.clone(),
            )],
            is_commanded: true,
            wants_files,
        };
        let places = || suite.places.clone();
        match &runs.what {
            What::Known(runner @ (Runner::Zope | Runner::Trial | Runner::Nose2)) => {
                return Some(own(*runner, places(), "", true));
            }
            What::Known(Runner::Django) => {
                let mut arguments = vec!["-m".to_owned(), "django".to_owned()];
                arguments.extend(runs.arguments.iter().cloned());
                return Some(own(Runner::Django, arguments, &flow.cwd, true));
            }
            What::Stestr => {
                return stestr(tree, &what).map(|own| Own {
                    is_commanded: true,
                    ..own
                });
            }
            What::Module(module) => {
                let top = module.split('.').next().unwrap_or(module);
                let path = module.replace('.', "/");
                let there = importable.contains_key(top)
                    || tree.has(&format!("{path}.py"))
                    || tree.has(&format!("{path}/__main__.py"));
                if there {
                    let mut arguments = vec!["-m".to_owned(), module.clone()];
                    arguments.extend(runs.arguments.iter().cloned());
                    return Some(own(Runner::Script, arguments, &flow.cwd, false));
                }
                rejected.push(format!("{line} names a module that the archive leaves out"));
            }
            What::File(file) => {
                let path = if flow.cwd.is_empty() {
                    file.clone()
                } else {
                    format!("{}/{file}", flow.cwd)
                };
                if let Some(text) = tree.text(&path) {
                    let runner = runner_of(&text);
                    let mut arguments = dotted(importable, &path)
                        .map_or_else(|| vec![file.clone()], |module| vec!["-m".to_owned(), module]);
                    arguments.extend(runs.arguments.iter().filter(|word| !word.contains('{')).cloned());
                    let wants = seeks(&text);
                    return Some(own(runner, arguments, &flow.cwd, wants));
                }
                rejected.push(format!("{line} names a program that the archive leaves out"));
            }
            What::Known(_) => {}
        }
    }
    if tree.has(".stestr.conf") || tree.has(".testr.conf") {
        let conf = if tree.has(".stestr.conf") {
            ".stestr.conf"
        } else {
            ".testr.conf"
        };
        return stestr(tree, &format!("command: unittest, as {conf} says"));
    }
    let file = PROGRAMS.iter().find(|file| tree.has(file))?;
    let text = tree.text(file)?;
    let what = format!("command: {file}, which runs all tests");
    let (cwd, name) = file.rsplit_once('/').unwrap_or(("", file));
    Some(Own {
        runner: runner_of(&text),
        arguments: vec![name.to_owned()],
        cwd: cwd.to_owned(),
        evidence: vec![evidence::at(tree, file, "", what.clone())],
        why: what,
        is_commanded: false,
        wants_files: true,
    })
}

/// Django's runners are called in many ways, and all of them by it.
fn runner_of(text: &str) -> Runner {
    let django = [
        "django.test.runner",
        "DiscoverRunner",
        "execute_from_command_line",
        "get_runner(settings)",
    ];
    if django.iter().any(|word| text.contains(word)) {
        Runner::Django
    } else {
        Runner::Script
    }
}

/// Whether a program looks for files with tests.
fn seeks(text: &str) -> bool {
    [
        "discover",
        "loadTestsFromName",
        "import tests",
        "from tests",
        "glob",
        "walk(",
        "listdir",
    ]
    .iter()
    .any(|word| text.contains(word))
}

/// The module of a path within what is installed.
fn dotted(importable: &BTreeMap<String, String>, path: &str) -> Option<String> {
    importable.iter().find_map(|(top, root)| {
        let rest = path.strip_prefix(root.as_str())?.strip_prefix('/')?;
        Some(format!(
            "{top}.{}",
            rest.trim_end_matches(".py").replace('/', ".")
        ))
    })
}

/// unittest's discovery by the words of stestr's or testr's configuration.
fn stestr(tree: &dyn Tree, what: &str) -> Option<Own> {
    let file = [".stestr.conf", ".testr.conf"]
        .into_iter()
        .find(|file| tree.has(file))?;
    let text = tree.text(file)?;
    let conf = ini::read(&text);
    let value = |key: &str| conf.get("DEFAULT").and_then(|keys| keys.get(key)).cloned();
    // testr names the command: python -m subunit.run discover -t ./ ./x/tests
    let command = value("test_command").unwrap_or_default();
    let after = |option: &str| {
        let mut words = command.split_whitespace().skip_while(|word| *word != option);
        words.nth(1).map(str::to_owned)
    };
    let last = command
        .split_whitespace()
        .rev()
        .find(|word| !word.starts_with(['$', '-']) && tree.has_folder(plain(word)))
        .map(str::to_owned);
    let start = value("test_path").or_else(|| after("-s")).or(last)?;
    let start = start
        .trim_start_matches("${OS_TEST_PATH:-")
        .trim_end_matches('}')
        .to_owned();
    let top = value("top_dir")
        .or_else(|| after("-t"))
        .unwrap_or_else(|| ".".to_owned());
    let (start, top) = (plain(&start).to_owned(), plain(&top).to_owned());
    if !tree.has_folder(&start) {
        return None;
    }
    let top = if top.is_empty() { ".".to_owned() } else { top };
    Some(Own {
        runner: Runner::Unittest,
        arguments: ["discover", "-s", &start, "-t", &top].map(str::to_owned).into(),
        cwd: String::new(),
        why: what.to_owned(),
        evidence: vec![evidence::at(tree, file, "test", what)],
        is_commanded: true,
        wants_files: true,
    })
}

fn plain(path: &str) -> &str {
    path.trim_start_matches("./").trim_matches('/')
}

/// The recipe of such a way.
pub(super) fn recipe(tree: &dyn Tree, own: Own, wanted: &Wanted) -> Recipe {
    let runner = match own.runner {
        Runner::Zope => Some("zope.testrunner"),
        Runner::Trial => Some("Twisted"),
        Runner::Nose2 => Some("nose2"),
        _ => None,
    };
    let mut requirements = wanted.lines.clone();
    if let Some(runner) = runner
        && !requirements
            .iter()
            .any(|line| canonical(line) == canonical(runner))
    {
        requirements.push(runner.to_owned());
    }
    let mut why = wanted.why.clone();
    why.push(own.why);
    let mut evidence = wanted.evidence(tree);
    evidence.extend(own.evidence);
    Recipe {
        runner: own.runner,
        arguments: own.arguments,
        requirements,
        extras: wanted.extras.clone(),
        why,
        evidence,
        cwd: own.cwd,
        ..Recipe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    const CASE: &str = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";

    fn of(files: &[(&str, &str)]) -> Vec<(Runner, Vec<String>, String)> {
        let mut all = vec![("x/__init__.py", "")];
        all.extend(files);
        crate::inspect(&MemoryTree::new(all), "x")
            .recipes
            .into_iter()
            .map(|recipe| (recipe.runner, recipe.arguments, recipe.cwd))
            .collect()
    }

    fn own(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_script_that_authors_name_comes_first_and_others_last() {
        let tox = "[testenv]\nchangedir = test\ncommands = python alltests.py -q\n";
        let files = [
            ("test/test_a.py", CASE),
            ("test/alltests.py", "discover()"),
            ("tox.ini", tox),
        ];
        let found = of(&files);
        assert_eq!(
            found[0],
            (Runner::Script, own(&["alltests.py", "-q"]), "test".to_owned())
        );
        assert_eq!(found[1].0, Runner::Pytest);
        // nobody names it
        let found = of(&files[..2]);
        assert_eq!((found[0].0, found[2].0), (Runner::Pytest, Runner::Script));
        // pytest is theirs
        let found = of(&[files[0], files[1], files[2], ("pytest.ini", "[pytest]\n")]);
        assert_eq!(found[0].0, Runner::Pytest);
    }

    #[test]
    fn a_script_that_looks_for_tests_where_there_are_none_is_no_recipe() {
        let tox = ("tox.ini", "[testenv]\ncommands = python runtests.py\n");
        assert!(of(&[("runtests.py", "from tests import *"), tox]).is_empty());
        assert!(of(&[tox]).is_empty());
        // one that is the test itself
        let found = of(&[("runtests.py", "assert 1 + 1 == 2\n"), tox]);
        assert_eq!(found[0], (Runner::Script, own(&["runtests.py"]), String::new()));
    }

    #[test]
    fn other_runners_are_taken_from_commands() {
        for (line, runner, arguments) in [
            (
                "zope-testrunner --test-path=. -vc",
                Runner::Zope,
                own(&["x/tests"]),
            ),
            ("trial x", Runner::Trial, own(&["x/tests"])),
            ("nose2 -v", Runner::Nose2, own(&["x/tests"])),
            ("python -m x.tests", Runner::Script, own(&["-m", "x.tests"])),
            (
                "python -m django test --settings=s",
                Runner::Django,
                own(&["-m", "django", "test", "--settings=s"]),
            ),
        ] {
            let tox = format!("[testenv]\ncommands = {line}\n");
            let found = of(&[
                ("x/tests/__init__.py", ""),
                ("x/tests/test_a.py", CASE),
                ("tox.ini", &tox),
            ]);
            assert_eq!((found[0].0, &found[0].1), (runner, &arguments), "{line}");
        }
        let found = of(&[
            ("tests/test_a.py", CASE),
            (".stestr.conf", "[DEFAULT]\ntest_path=./tests\n"),
        ]);
        assert_eq!(found[0].1, own(&["discover", "-s", "tests", "-t", "."]));
    }
}
