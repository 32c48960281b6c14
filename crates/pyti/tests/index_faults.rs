//! An index that stalls, lies, fails or is cut off: each ends with a status of its own, and the same index without
//! the fault is as good as any.

mod support;

use std::time::{Duration, Instant};

use pyti_fixtures::{Fault, Faults, LocalIndex};
use support::{Ended, Place, fixtures, reasons};

const FOREVER: u32 = u32::MAX;

/// Runs one fixture with a patience of one second, from an index with these faults.
fn with(test: &str, faults: Faults, options: &[&str]) -> Option<(Ended, LocalIndex)> {
    let mut place = Place::new(test)?;
    place.set("PIP_DEFAULT_TIMEOUT", "1");
    place.set("PIP_RETRIES", "1");
    let index = LocalIndex::start(fixtures(&["no-tests", "plain-backend"]), faults).unwrap();
    let ended = place.run(
        &index,
        ["--only", "wheel"].iter().chain(options).chain(&["no-tests"]),
    );
    Some((ended, index))
}

#[track_caller]
fn expect(ended: &Ended, code: i32, status: &str, reason: &str) {
    let object = ended.object();
    assert_eq!(object["status"], status, "{}", ended.story());
    assert!(
        reasons(&object).iter().any(|r| r == reason),
        "{reason}: {}",
        ended.story()
    );
    assert_eq!(ended.code, code, "{}", ended.story());
}

#[test]
fn a_page_that_fails_for_good_is_our_error_and_once_is_not() {
    let page = "/simple/no-tests/";
    let Some((ended, index)) = with(
        "a page that fails",
        Faults::none().on(
            page,
            Fault::Status {
                code: 500,
                times: FOREVER,
            },
        ),
        &[],
    ) else {
        return;
    };
    expect(&ended, 5, "error", "download");
    assert!(ended.stdout.contains("500"), "{}", ended.story());
    assert!(index.count(page) >= 2, "it was not asked again");
    let once = Faults::none().on(page, Fault::Status { code: 503, times: 1 });
    let Some((ended, _)) = with("a page that fails once", once, &[]) else {
        return;
    };
    expect(&ended, 0, "load", "no_tests");
}

#[test]
fn an_index_that_stalls_ends_within_its_patience() {
    for fault in [Fault::Stall, Fault::Close] {
        let began = Instant::now();
        let faults = Faults::none().on("/simple/no-tests/", fault);
        let Some((ended, _)) = with("an index that stalls", faults, &[]) else {
            return;
        };
        expect(&ended, 5, "error", "download");
        assert!(
            began.elapsed() < Duration::from_secs(20),
            "{fault:?} took {:?}",
            began.elapsed()
        );
    }
}

#[test]
fn a_page_for_people_is_no_index_but_an_index_of_html_is() {
    let faults = Faults::none().on("/simple/no-tests/", Fault::Html);
    let Some((ended, _)) = with("a page for people", faults, &[]) else {
        return;
    };
    let object = ended.object();
    assert!(
        ["error", "broken"].contains(&object["status"].as_str().unwrap()),
        "{}",
        ended.story()
    );
    assert!([4, 5].contains(&ended.code), "{}", ended.story());
    let Some((ended, _)) = with("an index of HTML", Faults::none().on("", Fault::NoJson), &[]) else {
        return;
    };
    expect(&ended, 0, "load", "no_tests");
}

#[test]
fn another_byte_is_a_hash_mismatch() {
    let faults = Faults::none().on("/files/no_tests-1.0.0-py3-none-any.whl", Fault::WrongHash);
    let Some((ended, _)) = with("another byte", faults, &[]) else {
        return;
    };
    expect(&ended, 4, "broken", "hash_mismatch");
    assert_eq!(ended.object()["reasons"][0]["blame"], "environment");
    let Some((ended, _)) = with("the same bytes", Faults::none(), &[]) else {
        return;
    };
    expect(&ended, 0, "load", "no_tests");
}

#[test]
fn a_file_that_is_cut_off_is_a_failed_download() {
    let faults = Faults::none().on(
        "/files/no_tests-1.0.0-py3-none-any.whl",
        Fault::Truncate { after: 100 },
    );
    let Some((ended, _)) = with("a file that is cut off", faults, &[]) else {
        return;
    };
    expect(&ended, 5, "error", "download");
}

#[test]
fn a_page_and_metadata_without_end_are_capped() {
    let began = Instant::now();
    let faults = Faults::none().on("/simple/no-tests/", Fault::Huge { bytes: 4 << 30 });
    let Some((ended, _)) = with("a page without end", faults, &[]) else {
        return;
    };
    expect(&ended, 5, "error", "download");
    // metadata beside the file is a courtesy: the wheel has its own
    let faults = Faults::none().on(".whl.metadata", Fault::Huge { bytes: 4 << 30 });
    let Some((ended, _)) = with("metadata without end", faults, &[]) else {
        return;
    };
    expect(&ended, 0, "load", "no_tests");
    assert!(
        began.elapsed() < Duration::from_mins(1),
        "it took {:?}",
        began.elapsed()
    );
}

#[test]
fn poor_indexes_are_good_enough() {
    let faults = Faults::none()
        .on("", Fault::NoMetadata)
        .on("", Fault::NoRanges)
        .on("", Fault::NoEtag);
    let Some((ended, _)) = with("a poor index", faults, &[]) else {
        return;
    };
    expect(&ended, 0, "load", "no_tests");
}

#[test]
fn an_unknown_name_gets_near_ones() {
    let Some(place) = Place::new("an_unknown_name_gets_near_ones") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["no-tests", "plain-backend"]), Faults::none()).unwrap();
    place.run(&index, ["--only", "wheel", "no-tests"]).code(0);
    let ended = place.run(&index, ["no-test"]);
    expect(&ended, 4, "broken", "unknown_project");
    assert!(
        ended.stdout.contains("no-tests"),
        "no suggestion: {}",
        ended.story()
    );
    let ended = place.run(&index, ["nothing-is-like-this"]);
    expect(&ended, 4, "broken", "unknown_project");
    assert!(!ended.stdout.contains("there are"), "{}", ended.story());
    // for people it is said with what to do
    let ended = place.ends(["run", "--index-url", &index.url(), "no-test"]);
    assert!(ended.stderr.contains("pyti run no-tests"), "{}", ended.story());
    let ended = place.run(&index, ["no-tests==7"]);
    expect(&ended, 4, "broken", "unknown_project");
    assert!(
        ended.stdout.contains("1.0.0"),
        "it does not say what there is: {}",
        ended.story()
    );
}

#[test]
fn a_release_that_was_yanked_is_taken_only_when_it_is_pinned() {
    let Some(place) = Place::new("a yanked release") else {
        return;
    };
    let index = LocalIndex::start(fixtures(&["yanked-release", "plain-backend"]), Faults::none()).unwrap();
    let ended = place.run(&index, ["--only", "wheel", "yanked-release"]);
    expect(&ended, 4, "na", "yanked");
    let ended = place.run(&index, ["--only", "wheel", "yanked-release==1.0.0"]);
    expect(&ended, 0, "load", "yanked");
}
