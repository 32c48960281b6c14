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
    if !suite.files.is_empty() {
        let config = pytest::config(tree, project);
        let wanted = requirements::climb(tree, name, project, suite, rejected);
        recipes.push(by_pytest(tree, name, importable, suite, &config, &wanted));
        if suite.only_unittest() {
            recipes.push(by_unittest(suite, &wanted));
        }
    }
    if !suite.doctest_modules.is_empty() {
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
            .any(|p| path == p || path.starts_with(&format!("{p}/")))
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
    }
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
    }
}
