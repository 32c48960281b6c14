//! noxfile.py, read as text: sessions, what they install, what they run.

use std::collections::BTreeMap;

use super::Workflow;
use crate::python::{self, Line, Literal, Token};
use crate::tree::Tree;

/// The session for tests.
pub(super) fn session(tree: &dyn Tree) -> Option<Workflow> {
    let text = tree.text("noxfile.py")?;
    let source = python::read(&text);
    let names = names(&source.lines);
    let mut sessions: Vec<(String, Workflow)> = Vec::new();
    // the decorators before a function: the name they give it, and whether they make it a session
    let (mut decorated, mut named): (bool, Option<String>) = (false, None);
    let mut open: Option<(usize, Workflow, String)> = None;
    for line in &source.lines {
        if let Some((indent, ..)) = &open
            && line.indent <= *indent
            && let Some((_, flow, name)) = open.take()
        {
            sessions.push((name, flow));
        }
        if line.tokens.first().is_some_and(|token| token.is('@')) {
            if line.tokens.iter().any(|token| token.is_name("session")) {
                decorated = true;
                named = keyword(&line.tokens, "name", &names);
            }
            continue;
        }
        if line.first() == Some("def") {
            let name = line.tokens.get(1).and_then(Token::name).unwrap_or_default();
            if decorated {
                let flow = Workflow {
                    rung: format!("nox's session {}", named.as_deref().unwrap_or(name)),
                    file: "noxfile.py".to_owned(),
                    needle: format!("def {name}("),
                    is_default: true,
                    ..Workflow::default()
                };
                open = Some((line.indent, flow, named.take().unwrap_or_else(|| name.to_owned())));
            }
            (decorated, named) = (false, None);
            continue;
        }
        if let Some((_, flow, _)) = &mut open {
            read(line, flow, &names);
        }
    }
    if let Some((_, flow, name)) = open {
        sessions.push((name, flow));
    }
    sessions
        .into_iter()
        .filter_map(|(name, flow)| Some((rank(&name, &flow)?, flow)))
        .min_by_key(|(rank, _)| *rank)
        .map(|(_, flow)| flow)
}

/// How likely a session is the one for tests; nothing when it is not.
fn rank(name: &str, flow: &Workflow) -> Option<u8> {
    match name {
        "test" | "tests" => Some(0),
        "unit" | "unittest" | "unit_tests" | "pytest" | "unit-tests" => Some(1),
        _ if name.starts_with("test") => Some(2),
        _ if flow.command().is_some()
            && !["doc", "cov", "lint", "min", "typ"]
                .iter()
                .any(|w| name.contains(w)) =>
        {
            Some(3)
        }
        _ => None,
    }
}

/// One line of a session: `session.install(…)`, `session.run(…)`.
fn read(line: &Line, flow: &mut Workflow, names: &BTreeMap<String, Literal>) {
    let tokens = &line.tokens;
    let Some(at) = tokens
        .windows(3)
        .position(|w| w[0].is_name("session") && w[1].is('.') && w[2].name().is_some())
    else {
        return;
    };
    let verb = tokens[at + 2].name().unwrap_or_default();
    let call = &tokens[at + 3..];
    if verb == "chdir" || verb == "cd" {
        if let Some(folder) = arguments(call, names).first() {
            flow.cwd.clone_from(folder);
        }
        return;
    }
    let words = arguments(call, names);
    match verb {
        "install" => {
            for group in groups(call) {
                flow.groups.push(group);
            }
            flow.install(&words);
        }
        "run" | "run_always" | "run_install" => {
            let installs = super::installs(&words.join(" "));
            match installs {
                Some(words) => flow.install(&words),
                None if !words.is_empty() && flow.commands.len() < 20 => {
                    let quoted: Vec<String> = words.iter().map(|word| quote(word)).collect();
                    flow.commands.push(quoted.join(" "));
                }
                None => {}
            }
        }
        _ => {}
    }
}

fn quote(word: &str) -> String {
    if word.contains([' ', '\'', '"', ';', '|', '&']) {
        format!("\"{}\"", word.replace('\\', "\\\\").replace('"', "\\\""))
    } else {
        word.to_owned()
    }
}

