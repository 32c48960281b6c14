//! Files as Python's configparser reads them, without interpolation.

use std::collections::BTreeMap;

/// Sections with their keys, in lower case, and values; lines of a value are kept.
pub(crate) type Ini = BTreeMap<String, BTreeMap<String, String>>;

/// Reads such a file. What is no section, key or value is passed over.
pub(crate) fn read(text: &str) -> Ini {
    let mut ini = Ini::new();
    let (mut section, mut key): (Option<String>, Option<String>) = (None, None);
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.starts_with(['#', ';']) {
            continue;
        }
        if trimmed.is_empty() {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let (Some(section), Some(key)) = (&section, &key)
                && let Some(value) = ini.get_mut(section).and_then(|keys| keys.get_mut(key))
            {
                value.push('\n');
                value.push_str(without_comment(trimmed));
            }
            continue;
        }
        if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.split(']').next()) {
            ini.entry(name.to_owned()).or_default();
            (section, key) = (Some(name.to_owned()), None);
            continue;
        }
        let Some(section) = &section else { continue };
        if let Some(at) = trimmed.find(['=', ':']) {
            let name = trimmed[..at].trim().to_ascii_lowercase();
            let value = without_comment(trimmed[at + 1..].trim()).to_owned();
            ini.entry(section.clone())
                .or_default()
                .insert(name.clone(), value);
            key = Some(name);
        }
    }
    ini
}

fn without_comment(value: &str) -> &str {
    value.find(" #").map_or(value, |at| value[..at].trim_end())
}

/// A value's lines.
pub(crate) fn lines(value: &str) -> impl Iterator<Item = &str> {
    value.lines().map(str::trim).filter(|line| !line.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_may_go_on_and_comments_do_not_count() {
        let ini =
            read("# x\n[tool:pytest]\nAddOpts = -q  # quiet\n  --cov\n; y\n[other]\nkey: 1\nno value\n");
        assert_eq!(ini["tool:pytest"]["addopts"], "-q\n--cov");
        assert_eq!(ini["other"]["key"], "1");
        assert!(read("=]\n\u{0}x = 1").is_empty());
    }
}
