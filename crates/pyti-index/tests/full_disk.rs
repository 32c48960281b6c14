//! A full disk: a clear error, nothing that was there is lost, nothing half-written stays, and with room again it goes on.
//! Each test runs itself again in namespaces of its own, where a tiny tmpfs is the disk.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;

use common::{Server, Upload, index, noise, wheel};
use pyti_index::{FileStore, IndexError};
use pyti_model::outcome::{Blame, ReasonCode};

const INSIDE: &str = "PYTI_TEST_SMALL_DISK";

/// The folder of the tiny disk, when this is the process inside; else runs the test inside, or says loudly why not.
fn small_disk(test: &str) -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os(INSIDE) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=512k,mode=0700 tmpfs \"$1\" || exit 77; shift; exec \"$@\"";
    let ended = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"])
        .arg(folder.path())
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, folder.path())
        .output();
    match ended {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let refused = output.status.code() == Some(77) || said.contains("unshare:");
            assert!(refused, "{}\n{said}", String::from_utf8_lossy(&output.stdout));
            eprintln!("SKIPPED: no tmpfs can be mounted in a namespace here: {said}");
        }
        Err(error) => eprintln!("SKIPPED: unshare cannot be started: {error}"),
    }
    None
}

/// Fills the disk to the last block.
fn fill(folder: &Path) -> PathBuf {
    let ballast = folder.join("ballast");
    let mut size = 512 << 10;
    while size > 0 {
        let whole = std::fs::read(&ballast).unwrap_or_default();
        if std::fs::write(&ballast, [whole, vec![1; size]].concat()).is_err() {
            size /= 2;
        }
    }
    ballast
}

fn half_written(folder: &Path) -> Vec<PathBuf> {
    let mut left = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.file_name().unwrap().to_string_lossy().starts_with('.') {
                left.push(path);
            }
        }
    }
    left
}

#[test]
fn a_store_on_a_full_disk_keeps_what_it_has() {
    let Some(disk) = small_disk("a_store_on_a_full_disk_keeps_what_it_has") else {
        return;
    };
    let store = FileStore::open(&disk.join("files")).unwrap();
    let small = noise(10_000);
    let (kept, path) = store.insert_bytes(&small, "small-1.0.tar.gz").unwrap();
    let big = disk
        .parent()
        .unwrap()
        .join(format!("pyti-test-big-{}", std::process::id()));
    std::fs::write(&big, noise(2 << 20)).unwrap();
    for error in [
        store.insert_bytes(&noise(2 << 20), "big-1.0.tar.gz").unwrap_err(),
        store.insert_file(&big, "big-1.0.tar.gz").unwrap_err(),
    ] {
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{error}");
    }
    std::fs::remove_file(big).unwrap();
    assert_eq!(store.get(&kept), Some(path.clone()));
    assert_eq!(std::fs::read(&path).unwrap(), small);
    assert_eq!(store.size().unwrap().files, 1);
    assert_eq!(half_written(&disk), Vec::<PathBuf>::new());
    // and so does one where not a byte is left
    let ballast = fill(&disk);
    assert_eq!(
        store.insert_bytes(b"more", "more-1.0.tar.gz").unwrap_err().kind(),
        std::io::ErrorKind::StorageFull
    );
    assert_eq!(std::fs::read(store.get(&kept).unwrap()).unwrap(), small);
    // with room again it goes on
    std::fs::remove_file(ballast).unwrap();
    let (more, _) = store.insert_bytes(b"more", "more-1.0.tar.gz").unwrap();
    assert!(store.get(&more).is_some());
    assert_eq!(half_written(&disk), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_to_a_full_disk_is_our_trouble_and_not_the_file_s() {
    let Some(disk) = small_disk("a_download_to_a_full_disk_is_our_trouble_and_not_the_file_s") else {
        return;
    };
    // a new network is not made: the server is on the loopback of the machine
    let server = Server::start().await;
    let big = Upload {
        bytes: noise(2 << 20).into(),
        ..wheel("a", "2.0", &[], 5)
    };
    server.project("a", &[wheel("a", "1.0", &[], 5), big]);
    let index = index(&server.url(), &disk);
    let project = index.project("a").await.unwrap();
    let (kept, path) = index.fetch(&project.files[0], &|_, _| ()).await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = index.fetch(&project.files[1], &|_, _| ()).await.unwrap_err();
    assert!(
        matches!(&error, IndexError::Storage { source, .. } if source.kind() == std::io::ErrorKind::StorageFull),
        "{error:?}"
    );
    let reason = error.reason();
    assert_eq!((reason.code, reason.blame), (ReasonCode::Storage, Blame::Us));
    // it is asked for once: trying again would not help
    assert_eq!(server.asked("a-2.0"), 1, "{:?}", server.log());
    assert_eq!(std::fs::read(index.store().get(&kept).unwrap()).unwrap(), before);
    assert_eq!(half_written(&disk), Vec::<PathBuf>::new());

    let ballast = fill(&disk);
    server.project("b", &[wheel("b", "1.0", &[], 5)]);
    // a page that cannot be cached is used all the same
    assert_eq!(index.project("b").await.unwrap().files.len(), 1);
    // what is cached is still there
    assert!(index.project("a").await.is_ok());
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(index.project("b").await.unwrap().files.len(), 1);
    assert_eq!(half_written(&disk), Vec::<PathBuf>::new());
}
