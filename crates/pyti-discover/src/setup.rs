//! Reading setup.py without running it: arguments of `setup()`, and a deliberate end with advice.

use std::collections::BTreeMap;

use pyti_model::foreign::Foreign;

use crate::python::{self, Line, Literal, Source, Token};
use crate::tree::Tree;

/// The literal arguments of `setup()`.
pub(crate) fn arguments(tree: &dyn Tree) -> BTreeMap<String, Literal> {
    let Some(text) = tree.text("setup.py") else {
        return BTreeMap::new();
    };
    let source = python::read(&text);
    let names = assigned(&source);
    let look_up = |name: &str| names.get(name).cloned();
    let mut found = BTreeMap::new();
    for line in &source.lines {
        let Some(at) = line
            .tokens
            .windows(2)
            .position(|w| w[0].is_name("setup") && w[1].is('('))
        else {
            continue;
        };
        let call = &line.tokens[at + 1..];
        let end = python::closing(call).unwrap_or(call.len());
        for (name, value) in python::keywords(call.get(1..end).unwrap_or_default()) {
            found.insert(name, python::literal(value, &look_up, 0).0);
        }
    }
    found
}

/// Names that are given a literal, anywhere.
fn assigned(source: &Source) -> BTreeMap<String, Literal> {
    let mut names = BTreeMap::new();
    for line in &source.lines {
        if let [Token::Name(name), equals, value @ ..] = line.tokens.as_slice()
            && equals.is('=')
            && !value.first().is_some_and(|token| token.is('='))
        {
            let literal = joined(value)
                .unwrap_or_else(|| python::literal(value, &|name| names.get(name).cloned(), 0).0);
            if literal != Literal::Other {
                names.insert(name.clone(), literal);
            }
        }
    }
    names
}

/// The text of `"…".join([…])`, where all of it is literal.
fn joined(value: &[Token]) -> Option<Literal> {
    let [
        Token::Text {
            value: between,
            plain: true,
        },
        dot,
        join,
        call @ ..,
    ] = value
    else {
        return None;
    };
    if !(dot.is('.') && join.is_name("join") && call.first()?.is('(')) {
        return None;
    }
    let inside = call.get(1..python::closing(call)?)?;
    let list @ Literal::List(_) = python::literal(inside, &|_| None, 0).0 else {
        return None;
    };
    Some(Literal::Text(list.strings().join(between)))
}

/// The advice with which setup.py ends on purpose, where it does.
pub(crate) fn advice(tree: &dyn Tree) -> Option<Foreign> {
    let source = python::read(&tree.text("setup.py")?);
    let names = assigned(&source);
    // a function counts only when the file calls it itself: (indent, name) of the one that is being read
    let mut function: Option<(usize, String)> = None;
    let mut ends: BTreeMap<String, String> = BTreeMap::new();
    for line in &source.lines {
        if function
            .as_ref()
            .is_some_and(|(indent, _)| line.indent <= *indent)
        {
            function = None;
        }
        if function.is_none() && matches!(line.first(), Some("def" | "class")) {
            let name = name_of(line);
            function = Some((line.indent, name));
            continue;
        }
        let end = end_text(line, &names).filter(|text| is_advice(text));
        match (&function, end) {
            (Some((_, name)), Some(text)) => {
                ends.entry(name.clone()).or_insert(text);
            }
            (Some(_), None) => {}
            (None, Some(text)) => return Some(capped(&text)),
            (None, None) => {
                let called = ends
                    .iter()
                    .find(|(name, _)| line.tokens.windows(2).any(|w| w[0].is_name(name) && w[1].is('(')));
                if let Some((_, text)) = called {
                    return Some(capped(text));
                }
            }
        }
    }
    None
}

/// The name that a `def` or `class` gives.
fn name_of(line: &Line) -> String {
    line.tokens
        .get(1)
        .and_then(|token| token.name())
        .unwrap_or_default()
        .to_owned()
}

fn capped(text: &str) -> Foreign {
    Foreign::from(text.chars().take(4000).collect::<String>())
}

/// The text of `sys.exit(…)` or `raise Error(…)`.
fn end_text(line: &Line, names: &BTreeMap<String, Literal>) -> Option<String> {
    let tokens = &line.tokens;
    let exit = tokens
        .windows(2)
        .position(|w| (w[0].is_name("exit") || w[0].is_name("_exit")) && w[1].is('('));
    let raise = (line.first() == Some("raise"))
        .then(|| tokens.iter().position(|t| t.is('(')))
        .flatten();
    let open = exit.map(|at| at + 1).or(raise)?;
    let end = open + python::closing(&tokens[open..])?;
    match python::literal(&tokens[open + 1..end], &|name| names.get(name).cloned(), 0).0 {
        Literal::Text(text) => Some(text.trim().to_owned()),
        _ => None,
    }
}

/// Advice to a person, not a complaint about this machine.
fn is_advice(text: &str) -> bool {
    let lower = text.to_lowercase();
    text.len() > 20
        && [
            "instead",
            "deprecated",
            "pip install",
            "renamed",
            "moved to",
            "placeholder",
            "do not install",
            "not meant to be installed",
        ]
        .iter()
        .any(|word| lower.contains(word))
        && ![
            "python 2",
            "python 3",
            "python >=",
            "python version",
            "requires python",
        ]
        .iter()
        .any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    #[test]
    fn arguments_are_read_through_names() {
        let tree = MemoryTree::new([(
            "setup.py",
            "tests = ['pytest', 'mock']\nsetup(name='x', tests_require=tests, extras_require={'t': tests, 'd': ['sphinx']}, **kw)\n",
        )]);
        let found = arguments(&tree);
        assert_eq!(found["tests_require"].strings(), ["pytest", "mock"]);
        let Literal::Map(extras) = &found["extras_require"] else {
            panic!()
        };
        assert_eq!(extras[0].1.strings(), ["pytest", "mock"]);
    }

    #[test]
    fn advice_is_found_and_a_plain_check_is_not() {
        let of = |text: &str| advice(&MemoryTree::new([("setup.py", text)]));
        assert!(of("import sys\nsys.exit(\n 'The x package is deprecated, '\n 'use y instead')\n").is_some());
        assert!(
            of("MSG = '''use scikit-learn instead of sklearn'''\nif 1:\n    raise SystemExit(MSG)\n")
                .is_some()
        );
        assert!(of("def f():\n    sys.exit('this is deprecated, use y instead')\nsetup()\n").is_none());
        let called = "def f():\n    m = '\\n'.join([\n  'The x package is deprecated',\n  'use y instead',\n ])\n    raise SystemExit(m)\nif 1:\n    f()\n";
        assert!(of(called).is_some());
        assert!(of(&called.replace("    f()", "    g()")).is_none());
        assert!(of("if sys.version_info < (3,):\n    sys.exit('Python 2 is not supported, use x==1 instead')\nsetup()\n").is_none());
    }
}
