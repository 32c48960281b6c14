//! Every form from real recordings (six 1.17.0, made by this version) and from hostile text.

use pyti_judge::{JobRecord, Judgement, fold, judge};
use pyti_model::event::{Envelope, Event};
use pyti_model::foreign::Foreign;
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, TaskResult};
use pyti_model::raw::{RawData, TestCase, TestOutcome};
use pyti_report::{Job, Look, Run};

const WHEEL: &str = include_str!("data/six-wheel-1.0.jsonl");
const SDIST: &str = include_str!("data/six-sdist-1.0.jsonl");
const HOSTILE: &str = "\u{1b}[2J\u{202e}<script>alert(1)</script>\" onload=\"x' & ]]> `|[a](b)\n# h";
const PLAIN: Look = Look {
    colour: false,
    width: 100,
    ascii: false,
};

fn events(text: &str) -> Vec<Envelope> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn judged(events: Vec<Envelope>) -> (JobRecord, Judgement) {
    let record = fold(events);
    let judgement = judge(&record);
    (record, judgement)
}

fn six() -> Vec<(JobRecord, Judgement)> {
    vec![judged(events(WHEEL)), judged(events(SDIST))]
}

fn run(jobs: &[(JobRecord, Judgement)]) -> Run<'_> {
    Run {
        id: "7f3a",
        name: "six",
        version: Some("1.17.0"),
        interpreter: "CPython 3.11",
        python: "3.11",
        isolation: "sandbox",
        jobs: jobs
            .iter()
            .map(|(record, judgement)| Job::new(record, judgement))
            .collect(),
    }
}

/// The wheel's recording with hostile text wherever a package can put text.
fn hostile() -> Vec<(JobRecord, Judgement)> {
    let mut events = events(WHEEL);
    for envelope in &mut events {
        match &mut envelope.event {
            Event::Ran { effect, .. } => {
                effect.stdout.head = Foreign::from(HOSTILE);
                effect.stderr.head = Foreign::new([HOSTILE.as_bytes(), b"\xff\xfe"].concat());
                effect.argv.push(Foreign::from(HOSTILE));
            }
            Event::Changed { changes, .. } => changes
                .iter_mut()
                .for_each(|change| change.path = Foreign::from(HOSTILE)),
            Event::Ended {
                raw: Some(RawData::Test(test)),
                reasons,
                result,
                task,
                ..
            } => {
                test.counts.failed = 1;
                test.cases.push(TestCase {
                    id: Foreign::from(HOSTILE),
                    outcome: TestOutcome::Failed,
                    wall_s: 0.1,
                    cpu_s: None,
                    peak_bytes: None,
                    message: Foreign::from(HOSTILE),
                    output: Foreign::from(HOSTILE),
                });
                test.collection_errors
                    .push((Foreign::from(HOSTILE), Foreign::from(HOSTILE)));
                *result = TaskResult::Failure;
                reasons.push(Reason::new(ReasonCode::TestFailures, HOSTILE).in_task(task.clone()));
            }
            _ => {}
        }
    }
    vec![judged(events)]
}

#[test]
fn a_good_run_fits_a_screen_and_ends_with_the_next_command() {
    let jobs = six();
    let text = pyti_report::terminal(&run(&jobs), &PLAIN);
    assert!(text.lines().count() <= 24, "{text}");
    for part in [
        "six 1.17.0 · CPython 3.11 · sandbox · no network",
        "184 passed, 16 skipped",
        "setuptools",
        " PASS ",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(text.lines().last().unwrap().trim(), "report: pyti report 7f3a");
    assert!(!text.contains('\u{1b}'), "no colour was asked for");
    let coloured = pyti_report::terminal(
        &run(&jobs),
        &Look {
            colour: true,
            ..PLAIN
        },
    );
    assert!(coloured.contains("\u{1b}[32m"));
    let ascii = pyti_report::terminal(&run(&jobs), &Look { ascii: true, ..PLAIN });
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn a_narrow_terminal_is_not_overrun() {
    let jobs = six();
    let text = pyti_report::terminal(&run(&jobs), &Look { width: 60, ..PLAIN });
    for line in text.lines() {
        assert!(line.chars().count() <= 62, "{line}");
    }
}

#[test]
fn nothing_hostile_reaches_a_terminal() {
    let jobs = hostile();
    for text in [
        pyti_report::terminal(&run(&jobs), &PLAIN),
        pyti_report::markdown(&run(&jobs)),
    ] {
        for bad in ['\u{1b}', '\u{202e}', '\u{feff}'] {
            assert!(!text.contains(bad), "{bad:?} in\n{text}");
        }
    }
    // inside a fence of code it is text; outside it would be markup
    let markdown = pyti_report::markdown(&run(&jobs));
    let outside: String = markdown.split("```").step_by(2).collect();
    assert!(!outside.contains("<script>"), "{outside}");
}

#[test]
fn the_page_is_closed_in_itself() {
    for jobs in [six(), hostile()] {
        let page = pyti_report::html(&run(&jobs));
        assert!(page.len() < 300_000, "{} bytes", page.len());
        assert_eq!(page.matches("<script>").count(), 1, "only our own script");
        assert_eq!(page.matches("<style>").count(), 1);
        // outside of the script itself no tag carries a handler, a style or an address elsewhere
        let body = &page[..page.find("<script>").unwrap()];
        for tag in tags(body) {
            for bad in [
                " style=",
                " onload=",
                " onclick=",
                " src=",
                "href=\"http",
                "href=\"//",
            ] {
                assert!(!tag.contains(bad), "{bad} in {tag}");
            }
        }
        assert!(!page.contains('\u{202e}') && !page.contains('\u{1b}'));
        assert!(page.contains("http-equiv=\"Content-Security-Policy\"") && page.contains("default-src"));
    }
}

/// The tags of a page, with their attributes.
fn tags(page: &str) -> Vec<&str> {
    page.split('<')
        .skip(1)
        .filter_map(|part| part.split('>').next())
        .collect()
}

#[test]
fn the_policy_names_the_hashes_of_the_style_and_the_script() {
    use base64::Engine as _;
    use sha2::Digest as _;
    let jobs = six();
    let page = pyti_report::html(&run(&jobs));
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let text = page.split(open).nth(1).unwrap().split(close).next().unwrap();
        let digest = base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text.as_bytes()));
        // the template escapes the plus sign of base64 nowhere, but may write it as a character reference
        let written = page.replace("&#43;", "+").replace("&#x2B;", "+");
        assert!(written.contains(&format!("sha256-{digest}")), "{open}");
    }
}

