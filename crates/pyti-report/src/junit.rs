//! JUnit XML: a suite for each job's tests, and one for its tasks.

use std::time::Duration;

use pyti_model::outcome::TaskResult;
use pyti_model::raw::TestOutcome;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::Run;
use crate::sentences::reason;

/// The report cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("the JUnit report cannot be written")]
pub struct JUnitError(#[source] quick_junit::SerializeError);

/// Writes the run as JUnit XML.
pub fn junit(run: &Run<'_>) -> Result<String, JUnitError> {
    let mut report = Report::new(format!("{} on {}", run.title(), run.interpreter));
    for job in &run.jobs {
        let file = job
            .record
            .file
            .as_ref()
            .map_or("file", |file| file.filename.as_str());
        let mut tasks = TestSuite::new(format!("{file}: tasks"));
        for (name, result, reasons) in &job.judgement.tasks {
            let said: Vec<String> = reasons.iter().map(reason).collect();
            let status = match result {
                TaskResult::Success | TaskResult::Warnings => TestCaseStatus::success(),
                TaskResult::Skipped | TaskResult::Cancelled => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(said.join("; "));
                    status
                }
                TaskResult::Failure => bad(NonSuccessKind::Failure, &said.join("; "), ""),
                TaskResult::Exception | TaskResult::Retry => bad(NonSuccessKind::Error, &said.join("; "), ""),
            };
            let mut case = TestCase::new(name.clone(), status);
            case.set_classname(file.to_owned());
            case.set_time(duration(job.record.task(name).map_or(0.0, |task| task.wall_s)));
            tasks.add_test_case(case);
        }
        report.add_test_suite(tasks);
        let Some(test) = job.record.test() else { continue };
        let mut suite = TestSuite::new(format!("{file}: tests"));
        for case in &test.cases {
            let message = case.message.visible_lines();
            let first = message.lines().next().unwrap_or("").to_owned();
            let status = match case.outcome {
                TestOutcome::Passed | TestOutcome::Xfailed => TestCaseStatus::success(),
                TestOutcome::Skipped => {
                    let mut status = TestCaseStatus::skipped();
                    status.set_message(first);
                    status
                }
                TestOutcome::Failed | TestOutcome::Xpassed => bad(NonSuccessKind::Failure, &first, &message),
                TestOutcome::Error => bad(NonSuccessKind::Error, &first, &message),
            };
            let mut entry = TestCase::new(case.id.visible(), status);
            entry.set_classname(file.to_owned());
            entry.set_time(duration(case.wall_s));
            if !case.output.is_empty() {
                entry.set_system_out(case.output.visible_lines());
            }
            suite.add_test_case(entry);
        }
        for (place, text) in &test.collection_errors {
            let case = TestCase::new(
                format!("collecting {}", place.visible()),
                bad(
                    NonSuccessKind::Error,
                    "cannot be collected",
                    &text.visible_lines(),
                ),
            );
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_err(JUnitError)
}

fn bad(kind: NonSuccessKind, message: &str, text: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_message(message.to_owned());
    if !text.is_empty() {
        status.set_description(text.to_owned());
    }
    status
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
