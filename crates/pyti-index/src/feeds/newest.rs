//! The list of newest releases, as RSS.

use std::collections::BTreeSet;

use crate::names::normalise;

/// Most entries that are looked at; an index gives a hundred.
const MOST: usize = 1000;

/// Projects of the entries, each once: the title of an entry is `NAME VERSION`.
pub(super) fn projects(body: &[u8]) -> Result<Vec<String>, String> {
    let channel = rss::Channel::read_from(body).map_err(|error| format!("not RSS: {error}"))?;
    let mut seen = BTreeSet::new();
    Ok(channel
        .items()
        .iter()
        .take(MOST)
        .filter_map(|item| normalise(item.title()?.split_whitespace().next()?))
        .map(|name| name.to_string())
        .filter(|name| seen.insert(name.clone()))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_project_comes_once_and_foreign_titles_are_passed_over() {
        let items: String = ["six 1.17.0", "Foo_Bar 2", "six 1.16.0", "<script> 1", ""]
            .map(|title| format!("<item><title>{}</title></item>", title.replace('<', "&lt;")))
            .concat();
        let text = format!(
            "<?xml version='1.0'?><rss version='2.0'><channel><title>t</title><link>l</link><description>d</description>{items}</channel></rss>"
        );
        assert_eq!(projects(text.as_bytes()).unwrap(), ["six", "foo-bar"]);
        assert!(projects(b"<html></html>").is_err());
    }
}
