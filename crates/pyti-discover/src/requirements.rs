//! The ladder of requirements: the first rung that gives something wins.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use crate::declaration::{Project, strings};
use crate::ini;
use crate::python::Literal;
use crate::setup;
use crate::suite::Suite;
use crate::tables;
use crate::tox;
use crate::tree::Tree;
use crate::{poetry, stdlib};

/// What tests want beside the distribution.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) lines: Vec<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) why: Vec<String>,
    /// Names that the extras bring, where their content is known.
    brought: BTreeSet<String>,
}

/// Names of groups and extras that are for tests, best first.
const NAMES: &[&str] = &[
    "test",
    "tests",
    "testing",
    "unit-tests",
    "unittest",
    "pytest",
    "tests-min",
    "test-min",
    "dev-test",
];
/// Names whose groups run something else.
const NOT_TESTS: &[&str] = &[
    "typ", "mypy", "pyright", "doc", "lint", "bench", "cov", "style", "random", "perf", "type", "tox", "nox",
    "fuzz",
];
/// Distributions that show that a group is for tests.
const TESTERS: &[&str] = &[
    "pytest",
    "hypothesis",
    "nose2",
    "testtools",
    "zope-testrunner",
    "stestr",
    "green",
];

/// Requirement lines that the tree names anywhere: what turns out to be missing may be one of them.
pub(crate) fn known(tree: &dyn Tree, project: &Project) -> Vec<String> {
    const MOST: usize = 500;
    let groups = project.table(&["dependency-groups"]).cloned().unwrap_or_default();
    let group_lines = groups
        .keys()
        .map(|key| (key.clone(), group(&groups, key, 0)))
        .collect();
    let declared = all_declared(&group_lines, &extras(tree, project), tree);
    declared.into_values().take(MOST).collect()
}

/// Climbs the ladder.
pub(crate) fn climb(
    tree: &dyn Tree,
    name: &str,
    project: &Project,
    suite: &Suite,
    rejected: &mut Vec<String>,
) -> Wanted {
    let extras = extras(tree, project);
    let groups = project.table(&["dependency-groups"]).cloned().unwrap_or_default();
    let group_lines: BTreeMap<String, Vec<String>> = groups
        .keys()
        .map(|key| (key.clone(), group(&groups, key, 0)))
        .collect();
    let mut wanted = by_name(&group_lines, "dependency group")
        .or_else(|| extra(by_name(&extras, "extra")))
        .or_else(|| by_content(&group_lines, "dependency group"))
        .or_else(|| extra(by_content(&extras, "extra")))
        .or_else(|| tools(project))
        .or_else(|| from_tox(tree, project, &group_lines, &extras))
        .or_else(|| files(tree))
        .or_else(|| tests_require(tree, project))
        .unwrap_or_default();
    if wanted.lines.is_empty() && wanted.extras.is_empty() {
        wanted
            .why
            .push("requirements: nothing is declared, so what the tests import".to_owned());
    }
    scan(
        tree,
        name,
        suite,
        &all_declared(&group_lines, &extras, tree),
        &mut wanted,
        rejected,
    );
    wanted
}

/// A found extra is asked for by its name, so that its requirements come with the distribution.
fn extra(found: Option<Wanted>) -> Option<Wanted> {
    found.map(|mut wanted| {
        wanted.brought = wanted.lines.drain(..).map(|line| canonical(&line)).collect();
        wanted.extras = wanted
            .why
            .iter()
            .filter_map(|why| why.rsplit(' ').next().map(str::to_owned))
            .collect();
        wanted
    })
}

fn by_name(sets: &BTreeMap<String, Vec<String>>, kind: &str) -> Option<Wanted> {
    NAMES.iter().find_map(|name| {
        let (key, lines) = sets
            .iter()
            .find(|(key, _)| key.to_lowercase().replace('_', "-") == *name)?;
        (!lines.is_empty()).then(|| taken(lines, format!("requirements: {kind} {key}")))
    })
}

fn by_content(sets: &BTreeMap<String, Vec<String>>, kind: &str) -> Option<Wanted> {
    let fit = |key: &str| {
        let key = key.to_lowercase();
        !NOT_TESTS.iter().any(|word| key.contains(word)) || key.contains("test")
    };
    let has = |lines: &[String]| {
        lines
            .iter()
            .any(|line| TESTERS.contains(&canonical(line).as_str()))
    };
    let (key, lines) = sets
        .iter()
        .filter(|(key, lines)| fit(key) && has(lines))
        .min_by_key(|(key, lines)| (!key.contains("test"), !key.contains("dev"), lines.len()))?;
    Some(taken(lines, format!("requirements: {kind} {key}")))
}

