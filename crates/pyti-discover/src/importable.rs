//! Which importable names a tree offers, and where.

use std::collections::BTreeMap;

use crate::declaration::Project;
use crate::tree::{Tree, is_python};

/// Folders that may hold packages, beside the root.
const FOLDERS: &[&str] = &["src", "lib", "python", "Lib"];
/// Names at the root that are the project's, not the distribution's.
const NOT_OURS: &[&str] = &[
    "setup",
    "conftest",
    "tests",
    "test",
    "testing",
    "docs",
    "doc",
    "examples",
    "example",
    "benchmarks",
    "benchmark",
    "scripts",
    "tools",
    "tasks",
    "noxfile",
    "fabfile",
    "runtests",
    "alltests",
    "build",
    "dist",
    "ci",
    "bin",
    "fuzz",
    "fuzzing",
    "bench",
    "requirements",
    "samples",
    "demo",
    "demos",
];

/// Top-level importable names and their paths.
pub(crate) fn find(tree: &dyn Tree, name: &str, project: &Project) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // what setuptools wrote down beats every guess
    for file in tree
        .files()
        .iter()
        .filter(|file| file.ends_with(".egg-info/top_level.txt"))
    {
        let beside = file
            .rsplit_once(".egg-info/")
            .and_then(|(egg, _)| egg.rsplit_once('/'))
            .map_or("", |(dir, _)| dir);
        for top in tree
            .text(file)
            .unwrap_or_default()
            .lines()
            .map(str::trim)
            .filter(|top| is_identifier(top))
        {
            if let Some(path) = [beside, "", "src", "lib"]
                .iter()
                .find_map(|folder| module(tree, folder, top))
            {
                found.insert(top.to_owned(), path);
            }
        }
    }
    if !found.is_empty() {
        return found;
    }
    for path in declared_packages(project) {
        let top = path
            .rsplit('/')
            .next()
            .unwrap_or(&path)
            .trim_end_matches(".py")
            .to_owned();
        if is_identifier(&top) && (tree.has(&path) || tree.has_folder(&path)) {
            found.insert(top, path);
        }
    }
    for folder in FOLDERS {
        for (top, path) in children(tree, folder) {
            let package = tree.has(&format!("{path}/__init__.py")) || tree.has(&path);
            if package || (*folder == "src" && has_sources(tree, &path)) {
                found.entry(top).or_insert(path);
            }
        }
    }
    let wanted = name.to_lowercase().replace(['-', '.'], "_");
    let first = wanted.split('_').next().unwrap_or_default().to_owned();
    let nested = !found.is_empty();
    for (top, path) in children(tree, "") {
        let lower = top.to_lowercase();
        let named = lower == wanted || (!lower.is_empty() && lower == first);
        if NOT_OURS.contains(&lower.as_str()) && lower != wanted
            || lower.starts_with("test_")
            || lower.ends_with("_test")
            || FOLDERS.contains(&top.as_str())
            || (nested && !named)
        {
            continue;
        }
        let package = tree.has(&path) || tree.has(&format!("{path}/__init__.py"));
        if package || (named && has_sources(tree, &path)) {
            found.entry(top).or_insert(path);
        }
    }
    found
}

/// Packages that the build's own table names.
fn declared_packages(project: &Project) -> Vec<String> {
    let mut paths = crate::declaration::strings(
        project
            .table(&["tool", "hatch", "build", "targets", "wheel"])
            .and_then(|wheel| wheel.get("packages")),
    );
    if let Some(module) = project
        .table(&["tool", "flit", "module"])
        .and_then(|table| table.get("name")?.as_str())
    {
        let path = module.replace('.', "/");
        paths.extend([format!("src/{path}"), path.clone(), format!("{path}.py")]);
    }
    paths.retain(|path| {
        !path.is_empty() && !path.starts_with('/') && !path.split('/').any(|part| part == "..")
    });
    paths
        .into_iter()
        .map(|path| path.trim_matches('/').to_owned())
        .collect()
}

fn module(tree: &dyn Tree, folder: &str, top: &str) -> Option<String> {
    let path = if folder.is_empty() {
        top.to_owned()
    } else {
        format!("{folder}/{top}")
    };
    if tree.has_folder(&path) {
        return Some(path);
    }
    let file = format!("{path}.py");
    tree.has(&file).then_some(file)
}

fn has_sources(tree: &dyn Tree, folder: &str) -> bool {
    let prefix = format!("{folder}/");
    tree.files()
        .iter()
        .any(|file| file.starts_with(&prefix) && is_python(file))
}

/// Modules and folders directly in a folder: name and path.
fn children(tree: &dyn Tree, folder: &str) -> BTreeMap<String, String> {
    let prefix = if folder.is_empty() {
        String::new()
    } else {
        format!("{folder}/")
    };
    let mut found = BTreeMap::new();
    for file in tree.files() {
        let Some(rest) = file.strip_prefix(&prefix) else {
            continue;
        };
        let (top, path) = match rest.split_once('/') {
            Some((top, _)) => (top, format!("{prefix}{top}")),
            None => match rest.strip_suffix(".py") {
                Some(top) => (top, file.clone()),
                None => continue,
            },
        };
        if is_identifier(top) {
            found.entry(top.to_owned()).or_insert(path);
        }
    }
    found
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(name: &str, files: &[&str]) -> Vec<(String, String)> {
        let tree = MemoryTree::new(files.iter().map(|file| (*file, "a\n")));
        let mut rejected = Vec::new();
        find(&tree, name, &Project::read(&tree, &mut rejected))
            .into_iter()
            .collect()
    }

    fn pair(name: &str, path: &str) -> (String, String) {
        (name.to_owned(), path.to_owned())
    }

    #[test]
    fn flat_nested_and_single_modules_are_found() {
        assert_eq!(
            of("six", &["six.py", "setup.py", "test_six.py"]),
            [pair("six", "six.py")]
        );
        assert_eq!(
            of(
                "x",
                &["src/x/__init__.py", "tests/__init__.py", "tools/__init__.py"]
            ),
            [pair("x", "src/x")]
        );
        assert_eq!(
            of("x", &["x/__init__.py", "x/tests/test_a.py", "docs/conf.py"]),
            [pair("x", "x")]
        );
        assert_eq!(
            of("zope.interface", &["src/zope/interface/__init__.py"]),
            [pair("zope", "src/zope")]
        );
        assert_eq!(
            of("x", &["a/__init__.py", "x.egg-info/top_level.txt", "y.py"]),
            [pair("a", "a")]
        );
    }
}
