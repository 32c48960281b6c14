//! Coverage on the page: files with bars, and their source line by line.
//!
//! The sources of some files are in the page as they are; the others are compressed, and the page's script opens them.

use std::collections::BTreeMap;
use std::io::Write as _;

use base64::Engine as _;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use pyti_judge::JobRecord;
use pyti_model::Foreign;
use pyti_model::raw::{CoverageResult, FileCoverage, Measured};

use crate::sentences::{self, shown, shown_str};
use crate::words::{count, number, seconds};

/// Bytes of source that are in the page as they are.
const PLAIN: usize = 120 << 10;
/// Bytes of compressed source.
const PACKED: usize = 1400 << 10;
/// Files that are listed.
const FILES: usize = 500;
/// Ranges of lines that are named of one file.
const RANGES: usize = 60;

/// Coverage of one job.
pub(crate) struct CoveragePart {
    pub(crate) summary: String,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) files: Vec<CoveredFile>,
    pub(crate) more: usize,
}

/// One file.
pub(crate) struct CoveredFile {
    pub(crate) path: String,
    pub(crate) percent: String,
    /// Width of the bar that ran, of 100.
    pub(crate) ran: String,
    pub(crate) statements: String,
    pub(crate) missing: String,
    pub(crate) branches: String,
    /// Lines that did not run, in words.
    pub(crate) holes: String,
    pub(crate) lines: Vec<SourceLine>,
    /// Zlib, base64: JSON of `[[class, text, title], …]`.
    pub(crate) packed: Option<String>,
    /// Why there is no source.
    pub(crate) lacks: Option<&'static str>,
}

/// One line of source.
#[derive(serde::Serialize)]
pub(crate) struct SourceLine {
    /// `h` it ran, `m` it did not, `p` some ways on were not taken, `x` it is left out, empty: no statement begins here.
    pub(crate) class: &'static str,
    pub(crate) text: String,
    pub(crate) title: String,
}

/// What is shown of a job's coverage.
pub(crate) fn part(record: &JobRecord) -> Option<CoveragePart> {
    let coverage = record.coverage()?;
    let summary = sentences::coverage(coverage);
    let CoverageResult::Measured(measured) = &coverage.result else {
        return Some(CoveragePart {
            summary,
            facts: Vec::new(),
            files: Vec::new(),
            more: 0,
        });
    };
    let sources: BTreeMap<&Foreign, &Foreign> =
        record.sources.iter().map(|(path, text)| (path, text)).collect();
    let mut order: Vec<&FileCoverage> = measured.files.iter().collect();
    // where most is to be looked at comes first
    order.sort_by_key(|file| {
        let counts = file.counts();
        std::cmp::Reverse(counts.statements - counts.covered + counts.branches - counts.taken)
    });
    let (mut plain, mut packed) = (PLAIN, PACKED);
    let files: Vec<CoveredFile> = order
        .iter()
        .take(FILES)
        .map(|file| covered(file, sources.get(&file.path).copied(), &mut plain, &mut packed))
        .collect();
    Some(CoveragePart {
        summary,
        facts: facts(measured),
        more: order.len().saturating_sub(files.len()) + measured.files_dropped as usize,
        files,
    })
}

fn facts(measured: &Measured) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "measured by",
        format!(
            "coverage.py {} ({}), in {}",
            shown_str(&measured.version),
            shown_str(&measured.core),
            crate::words::counted(measured.processes.into(), "process", "processes")
        ),
    )];
    facts.push((
        "time of the tests",
        format!(
            "{} with, {} without",
            seconds(measured.wall_s),
            seconds(measured.plain_wall_s)
        ),
    ));
    if let Some(differs) = &measured.differs {
        facts.push(("differs", shown_str(differs)));
    }
    let lists: [(&'static str, &Vec<Foreign>); 5] = [
        ("of its own configuration", &measured.respected),
        ("not of it", &measured.disregarded),
        ("left out by it", &measured.omitted),
        ("compiled, so without lines", &measured.compiled),
        ("coverage.py says", &measured.notes),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            let words: Vec<String> = list.iter().map(shown).collect();
            facts.push((name, crate::words::some(&words, 12)));
        }
    }
    for (path, why) in measured.unreadable.iter().take(20) {
        facts.push(("cannot be parsed", format!("{}: {}", shown(path), shown(why))));
    }
    facts
}

fn covered(
    file: &FileCoverage,
    source: Option<&Foreign>,
    plain: &mut usize,
    packed: &mut usize,
) -> CoveredFile {
    let counts = file.counts();
    let mut one = CoveredFile {
        path: shown(&file.path),
        percent: format!("{:.1} %", counts.percent()),
        ran: format!("{:.1}", counts.percent()),
        statements: number(counts.statements),
        missing: number(counts.statements - counts.covered),
        branches: if counts.branches == 0 {
            "no branches".to_owned()
        } else {
            format!(
                "{} of {} branches taken",
                number(counts.taken),
                number(counts.branches)
            )
        },
        holes: holes(file),
        lines: Vec::new(),
        packed: None,
        lacks: None,
    };
    let Some(source) = source else {
        one.lacks = Some("its source is not in the recording");
        return one;
    };
    let lines = marked(file, source);
    let size = source.len() + lines.len() * 24;
    if size <= *plain {
        *plain -= size;
        one.lines = lines;
        return one;
    }
    match pack(&lines) {
        Some(text) if text.len() <= *packed => {
            *packed -= text.len();
            one.packed = Some(text);
        }
        _ => one.lacks = Some("its source would make this page too big"),
    }
    one
}

