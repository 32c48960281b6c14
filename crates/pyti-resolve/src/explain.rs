//! Why uv found no lock, in one sentence.

/// The most of uv's words that is kept, in bytes.
pub const WORDS_CAP: usize = 16 << 10;

/// What kind of failure it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// No version suits.
    Unsatisfiable,
    /// The index does not have the project.
    MissingName {
        /// Its name.
        name: String,
    },
    /// The interpreter is outside of what a package allows.
    PythonTooOld {
        /// What it wants, as uv says: `Python>=3.12`.
        wants: String,
    },
    /// Metadata could not be read.
    InvalidMetadata {
        /// Whose.
        name: String,
    },
    /// Requirements exclude each other.
    Conflict,
    /// The lens did not answer as it should: ours to mend.
    Lens,
    /// uv ended without a reason that is known.
    Crash,
}

/// A failure, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Which requirement cannot be met and why.
    pub sentence: String,
    /// uv's own words, without terminal codes.
    pub uv: String,
    /// The kind.
    pub kind: Kind,
}

/// Explains what uv wrote to standard error.
pub fn explain(stderr: &[u8], requirements: &[String]) -> Explanation {
    let uv = words(stderr);
    // uv wraps its sentences and draws a tree before them.
    let flat = uv
        .split_whitespace()
        .filter(|w| !w.chars().all(|c| "×╰─▶│├".contains(c)))
        .collect::<Vec<_>>()
        .join(" ");
    let asked = if requirements.is_empty() {
        "the requirements".to_owned()
    } else {
        let more = requirements.len().saturating_sub(3);
        let first = requirements
            .iter()
            .take(3)
            .map(|r| printable(r))
            .collect::<Vec<_>>()
            .join(", ");
        if more == 0 {
            first
        } else {
            format!("{first} and {more} more")
        }
    };
    let kind = kind(&flat);
    let sentence = match &kind {
        Kind::MissingName { name } => format!("{asked} cannot be met: the index has no project {name}"),
        Kind::PythonTooOld { wants } => format!("{asked} cannot be met: {wants} is needed"),
        Kind::InvalidMetadata { name } => {
            format!("{asked} cannot be met: the metadata of {name} cannot be used")
        }
        Kind::Conflict => match excluding(&flat) {
            Some((one, other)) => {
                format!("{asked} cannot be met together: {one} and {other} exclude each other")
            }
            None => format!("{asked} cannot be met together: what they need excludes each other"),
        },
        Kind::Unsatisfiable => match unmet(&flat) {
            Some(wanted) => format!("{asked} cannot be met: no version on the index suits {wanted}"),
            None => format!("{asked} cannot be met: no version on the index suits"),
        },
        Kind::Lens => format!("{asked} could not be looked up: the local index view failed"),
        Kind::Crash => format!("{asked} could not be resolved: uv ended without saying why"),
    };
    Explanation { sentence, uv, kind }
}

fn kind(flat: &str) -> Kind {
    if let Some(name) = before(flat, " was not found in the package registry") {
        return Kind::MissingName { name };
    }
    // said first of what is wrong on the way, so before what follows from it
    for mark in [" has invalid metadata", " could not be parsed"] {
        if let Some(name) = before(flat, mark) {
            return Kind::InvalidMetadata { name };
        }
    }
    if flat.contains("invalid metadata") || flat.contains("Couldn't parse metadata") {
        return Kind::InvalidMetadata {
            name: "a needed version".to_owned(),
        };
    }
    // by the page of the index, and by the metadata
    for mark in ["does not satisfy Python", "requires Python "] {
        if let Some((_, rest)) = flat.split_once(mark) {
            let wants: String = rest.chars().take_while(|c| !c.is_whitespace()).collect();
            return Kind::PythonTooOld {
                wants: format!("Python{}", wants.trim_end_matches(['.', ','])),
            };
        }
    }
    let says = |marks: &[&str]| marks.iter().any(|mark| flat.contains(mark));
    if says(&[
        "Failed to fetch",
        "error sending request",
        "Request failed",
        "HTTP status",
    ]) {
        return Kind::Lens;
    }
    if says(&["are incompatible", "is incompatible"]) {
        return Kind::Conflict;
    }
    if says(&[
        "there is no version",
        "there are no versions",
        " available",
        "no usable wheels",
        "is yanked",
    ]) {
        return Kind::Unsatisfiable;
    }
    // versions are there, and yet: what is asked for excludes each other
    if flat.contains("unsatisfiable") {
        return Kind::Conflict;
    }
    if flat.contains("No solution found") {
        return Kind::Unsatisfiable;
    }
    Kind::Crash
}

