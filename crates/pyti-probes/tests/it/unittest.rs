//! unittest: what is counted, also outside of tests.

use std::path::Path;

use pyti_model::raw::{Runner, Test, TestCounts, TestOutcome};

use crate::support::{Env, Ran, newest, on_every_version, run_whole};

fn unittest(python: &Path, files: &[(&str, &str)], arguments: &[&str]) -> (Test, Ran) {
    let env = Env::bare(python, Path::new("/nowhere"));
    run_whole(Runner::Unittest, &env, files, arguments, &[])
}

const DISCOVER: &[&str] = &["discover", "-s", "tests", "-t", "."];

const EVERYTHING: &str = "
import unittest
class A(unittest.TestCase):
    def test_passes(self): pass
    def test_fails(self): self.assertEqual(1, 2)
    def test_errs(self): raise RuntimeError('broken')
    @unittest.skip('not today')
    def test_skipped(self): pass
    def test_skips(self): self.skipTest('half way')
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_subtests(self):
        for n in range(4):
            with self.subTest(n=n): pass
    def test_subtests_fail(self):
        for n in range(4):
            with self.subTest(n=n): self.assertNotEqual(n % 2, 1)
@unittest.skip('the whole class')
class B(unittest.TestCase):
    def test_a(self): pass
    def test_b(self): pass