#[test]
fn the_page_shows_what_there_is() {
    let jobs = six();
    let page = pyti_report::html(&run(&jobs));
    for part in ["<svg", "test_six.py", "184 passed", "setuptools"] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn the_summary_holds_what_programs_ask_for() {
    let jobs = six();
    let summary = pyti_report::summary(&run(&jobs), Some("/runs/7f3a"));
    assert_eq!((summary.status, summary.tests.passed), (Status::Pass, 184));
    assert_eq!(summary.files.len(), 2);
    assert!(
        summary
            .tasks
            .iter()
            .any(|task| task.id == "wheel/test" && task.wall_s > 0.0)
    );
    assert!(summary.tasks.iter().any(|task| task.id == "sdist/build"));
    let json = serde_json::to_value(&summary).unwrap();
    for field in [
        "schema",
        "name",
        "version",
        "python",
        "isolation",
        "status",
        "reasons",
        "verdict",
        "tests",
        "tasks",
        "files",
        "recording",
    ] {
        assert!(json.get(field).is_some(), "{field}");
    }
}

#[test]
fn junit_counts_the_tests_and_survives_hostile_text() {
    let jobs = six();
    let xml = pyti_report::junit(&run(&jobs)).unwrap();
    assert!(xml.contains("tests=\"200\""), "184 passed and 16 skipped");
    let jobs = hostile();
    let xml = pyti_report::junit(&run(&jobs)).unwrap();
    assert!(!xml.contains("<script>") && !xml.contains('\u{1b}'));
}

#[test]
fn what_was_decided_without_a_box_is_told() {
    let reason = Reason::new(ReasonCode::WindowsOnly, "pywin32 312 has wheels for Windows only");
    let event = Event::Decided {
        file: None,
        outcome: Outcome::because(Status::Na, reason),
    };
    let jobs = vec![judged(vec![
        Envelope {
            seq: 0,
            at_us: 0,
            event,
        },
        Envelope {
            seq: 1,
            at_us: 1,
            event: Event::Finished { interrupted: false },
        },
    ])];
    let text = pyti_report::terminal(&run(&jobs), &PLAIN);
    assert!(text.contains(" NA ") && text.contains("Windows only"), "{text}");
    assert!(pyti_report::html(&run(&jobs)).contains("Windows only"));
}

#[test]
fn a_recording_that_was_cut_is_never_good() {
    let all = events(WHEEL);
    for keep in [2, 5, all.len() / 2, all.len() - 1] {
        let jobs = vec![judged(all[..keep].to_vec())];
        let summary = pyti_report::summary(&run(&jobs), None);
        assert!(!summary.status.is_good(), "{keep} events: {:?}", summary.status);
        assert!(!pyti_report::terminal(&run(&jobs), &PLAIN).is_empty());
    }
}

#[test]
fn several_runs_are_grouped_most_frequent_first() {
    let (good, cut) = (six(), vec![judged(events(WHEEL)[..3].to_vec())]);
    let runs = [run(&good), run(&cut), run(&good)];
    let text = pyti_report::several(&runs, &PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].contains("3 runs") && lines[1].contains('2') && lines[1].contains("pass"),
        "{text}"
    );
}

#[test]
fn a_comparison_with_itself_finds_nothing() {
    let (before, after) = (six(), six());
    let comparison = pyti_judge::compare::compare(&before, &after, pyti_judge::compare::Safe::default());
    let text = pyti_report::diff_terminal(&comparison, &PLAIN);
    assert!(text.contains("same") && !text.contains("regressed"), "{text}");
    assert!(pyti_report::diff_json(&comparison).unwrap().starts_with('{'));
}