/// The name of the requirement before a mark: `a` in `Because a==2.0 has invalid metadata`.
fn before(flat: &str, mark: &str) -> Option<String> {
    let (text, _) = flat.split_once(mark)?;
    // `a (v2.0) could not be parsed`
    let word = text.split_whitespace().rfind(|word| !word.starts_with('('))?;
    let word = word.trim_matches('`');
    let name: String = word
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
        .collect();
    Some(name)
}

/// Requirements that uv names, in its order: what it wrote after `depends on` and `you require`.
fn named(flat: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let words: Vec<&str> = flat.split_whitespace().collect();
    let mut listing = false;
    for (at, &word) in words.iter().enumerate() {
        let follows = at > 0 && matches!(words[at - 1], "on" | "require");
        // `you require c<2 and c>=2,`
        let also = listing && at > 0 && words[at - 1] == "and";
        let plain = word.trim_matches(['`', ',', '.']);
        if (follows || also) && plain.contains(['<', '>', '=', '~', '!']) {
            found.push(plain);
            listing = !word.ends_with(',');
        } else if word != "and" {
            listing = false;
        }
    }
    found
}

/// The name in a requirement.
fn name_of(requirement: &str) -> &str {
    requirement
        .split(['<', '>', '=', '~', '!', '[', ';'])
        .next()
        .unwrap_or(requirement)
}

/// The requirement that no version meets.
fn unmet(flat: &str) -> Option<&str> {
    if let Some((_, rest)) = flat.split_once("there is no version of ") {
        return rest
            .split_whitespace()
            .next()
            .map(|word| word.trim_end_matches([',', '.']));
    }
    let (before, _) = flat.split_once(" available")?;
    let name = name_of(
        before
            .split_whitespace()
            .rfind(|word| !matches!(*word, "is" | "are"))?,
    );
    named(flat)
        .into_iter()
        .find(|requirement| name_of(requirement) == name)
}

/// Two requirements for the same project that uv names, in alphabetical order.
fn excluding(flat: &str) -> Option<(&str, &str)> {
    let named = named(flat);
    named.iter().enumerate().find_map(|(at, &one)| {
        let other = named[at + 1..]
            .iter()
            .find(|other| name_of(other) == name_of(one) && **other != one)?;
        Some(if one < *other {
            (one, *other)
        } else {
            (*other, one)
        })
    })
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Text without terminal codes and control characters, cut.
fn words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(&stderr[..stderr.len().min(WORDS_CAP)]);
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            if chars.next_if_eq(&'[').is_some() {
                // A control sequence ends with a byte from @ to ~.
                while chars.next().is_some_and(|c| !('@'..='~').contains(&c)) {}
            }
        } else if c == '\n' || !c.is_control() {
            out.push(c);
        }
    }
    out.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_words_have_a_kind() {
        let of = |text: &str| explain(text.as_bytes(), &["a>=1".to_owned()]).kind;
        assert_eq!(
            of(
                "  × No solution found when resolving dependencies:\n  ╰─▶ Because nope was not found in the package\n      registry and you require nope, …"
            ),
            Kind::MissingName { name: "nope".into() }
        );
        assert_eq!(
            of(
                "Because the current Python version (3.9.1) does not satisfy Python>=3.12 and a==1 depends on Python>=3.12"
            ),
            Kind::PythonTooOld {
                wants: "Python>=3.12".into()
            }
        );
        assert_eq!(
            of("No solution found: Because only a<=1 is available"),
            Kind::Unsatisfiable
        );
        assert_eq!(of("error: Failed to fetch: `http://127.0.0.1/`"), Kind::Lens);
        assert_eq!(of(""), Kind::Crash);
    }

    #[test]
    fn terminal_codes_do_not_survive() {
        let told = explain(b"\x1b[31merror\x1b[0m: \x07x", &["a\x1b[2J".to_owned()]);
        assert_eq!(told.uv, "error: x");
        assert!(!told.sentence.contains('\u{1b}'));
    }
}
