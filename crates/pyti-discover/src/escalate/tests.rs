use pyti_model::foreign::Foreign;
use pyti_model::raw::{TestCase, TestCounts, TestOutcome};

use super::*;

fn recipe(runner: Runner, requirements: &[&str]) -> Recipe {
    Recipe {
        runner,
        arguments: vec!["tests".to_owned()],
        requirements: requirements.iter().map(ToString::to_string).collect(),
        ..Recipe::default()
    }
}

fn inspection() -> Inspection {
    Inspection {
        recipes: vec![
            recipe(Runner::Pytest, &["pytest", "mock"]),
            recipe(Runner::Unittest, &["mock"]),
            Recipe {
                besides: true,
                ..recipe(Runner::Doctest, &[])
            },
        ],
        known: vec!["odd_thing>=2".to_owned()],
        importable: [("x".to_owned(), "src/x".to_owned())].into(),
        ..Inspection::default()
    }
}

fn ran(recipe: &Recipe, passed: u64, failed: u64) -> Tried {
    let test = Test {
        counts: TestCounts {
            passed,
            failed,
            ..TestCounts::default()
        },
        finished: true,
        exit: Some(i32::from(failed > 0)),
        against_installed: true,
        cases: (0..failed)
            .map(|n| TestCase {
                id: Foreign::from(format!("t{n}")),
                outcome: TestOutcome::Failed,
                wall_s: 0.0,
                cpu_s: None,
                peak_bytes: None,
                message: Foreign::from("assert 1 == 2"),
                output: Foreign::default(),
            })
            .collect(),
        ..Test::default()
    };
    Tried {
        recipe: recipe.clone(),
        came: Came::Ran {
            test: Box::new(test),
            death: Death::Exited,
            said: String::new(),
            ports: Vec::new(),
        },
    }
}

fn broken(recipe: &Recipe, text: &str) -> Tried {
    let mut tried = ran(recipe, 0, 0);
    if let Came::Ran { test, .. } = &mut tried.came {
        test.counts.errors = 1;
        test.exit = Some(2);
        test.collection_errors = vec![(Foreign::from("tests/test_a.py"), Foreign::from(text))];
    }
    tried
}

fn unhad(recipe: &Recipe, why: &str) -> Tried {
    Tried {
        recipe: recipe.clone(),
        came: Came::NotHad { why: why.to_owned() },
    }
}

fn situation<'a>() -> Situation<'a> {
    Situation {
        name: "x",
        tree: "/home/dev/src",
        now_s: 2_000_000_000,
        ..Situation::default()
    }
}

fn because(tried: &[Tried], situation: &Situation<'_>) -> Option<String> {
    next(&inspection(), tried, situation).map(|next| next.because)
}

#[test]
fn a_pass_stands_and_nothing_more_is_tried() {
    let first = &inspection().recipes[0];
    assert_eq!(because(&[ran(first, 3, 0)], &situation()), None);
}

#[test]
fn no_tests_lead_to_the_next_runner_and_never_to_what_is_run_besides() {
    let inspection = inspection();
    let first = ran(&inspection.recipes[0], 0, 0);
    let second = next(&inspection, std::slice::from_ref(&first), &situation()).unwrap();
    assert_eq!(second.recipe.runner, Runner::Unittest);
    let both = [first, ran(&second.recipe, 0, 0)];
    assert_eq!(next(&inspection, &both, &situation()), None);
}

#[test]
fn doctests_stand_for_a_suite_without_tests_and_never_for_a_broken_one() {
    let mut inspection = inspection();
    inspection.recipes[1] = recipe(Runner::Doctest, &[]);
    inspection.recipes.truncate(2);
    let first = inspection.recipes[0].clone();
    let found = next(&inspection, &[ran(&first, 0, 0)], &situation()).unwrap();
    assert_eq!(found.recipe.runner, Runner::Doctest);
    assert_eq!(
        next(&inspection, &[broken(&first, "SyntaxError: no")], &situation()),
        None
    );
    let lost = unhad(&first, "Because pytest was not found in the package registry");
    assert_eq!(next(&inspection, &[lost], &situation()), None);
}

#[test]
fn a_missing_module_becomes_a_requirement_when_somebody_says_which() {
    let inspection = inspection();
    let of = |text: &str| next(&inspection, &[broken(&inspection.recipes[0], text)], &situation()).unwrap();
    let added = |text: &str| of(text).recipe.requirements.split_off(2);
    assert_eq!(added("ModuleNotFoundError: No module named 'yaml'"), ["PyYAML"]);
    assert_eq!(
        added("ImportError: No module named odd_thing.sub"),
        ["odd_thing>=2"]
    );
    // a name that nobody explains is not guessed: the next runner is tried instead
    let other = of("No module named 'who_knows'");
    assert_eq!(other.recipe.runner, Runner::Unittest);
    // nor is the distribution under test
    assert_eq!(of("No module named 'x.gone'").recipe.runner, Runner::Unittest);
}