fn taken(lines: &[String], why: String) -> Wanted {
    Wanted {
        lines: lines.to_vec(),
        why: vec![why],
        ..Wanted::default()
    }
}

/// Lines of a dependency group (PEP 735), with the groups that it includes.
fn group(groups: &toml::Table, key: &str, depth: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if depth > 8 {
        return lines;
    }
    for entry in groups.get(key).and_then(Value::as_array).into_iter().flatten() {
        match entry {
            Value::String(line) => push(&mut lines, line),
            Value::Table(table) => {
                if let Some(other) = table.get("include-group").and_then(Value::as_str) {
                    for line in group(groups, find_key(groups, other).unwrap_or(other), depth + 1) {
                        push(&mut lines, &line);
                    }
                }
            }
            _ => {}
        }
        if lines.len() > 500 {
            break;
        }
    }
    lines
}

fn find_key<'a>(groups: &'a toml::Table, name: &str) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '.'], "-");
    groups
        .keys()
        .map(String::as_str)
        .find(|key| plain(key) == plain(name))
}

/// Extras with their lines, from pyproject.toml, setup.cfg, setup.py or poetry.
fn extras(tree: &dyn Tree, project: &Project) -> BTreeMap<String, Vec<String>> {
    let mut extras: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, lines) in project
        .table(&["project", "optional-dependencies"])
        .into_iter()
        .flatten()
    {
        extras.insert(name.clone(), strings(Some(lines)));
    }
    for (name, lines) in project
        .setup_cfg
        .get("options.extras_require")
        .into_iter()
        .flatten()
    {
        extras
            .entry(name.clone())
            .or_insert_with(|| ini::lines(lines).map(str::to_owned).collect());
    }
    if let Some(Literal::Map(map)) = setup::arguments(tree).get("extras_require") {
        for (name, lines) in map {
            extras.entry(name.clone()).or_insert_with(|| lines.strings());
        }
    }
    for (name, lines) in project.table(&["tool", "poetry", "extras"]).into_iter().flatten() {
        extras.entry(name.clone()).or_insert_with(|| strings(Some(lines)));
    }
    extras
}

/// Tables of pdm, poetry, hatch and uv.
fn tools(project: &Project) -> Option<Wanted> {
    let mut sets: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, lines) in project
        .table(&["tool", "pdm", "dev-dependencies"])
        .into_iter()
        .flatten()
    {
        sets.insert(
            name.clone(),
            strings(Some(lines))
                .into_iter()
                .filter(|line| !line.starts_with("-e"))
                .collect(),
        );
    }
    for (name, group) in project.table(&["tool", "poetry", "group"]).into_iter().flatten() {
        if let Some(table) = group.get("dependencies").and_then(Value::as_table) {
            sets.insert(name.clone(), poetry::lines(table));
        }
    }
    if let Some(table) = project.table(&["tool", "poetry", "dev-dependencies"]) {
        sets.insert("dev".to_owned(), poetry::lines(table));
    }
    for (name, environment) in project.table(&["tool", "hatch", "envs"]).into_iter().flatten() {
        let mut lines = strings(environment.get("dependencies"));
        lines.extend(strings(environment.get("extra-dependencies")));
        if !lines.is_empty() {
            sets.insert(if name == "hatch-test" { "test" } else { name }.to_owned(), lines);
        }
    }
    let uv = strings(
        project
            .table(&["tool", "uv"])
            .and_then(|uv| uv.get("dev-dependencies")),
    );
    if !uv.is_empty() {
        sets.entry("dev".to_owned()).or_insert(uv);
    }
    by_name(&sets, "table of a tool,").or_else(|| by_content(&sets, "table of a tool,"))
}

fn from_tox(
    tree: &dyn Tree,
    project: &Project,
    groups: &BTreeMap<String, Vec<String>>,
    extras: &BTreeMap<String, Vec<String>>,
) -> Option<Wanted> {
    let environment = tox::environment(project)?;
    let mut wanted = Wanted {
        why: vec!["requirements: tox's test environment".to_owned()],
        ..Wanted::default()
    };
    for dep in &environment.deps {
        if let Some(file) = dep.strip_prefix("-r").map(str::trim) {
            read_file(tree, file, &mut wanted.lines, 0);
        } else if !dep.starts_with('-') {
            push(&mut wanted.lines, dep);
        }
    }
    for name in &environment.groups {
        for line in groups.get(name).into_iter().flatten() {
            push(&mut wanted.lines, line);
        }
    }
    for name in environment
        .extras
        .into_iter()
        .filter(|name| extras.contains_key(name))
    {
        wanted
            .brought
            .extend(extras[&name].iter().map(|line| canonical(line)));
        wanted.extras.push(name);
    }
    (!wanted.lines.is_empty() || !wanted.extras.is_empty()).then_some(wanted)
}

