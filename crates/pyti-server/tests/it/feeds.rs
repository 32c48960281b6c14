//! Uploads become files and jobs, once each, whatever the feed does.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pyti_command::feed;
use pyti_command::method::Nothing;
use pyti_dispatch::{Job, JobStore as _, Priority, State};
use pyti_fixtures::{Fault, Faults, LocalIndex};
use pyti_index::Settings;
use pyti_store::{File, Store};

use crate::support::{Running, sha256};

/// A controller that follows an index.
fn following(folder: &Arc<tempfile::TempDir>, index: &LocalIndex, table: &str) -> Running {
    let settings = Settings {
        retries: 0,
        timeout: Duration::from_secs(2),
        ..Settings::only(index.url().parse().unwrap())
    };
    let table = format!("every_s = 1\nfolder_every_s = 1\n{table}");
    Running::of(Arc::clone(folder), Some(settings), |config| {
        config.feed = Some(toml::from_str(&table).unwrap());
    })
}

fn folder() -> Arc<tempfile::TempDir> {
    Arc::new(tempfile::tempdir().unwrap())
}

fn index(faults: Faults) -> LocalIndex {
    let index = LocalIndex::start(Vec::new(), faults).unwrap();
    // so that there is something to start from
    index.upload("before-1.0.tar.gz", b"before".to_vec()).unwrap();
    index
}

/// Waits until something holds.
fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_mins(1);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn started(running: &Running) {
    until("the start of the reader", || {
        running.controller.store().feed_cursor("index").unwrap()
    });
}

fn file(store: &Store, bytes: &[u8]) -> Option<File> {
    store.files(&sha256(bytes)).unwrap().into_iter().next()
}

fn stored(running: &Running, bytes: &[u8]) -> File {
    until("a stored file", || {
        file(running.controller.store(), bytes).filter(|file| file.captured.is_some())
    })
}

fn jobs(running: &Running, bytes: &[u8]) -> Vec<Job> {
    running
        .controller
        .store()
        .jobs_of_file(&sha256(bytes), 100)
        .unwrap()
}

fn queued(running: &Running, bytes: &[u8], count: usize) -> Vec<Job> {
    until("a job that can be taken", || {
        let jobs = jobs(running, bytes);
        (jobs.len() == count && jobs.iter().all(|job| job.state == State::Queued)).then_some(jobs)
    })
}

#[test]
fn an_upload_is_stored_and_queued_and_what_was_before_is_not() {
    let index = index(Faults::none());
    let running = following(&folder(), &index, "popular = ['alpha']");
    started(&running);
    index.upload("alpha-1.0.tar.gz", b"sdist".to_vec()).unwrap();
    let first = queued(&running, b"sdist", 1);
    assert_eq!(first[0].priority, Priority::NewProject);
    assert!(stored(&running, b"sdist").captured.is_some());
    index
        .upload("alpha-1.1-py3-none-any.whl", b"wheel".to_vec())
        .unwrap();
    assert_eq!(queued(&running, b"wheel", 1)[0].priority, Priority::Popular);
    // for another platform: kept, and no job is for it
    index
        .upload("alpha-1.1-cp313-cp313-win_amd64.whl", b"windows".to_vec())
        .unwrap();
    stored(&running, b"windows");
    assert!(jobs(&running, b"windows").is_empty());
    assert_eq!(file(running.controller.store(), b"before"), None);
    let status = running.local().ok::<feed::Status>(&Nothing {});
    assert_eq!(status.open, 0);
    assert_eq!(status.feeds[0].state, "following the changelog");
}

