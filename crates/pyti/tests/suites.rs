//! Test suites that are not run at the first attempt, and those that would rather not be run.

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use pyti_fixtures::{Faults, LocalIndex};
use pyti_model::event::{Envelope, Event};
use pyti_model::raw::{AttemptResult, AttemptUse, RawData, Runner, Sources, Test};
use support::Place;

/// A place and an index with these fixtures and no pytest.
fn served(test: &str, names: &[&str]) -> Option<(Place, LocalIndex)> {
    let place = Place::new(test)?;
    let index = support::served(test, names, Faults::none())?;
    Some((place, index))
}

/// What the tests of the last run came to.
fn tests(place: &Place, run: &str) -> Test {
    let file = place.folder().join("recording");
    place
        .ends(["get", run, "recording", "--job", "wheel", "-o", file.to_str().unwrap()])
        .code(0);
    let events: Vec<Envelope> = pyti_worker::recording::read(&file).unwrap();
    events
        .into_iter()
        .find_map(|envelope| match envelope.event {
            Event::Ended {
                raw: Some(RawData::Test(test)),
                ..
            } => Some(*test),
            _ => None,
        })
        .unwrap()
}
