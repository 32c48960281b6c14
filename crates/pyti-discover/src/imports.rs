//! Which modules a source imports, and whether it can do without.

use std::collections::BTreeMap;

use crate::python::{Line, Source, Token};

/// Imports of one file.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Imports {
    /// Absolute ones: the dotted name, and whether it must be there.
    pub(crate) absolute: BTreeMap<String, bool>,
    /// Relative ones at the top that must be there: dots, and the dotted name after them.
    pub(crate) relative: Vec<(usize, String)>,
}

/// Reads the imports of a source.
pub(crate) fn of(source: &Source) -> Imports {
    let mut found = Imports::default();
    // blocks that we are in, by indentation, and whether an import in them may fail
    let mut blocks: Vec<(usize, bool)> = Vec::new();
    for (at, line) in source.lines.iter().enumerate() {
        while blocks.last().is_some_and(|(indent, _)| line.indent <= *indent) {
            blocks.pop();
        }
        let hard = !blocks.iter().any(|(_, soft)| *soft);
        match line.first() {
            Some("import") => {
                for part in line.tokens[1..].split(|token| token.is(',')) {
                    add(&mut found, dotted(part), hard);
                }
            }
            Some("from") => from(&mut found, line, hard, blocks.is_empty()),
            Some("try") => blocks.push((line.indent, catches_import_error(&source.lines[at..]))),
            Some("if")
                if line
                    .tokens
                    .iter()
                    .any(|t| t.is_name("TYPE_CHECKING") || t.is_name("version_info")) =>
            {
                blocks.push((line.indent, true));
            }
            Some("except" | "else" | "def" | "class" | "if" | "elif" | "async" | "with" | "for") => {
                let soft = matches!(line.first(), Some("except" | "else" | "elif"));
                blocks.push((line.indent, soft));
            }
            _ => {}
        }
        importorskip(&mut found, line);
    }
    found
}

fn from(found: &mut Imports, line: &Line, hard: bool, top: bool) {
    let dots = line.tokens[1..].iter().take_while(|token| token.is('.')).count();
    let rest = &line.tokens[1 + dots..];
    let module = dotted(rest);
    if dots == 0 {
        add(found, module, hard);
    } else if hard && top {
        if module == "import" {
            for name in line.tokens[2 + dots..].iter().filter_map(Token::name) {
                found.relative.push((dots, format!("?{name}")));
            }
        } else {
            found.relative.push((dots, module));
        }
    }
}

fn add(found: &mut Imports, module: String, hard: bool) {
    if !module.is_empty() {
        *found.absolute.entry(module).or_default() |= hard;
    }
}

fn importorskip(found: &mut Imports, line: &Line) {
    for window in line.tokens.windows(3) {
        if let [Token::Name(name), open, Token::Text { value, plain: true }] = window
            && name == "importorskip"
            && open.is('(')
        {
            add(found, value.clone(), false);
        }
    }
}

fn dotted(tokens: &[Token]) -> String {
    let mut name = String::new();
    for token in tokens {
        match token {
            Token::Name(word) if name.is_empty() || name.ends_with('.') => name.push_str(word),
            Token::Mark('.') if !name.is_empty() => name.push('.'),
            _ => break,
        }
    }
    name.trim_end_matches('.').to_owned()
}

/// Whether the `try` that begins here is there for imports that may fail.
fn catches_import_error(lines: &[Line]) -> bool {
    let Some(first) = lines.first() else { return false };
    lines[1..]
        .iter()
        .take_while(|line| line.indent >= first.indent)
        .filter(|line| line.indent == first.indent)
        .take_while(|line| matches!(line.first(), Some("except" | "else" | "finally")))
        .filter(|line| line.first() == Some("except"))
        .any(|line| {
            line.tokens.len() == 2
                || line.tokens.iter().filter_map(Token::name).any(|name| {
                    matches!(
                        name,
                        "ImportError" | "ModuleNotFoundError" | "Exception" | "BaseException"
                    )
                })
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hard_and_soft_imports_are_told_apart() {
        let text = "import os, numpy.linalg as l\nfrom .base import X\ntry:\n    import yaml\nexcept ImportError:\n    \
                    yaml = None\nimport pytest\npytest.importorskip('lxml')\ndef f():\n    import attr\n";
        let found = of(&crate::python::read(text));
        assert!(found.absolute["numpy.linalg"]);
        assert!(!found.absolute["yaml"]);
        assert!(!found.absolute["lxml"]);
        assert!(found.absolute["attr"]);
        assert_eq!(found.relative, [(1, "base".to_owned())]);
        let twin = of(&crate::python::read(
            "try:\n    import yaml\nfinally:\n    pass\n",
        ));
        assert!(twin.absolute["yaml"]);
    }
}
