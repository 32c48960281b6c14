//! What a person sees on a terminal, case by case.

use pyti_model::FileKind;
use pyti_model::effect::{Exit, Limit};
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, TaskResult};
use pyti_model::raw::{Import, ImportOutcome, RawData, TestCounts, TestOutcome};
use pyti_report::{Look, several, task_line, terminal};

use crate::support::{
    Judged, PLAIN, build, case, compiler_call, effect, error, imported, over, run, sdist, tests, wheel,
};

fn shown(jobs: &[Judged]) -> String {
    terminal(&run(jobs), &PLAIN)
}

#[test]
fn good_wheel_and_sdist_fit_one_screen() {
    let text = shown(&[wheel().judged(), sdist().judged()]);
    assert!(text.lines().count() <= 24, "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn no_tests_is_load_and_says_so() {
    let script = wheel().with("test", |task| {
        task.raw = Some(RawData::Test(Box::new(tests(TestCounts::default(), Vec::new()))));
        task.result = TaskResult::Warnings;
    });
    insta::assert_snapshot!(shown(&[script.judged()]));
}

#[test]
fn a_failed_build_shows_what_the_compiler_said() {
    let mut data = build();
    data.wheel = None;
    data.published = None;
    data.error = Some(error("CompileError", "command 'gcc' failed with exit code 1"));
    data.compiler_calls = vec![compiler_call(
        "speedups.c:3:10: error: unknown type name 'Py_Object'\n",
    )];
    let ran = effect(Exit::Code(1), "error: command 'gcc' failed\n");
    let script = sdist()
        .with("build", |task| task.fails(RawData::Build(data), ran))
        .skipped_after("build");
    insta::assert_snapshot!(shown(&[script.judged()]));
}

fn some_fail() -> Judged {
    let said = "def test():\n>   assert 1 == 2\nE   assert 1 == 2\n\ntest_six.py:7: AssertionError";
    let cases = (0..4)
        .map(|n| case(&format!("test_six.py::test_{n}"), TestOutcome::Failed, said))
        .collect();
    let data = tests(
        TestCounts {
            passed: 613,
            failed: 4,
            ..TestCounts::default()
        },
        cases,
    );
    wheel()
        .with("test", |task| {
            task.fails(RawData::Test(Box::new(data)), effect(Exit::Code(1), ""));
        })
        .judged()
}

#[test]
fn failed_tests_show_three_and_the_next_command() {
    insta::assert_snapshot!(shown(&[some_fail(), sdist().judged()]));
}

#[test]
fn a_limit_is_named() {
    let mut data = tests(
        TestCounts {
            passed: 12,
            ..TestCounts::default()
        },
        Vec::new(),
    );
    data.finished = false;
    data.exit = None;
    let ran = over(Limit::Wall, "still waiting\n");
    let script = wheel().with("test", |task| task.fails(RawData::Test(Box::new(data)), ran));
    insta::assert_snapshot!(shown(&[script.judged()]));
}

#[test]
fn a_crash_is_named() {
    let data = Import {
        modules: vec![imported("six", ImportOutcome::Crashed { signal: 11 })],
    };
    let ran = effect(Exit::Signal(11), "Fatal Python error: Segmentation fault\n");
    let script = wheel()
        .with("import", |task| task.fails(RawData::Import(data), ran))
        .skipped_after("import");
    insta::assert_snapshot!(shown(&[script.judged()]));
}

fn decided(status: Status, code: ReasonCode, detail: &str) -> Judged {
    let mut script = wheel();
    script.tasks.clear();
    script.decided = Some(Outcome::because(status, Reason::new(code, detail)));
    script.judged()
}

#[test]
fn what_was_decided_without_a_box_is_an_answer() {
    insta::assert_snapshot!(
        "broken",
        shown(&[decided(Status::Broken, ReasonCode::NoFiles, "")])
    );
    insta::assert_snapshot!(
        "na",
        shown(&[decided(Status::Na, ReasonCode::RequiresPython, ">=3.14")])
    );
}

#[test]
fn an_interrupted_run_keeps_what_ended() {
    let mut script = wheel().until("test");
    script.finished = Some(true);
    insta::assert_snapshot!("interrupted", shown(&[script.judged()]));
    script.finished = None;
    let text = shown(&[script.judged()]);
    assert!(text.contains("breaks off"), "{text}");
    let whole = shown(&[wheel().judged()]);
    assert!(
        !whole.contains("breaks off") && !whole.contains("interrupted"),
        "{whole}"
    );
}

#[test]
fn colour_and_ascii_are_honoured() {
    let jobs = [some_fail()];
    let ascii = terminal(&run(&jobs), &Look { ascii: true, ..PLAIN });
    assert!(ascii.is_ascii(), "{ascii}");
    assert!(!shown(&jobs).contains('\u{1b}'));
    assert!(
        terminal(
            &run(&jobs),
            &Look {
                colour: true,
                ..PLAIN
            }
        )
        .contains("\u{1b}[31m")
    );
}

#[test]
fn lines_keep_to_the_width() {
    for width in [40, 60, 80, 100] {
        let text = terminal(&run(&[some_fail(), sdist().judged()]), &Look { width, ..PLAIN });
        for line in text.lines() {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
}

#[test]
fn live_lines_leave_out_calm_preparation() {
    let (record, judgement) = wheel().judged();
    let line = |name: &str| {
        let task = record.task(name).unwrap();
        task_line(FileKind::Wheel, task, judgement.task(name).unwrap(), &PLAIN)
    };
    assert_eq!(line("lock-test"), None);
    assert!(line("test").unwrap().contains("197 passed"));
}

#[test]
fn many_targets_are_grouped_by_reason() {
    let (good, bad) = ([wheel().judged()], [some_fail()]);
    let na = [decided(Status::Na, ReasonCode::RequiresPython, ">=3.14")];
    let runs = [run(&good), run(&bad), run(&bad), run(&na)];
    insta::assert_snapshot!(several(&runs, &PLAIN));
}
