//! The fixtures are what they say, and their archives are what `pyti-archive` finds in them.

use std::collections::BTreeSet;

use pyti_archive::{Limits, unpack, wheel};
use pyti_fixtures::{Fixture, build, build_all, names};
use pyti_model::outcome::{ReasonCode, Status};
use pyti_model::raw::Unpack;

fn unpacked(fixture: &Fixture) -> Unpack {
    let dir = tempfile::tempdir().unwrap();
    let (name, bytes) = fixture.file(".tar.gz").unwrap();
    std::fs::write(dir.path().join(name), bytes).unwrap();
    let report = unpack::unpack(
        &dir.path().join(name),
        &dir.path().join("src"),
        &Limits::default(),
    );
    let there: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(there.len(), 2, "{name} wrote outside");
    report
}

fn is_hostile_sdist(fixture: &Fixture) -> bool {
    fixture.expected.reasons.contains(&ReasonCode::BadArchive) && fixture.file(".tar.gz").is_some()
}

#[test]
fn fixtures_are_built_the_same_every_time() {
    for (first, second) in build_all().unwrap().into_iter().zip(build_all().unwrap()) {
        assert_eq!(first.files, second.files, "{}", first.name);
    }
}

#[test]
fn names_are_those_of_folders_and_files_are_named_after_them() {
    assert!(names().unwrap().len() > 60);
    for fixture in build_all().unwrap() {
        for (filename, _) in &fixture.files {
            let stem = format!("{}-{}", fixture.name.replace('-', "_"), fixture.version);
            assert!(filename.starts_with(&stem), "{filename}");
        }
        assert!(fixture.summary.ends_with('.'), "{}", fixture.name);
    }
}

#[test]
fn whatever_fails_has_a_twin_that_is_there_and_does_not_fail_that_way() {
    let all = build_all().unwrap();
    for fixture in &all {
        let Some(twin) = &fixture.expected.twin else {
            assert!(fixture.expected.status.is_good(), "{} wants a twin", fixture.name);
            continue;
        };
        let twin = all
            .iter()
            .find(|other| other.name == *twin)
            .unwrap_or_else(|| panic!("no {twin}"));
        if !fixture.expected.status.is_good() {
            let shared: Vec<_> = fixture
                .expected
                .reasons
                .iter()
                .filter(|reason| twin.expected.reasons.contains(reason))
                .collect();
            assert!(
                shared.is_empty(),
                "{} and its twin share {shared:?}",
                fixture.name
            );
        }
    }
}

#[test]
fn expectations_make_sense() {
    for fixture in build_all().unwrap() {
        let expected = &fixture.expected;
        let all_passed = expected.tests.is_some_and(|t| t.passed > 0 && t.failed == 0);
        match expected.status {
            Status::Pass => assert!(all_passed, "{}", fixture.name),
            // it ended before those had run that would have failed
            Status::Killed | Status::Crash => {}
            _ => assert!(!all_passed, "{}", fixture.name),
        }
        if !expected.status.is_good() {
            assert!(!expected.reasons.is_empty(), "{}", fixture.name);
        }
    }
}

#[test]
fn honest_archives_are_unpacked_whole() {
    for fixture in build_all().unwrap() {
        if fixture.file(".tar.gz").is_none() || is_hostile_sdist(&fixture) {
            continue;
        }
        let report = unpacked(&fixture);
        assert_eq!(report.fatal, None, "{}", fixture.name);
        let allowed = u64::from(fixture.name == "duplicate-names");
        assert_eq!(report.refused_total, allowed, "{}: {report:?}", fixture.name);
        assert!(report.files >= 2, "{}", fixture.name);
    }
}

#[test]
fn hostile_archives_are_refused_in_part_or_whole() {
    let mut seen = BTreeSet::new();
    for fixture in build_all()
        .unwrap()
        .iter()
        .filter(|fixture| is_hostile_sdist(fixture))
    {
        let report = unpacked(fixture);
        assert!(
            report.fatal.is_some() || report.refused_total > 0,
            "{}: {report:?}",
            fixture.name
        );
        assert!(
            fixture.files[0].1.len() < 1 << 20,
            "{} is not small",
            fixture.name
        );
        seen.insert(fixture.name.clone());
    }
    assert_eq!(seen.len(), 7, "{seen:?}");
    let case = unpacked(&build("case-tricks").unwrap());
    assert!(case.refused[0].why.contains("only in case"), "{case:?}");
}

#[test]
fn wheels_are_honest_unless_they_lie() {
    for fixture in build_all().unwrap() {
        let Some((name, bytes)) = fixture.file(".whl") else {
            continue;
        };
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), bytes).unwrap();
        let facts = wheel::read(&dir.path().join(name), &Limits::default());
        assert_eq!(facts.fatal, None, "{name}");
        assert_eq!(
            !facts.problems.is_empty(),
            fixture.name.starts_with("lying-"),
            "{name}: {:?}",
            facts.problems
        );
        assert_eq!(
            facts.executable_pth.is_empty(),
            fixture.name != "pth-runs-code",
            "{name}"
        );
        assert_eq!(facts.top_level, [fixture.name.replace('-', "_")], "{name}");
    }
}