class C(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError('no class')
    def test_a(self): pass
    def test_b(self): pass
class D(unittest.TestCase):
    def setUp(self): raise RuntimeError('no set-up')
    def test_a(self): pass
";

#[test]
fn every_outcome_is_counted_apart_on_every_version() {
    let files = [
        ("tests/__init__.py", ""),
        ("tests/test_all.py", EVERYTHING),
        ("tests/test_bad.py", "import nowhere\n"),
    ];
    on_every_version(|version, python| {
        let (test, ran) = unittest(python, &files, DISCOVER);
        let expected = TestCounts {
            passed: 2,
            // a failed subtest is its test's failure
            failed: 2,
            // in the test, set-up, the class's set-up, collecting
            errors: 4,
            // twice by decoration, once by call, two in a class
            skipped: 4,
            xfailed: 1,
            xpassed: 1,
            subtests: 8,
            ..TestCounts::default()
        };
        assert_eq!(test.counts, expected, "{version}: {}", ran.told());
        assert!(test.finished && test.exit == Some(1));
        assert_eq!(test.collection_errors.len(), 1, "{version}");
        let case = |end: &str| {
            test.cases
                .iter()
                .find(|case| case.id.lossy().contains(end))
                .unwrap_or_else(|| panic!("{version}: no {end} in {:?}", test.cases))
        };
        assert!(case("test_fails").message.lossy().contains("1 != 2"));
        assert!(case("test_skipped").message.lossy().contains("not today"));
        assert_eq!(case("setUpClass").outcome, TestOutcome::Error);
        assert!(case("setUpClass").message.lossy().contains("no class"));
    });
}

#[test]
fn one_test_alone_passes_and_its_exit_is_0() {
    let good = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n";
    on_every_version(|version, python| {
        let (test, ran) = unittest(
            python,
            &[("tests/__init__.py", ""), ("tests/test_a.py", good)],
            DISCOVER,
        );
        let expected = TestCounts {
            passed: 1,
            ..TestCounts::default()
        };
        assert_eq!(
            (test.counts, test.exit),
            (expected, Some(0)),
            "{version}: {}",
            ran.told()
        );
        let (test, _) = unittest(
            python,
            &[("tests/__init__.py", ""), ("tests/test_a.py", "")],
            DISCOVER,
        );
        assert_eq!((test.counts.executed(), test.exit), (0, Some(5)), "{version}");
        let (test, _) = unittest(python, &[("own.py", good)], &["own"]);
        assert_eq!((test.counts, test.exit), (expected, Some(0)), "{version}");
    });
}

#[test]
fn expected_outcomes_alone_are_no_failure_and_an_unexpected_success_is_one() {
    let Some(python) = newest() else { return };
    let case = |body: &str| {
        let text = format!(
            "import unittest\nclass A(unittest.TestCase):\n    @unittest.expectedFailure\n    def test_a(self): {body}\n"
        );
        let (test, _) = unittest(
            &python,
            &[("tests/__init__.py", ""), ("tests/test_a.py", &text)],
            DISCOVER,
        );
        (test.counts.xfailed, test.counts.xpassed, test.exit)
    };
    assert_eq!(case("self.fail()"), (1, 0, Some(0)));
    assert_eq!(case("pass"), (0, 1, Some(1)));
}

#[test]
fn load_tests_is_asked_and_doctests_in_it_are_counted_as_such() {
    let Some(python) = newest() else { return };
    let text = "
import doctest, unittest
def f():
    '''
    >>> f()
    1
    '''
    return 1
class A(unittest.TestCase):
    def test_a(self): pass
def load_tests(loader, tests, pattern):
    tests.addTests(doctest.DocTestSuite())
    return tests
";
    let (test, ran) = unittest(
        &python,
        &[("tests/__init__.py", ""), ("tests/test_a.py", text)],
        DISCOVER,
    );
    assert_eq!(
        (test.counts.passed, test.counts.doctests),
        (2, 1),
        "{}",
        ran.told()
    );
    let raises = "def load_tests(loader, tests, pattern): raise RuntimeError('no list')\n";
    let (test, _) = unittest(
        &python,
        &[("tests/__init__.py", ""), ("tests/test_a.py", raises)],
        DISCOVER,
    );
    assert_eq!((test.counts.errors, test.exit), (1, Some(1)), "{test:?}");
}

#[test]
fn a_test_that_ends_the_process_leaves_no_finish() {
    let Some(python) = newest() else { return };
    let text = |how: &str| {
        format!(
            "import os, sys, unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): {how}\n"
        )
    };
    let run = |how: &str| {
        unittest(
            &python,
            &[("tests/__init__.py", ""), ("tests/test_a.py", &text(how))],
            DISCOVER,
        )
    };
    let (test, ran) = run("os._exit(0)");
    assert!(ran.output.status.success() && !test.finished && test.counts.passed == 1);
    // unittest lets SystemExit pass on some versions and catches it on others; neither is a finish with success
    let (test, ran) = run("sys.exit(0)");
    assert!(
        !(test.finished && test.exit == Some(0) && ran.output.status.success()),
        "{}",
        ran.told()
    );
    let (test, ran) = run("pass");
    assert!(test.finished && test.exit == Some(0) && ran.output.status.success());
}

#[test]
fn a_forked_child_that_goes_on_reports_nothing() {
    let Some(python) = newest() else { return };
    let text = "import os, time, unittest\nclass A(unittest.TestCase):\n    def test_a(self):\n        if os.fork(): \
                time.sleep(0.5)\n    def test_b(self): pass\n";
    let (test, ran) = unittest(
        &python,
        &[("tests/__init__.py", ""), ("tests/test_a.py", text)],
        DISCOVER,
    );
    assert_eq!((test.counts.passed, test.cases.len()), (2, 2), "{}", ran.told());
}

#[test]
fn asynchronous_cases_module_fixtures_and_cleanups_are_run() {
    let Some(python) = newest() else { return };
    let text = |fixture: &str| {
        format!(
            "import unittest\ndef setUpModule():\n    {fixture}\nclass A(unittest.IsolatedAsyncioTestCase):\n    async def \
             test_a(self): pass\n"
        )
    };
    let run = |fixture: &str| {
        unittest(
            &python,
            &[("tests/__init__.py", ""), ("tests/test_a.py", &text(fixture))],
            DISCOVER,
        )
        .0
    };
    assert_eq!(
        run("pass").counts,
        TestCounts {
            passed: 1,
            ..TestCounts::default()
        }
    );
    assert_eq!(
        run("raise RuntimeError('no')").counts,
        TestCounts {
            errors: 1,
            ..TestCounts::default()
        }
    );
    let skipped = run("raise unittest.SkipTest('no')");
    assert_eq!(
        skipped.counts,
        TestCounts {
            skipped: 1,
            ..TestCounts::default()
        }
    );
}
