//! Several attempts at the tests: the one that was taken decides, and no other.

use pyti_model::effect::Exit;
use pyti_model::outcome::{Reason, ReasonCode as R, Status, TaskResult};
use pyti_model::raw::{Attempt, AttemptResult, AttemptUse, RawData, TestCounts};

use crate::support::{Job, codes, effect, expect, passed, recipe, test_data};

fn attempt(used: AttemptUse, counts: TestCounts, command: u32) -> Attempt {
    Attempt {
        recipe: recipe(),
        because: String::new(),
        used,
        result: AttemptResult::Ran,
        reasons: Vec::new(),
        counts,
        finished: true,
        exit: Some(0),
        against_installed: true,
        wall_s: 1.0,
        command: Some(command),
        notes: Vec::new(),
    }
}

/// Two attempts, of which the second crashed.
fn job(taken: usize) -> Job {
    let used = |at| {
        if at == taken {
            AttemptUse::Taken
        } else {
            AttemptUse::PassedOver
        }
    };
    let mut test = test_data(passed(10));
    test.attempts = vec![attempt(used(0), passed(10), 0), attempt(used(1), passed(2), 1)];
    test.finished = taken == 0;
    Job::wheel().with("test", |task| {
        task.raw = Some(RawData::Test(Box::new(test)));
        task.effects = vec![effect(Exit::Code(0)), effect(Exit::Signal(11))];
    })
}

#[test]
fn a_crash_of_an_attempt_that_was_passed_over_is_none_and_of_the_taken_one_it_is() {
    expect(&job(0), Status::Pass, None);
    expect(&job(1), Status::Crash, Some(R::Segfault));
}

#[test]
fn a_command_that_is_not_there_leaves_the_last_one_to_decide() {
    let lost = job(0).with("test", |task| {
        if let Some(RawData::Test(test)) = &mut task.raw {
            test.attempts[0].command = Some(9);
        }
    });
    expect(&lost, Status::Crash, Some(R::Segfault));
}

#[test]
fn flaky_tests_stand_beside_a_pass() {
    let flaky = Job::wheel().with("test", |task| {
        task.result = Some(TaskResult::Warnings);
        task.reasons = vec![Reason::new(R::FlakyTests, "test_a").in_task("test")];
    });
    let judgement = flaky.judged();
    assert_eq!(
        (judgement.outcome.status, codes(&judgement)),
        (Status::Pass, vec![R::FlakyTests])
    );
    // the twin
    assert!(codes(&Job::wheel().judged()).is_empty());
}
