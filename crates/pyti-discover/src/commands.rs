//! The ladder of commands: how the tests are run, best first.

use std::collections::BTreeMap;

use pyti_model::raw::{Recipe, Runner};

use crate::declaration::Project;
use crate::pytest::{self, Config};
use crate::requirements::{self, Wanted, canonical};
use crate::suite::Suite;
use crate::tables;
use crate::tree::{Tree, is_python};

/// All recipes.
pub(crate) fn recipes(
    tree: &dyn Tree,
    name: &str,
    project: &Project,
    importable: &BTreeMap<String, String>,
    suite: &Suite,
    rejected: &mut Vec<String>,
) -> Vec<Recipe> {
    let mut recipes = Vec::new();
    let mut doctested = false;
    if !suite.files.is_empty() {
        let config = pytest::config(tree, project);
        let wanted = requirements::climb(tree, name, project, suite, rejected);
        let mut first = by_pytest(tree, name, importable, suite, &config, &wanted);
        doctested = with_doctests(tree, &mut first, importable, suite, &config, rejected);
        recipes.push(first);
        if suite.only_unittest() {
            recipes.push(by_unittest(suite, &wanted));
        }
    }
    if !suite.doctest_modules.is_empty() && !doctested {
        recipes.push(Recipe {
            runner: Runner::Doctest,
            arguments: suite
                .doctest_modules
                .iter()
                .map(|module| format!("module:{module}"))
                .collect(),
            requirements: Vec::new(),
            extras: Vec::new(),
            why: vec!["command: doctests of its modules".to_owned()],
            ..Recipe::default()
        });
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

fn by_pytest(
    tree: &dyn Tree,
    name: &str,
    importable: &BTreeMap<String, String>,
    suite: &Suite,
    config: &Config,
    wanted: &Wanted,
) -> Recipe {
    let mut requirements = wanted.lines.clone();
    let mut why = wanted.why.clone();
    let have = |requirements: &[String], name: &str| requirements.iter().any(|line| canonical(line) == name);
    if !have(&requirements, "pytest") && canonical(name) != "pytest" {
        requirements.push("pytest".to_owned());
    }
    // what the configuration itself asks for is installed, not removed
    let plugins = config
        .required_plugins
        .iter()
        .cloned()
        .chain(
            config
                .addopts
                .iter()
                .filter_map(|o| tables::plugin_of_option(o))
                .map(str::to_owned),
        )
        .chain(
            config
                .keys
                .iter()
                .filter_map(|key| tables::plugin_of_key(key))
                .map(str::to_owned),
        );
    for plugin in plugins {
        if !have(&requirements, &canonical(&plugin))
            && canonical(&plugin) != canonical(name)
            && wanted.extras.is_empty()
        {
            why.push(format!(
                "requirements: {plugin}, because pytest's configuration wants it"
            ));
            requirements.push(plugin);
        }
    }
    let ours = |path: &str| {
        importable
            .values()
            .any(|p| path == p || path.starts_with(&format!("{p}/")) || p.starts_with(&format!("{path}/")))
    };
    let there = |path: &String| {
        let path = path.trim_start_matches("./").trim_end_matches('/');
        path.contains('*') || path == "." || tree.has(path) || tree.has_folder(path)
    };
    let configured = !config.testpaths.is_empty() && config.testpaths.iter().all(there);
    let arguments = if configured
        && !config
            .testpaths
            .iter()
            .any(|path| ours(path.trim_end_matches('/')) || path == ".")
    {
        why.push(format!(
            "command: pytest, with testpaths of {}",
            config.file.as_deref().unwrap_or("its configuration")
        ));
        Vec::new()
    } else {
        why.push(format!("command: pytest, because {}", reason(suite, config)));
        let mut arguments = root_on_path(tree, importable, suite, config);
        arguments.extend(suite.places.iter().cloned());
        arguments
    };
    Recipe {
        runner: Runner::Pytest,
        arguments,
        requirements,
        extras: wanted.extras.clone(),
        why,
        ..Recipe::default()
    }
}

/// Lets pytest run the doctests of the installed modules, when its authors let it run those of their tree: they are taken
/// away from there. Whether it does; they are not to be counted a second time then.
fn with_doctests(
    tree: &dyn Tree,
    recipe: &mut Recipe,
    importable: &BTreeMap<String, String>,
    suite: &Suite,
    config: &Config,
    rejected: &mut Vec<String>,
) -> bool {
    let configured = config.addopts.iter().any(|option| option == "--doctest-modules");
    // with testpaths that leave the package out, the authors' pytest does not meet its doctests either
    if !configured || suite.prompts.is_empty() || recipe.arguments.is_empty() {
        return false;
    }
    if tree
        .text("conftest.py")
        .is_some_and(|text| text.contains("collect_ignore"))
    {
        // what it names are paths of the tree: nothing would be ignored where the package is installed
        rejected.push("doctests by pytest: conftest.py leaves some modules out, by their path".to_owned());
        return true;
    }
    for path in suite.prompts.iter().filter_map(|top| importable.get(top)) {
        if !recipe.arguments.contains(path) {
            recipe.arguments.push(path.clone());
        }
    }
    // what pytest is configured to run are tests, whatever they look like
    rejected.retain(|line| !line.ends_with("are illustrations, not doctests"));
    recipe
        .why
        .push("command: doctests of its modules too, because of addopts".to_owned());
    true
}

fn reason(suite: &Suite, config: &Config) -> &'static str {
    if config.file.is_some() {
        "it is configured"
    } else if suite.uses_pytest() {
        "the tests import it"
    } else if suite.only_unittest() {
        "it runs unittest's tests too"
    } else {
        "there are tests by its naming rules"
    }
}

/// Tests that import `tests.helpers` count on `python -m pytest`, which puts the root on the path.
fn root_on_path(
    tree: &dyn Tree,
    importable: &BTreeMap<String, String>,
    suite: &Suite,
    config: &Config,
) -> Vec<String> {
    let needed = suite
        .imports
        .keys()
        .map(|name| name.split('.').next().unwrap_or(name))
        .any(|top| {
            !importable.contains_key(top)
                && (tree.has(&format!("{top}.py"))
                    || (matches!(top, "tests" | "test" | "testing")
                        && tree.has_folder(top)
                        && !tree.has(&format!("{top}/__init__.py"))))
        });
    if needed && !config.pythonpath {
        vec!["-o".to_owned(), "pythonpath=.".to_owned()]
    } else {
        Vec::new()
    }
}

fn by_unittest(suite: &Suite, wanted: &Wanted) -> Recipe {
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
        let recipes = with("[pytest]\naddopts = -q\n");
        assert_eq!(recipes.len(), 2);
        assert_eq!(
            (recipes[0].arguments.as_slice(), recipes[1].runner),
            (&["tests".to_owned()][..], Runner::Doctest)
        );
        // testpaths that leave the package out
        let recipes = with("[pytest]\naddopts = --doctest-modules\ntestpaths = tests\n");
        assert_eq!((recipes[0].arguments.len(), recipes.len()), (0, 2));
        let recipes = with("[pytest]\naddopts = --doctest-modules\ntestpaths = tests src\n");
        assert_eq!(recipes.len(), 1, "{recipes:?}");
        assert_eq!(recipes[0].arguments, ["tests", "src/x"]);
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
