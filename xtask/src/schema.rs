//! The schemas that are committed, so that a change of a wire form is seen in review.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::say;

/// Writes the schemas, or checks that the committed ones are current.
pub(crate) fn run(check: bool) -> Result<()> {
    one("docs/schema.json", &pyti_box::schema::document(), check)?;
    one("docs/openrpc.json", &pyti_command::openrpc::document(), check)
}

fn one(file: &str, document: &Value, check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the repository has no root")?;
    let path = root.join(file);
    let mut text = serde_json::to_string_pretty(document)?;
    text.push('\n');
    let there = fs::read_to_string(&path).unwrap_or_default();
    if there == text {
        return Ok(());
    }
    if check {
        bail!("{file} is not current: run `cargo xtask schema`");
    }
    fs::write(&path, text).with_context(|| format!("cannot write {file}"))?;
    say(&format!("wrote {file}"));
    Ok(())
}
