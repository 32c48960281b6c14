//! Files of requirements, and what setup.py says.

use std::collections::BTreeSet;

use super::{Wanted, canonical, push, taken};
use crate::declaration::Project;
use crate::ini;
use crate::python::Literal;
use crate::setup;
use crate::tree::Tree;

/// Files that one may lead to.
const FILES: usize = 50;

/// `requirements*test*.txt` and the like.
pub(super) fn files(tree: &dyn Tree) -> Option<Wanted> {
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
    read_file(tree, file, &mut lines);
    (!lines.is_empty()).then(|| taken(&lines, format!("requirements: {file}")).found(file, ""))
}

/// Lines of a requirements file, with those of the files that it names by `-r`; options, paths and addresses are left out.
/// Constraints that it names by `-c` bound the lines that have no bound of their own.
pub(super) fn read_file(tree: &dyn Tree, path: &str, lines: &mut Vec<String>) {
    let (mut seen, mut bounds) = (BTreeSet::new(), Vec::new());
    follow(tree, path, lines, &mut bounds, &mut seen);
    bound(lines, &bounds);
}

/// Lines of a constraints file.
pub(super) fn constraints(tree: &dyn Tree, path: &str) -> Vec<String> {
    let (mut lines, mut bounds) = (Vec::new(), Vec::new());
    follow(tree, path, &mut lines, &mut bounds, &mut BTreeSet::new());
    lines
}

/// Gives each line that has no bound of its own that of a constraint with its name.
pub(super) fn bound(lines: &mut [String], constraints: &[String]) {
    for line in lines {
        let name = canonical(line);
        let open = !line.contains(['<', '>', '=', '!', '~', '@', ';']);
        let constraint = constraints
            .iter()
            .find(|constraint| open && canonical(constraint) == name && !constraint.contains('['));
        if let Some(constraint) = constraint {
            let from = constraint
                .find(['<', '>', '=', '!', '~', ';'])
                .unwrap_or(constraint.len());
            line.push_str(&constraint[from..]);
        }
    }
}

/// Reads a file and those that it names, each once: files may name each other in a circle.
fn follow(
    tree: &dyn Tree,
    path: &str,
    lines: &mut Vec<String>,
    bounds: &mut Vec<String>,
    seen: &mut BTreeSet<String>,
) {
    if seen.len() >= FILES || !seen.insert(path.to_owned()) {
        return;
    }
    let Some(text) = tree.text(path) else {
        return;
    };
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let named = |options: [&str; 2]| {
            options
                .iter()
                .find_map(|option| line.strip_prefix(option))
                .map(|other| join(folder, other.trim_start_matches('=').trim()))
        };
        if let Some(other) = named(["--requirement", "-r"]) {
            follow(tree, &other, lines, bounds, seen);
        } else if let Some(other) = named(["--constraint", "-c"]) {
            follow(tree, &other, bounds, &mut Vec::new(), seen);
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

pub(super) fn tests_require(tree: &dyn Tree, project: &Project) -> Option<Wanted> {
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
    let file = if tree
        .text("setup.py")
        .is_some_and(|text| text.contains("tests_require"))
    {
        "setup.py"
    } else {
        "setup.cfg"
    };
    (!lines.is_empty())
        .then(|| taken(&lines, "requirements: tests_require".to_owned()).found(file, "tests_require"))
}

/// Whether a path is that of a plain text.
pub(super) fn is_text(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "txt")
}
