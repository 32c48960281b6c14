//! Options of `pyti run`, each beside a run without it; and the object that `--json` prints.

mod support;

use std::fs;

use pyti_fixtures::{Faults, LocalIndex};
use serde_json::Value;
use support::{Place, fixtures, reasons, task};

fn ready(test: &str, names: &[&str]) -> Option<(Place, LocalIndex)> {
    Some((Place::new(test)?, support::served(test, names, Faults::none())?))
}

fn kinds(object: &Value) -> Vec<&str> {
    object["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| file["kind"].as_str().unwrap())
        .collect()
}

#[test]
fn an_object_has_every_field_that_is_promised() {
    let Some((place, index)) = ready("an_object_has_every_field_that_is_promised", &["tests-fail"]) else {
        return;
    };
    let ended = place.run(&index, ["tests-fail"]).code(1);
    let object = ended.object();
    assert_eq!(object["schema"], "pyti.run/1");
    assert_eq!(
        (&object["name"], &object["version"]),
        (&"tests-fail".into(), &"1.0.0".into())
    );
    assert_eq!(object["isolation"], "sandbox");
    assert_eq!(object["verdict"], "clean");
    assert!(object["python"].as_str().unwrap().starts_with("3."));
    assert!(
        fs::metadata(object["recording"].as_str().unwrap())
            .unwrap()
            .is_dir()
    );
    for count in [
        "passed",
        "failed",
        "errors",
        "skipped",
        "xfailed",
        "xpassed",
        "deselected",
        "subtests",
        "doctests",
    ] {
        assert!(object["tests"][count].is_u64(), "tests.{count}: {object}");
    }
    let tasks = object["tasks"].as_array().unwrap();
    for task in tasks {
        assert!(
            task["id"].is_string() && task["result"].is_string() && task["reasons"].is_array(),
            "{task}"
        );
        for measure in ["wall_s", "cpu_s", "peak_memory_bytes"] {
            assert!(task[measure].is_number(), "{measure}: {task}");
        }
    }
    let test = task(&object, "test").unwrap();
    assert_eq!(test["result"], "failure");
    assert!(
        test["wall_s"].as_f64().unwrap() > 0.0 && test["peak_memory_bytes"].as_u64().unwrap() > 0,
        "{test}"
    );
    assert_eq!(kinds(&object), ["wheel", "sdist"]);
    for file in object["files"].as_array().unwrap() {
        assert!(
            file["filename"].is_string() && file["reasons"].is_array() && file["status"].is_string(),
            "{file}"
        );
        assert_eq!(file["verdict"], "clean");
    }
}

#[test]
fn only_one_kind_of_file() {
    let Some((place, index)) = ready("only_one_kind_of_file", &["no-tests", "only-an-sdist"]) else {
        return;
    };
    assert_eq!(
        kinds(&place.run(&index, ["no-tests"]).code(0).object()),
        ["wheel", "sdist"]
    );
    assert_eq!(
        kinds(
            &place
                .run(&index, ["--only", "wheel", "no-tests"])
                .code(0)
                .object()
        ),
        ["wheel"]
    );
    assert_eq!(
        kinds(
            &place
                .run(&index, ["--only", "sdist", "no-tests"])
                .code(0)
                .object()
        ),
        ["sdist"]
    );
    let ended = place.run(&index, ["--only", "wheel", "only-an-sdist"]).code(4);
    assert_eq!(ended.object()["status"], "skip", "{}", ended.story());
}

#[test]
fn a_task_that_is_left_out() {
    let Some((place, index)) = ready("a_task_that_is_left_out", &["tests-fail"]) else {
        return;
    };
    let ended = place
        .run(&index, ["--only", "wheel", "--skip", "test", "tests-fail"])
        .code(0);
    let object = ended.object();
    assert_eq!(object["status"], "load", "{}", ended.story());
    assert!(
        reasons(&object).contains(&"policy".to_owned()),
        "{}",
        ended.story()
    );
    assert_eq!(task(&object, "test").unwrap()["result"], "skipped");
    place.run(&index, ["--only", "wheel", "tests-fail"]).code(1);
    // a word that is no task is a mistake, not a wish that is met
    let ended = place
        .run(&index, ["--only", "wheel", "--skip", "tset", "tests-fail"])
        .code(2);
    assert!(ended.stderr.contains("tset"), "{}", ended.story());
}

#[test]
fn a_folder_is_run_and_sees_the_variables_that_were_given_and_no_others() {
    let Some((mut place, index)) = ready("a_folder_is_run_and_sees_the_variables", &[]) else {
        return;
    };
    let says = "import os\nprint('it sees', os.environ.get('SEEN'), os.environ.get('HOME'))\n";
    let folder = place.project(says);
    place.set("SEEN", "of the host");
    let target = folder.to_str().unwrap();
    place.run(&index, [target]).code(0);
    let log = place.ends(["log", "last", "import"]).code(0).stdout;
    assert!(log.contains("it sees None /home/dev"), "{log}");
    place.run(&index, ["--env", "SEEN=as given", target]).code(0);
    let log = place.ends(["log", "last", "import"]).code(0).stdout;
    assert!(log.contains("it sees as given /home/dev"), "{log}");
}

#[test]
fn files_of_this_machine_are_run_too() {
    let Some((place, index)) = ready("files_of_this_machine_are_run_too", &[]) else {
        return;
    };
    let paths = fixtures(&["unittest-passes"])[0].write_to(&place.work()).unwrap();
    for path in &paths {
        let object = place.run(&index, [path]).code(0).object();
        let is_wheel = path.extension().is_some_and(|e| e == "whl");
        assert_eq!(
            object["status"],
            if is_wheel { "load" } else { "pass" },
            "{object}"
        );
    }
    fs::write(place.work().join("no.txt"), "no").unwrap();
    place.run(&index, ["./no.txt"]).code(2);
    place.run(&index, ["./not-there-1.0-py3-none-any.whl"]).code(2);
}

#[test]
fn offline_asks_nobody_and_runs_what_is_cached() {
    let Some((place, index)) = ready(
        "offline_asks_nobody_and_runs_what_is_cached",
        &["no-tests", "writes-some-output"],
    ) else {
        return;
    };
    let ended = place.run(&index, ["--offline", "writes-some-output"]).code(5);
    assert_eq!(ended.object()["status"], "error", "{}", ended.story());
    place.run(&index, ["no-tests"]).code(0);
    let before = index.requests().len();
    let object = place.run(&index, ["--offline", "no-tests"]).code(0).object();
    assert_eq!(object["status"], "load");
    assert_eq!(index.requests().len(), before, "it asked the index");
}

#[test]
fn a_plan_is_repeated_without_being_resolved_again() {
    let Some((place, index)) = ready(
        "a_plan_is_repeated_without_being_resolved_again",
        &["sdist-only-dependency", "only-an-sdist"],
    ) else {
        return;
    };
    place
        .run(&index, ["--only", "wheel", "sdist-only-dependency"])
        .code(0);
    let plan = place.work().join("plan.toml");
    place
        .ends(["get", "last", "plan", "--output", plan.to_str().unwrap()])
        .code(0);
    let before = index.requests().len();
    let object = place
        .run(&index, ["--offline", "--plan", plan.to_str().unwrap()])
        .code(0)
        .object();
    assert_eq!(
        (&object["name"], &object["status"]),
        (&"sdist-only-dependency".into(), &"pass".into())
    );
    assert_eq!(index.requests().len(), before, "it asked the index");
    let lock = task(&object, "lock-runtime").unwrap();
    assert_eq!(lock["cpu_s"], 0.0, "it resolved again: {lock}");
    // somebody else, who has nothing of it yet, gets its files by the plan
    let Some(other) = Place::new("a_plan_is_repeated_without_being_resolved_again") else {
        return;
    };
    let object = other
        .run(&index, ["--plan", plan.to_str().unwrap()])
        .code(0)
        .object();
    assert_eq!(object["status"], "pass");
    fs::write(&plan, "no plan").unwrap();
    let ended = place.run(&index, ["--plan", plan.to_str().unwrap()]);
    assert!(
        [2, 5].contains(&ended.code) && ended.stderr.contains("plan"),
        "{}",
        ended.story()
    );
}

#[test]
fn each_interpreter_has_a_run_of_its_own() {
    let Some((place, index)) = ready("each_interpreter_has_a_run_of_its_own", &["no-tests"]) else {
        return;
    };
    let refused = place.ends(["run", "--python", "3.99", "no-tests"]).code(2).stderr;
    let mut there: Vec<&str> = ["3.8", "3.9", "3.10", "3.11", "3.12", "3.13", "3.14"]
        .into_iter()
        .filter(|version| refused.contains(&format!("{version}.")))
        .collect();
    if there.len() < 2 {
        support::skipped(
            "each_interpreter_has_a_run_of_its_own",
            &format!("one interpreter only: {refused}"),
        );
        return;
    }
    let two = there.split_off(there.len() - 2);
    let ended = place
        .run(
            &index,
            ["--only", "wheel", "-p", two[0], "-p", two[1], "no-tests"],
        )
        .code(0);
    let mut pythons: Vec<String> = ended
        .objects()
        .iter()
        .map(|o| o["python"].as_str().unwrap().to_owned())
        .collect();
    pythons.sort_by_key(|version| version.trim_start_matches("3.").parse::<u32>().unwrap());
    assert_eq!(pythons, two, "{}", ended.story());
}

#[test]
fn both_installers_install_the_same() {
    let Some((place, index)) = ready("both_installers_install_the_same", &["no-tests"]) else {
        return;
    };
    for installer in ["uv", "pip"] {
        let ended = place
            .run(&index, ["--only", "wheel", "--installer", installer, "no-tests"])
            .code(0);
        assert_eq!(ended.object()["status"], "load", "{}", ended.story());
    }
}

#[test]
fn limits_of_the_command_line_outrank_those_of_the_file() {
    let Some((place, index)) = ready(
        "limits_of_the_command_line_outrank_those_of_the_file",
        &["fills-some-memory", "sleeps-in-import"],
    ) else {
        return;
    };
    place.configure("memory = \"40M\"\n");
    let object = place
        .run(&index, ["--only", "wheel", "fills-some-memory"])
        // what it would have done next is not known
        .code(3)
        .object();
    assert_eq!(reasons(&object)[0], "memory_limit", "{object}");
    assert_eq!(object["verdict"], "inconclusive");
    place
        .run(&index, ["--only", "wheel", "--memory", "1G", "fills-some-memory"])
        .code(0);
    place.configure("time-out = 5\n");
    let ended = place
        .run(&index, ["--only", "wheel", "fills-some-memory"])
        .code(2);
    assert!(ended.stderr.contains("time-out"), "{}", ended.story());
}

#[test]
fn two_at_once_share_the_cache() {
    let Some((place, index)) = ready(
        "two_at_once_share_the_cache",
        &["dynamic-requires", "build-helper"],
    ) else {
        return;
    };
    std::thread::scope(|scope| {
        let both: Vec<_> = (0..2)
            .map(|_| scope.spawn(|| place.run(&index, ["dynamic-requires"])))
            .collect();
        for ended in both {
            let ended = ended.join().unwrap().code(0);
            assert_eq!(ended.object()["status"], "load", "{}", ended.story());
        }
    });
    assert_eq!(place.ends(["runs", "--json"]).code(0).objects().len(), 2);
    // what they left in the cache is whole
    let object = place
        .run(&index, ["--offline", "dynamic-requires"])
        .code(0)
        .object();
    assert_eq!(object["status"], "load");
}
