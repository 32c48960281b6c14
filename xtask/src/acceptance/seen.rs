//! What PyTI says of a distribution.

use std::path::Path;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::table::Row;

/// What was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Seen {
    pub(crate) run: String,
    pub(crate) status: String,
    /// Codes of its reasons.
    pub(crate) reasons: Vec<String>,
    /// What they say, one line each.
    pub(crate) details: Vec<String>,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
    pub(crate) deselected: u64,
    /// `3.13`.
    pub(crate) python: String,
    pub(crate) verdict: String,
    /// Seconds of wall clock.
    pub(crate) wall_s: f64,
    /// RFC 3339.
    pub(crate) when: String,
    /// Whether there is an sdist, with which tests come.
    pub(crate) has_sdist: bool,
    /// Whether a wheel was under test.
    pub(crate) has_wheel: bool,
    /// Why there is no answer.
    pub(crate) error: String,
}

/// Runs PyTI on a row.
pub(crate) fn run(pyti: &Path, row: &Row) -> Seen {
    let began = std::time::Instant::now();
    let output = Command::new(pyti)
        .args(["run", "-q", "--json", "--no-watch", &row.target])
        .stdin(Stdio::null())
        .output();
    let mut seen = match output {
        Err(error) => Seen {
            error: error.to_string(),
            ..Seen::default()
        },
        Ok(output) => match serde_json::from_slice::<Value>(&output.stdout) {
            Ok(summary) => Seen::of(&summary),
            Err(_) => Seen {
                error: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
                ..Seen::default()
            },
        },
    };
    seen.wall_s = began.elapsed().as_secs_f64();
    seen.when = today();
    seen
}

/// The day, in UTC: `2026-11-25`.
fn today() -> String {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    day(since.as_secs() / 86_400)
}

/// A day of the Gregorian calendar from days since 1970 (Howard Hinnant's `civil_from_days`).
fn day(days: u64) -> String {
    let z = days + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let (day, month) = (
        of_year - (153 * shifted + 2) / 5 + 1,
        if shifted < 10 { shifted + 3 } else { shifted - 9 },
    );
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

impl Seen {
    /// Reads the object of `pyti run --json`.
    pub(crate) fn of(summary: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let tests = &summary["tests"];
        let count = |name: &str| tests[name].as_u64().unwrap_or(0);
        let files = summary["files"].as_array().map(Vec::as_slice).unwrap_or_default();
        let has = |kind: &str| files.iter().any(|file| file["kind"] == kind);
        let tasks = summary["tasks"].as_array().map(Vec::as_slice).unwrap_or_default();
        let unpacked = |task: &Value| task["id"].as_str().is_some_and(|id| id.contains("unpack"));
        let list = summary["reasons"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Self {
            run: text(&summary["run"]),
            status: text(&summary["status"]),
            reasons: list.iter().map(|reason| text(&reason["code"])).collect(),
            details: list
                .iter()
                .map(|reason| {
                    reason["detail"]
                        .as_str()
                        .unwrap_or_default()
                        .chars()
                        .take(300)
                        .collect()
                })
                .collect(),
            passed: count("passed"),
            failed: count("failed") + count("errors"),
            skipped: count("skipped"),
            deselected: count("deselected"),
            python: text(&summary["python"]),
            verdict: text(&summary["verdict"]),
            has_sdist: has("sdist") || tasks.iter().any(unpacked),
            has_wheel: has("wheel"),
            ..Self::default()
        }
    }

    /// What differs from what is expected.
    pub(crate) fn against(&self, row: &Row) -> Vec<String> {
        let mut problems = Vec::new();
        if !row.status.contains(&self.status) {
            problems.push(format!("expected {}", row.status.join(" or ")));
        } else if self.status != "pass" && !row.reason.is_empty() {
            let is = |code: &str, wanted: &str| code == wanted || code.rsplit('.').next() == Some(wanted);
            if !row
                .reason
                .iter()
                .any(|wanted| self.reasons.iter().any(|code| is(code, wanted)))
            {
                problems.push(format!("expected the reason {}", row.reason.join(" or ")));
            }
        }
        // a twentieth of a test more or less is nothing: at least one may differ
        if let Some(passed) = row.passed
            && self.passed.abs_diff(passed) * 50 > passed.max(50)
        {
            problems.push(format!("expected {passed} passed"));
        }
        problems
    }

    /// Status and reasons, in one line.
    pub(crate) fn words(&self) -> String {
        if self.status.is_empty() {
            return format!("no answer: {}", self.error.lines().next().unwrap_or_default());
        }
        let mut words = self.status.clone();
        if !self.reasons.is_empty() {
            words.push_str(&format!(" ({})", self.reasons.join(", ")));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(status: &[&str], reason: &[&str], passed: Option<u64>) -> Row {
        let own = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        Row {
            status: own(status),
            reason: own(reason),
            passed,
            ..Row::default()
        }
    }

    fn seen(status: &str, reason: &str, passed: u64) -> Seen {
        Seen {
            status: status.into(),
            reasons: vec![reason.into()],
            passed,
            ..Seen::default()
        }
    }

    #[test]
    fn days_are_those_of_the_calendar() {
        assert_eq!(day(0), "1970-01-01");
        assert_eq!(day(19_782), "2024-02-29");
        assert_eq!(day(20_782), "2026-11-25");
    }

    #[test]
    fn what_differs_is_told() {
        let row = row(&["fail"], &["use_2to3"], None);
        assert!(seen("fail", "build.use_2to3", 0).against(&row).is_empty());
        assert_eq!(seen("fail", "build", 0).against(&row).len(), 1);
        assert_eq!(seen("load", "build.use_2to3", 0).against(&row).len(), 1);
    }

    #[test]
    fn a_pass_needs_no_reason_and_counts_may_differ_by_two_percent() {
        let row = row(&["pass", "fail"], &["x"], Some(200));
        assert!(seen("pass", "y", 204).against(&row).is_empty());
        assert_eq!(seen("pass", "y", 205).against(&row).len(), 1);
    }
}
