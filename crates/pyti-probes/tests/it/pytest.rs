//! pytest: what is counted, and what a suite can do to the one that counts.

use pyti_model::raw::{Runner, Test, TestCounts, TestOutcome};

use crate::support::{Env, Ran, env, newest_with_pytest, on_every_version, run_whole, with_pytest};

fn pytest(env: &Env, files: &[(&str, &str)], arguments: &[&str]) -> (Test, Ran) {
    run_whole(Runner::Pytest, env, files, arguments, &[])
}

const EVERYTHING: &str = r#"
import unittest, pytest

def test_passes(): pass
def test_fails(): assert 1 == 2
@pytest.fixture
def broken(): raise RuntimeError("set-up")
def test_error(broken): pass
@pytest.fixture
def late():
    yield
    raise RuntimeError("tear-down")
def test_passes_and_errs(late): pass
@pytest.mark.skip(reason="not today")
def test_skipped(): pass
def test_skips(): pytest.skip("half way")
@pytest.mark.xfail(reason="known")
def test_xfail(): assert False
@pytest.mark.xfail
def test_xpass(): pass
@pytest.mark.xfail(strict=True)
def test_strict(): pass
@pytest.mark.parametrize("n", [1, 2, 3])
def test_parameters(n): pass
@pytest.mark.slow
def test_deselected(): pass

