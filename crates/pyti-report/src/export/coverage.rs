//! Coverage in the forms of other tools: LCOV, Cobertura, and coverage.py's own JSON.
//!
//! Paths are those of the source tree where it is known where a file lies in it, because that is where other tools look;
//! else those below site-packages.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use pyti_judge::JobRecord;
use pyti_model::raw::{CoverageCounts, CoverageResult, FileCoverage, Measured};
use serde_json::json;

use crate::Run;

/// No coverage was measured in a run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no coverage was measured in this run{0}")]
pub struct NoCoverage(String);

/// What was measured in the first job that measured.
fn measured<'a>(run: &Run<'a>) -> Result<(&'a JobRecord, &'a Measured), NoCoverage> {
    let mut why = ": pyti run --coverage measures it".to_owned();
    for job in &run.jobs {
        match job.record.coverage().map(|coverage| &coverage.result) {
            Some(CoverageResult::Measured(measured)) => return Ok((job.record, measured)),
            Some(CoverageResult::Off { why: off, .. }) => why = format!(": {}", off.meaning()),
            None => {}
        }
    }
    Err(NoCoverage(why))
}

/// Where a file lies in the source tree, as far as that is known.
fn path(record: &JobRecord, file: &FileCoverage) -> String {
    let relative = file.path.visible();
    let importable = record.inspection().map(|inspection| &inspection.importable);
    let (top, rest) = relative
        .split_once('/')
        .map_or((relative.as_str(), None), |(top, rest)| (top, Some(rest)));
    let place = importable
        .and_then(|known| known.get(top.strip_suffix(".py").filter(|_| rest.is_none()).unwrap_or(top)));
    match (place.map(|place| place.trim_matches('/')), rest) {
        (Some(place), Some(rest)) if !place.is_empty() => format!("{place}/{rest}"),
        (Some(place), None) if place.ends_with(".py") => place.to_owned(),
        _ => relative,
    }
}

fn lines(ranges: &[(u32, u32)]) -> impl Iterator<Item = u32> + '_ {
    ranges.iter().flat_map(|(from, to)| *from..=*to)
}

/// Each statement's line, and whether it ran.
fn statements(file: &FileCoverage) -> BTreeMap<u32, bool> {
    let mut all: BTreeMap<u32, bool> = lines(&file.missing).map(|line| (line, false)).collect();
    all.extend(lines(&file.covered).map(|line| (line, true)));
    all
}

/// LCOV's trace file.
pub fn lcov(run: &Run<'_>) -> Result<String, NoCoverage> {
    let (record, measured) = measured(run)?;
    let mut text = String::new();
    for file in &measured.files {
        let counts = file.counts();
        let all = statements(file);
        let _ = writeln!(text, "TN:\nSF:{}", path(record, file));
        for branch in &file.branches {
            let ran = all.get(&branch.line) == Some(&true);
            let ways = branch
                .taken
                .iter()
                .map(|to| (to, "1"))
                .chain(branch.missed.iter().map(|to| (to, if ran { "0" } else { "-" })));
            for (number, (_, times)) in ways.enumerate() {
                let _ = writeln!(text, "BRDA:{},0,{number},{times}", branch.line);
            }
        }
        let _ = writeln!(text, "BRF:{}\nBRH:{}", counts.branches, counts.taken);
        for (line, ran) in &all {
            let _ = writeln!(text, "DA:{line},{}", u8::from(*ran));
        }
        let _ = writeln!(
            text,
            "LF:{}\nLH:{}\nend_of_record",
            counts.statements, counts.covered
        );
    }
    Ok(text)
}

/// A rate between 0 and 1, as Cobertura writes it.
fn rate(percent: f64) -> String {
    format!("{:.4}", percent / 100.0)
}

fn attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

