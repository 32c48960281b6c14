//! Which crate may need which: arrows go down only, and pure crates touch nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

use crate::print;

/// From the bottom up; a crate may need those before it only.
const ORDER: &[&str] = &[
    "pyti-graph",
    "pyti-model",
    "pyti-fixtures",
    "pyti-box",
    "pyti-judge",
    "pyti-quality",
    "pyti-report",
    "pyti-archive",
    "pyti-probes",
    "pyti-services",
    "pyti-discover",
    "pyti-decoy",
    "pyti-trace",
    "pyti-sink",
    "pyti-sandbox",
    "pyti-index",
    "pyti-resolve",
    "pyti-agent",
    "pyti-vm",
    "pyti-guest",
    "pyti-worker",
    "pyti-dispatch",
    "pyti-feed",
    "pyti-store",
    "pyti-web",
    "pyti-command",
    "pyti-remote",
    "pyti-server",
    "pyti",
    "xtask",
];
/// Crates without input and output: none of these dependencies may appear in them.
const PURE: &[&str] = &[
    "pyti-graph",
    "pyti-model",
    "pyti-judge",
    "pyti-quality",
    "pyti-report",
    "pyti-decoy",
    "pyti-dispatch",
    "pyti-feed",
    "pyti-command",
];
const IMPURE: &[&str] = &[
    "tokio", "reqwest", "axum", "rustix", "libc", "tempfile", "landlock",
];

/// Prints the arrows and refuses those that go up.
pub(crate) fn run() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("the repository has no root")?;
    let mut needs = BTreeMap::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let path = entry?.path();
        let manifest = path.join("Cargo.toml");
        let text =
            fs::read_to_string(&manifest).with_context(|| format!("cannot read {}", manifest.display()))?;
        let table: toml::Table = text.parse()?;
        let name = path
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        let dependencies: Vec<String> = table
            .get("dependencies")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten()
            .map(|(k, _)| k.clone())
            .collect();
        needs.insert(name, dependencies);
    }
    let rank = |name: &str| ORDER.iter().position(|known| *known == name);
    for (name, dependencies) in &needs {
        let Some(own) = rank(name) else {
            bail!("{name} has no place in the order of crates (xtask/src/graph.rs)")
        };
        let ours: Vec<&String> = dependencies.iter().filter(|d| d.starts_with("pyti")).collect();
        if let Some(up) = ours.iter().find(|d| rank(d).is_none_or(|other| other >= own)) {
            bail!("{name} needs {up}, which is not below it");
        }
        if PURE.contains(&name.as_str())
            && let Some(bad) = dependencies.iter().find(|d| IMPURE.contains(&d.as_str()))
        {
            bail!("{name} has no input or output and must not need {bad}");
        }
        let arrows = ours.iter().map(|d| d.as_str()).collect::<Vec<_>>().join(" ");
        print(&format!("{name:<14} {arrows}"));
    }
    Ok(())
}
