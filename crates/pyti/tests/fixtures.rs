//! Every fixture ends as its manifest says, and leaves nothing behind.

mod support;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use pyti_fixtures::{Faults, Fixture, LocalIndex};
use serde_json::Value;
use support::{Ended, Place};

/// Runs at once: more than there are cores, because the hanging ones only wait.
const AT_ONCE: usize = 4;

/// Limits that end the hanging and the hungry within seconds.
const LIMITS: &str = "timeout = 20\ninactivity = 4\nmemory = \"512M\"\ndisk = \"64M\"\nprocesses = 48\n";

#[test]
fn every_fixture_ends_as_its_manifest_says() {
    let Some(place) = Place::new("every_fixture_ends_as_its_manifest_says") else {
        return;
    };
    place.configure(LIMITS);
    let all = pyti_fixtures::build_all().unwrap();
    let index = LocalIndex::start(all.clone(), Faults::none()).unwrap();
    let (index, wheels) = match support::tools::wheels() {
        Ok(folder) => (index.with_folder(&folder).unwrap(), true),
        Err(why) => {
            support::skipped("the fixtures that need setuptools or pytest", &why);
            (index, false)
        }
    };
    // PYTI_TEST_FIXTURES="a b" runs only these
    let only = std::env::var("PYTI_TEST_FIXTURES").ok();
    let only: Option<Vec<&str>> = only.as_deref().map(|text| text.split_whitespace().collect());
    let wanted: Vec<&Fixture> = all
        .iter()
        .filter(|fixture| wheels || fixture.expected.needs.is_empty())
        .filter(|fixture| support::has_services(&fixture.name, &fixture.expected.services))
        .filter(|fixture| {
            only.as_ref()
                .is_none_or(|only| only.contains(&fixture.name.as_str()))
        })
        .collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(fixture) = wanted.get(next.fetch_add(1, Ordering::SeqCst)) {
                    let began = Instant::now();
                    let ended = place.run(&index, [target(fixture)]);
                    let complaints = complaints(fixture, &ended);
                    if std::env::var_os("PYTI_TEST_FIXTURES").is_some() || !complaints.is_empty() {
                        let story = format!(
                            "## {} in {:.1} s: {}\n{}",
                            fixture.name,
                            began.elapsed().as_secs_f64(),
                            complaints.join("; "),
                            ended.story()
                        );
                        wrong.lock().unwrap().push((complaints.is_empty(), story));
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    let text: Vec<_> = wrong.iter().map(|(_, story)| story.as_str()).collect();
    assert!(
        wrong.iter().all(|(right, _)| *right),
        "{} are wrong:\n{}",
        wrong.len(),
        text.join("\n")
    );
}

/// Fixtures that work, and do what the rules call suspicious.
const ODD: &[&str] = &["leaves-survivor", "double-forks", "forks-a-few"];

/// What is asked for: a yanked release is taken only when it is pinned.
fn target(fixture: &Fixture) -> String {
    if fixture.yanked.is_some() {
        format!("{}=={}", fixture.name, fixture.version)
    } else {
        fixture.name.clone()
    }
}

/// Where a run differs from the manifest.
fn complaints(fixture: &Fixture, ended: &Ended) -> Vec<String> {
    let expected = &fixture.expected;
    let Ok(object) = serde_json::from_str::<Value>(ended.stdout.trim()) else {
        return vec!["no JSON object".to_owned()];
    };
    let mut wrong = Vec::new();
    if object["status"] != expected.status.word() {
        wrong.push(format!("status {} is not {}", object["status"], expected.status));
    }
    let found = support::reasons(&object);
    for reason in &expected.reasons {
        if !found.iter().any(|code| code == reason.word()) {
            wrong.push(format!("no reason {reason} among {found:?}"));
        }
    }
    if let (Some(blame), Some(first)) = (expected.blame, expected.reasons.first()) {
        let reasons = object["reasons"].as_array().into_iter().flatten();
        for reason in reasons.filter(|reason| reason["code"] == first.word()) {
            if reason["blame"] != blame.to_string() {
                wrong.push(format!(
                    "{first} is blamed on {}, not on {blame}",
                    reason["blame"]
                ));
            }
        }
    }
    if let Some(tests) = &expected.tests {
        let tests = serde_json::to_value(tests).unwrap();
        if object["tests"] != tests {
            wrong.push(format!("tests {} are not {tests}", object["tests"]));
        }
    }
    let verdict = object["verdict"].as_str().unwrap_or("");
    let bad = matches!(verdict, "suspicious" | "harmful" | "inconclusive");
    // what works and is not watched doing anything odd is not called odd
    if expected.status.is_good() && bad && !ODD.contains(&fixture.name.as_str()) {
        wrong.push(format!("verdict {verdict}"));
    }
    let code = match expected.status {
        _ if bad => 3,
        s if s.is_good() => 0,
        s if s.is_untestable() => 4,
        _ => 1,
    };
    if ended.code != code && !fixture.files.is_empty() {
        wrong.push(format!("exit code {}, not {code}", ended.code));
    }
    wrong
}