#[test]
fn a_helper_of_the_tree_is_put_on_the_path() {
    let inspection = inspection();
    let files = [
        "tests/test_a.py".to_owned(),
        "tests/support/helpers.py".to_owned(),
    ];
    let with = Situation {
        files: &files,
        ..situation()
    };
    let tried = [broken(&inspection.recipes[0], "No module named 'helpers'")];
    let found = next(&inspection, &tried, &with).unwrap();
    assert_eq!(
        found.recipe.arguments,
        ["-o", "pythonpath=tests/support", "tests"]
    );
    let once_more = broken(&found.recipe, "No module named 'helpers'");
    let found = next(&inspection, &[tried[0].clone(), once_more], &with).unwrap();
    assert_eq!(
        found.recipe.runner,
        Runner::Unittest,
        "the same is not tried twice"
    );
}

#[test]
fn a_fixture_shows_its_plugin() {
    let text = "E       fixture 'mocker' not found";
    let found = because(&[broken(&inspection().recipes[0], text)], &situation());
    assert_eq!(found.unwrap(), "fixture 'mocker' not found: pytest-mock is added");
    let installed = ["pytest-mock".to_owned()];
    let with = Situation {
        packages: &installed,
        ..situation()
    };
    let found = because(&[broken(&inspection().recipes[0], text)], &with);
    assert_eq!(found.unwrap(), "the recipe before could not run a single test");
}

#[test]
fn sources_that_tests_read_stay_and_others_do_not_matter() {
    let inspection = inspection();
    let hidden = ["src/x".to_owned()];
    let with = Situation {
        hidden: &hidden,
        ..situation()
    };
    let of = |path: &str| {
        let text = format!("FileNotFoundError: [Errno 2] No such file or directory: '{path}'");
        let mut tried = ran(&inspection.recipes[0], 4, 1);
        if let Came::Ran { test, .. } = &mut tried.came {
            test.cases[0].message = Foreign::from(text);
        }
        next(&inspection, &[tried], &with).unwrap().recipe.sources
    };
    assert_eq!(of("/home/dev/src/src/x/data.txt"), Sources::Visible);
    assert_eq!(of("src/x/data.txt"), Sources::Visible);
    assert_eq!(of("/home/dev/src/src/xy/data.txt"), Sources::Hidden);
    assert_eq!(of("/nowhere"), Sources::Hidden);
}

#[test]
fn links_into_what_is_hidden_and_failures_without_a_word_make_sources_visible() {
    let inspection = inspection();
    let first = &inspection.recipes[0];
    let (hidden, links) = (["x".to_owned()], [("tests/a".to_owned(), "x/a".to_owned())]);
    let with = Situation {
        hidden: &hidden,
        links: &links,
        ..situation()
    };
    let found = next(&inspection, &[ran(first, 9, 1)], &with).unwrap();
    assert_eq!(found.because, "tests/a leads to the sources, which stay now");
    let elsewhere = [("tests/a".to_owned(), "xy/a".to_owned())];
    let with = Situation {
        links: &elsewhere,
        ..with
    };
    let tried = [ran(first, 9, 1)];
    assert_eq!(
        next(&inspection, &tried, &with).unwrap().because,
        "the same again, alone"
    );
    let tried = [ran(first, 9, 1), ran(first, 9, 1)];
    let found = next(&inspection, &tried, &with).unwrap();
    assert_eq!(found.because, "with the sources left where they are");
    let late = Situation {
        spent_s: 61.0,
        ..with.clone()
    };
    assert_eq!(
        next(&inspection, &tried, &late),
        None,
        "nothing says that it would help"
    );
    // and then nothing is repeated once more
    let tried = [tried[0].clone(), tried[1].clone(), ran(&found.recipe, 9, 1)];
    assert_eq!(next(&inspection, &tried, &with), None);
}

