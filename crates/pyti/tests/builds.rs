//! The rules of building (15 to 18 of docs/resolution.md), through the real program.

mod support;
#[path = "support/world.rs"]
mod world;

use std::process::Command;

use pyti_model::outcome::{Blame, ReasonCode, Status, TaskResult};
use pyti_model::raw::RawData;
use support::skipped;
use world::{World, has_python, outside, write_wheel};

#[test]
fn rule_15_a_hook_that_fails_before_any_lock_is_the_build_s_failure_and_the_wheel_goes_on() {
    let Some(setuptools) = outside(&["setuptools==80.9.0"]) else {
        return;
    };
    if !has_python("3.13") {
        return;
    }
    let wheels = tempfile::tempdir().unwrap();
    write_wheel(wheels.path(), "use_2to3", "1.0.0", &[]);
    let Some(world) = World::new(
        "rule_15_a_hook_that_fails_before_any_lock_is_the_build_s_failure_and_the_wheel_goes_on",
        &["use-2to3"],
    ) else {
        return;
    };
    let world = world.with_folder(&setuptools).with_folder(wheels.path());
    let run = world.run(&["use-2to3", "--python", "3.13"]);
    assert_eq!(run.ended("sdist", "requires").result, TaskResult::Failure);
    let sdist = run.outcome("sdist");
    assert_eq!(sdist.status, Status::Fail, "{sdist:?}");
    assert_eq!(
        (sdist.reasons[0].code, sdist.reasons[0].blame),
        (ReasonCode::BuildUse2to3, Blame::Package)
    );
    // the wheel of the same release
    assert_eq!(run.ended("wheel", "import").result, TaskResult::Success);
    assert_eq!(run.status(), "load", "{}", run.summary);
}

#[test]
fn rule_16_each_hook_is_called_in_a_process_of_its_own() {
    let Some(world) = World::new(
        "rule_16_each_hook_is_called_in_a_process_of_its_own",
        &["dynamic-requires", "build-helper"],
    ) else {
        return;
    };
    let run = world.run(&["dynamic-requires"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let calls = |task: &str, hook: &str| {
        run.commands("", task)
            .iter()
            .filter(|line| line.contains(hook))
            .count()
    };
    assert_eq!(
        (
            calls("requires", "get_requires_for_build_wheel"),
            calls("requires", "build_wheel\\\"")
        ),
        (1, 0)
    );
    assert_eq!(
        (
            calls("build", "get_requires_for_build_wheel"),
            calls("build", "build_wheel")
        ),
        (0, 1)
    );
    let Some(RawData::Hook(hook)) = run.ended("", "requires").raw else {
        panic!("no hook")
    };
    assert_eq!(
        hook.requires
            .iter()
            .map(|r| r.lossy().into_owned())
            .collect::<Vec<_>>(),
        ["build-helper>=1"]
    );
    // what it asked for was locked for the build
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-build-2").raw else {
        panic!("no lock")
    };
    assert_eq!(locked.locked, [("build-helper".to_owned(), "1.0.0".to_owned())]);
}

#[test]
fn rule_17_a_legacy_sdist_is_built_with_the_newest_setuptools() {
    let Some(setuptools) = outside(&["setuptools==80.9.0", "setuptools==57.5.0", "wheel==0.45.1"]) else {
        return;
    };
    if !has_python("3.13") {
        return;
    }
    let Some(world) = World::new(
        "rule_17_a_legacy_sdist_is_built_with_the_newest_setuptools",
        &["legacy-setup", "use-2to3"],
    ) else {
        return;
    };
    let world = world.with_folder(&setuptools);
    let run = world.run(&["legacy-setup", "--python", "3.13"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-build").raw else {
        panic!("no lock")
    };
    assert!(
        locked.locked.contains(&("setuptools".into(), "80.9.0".into())),
        "{locked:?}"
    );
    // from 3.12 on there is no second attempt
    let run = world.run(&["use-2to3", "--python", "3.13"]);
    assert_eq!(run.status(), "fail", "{}", run.summary);
    assert!(run.reasons().contains(&"build.use_2to3"), "{}", run.summary);
}

#[test]
fn rule_17_before_3_12_there_is_a_second_attempt_with_an_older_setuptools() {
    let Some(setuptools) = outside(&["setuptools==80.9.0", "setuptools==57.5.0", "wheel==0.45.1"]) else {
        return;
    };
    if !has_python("3.11") {
        return;
    }
    let Some(world) = World::new(
        "rule_17_before_3_12_there_is_a_second_attempt_with_an_older_setuptools",
        &["legacy-setup", "use-2to3"],
    ) else {
        return;
    };
    let world = world.with_folder(&setuptools);
    let run = world.run(&["use-2to3", "--python", "3.11"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let build = run.ended("", "build");
    assert_eq!(build.result, TaskResult::Warnings, "{:?}", build.reasons);
    assert_eq!(
        build.chain,
        ["setuptools 57.5.0, because it fails with the newest"]
    );
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-build-2").raw else {
        panic!("no lock")
    };
    assert!(
        locked.locked.contains(&("setuptools".into(), "57.5.0".into())),
        "{locked:?}"
    );
    // the first attempt is enough for what does not need the second
    let run = world.run(&["legacy-setup", "--python", "3.11"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    assert_eq!(run.ended("", "build").result, TaskResult::Success);
}

#[test]
fn rule_18_a_build_that_silently_drops_an_extension_is_warned_of() {
    if Command::new("cc").arg("--version").output().is_err() {
        skipped("rule_18", "no C compiler on this machine");
        return;
    }
    let Some(world) = World::new(
        "rule_18_a_build_that_silently_drops_an_extension_is_warned_of",
        &["drops-extension", "builds-c-extension"],
    ) else {
        return;
    };
    let Some(world) = world.with_tools("rule_18_a_build_that_silently_drops_an_extension_is_warned_of")
    else {
        return;
    };
    let run = world.run(&["drops-extension"]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    assert!(
        run.reasons().contains(&"build.extension_dropped"),
        "{}",
        run.summary
    );
    let Some(RawData::Build(build)) = run.ended("", "build").raw else {
        panic!("no build")
    };
    assert!(
        build.compiler_calls.iter().any(|call| call.exit != 0),
        "{build:?}"
    );
    // an extension that compiles is no reason for a warning
    let run = world.run(&["builds-c-extension"]);
    assert!(
        !run.reasons().contains(&"build.extension_dropped"),
        "{}",
        run.summary
    );
    let Some(RawData::Build(build)) = run.ended("", "build").raw else {
        panic!("no build")
    };
    assert!(
        !build.compiler_calls.is_empty() && build.compiler_calls.iter().all(|call| call.exit == 0),
        "{build:?}"
    );
}
