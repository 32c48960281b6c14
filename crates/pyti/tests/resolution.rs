//! The rules of locking and installing (10 to 13 of docs/resolution.md) that need boxes, and what is said when there is no
//! lock. Everything runs through the real program, over a local index.

mod support;
#[path = "support/world.rs"]
mod world;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use pyti_fixtures::{Fault, Faults, LocalIndex};
use pyti_model::event::Event;
use pyti_model::outcome::TaskResult;
use pyti_model::raw::RawData;
use serde_json::Value;
use support::{Place, fixtures, skipped};
use world::{Run, World, write_project, write_wheel};

#[test]
fn rule_10_the_tests_keep_the_runtime_s_versions() {
    let (wheels, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_wheel(wheels.path(), "helper", "1.0", &[]);
    write_wheel(wheels.path(), "helper", "2.0", &[]);
    let Some(world) = World::new(
        "rule_10_the_tests_keep_the_runtime_s_versions",
        &["plain-backend"],
    ) else {
        return;
    };
    let Some(world) = world.with_tools("rule_10_the_tests_keep_the_runtime_s_versions") else {
        return;
    };
    let world = world.with_folder(wheels.path());
    write_project(project.path(), "helper");
    let run = world.run(&[project.path().to_str().unwrap()]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    assert!(!run.reasons().contains(&"test_env_differs"), "{}", run.summary);
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-test").raw else {
        panic!("no lock")
    };
    assert!(
        locked.locked.contains(&("helper".into(), "2.0".into())),
        "{locked:?}"
    );
}

#[test]
fn rule_10_tests_that_exclude_the_runtime_s_versions_are_locked_again_and_that_is_said() {
    let (wheels, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_wheel(wheels.path(), "helper", "1.0", &[]);
    write_wheel(wheels.path(), "helper", "2.0", &[]);
    let Some(world) = World::new(
        "rule_10_tests_that_exclude_the_runtime_s_versions_are_locked_again_and_that_is_said",
        &["plain-backend"],
    ) else {
        return;
    };
    let Some(world) = world
        .with_tools("rule_10_tests_that_exclude_the_runtime_s_versions_are_locked_again_and_that_is_said")
    else {
        return;
    };
    let world = world.with_folder(wheels.path());
    write_project(project.path(), "helper<2");
    let run = world.run(&[project.path().to_str().unwrap()]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    assert!(run.reasons().contains(&"test_env_differs"), "{}", run.summary);
    let Some(RawData::Resolve(runtime)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert!(
        runtime.locked.contains(&("helper".into(), "2.0".into())),
        "{runtime:?}"
    );
    let Some(RawData::Resolve(test)) = run.ended("", "lock-test").raw else {
        panic!("no lock")
    };
    assert!(test.locked.contains(&("helper".into(), "1.0".into())), "{test:?}");
}

#[test]
fn rule_11_a_dependency_that_is_only_an_sdist_is_built_once_and_named_in_the_box_lock() {
    let Some(world) = World::new(
        "rule_11_a_dependency_that_is_only_an_sdist_is_built_once_and_named_in_the_box_lock",
        &[
            "sdist-only-dependency",
            "only-an-sdist",
            "plain-backend",
            "pure-passes",
        ],
    ) else {
        return;
    };
    let Some(world) = world
        .with_tools("rule_11_a_dependency_that_is_only_an_sdist_is_built_once_and_named_in_the_box_lock")
    else {
        return;
    };
    let run = world.run(&["sdist-only-dependency", "--only", "wheel"]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    let lock = run
        .events("")
        .iter()
        .find_map(|envelope| match &envelope.event {
            Event::Locked {
                purpose: pyti_model::plan::Purpose::Runtime,
                lock,
            } => Some(lock),
            _ => None,
        })
        .unwrap();
    assert!(
        lock.index_lock
            .contains("only_an_sdist-1.0.0-0sdist-py30-none-any.whl"),
        "{}",
        lock.index_lock
    );
    let sdist = fixtures(&["only-an-sdist"])[0].file(".tar.gz").unwrap().1.clone();
    let sha256 = digest(&sdist);
    let wheels = pyti_resolve::lock::parse_box_lock(&lock.box_lock).unwrap();
    let built = wheels.iter().find(|wheel| wheel.name == "only-an-sdist").unwrap();
    assert_eq!(
        built.built_from.as_ref().map(pyti_model::Digest::as_str),
        Some(sha256.as_str())
    );
    assert_eq!(built.filename, "only_an_sdist-1.0.0-py3-none-any.whl");
    assert_ne!(built.sha256.as_str(), sha256);
    let Some(RawData::Resolve(first)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert_eq!(first.built, 1, "{first:?}");
    // built once
    let again = world.run(&["sdist-only-dependency", "--only", "wheel"]);
    let Some(RawData::Resolve(second)) = again.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert_eq!((second.built, again.status()), (0, "pass"), "{second:?}");
}

fn digest(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = pyti_index::FileStore::open(folder.path()).unwrap();
    store.insert_bytes(bytes, "file").unwrap().0.as_str().to_owned()
}

#[test]
fn rule_12_an_environment_is_made_once_with_its_byte_code() {
    let (wheels, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_wheel(wheels.path(), "helper", "2.0", &[]);
    let Some(world) = World::new(
        "rule_12_an_environment_is_made_once_with_its_byte_code",
        &["plain-backend"],
    ) else {
        return;
    };
    let Some(world) = world.with_tools("rule_12_an_environment_is_made_once_with_its_byte_code") else {
        return;
    };
    let world = world.with_folder(wheels.path());
    write_project(project.path(), "helper");
    let cached = |run: &Run| match run.ended("", "env-runtime").raw {
        Some(RawData::Provide(provide)) => (provide.cached, provide.environment.clone(), provide.packages),
        other => panic!("{other:?}"),
    };
    let first = world.run(&[project.path().to_str().unwrap()]);
    let second = world.run(&[project.path().to_str().unwrap()]);
    let ((was, one, packages), (is, two, _)) = (cached(&first), cached(&second));
    assert_eq!((was, is, packages), (false, true, 1));
    assert_eq!(one, two);
    assert_eq!(second.commands("", "env-runtime"), [""; 0]);
    // the dependency's byte code is in the layer below, so no task writes it again
    for run in [&first, &second] {
        for task in ["import", "test"] {
            let rewritten = run.events("").iter().any(|envelope| match &envelope.event {
                Event::Changed { task: of, changes } if of == task => changes
                    .iter()
                    .any(|change| change.path.lossy().contains("__pycache__/helper.")),
                _ => false,
            });
            assert!(!rewritten, "{task}");
        }
    }
    let mut folders = vec![world.place.path().join("cache")];
    let mut byte_code = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().to_string_lossy().contains("/__pycache__/helper.") {
                byte_code += 1;
            }
        }
    }
    assert!(byte_code >= 1, "no byte code in the cached environment");
}

#[test]
fn rule_13_what_the_installer_adds_is_not_the_package_s_doing() {
    let Some(world) = World::new(
        "rule_13_what_the_installer_adds_is_not_the_package_s_doing",
        &["build-helper"],
    ) else {
        return;
    };
    let run = world.run(&["build-helper", "--only", "wheel"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let Some(RawData::Install(install)) = run.ended("", "install").raw else {
        panic!("no install")
    };
    let told = serde_json::to_string(install).unwrap();
    assert!(
        !told.contains("uv_cache.json") && !told.contains("REQUESTED"),
        "{told}"
    );
    assert!(install.outside.is_empty(), "{told}");
    // the module, METADATA, WHEEL and RECORD
    assert_eq!(run.ended("", "install").result, TaskResult::Success);
}

#[test]
fn a_requirement_that_nobody_meets_is_named_in_one_sentence_with_uv_s_words() {
    let Some(world) = World::new(
        "a_requirement_that_nobody_meets_is_named_in_one_sentence_with_uv_s_words",
        &["unresolvable", "build-helper", "plain-backend"],
    ) else {
        return;
    };
    let run = world.run(&["unresolvable", "--only", "wheel"]);
    assert_eq!(run.status(), "broken", "{}", run.summary);
    let reason = run.summary["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["code"] == "unresolvable")
        .unwrap();
    assert!(
        reason["detail"]
            .as_str()
            .unwrap()
            .contains("nobody-has-this-project"),
        "{reason}"
    );
    let Some(RawData::Resolve(raw)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    let words = raw.explanation.as_ref().unwrap().lossy().into_owned();
    assert!(words.contains("nobody-has-this-project was not found"), "{words}");
    // a person sees both
    let report = world.place.ends(["report", "last"]);
    let text = report.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("the index has no project nobody-has-this-project"),
        "{text}"
    );
    assert!(text.contains("was not found in the package registry"), "{text}");
}

#[test]
fn an_index_that_fails_halfway_is_no_finding_about_the_distribution() {
    let Some(place) = Place::new("an_index_that_fails_halfway_is_no_finding_about_the_distribution") else {
        return;
    };
    let names = ["sdist-only-dependency", "only-an-sdist", "plain-backend"];
    let faults = Faults::none().on(
        "/simple/only-an-sdist/",
        Fault::Status {
            code: 500,
            times: 1000,
        },
    );
    let world = World {
        place,
        index: LocalIndex::start(fixtures(&names), faults).unwrap(),
    };
    let run = world.run(&["sdist-only-dependency", "--only", "wheel"]);
    assert_eq!(run.status(), "error", "{}", run.summary);
    assert_eq!(run.reasons(), ["download"], "{}", run.summary);
    let Some(RawData::Resolve(raw)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert!(
        raw.left_out
            .iter()
            .any(|line| line.starts_with("only-an-sdist: ")),
        "{raw:?}"
    );
}

/// Runs `pyti` in a mount namespace where its caches lie on a disk of that size; the exit code and the objects.
fn run_on_small_disk(world: &World, size: &str, arguments: &[&str]) -> Option<(i32, Value)> {
    let cache = world.place.path().join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let command = world.place.pyti(support::run_arguments(&world.index, arguments));
    let script = "mount -t tmpfs -o size=$1,mode=0700 tmpfs \"$2\" || exit 77; shift 2; exec \"$@\"";
    let mut wrapped = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        wrapped.args(["--user", "--map-root-user"]);
    }
    wrapped
        .args(["--mount", "sh", "-c", script, "sh", size])
        .arg(&cache);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
        .current_dir(world.place.work())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = support::leftovers::spawn(&mut wrapped);
    let ended = world.place.wait(child, arguments);
    if ended.code == 77 || ended.stderr.contains("unshare:") {
        skipped(
            "a full disk",
            &format!("no tmpfs can be mounted in a namespace here: {}", ended.stderr),
        );
        return None;
    }
    Some((ended.code, ended.object()))
}

#[test]
fn a_full_disk_is_our_trouble_and_with_room_it_goes_on() {
    let what = "a_full_disk_is_our_trouble_and_with_room_it_goes_on";
    let Some(world) = World::new(what, &["sdist-only-dependency", "only-an-sdist", "plain-backend"]) else {
        return;
    };
    // pytest and what it needs do not fit: the wheel itself and its dependency do
    let Some(world) = world.with_tools(what) else {
        return;
    };
    let arguments = ["sdist-only-dependency", "--only", "wheel"];
    let Some((_, object)) = run_on_small_disk(&world, "160k", &arguments) else {
        return;
    };
    let told = object["reasons"].as_array().unwrap();
    assert!(
        told.iter()
            .any(|reason| reason["code"] == "storage" && reason["blame"] == "us"),
        "{object}"
    );
    // nothing is said of the distribution
    assert!(told.iter().all(|reason| reason["blame"] == "us"), "{object}");
    // the recording is whole, and the twin with room passes
    let folder = PathBuf::from(object["recording"].as_str().unwrap());
    assert!(std::fs::read_dir(folder).unwrap().count() > 0);
    let Some((code, object)) = run_on_small_disk(&world, "64m", &arguments) else {
        return;
    };
    assert_eq!((code, object["status"].as_str()), (0, Some("pass")), "{object}");
}
