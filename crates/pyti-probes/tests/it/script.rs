//! Programs that run tests by themselves: what is counted, and what is not believed.

use std::path::Path;

use pyti_model::raw::{Recipe, Runner, Sources, Test, TestCounts, TestOutcome};
use pyti_probes::{Invocation, test};

use crate::support::{
    Env, FD, Ran, VERSIONS, env, interpreter, newest, on_every_version, run, run_tests, run_whole, tree,
};

fn script(python: &Path, files: &[(&str, &str)], arguments: &[&str]) -> (Test, Ran) {
    let env = Env::bare(python, Path::new("/nowhere"));
    run_whole(Runner::Script, &env, files, arguments, &[])
}

const EVERYTHING: &str = "
import doctest, sys, unittest
class A(unittest.TestCase):
    def test_passes(self): pass
    def test_fails(self): self.assertEqual(1, 2)
    def test_errs(self): raise RuntimeError('broken')
    @unittest.skip('not today')
    def test_skipped(self): pass
    @unittest.expectedFailure
    def test_expected(self): self.fail()
    @unittest.expectedFailure
    def test_unexpected(self): pass
    def test_subtests(self):
        for n in range(4):
            with self.subTest(n=n): pass
    def test_runs_others_inside(self):
        class B(unittest.TestCase):
            def test_inner(self): self.fail()
        unittest.TextTestRunner(stream=open('/dev/null', 'w')).run(B('test_inner'))
