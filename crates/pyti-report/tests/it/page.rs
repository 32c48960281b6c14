//! The page keeps its promises: strict policy, no requests, small, readable without script.

use base64::Engine as _;
use pyti_judge::compare::compare;
use pyti_model::raw::{RawData, TestCounts, TestOutcome};
use pyti_report::{diff_html, html};
use sha2::{Digest as _, Sha256};

use crate::support::{Judged, case, contact, run, sdist, tests, wheel};

fn jobs() -> Vec<Judged> {
    let wheel = wheel().with("test", |task| {
        task.effects[0].contacts.push(contact("pkg.example.invalid"));
    });
    vec![wheel.judged(), sdist().judged()]
}

/// All tags outside of style and script, with their attributes.
fn tags(page: &str) -> Vec<&str> {
    let mut rest = page;
    let mut tags = Vec::new();
    while let Some(at) = rest.find('<') {
        rest = &rest[at..];
        let end = rest.find('>').map_or(rest.len(), |end| end + 1);
        let tag = &rest[..end];
        tags.push(tag);
        rest = &rest[end..];
        for name in ["style", "script"] {
            if tag.starts_with(&format!("<{name}")) {
                rest = &rest[rest.find(&format!("</{name}>")).unwrap_or(0)..];
            }
        }
    }
    tags
}

/// The text between the first `open` and the next `close`.
fn between<'a>(page: &'a str, open: &str, close: &str) -> &'a str {
    let (_, rest) = page.split_once(open).unwrap();
    rest.split_once(close).unwrap().0
}

pub(crate) fn keeps_its_promises(page: &str) {
    for tag in tags(page) {
        let names: String = tag.split('"').step_by(2).collect();
        for word in [
            " style=",
            " onclick",
            " onload",
            " onerror",
            " src=",
            " action=",
            "javascript:",
        ] {
            assert!(!names.contains(word), "{tag}");
        }
        if tag.contains(" href=") {
            assert!(tag.contains(" href=\"#"), "{tag}");
        }
        for name in ["<link", "<iframe", "<object", "<base", "<form"] {
            assert!(!tag.starts_with(name), "{tag}");
        }
    }
    assert!(!page.contains("@import") && !page.contains("url("));
    let policy = between(page, "Content-Security-Policy\" content=\"", "\"").replace("&#43;", "+");
    assert!(
        policy.contains("default-src") && !policy.contains("unsafe"),
        "{policy}"
    );
    for (open, close) in [("<style>", "</style>"), ("<script>", "</script>")] {
        let digest = Sha256::digest(between(page, open, close).as_bytes());
        let hash = base64::engine::general_purpose::STANDARD.encode(digest);
        assert!(policy.contains(&hash), "{policy} lacks {hash} of {open}");
    }
}

#[test]
fn pages_have_a_strict_policy_and_keep_to_it() {
    let jobs = jobs();
    keeps_its_promises(&html(&run(&jobs)));
    keeps_its_promises(&diff_html(&compare(
        &jobs,
        &jobs,
        pyti_judge::compare::Safe::default(),
    )));
}

#[test]
fn every_link_inside_the_page_has_its_target() {
    let jobs = jobs();
    every_link_has_its_target(&html(&run(&jobs)));
}

pub(crate) fn every_link_has_its_target(page: &str) {
    let mut ids: Vec<&str> = Vec::new();
    for tag in tags(page) {
        if let Some((_, rest)) = tag.split_once(" id=\"") {
            ids.push(rest.split_once('"').unwrap().0);
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all, "identifiers are unique");
    for tag in tags(page).iter().filter(|tag| tag.starts_with("<a ")) {
        let id = between(tag, "href=\"#", "\"");
        assert!(ids.binary_search(&id).is_ok(), "{id}");
    }
}

#[test]
fn a_median_page_is_small_and_says_what_matters_without_script() {
    let jobs = jobs();
    let page = html(&run(&jobs));
    assert!(page.len() < 300_000, "{} bytes", page.len());
    let texts = [
        "Works?",
        "Safe?",
        "not judged",
        "197 passed, 3 skipped",
        "test_six.py::test_196",
        "pkg.example.invalid",
        "no such name",
        "site-packages: 2 files added",
        "same files as the wheel",
        "<title>test: success",
        "lock-version",
        "tox.ini: no command that we know",
    ];
    for text in texts {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_long_list_of_tests_is_in_the_data_of_the_page() {
    let cases = (0..2000)
        .map(|n| case(&format!("test_many.py::test_{n}"), TestOutcome::Passed, ""))
        .collect();
    let data = tests(
        TestCounts {
            passed: 2000,
            ..TestCounts::default()
        },
        cases,
    );
    let jobs = [wheel()
        .with("test", |task| task.raw = Some(RawData::Test(Box::new(data))))
        .judged()];
    let page = html(&run(&jobs));
    let json = between(
        &page,
        "<script type=\"application/json\" id=\"data\">",
        "</script>",
    );
    let value: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(value["tests"][0].as_array().unwrap().len(), 1700);
    assert!(page.contains("1700 more tests"));
    assert!(page.len() < 300_000, "{} bytes", page.len());
}
