//! JUnit XML: a suite for the steps of each file, and one for its tests.

use std::time::Duration;

use pyti_model::finding::Judgement;
use pyti_model::outcome::{TaskResult, Verdict};
use pyti_model::raw::{Test, TestOutcome};
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::Run;
use crate::findings;
use crate::sentences::{self, shown, shown_str};
use crate::telling;
use crate::view;

/// A report that cannot be written as XML.
#[derive(Debug, thiserror::Error)]
#[error("the run {run} cannot be written as JUnit XML")]
pub struct JUnitError {
    run: String,
    source: quick_junit::SerializeError,
}

/// JUnit XML, for other programs. Tests that the recording counts and does not list are told as a property.
pub fn junit(run: &Run<'_>) -> Result<String, JUnitError> {
    let mut report = Report::new(format!("pyti {}", shown_str(run.name)));
    for file in view::files(run) {
        let mut steps = TestSuite::new(format!("{} steps", file.filename));
        steps.set_time(seconds(file.job.record.wall_s));
        steps.add_property(Property::new("status", file.job.judgement.outcome.status.word()));
        for reason in &file.job.judgement.outcome.reasons {
            steps.add_property(Property::new("reason", reason.code.word()));
        }
        for task in &file.job.record.tasks {
            let (result, reasons) = view::judged(file.job, task);
            let sentence = sentences::task(task, result, reasons);
            let mut case = TestCase::new(shown_str(&task.name), status(result, &sentence));
            case.set_classname(view::kind_word(view::kind(file.job)))
                .set_time(seconds(task.wall_s));
            if matches!(result, TaskResult::Failure | TaskResult::Exception) {
                case.set_system_out(telling::lines(task).join("\n"));
            }
            steps.add_test_case(case);
        }
        report.add_test_suite(steps);
        if let Some(found) = file.job.found {
            report.add_test_suite(safety(&file.filename, found));
        }
        if let Some(test) = file.job.record.test() {
            report.add_test_suite(tests(&file.filename, test));
        }
    }
    report.to_string().map_err(|source| JUnitError {
        run: run.id.to_owned(),
        source,
    })
}

/// One case for the verdict, which fails when it is suspicious or harmful and is skipped when nobody can tell.
fn safety(filename: &str, found: &Judgement) -> TestSuite {
    let mut suite = TestSuite::new(format!("{filename} safety"));
    let words = view::verdict_words(found.verdict);
    suite.add_property(Property::new("verdict", words.split(':').next().unwrap_or(words)));
    let mut status = match found.verdict {
        Verdict::Suspicious | Verdict::Harmful => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Inconclusive | Verdict::NotJudged => TestCaseStatus::skipped(),
        Verdict::Clean | Verdict::Notable => TestCaseStatus::success(),
    };
    let sentences: Vec<String> = found
        .findings
        .iter()
        .filter(|finding| findings::counts(finding))
        .map(|finding| {
            format!(
                "{} {}: {}",
                finding.severity.word(),
                shown_str(&finding.rule),
                findings::sentence(finding)
            )
        })
        .chain(
            found
                .missing
                .iter()
                .map(|text| format!("missing: {}", shown_str(text))),
        )
        .collect();
    if !matches!(found.verdict, Verdict::Clean | Verdict::Notable) {
        status.set_message(words);
    }
    if matches!(found.verdict, Verdict::Suspicious | Verdict::Harmful) {
        status.set_description(sentences.join("\n"));
    }
    let mut case = TestCase::new("is safe", status);
    case.set_classname("safety");
    if !sentences.is_empty() {
        case.set_system_out(sentences.join("\n"));
    }
    suite.add_test_case(case);
    suite
}

fn status(result: TaskResult, sentence: &str) -> TestCaseStatus {
    let mut status = match result {
        TaskResult::Success | TaskResult::Warnings => return TestCaseStatus::success(),
        TaskResult::Failure => TestCaseStatus::non_success(NonSuccessKind::Failure),
        TaskResult::Exception | TaskResult::Retry => TestCaseStatus::non_success(NonSuccessKind::Error),
        TaskResult::Skipped | TaskResult::Cancelled => TestCaseStatus::skipped(),
    };
    status.set_message(sentence);
    status
}

fn tests(filename: &str, test: &Test) -> TestSuite {
    let mut suite = TestSuite::new(format!("{filename} tests"));
    suite.add_property(Property::new("source", shown_str(&test.source)));
    suite.add_property(Property::new("runner", test.recipe.runner.word()));
    suite.add_property(Property::new("counts", sentences::counts(&test.counts)));
    if test.cases_dropped > 0 {
        suite.add_property(Property::new("not_listed", test.cases_dropped.to_string()));
    }
    for case in &test.cases {
        let message = telling::core(&case.message.visible_lines());
        let mut status = match case.outcome {
            TestOutcome::Passed | TestOutcome::Xpassed => TestCaseStatus::success(),
            TestOutcome::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
            TestOutcome::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
            TestOutcome::Skipped | TestOutcome::Xfailed => TestCaseStatus::skipped(),
        };
        if !matches!(case.outcome, TestOutcome::Passed | TestOutcome::Xpassed) {
            status.set_message(message);
            if matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error) {
                status.set_description(case.message.visible_lines());
            }
        }
        let (class, name) = split(&shown(&case.id));
        let mut xml = TestCase::new(name, status);
        xml.set_classname(class).set_time(seconds(case.wall_s));
        if !case.output.is_empty() {
            xml.set_system_out(case.output.visible_lines());
        }
        suite.add_test_case(xml);
    }
    suite
}

/// Class and name of a test's id: pytest's `file::Class::name`, unittest's `module.Class.name`.
fn split(id: &str) -> (String, String) {
    let plain = id.split('[').next().unwrap_or(id).len();
    let head = &id[..plain];
    let at = head
        .rfind("::")
        .map(|at| (at, 2))
        .or_else(|| head.rfind('.').map(|at| (at, 1)));
    match at {
        Some((at, len)) if at > 0 => (id[..at].to_owned(), id[at + len..].to_owned()),
        _ => ("tests".to_owned(), id.to_owned()),
    }
}

fn seconds(s: f64) -> Duration {
    Duration::try_from_secs_f64(s).unwrap_or_default()
}

#[cfg(test)]
mod unit {
    use super::split;

    #[test]
    fn ids_are_split_before_their_parameters() {
        let cases = [
            ("a/b.py::C::m[x::y.z]", ("a/b.py::C", "m[x::y.z]")),
            ("mod.Case.test", ("mod.Case", "test")),
            ("alone", ("tests", "alone")),
        ];
        for (id, (class, name)) in cases {
            assert_eq!(split(id), (class.to_owned(), name.to_owned()));
        }
    }
}
