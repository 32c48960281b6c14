//! Which files of a distribution are modules, packages and extension modules.

use std::collections::{BTreeMap, BTreeSet};

/// How much a name can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sure {
    /// The name says that it is a module.
    Yes,
    /// A bare `.so` may be any library; its content must hold `PyInit_NAME`.
    AskContent,
}

/// Collects the files of one distribution, with paths relative to site-packages.
#[derive(Debug, Default)]
pub(crate) struct Modules {
    /// Dotted path of the folder → stems of the modules in it.
    folders: BTreeMap<Vec<String>, BTreeSet<String>>,
    /// Compiled extension modules, in order.
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl Modules {
    /// Takes a file. `holds` tells whether its content holds those bytes; it is asked only when the name alone
    /// does not tell.
    pub(crate) fn take(&mut self, path: &[u8], holds: &mut dyn FnMut(&[u8]) -> bool) {
        let Ok(text) = std::str::from_utf8(path) else {
            return;
        };
        let mut parts: Vec<&str> = text.split('/').collect();
        let Some(file) = parts.pop() else { return };
        if !parts.iter().all(|part| is_identifier(part)) || parts.contains(&"__pycache__") {
            return;
        }
        let Some((stem, compiled, sure)) = stem(file) else {
            return;
        };
        if sure == Sure::AskContent {
            let name = if stem == "__init__" {
                parts.last().copied().unwrap_or_default()
            } else {
                stem
            };
            if !holds(format!("PyInit_{name}").as_bytes()) {
                return;
            }
        }
        if compiled {
            self.extensions.push(path.to_vec());
        }
        let folder = parts.into_iter().map(str::to_owned).collect();
        self.folders.entry(folder).or_default().insert(stem.to_owned());
    }

    /// Names at the top, sorted: modules, packages, and namespace packages.
    pub(crate) fn top_level(&self) -> Vec<String> {
        let names: BTreeSet<String> = self
            .all()
            .into_iter()
            .filter_map(|name| name.split('.').next().map(str::to_owned))
            .collect();
        names.into_iter().collect()
    }

    /// All importable modules, dotted and sorted. As in pkgutil, what lies in a folder without `__init__` below a
    /// package that has one is data; above it, it is a namespace. `__main__` is for running, not for importing.
    pub(crate) fn all(&self) -> Vec<String> {
        let mut found = BTreeSet::new();
        for (folder, stems) in self
            .folders
            .iter()
            .filter(|(folder, _)| self.is_reachable(folder))
        {
            for stem in stems.iter().filter(|stem| *stem != "__main__") {
                let own = (stem != "__init__").then_some(stem);
                let name = folder
                    .iter()
                    .chain(own)
                    .map(String::as_str)
                    .collect::<Vec<_>>()
                    .join(".");
                if !name.is_empty() {
                    found.insert(name);
                }
            }
        }
        found.into_iter().collect()
    }

    fn is_reachable(&self, folder: &[String]) -> bool {
        let regular = |n: usize| {
            self.folders
                .get(&folder[..n])
                .is_some_and(|stems| stems.contains("__init__"))
        };
        let mut in_package = false;
        (1..=folder.len()).all(|n| {
            let is = regular(n);
            let fine = is || !in_package;
            in_package |= is;
            fine
        })
    }
}

/// The module's name in a file name, and whether it is compiled.
fn stem(file: &str) -> Option<(&str, bool, Sure)> {
    let (stem, rest) = file.split_once('.')?;
    if !is_identifier(stem) {
        return None;
    }
    match rest {
        "py" | "pyc" => Some((stem, false, Sure::Yes)),
        "so" => Some((stem, true, Sure::AskContent)),
        tagged => {
            let tag = tagged.strip_suffix(".so")?;
            let known = tag == "abi3"
                || tag == "abi3t"
                || ["cpython-", "pypy", "graalpy"].iter().any(|t| tag.starts_with(t));
            known.then_some((stem, true, Sure::Yes))
        }
    }
}

/// Whether Python could have it as a name; close enough for file names.
fn is_identifier(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c == '_' || c.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}

/// Whether a `.pth` file runs code when the interpreter starts: as site.py reads it, lines that start with
/// `import` and a blank are executed.
pub(crate) fn pth_runs_code(content: &[u8]) -> bool {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    content
        .split(|b| matches!(b, b'\n' | b'\r'))
        .any(|line| line.starts_with(b"import ") || line.starts_with(b"import\t"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules(files: &[&str]) -> Modules {
        let mut modules = Modules::default();
        for file in files {
            modules.take(file.as_bytes(), &mut |needle| needle == b"PyInit_real");
        }
        modules
    }

    #[test]
    fn packages_modules_namespaces_and_extensions_are_told_apart_from_data() {
        let found = modules(&[
            "one.py",
            "pkg/__init__.py",
            "pkg/__main__.py",
            "pkg/sub/__init__.py",
            "pkg/sub/deep.py",
            "pkg/data/template.py",
            "ns/inner/__init__.py",
            "ns/inner/_fast.cpython-313-x86_64-linux-gnu.so",
            "ns/real.so",
            "ns/libfoo.so",
            "old/hidden.pyc",
            "pkg/__pycache__/sub.cpython-313.pyc",
            "pkg-1.0.dist-info/x.py",
            "not-a-name.py",
            "readme.txt",
            "typed.pyi",
        ]);
        assert_eq!(found.top_level(), ["ns", "old", "one", "pkg"]);
        assert_eq!(
            found.all(),
            [
                "ns.inner",
                "ns.inner._fast",
                "ns.real",
                "old.hidden",
                "one",
                "pkg",
                "pkg.sub",
                "pkg.sub.deep"
            ]
        );
        assert_eq!(
            found.extensions,
            [
                &b"ns/inner/_fast.cpython-313-x86_64-linux-gnu.so"[..],
                b"ns/real.so"
            ]
        );
    }

    #[test]
    fn pth_files_that_only_name_folders_run_nothing() {
        assert!(pth_runs_code(b"import os; os.getpid()\n"));
        assert!(pth_runs_code(b"\xef\xbb\xbfimport\tos\n"));
        assert!(pth_runs_code(b"/some/folder\r\nimport x"));
        assert!(!pth_runs_code(
            b"../important\n# import x\nimportant\n import x\n"
        ));
    }
}