#[test]
fn an_sdist_after_its_wheel_makes_the_next_generation_only_when_the_first_was_begun() {
    let index = index(Faults::none());
    let running = following(&folder(), &index, "");
    started(&running);
    index
        .upload("alpha-1.0-py3-none-any.whl", b"one".to_vec())
        .unwrap();
    let waiting = queued(&running, b"one", 1);
    index.upload("alpha-1.0.tar.gz", b"its sdist".to_vec()).unwrap();
    queued(&running, b"its sdist", 1);
    // it had not been begun: it finds its tests by itself
    assert_eq!(jobs(&running, b"one"), waiting);

    index
        .upload("beta-1.0-py3-none-any.whl", b"two".to_vec())
        .unwrap();
    let job = queued(&running, b"two", 1).remove(0);
    running
        .controller
        .store()
        .send(pyti_dispatch::Message::Cancel { job: job.id })
        .unwrap();
    index.upload("beta-1.0.tar.gz", b"late sdist".to_vec()).unwrap();
    let both = until("the next generation", || {
        let jobs = jobs(&running, b"two");
        (jobs.len() == 2).then_some(jobs)
    });
    assert_eq!(
        both.iter().map(|job| job.key.generation).collect::<Vec<_>>(),
        [0, 1]
    );
}

#[test]
fn yanked_removed_and_quarantined_change_the_file_and_nothing_else() {
    let index = index(Faults::none());
    let running = following(&folder(), &index, "");
    started(&running);
    for (name, bytes) in [
        ("alpha-1.0.tar.gz", b"a"),
        ("beta-1.0.tar.gz", b"b"),
        ("gamma-1.0.tar.gz", b"c"),
    ] {
        index.upload(name, bytes.to_vec()).unwrap();
        queued(&running, bytes, 1);
    }
    let store = running.controller.store();
    index.yank("alpha", "1.0", "a mistake");
    until("the yank", || file(store, b"a").filter(|file| file.state.yanked));
    index.remove("beta-1.0.tar.gz");
    until("the removal", || {
        file(store, b"b").filter(|file| file.state.removed)
    });
    index.quarantine("gamma");
    let gamma = until("the quarantine", || {
        file(store, b"c").filter(|file| file.state.quarantined)
    });
    assert!(!gamma.state.removed);
    for bytes in [b"a", b"b", b"c"] {
        assert!(file(store, bytes).unwrap().captured.is_some(), "bytes are kept");
        assert_eq!(jobs(&running, bytes).len(), 1);
    }
}

#[test]
fn what_the_changelog_leaves_out_is_found_by_the_root() {
    let index = index(Faults::none().on("/pypi", Fault::Forgetful));
    let running = following(&folder(), &index, "compare_every_s = 1");
    started(&running);
    let uploads: Vec<(String, Vec<u8>)> = (0..7)
        .map(|n| (format!("p{n}-1.0.tar.gz"), format!("upload {n}").into_bytes()))
        .collect();
    for (name, bytes) in &uploads {
        index.upload(name, bytes.clone()).unwrap();
    }
    for (_, bytes) in &uploads {
        queued(&running, bytes, 1);
    }
}

#[test]
fn an_index_without_a_changelog_is_followed_by_its_root() {
    let index = index(Faults::none().on(
        "/pypi",
        Fault::Status {
            code: 405,
            times: u32::MAX,
        },
    ));
    let running = following(&folder(), &index, "");
    started(&running);
    index.upload("alpha-1.0.tar.gz", b"by the root".to_vec()).unwrap();
    queued(&running, b"by the root", 1);
    let status = running.local().ok::<feed::Status>(&Nothing {});
    assert_eq!(status.feeds[0].state, "no changelog: comparing the root");
}