class C(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError('no class')
    def test_a(self): pass
def f():
    '''
    >>> f()
    1
    '''
    return 1
def g():
    '''
    >>> g()
    2
    '''
    return 1
if __name__ == '__main__':
    doctest.testmod()
    unittest.main(argv=['x'])
";

#[test]
fn a_scripts_own_tests_are_counted_on_every_version() {
    on_every_version(|version, python| {
        let (test, ran) = script(python, &[("check.py", EVERYTHING)], &["check.py"]);
        let wanted = TestCounts {
            passed: 4,
            failed: 2,
            errors: 2,
            skipped: 1,
            xfailed: 1,
            xpassed: 1,
            subtests: 4,
            doctests: 2,
            ..TestCounts::default()
        };
        assert_eq!(test.counts, wanted, "{version}: {}", ran.told());
        assert_eq!((test.finished, test.exit), (true, Some(1)), "{version}");
        let inner = test
            .cases
            .iter()
            .any(|case| case.id.lossy().contains("test_inner"));
        assert!(!inner, "{version}: a test within a test is none of ours");
    });
}

#[test]
fn exit_codes_are_the_scripts_own() {
    let Some(python) = newest() else { return };
    for (text, code) in [
        ("x = 1", 0),
        ("import sys; sys.exit(3)", 3),
        ("import sys; sys.exit('in words')", 1),
        ("raise SystemExit(None)", 0),
        ("raise RuntimeError('no')", 1),
    ] {
        let (test, ran) = script(&python, &[("check.py", text)], &["check.py"]);
        assert_eq!(
            (test.finished, test.exit),
            (true, Some(code)),
            "{text}: {}",
            ran.told()
        );
    }
    let (test, _) = script(&python, &[("check.py", "import os; os._exit(0)")], &["check.py"]);
    assert!(!test.finished, "an exit that nobody saw is no end");
}

#[test]
fn arguments_and_the_path_are_as_python_itself_gives_them() {
    let Some(python) = newest() else { return };
    let text = "import sys\nassert sys.argv[1:] == ['-q', 'x y'], sys.argv\nimport beside\nassert __name__ == '__main__'\n";
    let files = [("t/check.py", text), ("t/beside.py", ""), ("t/__init__.py", "")];
    let (test, ran) = script(&python, &files, &["t/check.py", "-q", "x y"]);
    assert_eq!(test.exit, Some(0), "{}", ran.told());
    let files = [
        (
            "t/__main__.py",
            "import sys\nassert sys.argv[1:] == ['-q']\nimport t\n",
        ),
        ("t/__init__.py", ""),
    ];
    let (test, ran) = script(&python, &files, &["-m", "t", "-q"]);
    assert_eq!(test.exit, Some(0), "{}", ran.told());
}

#[test]
fn counts_that_were_only_printed_are_marked_and_told_ones_are_not_replaced() {
    let Some(python) = newest() else { return };
    let printed = "print('Ran 7 tests in 0.1s\\n\\nOK')";
    let of = |text: &str| {
        let (mut test, ran) = script(&python, &[("check.py", text)], &["check.py"]);
        test.recipe.runner = Runner::Script;
        test::from_text(&mut test, &String::from_utf8_lossy(&ran.output.stdout));
        test
    };
    let test = of(printed);
    assert_eq!((test.counts.passed, test.adjustments.len()), (7, 1));
    let told = format!(
        "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\nunittest.main(exit=False)\n{printed}"
    );
    let test = of(&told);
    assert_eq!((test.counts.passed, test.adjustments.len()), (1, 0));
}

#[test]
fn a_test_that_would_end_the_script_is_an_error() {
    let Some(python) = newest() else { return };
    let text = "import sys, unittest\nclass A(unittest.TestCase):\n    def test_a(self): sys.exit(0)\n    def test_b(self): pass\nunittest.main()\n";
    let (test, ran) = script(&python, &[("check.py", text)], &["check.py"]);
    assert_eq!((test.counts.errors, test.counts.passed), (1, 1), "{}", ran.told());
    assert_eq!(test.exit, Some(1));
}

#[test]
fn pytest_within_a_script_is_heard_and_not_twice() {
    let Some(version) = VERSIONS
        .iter()
        .rev()
        .find(|version| interpreter(version).is_some())
    else {
        return;
    };
    let Some(env) = env(version, "pytest", &["pytest", "pytest-xdist"]) else {
        return;
    };
    let files = [
        (
            "run.py",
            "import sys, pytest\nsys.exit(pytest.main(['-q', 'tests']))\n",
        ),
        (
            "tests/test_a.py",
            "import unittest\ndef test_a(): pass\nclass A(unittest.TestCase):\n    def test_b(self): self.fail('no')\n",
        ),
    ];
    let folder = tree(&files);
    let (test, _, ran) = run_tests(Runner::Script, &env, folder.path(), &["run.py"], &[]);
    assert_eq!((test.counts.passed, test.counts.failed), (1, 1), "{}", ran.told());
    assert_eq!((test.finished, test.exit), (true, Some(1)));
}

/// zope.testrunner, trial and nose2 on a package of unittest's tests.
#[test]
fn other_runners_are_heard_test_by_test() {
    let Some(version) = VERSIONS
        .iter()
        .rev()
        .find(|version| interpreter(version).is_some())
    else {
        return;
    };
    let tools = [
        (
            Runner::Zope,
            "zope.testrunner",
            &["-m", "zope.testrunner", "--test-path=.", "-s", "tests"][..],
        ),
        (Runner::Trial, "Twisted", &["-m", "twisted.trial", "tests"]),
        (Runner::Nose2, "nose2", &["-m", "nose2", "tests.test_a"]),
    ];
    let case = "import unittest\nclass A(unittest.TestCase):\n    def test_a(self): pass\n    def test_b(self): self.fail('no')\n    @unittest.skip('x')\n    def test_c(self): pass\n    def test_d(self): raise RuntimeError('d')\n";
    let files = [("tests/__init__.py", ""), ("tests/test_a.py", case)];
    for (runner, distribution, arguments) in tools {
        let Some(env) = env(version, &distribution.to_lowercase(), &[distribution]) else {
            continue;
        };
        let folder = tree(&files);
        let (test, _, ran) = run_tests(runner, &env, folder.path(), arguments, &[]);
        let counts = test.counts;
        assert_eq!(
            (counts.passed, counts.failed, counts.errors),
            (1, 1, 1),
            "{distribution}: {}",
            ran.told()
        );
        assert!(
            test.finished && test.exit != Some(0),
            "{distribution}: {}",
            ran.told()
        );
        let failed = test
            .cases
            .iter()
            .find(|case| case.outcome == TestOutcome::Failed)
            .unwrap();
        assert!(!failed.message.is_empty(), "{distribution}");
        assert!(test.runner_version.is_some(), "{distribution}");
    }
}

#[test]
fn sources_that_lie_about_are_not_what_is_imported() {
    let Some(python) = newest() else { return };
    let site = tree(&[("subject/__init__.py", "WHERE = 'installed'\n")]);
    let case = "import unittest, sys, os\nsys.path.insert(0, os.getcwd())\nimport subject\nclass A(unittest.TestCase):\n    def test_a(self): self.assertEqual(subject.WHERE, 'installed')\n";
    let folder = tree(&[
        ("subject/__init__.py", "WHERE = 'tree'\n"),
        ("tests/__init__.py", ""),
        ("tests/test_a.py", case),
    ]);
    let of = |sources| {
        let recipe = Recipe {
            runner: Runner::Unittest,
            arguments: ["discover", "-s", "tests", "-t", "."].map(str::to_owned).into(),
            sources,
            ..Recipe::default()
        };
        let subjects = ["subject".to_owned()];
        let ran = run(
            folder.path(),
            |probes| {
                let invocation = Invocation {
                    python: python.to_str().unwrap(),
                    probes,
                    results_fd: FD,
                };
                let request = test::Request {
                    recipe: &recipe,
                    arguments: &recipe.arguments,
                    tree: folder.path().to_str().unwrap(),
                    subject_modules: &subjects,
                    site_packages: site.path().to_str().unwrap(),
                };
                test::argv(&invocation, &request)
            },
            &[],
        );
        test::parse(&ran.results).0
    };
    let pinned = of(Sources::Visible);
    assert_eq!((pinned.counts.passed, pinned.against_installed), (1, true));
    // nothing keeps them out without it, and the proof says so
    let loose = of(Sources::Hidden);
    assert_eq!((loose.counts.failed, loose.against_installed), (1, false));
}
