//! Bits that flip, disks that are full, and two who want the same folder.

use std::fs;
use std::path::Path;
use std::process::Command;

use pyti_dispatch::{Answer, JobStore as _, Policy, State};
use pyti_model::outcome::Status;
use pyti_store::{Options, Problem, Store, StoreError};
use rusqlite::Connection;

use crate::support::{self, Sqlite, claim, completion, digest, enrol, new_job, new_result, with_results};

const FOLDER: &str = "PYTI_STORE_TEST_FULL";

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(path, Options::default())
}

/// Changes a stored value behind the store's back, and opens it again.
fn flip(subject: &mut Sqlite, sql: &str) -> Store {
    subject.close();
    let conn = Connection::open(subject.path().join("pyti.db")).unwrap();
    assert_eq!(conn.execute(sql, []).unwrap(), 1);
    drop(conn);
    support::open(subject.path(), &Options::default())
}

#[test]
fn a_flipped_bit_in_a_result_is_noticed_when_it_is_read() {
    let mut subject = with_results(3);
    let store = flip(
        &mut subject,
        "UPDATE result SET verdict = verdict + 1 WHERE id = 2",
    );
    let two = StoreError::Corrupt {
        table: "result",
        id: 2,
    }
    .to_string();
    assert_eq!(store.result(2).unwrap_err().to_string(), two);
    assert_eq!(store.latest(None, 10).unwrap_err().to_string(), two);
    assert!(store.result(1).unwrap().is_some() && store.result(3).unwrap().is_some());
    assert_eq!(
        store.check(false).unwrap(),
        [Problem::Row {
            table: "result",
            id: 2
        }]
    );
}

#[test]
fn a_flipped_bit_in_a_finding_is_noticed_when_it_is_read() {
    let mut subject = with_results(2);
    let store = flip(
        &mut subject,
        "UPDATE finding SET sentence = 'While being built, it read a decoz.' WHERE id = 1",
    );
    assert!(matches!(
        store.findings(1),
        Err(StoreError::Corrupt {
            table: "finding",
            id: 1
        })
    ));
    assert_eq!(store.findings(2).unwrap().len(), 1);
    assert_eq!(
        store.check(false).unwrap(),
        [Problem::Row {
            table: "finding",
            id: 1
        }]
    );
}

#[test]
fn two_controllers_on_one_folder_are_refused() {
    let mut subject = Sqlite::new(Policy::default());
    assert!(matches!(open(subject.path()), Err(StoreError::InUse(_))));
    subject.close();
    support::open(subject.path(), &Options::default());
}

#[test]
fn a_newer_database_is_refused_and_left_alone() {
    let mut subject = Sqlite::new(Policy::default());
    subject.close();
    let conn = Connection::open(subject.path().join("pyti.db")).unwrap();
    conn.pragma_update(None, "user_version", 99).unwrap();
    drop(conn);
    assert!(matches!(
        open(subject.path()),
        Err(StoreError::Newer { found: 99, .. })
    ));
}

#[test]
fn work_that_fails_half_way_did_not_happen_and_its_neighbours_did() {
    let subject = Sqlite::new(Policy::default());
    let store = subject.get();
    let who = enrol(store, "w1", 4);
    store.submit(new_job(1)).unwrap();
    let grant = claim(store, &who, 1, 1)[0];
    let mut bad = new_result(1, Status::Pass);
    bad.more = Some("x".repeat(5000));
    std::thread::scope(|scope| {
        let failing = scope.spawn(|| store.complete(completion(&who, grant.lease), Some(bad)));
        for n in 2..20 {
            store.submit(new_job(n)).unwrap();
        }
        assert!(matches!(failing.join().unwrap(), Err(StoreError::Invalid(_))));
    });
    assert_eq!(store.job(grant.job).unwrap().unwrap().state, State::Leased);
    assert!(store.result_of(grant.job).unwrap().is_none());
    let good = new_result(1, Status::Pass);
    store.complete(completion(&who, grant.lease), Some(good)).unwrap();
    assert_eq!(store.job(grant.job).unwrap().unwrap().state, State::Done);
}

/// Inside a small file system; by itself it does nothing.
#[test]
fn the_process_with_a_full_disk() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let folder = Path::new(&folder);
    fs::write(folder.join("ballast"), vec![1; 1 << 20]).unwrap();
    let store = open(&folder.join("data")).unwrap();
    let (mut jobs, mut n) = (Vec::new(), 0);
    let refused = loop {
        n += 1;
        assert!(n < 100_000, "the disk never became full");
        match store.submit(new_job(n)) {
            Ok(Answer::Submitted { job, .. }) => jobs.push(job),
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Full), "{refused}");
    let blob = (0..).find_map(|n: u32| store.blobs().put(&n.to_le_bytes().repeat(30_000)).err());
    assert!(matches!(blob, Some(StoreError::Full)), "{blob:?}");
    for job in &jobs {
        assert!(store.job(*job).unwrap().is_some(), "job {job} is lost");
    }
    assert!(matches!(store.submit(new_job(n)), Err(StoreError::Full)));
    // there is room again
    fs::remove_dir_all(folder.join("data/blobs")).unwrap();
    fs::create_dir(folder.join("data/blobs")).unwrap();
    fs::remove_file(folder.join("ballast")).unwrap();
    assert!(matches!(
        store.submit(new_job(n)),
        Ok(Answer::Submitted { new: true, .. })
    ));
    drop(store);
    let store = open(&folder.join("data")).unwrap();
    assert_eq!(store.check(true).unwrap(), []);
    for job in &jobs {
        assert!(store.job(*job).unwrap().is_some(), "job {job} is lost");
    }
    println!("@held {}", jobs.len());
}

#[test]
fn a_full_disk_is_told_reads_go_on_and_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=5m none \"$1\" && exec \"$2\" --exact damage::the_process_with_a_full_disk --nocapture";
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .env(FOLDER, folder.path())
        .output();
    let Ok(output) = output else {
        println!("SKIPPED: no program `unshare` here, so there is no small file system to fill");
        return;
    };
    let errors = String::from_utf8_lossy(&output.stderr);
    if errors.starts_with("unshare:") || errors.starts_with("mount:") {
        println!("SKIPPED: no small file system to fill: {errors}");
        return;
    }
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("@held"),
        "{text}\n{errors}"
    );
}

#[test]
fn a_blob_that_is_not_there_is_no_captured_file() {
    let subject = Sqlite::new(Policy::default());
    let info = crate::support::file(1);
    let no = subject.get().captured(&info, pyti_store::Class::Short);
    assert!(matches!(no, Err(StoreError::NoBlob(_))));
    let mut there = info;
    there.sha256 = subject.get().blobs().put(b"a file").unwrap();
    subject.get().captured(&there, pyti_store::Class::Short).unwrap();
    assert!(subject.get().files(&there.sha256).unwrap()[0].captured.is_some());
    assert!(subject.get().files(&digest(1)).unwrap().is_empty());
}
