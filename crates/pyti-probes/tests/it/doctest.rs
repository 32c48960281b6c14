//! doctests of modules and texts.

use std::path::Path;

use pyti_model::raw::{Runner, Test, TestCounts};

use crate::support::{Env, Ran, newest, on_every_version, run_whole, tree};

const GOOD: &str = "def f():\n    '''\n    >>> f()\n    1\n    >>> f() + 1\n    2\n    '''\n    return 1\n\ndef g(): \
                    'no prompts'\n";

/// The modules are installed, the texts are in the tree.
fn doctest(
    python: &Path,
    modules: &[(&str, &str)],
    texts: &[(&str, &str)],
    arguments: &[&str],
) -> (Test, Ran) {
    let site = tree(modules);
    let env = Env::bare(python, site.path());
    run_whole(Runner::Doctest, &env, texts, arguments, &["mod"])
}

#[test]
fn examples_of_a_docstring_are_one_test_on_every_version() {
    on_every_version(|version, python| {
        let (test, ran) = doctest(python, &[("mod.py", GOOD)], &[], &["module:mod"]);
        let expected = TestCounts {
            passed: 1,
            doctests: 1,
            ..TestCounts::default()
        };
        assert_eq!(
            (test.counts, test.exit),
            (expected, Some(0)),
            "{version}: {}",
            ran.told()
        );
        assert!(
            test.finished && test.against_installed && test.proof.contains_key("mod"),
            "{version}"
        );
        let wrong = GOOD.replace("    2\n", "    3\n");
        let (test, _) = doctest(python, &[("mod.py", &wrong)], &[], &["module:mod"]);
        let expected = TestCounts {
            failed: 1,
            doctests: 1,
            ..TestCounts::default()
        };
        assert_eq!((test.counts, test.exit), (expected, Some(1)), "{version}");
        assert!(
            test.cases[0].message.lossy().contains("Expected:\n    3"),
            "{:?}",
            test.cases
        );
    });
}

#[test]
fn the_tree_is_not_where_modules_come_from() {
    let Some(python) = newest() else { return };
    let (test, _) = doctest(
        &python,
        &[("mod.py", GOOD)],
        &[("mod.py", "raise ValueError\n")],
        &["module:mod"],
    );
    assert_eq!((test.counts.passed, test.against_installed), (1, true));
    let (test, _) = doctest(&python, &[], &[("mod.py", GOOD)], &["module:mod"]);
    assert_eq!(
        (test.counts.passed, test.counts.errors, test.exit),
        (0, 1, Some(1))
    );
}

#[test]
fn a_module_that_cannot_be_imported_does_not_stop_the_others() {
    let Some(python) = newest() else { return };
    for bad in [
        "import nowhere_to_be_found\n",
        "import sys; sys.exit(0)\n",
        "raise KeyboardInterrupt\n",
    ] {
        let (test, ran) = doctest(
            &python,
            &[("bad.py", bad), ("mod.py", GOOD)],
            &[],
            &["module:bad", "module:mod"],
        );
        assert_eq!((test.counts.passed, test.counts.errors), (1, 1), "{}", ran.told());
        assert_eq!((test.exit, test.collection_errors.len()), (Some(1), 1));
    }
    let (test, _) = doctest(
        &python,
        &[("bad.py", "X = 1\n"), ("mod.py", GOOD)],
        &[],
        &["module:bad", "module:mod"],
    );
    assert_eq!(
        (test.counts.passed, test.counts.errors, test.exit),
        (1, 0, Some(0))
    );
}

#[test]
fn texts_are_run_too_and_no_examples_are_no_tests() {
    let Some(python) = newest() else { return };
    let text = "Guide\n\n>>> import mod\n>>> mod.f()\n1\n";
    let (test, ran) = doctest(
        &python,
        &[("mod.py", GOOD)],
        &[("guide.rst", text)],
        &["file:guide.rst"],
    );
    assert_eq!(
        (test.counts.passed, test.counts.doctests),
        (1, 1),
        "{}",
        ran.told()
    );
    let (test, _) = doctest(&python, &[("mod.py", "X = 1\n")], &[], &["module:mod"]);
    assert_eq!((test.counts.executed(), test.exit), (0, Some(5)), "{test:?}");
}

#[test]
fn an_example_that_ends_the_process_leaves_no_finish() {
    let Some(python) = newest() else { return };
    let ends = "'''\n>>> import os\n>>> os._exit(0)\n'''\n";
    let (test, ran) = doctest(&python, &[("mod.py", ends)], &[], &["module:mod"]);
    assert!(ran.output.status.success() && !test.finished);
    let leaves = "'''\n>>> raise SystemExit(0)\nTraceback (most recent call last):\nSystemExit: 0\n'''\n";
    let (test, _) = doctest(&python, &[("mod.py", leaves)], &[], &["module:mod"]);
    assert!(test.finished && test.counts.passed == 1, "{test:?}");
}
