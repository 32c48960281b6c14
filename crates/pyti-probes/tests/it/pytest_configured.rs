//! pytest as its authors configured it: what is kept, what is removed, and that it is told.

use pyti_model::raw::{Runner, Test};

use crate::support::{Env, Ran, newest_with_pytest, run_tests, run_whole, tree, with_pytest};

const TWO: &str = "import pytest\ndef test_a(): pass\n@pytest.mark.slow\ndef test_b(): pass\n";

fn pytest(env: &Env, files: &[(&str, &str)], arguments: &[&str]) -> (Test, Ran) {
    run_whole(Runner::Pytest, env, files, arguments, &[])
}

/// Runs two tests, one marked slow, under a configuration.
fn under(file: &str, text: &str) -> Option<(Test, Ran)> {
    let env = newest_with_pytest()?;
    Some(pytest(&env, &[(file, text), ("test_a.py", TWO)], &[]))
}

#[test]
fn options_of_absent_plugins_alone_are_removed() {
    let files = [
        (
            "pytest.ini",
            "[pytest]\nmarkers = slow\naddopts = --cov=pkg --cov-report term -m 'not slow'\n",
        ),
        (
            "tox.ini",
            "[pytest]\nmarkers = slow\naddopts =\n    --cov=pkg\n    --cov-report=term\n    -m 'not slow'\n",
        ),
        (
            "setup.cfg",
            "[tool:pytest]\nmarkers = slow\naddopts = --cov --cov-report term -m 'not slow'\n",
        ),
        (
            "pyproject.toml",
            "[tool.pytest.ini_options]\nmarkers = ['slow']\naddopts = ['--cov=pkg', '--cov-report=term', '-m', 'not slow']\n",
        ),
    ];
    for (file, text) in files {
        let Some((test, ran)) = under(file, text) else {
            return;
        };
        assert_eq!(
            (test.counts.passed, test.counts.deselected),
            (1, 1),
            "{file}: {}",
            ran.told()
        );
        assert_eq!(test.exit, Some(0), "{file}: {}", ran.told());
        assert!(
            test.adjustments.iter().any(|line| line.starts_with("--cov")),
            "{:?}",
            test.adjustments
        );
        assert!(
            !test.adjustments.iter().any(|line| line.contains("slow")),
            "{:?}",
            test.adjustments
        );
    }
    let Some((test, _)) = under(
        "pytest.ini",
        "[pytest]\nmarkers = slow\naddopts = -m 'not slow'\n",
    ) else {
        return;
    };
    assert_eq!((test.counts.passed, test.counts.deselected), (1, 1));
    assert!(test.adjustments.is_empty());
}

#[test]
fn a_plugin_that_is_named_and_absent_is_removed() {
    for text in [
        "-p absent_plugin.deeper -m 'not slow'",
        "-pabsent_plugin -m 'not slow'",
        "-p absent_plugin --absent=1",
    ] {
        let text = format!("[pytest]\nmarkers = slow\naddopts = {text}\n");
        let Some((test, ran)) = under("pytest.ini", &text) else {
            return;
        };
        assert!(test.finished && test.exit == Some(0), "{}", ran.told());
        assert!(
            test.counts.passed > 0 && !test.adjustments.is_empty(),
            "{}",
            ran.told()
        );
    }
    let Some(env) = newest_with_pytest() else { return };
    let here = [
        ("pytest.ini", "[pytest]\naddopts = -p here\n"),
        ("here.py", ""),
        ("test_a.py", "def test_a(): pass\n"),
    ];
    let (test, ran) = pytest(&env, &here, &["-o", "pythonpath=."]);
    // a plugin of their own beside the tests is found by `python -m pytest` alone, so it may be told as absent
    assert!(test.finished && test.counts.passed == 1, "{}", ran.told());
}

#[test]
fn required_plugins_and_minimal_versions_are_told_and_lifted() {
    for version in ["3.8", "3.13"] {
        let Some(env) = with_pytest(version) else { continue };
        let run = |text: &str| {
            pytest(
                &env,
                &[("pytest.ini", text), ("test_a.py", "def test_a(): pass\n")],
                &[],
            )
        };
        let (test, ran) = run("[pytest]\nrequired_plugins = pytest-absent\n");
        assert_eq!(
            (test.exit, test.counts.passed),
            (Some(0), 1),
            "{version}: {}",
            ran.told()
        );
        assert!(
            test.adjustments[0].contains("required_plugins"),
            "{:?}",
            test.adjustments
        );
        let (test, ran) = run("[pytest]\nminversion = 99\n");
        assert_eq!(
            (test.exit, test.counts.passed),
            (Some(0), 1),
            "{version}: {}",
            ran.told()
        );
        assert!(
            test.adjustments[0].contains("minversion"),
            "{:?}",
            test.adjustments
        );
        let (test, _) = run("[pytest]\nminversion = 99\nrequired_plugins = pytest-absent\naddopts = --cov\n");
        assert_eq!(
            (test.exit, test.counts.passed, test.adjustments.len()),
            (Some(0), 1, 3),
            "{version}"
        );
        let (test, _) = run("[pytest]\nminversion = 2.0\nrequired_plugins = pytest-xdist\n");
        assert!(test.adjustments.is_empty() && test.exit == Some(0));
    }
}