/// `requirements*test*.txt` and the like.
fn files(tree: &dyn Tree) -> Option<Wanted> {
    let rank = |path: &str| -> Option<u8> {
        let lower = path.to_lowercase();
        let name = lower.rsplit('/').next().unwrap_or(&lower);
        if !is_text(name) || lower.matches('/').count() > 2 {
            return None;
        }
        let folder =
            lower.contains("requirements/") || lower.starts_with("tests/") || lower.starts_with("test/");
        let requirements = name.contains("requirement") || name.contains("deps");
        match () {
            () if (requirements || lower.contains("requirements/")) && name.contains("test") => Some(0),
            () if folder && requirements && (lower.starts_with("tests/") || lower.starts_with("test/")) => {
                Some(1)
            }
            () if (requirements || lower.contains("requirements/")) && name.contains("dev") => Some(2),
            () => None,
        }
    };
    let (_, file) = tree
        .files()
        .iter()
        .filter_map(|file| Some((rank(file)?, file)))
        .min()?;
    let mut lines = Vec::new();
    read_file(tree, file, &mut lines, 0);
    (!lines.is_empty()).then(|| taken(&lines, format!("requirements: {file}")))
}

/// Lines of a requirements file, with those that it names by `-r`; options, paths and addresses are left out.
fn read_file(tree: &dyn Tree, path: &str, lines: &mut Vec<String>, depth: usize) {
    let Some(text) = tree.text(path).filter(|_| depth < 6) else {
        return;
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(other) = line
            .strip_prefix("--requirement")
            .or_else(|| line.strip_prefix("-r"))
        {
            read_file(
                tree,
                &join(folder, other.trim_start_matches('=').trim()),
                lines,
                depth + 1,
            );
        } else if !line.starts_with(['-', '.', '/']) && !line.contains("://") {
            push(lines, line.split(" --hash").next().unwrap_or(line).trim());
        }
    }
}

fn join(folder: &str, file: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in file.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn tests_require(tree: &dyn Tree, project: &Project) -> Option<Wanted> {
    let mut lines = setup::arguments(tree)
        .get("tests_require")
        .map(Literal::strings)
        .unwrap_or_default();
    if let Some(options) = project
        .setup_cfg
        .get("options")
        .and_then(|options| options.get("tests_require"))
    {
        lines.extend(ini::lines(options).map(str::to_owned));
    }
    (!lines.is_empty()).then(|| taken(&lines, "requirements: tests_require".to_owned()))
}

/// Every distribution that the tree names anywhere: a missing import may be one of these.
fn all_declared(
    groups: &BTreeMap<String, Vec<String>>,
    extras: &BTreeMap<String, Vec<String>>,
    tree: &dyn Tree,
) -> BTreeMap<String, String> {
    let mut lines: Vec<String> = groups
        .values()
        .chain(extras.values())
        .flatten()
        .cloned()
        .collect();
    for file in tree
        .files()
        .iter()
        .filter(|f| f.contains("requirement") && is_text(f))
        .take(20)
    {
        read_file(tree, file, &mut lines, 0);
    }
    lines.into_iter().map(|line| (canonical(&line), line)).collect()
}

/// Adds what the tests import and nothing above brings.
fn scan(
    tree: &dyn Tree,
    name: &str,
    suite: &Suite,
    declared: &BTreeMap<String, String>,
    wanted: &mut Wanted,
    rejected: &mut Vec<String>,
) {
    let runtime: BTreeSet<String> = crate::declaration::metadata(tree)
        .map(|metadata| {
            metadata
                .requires_dist
                .iter()
                .map(|l| l.lossy().into_owned())
                .filter(|l| !l.contains("extra =="))
                .map(|l| canonical(&l))
                .collect()
        })
        .unwrap_or_default();
    let subject = canonical(name);
    let nothing = wanted.lines.is_empty() && wanted.extras.is_empty();
    let mut have: BTreeSet<String> = wanted.lines.iter().map(|line| canonical(line)).collect();
    have.extend(wanted.brought.iter().cloned());
    have.extend(runtime);
    have.insert(subject);
    let tops: BTreeMap<&str, bool> =
        suite
            .imports
            .iter()
            .fold(BTreeMap::new(), |mut tops, (dotted, hard)| {
                *tops
                    .entry(dotted.split('.').next().unwrap_or(dotted))
                    .or_default() |= *hard;
                tops
            });
    for (top, _) in tops.into_iter().filter(|(_, hard)| *hard) {
        if stdlib::has(top) || in_tree(tree, top) || top == "pytest" || top == "_pytest" {
            continue;
        }
        let same = canonical(top);
        let found = tables::distribution(top)
            .map(str::to_owned)
            .or_else(|| declared.get(&same).cloned());
        match found {
            Some(line) if have.insert(canonical(&line)) => {
                wanted
                    .why
                    .push(format!("requirements: {line}, because the tests import {top}"));
                wanted.lines.push(line);
            }
            Some(_) => {}
            None if have.contains(&same) => {}
            None => rejected.push(format!(
                "the tests import {top}, and nothing says which distribution that is"
            )),
        }
    }
    // a plugin too many breaks suites: only where nothing was declared
    for plugin in suite.plugins.iter().filter(|_| nothing) {
        if have.insert(canonical(plugin)) {
            wanted.why.push(format!(
                "requirements: {plugin}, because the tests use what it offers"
            ));
            wanted.lines.push((*plugin).to_owned());
        }
    }
}

fn in_tree(tree: &dyn Tree, top: &str) -> bool {
    let (file, folder) = (format!("{top}.py"), format!("{top}/"));
    tree.files().iter().any(|path| {
        path.split('/').any(|part| part == file)
            || path.starts_with(&folder)
            || path.contains(&format!("/{folder}"))
    })
}

/// Whether a path is that of a plain text.
fn is_text(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "txt")
}

