//! What is declared in tables: dependency groups, extras, and those of pdm, poetry, hatch and uv.

use std::collections::{BTreeMap, BTreeSet};

use toml::Value;

use super::{Wanted, by_content, by_name, push};
use crate::declaration::{Project, strings};
use crate::ini;
use crate::poetry;
use crate::python::Literal;
use crate::setup;
use crate::tree::Tree;

/// Lines of a dependency group (PEP 735), with the groups that it includes; each once, so that circles end.
pub(super) fn group(groups: &toml::Table, key: &str) -> Vec<String> {
    let (mut lines, mut seen) = (Vec::new(), BTreeSet::new());
    include(groups, key, &mut lines, &mut seen);
    lines
}

fn include<'a>(groups: &'a toml::Table, key: &'a str, lines: &mut Vec<String>, seen: &mut BTreeSet<&'a str>) {
    // a chain of groups is as deep as the stack, not as long as a file may be
    if seen.len() > 100 || !seen.insert(key) {
        return;
    }
    for entry in groups.get(key).and_then(Value::as_array).into_iter().flatten() {
        match entry {
            Value::String(line) => push(lines, line),
            Value::Table(table) => {
                if let Some(other) = table.get("include-group").and_then(Value::as_str) {
                    include(groups, find_key(groups, other).unwrap_or(other), lines, seen);
                }
            }
            _ => {}
        }
        if lines.len() > 500 {
            break;
        }
    }
}

fn find_key<'a>(groups: &'a toml::Table, name: &str) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['_', '.'], "-");
    groups
        .keys()
        .map(String::as_str)
        .find(|key| plain(key) == plain(name))
}

/// Extras with their lines, from pyproject.toml, setup.cfg, setup.py or poetry.
pub(super) fn extras(tree: &dyn Tree, project: &Project) -> BTreeMap<String, Vec<String>> {
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
pub(super) fn tools(project: &Project) -> Option<Wanted> {
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
    let hatch = project
        .table(&["tool", "hatch", "envs"])
        .or_else(|| project.hatch_toml.get("envs").and_then(Value::as_table));
    for (name, environment) in hatch.into_iter().flatten() {
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
