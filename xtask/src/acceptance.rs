//! Real distributions from the configured index against a table of what they must come to.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::print;

/// Runs every row of `xtask/acceptance.toml`.
pub(crate) fn run(filter: Option<&str>) -> Result<()> {
    let pyti = crate::program(None)?;
    let table: toml::Table = include_str!("../acceptance.toml").parse()?;
    let rows = table
        .get("distribution")
        .and_then(toml::Value::as_array)
        .context("the table has no rows")?;
    let mut wrong = 0;
    for row in rows {
        let text = |key: &str| row.get(key).and_then(toml::Value::as_str);
        let target = text("target").context("a row has no target")?;
        if filter.is_some_and(|filter| !target.contains(filter)) {
            continue;
        }
        let summary = summary(&pyti, target, text("python"), text("only"))?;
        let problems = compare(row, &summary);
        let tests = &summary["tests"];
        let what = format!(
            "{} ({} passed)",
            summary["status"].as_str().unwrap_or("?"),
            tests["passed"]
        );
        if problems.is_empty() {
            print(&format!("ok     {target:<24} {what}"));
        } else {
            wrong += 1;
            print(&format!("WRONG  {target:<24} {what}: {}", problems.join("; ")));
        }
    }
    if wrong > 0 {
        bail!("{wrong} distributions came to something else");
    }
    Ok(())
}

fn summary(pyti: &Path, target: &str, python: Option<&str>, only: Option<&str>) -> Result<Value> {
    let mut command = Command::new(pyti);
    command
        .args(["run", "-q", "--json", target])
        .stderr(Stdio::inherit());
    if let Some(python) = python {
        command.args(["--python", python]);
    }
    if let Some(only) = only {
        command.args(["--only", only]);
    }
    let output = command.output().context("cannot start pyti")?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{target}: the output is no object"))
}

fn compare(row: &toml::Value, summary: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let text = |key: &str| row.get(key).and_then(toml::Value::as_str);
    if let Some(status) = text("status")
        && summary["status"] != status
    {
        problems.push(format!("expected {status}"));
    }
    if let Some(reason) = text("reason") {
        let reasons = summary["reasons"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        if !reasons.iter().any(|r| r["code"] == reason) {
            problems.push(format!("expected the reason {reason}"));
        }
    }
    if let Some(passed) = row.get("passed").and_then(toml::Value::as_integer) {
        let found = summary["tests"]["passed"].as_i64().unwrap_or(0);
        if (found - passed).abs() * 50 > passed {
            problems.push(format!("expected {passed} passed"));
        }
    }
    problems
}
