//! Requirement lines, as far as names and extras are asked for.

/// A requirement line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Requirement {
    /// Normalised name.
    pub(crate) name: String,
    /// Whether only an extra asks for it.
    pub(crate) of_extra: bool,
    /// Whether it holds under a condition.
    pub(crate) conditional: bool,
    /// Whether it points to an address.
    pub(crate) is_url: bool,
}

/// Reads a line; nothing when it begins with no name.
pub(crate) fn parse(line: &str) -> Option<Requirement> {
    let line = line.trim();
    let end = line
        .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
        .unwrap_or(line.len());
    let (name, rest) = line.split_at(end);
    let good = name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric());
    let rest = rest.trim_start();
    let follows = rest.is_empty() || rest.starts_with(['[', '(', '<', '>', '=', '!', '~', ';', '@', ',']);
    if !good || !follows {
        return None;
    }
    let (before, marker) = rest.split_once(';').unwrap_or((rest, ""));
    Some(Requirement {
        name: normal(name),
        of_extra: marker.contains("extra"),
        conditional: !marker.trim().is_empty(),
        is_url: before.contains('@'),
    })
}

/// A project's name as PEP 503 normalises it.
pub(crate) fn normal(name: &str) -> String {
    let words = name.split(['-', '_', '.']).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-").to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_far_as_needed() {
        let plain = parse("Foo_Bar[x]>=1,<2").unwrap();
        assert_eq!(
            (plain.name.as_str(), plain.of_extra, plain.conditional),
            ("foo-bar", false, false)
        );
        let extra = parse("a ; python_version > '3' and extra == 'test'").unwrap();
        assert!(extra.of_extra && extra.conditional && !extra.is_url);
        assert!(parse("a @ file:///x").unwrap().is_url);
        assert_eq!(parse("(>=1)"), None);
        assert_eq!(parse("a b"), None);
        assert!(parse("a (>=1)").is_some());
    }
}
