//! Where in a tree something stands.

use pyti_model::raw::Evidence;

use crate::tree::Tree;

/// Evidence in a file, at the first line that contains `needle`; the file as a whole when none does.
pub(crate) fn at(tree: &dyn Tree, file: &str, needle: &str, what: impl Into<String>) -> Evidence {
    Evidence {
        what: what.into(),
        file: file.to_owned(),
        line: line(tree, file, needle),
    }
}

/// Evidence at the first line that contains the first of these texts that is there.
pub(crate) fn at_one_of(tree: &dyn Tree, file: &str, needles: &[&str], what: impl Into<String>) -> Evidence {
    let line = needles
        .iter()
        .map(|needle| line(tree, file, needle))
        .find(|line| *line > 0);
    Evidence {
        what: what.into(),
        file: file.to_owned(),
        line: line.unwrap_or(0),
    }
}

/// The first line that contains `needle`, from 1; 0 when there is none.
pub(crate) fn line(tree: &dyn Tree, file: &str, needle: &str) -> u32 {
    if needle.is_empty() {
        return 0;
    }
    tree.text(file)
        .and_then(|text| text.lines().position(|line| line.contains(needle)))
        .and_then(|at| u32::try_from(at + 1).ok())
        .unwrap_or(0)
}

/// `file:line`, or the file alone.
pub(crate) fn place(tree: &dyn Tree, file: &str, needle: &str) -> String {
    match line(tree, file, needle) {
        0 => file.to_owned(),
        line => format!("{file}:{line}"),
    }
}
