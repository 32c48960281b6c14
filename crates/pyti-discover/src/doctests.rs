//! Prompts in docstrings: tests, or only illustrations?

use crate::python::{self, Source, Token};

/// What the prompts of a source are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Prompts {
    /// There are none.
    None,
    /// They cannot run as they stand, or promise nothing.
    Illustration,
    /// They can be run, and say what should come.
    Tests,
}

/// Looks at all docstrings of a source.
pub(crate) fn of(source: &Source) -> Prompts {
    let (mut any, mut promised) = (false, false);
    for line in &source.lines {
        let [Token::Text { value, .. }] = line.tokens.as_slice() else {
            continue;
        };
        if !value.contains(">>> ") {
            continue;
        }
        any = true;
        match examples(value) {
            None => return Prompts::Illustration,
            Some(found) => promised |= found,
        }
    }
    match (any, promised) {
        (false, _) => Prompts::None,
        (true, false) => Prompts::Illustration,
        (true, true) => Prompts::Tests,
    }
}

/// Whether some example of the text promises something; nothing when one of them is no complete statement.
pub(crate) fn examples(text: &str) -> Option<bool> {
    let mut promised = false;
    let mut lines = text.lines().map(str::trim_start).peekable();
    while let Some(line) = lines.next() {
        let Some(first) = line.strip_prefix(">>> ") else {
            continue;
        };
        let mut statement = first.to_owned();
        let mut continued = false;
        while let Some(more) = lines.next_if(|line| line.starts_with("...")) {
            statement.push('\n');
            statement.push_str(
                more.trim_start_matches("...")
                    .strip_prefix(' ')
                    .unwrap_or_default(),
            );
            continued = true;
        }
        // a block that is announced and goes on is complete
        let source = python::read(&statement);
        if !source.complete || (!continued && first.trim_end().ends_with(':')) {
            return None;
        }
        promised |= lines
            .peek()
            .is_some_and(|next| !next.is_empty() && !next.starts_with(">>>"));
    }
    Some(promised)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn illustrations_are_no_tests_and_tests_are() {
        let of = |text: &str| of(&python::read(text));
        assert_eq!(
            of("def f():\n    \"\"\"\n    >>> f()\n    1\n    \"\"\"\n"),
            Prompts::Tests
        );
        assert_eq!(
            of("def f():\n    \"\"\"\n    >>> f()\n\n    \"\"\"\n"),
            Prompts::Illustration
        );
        assert_eq!(
            of("def f():\n    \"\"\"\n    >>> d = '''\n    Usage\n    >>> f(d)\n    1\n    \"\"\"\n"),
            Prompts::Illustration
        );
        assert_eq!(
            of("def f():\n    \"\"\"\n    >>> for x in y:\n    ...     x\n    1\n    \"\"\"\n"),
            Prompts::Tests
        );
        assert_eq!(of("x = '>>> 1'\n"), Prompts::None);
    }
}
