//! The root of the Simple API (PEP 691): every project, with its last serial where the index tells it.

use serde::Deserialize;

use crate::names::normalise;

/// Every project of an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// Normalised name and last serial.
    pub projects: Vec<(String, Option<u64>)>,
    /// The index's newest serial.
    pub serial: Option<u64>,
    /// What to say next time.
    pub etag: Option<String>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    meta: Meta,
    projects: Vec<Entry>,
}

#[derive(Deserialize, Default)]
struct Meta {
    #[serde(default, rename = "_last-serial")]
    serial: Option<u64>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default, rename = "_last-serial")]
    serial: Option<u64>,
}

pub(super) fn read(body: &[u8], etag: Option<String>) -> Result<Root, String> {
    let page: Page =
        serde_json::from_slice(body).map_err(|error| format!("not the JSON of a root: {error}"))?;
    Ok(Root {
        projects: page
            .projects
            .into_iter()
            .filter_map(|entry| Some((normalise(&entry.name)?.to_string(), entry.serial)))
            .collect(),
        serial: page.meta.serial,
        etag,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_are_read_where_there_are_some() {
        let body = br#"{"meta":{"api-version":"1.3","_last-serial":9},"projects":[{"name":"A.b","_last-serial":7},{"name":"c"},{"name":"!"}]}"#;
        let root = read(body, None).unwrap();
        assert_eq!(root.projects, [("a-b".into(), Some(7)), ("c".into(), None)]);
        assert_eq!(root.serial, Some(9));
        assert!(read(b"<html>", None).is_err());
    }
}
