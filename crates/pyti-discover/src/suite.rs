//! The tests that a tree carries.

use std::collections::{BTreeMap, BTreeSet};

use crate::doctests::{self, Prompts};
use crate::imports::{self, Imports};
use crate::pytest;
use crate::python::{self, Token};
use crate::tables;
use crate::tree::{Tree, is_python};

/// Files whose content is looked at.
const READ: usize = 4000;
/// Places that are given to the runner one by one; beyond it, whole packages are.
const PLACES: usize = 12;
/// Folders that hold other things.
const ELSEWHERE: &[&str] = &[
    "docs",
    "doc",
    "examples",
    "example",
    "benchmarks",
    "benchmark",
    "bench",
    "build",
    "dist",
    "node_modules",
    "vendor",
    "_vendor",
    "vendored",
    "fuzz",
    "fuzzing",
    "samples",
    "demo",
    "site-packages",
    ".tox",
    ".nox",
    ".github",
];
/// Folders for tests.
const FOLDERS: &[&str] = &[
    "tests",
    "test",
    "testing",
    "unit_tests",
    "unittests",
    "unit",
    "_tests",
    "testsuite",
];

/// A file with tests.
#[derive(Debug)]
pub(crate) struct TestFile {
    pub(crate) path: String,
    pub(crate) pytest: bool,
    pub(crate) unittest: bool,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Suite {
    pub(crate) files: Vec<TestFile>,
    /// The folders or files that hold them.
    pub(crate) places: Vec<String>,
    /// They have names that runners look for.
    pub(crate) by_name: bool,
    /// Imports of the tests and what lies beside them: dotted name, and whether it must be there.
    pub(crate) imports: BTreeMap<String, bool>,
    /// Plugins of pytest that the tests' own words show.
    pub(crate) plugins: BTreeSet<&'static str>,
    /// Modules whose doctests can be run, dotted.
    pub(crate) doctest_modules: Vec<String>,
    /// Top-level modules of the distribution with prompts, be they tests or illustrations.
    pub(crate) prompts: BTreeSet<String>,
    /// Files of tests that run doctests of modules themselves, and the word that shows it.
    pub(crate) doctested: Vec<(String, &'static str)>,
}

struct Look {
    pytest: bool,
    unittest: bool,
    tests: bool,
    imports: Imports,
    plugins: BTreeSet<&'static str>,
    doctests: Option<&'static str>,
}

impl Suite {
    /// Looks for tests.
    pub(crate) fn find(
        tree: &dyn Tree,
        importable: &BTreeMap<String, String>,
        rejected: &mut Vec<String>,
    ) -> Self {
        let project = crate::declaration::Project::read(tree, &mut Vec::new());
        let config = pytest::config(tree, &project);
        let mut looks: BTreeMap<&str, Look> = BTreeMap::new();
        let candidates = tree
            .files()
            .iter()
            .filter(|path| is_python(path) && is_candidate(path, &config));
        for path in candidates.take(READ) {
            if let Some(text) = tree.text(path) {
                looks.insert(path, look(&text));
            }
        }
        let named = |path: &str| pytest::is_test_name(base(path), &config.python_files);
        let mut suite = Self::default();
        for strict in [true, false] {
            let mut incomplete = Vec::new();
            for (path, look) in looks
                .iter()
                .filter(|(path, look)| look.tests && (!strict || named(path)))
            {
                if !strict && base(path) == "conftest.py" {
                    continue;
                }
                if let Some(missing) = missing_neighbour(tree, path, &look.imports) {
                    incomplete.push(format!("{path} imports {missing}, which the archive leaves out"));
                    continue;
                }
                suite.files.push(TestFile {
                    path: (*path).to_owned(),
                    pytest: look.pytest,
                    unittest: look.unittest,
                });
            }
            if !suite.files.is_empty() {
                suite.by_name = strict;
                break;
            }
            for text in incomplete {
                if !rejected.contains(&text) && rejected.len() < 50 {
                    rejected.push(text);
                }
            }
        }
        suite.places = places(&suite, importable);
        for (path, look) in &looks {
            let used = suite
                .places
                .iter()
                .any(|place| *path == place || path.starts_with(&format!("{place}/")))
                || base(path) == "conftest.py";
            if used {
                for (name, hard) in &look.imports.absolute {
                    *suite.imports.entry(name.clone()).or_default() |= *hard;
                }
                suite.plugins.extend(look.plugins.iter().copied());
                suite
                    .doctested
                    .extend(look.doctests.map(|word| ((*path).to_owned(), word)));
            }
        }
        (suite.doctest_modules, suite.prompts) = doctest_modules(tree, importable, rejected);
        suite
    }

    /// Some test imports pytest.
    pub(crate) fn uses_pytest(&self) -> bool {
        self.files.iter().any(|file| file.pytest)
    }

    /// All tests are unittest's.
    pub(crate) fn only_unittest(&self) -> bool {
        !self.files.is_empty() && self.files.iter().all(|file| file.unittest && !file.pytest)
    }
}

fn base(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn is_candidate(path: &str, config: &pytest::Config) -> bool {
    let mut folders: Vec<&str> = path.split('/').collect();
    let name = folders.pop().unwrap_or_default();
    if folders
        .iter()
        .any(|folder| ELSEWHERE.contains(folder) || folder.ends_with(".egg-info"))
        || name == "setup.py"
    {
        return false;
    }
    folders.iter().any(|folder| FOLDERS.contains(folder))
        || pytest::is_test_name(name, &config.python_files)
        || matches!(name, "tests.py" | "test.py" | "conftest.py")
}

fn look(text: &str) -> Look {
    let source = python::read(text);
    let imports = imports::of(&source);
    let mut plugins = BTreeSet::new();
    let (mut tests, mut case, mut stdlib_case) = (false, false, false);
    for line in &source.lines {
        let at = usize::from(line.first() == Some("async"));
        let second = line.tokens.get(at + 1).and_then(Token::name);
        match line.tokens.get(at).and_then(Token::name) {
            Some("def") => {
                let name = second.unwrap_or_default();
                tests |= name.starts_with("test") || name == "load_tests";
                // arguments are fixtures
                plugins.extend(
                    line.tokens[1..]
                        .iter()
                        .filter_map(Token::name)
                        .filter(|n| *n != "asyncio")
                        .filter_map(tables::plugin_of_word),
                );
            }
            Some("class") => {
                let base_is_case = line
                    .tokens
                    .iter()
                    .filter_map(Token::name)
                    .any(|name| name.ends_with("TestCase") && Some(name) != second);
                case |= base_is_case;
                stdlib_case |=
                    base_is_case && imports.absolute.keys().any(|name| name.starts_with("unittest"));
            }
            _ => {}
        }
        if line
            .tokens
            .windows(3)
            .any(|w| w[0].is_name("mark") && w[1].is('.') && w[2].is_name("asyncio"))
        {
            plugins.insert("pytest-asyncio");
        }
    }
    let pytest = imports
        .absolute
        .keys()
        .any(|name| name == "pytest" || name.starts_with("pytest.") || name.starts_with("_pytest"));
    Look {
        pytest,
        unittest: case || stdlib_case,
        tests,
        imports,
        plugins,
        // unittest loads them so; what a test function runs is run with it, and other functions nobody calls any more
        doctests: (text.contains("def load_tests(") && text.contains("DocTestSuite("))
            .then_some("DocTestSuite("),
    }
}

/// A module beside the file that it must import and that is not in the tree.
fn missing_neighbour(tree: &dyn Tree, path: &str, imports: &Imports) -> Option<String> {
    for (dots, module) in &imports.relative {
        let mut folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for _ in 1..*dots {
            folder = folder.rsplit_once('/').map_or("", |(folder, _)| folder);
        }
        let prefix = if folder.is_empty() {
            String::new()
        } else {
            format!("{folder}/")
        };
        let first = module.split('.').next().unwrap_or_default();
        // `from . import x` may also be a name of the package itself
        if first.starts_with('?') {
            continue;
        }
        let file = format!("{prefix}{first}");
        let compiled = format!("{file}.");
        if !tree.has_folder(&file) && !tree.files().iter().any(|other| other.starts_with(&compiled)) {
            return Some(format!("{}{module}", ".".repeat(*dots)));
        }
    }
    None
}

/// The fewest folders or files that hold the tests.
fn places(suite: &Suite, importable: &BTreeMap<String, String>) -> Vec<String> {
    if !suite.by_name {
        return suite.files.iter().map(|file| file.path.clone()).collect();
    }
    let mut places = BTreeSet::new();
    for file in &suite.files {
        let folders: Vec<&str> = file.path.split('/').collect();
        let at = folders[..folders.len() - 1]
            .iter()
            .position(|folder| FOLDERS.contains(folder));
        places.insert(match at {
            Some(at) => folders[..=at].join("/"),
            None => file.path.clone(),
        });
    }
    if places.len() > PLACES {
        let packages: BTreeSet<String> = places
            .iter()
            .map(|place| {
                importable
                    .values()
                    .find(|path| *place == **path || place.starts_with(&format!("{path}/")))
                    .cloned()
                    .unwrap_or_else(|| place.split('/').next().unwrap_or(place).to_owned())
            })
            .collect();
        return packages.into_iter().collect();
    }
    // a place within another one is in it already
    let all: Vec<String> = places.into_iter().collect();
    all.iter()
        .filter(|place| !all.iter().any(|other| place.starts_with(&format!("{other}/"))))
        .cloned()
        .collect()
}

/// Modules of the distribution with doctests, none when some of the prompts are only illustrations; and its top-level
/// modules with any prompts.
fn doctest_modules(
    tree: &dyn Tree,
    importable: &BTreeMap<String, String>,
    rejected: &mut Vec<String>,
) -> (Vec<String>, BTreeSet<String>) {
    let (mut modules, mut prompts, mut illustration) = (Vec::new(), BTreeSet::new(), None);
    for (top, path) in importable {
        let prefix = format!("{path}/");
        let files = tree
            .files()
            .iter()
            .filter(|file| *file == path || file.starts_with(&prefix));
        for file in files.filter(|file| is_python(file)).take(READ) {
            let Some(text) = tree.text(file).filter(|text| text.contains(">>> ")) else {
                continue;
            };
            match doctests::of(&python::read(&text)) {
                Prompts::None => {}
                Prompts::Illustration => {
                    prompts.insert(top.clone());
                    illustration.get_or_insert(file);
                }
                Prompts::Tests => {
                    prompts.insert(top.clone());
                    let rest = file.strip_prefix(&prefix).unwrap_or_default();
                    let rest = rest
                        .trim_end_matches(".py")
                        .trim_end_matches("__init__")
                        .trim_end_matches('/');
                    let dotted = if rest.is_empty() {
                        top.clone()
                    } else {
                        format!("{top}.{}", rest.replace('/', "."))
                    };
                    modules.push(dotted);
                }
            }
        }
    }
    if let Some(file) = illustration {
        rejected.push(format!("the prompts in {file} are illustrations, not doctests"));
        modules.clear();
    }
    (modules, prompts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(files: &[(&str, &str)]) -> (Suite, Vec<String>) {
        let tree = MemoryTree::new(files.iter().copied());
        let mut rejected = Vec::new();
        let importable = crate::importable::find(&tree, "x", &crate::declaration::Project::default());
        (Suite::find(&tree, &importable, &mut rejected), rejected)
    }

    #[test]
    fn tests_whose_neighbours_are_missing_are_none_and_whole_ones_are() {
        let test = "from .base import Case\nclass A(Case):\n    def test_a(self): pass\n";
        let (suite, rejected) = of(&[("x.py", ""), ("tests/test_a.py", test)]);
        assert!(suite.files.is_empty());
        assert!(rejected[0].contains(".base"));
        let (suite, _) = of(&[("x.py", ""), ("tests/test_a.py", test), ("tests/base.py", "")]);
        assert_eq!(suite.places, ["tests"]);
    }

    #[test]
    fn a_library_of_test_helpers_is_no_test() {
        let (suite, _) = of(&[
            ("x/__init__.py", ""),
            ("x/test_utils.py", "def assert_it(): pass\n"),
        ]);
        assert!(suite.files.is_empty());
        let (suite, _) = of(&[
            ("x/__init__.py", ""),
            ("x/test_utils.py", "def test_it(): pass\n"),
        ]);
        assert_eq!(suite.places, ["x/test_utils.py"]);
    }

    #[test]
    fn a_lone_file_with_another_name_is_found() {
        let (suite, _) = of(&[
            ("x.py", ""),
            (
                "tests/all.py",
                "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n",
            ),
        ]);
        assert_eq!(
            (suite.places.as_slice(), suite.by_name),
            (&["tests/all.py".to_owned()][..], false)
        );
        assert!(suite.only_unittest());
    }
}
