//! Backup, restore, prune and check, while the store serves.

use std::fs;
use std::time::Duration;

use pyti_dispatch::JobStore as _;
use pyti_store::{Options, Problem, Retention, Store, StoreError};

use crate::support::{fill, new_job, with_results};

const NOW: Retention = Retention {
    long: Some(Duration::ZERO),
    short: Some(Duration::ZERO),
};

fn blob_of(store: &Store, n: i64) -> pyti_model::Digest {
    store.result(n).unwrap().unwrap().recording.unwrap().0
}

#[test]
fn a_backup_made_while_it_serves_is_whole() {
    let subject = with_results(30);
    let store = subject.get();
    let there = tempfile::tempdir().unwrap();
    let backup = std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            for n in 1000..1100 {
                store.submit(new_job(n)).unwrap();
            }
        });
        let backup = store.backup(&there.path().join("backup")).unwrap();
        writing.join().unwrap();
        backup
    });
    assert_eq!((backup.blobs, backup.copied, backup.unsound), (30, 30, 0));
    let again = store.backup(&there.path().join("backup")).unwrap();
    assert_eq!((again.blobs, again.copied), (30, 0));

    let new = there.path().join("data");
    let restored = Store::restore(&there.path().join("backup"), &new).unwrap();
    assert_eq!((restored.blobs, restored.unsound), (30, 0));
    assert!(matches!(
        Store::restore(&there.path().join("backup"), &new),
        Err(StoreError::Invalid(_))
    ));
    let copy = crate::support::open(&new, &Options::default());
    assert_eq!(copy.check(true).unwrap(), []);
    assert_eq!(copy.latest(None, 200).unwrap(), store.latest(None, 200).unwrap());
}

#[test]
fn a_damaged_blob_is_told_and_comes_back_from_a_backup() {
    let subject = with_results(3);
    let store = subject.get();
    let there = tempfile::tempdir().unwrap();
    store.backup(there.path()).unwrap();
    let (damaged, missing) = (blob_of(store, 1), blob_of(store, 2));
    let path = |digest: &pyti_model::Digest, root: &std::path::Path| {
        let (head, tail) = digest.as_str().split_at(2);
        root.join("blobs").join(head).join(tail)
    };
    fs::write(path(&damaged, subject.path()), b"recording of 9").unwrap();
    fs::remove_file(path(&missing, subject.path())).unwrap();
    assert_eq!(
        store.check(false).unwrap(),
        [Problem::MissingBlob(missing.clone())]
    );
    assert_eq!(
        store.check(true).unwrap(),
        [
            Problem::DamagedBlob(damaged.clone()),
            Problem::MissingBlob(missing.clone())
        ]
    );
    for blob in [&damaged, &missing] {
        fs::copy(path(blob, there.path()), path(blob, subject.path())).unwrap();
    }
    assert_eq!(store.check(true).unwrap(), []);
}

#[test]
fn pruning_takes_what_is_old_and_spares_the_rest() {
    let subject = with_results(6);
    let store = subject.get();
    let stray = store.blobs().put(b"nobody names this").unwrap();
    assert_eq!(store.prune(&NOW).unwrap().bytes, 0, "all of it is young");
    assert!(store.blobs().has(&stray));

    let pruned = store.prune_after(&NOW, Duration::ZERO).unwrap();
    // the other stray is the one that every store of these tests begins with
    assert_eq!((pruned.old, pruned.orphans), (3, 2));
    assert!(!store.blobs().has(&stray));
    for n in 1..=6 {
        let (blob, _, kept) = store.result(n).unwrap().unwrap().recording.unwrap();
        assert_eq!(
            (kept, store.blobs().has(&blob)),
            (n % 2 == 1, n % 2 == 1),
            "result {n}"
        );
    }
    assert_eq!(store.check(true).unwrap(), []);

    // what comes again is there again
    fill(store, 7, 8);
    assert_eq!(store.check(true).unwrap(), []);
}

#[test]
fn segments_of_leases_that_are_over_are_swept() {
    let subject = with_results(1);
    let store = subject.get();
    let who = crate::support::enrol(store, "w2", 1);
    store.submit(new_job(50)).unwrap();
    let open = crate::support::claim(store, &who, 1, 1)[0].lease;
    let stray = pyti_dispatch::Lease([7; 16]);
    let digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
        .parse()
        .unwrap();
    for lease in [open, stray] {
        let stream = crate::support::label("events");
        store.staging().put(lease, &stream, 0, &digest, b"x").unwrap();
    }
    assert_eq!(store.prune(&NOW).unwrap().segments, 0);
    assert_eq!(store.prune_after(&NOW, Duration::ZERO).unwrap().segments, 1);
    assert_eq!(
        store.staging().next_seq(open, &crate::support::label("events")),
        1
    );
    assert_eq!(
        store.staging().next_seq(stray, &crate::support::label("events")),
        0
    );
}
