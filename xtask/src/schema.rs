//! The JSON Schema that is committed, so that a change of a wire form is seen in review.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::say;

const FILE: &str = "docs/schema.json";

/// Writes the schema, or checks that the committed one is current.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the repository has no root")?;
    let path = root.join(FILE);
    let mut text = serde_json::to_string_pretty(&pyti_box::schema::document())?;
    text.push('\n');
    let there = fs::read_to_string(&path).unwrap_or_default();
    if there == text {
        return Ok(());
    }
    if check {
        bail!("{FILE} is not current: run `cargo xtask schema`");
    }
    fs::write(&path, text).with_context(|| format!("cannot write {FILE}"))?;
    say(&format!("wrote {FILE}"));
    Ok(())
}
