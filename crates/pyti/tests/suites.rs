//! Test suites that do not run at the first attempt, and those that would rather not be run.

mod support;

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use pyti_fixtures::{Faults, LocalIndex};
use pyti_model::raw::{AttemptResult, AttemptUse, Runner, Sources, TestOutcome};
use support::{Place, fixtures, reasons, test_of as tests};

const CASE: &str =
    "import unittest\nimport in_tree_backend\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";

/// An index with a fixture and its build backend, and no pytest.
fn bare(names: &[&str]) -> LocalIndex {
    let mut all = fixtures(names);
    all.extend(fixtures(&["plain-backend"]));
    LocalIndex::start(all, Faults::none()).unwrap()
}

#[test]
fn without_pytest_unittests_tests_are_run_by_unittest() {
    let Some(place) = Place::new("without_pytest_unittests_tests_are_run_by_unittest") else {
        return;
    };
    let index = bare(&["unittest-passes"]);
    let object = place.run(&index, ["unittest-passes"]).code(0).object();
    let test = tests(&object);
    assert_eq!((test.recipe.runner, test.counts.passed), (Runner::Unittest, 1));
    let [lost, taken] = test.attempts.as_slice() else {
        panic!("{:?}", test.attempts)
    };
    assert_eq!(
        (lost.result, lost.used),
        (AttemptResult::NotLocked, AttemptUse::PassedOver)
    );
    assert_eq!(
        (taken.result, taken.used),
        (AttemptResult::Ran, AttemptUse::Taken)
    );
    assert_eq!(taken.because, "pytest cannot be had");
}

#[test]
fn what_was_learnt_is_in_the_plan_and_a_repetition_knows_it() {
    let test = "what_was_learnt_is_in_the_plan_and_a_repetition_knows_it";
    let Some(place) = Place::new(test) else { return };
    let Some(index) = support::served(test, &["learns-a-module", "build-helper"], Faults::none()) else {
        return;
    };
    let object = place
        .run(&index, ["--only", "wheel", "learns-a-module"])
        .code(0)
        .object();
    let first = tests(&object);
    assert_eq!(
        (first.counts.passed, first.attempts.len()),
        (2, 2),
        "{:?}",
        first.attempts
    );
    assert!(first.attempts[1].because.contains("build-helper is added"));
    let plan = place.work().join("plan.json");
    let run = object["run"].as_str().unwrap();
    place
        .ends(["get", run, "plan", "-o", plan.to_str().unwrap()])
        .code(0);
    let object = place
        .run(&index, ["--plan", plan.to_str().unwrap()])
        .code(0)
        .object();
    let again = tests(&object);
    assert_eq!((again.counts, again.attempts.len()), (first.counts, 0));
    assert_eq!(again.recipe, first.recipe);
}

#[test]
fn sources_that_tests_read_are_there_and_not_imported() {
    let test = "sources_that_tests_read_are_there_and_not_imported";
    let Some(place) = Place::new(test) else { return };
    let Some(index) = support::served(test, &["reads-its-sources"], Faults::none()) else {
        return;
    };
    let object = place
        .run(&index, ["--only", "wheel", "reads-its-sources"])
        .code(0)
        .object();
    let read = tests(&object);
    assert_eq!(
        (read.recipe.sources, read.against_installed),
        (Sources::Visible, true)
    );
    assert_eq!(read.attempts[0].recipe.sources, Sources::Hidden);
    assert!(!read.attempts[0].notes.is_empty());
}

#[test]
fn a_test_that_changes_its_mind_is_named_and_one_that_does_not_is_not() {
    let Some(place) = Place::new("a_test_that_changes_its_mind_is_named") else {
        return;
    };
    let index = bare(&[]);
    let project = place.project("");
    fs::create_dir(project.join("tests")).unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    // who comes before this moment waits for it and fails, who comes after it passes
    let case = format!(
        "import time, unittest\nimport in_tree_backend\nclass A(unittest.TestCase):\n    def test_steady(self): pass\n    def test_flaky(self):\n        late = time.time() >= {0}\n        time.sleep(max(0, {0} - time.time()))\n        self.assertTrue(late)\n",
        now + 25
    );
    fs::write(project.join("tests/__init__.py"), "").unwrap();
    fs::write(project.join("tests/test_a.py"), case).unwrap();
    let ended = place.run(&index, [project.to_str().unwrap()]).code(0);
    let object = ended.object();
    let test = tests(&object);
    assert_eq!(object["status"], "pass", "{}", ended.story());
    assert!(
        reasons(&object).contains(&"flaky_tests".to_owned()),
        "{}",
        ended.story()
    );
    let names: Vec<String> = test.flaky.iter().map(|f| f.id.lossy().into_owned()).collect();
    assert_eq!(names, ["tests.test_a.A.test_flaky"]);
    assert_eq!(
        test.flaky[0].outcomes,
        [Some(TestOutcome::Failed), Some(TestOutcome::Passed)]
    );
}

#[test]
fn repeated_runs_are_kept_and_steady_tests_are_not_flaky() {
    let Some(place) = Place::new("repeated_runs_are_kept") else {
        return;
    };
    let index = bare(&["unittest-passes"]);
    let object = place
        .run(&index, ["--only", "wheel", "--repeat", "3", "unittest-passes"])
        .code(0)
        .object();
    let test = tests(&object);
    let ran = test
        .attempts
        .iter()
        .filter(|a| a.result == AttemptResult::Ran)
        .count();
    assert_eq!(
        (ran, test.flaky.len(), test.counts.passed),
        (3, 0, 1),
        "{:?}",
        test.attempts
    );
    assert_eq!(test.attempts.last().unwrap().because, "run 3 of 3");
}

#[test]
fn a_huge_conftest_is_not_read_and_the_tests_beside_it_are_run() {
    let Some(place) = Place::new("a_huge_conftest_is_not_read") else {
        return;
    };
    let index = bare(&[]);
    let project = place.project("");
    fs::create_dir(project.join("tests")).unwrap();
    fs::write(project.join("tests/__init__.py"), "").unwrap();
    fs::write(project.join("tests/test_a.py"), CASE).unwrap();
    fs::write(project.join("conftest.py"), "# nothing\n".repeat(5 << 20)).unwrap();
    let object = place.run(&index, [project.to_str().unwrap()]).code(0).object();
    assert_eq!(
        (&object["status"], &object["tests"]["passed"]),
        (&"pass".into(), &1.into())
    );
}

#[test]
fn a_recipe_is_shown_with_its_evidence_and_nothing_is_run() {
    let Some(place) = Place::new("a_recipe_is_shown") else {
        return;
    };
    let index = bare(&["loops-in-declarations", "no-tests"]);
    let url = index.url();
    let ended = place
        .ends(["recipe", "loops-in-declarations", "--index-url", &url])
        .code(0);
    for wanted in ["pytest · first", "leads back to itself", "tests/test_answer.py:1"] {
        assert!(ended.stdout.contains(wanted), "{wanted}: {}", ended.story());
    }
    let ended = place
        .ends(["recipe", "no-tests", "--json", "--index-url", &url])
        .code(0);
    assert_eq!(
        ended.object()["recipes"].as_array().unwrap().len(),
        0,
        "{}",
        ended.story()
    );
    place
        .ends(["recipe", "nobody-has-this", "--index-url", &url])
        .code(2);
    let runs = place.ends(["runs", "--json"]).code(0).objects();
    assert!(runs.is_empty(), "reading is no run");
}
