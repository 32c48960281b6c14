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
        Kind::Conflict => format!("{asked} cannot be met together: what they need excludes each other"),
        Kind::Unsatisfiable => format!("{asked} cannot be met: no version on the index suits"),
        Kind::Lens => format!("{asked} could not be looked up: the local index view failed"),
        Kind::Crash => format!("{asked} could not be resolved: uv ended without saying why"),
    };
    Explanation { sentence, uv, kind }
}

fn kind(flat: &str) -> Kind {
    let before = |mark: &str| {
        let word = flat.split(mark).next()?.split_whitespace().next_back()?;
        let name: String = word
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c))
            .collect();
        flat.contains(mark).then_some(name)
    };
    if let Some(name) = before(" was not found in the package registry") {
        return Kind::MissingName { name };
    }
    if let Some((_, rest)) = flat.split_once("does not satisfy Python") {
        let wants: String = rest.chars().take_while(|c| !c.is_whitespace()).collect();
        return Kind::PythonTooOld {
            wants: format!("Python{}", wants.trim_end_matches(['.', ','])),
        };
    }
    for mark in [" has invalid metadata", " could not be parsed"] {
        if let Some(name) = before(mark) {
            return Kind::InvalidMetadata { name };
        }
    }
    if flat.contains("invalid metadata") || flat.contains("Couldn't parse metadata") {
        return Kind::InvalidMetadata {
            name: "a needed version".to_owned(),
        };
    }
    if [
        "Failed to fetch",
        "error sending request",
        "Request failed",
        "HTTP status",
    ]
    .iter()
    .any(|m| flat.contains(m))
    {
        return Kind::Lens;
    }
    if flat.contains("are incompatible") || flat.contains("is incompatible") {
        return Kind::Conflict;
    }
    if flat.contains("No solution found") || flat.contains("unsatisfiable") {
        return Kind::Unsatisfiable;
    }
    Kind::Crash
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
