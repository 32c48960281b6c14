//! Credentials by host.

use std::fs;
use std::path::Path;

/// Login and password of that host in a netrc file; its `default` entry when none names the host.
pub(crate) fn credentials(path: &Path, host: &str) -> Option<(String, String)> {
    let meta = fs::metadata(path).ok()?;
    if meta.len() > 1 << 20 {
        return None;
    }
    find(&fs::read_to_string(path).ok()?, host)
}

fn find(text: &str, host: &str) -> Option<(String, String)> {
    let mut tokens = text
        .lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(str::split_whitespace);
    let mut entries: Vec<(Option<&str>, Option<&str>, Option<&str>)> = Vec::new();
    while let Some(token) = tokens.next() {
        match token {
            "machine" => entries.push((tokens.next(), None, None)),
            "default" => entries.push((None, None, None)),
            "login" => {
                let value = tokens.next();
                if let Some(entry) = entries.last_mut() {
                    entry.1 = value;
                }
            }
            "password" => {
                let value = tokens.next();
                if let Some(entry) = entries.last_mut() {
                    entry.2 = value;
                }
            }
            _ => {}
        }
    }
    let entry = entries
        .iter()
        .find(|entry| entry.0 == Some(host))
        .or_else(|| entries.iter().find(|entry| entry.0.is_none()))?;
    Some((entry.1?.to_owned(), entry.2.unwrap_or("").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_get_their_own_credentials() {
        let text = "machine a.invalid login u password p\n# x\nmachine b.invalid\n login v\n password q\n";
        assert_eq!(find(text, "b.invalid"), Some(("v".into(), "q".into())));
        assert_eq!(find(text, "c.invalid"), None);
        assert_eq!(
            find(&format!("{text}default login d password e"), "c.invalid"),
            Some(("d".into(), "e".into()))
        );
    }
}
