//! The ladder of requirements: the first rung that gives something wins.

mod declared;
mod files;

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::raw::Evidence;

use crate::declaration::Project;
use crate::evidence;
use crate::stdlib;
use crate::suite::Suite;
use crate::tables;
use crate::tree::Tree;
use crate::workflow::Workflow;
use declared::{extras, group, tools};
use files::{files, is_text, read_file, tests_require};

/// What tests want beside the distribution.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) lines: Vec<String>,
    pub(crate) extras: Vec<String>,
    pub(crate) why: Vec<String>,
    /// The file that says so, and a text that leads to its line; the first of the texts that is there counts.
    file: String,
    needles: Vec<String>,
    /// Names that the extras bring, where their content is known.
    brought: BTreeSet<String>,
}

impl Wanted {
    /// It stands under this key in a table.
    fn key(mut self, key: &str) -> Self {
        self.needles = [
            format!("{key} = ["),
            format!("{key}=["),
            format!("\"{key}\" = ["),
            format!("dev-dependencies.{key}"),
            format!("group.{key}"),
            format!("envs.{key}"),
            format!("{key} ="),
            format!("'{key}':"),
            format!("\"{key}\":"),
            format!("{key}="),
        ]
        .into();
        self
    }

    /// With where it was found.
    fn found(mut self, file: &str, needle: &str) -> Self {
        file.clone_into(&mut self.file);
        self.needles.push(needle.to_owned());
        self
    }

    /// Where it was found: one of the files in which such things stand.
    fn located(&self, tree: &dyn Tree) -> Option<Evidence> {
        let what = self.why.first()?;
        let places: Vec<(&str, &String)> = if self.file.is_empty() {
            ["pyproject.toml", "setup.cfg", "setup.py"]
                .iter()
                .flat_map(|file| self.needles.iter().map(|needle| (*file, needle)))
                .collect()
        } else {
            self.needles
                .iter()
                .map(|needle| (self.file.as_str(), needle))
                .collect()
        };
        let found = places
            .iter()
            .map(|(file, needle)| evidence::at(tree, file, needle, what.clone()))
            .find(|evidence| evidence.line > 0);
        let whole = || (!self.file.is_empty()).then(|| evidence::at(tree, &self.file, "", what.clone()));
        found.or_else(whole)
    }

    fn place(&self, tree: &dyn Tree) -> String {
        match self.located(tree) {
            Some(Evidence { file, line, .. }) if line > 0 => format!(" ({file}:{line})"),
            Some(Evidence { file, .. }) => format!(" ({file})"),
            None => String::new(),
        }
    }

    /// Where it was found, for people and machines.
    pub(crate) fn evidence(&self, tree: &dyn Tree) -> Vec<Evidence> {
        self.located(tree).into_iter().collect()
    }
}

/// What a tool of the developers wants; files and groups that it names are read.
fn from_flow(
    tree: &dyn Tree,
    flow: &Workflow,
    groups: &BTreeMap<String, Vec<String>>,
    extras: &BTreeMap<String, Vec<String>>,
) -> Option<Wanted> {
    let mut wanted = Wanted {
        why: vec![format!("requirements: {}", flow.rung)],
        ..Wanted::default()
    }
    .found(&flow.file, &flow.needle);
    let mut bounds = Vec::new();
    for line in &flow.lines {
        if let Some(file) = line.strip_prefix("-r").map(str::trim) {
            files::read_file(tree, file, &mut wanted.lines);
        } else if let Some(file) = line.strip_prefix("-c").map(str::trim) {
            bounds.extend(files::constraints(tree, file));
        } else if !line.starts_with(['-', '.', '/']) && !line.contains("://") && !line.contains('{') {
            push(&mut wanted.lines, line);
        }
    }
    files::bound(&mut wanted.lines, &bounds);
    for name in &flow.groups {
        let found = groups.iter().find(|(key, _)| canonical(key) == canonical(name));
        for line in found.into_iter().flat_map(|(_, lines)| lines) {
            push(&mut wanted.lines, line);
        }
    }
    for name in &flow.extras {
        if let Some((key, lines)) = extras.iter().find(|(key, _)| canonical(key) == canonical(name)) {
            wanted.brought.extend(lines.iter().map(|line| canonical(line)));
            wanted.extras.push(key.clone());
        }
    }
    // coverage alone is no requirement of tests
    let measured = wanted
        .lines
        .iter()
        .all(|line| matches!(canonical(line).as_str(), "coverage" | "pytest-cov"));
    (!wanted.extras.is_empty() || !wanted.lines.is_empty() && !measured).then_some(wanted)
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
        .map(|key| (key.clone(), group(&groups, key)))
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
    flows: &[Workflow],
    rejected: &mut Vec<String>,
) -> Wanted {
    let extras = extras(tree, project);
    let groups = project.table(&["dependency-groups"]).cloned().unwrap_or_default();
    let group_lines: BTreeMap<String, Vec<String>> = groups
        .keys()
        .map(|key| (key.clone(), group(&groups, key)))
        .collect();
    let flow = |flow: &Workflow| from_flow(tree, flow, &group_lines, &extras);
    let default = |wanted: bool| flows.iter().filter(move |flow| flow.is_default == wanted);
    let mut rungs = vec![
        by_name(&group_lines, "dependency group"),
        extra(by_name(&extras, "extra")),
        by_content(&group_lines, "dependency group"),
        extra(by_content(&extras, "extra")),
        tools(project),
    ];
    rungs.extend(default(true).map(flow));
    rungs.push(files(tree));
    let wheels = |flow: &&Workflow| flow.rung.starts_with("cibuildwheel");
    rungs.extend(default(false).filter(wheels).map(flow));
    rungs.push(tests_require(tree, project));
    rungs.extend(default(false).filter(|flow| !wheels(flow)).map(flow));
    let mut wanted = Wanted::default();
    for rung in rungs.into_iter().flatten() {
        if wanted.lines.is_empty() && wanted.extras.is_empty() {
            wanted = rung;
        } else if let (Some(why), Some(first)) = (rung.why.first(), wanted.why.first())
            && why != first
        {
            // a plugin too many breaks suites: the first that gives something is all that is taken
            let place = rung.place(tree);
            let line = format!(
                "{why}{place} is passed over for {}",
                first.trim_start_matches("requirements: ")
            );
            if !rejected.contains(&line) {
                rejected.push(line);
            }
        }
    }
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
        (!lines.is_empty()).then(|| taken(lines, format!("requirements: {kind} {key}")).key(key))
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
    Some(taken(lines, format!("requirements: {kind} {key}")).key(key))
}

fn taken(lines: &[String], why: String) -> Wanted {
    Wanted {
        lines: lines.to_vec(),
        why: vec![why],
        ..Wanted::default()
    }
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
        read_file(tree, file, &mut lines);
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
        let flows = crate::workflow::all(&tree, &project, &mut rejected);
        climb(&tree, "x", &project, &suite, &flows, &mut rejected)
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
