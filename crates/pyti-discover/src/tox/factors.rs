//! tox's names of environments and conditions on lines.

use std::collections::BTreeSet;

/// Most names that one expression stands for.
const MOST: usize = 500;

/// Names that `py{39,310}-{a,b}` stands for; also of a list with commas and line breaks outside of braces.
pub(super) fn expand(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for part in split(text) {
        let mut open = vec![part];
        while let Some(one) = open.pop() {
            if names.len() + open.len() > MOST {
                return names;
            }
            let inside = one
                .find('{')
                .and_then(|from| Some((from, from + one[from..].find('}')?)));
            match inside {
                None => names.push(one),
                Some((from, to)) => {
                    let (before, after) = (&one[..from], &one[to + 1..]);
                    for word in one[from + 1..to].split(',').rev() {
                        for word in range(word.trim()).into_iter().rev() {
                            open.push(format!("{before}{word}{after}"));
                        }
                    }
                }
            }
        }
    }
    names.dedup();
    names
}

/// `9-13` in braces is a range (tox 4); everything else is itself.
fn range(word: &str) -> Vec<String> {
    let numbers = word
        .split_once('-')
        .and_then(|(from, to)| Some((from.parse::<u32>().ok()?, to.parse::<u32>().ok()?)));
    match numbers {
        Some((from, to)) if from <= to && to - from < 50 => (from..=to).map(|n| n.to_string()).collect(),
        _ => vec![word.to_owned()],
    }
}

/// Parts between commas and white space outside of braces.
fn split(text: &str) -> Vec<String> {
    let (mut parts, mut part, mut depth) = (Vec::new(), String::new(), 0_u32);
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 && (c == ',' || c.is_whitespace()) {
            if !part.is_empty() {
                parts.push(std::mem::take(&mut part));
            }
        } else if !c.is_whitespace() {
            part.push(c);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

/// The factors of an environment's name.
pub(super) fn of(name: &str) -> BTreeSet<String> {
    let mut factors: BTreeSet<String> = name.split('-').map(str::to_owned).collect();
    // py312 and 3.12 are the same, and every one is a py
    let python = factors.iter().any(|f| is_python(f));
    if python {
        factors.insert("py".to_owned());
    }
    factors
}

/// Whether a factor names an interpreter.
pub(super) fn is_python(factor: &str) -> bool {
    let rest = factor
        .strip_prefix("pypy")
        .or_else(|| factor.strip_prefix("py"))
        .unwrap_or(factor);
    (rest.is_empty() && !factor.is_empty())
        || (rest != factor || rest.contains('.')) && {
            let digits = rest.trim_end_matches(['t', 'd']);
            !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit() || c == '.')
        }
}

/// The line without its condition when that holds for these factors; nothing when it does not.
///
/// `a-b,!c: line`: some alternative of which all parts hold.
pub(super) fn holds<'a>(line: &'a str, factors: &BTreeSet<String>) -> Option<&'a str> {
    let Some((condition, rest)) = line.split_once(':') else {
        return Some(line);
    };
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ',' | '!' | '{' | '}' | ' ');
    // what is no condition: an address, a marker, a path, NAME = value with a colon in it
    if condition.is_empty()
        || !condition.chars().all(allowed)
        || rest.starts_with("//")
        || !(rest.is_empty() || rest.starts_with(char::is_whitespace))
    {
        return Some(line);
    }
    let held = expand(condition).iter().any(|alternative| {
        alternative
            .split('-')
            .all(|factor| match factor.strip_prefix('!') {
                Some(factor) => !factors.contains(factor),
                None => factors.contains(factor),
            })
    });
    held.then(|| rest.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_expanded() {
        assert_eq!(
            expand("py{39,310}-{a,b}, lint"),
            ["py39-a", "py39-b", "py310-a", "py310-b", "lint"]
        );
        assert_eq!(expand("py3{9-11}"), ["py39", "py310", "py311"]);
        assert_eq!(expand("{a,{b}"), ["a", "{b"]);
        let many = "{1,2,3,4,5,6,7,8,9}".repeat(9);
        assert!(expand(&many).len() <= MOST + 10);
    }

    #[test]
    fn conditions_hold_or_do_not() {
        let factors = of("py312-full");
        for (line, held) in [
            ("pytest", Some("pytest")),
            ("py312: mock", Some("mock")),
            ("py: mock", Some("mock")),
            ("py39: mock", None),
            ("!py39: mock", Some("mock")),
            ("full-py312: a", Some("a")),
            ("lite-py312,docs: a", None),
            ("py{311,312}: a", Some("a")),
            (
                "x @ https://example.invalid/x",
                Some("x @ https://example.invalid/x"),
            ),
            ("a; python_version<'3': b", Some("a; python_version<'3': b")),
        ] {
            assert_eq!(holds(line, &factors), held, "{line}");
        }
        assert!(is_python("py") && is_python("3.13") && is_python("pypy310") && is_python("py313t"));
        assert!(!is_python("pytest") && !is_python("docs") && !is_python("3"));
    }
}