fn pack(lines: &[SourceLine]) -> Option<String> {
    let rows: Vec<(&str, &str, &str)> = lines
        .iter()
        .map(|line| (line.class, line.text.as_str(), line.title.as_str()))
        .collect();
    let text = serde_json::to_vec(&rows).ok()?;
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&text).ok()?;
    let bytes = encoder.finish().ok()?;
    Some(base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// Source with a mark on each line on which a statement begins.
fn marked(file: &FileCoverage, source: &Foreign) -> Vec<SourceLine> {
    let text = source.visible_lines();
    let ways: BTreeMap<u32, &pyti_model::raw::Branch> = file.branches.iter().map(|b| (b.line, b)).collect();
    let within = |ranges: &[(u32, u32)], line: u32| {
        let at = ranges.partition_point(|(_, to)| *to < line);
        ranges.get(at).is_some_and(|(from, _)| *from <= line)
    };
    text.lines()
        .zip(1_u32..)
        .map(|(text, line)| {
            let missed = ways
                .get(&line)
                .map(|branch| branch.missed.as_slice())
                .unwrap_or_default();
            let (class, title) = if within(&file.missing, line) {
                ("m", String::new())
            } else if within(&file.excluded, line) {
                ("x", String::new())
            } else if within(&file.covered, line) && !missed.is_empty() {
                ("p", format!("never went on to {}", places(missed)))
            } else if within(&file.covered, line) {
                ("h", String::new())
            } else {
                ("", String::new())
            };
            SourceLine {
                class,
                text: text.to_owned(),
                title,
            }
        })
        .collect()
}

fn places(ways: &[i32]) -> String {
    let words: Vec<String> = ways
        .iter()
        .map(|way| {
            if *way > 0 {
                format!("line {way}")
            } else {
                "the end".to_owned()
            }
        })
        .collect();
    crate::words::some(&words, 6)
}

/// `not run: 3–9, 12 · partly: 20`.
fn holes(file: &FileCoverage) -> String {
    let range = |(from, to): &(u32, u32)| {
        if from == to {
            from.to_string()
        } else {
            format!("{from}–{to}")
        }
    };
    let list = |words: Vec<String>| {
        let more = words.len().saturating_sub(RANGES);
        let shown = words.into_iter().take(RANGES).collect::<Vec<_>>().join(", ");
        if more > 0 {
            format!("{shown} and {}", count(more as u64, "more range"))
        } else {
            shown
        }
    };
    let ran: std::collections::BTreeSet<u32> =
        file.covered.iter().flat_map(|(from, to)| *from..=*to).collect();
    let partly: Vec<String> = file
        .branches
        .iter()
        .filter(|branch| !branch.missed.is_empty() && ran.contains(&branch.line))
        .map(|branch| branch.line.to_string())
        .collect();
    let mut parts = Vec::new();
    if !file.touched {
        parts.push("never imported".to_owned());
    }
    if !file.missing.is_empty() {
        parts.push(format!(
            "not run: {}",
            list(file.missing.iter().map(range).collect())
        ));
    }
    if !partly.is_empty() {
        parts.push(format!("not every way on from: {}", list(partly)));
    }
    if parts.is_empty() {
        "every statement ran, every way was taken".to_owned()
    } else {
        parts.join(" · ")
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::raw::Branch;

    use super::*;

    fn file() -> FileCoverage {
        FileCoverage {
            path: Foreign::from("a.py"),
            touched: true,
            covered: vec![(1, 2), (4, 4)],
            missing: vec![(3, 3), (6, 7)],
            excluded: vec![(5, 5)],
            branches: vec![Branch {
                line: 2,
                taken: vec![4],
                missed: vec![3, -1],
            }],
        }
    }

    #[test]
    fn each_line_has_its_mark_and_a_branch_says_where_it_never_went() {
        let lines = marked(&file(), &Foreign::from("a\nif b:\n  c\nd\ne\nf\ng\n# end"));
        let marks: Vec<&str> = lines.iter().map(|line| line.class).collect();
        assert_eq!(marks, ["h", "p", "m", "h", "x", "m", "m", ""]);
        assert_eq!(lines[1].title, "never went on to line 3, the end");
        assert_eq!(holes(&file()), "not run: 3, 6–7 · not every way on from: 2");
    }

    #[test]
    fn what_does_not_fit_is_packed_and_what_is_too_big_is_said() {
        let source = Foreign::from("x = 1\n".repeat(1000));
        let (mut plain, mut packed) = (100, 10_000);
        let one = covered(&file(), Some(&source), &mut plain, &mut packed);
        let text = one.packed.unwrap();
        let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
        let mut json = String::new();
        std::io::Read::read_to_string(&mut flate2::read::ZlibDecoder::new(&bytes[..]), &mut json).unwrap();
        let rows: Vec<(String, String, String)> = serde_json::from_str(&json).unwrap();
        assert_eq!((rows.len(), rows[2].0.as_str()), (1000, "m"));
        let one = covered(&file(), Some(&source), &mut 10, &mut 10);
        assert!(one.lacks.is_some() && one.lines.is_empty());
        assert!(
            covered(&file(), Some(&source), &mut (1 << 20), &mut 10)
                .lacks
                .is_none()
        );
    }
}
