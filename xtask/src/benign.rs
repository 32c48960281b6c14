//! Real distributions that harm nobody: none may be called suspicious or harmful.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::Value;

use crate::print;

/// What `cargo xtask benign` takes.
#[derive(Args)]
pub(crate) struct Options {
    /// Only these
    names: Vec<String>,
    /// Runs at once
    #[arg(long, default_value_t = 2)]
    jobs: usize,
    /// Writes what came of it to docs/benign.md, with the rate of each rule
    #[arg(long)]
    write: bool,
    /// This program, instead of building it
    #[arg(long)]
    pyti: Option<PathBuf>,
}

/// Runs them over the configured index, and prints what each came to.
pub(crate) fn run(options: &Options) -> Result<()> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/benign.toml");
    let table: toml::Table = fs::read_to_string(path)?.parse()?;
    let all: Vec<String> = table
        .get("names")
        .and_then(toml::Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|name| name.as_str().map(str::to_owned))
        .collect();
    let notable: BTreeMap<String, String> = table
        .get("notable")
        .and_then(toml::Value::as_table)
        .into_iter()
        .flatten()
        .filter_map(|(name, why)| Some((name.to_lowercase(), why.as_str()?.to_owned())))
        .collect();
    let names = if options.names.is_empty() {
        &all
    } else {
        &options.names
    };
    let pyti = crate::program(options.pyti.as_deref())?;
    let began = Instant::now();
    let output = Command::new(&pyti)
        .args([
            "run", "--json", "--quiet", "--only", "wheel", "--skip", "test", "--jobs",
        ])
        .arg(options.jobs.to_string())
        .args(names)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start {}", pyti.display()))?;
    let mut wrong = 0;
    let mut seen = 0;
    let mut page = Page::default();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let summary: Value = serde_json::from_str(line).context("pyti printed something else")?;
        seen += 1;
        let (name, verdict) = (text(&summary, "name"), text(&summary, "verdict"));
        let explained = notable.get(&name.to_lowercase());
        let right = match verdict {
            "clean" => true,
            "notable" => explained.is_some(),
            _ => false,
        };
        wrong += usize::from(!right);
        page.add(&summary, explained.map(String::as_str));
        let mut row = format!(
            "{:5} {:<24} {:<12} {:<8} {verdict}",
            if right { "ok" } else { "WRONG" },
            name,
            text(&summary, "version"),
            text(&summary, "status")
        );
        if let Some(why) = explained.filter(|_| verdict == "notable") {
            let _ = write!(row, " ({why})");
        }
        print(&row);
        if verdict != "clean" {
            for file in summary["files"].as_array().into_iter().flatten() {
                for finding in file["findings"].as_array().into_iter().flatten() {
                    print(&format!(
                        "        {} {} in {}: {}",
                        text(finding, "severity"),
                        text(finding, "rule"),
                        text(finding, "phase"),
                        text(finding, "sentence")
                    ));
                }
                for missing in file["missing"].as_array().into_iter().flatten() {
                    print(&format!("        missing: {}", missing.as_str().unwrap_or("")));
                }
            }
        }
    }
    print(&format!(
        "{seen} distributions, {wrong} wrong, {:.0} s",
        began.elapsed().as_secs_f64()
    ));
    if seen < names.len() {
        bail!("{} came to nothing", names.len() - seen);
    }
    if options.write {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/benign.md");
        fs::write(path, page.text()).context("cannot write docs/benign.md")?;
        print("wrote docs/benign.md");
    }
    if wrong > 0 {
        bail!("{wrong} are called what they are not");
    }
    Ok(())
}

/// What is written of a run over everything.
#[derive(Default)]
struct Page {
    rows: Vec<[String; 4]>,
    /// Distributions in which each rule found something.
    rules: BTreeMap<String, usize>,
    verdicts: BTreeMap<String, usize>,
}

impl Page {
    fn add(&mut self, summary: &Value, explained: Option<&str>) {
        let verdict = text(summary, "verdict").to_owned();
        *self.verdicts.entry(verdict.clone()).or_default() += 1;
        let files = summary["files"].as_array().into_iter().flatten();
        let rules: BTreeSet<String> = files
            .flat_map(|file| file["findings"].as_array().into_iter().flatten())
            .map(|finding| text(finding, "rule").to_owned())
            .collect();
        for rule in &rules {
            *self.rules.entry(rule.clone()).or_default() += 1;
        }
        let mut found = rules.into_iter().collect::<Vec<_>>().join(", ");
        if let Some(why) = explained.filter(|_| !found.is_empty()) {
            let _ = write!(found, " ({why})");
        }
        self.rows.push([
            text(summary, "name").to_owned(),
            text(summary, "version").to_owned(),
            verdict,
            found,
        ]);
    }

    fn text(&self) -> String {
        let all = self.rows.len().max(1);
        let mut out = format!(
            "# Distributions that harm nobody\n\nWritten by `cargo xtask benign --write`: the wheels of {all} distributions were \
             installed, started and imported, and judged. The rate of a rule is the share of them in which it found something. A \
             rule that finds something does not make a verdict alone: see [rules](rules.md).\n\n| verdict | distributions \
             |\n|---|---|\n"
        );
        for (verdict, count) in &self.verdicts {
            let _ = writeln!(out, "| {verdict} | {count} |");
        }
        if self.rules.is_empty() {
            out.push_str("\nNo rule found anything in any of them.\n");
        } else {
            out.push_str("\n| rule | found in | rate |\n|---|---|---|\n");
        }
        for (rule, count) in &self.rules {
            let _ = writeln!(out, "| `{rule}` | {count} | {} % |", count * 100 / all);
        }
        out.push_str("\n| distribution | version | verdict | rules |\n|---|---|---|---|\n");
        for [name, version, verdict, found] in &self.rows {
            let _ = writeln!(out, "| {name} | {version} | {verdict} | {found} |");
        }
        out
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or("")
}
