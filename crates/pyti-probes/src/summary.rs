//! Counts in the last words of a runner: `Ran 12 tests`, `3 passed, 1 failed in 0.2s`.
//!
//! Anybody can print such a line: these are what the process claims, and only used when it told nothing better.

use pyti_model::raw::TestCounts;

/// Reads the last summary of a text; nothing when there is none.
pub(crate) fn read(text: &str) -> Option<TestCounts> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    lines.iter().rev().find_map(|line| of_pytest(line)).or_else(|| {
        let at = lines.iter().rposition(|line| ran(line).is_some())?;
        let total = ran(lines[at])?;
        let end = lines[at..]
            .iter()
            .find(|line| line.starts_with("OK") || line.starts_with("FAILED") || line.starts_with("PASSED"));
        Some(of_unittest(total, end.copied().unwrap_or_default()))
    })
}

/// `Ran 12 tests in 0.1s`.
fn ran(line: &str) -> Option<u64> {
    let (number, rest) = line.strip_prefix("Ran ")?.split_once(' ')?;
    rest.starts_with("test").then(|| number.parse().ok())?
}

/// `FAILED (failures=1, errors=2, skipped=3)`; without such a line nothing says that it went well.
fn of_unittest(total: u64, end: &str) -> TestCounts {
    let of = |key: &str| {
        end.split(['(', ')', ',', ' '])
            .find_map(|part| part.strip_prefix(key)?.strip_prefix('=')?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let mut counts = TestCounts {
        failed: of("failures"),
        errors: of("errors"),
        skipped: of("skipped"),
        xfailed: of("failures_expected") + expected(end, "expected failures"),
        xpassed: expected(end, "unexpected successes"),
        ..TestCounts::default()
    };
    let other = counts.failed + counts.errors + counts.skipped + counts.xfailed + counts.xpassed;
    counts.passed = total.saturating_sub(other);
    if end.is_empty() || (end.starts_with("FAILED") && other == 0) {
        counts.errors += 1;
    }
    counts
}

/// `expected failures=2`: a key of two words.
fn expected(end: &str, key: &str) -> u64 {
    // "unexpected successes" has "expected" within
    end.split(['(', ','])
        .map(str::trim)
        .find_map(|part| {
            part.strip_prefix(key)?
                .strip_prefix('=')?
                .trim_end_matches(')')
                .parse()
                .ok()
        })
        .unwrap_or(0)
}

/// `= 3 passed, 1 failed, 2 skipped in 0.10s =`.
fn of_pytest(line: &str) -> Option<TestCounts> {
    let line = line.trim_matches(|c| c == '=' || c == ' ');
    let (parts, _) = line.rsplit_once(" in ")?;
    let mut counts = TestCounts::default();
    for part in parts.split(", ") {
        let (number, word) = part.split_once(' ')?;
        let number: u64 = number.parse().ok()?;
        match word {
            "passed" => counts.passed = number,
            "failed" => counts.failed = number,
            "error" | "errors" => counts.errors = number,
            "skipped" => counts.skipped = number,
            "deselected" => counts.deselected = number,
            "xfailed" => counts.xfailed = number,
            "xpassed" => counts.xpassed = number,
            "warning" | "warnings" | "rerun" | "subtests passed" => {}
            _ => return None,
        }
    }
    Some(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<(u64, u64, u64, u64)> {
        read(text).map(|c| (c.passed, c.failed, c.errors, c.skipped))
    }

    #[test]
    fn summaries_are_read_and_talk_is_not() {
        assert_eq!(of("noise\nRan 12 tests in 0.1s\n\nOK\n"), Some((12, 0, 0, 0)));
        assert_eq!(
            of("Ran 12 tests in 1s\n\nFAILED (failures=1, errors=2, skipped=3, expected failures=1)"),
            Some((5, 1, 2, 3))
        );
        assert_eq!(
            of("==== 3 passed, 1 failed, 2 skipped in 0.10s ===="),
            Some((3, 1, 0, 2))
        );
        assert_eq!(of("Ran 0 tests in 0.0s\n\nOK"), Some((0, 0, 0, 0)));
        assert_eq!(of("all is well in 3 s"), None);
        assert_eq!(of("Ran away in 3 s"), None);
    }

    #[test]
    fn a_summary_that_never_says_how_it_ended_is_no_pass() {
        assert_eq!(of("Ran 12 tests in 0.1s\n"), Some((12, 0, 1, 0)));
        assert_eq!(of("Ran 12 tests in 0.1s\nFAILED\n"), Some((12, 0, 1, 0)));
    }
}
