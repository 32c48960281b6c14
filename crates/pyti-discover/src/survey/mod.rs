//! What the files of a wheel tell of its quality: imports, annotations, entry points, symbols of extension modules.
//!
//! Read in a box by the verb `__survey`, of a wheel that was unpacked there. Nothing of it runs.

mod imported;
mod limited;
mod points;
mod providers;
mod typed;
mod verb;

use std::collections::BTreeMap;
use std::path::Path;

use pyti_model::quality::{Imported, LimitedApi, Provider, Typing};
use serde::{Deserialize, Serialize};

pub use verb::{SurveyError, VERB, argv, main, parse};

use crate::python::{self, Source};
use crate::tree::{FolderTree, Tree, is_python};

/// Sources that are read at most.
const SOURCES: usize = 20_000;

/// What was read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Survey {
    /// Modules from elsewhere that are imported.
    pub imports: Vec<Imported>,
    /// Which installed distribution brings which modules.
    pub providers: Vec<Provider>,
    /// How far it is typed.
    pub types: Typing,
    /// What extension modules of the limited API want.
    pub limited: Vec<LimitedApi>,
    /// What entry points point to, and whether that is defined there, as far as sources tell.
    pub points: BTreeMap<String, Option<bool>>,
    /// Lines of modules that are neither empty nor a comment.
    pub code_lines: u64,
}

/// One source of the wheel.
pub(crate) struct Module {
    /// Path in the wheel.
    pub(crate) path: String,
    /// Dotted name; of a package, without `__init__`.
    pub(crate) name: String,
    pub(crate) source: Source,
    /// Tests, examples, documentation.
    pub(crate) aside: bool,
}

/// Surveys a wheel that was unpacked; `installed` is the site-packages with what it needs.
pub fn survey(wheel: &Path, installed: Option<&Path>) -> Survey {
    let tree = FolderTree::new(wheel);
    let mut survey = Survey::default();
    let mut modules = Vec::new();
    let paths = tree.files().iter();
    for path in paths
        .filter(|path| is_python(path) || path.ends_with(".pyi"))
        .take(SOURCES)
    {
        let Some(text) = tree.text(path) else { continue };
        let aside = is_aside(path);
        if is_python(path) && !aside {
            survey.code_lines += code_lines(&text);
        }
        modules.push(Module {
            name: dotted(path),
            path: path.clone(),
            source: python::read(&text),
            aside,
        });
    }
    survey.imports = imported::of(&modules, &own_names(&tree));
    survey.types = typed::of(&modules, &tree);
    survey.points = points::of(&modules, &tree);
    survey.limited = limited::of(wheel, &tree);
    survey.providers = installed.map(providers::of).unwrap_or_default();
    survey
}

/// A path as an installer places it: what lies in `purelib` and `platlib` goes beside the rest.
pub(crate) fn placed(path: &str) -> &str {
    let mut parts = path.splitn(3, '/');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(top), Some("purelib" | "platlib"), Some(rest)) if top.ends_with(".data") => rest,
        _ => path,
    }
}

/// The dotted name of a source.
pub(crate) fn dotted(path: &str) -> String {
    let path = placed(path);
    let stem = path
        .strip_suffix(".pyi")
        .or(path.strip_suffix(".py"))
        .unwrap_or(path);
    let stem = stem.strip_suffix("/__init__").unwrap_or(stem);
    stem.replace('/', ".").replace("-stubs", "")
}

/// Whether a file is not what users import: tests, examples, documentation, tools.
pub(crate) fn is_aside(path: &str) -> bool {
    let (folders, file) = path.rsplit_once('/').unwrap_or(("", path));
    let is = |name: &str| {
        matches!(
            name.trim_matches('_'),
            "test"
                | "tests"
                | "doc"
                | "docs"
                | "example"
                | "examples"
                | "benchmark"
                | "benchmarks"
                | "scripts"
        )
    };
    folders.split('/').any(is)
        || file.starts_with("test_")
        || file.ends_with("_test.py")
        || matches!(file, "conftest.py" | "setup.py" | "tests.py")
}

/// Names at the top that are the wheel's own.
fn own_names(tree: &dyn Tree) -> Vec<String> {
    let mut names: Vec<String> = tree
        .files()
        .iter()
        .filter_map(|path| {
            let path = placed(path);
            let (top, below) = path.split_once('/').map_or((path, false), |(top, _)| (top, true));
            if below {
                (!top.ends_with(".dist-info") && !top.ends_with(".data")).then_some(top)
            } else {
                let code = [".py", ".pyi", ".so", ".pyd"]
                    .iter()
                    .any(|end| top.ends_with(end));
                top.split('.').next().filter(|_| code)
            }
        })
        .map(|name| name.trim_end_matches("-stubs").to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn code_lines(text: &str) -> u64 {
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_names_are_those_of_the_installation() {
        assert_eq!(dotted("a-1.data/purelib/a/__init__.py"), "a");
        assert_eq!(dotted("a/b.pyi"), "a.b");
        assert_eq!(dotted("a-stubs/b.pyi"), "a.b");
        assert!(is_aside("a/tests/b.py") && is_aside("a/test_b.py") && is_aside("conftest.py"));
        assert!(!is_aside("a/testing/b.py") && !is_aside("a/latest.py") && !is_aside("a/scripting.py"));
    }

    #[test]
    fn a_folder_is_surveyed() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "own/__init__.py",
            "import os\nimport other\nfrom own import x\n\n# no\ndef f(a: int) -> int:\n    return a\n",
        );
        write("own/py.typed", "");
        write(
            "own-1.dist-info/entry_points.txt",
            "[console_scripts]\nown = own:f\nbad = own:g\n",
        );
        let found = survey(folder.path(), None);
        assert_eq!(found.imports.len(), 1);
        assert_eq!(found.imports[0].module, "other");
        assert_eq!(found.imports[0].place.line, Some(2));
        assert_eq!((found.types.functions, found.types.annotated), (1, 1));
        assert_eq!(found.types.marked, ["own"]);
        assert_eq!(found.points["own:f"], Some(true));
        assert_eq!(found.points["own:g"], Some(false));
        assert_eq!(found.code_lines, 5);
    }
}
