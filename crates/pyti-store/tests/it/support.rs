//! Stores in temporary folders, and things to put into them.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pyti_dispatch::conformance::Subject;
use pyti_dispatch::{
    Answer, Completion, Grant, JobId, JobKey, JobStore as _, Label, Lease, Needs, NewJob, Offers, Policy,
    Priority, WorkerId,
};
use pyti_model::outcome::{Outcome, Status, Verdict};
use pyti_model::{Digest, FileKind};
use pyti_store::{Class, Clock, Env, FileInfo, NewFinding, NewResult, Options, Recording, Store, StoreError};

/// A store in a folder of its own, with a clock that stands.
pub(crate) struct Sqlite {
    store: Option<Store>,
    pub(crate) folder: tempfile::TempDir,
    clock: Arc<AtomicU64>,
    policy: Policy,
    recording: Digest,
}

impl Sqlite {
    pub(crate) fn new(policy: Policy) -> Self {
        let mut subject = Self {
            store: None,
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::default(),
            policy,
            recording: digest(0),
        };
        subject.open();
        subject.recording = subject.get().blobs().put(b"a recording").unwrap();
        subject
    }

    fn open(&mut self) {
        let options = Options {
            policy: self.policy.clone(),
            readers: 1,
            clock: Clock::Manual(Arc::clone(&self.clock)),
            ..Options::default()
        };
        self.store = Some(open(self.folder.path(), &options));
    }

    pub(crate) fn get(&self) -> &Store {
        self.store.as_ref().unwrap()
    }

    pub(crate) fn close(&mut self) {
        self.store = None;
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

impl Subject for Sqlite {
    type Store = Store;

    fn store(&self) -> &Store {
        self.get()
    }
    fn pass(&mut self, ms: u64) {
        self.clock.fetch_add(ms, Ordering::SeqCst);
    }
    fn restart(&mut self) {
        self.close();
        self.open();
    }
    fn record(&self) -> NewResult {
        let mut result = new_result(1, Status::Pass);
        result.recording = Some(Recording {
            blob: self.recording.clone(),
            size: 11,
            class: Class::Short,
        });
        result
    }
    fn left_behind(&self, job: JobId) -> usize {
        usize::from(self.get().result_of(job).unwrap().is_some())
    }
}

/// Opens a folder. A test that starts a program beside us may hold a copy of the lock for a moment.
pub(crate) fn open(folder: &Path, options: &Options) -> Store {
    for _ in 0..200 {
        match Store::open(folder, options.clone()) {
            Err(StoreError::InUse(_)) => std::thread::sleep(Duration::from_millis(20)),
            other => return other.unwrap(),
        }
    }
    panic!("{} stays in use", folder.display());
}

pub(crate) fn digest(n: u64) -> Digest {
    format!("{n:064x}").parse().unwrap()
}

pub(crate) fn label(text: &str) -> Label {
    text.parse().unwrap()
}

pub(crate) fn file(n: u64) -> FileInfo {
    FileInfo {
        project: format!("project-{}", n / 4),
        version: format!("1.{}", n % 4),
        sort_key: vec![1, u8::try_from(n % 4).unwrap()],
        name: format!("project_{}-1.{}.tar.gz", n / 4, n % 4),
        sha256: digest(n),
        size: 1000 + n,
        kind: FileKind::Sdist,
        uploaded_ms: 1_700_000_000_000 + n,
    }
}

pub(crate) fn new_result(n: u64, status: Status) -> NewResult {
    NewResult {
        file: file(n),
        env: Env {
            platform: "linux/x86_64".to_owned(),
            interpreter: "cpython-3.12".to_owned(),
            isolation: "sandbox".to_owned(),
            options: String::new(),
        },
        finished_ms: 1_700_000_000_000 + n * 60_000,
        outcome: Outcome {
            status,
            reasons: Vec::new(),
        },
        verdict: Verdict::Notable,
        blame: None,
        cost_ms: 1234,
        passed: 10,
        failed: 1,
        recording: None,
        baseline: None,
        more: Some(r#"{"a":1}"#.to_owned()),
        findings: vec![NewFinding {
            rule: "reads-decoy".to_owned(),
            severity: 2,
            state: 1,
            sentence: "While being built, it read a decoy.".to_owned(),
            events: vec![1, 2, 3],
        }],
    }
}

pub(crate) fn new_job(n: u64) -> NewJob {
    NewJob {
        key: JobKey {
            file: digest(n),
            spec: digest(0),
            generation: 0,
        },
        project: format!("project-{}", n / 4),
        needs: Needs {
            platform: label("linux/x86_64"),
            interpreter: label("cpython-3.12"),
            isolation: label("sandbox"),
            memory_mib: 1024,
        },
        priority: Priority::Release,
        captured: true,
    }
}

pub(crate) fn enrol(store: &Store, name: &str, slots: u16) -> WorkerId {
    let who: WorkerId = name.parse().unwrap();
    let offers = Offers {
        platform: label("linux/x86_64"),
        interpreters: [label("cpython-3.12")].into(),
        isolations: [label("sandbox")].into(),
        memory_mib: 4096,
        slots,
    };
    store.enrol(who.clone(), offers.clone(), true).unwrap();
    store.hello(who.clone(), 1, offers).unwrap();
    who
}

pub(crate) fn claim(store: &Store, who: &WorkerId, request: u64, slots: u16) -> Vec<Grant> {
    match store.claim(who, 1, request, slots).unwrap() {
        Answer::Granted { grants, .. } => grants,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn completion(who: &WorkerId, lease: Lease) -> Completion {
    Completion {
        worker: who.clone(),
        lease,
        blame: None,
        missing: Vec::new(),
    }
}

/// A store with results of the files 1 to `n`.
pub(crate) fn with_results(n: u64) -> Sqlite {
    let subject = Sqlite::new(Policy::default());
    fill(subject.get(), 1, n);
    subject
}

/// Results of the files `from` to `to`, by a worker `filler`.
pub(crate) fn fill(store: &Store, from: u64, to: u64) {
    let who = enrol(store, "filler", 64);
    for n in from..=to {
        store.submit(new_job(n)).unwrap();
        let grant = claim(store, &who, n, 1)[0];
        let mut result = new_result(n, if n % 3 == 0 { Status::Fail } else { Status::Pass });
        let bytes = format!("recording of {n}").into_bytes();
        result.recording = Some(Recording {
            blob: store.blobs().put(&bytes).unwrap(),
            size: bytes.len() as u64,
            class: if n % 2 == 0 { Class::Short } else { Class::Forever },
        });
        store
            .complete(completion(&who, grant.lease), Some(result))
            .unwrap();
    }
}
