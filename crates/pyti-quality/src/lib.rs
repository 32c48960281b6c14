//! What a distribution's files tell of its quality.
//!
//! Facts in ([`pyti_model::quality::Quality`]), remarks and a score out ([`assess`]). Pure: what a linter said is read
//! here ([`ruff`], [`pylint`]), but run elsewhere. What each rule asks and how the score is made: `docs/quality.md`.

mod limited;
pub mod pylint;
pub mod readme;
mod requirement;
pub mod ruff;
mod rules;
mod score;

use pyti_model::quality::{Assessment, Grade, Profile, Quality, Remark};
use pyti_model::raw::WheelComparison;

pub use rules::{Rule, rules};
pub use score::VERSION as SCORE_VERSION;

/// Remarks that are listed.
const REMARKS: usize = 300;

/// What is known from elsewhere.
#[derive(Debug, Clone, Copy, Default)]
pub struct Beside<'a> {
    /// How the published wheel compares with a build of the sdist.
    pub comparison: Option<&'a WheelComparison>,
    /// The day of the recording: `2026-11-25`.
    pub today: Option<&'a str>,
}

/// Says what could be better, and how good it is.
pub fn assess(quality: &Quality, beside: &Beside<'_>) -> Assessment {
    let mut remarks = rules::remarks(quality, beside);
    // the score is a function of one file's facts: it does not wait for another job, and does not age
    let score = score::score(quality, &rules::remarks(quality, &Beside::default()));
    remarks.sort_by(|a, b| {
        let key = |r: &Remark| (std::cmp::Reverse(r.grade), r.side);
        key(a).cmp(&key(b)).then_with(|| a.rule.cmp(&b.rule))
    });
    remarks.truncate(REMARKS);
    Assessment {
        score,
        remarks,
        project_lint: quality
            .lints
            .iter()
            .find(|lint| lint.profile == Profile::Project && lint.error.is_none())
            .map(|lint| lint.total),
        missing: quality.missing.clone(),
    }
}

/// How many remarks of this grade there are.
pub fn count(assessment: &Assessment, grade: Grade) -> usize {
    assessment
        .remarks
        .iter()
        .filter(|remark| remark.grade == grade)
        .count()
}

/// Whether an interpreter, `3.13`, is at least this one.
pub fn at_least(short: &str, wanted: (u32, u32)) -> bool {
    let mut parts = short
        .trim_end_matches('t')
        .split('.')
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= wanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interpreters_are_compared_by_number() {
        assert!(at_least("3.13t", (3, 9)) && at_least("3.9", (3, 9)) && at_least("4.0", (3, 9)));
        assert!(!at_least("3.8", (3, 9)) && !at_least("2.7", (3, 9)) && !at_least("", (3, 9)));
    }
}
