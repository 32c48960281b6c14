//! What is done with runs afterwards, and the commands around them.

mod support;

use std::fs;

use pyti_fixtures::{Faults, LocalIndex};
use support::{Place, fixtures};

/// A place with a run of each; of the wheel only where nothing else is said.
fn ran(test: &str, names: &[&str]) -> Option<(Place, LocalIndex)> {
    let place = Place::new(test)?;
    let index = support::served(test, names, Faults::none())?;
    for name in names {
        place.run(&index, ["--only", "wheel", name]);
    }
    Some((place, index))
}

#[test]
fn runs_are_listed_removed_and_pruned() {
    let Some((place, _)) = ran(
        "runs_are_listed_removed_and_pruned",
        &["no-tests", "imports-fail"],
    ) else {
        return;
    };
    let listed = place.ends(["runs"]).code(0).stdout;
    assert!(
        listed.contains("no-tests 1.0.0") && listed.contains("imports-fail 1.0.0"),
        "{listed}"
    );
    let objects = place.ends(["runs", "--json"]).code(0).objects();
    let of = |name: &str| objects.iter().find(|o| o["name"] == name).unwrap();
    assert_eq!(
        (&of("no-tests")["status"], &of("imports-fail")["status"]),
        (&"load".into(), &"fail".into())
    );
    let id = of("no-tests")["run"].as_str().unwrap();
    place.ends(["report", id]).code(0);
    place.ends(["runs", "rm", id]).code(0);
    place.ends(["report", id]).code(2);
    place.ends(["runs", "rm", id]).code(2);
    place.ends(["runs", "prune"]).code(0);
    assert_eq!(
        place.ends(["runs", "--json"]).code(0).objects().len(),
        1,
        "a run of today was pruned"
    );
    place.ends(["runs", "prune", "--days", "0"]).code(0);
    assert_eq!(place.ends(["runs", "--json"]).code(0).objects().len(), 0);
    place.ends(["report"]).code(2);
}

#[test]
fn a_report_has_five_forms_and_none_speaks_to_the_terminal() {
    let Some((place, _)) = ran("a_report_has_five_forms", &["prints-escapes", "tests-fail"]) else {
        return;
    };
    let objects = place.ends(["runs", "--json"]).code(0).objects();
    let run = |name: &str| {
        objects.iter().find(|o| o["name"] == name).unwrap()["run"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let (escapes, fails) = (run("prints-escapes"), run("tests-fail"));
    for form in [&[][..], &["--html"], &["--json"], &["--junit"], &["--markdown"]] {
        for id in [&escapes, &fails] {
            let ended = place
                .ends(["report", id].iter().copied().chain(form.iter().copied()))
                .code(0);
            assert!(!ended.stdout.trim().is_empty(), "{form:?} says nothing");
            // tabs of files that are shown move nothing in a page
            let hostile =
                |c: char| c.is_control() && c != '\n' && c != '\t' || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!ended.stdout.contains(hostile), "{form:?}: {:?}", ended.stdout);
        }
    }
    let log = place.ends(["log", &escapes, "wheel/import"]).code(0).stdout;
    assert!(
        !log.contains('\u{1b}') && log.contains("\\x1b") || log.contains("\\u{1b}") || log.contains('␛'),
        "{log:?}"
    );
    let html = place.ends(["report", &fails, "--html"]).code(0).stdout;
    let page = html.trim_start().to_ascii_lowercase();
    assert!(
        page.starts_with("<!doctype html"),
        "{}",
        &page[..page.len().min(200)]
    );
    for not in [
        " onclick=",
        " onload=",
        " onchange=",
        " style=\"",
        " src=\"http",
        "<link rel=\"stylesheet\"",
    ] {
        assert!(!page.contains(not), "the page has {not:?}");
    }
    let junit = place.ends(["report", &fails, "--junit"]).code(0).stdout;
    assert!(
        junit.contains("<testsuite") && junit.contains("<failure"),
        "{junit}"
    );
    let json = place.ends(["report", &fails, "--json"]).code(0).object();
    assert_eq!(json["tests"]["failed"], 1);
    let file = place.work().join("report.md");
    let ended = place
        .ends(["report", &fails, "--markdown", "--output", file.to_str().unwrap()])
        .code(0);
    assert_eq!(ended.stdout, "");
    assert!(fs::read_to_string(file).unwrap().contains("tests-fail"));
    place.ends(["report", &fails, "--markdown", "--json"]).code(2);
}

#[test]
fn colour_comes_only_when_it_is_wanted() {
    let Some((mut place, _)) = ran("colour_comes_only_when_it_is_wanted", &["no-tests"]) else {
        return;
    };
    assert!(!place.ends(["report"]).code(0).stdout.contains('\u{1b}'));
    assert!(
        place
            .ends(["--color", "always", "report"])
            .code(0)
            .stdout
            .contains('\u{1b}')
    );
    place.set("NO_COLOR", "1");
    assert!(!place.ends(["report"]).code(0).stdout.contains('\u{1b}'));
    let ascii = place.ends(["--ascii", "report"]).code(0).stdout;
    assert!(ascii.is_ascii(), "{ascii}");
}

#[test]
fn logs_and_files_of_a_run() {
    let test = "logs_and_files_of_a_run";
    let (Some(place), Some(index)) = (
        Place::new(test),
        support::served(test, &["writes-some-output"], Faults::none()),
    ) else {
        return;
    };
    place.run(&index, ["writes-some-output"]);
    let tasks = place.ends(["log", "last"]).code(0).stdout;
    assert!(
        tasks.contains("wheel/import") && tasks.contains("sdist/build"),
        "{tasks}"
    );
    let log = place.ends(["log", "last", "wheel/import"]).code(0).stdout;
    assert!(log.len() > 50_000, "{} bytes of 100,000", log.len());
    place.ends(["log", "last", "nothing"]).code(2);
    place.ends(["log", "ffff", "import"]).code(2);
    let got = |what: &str| {
        let to = place.work().join(what);
        place
            .ends(["get", "last", what, "--output", to.to_str().unwrap()])
            .code(0);
        fs::read(to).unwrap()
    };
    assert_eq!(got("wheel")[..4], *b"PK\x03\x04");
    assert_eq!(got("recording")[..4], [0x28, 0xb5, 0x2f, 0xfd]);
    assert!(
        String::from_utf8(got("plan"))
            .unwrap()
            .contains("writes-some-output")
    );
    place.ends(["get", "last", "egg"]).code(2);
}

#[test]
fn a_wheel_alone_builds_no_wheel_that_could_be_got() {
    let Some(place) = Place::new("a_wheel_alone_builds_no_wheel_that_could_be_got") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["no-tests"]), Faults::none()).unwrap();
    place.run(&index, ["--only", "wheel", "no-tests"]).code(0);
    place.ends(["get", "last", "wheel"]).code(2);
}