class Case(unittest.TestCase):
    def test_case(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.skip("unittest's")
    def test_skipped(self): pass
"#;

const FILES: &[(&str, &str)] = &[
    ("test_all.py", EVERYTHING),
    (
        "test_later.py",
        "import pytest\npytest.skip('not here', allow_module_level=True)\n",
    ),
    ("test_broken.py", "import nowhere_to_be_found\n"),
    (
        "pytest.ini",
        "[pytest]\naddopts = -m 'not slow' --continue-on-collection-errors\nmarkers = slow\n",
    ),
];

#[test]
fn every_outcome_is_counted_apart_on_every_version() {
    on_every_version(|version, _| {
        let Some(env) = with_pytest(version) else { return };
        let (test, ran) = pytest(&env, FILES, &[]);
        let expected = TestCounts {
            // the one whose tear-down fails has passed first
            passed: 6,
            // a strict xpass is a failure
            failed: 2,
            // set-up, tear-down, collecting
            errors: 3,
            // mark, call, module, unittest
            skipped: 4,
            xfailed: 2,
            xpassed: 1,
            deselected: 1,
            ..TestCounts::default()
        };
        assert_eq!(test.counts, expected, "{version}: {}", ran.told());
        assert!(test.finished && test.exit == Some(1), "{version}");
        assert_eq!(test.collection_errors.len(), 1);
        assert!(
            test.collection_errors[0]
                .1
                .lossy()
                .contains("nowhere_to_be_found")
        );
        let case = |id: &str| {
            test.cases
                .iter()
                .find(|case| case.id.as_str() == Some(id))
                .unwrap_or_else(|| panic!("{version}: no {id} in {:?}", test.cases))
        };
        assert!(
            case("test_all.py::test_fails")
                .message
                .lossy()
                .contains("assert 1 == 2")
        );
        assert!(
            case("test_all.py::test_skipped")
                .message
                .lossy()
                .contains("not today")
        );
        assert!(case("test_all.py::test_xfail").message.lossy().contains("known"));
        assert_eq!(case("test_all.py::test_error").outcome, TestOutcome::Error);
        assert!(test.runner_version.is_some());
    });
}

#[test]
fn two_workers_count_like_none() {
    for version in ["3.8", "3.13"] {
        let Some(env) = with_pytest(version) else { continue };
        let (alone, _) = pytest(&env, FILES, &[]);
        let (shared, ran) = pytest(&env, FILES, &["-n2"]);
        assert_eq!(shared.counts, alone.counts, "{version}: {}", ran.told());
        assert!(shared.finished && shared.exit == Some(1));
        assert_eq!(shared.collection_errors.len(), 1);
    }
}

#[test]
fn a_test_that_ends_the_process_leaves_no_finish() {
    let Some(env) = newest_with_pytest() else { return };
    let vanishes = "import os\ndef test_a(): pass\ndef test_b(): os._exit(0)\ndef test_c(): assert False\n";
    let (test, ran) = pytest(&env, &[("test_a.py", vanishes)], &[]);
    assert!(ran.output.status.success(), "a good exit code is the trap");
    assert!(!test.finished && test.exit.is_none() && test.counts.passed == 1);
    // leaving by an exception is pytest's to see
    let leaves =
        "import sys\ndef test_a(): pass\ndef test_b():\n    try: sys.exit(0)\n    except SystemExit: pass\n";
    let (test, ran) = pytest(&env, &[("test_a.py", leaves)], &[]);
    assert!(ran.output.status.success() && test.finished && test.exit == Some(0));
    assert_eq!(test.counts.passed, 2);
}

#[test]
fn a_forked_child_that_goes_on_reports_nothing() {
    let Some(env) = newest_with_pytest() else { return };
    let forks = "import os, time\ndef test_a():\n    if os.fork(): time.sleep(0.5)\ndef test_b(): pass\n";
    let spawns =
        "import os\ndef test_a():\n    if not os.fork(): os._exit(0)\n    os.wait()\ndef test_b(): pass\n";
    for text in [forks, spawns] {
        let (test, ran) = pytest(&env, &[("test_a.py", text)], &["-p", "no:cacheprovider"]);
        assert_eq!((test.counts.passed, test.cases.len()), (2, 2), "{}", ran.told());
        assert!(test.finished);
        let ends = String::from_utf8_lossy(&ran.results).matches("\"done\"").count();
        assert_eq!(ends, 1, "{}", ran.told());
    }
}

#[test]
fn warnings_as_errors_fail_what_leaks_and_not_us() {
    let Some(env) = newest_with_pytest() else { return };
    let strict = ("pytest.ini", "[pytest]\nfilterwarnings = error\n");
    let (test, ran) = pytest(&env, &[strict, ("test_a.py", "def test_a(): pass\n")], &[]);
    assert_eq!((test.counts.passed, test.exit), (1, Some(0)), "{}", ran.told());
    let warns = "import warnings\ndef test_a(): warnings.warn('old')\n";
    let (test, _) = pytest(&env, &[strict, ("test_a.py", warns)], &[]);
    assert_eq!((test.counts.failed, test.exit), (1, Some(1)));
    let (test, _) = pytest(&env, &[("test_a.py", warns)], &[]);
    assert_eq!((test.counts.passed, test.exit), (1, Some(0)));
}

#[test]
fn what_tests_replace_does_not_reach_the_results() {
    let Some(env) = newest_with_pytest() else { return };
    let spoils = "import builtins, io, json, os, sys, time\ndef test_a(monkeypatch):\n    for m, n in ((os, 'write'), (os, \
                  'getpid'), (json, 'dumps'), (builtins, 'open'), (time, 'time')):\n        setattr(m, n, None)\n    \
                  sys.stdout = sys.stderr = io.StringIO()\ndef test_b(): pass\n";
    let (test, ran) = pytest(&env, &[("test_a.py", spoils)], &["-p", "no:cacheprovider"]);
    // pytest itself may not survive it, what it told until then does
    assert!(test.counts.passed >= 1, "{}", ran.told());
    let (test, _) = pytest(
        &env,
        &[("test_a.py", "def test_a(): pass\ndef test_b(): pass\n")],
        &[],
    );
    assert_eq!(test.counts.passed, 2);
}

#[test]
fn sessions_that_tests_start_are_not_counted() {
    let Some(env) = newest_with_pytest() else { return };
    let inner = "
def test_outer(pytester):
    pytester.makepyfile('def test_one(): pass\\ndef test_two(): assert False')
    pytester.runpytest_inprocess().assert_outcomes(passed=1, failed=1)
    pytester.runpytest_subprocess().assert_outcomes(passed=1, failed=1)
    pytester.inline_run().assertoutcome(passed=1, failed=1)
";
    let files = [
        ("test_a.py", inner),
        ("conftest.py", "pytest_plugins = ['pytester']\n"),
    ];
    let (test, ran) = pytest(&env, &files, &[]);
    assert_eq!((test.counts.passed, test.counts.failed), (1, 0), "{}", ran.told());
    let (test, _) = pytest(
        &env,
        &[(
            "test_a.py",
            "def test_one(): pass\ndef test_two(): assert False\n",
        )],
        &[],
    );
    assert_eq!((test.counts.passed, test.counts.failed), (1, 1));
}

#[test]
fn subtests_are_counted_apart_and_fail_their_test() {
    let Some(env) = newest_with_pytest() else { return };
    let text = |bad: u32| {
        format!(
            "import unittest\nclass A(unittest.TestCase):\n    def test_a(self):\n        for n in range(4):\n            \
             with self.subTest(n=n): self.assertNotEqual(n, {bad})\n\ndef test_b(subtests):\n    for n in range(3):\n        \
             with subtests.test(n=n): assert n != {bad}\n"
        )
    };
    let (test, ran) = pytest(&env, &[("test_a.py", &text(9))], &[]);
    assert_eq!((test.counts.passed, test.counts.failed), (2, 0), "{}", ran.told());
    assert!(test.counts.subtests >= 3, "{}", ran.told());
    let (test, ran) = pytest(&env, &[("test_a.py", &text(1))], &[]);
    assert!(test.counts.failed >= 2 && test.exit == Some(1), "{}", ran.told());
}

#[test]
fn messages_and_output_are_kept_up_to_a_cap() {
    let Some(env) = newest_with_pytest() else { return };
    let text = "def test_loud():\n    print('o' * 100000)\n    raise ValueError('m' * 100000)\n\
                def test_quiet():\n    print('said')\n    raise ValueError('meant')\n";
    let (test, _) = pytest(&env, &[("test_a.py", text)], &[]);
    let [loud, quiet] = test.cases.as_slice() else {
        panic!("{:?}", test.cases)
    };
    assert!((1000..9000).contains(&loud.message.len()) && (1000..5000).contains(&loud.output.len()));
    assert!(loud.output.lossy().contains("[...]"));
    assert!(
        quiet.message.lossy().contains("meant") && quiet.output.as_str() == Some("said\n"),
        "{quiet:?}"
    );
}

#[test]
fn a_runner_that_is_not_there_is_told() {
    let Some(env) = env("3.13", "start", &["iniconfig"]) else {
        return;
    };
    let (test, ran) = pytest(&env, &[("test_a.py", "def test_a(): pass\n")], &[]);
    assert!(!test.finished && !ran.output.status.success());
    assert!(
        test.collection_errors[0]
            .1
            .lossy()
            .contains("No module named 'pytest'"),
        "{test:?}"
    );
}

#[test]
fn no_tests_are_exit_5_and_a_crash_in_the_middle_has_no_end() {
    let Some(env) = newest_with_pytest() else { return };
    let (test, _) = pytest(&env, &[("test_a.py", "X = 1\n")], &[]);
    assert_eq!(
        (test.exit, test.counts.executed(), test.finished),
        (Some(5), 0, true)
    );
    let (test, _) = pytest(
        &env,
        &[(
            "test_a.py",
            "import os\ndef test_a(): pass\ndef test_b(): os.abort()\n",
        )],
        &[],
    );
    assert!(!test.finished && test.counts.passed == 1);
}

#[test]
fn coroutines_are_run_where_their_plugin_is() {
    let text = "import asyncio, pytest\n@pytest.mark.asyncio\nasync def test_a(): await asyncio.sleep(0)\n";
    let Some(with) = env("3.13", "plugins", PLUGINS) else {
        return;
    };
    let (test, ran) = pytest(&with, &[("test_a.py", text)], &[]);
    assert_eq!((test.counts.passed, test.exit), (1, Some(0)), "{}", ran.told());
    let Some(without) = with_pytest("3.13") else {
        return;
    };
    let (test, ran) = pytest(&without, &[("test_a.py", text)], &[]);
    assert_eq!(test.counts.passed, 0, "{}", ran.told());
}

const PLUGINS: &[&str] = &["pytest", "pytest-asyncio", "pytest-rerunfailures"];

#[test]
fn a_test_that_passes_when_it_is_tried_again_has_passed() {
    let Some(env) = env("3.13", "plugins", PLUGINS) else {
        return;
    };
    let flaky = |passes_at: u32| {
        format!("N = []\ndef test_a():\n    N.append(1)\n    assert len(N) >= {passes_at}\n")
    };
    let run = |passes_at| pytest(&env, &[("test_a.py", &flaky(passes_at))], &["--reruns=2"]);
    let (test, ran) = run(2);
    assert_eq!((test.counts.passed, test.counts.failed), (1, 0), "{}", ran.told());
    assert_eq!((test.cases.len(), test.exit), (1, Some(0)));
    let (test, ran) = run(9);
    assert_eq!((test.counts.passed, test.counts.failed), (0, 1), "{}", ran.told());
    assert_eq!(test.exit, Some(1));
}

#[test]
fn subtests_of_the_older_plugin_are_counted_apart_too() {
    let Some(env) = env("3.8", "subtests", &["pytest", "pytest-subtests"]) else {
        return;
    };
    let text = |bad: u32| {
        format!(
            "def test_b(subtests):\n    for n in range(3):\n        with subtests.test(n=n): assert n != {bad}\n"
        )
    };
    let (test, ran) = pytest(&env, &[("test_a.py", &text(9))], &[]);
    assert_eq!(
        (test.counts.passed, test.counts.failed, test.counts.subtests),
        (1, 0, 3),
        "{}",
        ran.told()
    );
    let (test, ran) = pytest(&env, &[("test_a.py", &text(1))], &[]);
    assert_eq!(
        (test.counts.failed > 0, test.exit),
        (true, Some(1)),
        "{}",
        ran.told()
    );
}
