//! What of a command line is kept: which tests it chooses, not how it shows them.

use std::collections::BTreeMap;

use crate::tree::Tree;

/// Options of pytest that choose tests, and whether their value may stand apart.
const CHOOSE: &[(&str, bool)] = &[
    ("-m", true),
    ("-k", true),
    ("--ignore", true),
    ("--ignore-glob", true),
    ("--deselect", true),
    ("--doctest-modules", false),
    ("--doctest-glob", true),
    ("--doctest-continue-on-failure", false),
    ("--import-mode", true),
    ("-c", true),
];
/// Other options with a value that stands apart: it is no place.
const VALUED: &[&str] = &[
    "-n",
    "-p",
    "-o",
    "-W",
    "-r",
    "--cov",
    "--cov-config",
    "--cov-report",
    "--junitxml",
    "--junit-xml",
    "--rootdir",
    "--basetemp",
    "--durations",
    "--maxfail",
    "--tb",
    "--timeout",
    "--log-level",
    "--numprocesses",
    "--dist",
    "--color",
];

/// Options that choose, and places that are there, relative to the root of the tree.
pub(super) fn of_pytest(
    tree: &dyn Tree,
    words: &[String],
    cwd: &str,
    importable: &BTreeMap<String, String>,
) -> (Vec<String>, Vec<String>) {
    let (mut options, mut places) = (Vec::new(), Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        if let Some((name, apart)) = CHOOSE.iter().find(|(name, _)| {
            word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with('='))
        }) {
            let mut option = vec![word.clone()];
            if *apart && word == name {
                option.extend(words.next().cloned());
            }
            // a path in it is one of the tree
            let path = matches!(*name, "--ignore" | "-c" | "--deselect");
            if !path || cwd.is_empty() {
                options.extend(option);
            }
        } else if VALUED.contains(&word.as_str()) {
            words.next();
        } else if !word.starts_with('-') {
            match place(tree, word, cwd, importable) {
                Some(place) => places.push(place),
                // a place that is not there would end pytest: what the tree holds is taken instead
                None => return (options, Vec::new()),
            }
        }
    }
    (options, places)
}

/// A place of a command line, relative to the root of the tree.
fn place(tree: &dyn Tree, word: &str, cwd: &str, importable: &BTreeMap<String, String>) -> Option<String> {
    let word = word.trim_end_matches('/');
    // the installed package: where its sources lie
    if let Some(rest) = word.strip_prefix("{site}/") {
        let (top, below) = rest.split_once('/').unwrap_or((rest, ""));
        let path = importable.get(top.trim_end_matches(".py"))?;
        return Some(if below.is_empty() {
            path.clone()
        } else {
            format!("{path}/{below}")
        });
    }
    let (file, test) = match word.split_once("::") {
        Some((file, test)) => (file, Some(test)),
        None => (word, None),
    };
    let plain = file.trim_start_matches("./");
    let path = if cwd.is_empty() {
        plain.to_owned()
    } else {
        format!("{cwd}/{plain}")
    };
    let path = match path.as_str() {
        "." | "" => return None,
        path => path.trim_end_matches("/.").to_owned(),
    };
    let there = tree.has(&path) || tree.has_folder(&path);
    there.then(|| match test {
        Some(test) => format!("{path}::{test}"),
        None => path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    #[test]
    fn what_chooses_is_kept_and_what_shows_is_not() {
        let tree = MemoryTree::new([("tests/test_a.py", ""), ("src/x/__init__.py", "")]);
        let importable = [("x".to_owned(), "src/x".to_owned())].into();
        let of = |line: &str| of_pytest(&tree, &crate::pytest::words(line), "", &importable);
        let (options, places) =
            of("-v -n auto --cov x -m 'not slow' --ignore=a tests {site}/x --durations 5");
        assert_eq!(options, ["-m", "not slow", "--ignore=a"]);
        assert_eq!(places, ["tests", "src/x"]);
        assert!(of("tests gone").1.is_empty());
        let inside = of_pytest(&tree, &["test_a.py".to_owned()], "tests", &importable);
        assert_eq!(inside.1, ["tests/test_a.py"]);
    }
}