#[test]
fn two_runs_are_compared() {
    let Some((place, index)) = ran("two_runs_are_compared", &["unittest-passes", "tests-fail"]) else {
        return;
    };
    place.run(&index, ["--only", "wheel", "unittest-passes"]);
    let objects = place.ends(["runs", "--json"]).code(0).objects();
    let runs = |name: &str| -> Vec<String> {
        objects
            .iter()
            .filter(|o| o["name"] == name)
            .map(|o| o["run"].as_str().unwrap().to_owned())
            .collect()
    };
    let (same, other) = (runs("unittest-passes"), runs("tests-fail"));
    let classes = |before: &str, after: &str| -> Vec<String> {
        let object = place.ends(["diff", before, after, "--json"]).code(0).object();
        let files = object["files"].as_array().unwrap();
        files
            .iter()
            .map(|f| f["class"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(classes(&same[0], &same[1]), ["same"]);
    assert_eq!(classes(&same[0], &other[0])[0], "regressed");
    assert_eq!(classes(&other[0], &same[0])[0], "fixed");
    assert!(
        !place
            .ends(["diff", &same[0], &other[0]])
            .code(0)
            .stdout
            .trim()
            .is_empty()
    );
    place.ends(["diff", &same[0], "ffff"]).code(2);
}

#[test]
fn the_cache_has_a_size_and_can_be_emptied() {
    let Some((place, index)) = ran("the_cache_has_a_size_and_can_be_emptied", &["no-tests"]) else {
        return;
    };
    let size = place.ends(["cache", "size"]).code(0).stdout;
    assert!(size.contains("files") && size.contains("environments"), "{size}");
    place.ends(["cache", "prune"]).code(0);
    let offline = ["--offline", "--only", "wheel", "no-tests"];
    place.run(&index, offline).code(0);
    place.ends(["cache", "prune", "--days", "0"]).code(0);
    place.run(&index, offline).code(5);
    place.run(&index, ["no-tests"]).code(0);
}

#[test]
fn the_configuration_says_where_each_value_comes_from() {
    let mut place = Place::bare();
    place.set("PIP_INDEX_URL", "http://somebody:secret@127.0.0.1:9/simple/");
    let shown = place.ends(["config", "show"]).code(0).stdout;
    let line = |shown: &str, name: &str| {
        shown
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}: {shown}"))
            .to_owned()
    };
    assert!(
        line(&shown, "timeout").contains("600") && line(&shown, "timeout").contains("default"),
        "{shown}"
    );
    assert!(line(&shown, "index-url").contains("PIP_INDEX_URL"), "{shown}");
    assert!(!shown.contains("secret"), "{shown}");
    place.configure("timeout = 7\n");
    let shown = place.ends(["config", "show"]).code(0).stdout;
    assert!(
        line(&shown, "timeout").contains("7 s") && line(&shown, "timeout").contains("pyti.toml"),
        "{shown}"
    );
    place.configure("timeout = \"soon\"\n");
    place.ends(["config", "show"]).code(2);
}

#[test]
fn completions_man_pages_and_the_schema() {
    let place = Place::bare();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = place.ends(["completions", shell]).code(0).stdout;
        assert!(
            script.contains("exclude-newer") && !script.contains("__agent"),
            "{shell}"
        );
    }
    place.ends(["completions", "csh"]).code(2);
    let folder = place.work().join("man");
    place.ends(["man", folder.to_str().unwrap()]).code(0);
    let page = fs::read_to_string(folder.join("pyti-run.1")).unwrap();
    assert!(page.contains(".TH") && page.contains("exclude\\-newer"), "{page}");
    assert!(
        fs::read_to_string(folder.join("pyti.1")).unwrap().contains("130"),
        "no exit codes"
    );
    let schema = place.ends(["schema"]).code(0).stdout;
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert!(schema.is_object());
}

#[test]
fn the_doctor_finds_what_a_run_needs() {
    let Some((place, index)) = ran("the_doctor_finds_what_a_run_needs", &[]) else {
        return;
    };
    index.requests();
    let ended = place.ends(["doctor"]);
    assert_eq!(ended.code, 0, "{}", ended.story());
    assert!(ended.stdout.lines().count() > 3, "{}", ended.story());
}
