//! The ladder of commands: how the tests are run, best first.

mod options;
mod pytest_recipe;
mod scripts;

use std::collections::BTreeMap;

use pyti_model::raw::{Evidence, Recipe, Runner};

use crate::commandline::{Runs, What};
use crate::declaration::Project;
use crate::evidence;
use crate::pytest;
use crate::requirements::{self, Wanted, canonical};
use crate::services;
use crate::suite::Suite;
use crate::tree::{Tree, is_python};
use crate::workflow::{self, Workflow};
use pytest_recipe::{Means, with_doctests};

/// All recipes.
pub(crate) fn recipes(
    tree: &dyn Tree,
    name: &str,
    project: &Project,
    importable: &BTreeMap<String, String>,
    suite: &Suite,
    rejected: &mut Vec<String>,
) -> Vec<Recipe> {
    let flows = workflow::all(tree, project, rejected);
    let command = commanded(tree, &flows, rejected);
    let mut recipes = Vec::new();
    let mut doctested = false;
    let own = scripts::of(tree, importable, command.as_ref(), suite, rejected);
    if suite.files.is_empty() {
        // a program that is there runs tests that look like none
        if let Some(recipe) = own.filter(|own| own.is_commanded && !own.wants_files) {
            let wanted = requirements::climb(tree, name, project, suite, &flows, rejected);
            recipes.push(scripts::recipe(tree, recipe, &wanted));
        }
    } else {
        let config = pytest::config(tree, project);
        let wanted = requirements::climb(tree, name, project, suite, &flows, rejected);
        let mut first = pytest_recipe::recipe(&Means {
            tree,
            name,
            importable,
            suite,
            config: &config,
            wanted: &wanted,
            command: command.as_ref().map(|(flow, line, runs)| (*flow, *line, runs)),
        });
        doctested = with_doctests(tree, &mut first, importable, suite, &config, rejected);
        recipes.push(first);
        if suite.only_unittest() {
            recipes.push(by_unittest(tree, suite, &wanted));
        }
        if let Some(own) = own {
            // the authors' own way comes first, where pytest is not theirs
            let first = own.is_commanded && !suite.uses_pytest() && config.file.is_none();
            let recipe = scripts::recipe(tree, own, &wanted);
            let at = if first { 0 } else { recipes.len() };
            recipes.insert(at, recipe);
        }
    }
    recipes.extend(doctests(
        tree,
        suite,
        command.as_ref(),
        doctested,
        !recipes.is_empty(),
    ));
    let services = services::wanted(suite, &flows, command.as_ref().map(|(_, _, runs)| runs));
    let env = command
        .as_ref()
        .map(|(flow, _, _)| variables(flow))
        .unwrap_or_default();
    for recipe in &mut recipes {
        for (service, why) in &services {
            recipe.services.push(service.clone());
            recipe.why.push(format!("services: {service}: {why}"));
        }
        if recipe.runner != Runner::Doctest {
            recipe.env.clone_from(&env);
        }
    }
    if recipes.is_empty() {
        for runner in ["runtests.py", "alltests.py", "tests.py"] {
            if tree.has(runner) {
                rejected.push(format!("{runner} runs tests, but the archive carries none"));
            }
        }
    }
    recipes
}

/// The command line by which the authors run their tests: of the first tool that has one.
fn commanded<'a>(
    tree: &dyn Tree,
    flows: &'a [Workflow],
    rejected: &mut Vec<String>,
) -> Option<(&'a Workflow, &'a str, Runs)> {
    let mut found: Option<(&Workflow, &str, Runs)> = None;
    for flow in flows {
        let Some((line, runs)) = flow.command() else {
            continue;
        };
        match &found {
            None => found = Some((flow, line, runs)),
            Some((first, _, known)) if known.what != runs.what => {
                let place = evidence::place(tree, &flow.file, line);
                let line: String = line.chars().take(100).collect();
                rejected.push(format!(
                    "command: {line} ({place}) is passed over for {}",
                    first.rung
                ));
            }
            Some(_) => {}
        }
    }
    found
}

