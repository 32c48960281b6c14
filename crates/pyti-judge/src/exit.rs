//! Exit codes of the command line, and the job that stands for a release.

use pyti_model::FileKind;
use pyti_model::outcome::{Status, Verdict};

use crate::judge::Judgement;
use crate::record::JobRecord;

/// The exit code for jobs of these statuses and verdicts.
///
/// | code | meaning |
/// |---|---|
/// | 0 | all pass, load or install (what could not be tested beside them does not count) |
/// | 1 | some fail, crash or were killed |
/// | 3 | a verdict of suspicious, harmful or inconclusive |
/// | 4 | nothing testable: every job skip, na or broken |
/// | 5 | no box, or an error of our own (status `error` too) |
/// | 130 | interrupted |
///
/// Where several hold, the first of 130, 5, 3, 1, 4, 0 is taken. 2, wrong usage, belongs to the command line.
///
/// ```
/// use pyti_judge::exit_code;
/// use pyti_model::outcome::{Status, Verdict};
/// let jobs = [(Status::Pass, Verdict::NotJudged), (Status::Broken, Verdict::NotJudged)];
/// assert_eq!(exit_code(&jobs, false, false), 0);
/// assert_eq!(exit_code(&jobs[1..], false, false), 4);
/// assert_eq!(exit_code(&jobs, true, true), 130);
/// ```
pub fn exit_code(statuses: &[(Status, Verdict)], interrupted: bool, own_error: bool) -> u8 {
    let any = |test: fn(Status) -> bool| statuses.iter().any(|(status, _)| test(*status));
    let alarming = |verdict| {
        matches!(
            verdict,
            Verdict::Suspicious | Verdict::Harmful | Verdict::Inconclusive
        )
    };
    if interrupted {
        130
    } else if own_error || any(|s| s == Status::Error) {
        5
    } else if statuses.iter().any(|(_, verdict)| alarming(*verdict)) {
        3
    } else if any(|s| matches!(s, Status::Fail | Status::Crash | Status::Killed)) {
        1
    } else if statuses.iter().all(|(status, _)| status.is_untestable()) {
        4
    } else {
        0
    }
}

/// Which job is the one that a user would meet: the first wheel's, else the first of all. 0 when there is none.
pub fn headline(jobs: &[(JobRecord, Judgement)]) -> usize {
    let is_wheel = |record: &JobRecord| {
        record
            .file
            .as_ref()
            .is_some_and(|file| file.kind == FileKind::Wheel)
    };
    jobs.iter().position(|(record, _)| is_wheel(record)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn precedence_of_exit_codes() {
        let code = |jobs: &[(Status, Verdict)]| exit_code(jobs, false, false);
        let n = Verdict::NotJudged;
        assert_eq!(
            code(&[(Status::Pass, n), (Status::Load, n), (Status::Install, n)]),
            0
        );
        for bad in [Status::Fail, Status::Crash, Status::Killed] {
            assert_eq!(code(&[(Status::Pass, n), (bad, n)]), 1);
            assert_eq!(code(&[(Status::Broken, n), (bad, n)]), 1);
        }
        for none in [Status::Skip, Status::Na, Status::Broken] {
            assert_eq!(code(&[(none, n)]), 4);
            assert_eq!(code(&[(none, n), (Status::Pass, n)]), 0);
        }
        assert_eq!(code(&[]), 4);
        for verdict in [Verdict::Suspicious, Verdict::Harmful, Verdict::Inconclusive] {
            assert_eq!(code(&[(Status::Fail, n), (Status::Pass, verdict)]), 3);
        }
        for verdict in [Verdict::Clean, Verdict::Notable] {
            assert_eq!(code(&[(Status::Pass, verdict)]), 0);
        }
        assert_eq!(code(&[(Status::Error, n), (Status::Pass, Verdict::Harmful)]), 5);
        assert_eq!(exit_code(&[(Status::Pass, Verdict::Harmful)], false, true), 5);
        assert_eq!(exit_code(&[(Status::Error, n)], true, true), 130);
    }
}
