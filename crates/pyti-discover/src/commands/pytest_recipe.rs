//! The recipe for pytest.

use std::collections::BTreeMap;

use pyti_model::raw::{Recipe, Runner};

use super::options;
use crate::commandline::{Runs, What};
use crate::evidence;
use crate::pytest::Config;
use crate::requirements::{Wanted, canonical};
use crate::suite::Suite;
use crate::tables;
use crate::tree::Tree;
use crate::workflow::Workflow;

/// What the recipe is made from.
pub(super) struct Means<'a> {
    pub(super) tree: &'a dyn Tree,
    pub(super) name: &'a str,
    pub(super) importable: &'a BTreeMap<String, String>,
    pub(super) suite: &'a Suite,
    pub(super) config: &'a Config,
    pub(super) wanted: &'a Wanted,
    /// The authors' own command line.
    pub(super) command: Option<(&'a Workflow, &'a str, &'a Runs)>,
}

pub(super) fn recipe(means: &Means<'_>) -> Recipe {
    let Means {
        tree,
        name,
        importable,
        suite,
        config,
        wanted,
        command,
    } = means;
    let mut requirements = wanted.lines.clone();
    let mut why = wanted.why.clone();
    let mut proof = wanted.evidence(*tree);
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
    let own = command.filter(|(flow, _, runs)| flow.is_default && runs.what == What::Known(Runner::Pytest));
    let (options, places) = own
        .map(|(flow, _, runs)| options::of_pytest(*tree, &runs.arguments, &flow.cwd, importable))
        .unwrap_or_default();
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
    let mut arguments = options;
    if let Some((flow, line, _)) = own {
        let what = format!("command: pytest, as {} runs it: {}", flow.rung, cut(line));
        proof.push(evidence::at_one_of(
            *tree,
            &flow.file,
            &[line, &flow.needle],
            what.clone(),
        ));
        why.push(what);
    }
    if !places.is_empty() {
        arguments.extend(root_on_path(*tree, importable, suite, config));
        arguments.extend(places);
    } else if configured
        && !config
            .testpaths
            .iter()
            .any(|path| ours(path.trim_end_matches('/')) || path == ".")
    {
        let file = config.file.as_deref().unwrap_or("its configuration");
        let what = format!("command: pytest, with testpaths of {file}");
        proof.push(evidence::at(*tree, file, "testpaths", what.clone()));
        why.push(what);
    } else {
        if own.is_none() {
            let what = format!("command: pytest, because {}", reason(suite, config));
            proof.extend(reason_at(*tree, suite, config, &what));
            why.push(what);
        }
        arguments.extend(root_on_path(*tree, importable, suite, config));
        arguments.extend(suite.places.iter().cloned());
    }
    Recipe {
        runner: Runner::Pytest,
        arguments,
        requirements,
        extras: wanted.extras.clone(),
        why,
        evidence: proof,
        ..Recipe::default()
    }
}

/// A command line that is not too long to show.
fn cut(line: &str) -> String {
    line.chars().take(200).collect()
}

/// Lets pytest run the doctests of the installed modules, when its authors let it run those of their tree: they are taken
/// away from there. Whether it does; they are not to be counted a second time then.
pub(super) fn with_doctests(
    tree: &dyn Tree,
    recipe: &mut Recipe,
    importable: &BTreeMap<String, String>,
    suite: &Suite,
    config: &Config,
    rejected: &mut Vec<String>,
) -> bool {
    let flag = "--doctest-modules";
    let commanded = recipe.arguments.iter().any(|argument| argument == flag);
    let configured = commanded || config.addopts.iter().any(|option| option == flag);
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
        .push("command: doctests of its modules too, because its pytest is told to run them".to_owned());
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

/// Where the reason for pytest stands.
fn reason_at(
    tree: &dyn Tree,
    suite: &Suite,
    config: &Config,
    what: &str,
) -> Option<pyti_model::raw::Evidence> {
    if let Some(file) = &config.file {
        let found = evidence::at(tree, file, "pytest", what);
        return Some(found);
    }
    let file = suite
        .files
        .iter()
        .find(|file| file.pytest)
        .or_else(|| suite.files.first())?;
    let needle = if file.pytest { "pytest" } else { "unittest" };
    Some(evidence::at(tree, &file.path, needle, what))
}
