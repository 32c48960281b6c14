//! How big recordings are: bytes and acts of each phase, as the table of docs/recording.md.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::print;

/// Phases that the table has a column for.
const PHASES: &[&str] = &["build", "install", "start", "import", "scripts", "test"];

/// What `cargo xtask recordings` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Targets
    #[arg(default_values = [
        "six", "click", "attrs", "iniconfig", "MarkupSafe", "blinker", "h11", "simplejson", "psutil", "boto3",
    ])]
    names: Vec<String>,
    /// This program, instead of building it
    #[arg(long)]
    pyti: Option<PathBuf>,
}

/// What one phase left in a recording.
#[derive(Default)]
struct Part {
    lines: Vec<u8>,
    acts: usize,
}

/// Runs targets and prints a row for each of their recordings.
pub(crate) fn run(options: &Options) -> Result<()> {
    let pyti = crate::program(options.pyti.as_deref())?;
    let mut head = "| recording | whole |".to_owned();
    let mut rule = "|---|---|".to_owned();
    for phase in PHASES {
        head.push_str(&format!(" {phase} |"));
        rule.push_str("---|");
    }
    print(&head);
    print(&rule);
    for name in &options.names {
        let output = Command::new(&pyti)
            .args(["run", "--json", "--quiet", name])
            .stderr(Stdio::inherit())
            .output()?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let Some(line) = said.lines().next() else {
            bail!("{name} came to nothing");
        };
        let summary: Value = serde_json::from_str(line)?;
        let folder = summary["recording"].as_str().context("there is no recording")?;
        for file in summary["files"].as_array().into_iter().flatten() {
            let kind = file["kind"].as_str().unwrap_or("");
            let path = PathBuf::from(folder).join(format!("{kind}.jsonl.zst"));
            row(
                &format!("{name} {}, {kind}", summary["version"].as_str().unwrap_or("")),
                &path,
            )?;
        }
    }
    Ok(())
}

fn row(label: &str, path: &PathBuf) -> Result<()> {
    let whole = fs::metadata(path)?.len();
    let text = zstd::decode_all(fs::File::open(path)?)?;
    let mut parts: BTreeMap<String, Part> = BTreeMap::new();
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let event: Value = serde_json::from_slice(line)?;
        let Some(task) = event["task"].as_str() else {
            continue;
        };
        let part = parts.entry(task.to_owned()).or_default();
        part.lines.extend_from_slice(line);
        part.lines.push(b'\n');
        part.acts += event["trace"]["acts"].as_array().map_or(0, Vec::len);
    }
    let mut cells = format!("| {label} | {} |", kib(whole));
    for phase in PHASES {
        let cell = match parts.get(*phase) {
            None => "–".to_owned(),
            Some(part) => {
                let size = zstd::encode_all(&part.lines[..], 3)?.len() as u64;
                format!("{}, {} acts", kib(size), part.acts)
            }
        };
        cells.push_str(&format!(" {cell} |"));
    }
    print(&cells);
    Ok(())
}

fn kib(bytes: u64) -> String {
    format!("{}.{} KiB", bytes / 1024, bytes % 1024 * 10 / 1024)
}