#[test]
fn requirements_that_cannot_be_had_are_left_out_or_the_runner_is_another() {
    let inspection = inspection();
    let of = |why: &str| next(&inspection, &[unhad(&inspection.recipes[0], why)], &situation()).unwrap();
    let found = of("Because mock was not found in the package registry");
    assert_eq!(
        (found.recipe.runner, found.recipe.requirements.len()),
        (Runner::Pytest, 1)
    );
    assert_eq!(found.because, "without mock, which cannot be had");
    let found = of("Because pytest was not found in the package registry and you require pytest.");
    assert_eq!(found.recipe.runner, Runner::Unittest);
    assert_eq!(found.because, "pytest cannot be had");
    // pytest-mock is not pytest
    let found = of("Because pytest-mock was not found, and x[test] depends on it");
    assert_eq!(
        found.because,
        "the requirements of the recipe before cannot be had"
    );
}

#[test]
fn a_few_failures_are_tried_again_and_many_are_not() {
    let first = &inspection().recipes[0];
    let found = because(&[ran(first, 100, 1)], &situation());
    assert_eq!(found.as_deref(), Some("the same again, alone"));
    assert_eq!(
        because(&[ran(first, 100, 1), ran(first, 100, 1)], &situation()),
        None
    );
    assert_eq!(because(&[ran(first, 10, 90)], &situation()), None);
}

#[test]
fn what_still_fails_is_tried_as_of_its_upload_where_that_is_known() {
    let inspection = inspection();
    let first = &inspection.recipes[0];
    let with = Situation {
        uploaded: Some("2023-02-10T09:30:00.123456Z"),
        ..situation()
    };
    let twice = [ran(first, 100, 1), ran(first, 100, 1)];
    let found = next(&inspection, &twice, &with).unwrap();
    assert_eq!(
        found.recipe.exclude_newer.as_deref(),
        Some("2023-03-12T09:30:00Z")
    );
    assert_eq!(
        found.because,
        "with everything as of 2023-03-12, 30 days after its upload"
    );
    let recent = Situation {
        uploaded: Some("2033-05-17T00:00:00Z"),
        ..situation()
    };
    assert_eq!(next(&inspection, &twice, &recent), None);
    let frozen = Situation { frozen: true, ..with };
    assert_eq!(next(&inspection, &twice, &frozen), None);
}

#[test]
fn four_rounds_and_no_more() {
    let inspection = inspection();
    let mut tried = Vec::new();
    let mut recipe = inspection.recipes[0].clone();
    for module in ["yaml", "numpy", "lxml", "mock", "attr"] {
        tried.push(broken(&recipe, &format!("No module named '{module}'")));
        match next(&inspection, &tried, &situation()) {
            Some(found) => recipe = found.recipe,
            None => break,
        }
    }
    assert_eq!(tried.len(), ROUNDS);
}

#[test]
fn a_limit_is_not_run_into_again() {
    let mut tried = ran(&inspection().recipes[0], 100, 1);
    if let Came::Ran { death, .. } = &mut tried.came {
        *death = Death::Limit;
    }
    assert_eq!(because(&[tried], &situation()), None);
}

#[test]
fn few_tests_that_pass_never_hide_many_of_which_some_fail() {
    let inspection = inspection();
    let of = |counts: &[(u64, u64)]| {
        let tried: Vec<Tried> = counts
            .iter()
            .map(|(passed, failed)| ran(&inspection.recipes[0], *passed, *failed))
            .collect();
        best(&tried)
    };
    assert_eq!(of(&[(900, 3), (5, 0)]), Some(0));
    assert_eq!(of(&[(900, 3), (890, 0)]), Some(1));
    assert_eq!(of(&[(0, 0), (5, 1)]), Some(1));
    assert_eq!(of(&[(10, 0), (10, 0)]), Some(0), "the earlier of equals");
    assert_eq!(of(&[]), None);
    assert_eq!(best(&[unhad(&inspection.recipes[0], "")]), None);
}

#[test]
fn a_pass_of_another_copy_is_none() {
    let mut tried = ran(&inspection().recipes[0], 10, 0);
    if let Came::Ran { test, .. } = &mut tried.came {
        test.against_installed = false;
        assert!(is_good(test), "no module of the subject was met");
        test.proof
            .insert("x".to_owned(), Foreign::from("/home/dev/src/x.py"));
        assert!(!is_good(test));
    }
}

#[test]
fn moments_are_read_and_written() {
    for moment in [
        "1970-01-01T00:00:00Z",
        "2024-02-29T23:59:58Z",
        "2026-11-25T08:00:00Z",
    ] {
        assert_eq!(moment_of(seconds_of(moment).unwrap()), moment);
    }
    assert_eq!(seconds_of("2026-11-25T08:00:00Z"), Some(1_795_593_600));
    assert_eq!(seconds_of("soon"), None);
}