/// The positional arguments of a call that can be known.
fn arguments(call: &[Token], names: &BTreeMap<String, Literal>) -> Vec<String> {
    let Some(end) = python::closing(call).filter(|_| call.first().is_some_and(|t| t.is('('))) else {
        return Vec::new();
    };
    let (mut rest, mut words) = (&call[1..end], Vec::new());
    let look_up = |name: &str| names.get(name).cloned();
    while !rest.is_empty() {
        let length = python::argument_end(rest);
        let mut part = &rest[..length];
        let keyword = part.len() > 1 && part[0].name().is_some() && part[1].is('=');
        while part.first().is_some_and(|token| token.is('*')) {
            part = &part[1..];
        }
        if !keyword && !part.is_empty() {
            match python::literal(part, &look_up, 0).0 {
                Literal::Text(text) => words.push(text),
                list @ Literal::List(_) => words.extend(list.strings()),
                _ => {}
            }
        }
        rest = rest.get(length + 1..).unwrap_or_default();
    }
    words
}

/// `*nox.project.dependency_groups(PYPROJECT, "test")` installs groups.
fn groups(call: &[Token]) -> Vec<String> {
    let Some(at) = call.iter().position(|token| token.is_name("dependency_groups")) else {
        return Vec::new();
    };
    let end = python::closing(&call[at + 1..]).map_or(call.len(), |end| at + 1 + end);
    call[at..end]
        .iter()
        .filter_map(|token| match token {
            Token::Text { value, .. } if !value.contains(['.', '/']) => Some(value.clone()),
            _ => None,
        })
        .collect()
}

/// A keyword argument of a decorator, when it is a text.
fn keyword(tokens: &[Token], name: &str, names: &BTreeMap<String, Literal>) -> Option<String> {
    let from = tokens.iter().position(|token| token.is('('))?;
    let call = &tokens[from..];
    let inside = call.get(1..python::closing(call)?)?;
    let (_, value) = python::keywords(inside)
        .into_iter()
        .find(|(key, _)| key == name)?;
    match python::literal(value, &|name| names.get(name).cloned(), 0).0 {
        Literal::Text(text) => Some(text),
        _ => None,
    }
}

/// Names that are given a literal at the top of the file.
fn names(lines: &[Line]) -> BTreeMap<String, Literal> {
    let mut names = BTreeMap::new();
    for line in lines.iter().filter(|line| line.indent == 0) {
        if let [Token::Name(name), equals, value @ ..] = line.tokens.as_slice()
            && equals.is('=')
        {
            let literal = python::literal(value, &|name| names.get(name).cloned(), 0).0;
            if literal != Literal::Other {
                names.insert(name.clone(), literal);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryTree;

    fn of(text: &str) -> Option<Workflow> {
        session(&MemoryTree::new([("noxfile.py", text)]))
    }

    #[test]
    fn the_session_for_tests_is_read() {
        let found = of("
import nox
DEPS = ['mock', 'six']
@nox.session
def lint(session):
    session.install('ruff')
    session.run('ruff', 'check')
@nox.session(python=['3.9'], name='tests')
@nox.parametrize('x', [1])
def run_them(session, x):
    session.install('pytest', *DEPS, '-r', 'req.txt')
    session.install('.[test]')
    session.install(*nox.project.dependency_groups(PYPROJECT, 'more'))
    if x:
        session.run('pip', 'install', 'extra-thing')
    session.run('coverage', 'run', '-m', 'pytest', '-k', 'not slow', *session.posargs, env={'A': '1'})
def helper(session):
    session.install('nothing')
")
        .unwrap();
        assert_eq!(found.lines, ["pytest", "mock", "six", "-rreq.txt", "extra-thing"]);
        assert_eq!(
            (found.extras, found.groups),
            (vec!["test".to_owned()], vec!["more".to_owned()])
        );
        assert_eq!(found.commands, ["coverage run -m pytest -k \"not slow\""]);
        assert_eq!(
            (found.rung.as_str(), found.needle.as_str()),
            ("nox's session tests", "def run_them(")
        );
    }

    #[test]
    fn sessions_for_other_things_are_none() {
        assert_eq!(
            of("@nox.session\ndef docs(session):\n    session.run('sphinx-build')\n"),
            None
        );
        assert_eq!(
            of("def tests(session):\n    session.run('pytest')\n"),
            None,
            "no session"
        );
        assert_eq!(
            of("@nox.session\ndef tests(session"),
            Some(of("@nox.session\ndef tests(session):\n    pass").unwrap())
        );
    }
}