#[test]
fn a_feed_that_is_no_feed_is_told_and_loses_nothing() {
    for fault in [
        Fault::Html,
        Fault::Status { code: 503, times: 3 },
        Fault::Backwards,
        Fault::Close,
    ] {
        let folder = folder();
        let well = index(Faults::none());
        let serial = {
            let running = following(&folder, &well, "compare_every_s = 0");
            started(&running);
            well.upload("alpha-1.0.tar.gz", b"while well".to_vec()).unwrap();
            queued(&running, b"while well", 1);
            running.controller.store().feed_cursor("index").unwrap()
        };
        let ill = index(Faults::none().on("/pypi", fault));
        let running = following(&folder, &ill, "compare_every_s = 0");
        let state = until("a word about it", || {
            let status = running.local().ok::<feed::Status>(&Nothing {});
            let state = status.feeds.first()?.state.clone();
            (state.contains("no answer") || state.contains("went back")).then_some(state)
        });
        let now = running.controller.store().feed_cursor("index").unwrap();
        assert_eq!(now, serial, "{fault:?} ({state}) moved the cursor");
        assert_eq!(jobs(&running, b"while well").len(), 1);
    }
}

#[test]
fn a_controller_that_was_away_finds_everything_once() {
    let folder = folder();
    let index = index(Faults::none());
    let running = following(&folder, &index, "");
    started(&running);
    index
        .upload("alpha-1.0.tar.gz", b"before it left".to_vec())
        .unwrap();
    queued(&running, b"before it left", 1);
    drop(running);
    for n in 0..20 {
        let bytes = format!("away {n}").into_bytes();
        index.upload(&format!("p{n}-1.0.tar.gz"), bytes).unwrap();
    }
    let running = following(&folder, &index, "");
    for n in 0..20 {
        queued(&running, format!("away {n}").as_bytes(), 1);
    }
    queued(&running, b"before it left", 1);
    assert_eq!(running.controller.store().upload_count().unwrap(), 0);
}

#[test]
fn only_what_is_wanted_is_taken() {
    let index = index(Faults::none());
    let running = following(
        &folder(),
        &index,
        "exclude = ['spam*']\nmax_file_bytes = 10\nsdists = false",
    );
    started(&running);
    index.upload("spam-1.0.tar.gz", b"spam".to_vec()).unwrap();
    index.upload("big-1.0-py3-none-any.whl", vec![0; 11]).unwrap();
    index.upload("other-1.0.tar.gz", b"kept".to_vec()).unwrap();
    index
        .upload("small-1.0-py3-none-any.whl", b"small".to_vec())
        .unwrap();
    queued(&running, b"small", 1);
    stored(&running, b"kept");
    assert!(jobs(&running, b"kept").is_empty());
    let store = running.controller.store();
    assert_eq!(file(store, b"spam"), None);
    assert_eq!(file(store, &[0; 11]), None);
}

#[test]
fn a_folder_is_watched() {
    let (data, incoming) = (folder(), tempfile::tempdir().unwrap());
    let place = |name: &str| -> std::path::PathBuf { Path::new(incoming.path()).join(name) };
    std::fs::write(place("alpha-1.0.tar.gz"), b"there before").unwrap();
    std::fs::write(place("notes.txt"), b"no distribution").unwrap();
    let table = format!("index = false\nfolder = {:?}", incoming.path());
    let index = index(Faults::none());
    let running = following(&data, &index, &table);
    let job = queued(&running, b"there before", 1).remove(0);
    assert_eq!(job.project, "alpha");
    // moved there as a whole, or copied: it is taken when it is all there
    let mut copy = std::fs::File::create(place("beta-1.0-py3-none-any.whl")).unwrap();
    std::io::Write::write_all(&mut copy, b"first half, ").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    std::io::Write::write_all(&mut copy, b"second half").unwrap();
    drop(copy);
    queued(&running, b"first half, second half", 1);
    assert_eq!(index.count("/pypi"), 0, "the index was not to be followed");
}

#[test]
fn a_configuration_that_cannot_be_meant_is_refused() {
    let data = tempfile::tempdir().unwrap();
    for (table, word) in [
        ("evry_s = 1", "evry_s"),
        ("include = ['[']", "include"),
        ("wheels = 'some'", "some"),
    ] {
        let mut config = pyti_server::ServeConfig::at(data.path().join("data"));
        config.feed = Some(toml::from_str(table).unwrap());
        let error = pyti_server::Controller::open(config, &crate::support::program(), None).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}
