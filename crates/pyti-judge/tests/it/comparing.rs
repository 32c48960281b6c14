//! Two runs side by side.

use pyti_judge::compare::{Class, Comparison, compare};
use pyti_model::effect::{Change, Changed, Exit};
use pyti_model::outcome::TaskResult;
use pyti_model::raw::{RawData, TestCase, TestCounts, TestOutcome};

use crate::support::*;

fn tested(counts: TestCounts, cases: Vec<TestCase>, dropped: u64) -> Job {
    let mut test = test_data(counts);
    test.cases = cases;
    test.cases_dropped = dropped;
    let failed = counts.failed > 0;
    let job = Job::wheel().raw("test", RawData::Test(Box::new(test)));
    job.with("test", |t| {
        t.result = Some(if failed {
            TaskResult::Failure
        } else {
            TaskResult::Success
        });
    })
}

fn one_failed() -> TestCounts {
    TestCounts {
        failed: 1,
        ..passed(1)
    }
}

fn of(before: &Job, after: &Job) -> Comparison {
    compare(
        &[before.both()],
        &[after.both()],
        pyti_judge::compare::Safe::default(),
    )
}

#[test]
fn the_same_is_the_same() {
    let comparison = of(&Job::wheel(), &Job::wheel());
    assert_eq!(comparison.files.len(), 1);
    let file = &comparison.files[0];
    assert_eq!(file.class, Class::Same);
    assert!(file.reasons_new.is_empty() && file.reasons_gone.is_empty());
    assert_eq!(file.tasks.len(), WHEEL_TASKS.len());
    assert_eq!(file.tasks[0].wall_s.ratio, Some(1.0));
    let json = serde_json::to_string(&comparison).unwrap();
    assert_eq!(serde_json::from_str::<Comparison>(&json).unwrap(), comparison);
}

#[test]
fn status_decides_the_class() {
    let good = Job::wheel();
    let load = Job::wheel().skipped("test");
    let failed = Job::wheel().fails("install", None, effect(Exit::Code(1)));
    let crashed = Job::wheel().fails("install", None, effect(Exit::Signal(11)));
    let ours = Job::wheel().with("start", |t| t.result = Some(TaskResult::Exception));
    for (before, after, class) in [
        (&good, &failed, Class::Regressed),
        (&failed, &good, Class::Fixed),
        (&good, &load, Class::Regressed),
        (&load, &good, Class::Fixed),
        (&failed, &crashed, Class::Changed),
        (&failed, &failed, Class::Same),
        (&good, &ours, Class::Unknown),
        (&ours, &good, Class::Unknown),
        (&ours, &ours, Class::Unknown),
    ] {
        assert_eq!(
            of(before, after).files[0].class,
            class,
            "{:?}",
            of(before, after).files[0].status
        );
    }
    let regressed = &of(&good, &failed).files[0];
    assert_eq!(
        (regressed.reasons_new.len(), regressed.reasons_gone.len()),
        (1, 0)
    );
}

#[test]
fn files_are_paired_by_name_then_by_kind() {
    let mut newer = Job::wheel();
    newer.plan.target.filename = "thing-2.0-py3-none-any.whl".into();
    let both = compare(
        &[Job::wheel().both(), Job::sdist().both()],
        &[Job::sdist().both(), newer.both()],
        pyti_judge::compare::Safe::default(),
    );
    let names: Vec<_> = both
        .files
        .iter()
        .map(|f| (f.before.as_deref(), f.after.as_deref()))
        .collect();
    let sdist = Some("thing-1.0.tar.gz");
    let (old, new) = (
        Some("thing-1.0-py3-none-any.whl"),
        Some("thing-2.0-py3-none-any.whl"),
    );
    assert_eq!(names, [(sdist, sdist), (old, new)]);
    let some = compare(
        &[Job::wheel().both()],
        &[Job::sdist().both()],
        pyti_judge::compare::Safe::default(),
    );
    let classes: Vec<_> = some.files.iter().map(|f| f.class).collect();
    assert_eq!(classes, [Class::New, Class::Gone]);
    assert_eq!(some.counts().values().sum::<usize>(), 2);
}

#[test]
fn tests_are_compared_one_by_one() {
    let bad = |id| case(id, TestOutcome::Failed, "");
    let good = |id| case(id, TestOutcome::Passed, "");
    let skipped = |id| case(id, TestOutcome::Skipped, "");
    let before = tested(
        one_failed(),
        vec![bad("a"), good("b"), good("c"), good("gone")],
        0,
    );
    let after = tested(
        one_failed(),
        vec![good("a"), bad("b"), skipped("c"), good("new")],
        0,
    );
    let file = &of(&before, &after).files[0];
    let ids = |list: &[pyti_model::Foreign]| -> Vec<String> {
        list.iter().map(pyti_model::Foreign::visible).collect()
    };
    assert_eq!(ids(&file.tests.newly_failing), ["b"]);
    assert_eq!(ids(&file.tests.newly_passing), ["a"]);
    assert_eq!(ids(&file.tests.gone), ["gone"]);
    assert_eq!(ids(&file.tests.new), ["new"]);
    assert_eq!(file.tests.other.len(), 1);
    assert_eq!(file.class, Class::Changed);
}

#[test]
fn tests_beyond_the_cap_count_as_passed() {
    let bad = || case("a", TestOutcome::Failed, "");
    let file = &of(
        &tested(passed(5000), vec![], 5000),
        &tested(one_failed(), vec![bad()], 0),
    )
    .files[0];
    assert_eq!((file.tests.newly_failing.len(), file.tests.new.len()), (1, 0));
    let file = &of(
        &tested(one_failed(), vec![bad()], 0),
        &tested(passed(5000), vec![], 5000),
    )
    .files[0];
    assert_eq!((file.tests.newly_passing.len(), file.tests.gone.len()), (1, 0));
}

#[test]
fn changed_files_are_compared_by_task_and_path() {
    let change = |path: &str, size| Change {
        path: path.into(),
        what: Changed::Added,
        entry: None,
        size: Some(size),
        mode: None,
    };
    let with = |changes: Vec<Change>| {
        let (mut record, judgement) = Job::wheel().both();
        record
            .tasks
            .iter_mut()
            .find(|t| t.name == "install")
            .unwrap()
            .changes = changes;
        (record, judgement)
    };
    let before = with(vec![change("/same", 1), change("/other", 1), change("/gone", 1)]);
    let after = with(vec![change("/same", 1), change("/other", 2), change("/new", 1)]);
    let changes = compare(&[before], &[after], pyti_judge::compare::Safe::default())
        .files
        .remove(0)
        .changes;
    let at = |path: &str| vec![("install".to_owned(), path.into())];
    assert_eq!(
        (changes.only_before, changes.only_after, changes.different),
        (at("/gone"), at("/new"), at("/other"))
    );
}