#[test]
fn an_option_that_is_nobodys_stays_a_usage_error() {
    let Some(env) = newest_with_pytest() else { return };
    let (test, _) = pytest(&env, &[("test_a.py", TWO)], &["--nobodys"]);
    assert_eq!(
        (test.exit, test.finished, test.counts.executed()),
        (Some(4), true, 0)
    );
    let (test, _) = pytest(&env, &[("test_a.py", TWO)], &["no_such_file.py"]);
    assert_eq!((test.exit, test.counts.executed()), (Some(4), 0));
}

#[test]
fn doctests_that_the_authors_configured_are_counted_once() {
    let module = "def f():\n    \"\"\"\n    >>> f()\n    1\n    \"\"\"\n    return 1\n";
    let files = [
        (
            "pytest.ini",
            "[pytest]\naddopts = --doctest-modules --doctest-glob=*.rst\n",
        ),
        ("mod.py", module),
        ("guide.rst", ">>> 1 + 1\n2\n"),
        ("test_a.py", "def test_a(): pass\n"),
    ];
    let Some(env) = newest_with_pytest() else { return };
    for arguments in [&[][..], &["-n2"]] {
        let (test, ran) = pytest(&env, &files, arguments);
        assert_eq!(
            (test.counts.passed, test.counts.doctests),
            (3, 2),
            "{}",
            ran.told()
        );
        assert_eq!(test.cases.len(), 3);
    }
    let (test, _) = pytest(&env, &files, &["-o", "addopts="]);
    assert_eq!((test.counts.passed, test.counts.doctests), (1, 0));
}

#[test]
fn the_proof_says_which_copy_was_tested() {
    let Some(env) = newest_with_pytest() else { return };
    // pytest itself imports iniconfig, but not execnet unless xdist is used
    let folder = tree(&[
        ("test_a.py", "import execnet\ndef test_a(): pass\n"),
        (
            "test_odd.py",
            "import sys\nclass Odd:\n    def __getattr__(self, name): raise OSError(name)\ndef test_a():\n    \
             sys.modules['execnet'] = Odd()\n",
        ),
        ("test_none.py", "def test_a(): pass\n"),
        ("other/execnet/__init__.py", ""),
        ("shadow.ini", "[pytest]\npythonpath = other\n"),
    ]);
    let run = |arguments: &[&str]| {
        run_tests(
            Runner::Pytest,
            &env,
            folder.path(),
            arguments,
            &["execnet", "absent_one"],
        )
    };
    let (test, _, ran) = run(&["-p", "no:xdist", "test_a.py"]);
    assert!(test.against_installed && test.proof.len() == 1, "{}", ran.told());
    let (test, _, ran) = run(&["-p", "no:xdist", "-c", "shadow.ini", "test_a.py"]);
    assert!(!test.against_installed && test.proof.len() == 1, "{}", ran.told());
    // a module that raises when it is asked proves nothing, and breaks nothing
    let (test, _, ran) = run(&["-p", "no:xdist", "test_odd.py"]);
    assert!(
        test.finished && test.proof.is_empty() && !test.against_installed,
        "{}",
        ran.told()
    );
    let (test, _, ran) = run_tests(
        Runner::Pytest,
        &env,
        folder.path(),
        &["test_none.py"],
        &["xdist.remote"],
    );
    assert!(!test.against_installed && test.proof.is_empty(), "{}", ran.told());
}

#[test]
fn workers_bring_their_proofs_and_what_they_deselected() {
    let text =
        "import pygments.lexers.d, pytest\ndef test_a(): pass\n@pytest.mark.slow\ndef test_b(): pass\n";
    let folder = tree(&[
        ("test_a.py", text),
        (
            "pytest.ini",
            "[pytest]\nmarkers = slow\naddopts = -m 'not slow'\n",
        ),
    ]);
    for version in ["3.8", "3.13"] {
        let Some(env) = with_pytest(version) else { continue };
        for workers in ["-n2", "-n0"] {
            let subjects = &["pygments.lexers.d"];
            let (test, _, ran) = run_tests(Runner::Pytest, &env, folder.path(), &[workers], subjects);
            if !env.site.join("pygments").exists() {
                // older versions of pytest do not need it, then it is a collection error in every worker, told once
                assert_eq!(test.collection_errors.len(), 1, "{}", ran.told());
                continue;
            }
            assert_eq!(
                (test.counts.passed, test.counts.deselected),
                (1, 1),
                "{workers}: {}",
                ran.told()
            );
            assert!(
                test.against_installed && test.proof.len() == 1,
                "{workers}: {}",
                ran.told()
            );
        }
    }
}
