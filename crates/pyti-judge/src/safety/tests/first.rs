//! What every judgement keeps to.

use pyti_model::effect::Loss;
use pyti_model::outcome::Verdict;
use pyti_model::plan::Watch;
use pyti_model::trace::Origin;

use super::super::{RuleSet, judge_safety};
use super::world::World;

fn thief() -> World {
    World::of("import")
        .read("/home/dev/.aws/credentials")
        .asks("POST", "collector.example", "/x", "key")
}

#[test]
fn the_built_in_rules_can_be_read() {
    if let Err(errors) = RuleSet::load(RuleSet::built_in_files()) {
        panic!("{errors}");
    }
    assert!(!RuleSet::built_in().rules().is_empty());
}

#[test]
fn what_reads_a_decoy_and_then_sends_is_harmful_and_each_alone_is_not() {
    let judgement = thief().judge();
    assert_eq!(judgement.verdict, Verdict::Harmful);
    let finding = &judgement.findings[0];
    assert_eq!(finding.rule, "decoy-read-then-contact");
    assert_eq!(
        finding.sentence,
        "While it was imported, python read /home/dev/.aws/credentials and then contacted collector.example (nothing left the box)."
    );
    let places: Vec<String> = finding.events.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["5.0", "5.1"]);
    let other_way = World::of("import")
        .asks("POST", "collector.example", "/x", "key")
        .read("/home/dev/.aws/credentials");
    assert_ne!(other_way.judge().verdict, Verdict::Harmful);
    let common = World::of("import")
        .read("/home/dev/.netrc")
        .asks("GET", "files.example", "/x", "");
    assert_eq!(common.judge().verdict, Verdict::Clean);
}

#[test]
fn a_recording_that_nobody_watched_is_not_judged() {
    let mut world = thief();
    world.traced = false;
    world.plan.watch = Watch::Off;
    let judgement = world.judge();
    assert_eq!(judgement.verdict, Verdict::NotJudged);
    assert!(!judgement.rules.is_empty());
    // who was to be watched and was not has something to hide, or we have
    world.plan.watch = Watch::On;
    assert_eq!(world.judge().verdict, Verdict::Inconclusive);
}

#[test]
fn what_is_missing_makes_nothing_better_and_softens_nothing() {
    let quiet = World::of("import").read("/etc/hosts");
    assert_eq!(quiet.judge().verdict, Verdict::Clean);
    let mut lossy = quiet.clone();
    lossy.losses.push(Loss::Contacts { dropped: 3 });
    let judgement = lossy.judge();
    assert_eq!(judgement.verdict, Verdict::Inconclusive);
    assert_eq!(judgement.missing, ["3 contacts are not listed"]);
    let mut unfinished = quiet;
    unfinished.complete = false;
    assert_eq!(unfinished.judge().verdict, Verdict::Inconclusive);
    let mut thief = thief();
    thief.losses.push(Loss::Contacts { dropped: 3 });
    assert_eq!(thief.judge().verdict, Verdict::Harmful);
}

#[test]
fn first_rules_find_what_they_are_for() {
    let cases = [
        (
            "shell-startup-written",
            World::of("install").write("/home/dev/.bashrc"),
        ),
        (
            "downloaded-then-run",
            World::of("import")
                .asks("GET", "files.example", "/payload", "")
                .write("/tmp/payload")
                .spawn()
                .executes("/tmp/payload", "/tmp/payload", Origin::Written, &[]),
        ),
        (
            "reverse-shell",
            World::of("import").executes("/usr/bin/dash", "sh -i", Origin::System, &[0, 1, 2]),
        ),
        ("start-acts", World::of("start").spawn().runs("id")),
    ];
    for (rule, world) in cases {
        let (verdict, rules) = world.comes_to();
        assert!(rules.iter().any(|found| found == rule), "{rule}: {rules:?}");
        assert_eq!(verdict, Verdict::Harmful, "{rule}");
    }
}

#[test]
fn harmless_twins_are_left_alone() {
    for world in [
        World::of("install").read("/home/dev/.bashrc"),
        World::of("import").write("/tmp/payload").executes(
            "/usr/bin/cat",
            "cat /tmp/payload",
            Origin::System,
            &[],
        ),
        World::of("import").executes("/usr/bin/dash", "sh -c true", Origin::System, &[]),
        World::of("start").read("/etc/hosts"),
    ] {
        let judgement = judge_safety(&world.record(), RuleSet::built_in(), &[], None);
        assert_eq!(judgement.verdict, Verdict::Clean, "{:?}", judgement.findings);
    }
}
