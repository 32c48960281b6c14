//! The table of what is expected.

use anyhow::{Context as _, Result};
use serde::Deserialize;

/// A distribution and what it must come to.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Row {
    /// `name==version`.
    pub(crate) target: String,
    /// What is special about it.
    pub(crate) class: String,
    /// Any of these.
    pub(crate) status: Vec<String>,
    /// One of these is told, unless it passes.
    #[serde(default)]
    pub(crate) reason: Vec<String>,
    /// Tests that pass.
    pub(crate) passed: Option<u64>,
    /// What else is known.
    #[serde(default)]
    pub(crate) note: String,
    /// Why something else is seen, where that is understood.
    #[serde(default)]
    pub(crate) differs: String,
}

#[derive(Deserialize)]
struct Table {
    distribution: Vec<Row>,
}

/// Every row.
pub(crate) fn rows() -> Result<Vec<Row>> {
    let table: Table =
        toml::from_str(include_str!("../../acceptance.toml")).context("xtask/acceptance.toml")?;
    Ok(table.distribution)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        let rows = rows().unwrap();
        assert!(rows.len() >= 55, "{}", rows.len());
        let mut targets: Vec<_> = rows.iter().map(|row| &row.target).collect();
        targets.sort();
        targets.dedup();
        assert_eq!(targets.len(), rows.len(), "a target is there twice");
        for row in &rows {
            assert!(
                row.target.contains("==") && !row.status.is_empty() && !row.class.is_empty(),
                "{row:?}"
            );
            let words = [
                "pass", "load", "install", "fail", "crash", "killed", "skip", "na", "broken",
            ];
            assert!(
                row.status.iter().all(|status| words.contains(&status.as_str())),
                "{row:?}"
            );
        }
    }
}
