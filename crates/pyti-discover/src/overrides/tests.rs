use pyti_model::raw::{Inspection, Recipe, Runner};

use super::*;

const GOOD: &str = r#"
[[override]]
project = "Some.Thing"
versions = ">=1.2,<2"
why = "its tests want Redis"
requirements = ["pytest", "redis>=5"]
command = 'pytest -m "not slow" tests'
services = ["redis", "postgresql:own"]
timeout_s = 900

[override.env]
MODE = "all"
"#;

fn wrong(text: &str) -> (usize, String) {
    let mistake = read("x.toml", text).unwrap_err();
    (mistake.line, mistake.why)
}

#[test]
fn a_good_file_is_read_and_names_where_it_came_from() {
    let all = read("x.toml", GOOD).unwrap();
    assert_eq!(
        (all[0].project.as_str(), all[0].origin.as_str()),
        ("some-thing", "x.toml:2")
    );
    assert!(find(&all, "some_thing", "1.4").is_some());
    assert!(find(&all, "some_thing", "2.0").is_none());
    assert!(find(&all, "some_thing", "no version").is_none());
    assert!(find(&all, "other", "1.4").is_none());
}

#[test]
fn mistakes_are_told_with_their_line_and_why() {
    let with = |key: &str, value: &str| {
        format!("\n[[override]]\nproject = \"a\"\nwhy = \"because\"\n{key} = {value}\n")
    };
    for (key, value, says) in [
        ("services", "[\"postgrez\"]", "is no service"),
        ("versions", "\"about 2\"", "about 2"),
        ("requirements", "[\"redis >>\"]", "redis >>"),
        ("command", "\"make test\"", "runs no tests"),
        ("timeout_s", "0", "from 1 to"),
        ("timeout_s", "\"long\"", "invalid type"),
        ("skip", "\" \"", "must be said"),
        ("extras", "[\"a b\"]", "no name of an extra"),
        ("sevices", "[]", "unknown field"),
        ("env", "{ LD_PRELOAD = \"x\" }", "no variable that may be set"),
        ("origin", "\"elsewhere\"", "not for the file"),
    ] {
        let (line, why) = wrong(&with(key, value));
        assert!(why.contains(says), "{key}: {why}");
        assert_eq!(line, 5, "{key}: {why}");
    }
    assert_eq!(
        wrong("[[override]]\nproject = \"a\"\nwhy = \"b\"\n"),
        (2, "it changes nothing".to_owned())
    );
    assert!(
        wrong("[[override]]\nproject = \"a b\"\nwhy = \"c\"\nskip = \"d\"\n")
            .1
            .contains("no name of a project")
    );
    assert!(wrong("[[overide]]\n").1.contains("unknown field"));
    assert!(wrong("project = ").1.len() > 3);
    assert!(wrong(&" ".repeat(LARGEST + 1)).1.contains("larger"));
}

#[test]
fn what_an_override_says_comes_first_and_what_it_leaves_out_is_as_found() {
    let entry = read("x.toml", GOOD).unwrap().remove(0);
    let mut inspection = Inspection {
        recipes: vec![Recipe {
            extras: vec!["test".to_owned()],
            services: vec!["mongodb".to_owned()],
            why: vec!["services: mongodb: the tests import pymongo".to_owned()],
            ..Recipe::default()
        }],
        ..Inspection::default()
    };
    apply(&mut inspection, &entry);
    let [first, found] = inspection.recipes.as_slice() else {
        panic!("{:?}", inspection.recipes)
    };
    assert_eq!(first.arguments, ["-m", "not slow", "tests"]);
    assert_eq!(first.requirements, ["pytest", "redis>=5"]);
    assert_eq!(first.extras, ["test"]);
    assert_eq!(first.services, ["redis", "postgresql:own"]);
    assert_eq!(first.env["MODE"], "all");
    assert!(
        first
            .why
            .iter()
            .any(|why| why == "services: redis: x.toml:2 says so")
    );
    assert_eq!(
        (first.evidence[0].file.as_str(), first.evidence[0].line),
        ("x.toml", 2)
    );
    assert_eq!(found.services, ["mongodb"], "what was found stays to be tried");
}

#[test]
fn a_tree_without_any_recipe_has_one_then() {
    let mut entry = read("x.toml", GOOD).unwrap().remove(0);
    let mut inspection = Inspection::default();
    entry.command = Some("python runtests.py --fast".to_owned());
    apply(&mut inspection, &entry);
    assert_eq!(inspection.recipes[0].runner, Runner::Script);
    assert_eq!(inspection.recipes[0].arguments, ["runtests.py", "--fast"]);
}

#[test]
fn what_is_written_is_read_again() {
    let entry = read("x.toml", GOOD).unwrap().remove(0);
    let mut again = read("x.toml", &file_of(&entry)).unwrap().remove(0);
    again.origin.clone_from(&entry.origin);
    assert_eq!(again, entry);
}

#[test]
fn a_recipe_becomes_the_command_that_makes_it() {
    for (runner, arguments) in [
        (Runner::Pytest, &["-m", "not slow", "tests"][..]),
        (Runner::Unittest, &["discover", "-s", "tests"]),
        (Runner::Script, &["-m", "thing.tests"]),
        (Runner::Script, &["runtests.py", "it's"]),
    ] {
        let recipe = Recipe {
            runner,
            arguments: arguments.iter().map(|a| (*a).to_owned()).collect(),
            ..Recipe::default()
        };
        let entry = Override {
            command: command_of(&recipe),
            why: "x".to_owned(),
            ..Override::default()
        };
        let mut inspection = Inspection::default();
        apply(&mut inspection, &entry);
        let made = &inspection.recipes[0];
        assert_eq!(
            (made.runner, &made.arguments),
            (runner, &recipe.arguments),
            "{:?}",
            entry.command
        );
    }
}