/// Cobertura's XML.
pub fn cobertura(run: &Run<'_>) -> Result<String, NoCoverage> {
    let (record, measured) = measured(run)?;
    let all = measured.counts();
    let mut packages: BTreeMap<String, Vec<(String, &FileCoverage)>> = BTreeMap::new();
    for file in &measured.files {
        let path = path(record, file);
        let package = path
            .rsplit_once('/')
            .map_or(String::new(), |(folder, _)| folder.replace('/', "."));
        packages.entry(package).or_default().push((path, file));
    }
    let seconds = super::unix_seconds(&record.when).unwrap_or(0);
    let mut text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!DOCTYPE coverage SYSTEM \"coverage-04.dtd\">\n\
         <coverage version=\"pyti {}\" timestamp=\"{seconds}\" lines-valid=\"{}\" lines-covered=\"{}\" line-rate=\"{}\" branches-valid=\"{}\" branches-covered=\"{}\" branch-rate=\"{}\" complexity=\"0\">\n\
         <sources><source>.</source></sources>\n<packages>\n",
        attribute(&crate::sentences::shown_str(&record.pyti)),
        all.statements,
        all.covered,
        rate(all.line_percent()),
        all.branches,
        all.taken,
        rate(all.branch_percent()),
    );
    for (package, files) in &packages {
        let sum = files.iter().fold(CoverageCounts::default(), |sum, (_, file)| {
            sum.plus(file.counts())
        });
        let _ = writeln!(
            text,
            "<package name=\"{}\" line-rate=\"{}\" branch-rate=\"{}\" complexity=\"0\"><classes>",
            attribute(package),
            rate(sum.line_percent()),
            rate(sum.branch_percent())
        );
        for (path, file) in files {
            class(&mut text, path, file);
        }
        text.push_str("</classes></package>\n");
    }
    text.push_str("</packages>\n</coverage>\n");
    Ok(text)
}

fn class(text: &mut String, path: &str, file: &FileCoverage) {
    let counts = file.counts();
    let name = path.rsplit('/').next().unwrap_or(path);
    let _ = writeln!(
        text,
        "<class name=\"{}\" filename=\"{}\" line-rate=\"{}\" branch-rate=\"{}\" complexity=\"0\"><methods/><lines>",
        attribute(name),
        attribute(path),
        rate(counts.line_percent()),
        rate(counts.branch_percent())
    );
    let branches: BTreeMap<u32, (usize, usize)> = file
        .branches
        .iter()
        .map(|branch| {
            (
                branch.line,
                (branch.taken.len(), branch.taken.len() + branch.missed.len()),
            )
        })
        .collect();
    for (line, ran) in statements(file) {
        let hits = u8::from(ran);
        let _ = match branches.get(&line) {
            Some((taken, all)) if *all > 0 => writeln!(
                text,
                "<line number=\"{line}\" hits=\"{hits}\" branch=\"true\" condition-coverage=\"{}% ({taken}/{all})\"/>",
                taken * 100 / all
            ),
            _ => writeln!(text, "<line number=\"{line}\" hits=\"{hits}\"/>"),
        };
    }
    text.push_str("</lines></class>\n");
}

/// The form of `coverage json`.
pub fn coverage_json(run: &Run<'_>) -> Result<String, NoCoverage> {
    let (record, measured) = measured(run)?;
    let summary = |counts: CoverageCounts, partial: u64| {
        json!({
            "covered_lines": counts.covered,
            "num_statements": counts.statements,
            "percent_covered": counts.percent(),
            "percent_covered_display": format!("{:.0}", counts.percent()),
            "missing_lines": counts.statements - counts.covered,
            "excluded_lines": counts.excluded,
            "num_branches": counts.branches,
            "num_partial_branches": partial,
            "covered_branches": counts.taken,
            "missing_branches": counts.branches - counts.taken,
        })
    };
    let mut files = serde_json::Map::new();
    let mut partial_in_all = 0;
    for file in &measured.files {
        let all = statements(file);
        let arcs = |of: fn(&pyti_model::raw::Branch) -> &Vec<i32>| -> Vec<(u32, i32)> {
            file.branches
                .iter()
                .flat_map(|branch| of(branch).iter().map(|to| (branch.line, *to)))
                .collect()
        };
        let missed = arcs(|branch| &branch.missed);
        let partial = missed
            .iter()
            .filter(|(line, _)| all.get(line) == Some(&true))
            .count() as u64;
        partial_in_all += partial;
        files.insert(
            path(record, file),
            json!({
                "executed_lines": lines(&file.covered).collect::<Vec<_>>(),
                "summary": summary(file.counts(), partial),
                "missing_lines": lines(&file.missing).collect::<Vec<_>>(),
                "excluded_lines": lines(&file.excluded).collect::<Vec<_>>(),
                "executed_branches": arcs(|branch| &branch.taken),
                "missing_branches": missed,
            }),
        );
    }
    Ok(super::text(&json!({
        "meta": {
            "format": 3,
            "version": measured.version,
            "timestamp": super::moment(&record.when).unwrap_or(""),
            "branch_coverage": true,
            "show_contexts": false,
        },
        "files": files,
        "totals": summary(measured.counts(), partial_in_all),
    })))
}
