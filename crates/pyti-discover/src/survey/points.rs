//! Whether what entry points point to is defined, as far as sources tell.

use std::collections::BTreeMap;

use super::Module;
use crate::python::{Line, Source, Token};
use crate::tree::Tree;

/// Entry points that are looked at.
const LISTED: usize = 2_000;

/// What each target came to: defined, not defined, or nobody can tell without running it.
pub(super) fn of(modules: &[Module], tree: &dyn Tree) -> BTreeMap<String, Option<bool>> {
    let lists = tree.files().iter().filter(|path| {
        path.split_once('/')
            .is_some_and(|(top, file)| top.ends_with(".dist-info") && file == "entry_points.txt")
    });
    let mut found = BTreeMap::new();
    for list in lists {
        let text = tree.text(list).unwrap_or_default();
        for line in text
            .lines()
            .map(str::trim)
            .filter(|line| !line.starts_with(['#', '[']))
        {
            let Some((_, target)) = line.split_once('=') else {
                continue;
            };
            let target = target.split('[').next().unwrap_or_default().trim();
            if found.len() < LISTED {
                found.insert(target.to_owned(), defined(modules, target));
            }
        }
    }
    found
}

fn defined(modules: &[Module], target: &str) -> Option<bool> {
    let (module, object) = target.split_once(':').unwrap_or((target, ""));
    let (module, object) = (module.trim(), object.trim());
    // a module that is not there is told by the list of modules; of compiled ones nothing is known
    let source = &modules
        .iter()
        .find(|m| m.name == module && m.path.ends_with(".py"))?
        .source;
    let first = object.split('.').next().unwrap_or_default();
    if first.is_empty() {
        return Some(true);
    }
    // a submodule of a package is an attribute once it was imported
    if modules.iter().any(|m| m.name == format!("{module}.{first}")) {
        return None;
    }
    names(source, first)
}

/// Whether a source gives this name at its top level; `None` when it may.
fn names(source: &Source, wanted: &str) -> Option<bool> {
    let mut nested: Vec<usize> = Vec::new();
    let mut open = !source.complete;
    for line in &source.lines {
        while nested.last().is_some_and(|indent| line.indent <= *indent) {
            nested.pop();
        }
        let is_def = matches!(line.first(), Some("def" | "class"))
            || (line.first() == Some("async") && line.tokens.get(1).is_some_and(|t| t.is_name("def")));
        if nested.is_empty() && binds(line, wanted, &mut open) {
            return Some(true);
        }
        if is_def {
            nested.push(line.indent);
        }
    }
    if open { None } else { Some(false) }
}

/// Whether a line at the top binds the name. `open` is set by what may bind any name.
fn binds(line: &Line, wanted: &str, open: &mut bool) -> bool {
    let tokens = &line.tokens;
    match line.first() {
        Some("def" | "class") => {
            *open |= tokens.get(1).is_some_and(|token| token.is_name("__getattr__"));
            tokens.get(1).is_some_and(|token| token.is_name(wanted))
        }
        Some("async" | "for" | "with") => tokens.iter().any(|token| token.is_name(wanted)),
        Some("import" | "from") => {
            *open |= line.first() == Some("from") && tokens.iter().any(|token| token.is('*'));
            let after = tokens
                .iter()
                .position(|token| token.is_name("import"))
                .unwrap_or(0);
            tokens[after..].iter().any(|token| token.is_name(wanted))
        }
        _ => {
            let dynamic = ["exec", "globals", "setattr", "lazy_import", "__import__"];
            *open |= tokens
                .iter()
                .filter_map(Token::name)
                .any(|name| dynamic.contains(&name));
            // an assignment, plain, chained, with an annotation or of several
            let equals = tokens.iter().rposition(|token| token.is('='));
            equals.is_some_and(|at| tokens[..at].iter().any(|token| token.is_name(wanted)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_at_the_top_are_found_and_others_are_not() {
        let of = |text: &str| names(&crate::python::read(text), "main");
        assert_eq!(of("def main(): pass\n"), Some(true));
        assert_eq!(of("async def main():\n    pass\n"), Some(true));
        assert_eq!(
            of("try:\n    from x import main\nexcept ImportError:\n    main = None\n"),
            Some(true)
        );
        assert_eq!(of("import x as main\n"), Some(true));
        assert_eq!(of("main: object = x\n"), Some(true));
        assert_eq!(of("class A:\n    def main(self): pass\n"), Some(false));
        assert_eq!(of("def other():\n    main = 1\n"), Some(false));
        assert_eq!(of("from x import *\n"), None);
        assert_eq!(of("def __getattr__(name): pass\n"), None);
    }
}
