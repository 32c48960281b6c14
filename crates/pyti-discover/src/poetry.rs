//! poetry's own tables of requirements, as lines of PEP 508.

use toml::{Table, Value};

/// Lines of a table `name = constraint`. What has no such form (paths, git) is left out.
pub(crate) fn lines(table: &Table) -> Vec<String> {
    table
        .iter()
        .filter(|(name, _)| name.as_str() != "python")
        .filter_map(|(name, value)| line(name, value))
        .collect()
}

fn line(name: &str, value: &Value) -> Option<String> {
    match value {
        Value::String(constraint) => Some(format!("{name}{}", specifier(constraint)?)),
        Value::Table(table) => {
            if table
                .keys()
                .any(|key| matches!(key.as_str(), "path" | "git" | "url"))
            {
                return None;
            }
            let constraint = table.get("version").and_then(Value::as_str).unwrap_or("*");
            let extras = crate::declaration::strings(table.get("extras"));
            let extras = if extras.is_empty() {
                String::new()
            } else {
                format!("[{}]", extras.join(","))
            };
            let marker = table
                .get("markers")
                .and_then(Value::as_str)
                .map(|m| format!(" ; {m}"))
                .unwrap_or_default();
            Some(format!("{name}{extras}{}{marker}", specifier(constraint)?))
        }
        // several, each for other interpreters: any version will do
        Value::Array(_) => Some(name.to_owned()),
        _ => None,
    }
}

fn specifier(constraint: &str) -> Option<String> {
    if constraint.contains("||") {
        return Some(String::new());
    }
    let parts: Option<Vec<String>> = constraint
        .split(',')
        .map(str::trim)
        .filter(|p| !p.is_empty())
        .map(part)
        .collect();
    Some(
        parts?
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(","),
    )
}

fn part(part: &str) -> Option<String> {
    if part == "*" {
        return Some(String::new());
    }
    if let Some(version) = part.strip_prefix('^') {
        return upper(version, true).map(|upper| format!(">={version},<{upper}"));
    }
    if let Some(version) = part.strip_prefix('~').filter(|rest| !rest.starts_with('=')) {
        return upper(version, false).map(|upper| format!(">={version},<{upper}"));
    }
    if part.starts_with(['<', '>', '=', '!', '~']) {
        return Some(part.replace(' ', ""));
    }
    part.starts_with(|c: char| c.is_ascii_digit())
        .then(|| format!("=={part}"))
}

/// The first version that a caret or tilde leaves out.
fn upper(version: &str, caret: bool) -> Option<String> {
    let numbers: Option<Vec<u64>> = version.trim().split('.').map(|n| n.parse().ok()).collect();
    let numbers = numbers?;
    let at = if caret {
        numbers
            .iter()
            .position(|n| *n != 0)
            .unwrap_or(numbers.len().checked_sub(1)?)
    } else {
        usize::from(numbers.len() > 1)
    };
    let mut upper: Vec<String> = numbers[..at].iter().map(u64::to_string).collect();
    upper.push(numbers.get(at)?.checked_add(1)?.to_string());
    Some(upper.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_and_tildes_become_ranges() {
        assert_eq!(specifier("^1.2.3").as_deref(), Some(">=1.2.3,<2"));
        assert_eq!(specifier("^0.2").as_deref(), Some(">=0.2,<0.3"));
        assert_eq!(specifier("~1.2").as_deref(), Some(">=1.2,<1.3"));
        assert_eq!(specifier(">=1, <3").as_deref(), Some(">=1,<3"));
        assert_eq!(specifier("*").as_deref(), Some(""));
        assert_eq!(specifier("7.1").as_deref(), Some("==7.1"));
        assert_eq!(specifier("nonsense"), None);
    }
}