/// Variables that the authors set, but for those that would change where things are found or how a run is judged.
fn variables(flow: &Workflow) -> BTreeMap<String, String> {
    const NOT: &[&str] = &[
        "PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "HOME",
        "TMPDIR",
        "VIRTUAL_ENV",
        "PYTHONHASHSEED",
        "PYTHONWARNINGS",
        "PYTHONDEVMODE",
        "PYTHONDONTWRITEBYTECODE",
        "PYTEST_ADDOPTS",
        "PYTEST_PLUGINS",
        "LANG",
        "LC_ALL",
        "TZ",
        "PYTHONSAFEPATH",
        "PYTHONNOUSERSITE",
        "PYTHONSTARTUP",
        "PYTHONUSERBASE",
        "PYTHONFAULTHANDLER",
    ];
    flow.env
        .iter()
        .filter(|(name, value)| {
            !NOT.contains(&name.as_str())
                && !["LD_", "COVERAGE", "PIP_", "UV_", "PYTI"]
                    .iter()
                    .any(|start| name.starts_with(start))
                && !name.is_empty()
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
                && value.len() < 1000
                && !value.contains(['\0', '{'])
        })
        .take(50)
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// Doctests of modules and text files: besides, where the authors run them too; alone, where there is nothing else.
fn doctests(
    tree: &dyn Tree,
    suite: &Suite,
    command: Option<&(&Workflow, &str, Runs)>,
    done: bool,
    others: bool,
) -> Option<Recipe> {
    if done {
        return None;
    }
    let mut evidence: Vec<Evidence> = suite
        .doctested
        .iter()
        .map(|(file, needle)| evidence::at(tree, file, needle, "doctests: the authors' tests run them"))
        .collect();
    let mut arguments: Vec<String> = Vec::new();
    if let Some((flow, line, runs)) = command
        && runs.what == What::Known(Runner::Doctest)
    {
        let texts = runs
            .arguments
            .iter()
            .filter(|word| tree.has(word) && !is_python(word));
        arguments.extend(texts.map(|file| format!("file:{file}")));
        evidence.push(evidence::at(
            tree,
            &flow.file,
            line,
            format!("doctests: {} runs them", flow.rung),
        ));
    }
    arguments.extend(
        suite
            .doctest_modules
            .iter()
            .map(|module| format!("module:{module}")),
    );
    if arguments.is_empty() {
        return None;
    }
    Some(Recipe {
        runner: Runner::Doctest,
        arguments,
        why: vec!["command: doctests of its modules".to_owned()],
        // without such evidence they are only run when nothing else is there
        besides: others && !evidence.is_empty(),
        evidence,
        ..Recipe::default()
    })
}

fn by_unittest(tree: &dyn Tree, suite: &Suite, wanted: &Wanted) -> Recipe {
    let arguments = match suite.places.as_slice() {
        [one] if suite.by_name && !is_python(one) => {
            ["discover", "-s", one, "-t", "."].map(str::to_owned).into()
        }
        _ => suite
            .files
            .iter()
            .map(|file| file.path.trim_end_matches(".py").replace('/', "."))
            .collect(),
    };
    let mut why = wanted.why.clone();
    why.push("command: unittest, should pytest not do".to_owned());
    let mut evidence = wanted.evidence(tree);
    if let Some(file) = suite.files.first() {
        evidence.push(evidence::at(
            tree,
            &file.path,
            "unittest",
            "command: the tests are unittest's",
        ));
    }
    Recipe {
        runner: Runner::Unittest,
        arguments,
        requirements: wanted
            .lines
            .iter()
            .filter(|line| !canonical(line).starts_with("pytest"))
            .cloned()
            .collect(),
        extras: wanted.extras.clone(),
        why,
        evidence,
        ..Recipe::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(files: &[(&str, &str)]) -> Vec<Recipe> {
        crate::inspect(&MemoryTree::new(files.iter().copied()), "x").recipes
    }

    #[test]
    fn doctests_that_pytest_runs_are_no_second_recipe_and_others_are() {
        let module = "def f():\n    \"\"\"\n    >>> f()\n    1\n    \"\"\"\n    return 1\n";
        let test = "def test_a(): pass\n";
        let with = |config: &str| {
            of(&[
                ("src/x/__init__.py", module),
                ("tests/test_a.py", test),
                ("pytest.ini", config),
            ])
        };
        let recipes = with("[pytest]\naddopts = --doctest-modules\n");
        assert_eq!(recipes.len(), 1);
        assert_eq!(recipes[0].arguments, ["tests", "src/x"]);
        // nobody says that they are tests: they come last
        let recipes = with("[pytest]\naddopts = -q\n");
        assert_eq!(
            (recipes.len(), recipes[1].runner, recipes[1].besides),
            (2, Runner::Doctest, false)
        );
        // testpaths that leave the package out
        let recipes = with("[pytest]\naddopts = --doctest-modules\ntestpaths = tests\n");
        assert_eq!((recipes[0].arguments.len(), recipes.len()), (0, 2));
        let recipes = with("[pytest]\naddopts = --doctest-modules\ntestpaths = tests src\n");
        assert_eq!(recipes.len(), 1, "{recipes:?}");
        assert_eq!(recipes[0].arguments, ["tests", "src/x"]);
    }

    #[test]
    fn doctests_that_the_tests_themselves_run_are_counted_besides() {
        let module = "def f():\n    \"\"\"\n    >>> f()\n    1\n    \"\"\"\n    return 1\n";
        let loads = "import doctest, unittest\ndef load_tests(l, tests, p):\n    tests.addTests(doctest.DocTestSuite('x'))\n    return tests\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";
        let recipes = of(&[("x.py", module), ("test_x.py", loads)]);
        let last = recipes.last().unwrap();
        assert_eq!((last.runner, last.besides), (Runner::Doctest, true));
        assert_eq!(
            (last.evidence[0].file.as_str(), last.evidence[0].line),
            ("test_x.py", 3)
        );
        // no runner of today calls such a function
        let old = loads.replace("def load_tests(l, tests, p)", "def test_suite(tests)");
        assert!(
            !of(&[("x.py", module), ("test_x.py", &old)])
                .last()
                .unwrap()
                .besides
        );
        // alone they are all there is
        let recipes = of(&[("x.py", module)]);
        assert_eq!((recipes.len(), recipes[0].besides), (1, false));
    }

    #[test]
    fn what_is_passed_over_is_told_with_its_place() {
        let inspection = crate::inspect(
            &MemoryTree::new([
                ("x.py", ""),
                ("test_x.py", "import pytest\ndef test_a(): pass\n"),
                ("pyproject.toml", "[dependency-groups]\ntest = ['pytest']\n"),
                ("tox.ini", "[testenv]\ndeps = mock\ncommands = pytest\n"),
            ]),
            "x",
        );
        let evidence = &inspection.recipes[0].evidence;
        assert_eq!(
            (evidence[0].file.as_str(), evidence[0].line),
            ("pyproject.toml", 2)
        );
        assert_eq!((evidence[1].file.as_str(), evidence[1].line), ("tox.ini", 3));
        assert_eq!(
            inspection.rejected,
            ["requirements: tox's environment py (tox.ini:1) is passed over for dependency group test"]
        );
    }

    #[test]
    fn what_authors_let_pytest_run_are_tests_though_they_look_like_illustrations() {
        let module = "def f():\n    \"\"\"\n    >>> f()\n    \"\"\"\n";
        let with = |config: &str, conftest: &str| {
            let files = [
                ("x/__init__.py", module),
                ("tests/test_a.py", "def test_a(): pass\n"),
                ("pytest.ini", config),
                ("conftest.py", conftest),
            ];
            of(&files)
                .into_iter()
                .map(|recipe| recipe.arguments)
                .collect::<Vec<_>>()
        };
        let doctests = "[pytest]\naddopts = --doctest-modules\n";
        assert_eq!(with(doctests, ""), [["tests", "x"]]);
        assert_eq!(with(doctests, "collect_ignore = ['x/a.py']\n"), [["tests"]]);
        assert_eq!(with("[pytest]\n", ""), [["tests"]]);
    }
}
