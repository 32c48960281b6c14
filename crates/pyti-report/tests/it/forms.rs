//! Forms for other programs, and recordings of other days.

use pyti_judge::compare::{Comparison, compare};
use pyti_judge::{fold, judge};
use pyti_model::effect::Exit;
use pyti_model::event::Envelope;
use pyti_model::outcome::Status;
use pyti_model::raw::{RawData, TestCounts, TestOutcome};
use pyti_report::{diff_json, diff_terminal, html, junit, markdown, summary, terminal};

use crate::support::{Judged, PLAIN, case, effect, run, sdist, tests, wheel};

fn failing() -> Judged {
    let cases = vec![
        case("test_six.py::test_1", TestOutcome::Failed, "E   assert 0"),
        case("test_six.py::test_2", TestOutcome::Error, "E   OSError"),
        case("test_six.py::test_3", TestOutcome::Skipped, "no tkinter"),
        case("test_six.py::test_4", TestOutcome::Passed, ""),
    ];
    let counts = TestCounts {
        passed: 1,
        failed: 1,
        errors: 1,
        skipped: 1,
        ..TestCounts::default()
    };
    let data = RawData::Test(Box::new(tests(counts, cases)));
    wheel()
        .with("test", |task| task.fails(data, effect(Exit::Code(1), "")))
        .judged()
}

#[test]
fn junit_counts_what_there_is() {
    let jobs = [failing()];
    let xml = junit(&run(&jobs)).unwrap();
    let suite = xml
        .lines()
        .find(|line| line.contains("<testsuite ") && line.contains(" tests\""))
        .unwrap();
    for count in ["tests=\"4\"", "failures=\"1\"", "errors=\"1\"", "skipped=\"1\""] {
        assert!(suite.contains(count), "{suite}");
    }
    let steps = xml.lines().find(|line| line.contains(" steps\"")).unwrap();
    assert!(
        steps.contains("failures=\"1\"") && steps.contains("errors=\"0\""),
        "{steps}"
    );
    assert!(xml.contains("name=\"test_1\" classname=\"test_six.py\""), "{xml}");
}

#[test]
fn the_summary_has_every_task_of_every_file() {
    let jobs = [wheel().judged(), sdist().judged()];
    let summary = summary(&run(&jobs), Some("somewhere"));
    assert_eq!(summary.status, Status::Pass);
    assert_eq!(summary.tests.passed, 197);
    assert_eq!(summary.files.len(), 2);
    for id in ["wheel/test", "wheel/lock-test", "sdist/build"] {
        assert!(summary.tasks.iter().any(|task| task.id == id), "{id}");
    }
    assert_eq!(summary.recording.as_deref(), Some("somewhere"));
}

#[test]
fn the_summary_is_of_the_job_that_a_user_would_meet() {
    let (bad_wheel, good_sdist) = (failing(), sdist().judged());
    let (one, other) = ([good_sdist.clone(), bad_wheel.clone()], [bad_wheel, good_sdist]);
    assert_eq!(
        summary(&run(&one), None).status,
        Status::Fail,
        "the wheel's, also when it comes second"
    );
    assert_eq!(summary(&run(&other), None).status, Status::Fail);
}

#[test]
fn markdown_is_readable() {
    insta::assert_snapshot!(markdown(&run(&[failing(), sdist().judged()])));
}

#[test]
fn a_comparison_shows_what_became_worse() {
    let comparison = compare(
        &[wheel().judged()],
        &[failing()],
        pyti_judge::compare::Safe::default(),
    );
    insta::assert_snapshot!(diff_terminal(&comparison, &PLAIN));
    let back: Comparison = serde_json::from_str(&diff_json(&comparison).unwrap()).unwrap();
    // the last digit of a float may differ after JSON
    assert_eq!(back.counts(), comparison.counts());
    assert_eq!(back.files[0].tests, comparison.files[0].tests);
    let same = diff_terminal(
        &compare(
            &[wheel().judged()],
            &[wheel().judged()],
            pyti_judge::compare::Safe::default(),
        ),
        &PLAIN,
    );
    assert!(same.contains("SAME") && !same.contains("REGRESSED"), "{same}");
}

/// The recording was written by the first version of the form and is never written again.
#[test]
fn a_recording_of_version_1_0_still_renders() {
    let text = include_str!("../data/recording-1.0.jsonl");
    let record = fold(
        text.lines()
            .map(|line| serde_json::from_str::<Envelope>(line).unwrap()),
    );
    let judgement = judge(&record);
    let jobs = [(record, judgement)];
    let run = run(&jobs);
    assert!(terminal(&run, &PLAIN).contains("197 passed, 3 skipped"));
    assert!(html(&run).contains("197 passed, 3 skipped"));
    assert!(junit(&run).is_ok());
    assert!(markdown(&run).contains("PASS"));
}

#[test]
fn a_run_without_jobs_has_a_report_too() {
    let run = run(&[]);
    assert_eq!(summary(&run, None).status, Status::Error);
    assert!(terminal(&run, &PLAIN).contains("ERROR"));
    assert!(html(&run).contains("Works?"));
    assert!(junit(&run).is_ok());
}
