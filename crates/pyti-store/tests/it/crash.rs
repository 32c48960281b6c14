//! The process is killed at random moments: what it acknowledged is there afterwards, whole.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use pyti_dispatch::{Answer, JobId, JobStore as _, LeaseAnswer, State};
use pyti_model::Digest;
use pyti_model::outcome::Status;
use pyti_store::{Class, Options, Put, Recording, Segment, Store};
use sha2::{Digest as _, Sha256};

use crate::support::{claim, completion, enrol, label, new_job, new_result, open};

const FOLDER: &str = "PYTI_STORE_TEST_FOLDER";
const ROUND: &str = "PYTI_STORE_TEST_ROUND";
/// Threads that bring work in the child.
const THREADS: u64 = 4;
/// How often it is killed.
const ROUNDS: u64 = 12;

/// The process that is killed; by itself it does nothing.
#[test]
fn the_process_that_is_killed() {
    let (Some(folder), Some(round)) = (std::env::var_os(FOLDER), std::env::var(ROUND).ok()) else {
        return;
    };
    let round: u64 = round.parse().unwrap();
    let store = open(Path::new(&folder), &Options::default());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = store.clone();
            scope.spawn(move || work(&store, round * THREADS + thread));
        }
    });
}

/// One write, so that a line is there whole or not at all.
fn say(line: &str) {
    std::io::stdout()
        .write_all(format!("@{line}\n").as_bytes())
        .unwrap();
}

fn work(store: &Store, number: u64) {
    let who = enrol(store, &format!("w{number}"), 1);
    let stream = label("events");
    for n in 1.. {
        let Answer::Submitted { job, .. } = store.submit(new_job(number * 100_000 + n)).unwrap() else {
            panic!("not submitted");
        };
        say(&format!("submitted {job}"));
        let Some(grant) = claim(store, &who, n, 1).pop() else {
            continue;
        };
        say(&format!("granted {} {} {}", grant.job, grant.epoch, grant.lease));
        let bytes = format!("recording {number} {n}").repeat(50).into_bytes();
        let digest: Digest = hex(&Sha256::digest(&bytes)).parse().unwrap();
        let put = store
            .staging()
            .put(grant.lease, &stream, 0, &digest, &bytes)
            .unwrap();
        assert_eq!(put, Put::New);
        let segment = Segment {
            stream: stream.clone(),
            seq: 0,
            digest,
        };
        assert!(
            store
                .staging()
                .missing(grant.lease, &[segment])
                .unwrap()
                .is_empty()
        );
        let (blob, size) = store.staging().seal(grant.lease, &stream, store.blobs()).unwrap();
        let mut result = new_result(1 + n % 40, Status::Pass);
        result.recording = Some(Recording {
            blob: blob.clone(),
            size,
            class: Class::Long,
        });
        let answer = store
            .complete(completion(&who, grant.lease), Some(result))
            .unwrap();
        assert_eq!(answer, Answer::Lease(LeaseAnswer::Ok));
        say(&format!("completed {} {blob}", grant.job));
        store.staging().forget(grant.lease).unwrap();
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[derive(Default)]
struct Said {
    submitted: Vec<u64>,
    granted: BTreeMap<u64, u64>,
    completed: BTreeMap<u64, Digest>,
}

impl Said {
    fn hear(&mut self, output: &str) {
        // the test's own name may stand before the first line
        for line in output.lines().filter_map(|l| l.split_once('@')).map(|(_, l)| l) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["submitted", job] => self.submitted.push(job.parse().unwrap()),
                ["granted", job, epoch, _] => {
                    self.granted.insert(job.parse().unwrap(), epoch.parse().unwrap());
                }
                ["completed", job, blob] => {
                    self.completed.insert(job.parse().unwrap(), blob.parse().unwrap());
                }
                _ => panic!("{line}"),
            }
        }
    }
}

#[test]
fn killed_at_any_moment_nothing_acknowledged_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = Said::default();
    let mut pause = 7_u64;
    for round in 1..=ROUNDS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "crash::the_process_that_is_killed",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let reader = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        pause = pause
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(60 + (pause >> 33) % 400));
        child.kill().unwrap();
        child.wait().unwrap();
        said.hear(&reader.join().unwrap());
        verify(folder.path(), &said);
    }
    assert!(
        said.completed.len() > 20,
        "too little happened: {}",
        said.completed.len()
    );
}

fn verify(folder: &Path, said: &Said) {
    let store = open(folder, &Options::default());
    for job in &said.submitted {
        assert!(store.job(JobId(*job)).unwrap().is_some(), "job {job} is lost");
    }
    for (job, epoch) in &said.granted {
        let known = store.job(JobId(*job)).unwrap().unwrap().epoch;
        assert!(known >= *epoch, "a grant of job {job} is lost");
    }
    for (job, blob) in &said.completed {
        assert_eq!(store.job(JobId(*job)).unwrap().unwrap().state, State::Done);
        let result = store.result_of(JobId(*job)).unwrap().unwrap();
        assert_eq!(result.recording.as_ref().map(|r| &r.0), Some(blob), "job {job}");
        assert_eq!(store.findings(result.id).unwrap().len(), 1);
        store.blobs().read(blob, 1 << 20).unwrap();
    }
    assert_eq!(store.check(true).unwrap(), []);
    drop(store);
    assert!(fs::exists(folder.join("pyti.db")).unwrap());
}
