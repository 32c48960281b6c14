//! How much of the installed distribution its own tests run.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::TestCounts;
use crate::foreign::Foreign;

/// Coverage was to be measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// What came of it.
    pub result: CoverageResult,
}

/// What came of measuring coverage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "state")]
pub enum CoverageResult {
    /// It was measured.
    Measured(Box<Measured>),
    /// It was not.
    Off {
        /// Why.
        why: CoverageOff,
        /// In words, where there is more to say.
        #[serde(default, skip_serializing_if = "Foreign::is_empty")]
        detail: Foreign,
    },
}

/// Why coverage was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CoverageOff {
    /// The distribution is coverage.py, or needs it: two of them in one process disturb each other.
    Subject,
    /// No test was run.
    NoTests,
    /// The distribution has no Python source to be measured, only compiled extensions or nothing.
    NothingToMeasure,
    /// There is no coverage.py for this interpreter.
    Interpreter,
    /// coverage.py could not be fetched or installed.
    NotHad,
    /// The tests ran with coverage, and nothing that was measured came back.
    NoData,
    /// The run without coverage was ended by a limit: one with it would be, too.
    Limit,
}

impl CoverageOff {
    /// In a sentence.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Subject => {
                "the distribution is coverage.py or needs it, and two of them disturb each other"
            }
            Self::NoTests => "no test was run",
            Self::NothingToMeasure => "the distribution has no Python source",
            Self::Interpreter => "there is no coverage.py for this interpreter",
            Self::NotHad => "coverage.py could not be had",
            Self::NoData => "nothing that was measured came back",
            Self::Limit => "a limit ended the tests without coverage",
        }
    }
}

/// What coverage.py measured. Claimed by processes that ran code of the package.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Measured {
    /// Version of coverage.py: `7.17.4`.
    pub version: String,
    /// How it listened: `CTracer`, `SysMonitor`, `PyTracer`.
    pub core: String,
    /// What the tests came to while they were measured. Their status is that of the run without.
    pub counts: TestCounts,
    /// Whether the runner finished while it was measured.
    pub finished: bool,
    /// How that differs from the run without coverage, where it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs: Option<String>,
    /// Wall-clock seconds of the tests with coverage.
    pub wall_s: f64,
    /// Wall-clock seconds of the same recipe without.
    pub plain_wall_s: f64,
    /// Processes that left something measured.
    pub processes: u32,
    /// The distribution's Python files, by path.
    pub files: Vec<FileCoverage>,
    /// Files beyond the cap.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub files_dropped: u32,
    /// Which settings of the project's own configuration were used: `exclude_also (pyproject.toml)`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub respected: Vec<Foreign>,
    /// Which were not, with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disregarded: Vec<Foreign>,
    /// Files that the project's configuration leaves out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub omitted: Vec<Foreign>,
    /// Compiled extensions, whose lines are not counted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub compiled: Vec<Foreign>,
    /// Files that cannot be parsed, each with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<(Foreign, Foreign)>,
    /// What coverage.py warned of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Foreign>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(value: &u32) -> bool {
    *value == 0
}

/// Coverage of one file. Lines are counted from 1; a pair is a range of lines with both ends in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FileCoverage {
    /// Its path below site-packages.
    pub path: Foreign,
    /// Whether anything imported or ran it.
    pub touched: bool,
    /// Statements that ran, by their first lines.
    pub covered: Vec<(u32, u32)>,
    /// Statements that did not.
    pub missing: Vec<(u32, u32)>,
    /// Statements that are left out by the configuration or by comments (`pragma: no cover`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub excluded: Vec<(u32, u32)>,
    /// Lines with more than one way on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub branches: Vec<Branch>,
}

/// A line with more than one way on. A way is the line that it leads to, negative when it leaves a function or a module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Branch {
    /// The line.
    pub line: u32,
    /// Ways that were taken.
    pub taken: Vec<i32>,
    /// Ways that were not.
    pub missed: Vec<i32>,
}

/// Statements and branches, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CoverageCounts {
    /// Statements.
    pub statements: u64,
    /// Statements that ran.
    pub covered: u64,
    /// Ways on from lines that have more than one.
    pub branches: u64,
    /// Such ways that were taken.
    pub taken: u64,
    /// Statements that are left out.
    pub excluded: u64,
}

impl CoverageCounts {
    /// Statements that ran, per cent; 100 when there is none.
    pub fn line_percent(self) -> f64 {
        percent(self.covered, self.statements)
    }

    /// Branches that were taken, per cent; 100 when there is none.
    pub fn branch_percent(self) -> f64 {
        percent(self.taken, self.branches)
    }

    /// Both together, as coverage.py's total with branches.
    pub fn percent(self) -> f64 {
        percent(self.covered + self.taken, self.statements + self.branches)
    }

    /// These and those together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            statements: self.statements + other.statements,
            covered: self.covered + other.covered,
            branches: self.branches + other.branches,
            taken: self.taken + other.taken,
            excluded: self.excluded + other.excluded,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "nobody has 2^52 statements")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        100.0
    } else {
        part as f64 * 100.0 / whole as f64
    }
}

impl FileCoverage {
    /// Its statements and branches.
    pub fn counts(&self) -> CoverageCounts {
        let covered = lines(&self.covered);
        let ways =
            |of: fn(&Branch) -> &Vec<i32>| self.branches.iter().map(|b| of(b).len() as u64).sum::<u64>();
        let taken = ways(|b| &b.taken);
        CoverageCounts {
            statements: covered + lines(&self.missing),
            covered,
            branches: taken + ways(|b| &b.missed),
            taken,
            excluded: lines(&self.excluded),
        }
    }
}

fn lines(ranges: &[(u32, u32)]) -> u64 {
    ranges
        .iter()
        .map(|(from, to)| u64::from(to.saturating_sub(*from)) + 1)
        .sum()
}

impl Measured {
    /// All files together.
    pub fn counts(&self) -> CoverageCounts {
        self.files
            .iter()
            .fold(CoverageCounts::default(), |sum, file| sum.plus(file.counts()))
    }

    /// How much longer the tests took with coverage; nothing when the run without was too short to tell.
    pub fn factor(&self) -> Option<f64> {
        (self.plain_wall_s > 0.2).then(|| self.wall_s / self.plain_wall_s)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_and_branches_are_counted_as_coverage_py_counts_them() {
        let file = FileCoverage {
            covered: vec![(1, 3), (7, 7)],
            missing: vec![(9, 10)],
            branches: vec![Branch {
                line: 3,
                taken: vec![7],
                missed: vec![-1],
            }],
            ..FileCoverage::default()
        };
        let counts = file.counts();
        assert_eq!(
            (counts.statements, counts.covered, counts.branches, counts.taken),
            (6, 4, 2, 1)
        );
        assert!((counts.percent() - 62.5).abs() < 1e-9);
        assert!((CoverageCounts::default().percent() - 100.0).abs() < f64::EPSILON);
    }

    #[test]
    fn a_state_is_told_in_its_form() {
        let off = Coverage {
            result: CoverageResult::Off {
                why: CoverageOff::Subject,
                detail: Foreign::default(),
            },
        };
        let text = serde_json::to_string(&off).unwrap();
        assert_eq!(text, r#"{"result":{"state":"off","why":"subject"}}"#);
        assert_eq!(serde_json::from_str::<Coverage>(&text).unwrap(), off);
    }
}