/// The canonical name at the beginning of a requirement line.
pub(crate) fn canonical(line: &str) -> String {
    let name: String = line
        .trim()
        .chars()
        .take_while(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | '.'))
        .collect();
    let mut out = String::new();
    for c in name.to_lowercase().chars() {
        let c = if matches!(c, '_' | '.') { '-' } else { c };
        if c != '-' || !out.ends_with('-') {
            out.push(c);
        }
    }
    out
}

fn push(lines: &mut Vec<String>, line: &str) {
    let line = line.trim();
    if !line.is_empty() && lines.len() < 500 && !lines.iter().any(|other| other == line) {
        lines.push(line.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(files: &[(&str, &str)]) -> Wanted {
        let tree = MemoryTree::new(files.iter().copied());
        let mut rejected = Vec::new();
        let project = Project::read(&tree, &mut rejected);
        let importable = crate::importable::find(&tree, "x", &project);
        let suite = Suite::find(&tree, &importable, &mut rejected);
        climb(&tree, "x", &project, &suite, &mut rejected)
    }

    #[test]
    fn a_group_for_tests_is_taken_with_what_it_includes() {
        let wanted = of(&[(
            "pyproject.toml",
            "[dependency-groups]\nbase = ['mock']\ntests = ['pytest', {include-group='base'}]\ntyping = ['mypy', 'pytest']\nloop = [{include-group='loop'}]\n",
        )]);
        assert_eq!(wanted.lines, ["pytest", "mock"]);
    }

    #[test]
    fn an_extra_is_asked_for_by_name_and_found_by_content() {
        let wanted = of(&[(
            "pyproject.toml",
            "[project.optional-dependencies]\nall = ['hypothesis', 'pytest']\ndocs = ['sphinx']\n",
        )]);
        assert_eq!(wanted.extras, ["all"]);
        assert!(wanted.lines.is_empty());
    }

    #[test]
    fn files_are_followed_and_never_out_of_the_tree() {
        let wanted = of(&[
            (
                "requirements/tests.txt",
                "-r ../base.txt\n-r ../../../etc/passwd\npytest==8  # pin\n-e .\nhttps://example.invalid/x\n",
            ),
            ("base.txt", "mock\n"),
        ]);
        assert_eq!(wanted.lines, ["mock", "pytest==8"]);
    }

    #[test]
    fn without_declarations_imports_tell_and_standard_ones_do_not_count() {
        let wanted = of(&[(
            "test_a.py",
            "import os, yaml, unknown_thing\ntry:\n    import numpy\nexcept ImportError: pass\ndef test_a(mocker): pass\n",
        )]);
        assert_eq!(wanted.lines, ["PyYAML", "pytest-mock"]);
        assert_eq!(
            of(&[("setup.py", "setup(tests_require=['nose2'])")]).lines,
            ["nose2"]
        );
    }
}
