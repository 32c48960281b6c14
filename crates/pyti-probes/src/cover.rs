//! Measuring how much of the distribution its tests run, by coverage.py in a folder of ours.
//!
//! A path file begins to measure at the start of every interpreter of the environment, child processes included; each
//! process leaves a file with what it saw. Afterwards another command puts them together, reads the project's own
//! configuration, and tells every file by line.

use std::collections::BTreeMap;

use pyti_model::effect::Loss;
use pyti_model::foreign::Foreign;
use pyti_model::raw::{Branch, FileCoverage, Measured};
use serde::Deserialize;
use serde_json::json;

use crate::lines;

/// Name of the path file: it comes before those of others.
pub const PATH_FILE: &str = "00-pyti-cover.pth";
/// Notes that are kept.
const NOTES: usize = 50;
/// Longest source of one file, bytes.
const SOURCE: usize = 1 << 20;

/// What the path file says.
pub fn path_file(probes: &str, config: &str) -> String {
    format!(
        "import sys; exec(compile(open('{probes}/pyti_cover.py', encoding='utf-8').read(), 'pyti_cover', 'exec'), {{'CONFIG': '{config}'}})\n"
    )
}

/// What begins to measure reads: where coverage.py is, where to put what was seen, and which files count.
pub fn config(coverage: &str, data: &str, site_packages: &str, top_level: &[String]) -> String {
    let mut fields = vec![coverage.to_owned(), data.to_owned()];
    for name in top_level {
        fields.push(format!("{site_packages}/{name}/*"));
        fields.push(format!("{site_packages}/{name}.py"));
    }
    fields.join("\0")
}

/// What is to be put together.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// Where coverage.py is.
    pub coverage: &'a str,
    /// What each command's data files begin with.
    pub data: &'a [String],
    /// The source tree, with the project's configuration.
    pub tree: &'a str,
    /// Where the distribution is installed.
    pub site_packages: &'a str,
    /// Its Python files, below that.
    pub files: &'a [String],
    /// Where its top-level names lie in the tree.
    pub importable: &'a BTreeMap<String, String>,
}

impl Request<'_> {
    /// The text of its configuration file.
    pub fn config(&self) -> String {
        json!({
            "coverage": self.coverage,
            "data": self.data,
            "tree": self.tree,
            "site": self.site_packages,
            "files": self.files,
            "importable": self.importable,
        })
        .to_string()
    }
}

/// The command that puts together what was measured. The interpreter is the machine's, not the environment's, which the
/// tests could change.
pub fn argv(python: &str, probes: &str, results_fd: i32, config: &str) -> Vec<String> {
    [
        python,
        "-I",
        "-S",
        &format!("{probes}/cover_report.py"),
        &results_fd.to_string(),
        config,
    ]
    .map(str::to_owned)
    .into()
}

#[derive(Deserialize)]
#[serde(tag = "e", rename_all = "snake_case")]
enum Line {
    Tool {
        version: String,
        #[serde(default)]
        core: String,
        processes: u32,
    },
    File {
        path: String,
        touched: bool,
        covered: Vec<(u32, u32)>,
        missing: Vec<(u32, u32)>,
        #[serde(default)]
        excluded: Vec<(u32, u32)>,
        #[serde(default)]
        branches: Vec<(u32, Vec<i32>, Vec<i32>)>,
    },
    Source {
        path: String,
        text: String,
    },
    Dropped {
        n: u32,
    },
    Unreadable {
        path: String,
        why: String,
    },
    Respected {
        text: String,
    },
    Disregarded {
        text: String,
    },
    Omitted {
        path: String,
    },
    Note {
        text: String,
    },
    Done {},
}

/// What was put together.
#[derive(Debug, Default)]
pub struct Report {
    /// What was measured; what is known of the tests is the caller's to fill in.
    pub measured: Measured,
    /// Texts of files, by path.
    pub sources: Vec<(Foreign, Foreign)>,
    /// Whether it was told to the end.
    pub finished: bool,
}

/// Reads what was told. Ranges that end before they begin are left out.
pub fn parse(results: &[u8]) -> (Report, Option<Loss>) {
    let (lines, loss) = lines::read::<Line>(results);
    let mut report = Report::default();
    for line in lines {
        take(&mut report, line);
    }
    (report, loss)
}

fn take(report: &mut Report, line: Line) {
    let measured = &mut report.measured;
    match line {
        Line::Tool {
            version,
            core,
            processes,
        } => {
            let plain = |text: String| if is_plain(&text) { text } else { String::new() };
            measured.version = plain(version);
            measured.core = plain(core);
            measured.processes = processes;
        }
        Line::File {
            path,
            touched,
            covered,
            missing,
            excluded,
            branches,
        } => measured.files.push(FileCoverage {
            path: Foreign::from(path),
            touched,
            covered: sane(covered),
            missing: sane(missing),
            excluded: sane(excluded),
            branches: branches
                .into_iter()
                .map(|(line, taken, missed)| Branch { line, taken, missed })
                .collect(),
        }),
        Line::Source { path, text } => {
            if text.len() <= SOURCE {
                report.sources.push((Foreign::from(path), Foreign::from(text)));
            }
        }
        Line::Dropped { n } => measured.files_dropped = measured.files_dropped.saturating_add(n),
        Line::Unreadable { path, why } => measured
            .unreadable
            .push((Foreign::from(path), Foreign::from(why))),
        Line::Respected { text } => measured.respected.push(Foreign::from(text)),
        Line::Disregarded { text } => measured.disregarded.push(Foreign::from(text)),
        Line::Omitted { path } => measured.omitted.push(Foreign::from(path)),
        Line::Note { text } => {
            if measured.notes.len() < NOTES {
                measured.notes.push(Foreign::from(text));
            }
        }
        Line::Done {} => report.finished = true,
    }
}

fn is_plain(text: &str) -> bool {
    text.len() <= 40 && text.bytes().all(|b| b.is_ascii_graphic())
}

fn sane(ranges: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let mut last = 0;
    ranges
        .into_iter()
        .filter(|(from, to)| {
            let good = *from > last && to >= from && *to < 10_000_000;
            if good {
                last = *to;
            }
            good
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_is_read_and_what_cannot_be_is_left_out() {
        let text = br#"{"e":"tool","version":"7.17.4","core":"CTracer","processes":2}
{"e":"file","path":"a/b.py","touched":true,"covered":[[1,3],[2,9],[7,5]],"missing":[[9,9]],"branches":[[3,[4],[-1]]]}
{"e":"source","path":"a/b.py","text":"x = 1\n"}
{"e":"file","path":"a/c.py","touched":"perhaps"}
{"e":"done","exit":0}
"#;
        let (report, loss) = parse(text);
        assert!(report.finished);
        assert!(loss.is_some(), "a line that is none is counted");
        let counts = report.measured.counts();
        assert_eq!((counts.covered, counts.statements, counts.branches), (3, 4, 2));
        assert_eq!(report.sources.len(), 1);
        let (half, _) = parse(br#"{"e":"tool","version":"\u001b[2J","core":"","processes":0}"#);
        assert!(!half.finished && half.measured.version.is_empty());
    }

    #[test]
    fn only_the_distribution_counts() {
        let config = config("/c", "/tmp/d", "/s", &["click".to_owned()]);
        assert_eq!(config, "/c\0/tmp/d\0/s/click/*\0/s/click.py");
    }
}
