//! What a delivery came to: the controller judges the recording itself, and takes no worker's word for it.
//!
//! Recordings hold what packages did and said, so they are read in a child that can touch nothing ([`child`]). What the child
//! says is compared with the order ([`accept`]): a recording of another file, another interpreter or other options, one that
//! is cut off, and one that cannot be read are ours or the worker's fault, and no result.

mod accept;
mod child;

use std::io::{self, Read, Write as _};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use pyti_command::order::Spec;
use pyti_command::raw::StreamName;
use pyti_dispatch::Lease;
use pyti_model::Digest;
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_store::{Class, Env, FileInfo, NewFinding, NewResult, Recording, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

pub use child::{VERB, main};

/// Most bytes of what the child says.
const ANSWER_BYTES: u64 = 4 << 20;
/// How long the child may take.
const TIME: Duration = Duration::from_mins(2);
/// Most bytes of the rules that replace the built-in ones.
const RULES_BYTES: u64 = 4 << 20;

/// What a recording came to, as the child says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// Works?
    pub outcome: Outcome,
    /// Safe?
    pub verdict: Verdict,
    /// What was found, heaviest first.
    pub findings: Vec<Found>,
    /// Why the verdict cannot be better than inconclusive.
    pub missing: Vec<String>,
    /// Digest of the rules.
    pub rules: String,
    /// The file that it is about.
    pub file: Option<Digest>,
    /// What was planned; none where nothing ran.
    pub plan: Option<Planned>,
    /// Whether the last event was there.
    pub complete: bool,
    /// Whether somebody interrupted it.
    pub interrupted: bool,
    /// Processor seconds of all tasks.
    pub cpu_s: f64,
    /// Seconds from the first event to the last.
    pub wall_s: f64,
    /// Tests that passed, and that did not.
    pub tests: (u32, u32),
    /// Version of the program that recorded.
    pub pyti: String,
}

/// A finding, as the child says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// The rule.
    pub rule: String,
    /// How bad, 0 to 4.
    pub severity: u8,
    /// 0 shadow, 1 active, 2 retired.
    pub state: u8,
    /// The sentence for people.
    pub sentence: String,
    /// Numbers of events in the recording.
    pub events: Vec<u64>,
}

/// What of a plan is compared with the order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// `cpython-3.13`
    pub interpreter: String,
    /// `sandbox`
    pub isolation: String,
    /// Whether the tests were to be run.
    pub run_tests: bool,
    /// Whether it was watched.
    pub watched: bool,
    /// Extras.
    pub extras: Vec<String>,
    /// Tasks that were left out.
    pub skip: Vec<String>,
    /// Variables for the package's own commands.
    pub env: std::collections::BTreeMap<String, String>,
    /// Hosts that could be spoken with.
    pub allow: Vec<String>,
}

/// What is kept beside a result, for its page.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct More {
    /// What the first reason is about. Foreign text: made visible, and cut.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The task that met it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// The recording of an empty package that was subtracted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Digest>,
    /// Why the verdict cannot be better than inconclusive, the first of it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Seconds from the first event to the last.
    #[serde(default)]
    pub wall_s: f64,
    /// Who did it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub worker: String,
    /// Digest of the rules, its beginning.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rules: String,
}

/// Who judges.
#[derive(Debug)]
pub struct Judge {
    program: PathBuf,
    rules: Option<PathBuf>,
    at_once: Semaphore,
    unpacked: u64,
}

/// A delivery that is to be judged.
#[derive(Debug, Clone)]
pub(crate) struct Delivery {
    pub(crate) lease: Lease,
    pub(crate) worker: String,
    pub(crate) spec: Spec,
    pub(crate) file: FileInfo,
    pub(crate) env: Env,
    /// How many segments each stream has, by the manifest.
    pub(crate) segments: Vec<(StreamName, usize)>,
    pub(crate) finished_ms: u64,
}

/// Why a delivery is no result.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotJudged {
    /// The store failed; it may work later.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machinery failed; it may work later.
    #[error("the judge: {0}")]
    Judge(String),
    /// The delivery is broken, or not what was ordered.
    #[error("{0}")]
    Refused(String),
}

impl Judge {
    pub(crate) fn new(program: PathBuf, rules: Option<PathBuf>, at_once: usize, unpacked: u64) -> Self {
        Self {
            program,
            rules,
            at_once: Semaphore::new(at_once),
            unpacked,
        }
    }

    /// One place among those who judge at once.
    pub(crate) async fn turn(&self) -> Option<tokio::sync::SemaphorePermit<'_>> {
        self.at_once.acquire().await.ok()
    }

    /// Judges a delivery whose segments are all there and synced. Blocks, for as long as a child takes.
    pub(crate) fn judge(&self, store: &Store, delivery: &Delivery) -> Result<NewResult, NotJudged> {
        for (stream, count) in &delivery.segments {
            let there = store.staging().next_seq(delivery.lease, &stream.label());
            if there as usize != *count {
                return Err(NotJudged::Refused(format!(
                    "{} has {there} segments, and the manifest names {count}",
                    stream.word()
                )));
            }
        }
        let has = |wanted: StreamName| delivery.segments.iter().any(|(s, n)| *s == wanted && *n > 0);
        if !has(StreamName::Events) {
            return Err(NotJudged::Refused("there is no recording".to_owned()));
        }
        let judged = self.ask(store, delivery.lease, has(StreamName::Baseline))?;
        accept::check(&judged, &delivery.spec, &delivery.file.sha256).map_err(NotJudged::Refused)?;
        let seal = |stream: StreamName, class| -> Result<Recording, StoreError> {
            let (blob, size) = store
                .staging()
                .seal(delivery.lease, &stream.label(), store.blobs())?;
            Ok(Recording { blob, size, class })
        };
        let class = class_of(&judged);
        let recording = seal(StreamName::Events, class)?;
        let baseline = if has(StreamName::Baseline) {
            Some(seal(StreamName::Baseline, class)?)
        } else {
            None
        };
        let blame = judged.outcome.reasons.first().map(|reason| reason.blame);
        let blame = blame.filter(|_| !judged.outcome.status.is_good());
        let more = accept::more(
            &judged,
            baseline.as_ref().map(|r| r.blob.clone()),
            &delivery.worker,
        );
        Ok(NewResult {
            file: delivery.file.clone(),
            env: delivery.env.clone(),
            finished_ms: delivery.finished_ms,
            outcome: judged.outcome,
            verdict: judged.verdict,
            blame,
            cost_ms: accept::milliseconds(judged.cpu_s),
            passed: judged.tests.0,
            failed: judged.tests.1,
            recording: Some(recording),
            baseline,
            more,
            findings: judged
                .findings
                .into_iter()
                .map(|found| NewFinding {
                    rule: found.rule,
                    severity: found.severity,
                    state: found.state,
                    sentence: found.sentence,
                    events: found.events,
                })
                .collect(),
        })
    }

    /// Lets a child read the recording. What it cannot read is the recording's fault, and so the worker's.
    fn ask(&self, store: &Store, lease: Lease, baseline: bool) -> Result<Judged, NotJudged> {
        let rules = match &self.rules {
            None => Vec::new(),
            Some(folder) => read_rules(folder).map_err(|e| NotJudged::Judge(format!("the rules: {e}")))?,
        };
        let machinery = |error: io::Error| NotJudged::Judge(error.to_string());
        let mut child = Command::new(&self.program)
            .arg(VERB)
            .arg(self.unpacked.to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| NotJudged::Judge(format!("{}: {error}", self.program.display())))?;
        let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(NotJudged::Judge("no pipes".to_owned()));
        };
        let mut streams: Vec<Box<dyn Read + Send>> = vec![
            Box::new(io::Cursor::new(rules)),
            Box::new(store.staging().read(lease, &StreamName::Events.label())),
        ];
        if baseline {
            streams.push(Box::new(
                store.staging().read(lease, &StreamName::Baseline.label()),
            ));
        }
        let writing = std::thread::spawn(move || {
            for mut stream in streams {
                child::send(&mut stream, &mut to)?;
            }
            to.flush()
        });
        let reading = std::thread::spawn(move || {
            let mut answer = Vec::new();
            from.take(ANSWER_BYTES + 1)
                .read_to_end(&mut answer)
                .map(|_| answer)
        });
        let began = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().map_err(machinery)? {
                break Some(status);
            }
            if began.elapsed() > TIME {
                // it may have ended just now
                let _ = child.kill();
                let _ = child.wait();
                break None;
            }
            std::thread::sleep(Duration::from_millis(if began.elapsed().as_millis() < 200 {
                2
            } else {
                20
            }));
        };
        // a child that has seen enough closes its end early
        let _ = writing.join();
        let answer = reading
            .join()
            .map_err(|_| NotJudged::Judge("a thread panicked".to_owned()))?
            .map_err(machinery)?;
        let Some(status) = status else {
            return Err(NotJudged::Refused(
                "the recording takes too long to read".to_owned(),
            ));
        };
        if status.code() == Some(child::CANNOT_CONFINE) {
            return Err(NotJudged::Judge("the child cannot confine itself".to_owned()));
        }
        if !status.success() || answer.len() as u64 > ANSWER_BYTES {
            return Err(NotJudged::Refused(format!(
                "the recording cannot be read ({status})"
            )));
        }
        match serde_json::from_slice::<child::Said>(&answer) {
            Ok(child::Said::Judged(judged)) => Ok(*judged),
            Ok(child::Said::Unreadable(why)) => Err(NotJudged::Refused(why)),
            Err(error) => Err(NotJudged::Refused(format!("the judge's answer: {error}"))),
        }
    }
}

/// The rules of a folder, as the child takes them.
fn read_rules(folder: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut files: Vec<(String, String)> = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            let mut text = String::new();
            std::fs::File::open(&path)?
                .take(RULES_BYTES)
                .read_to_string(&mut text)?;
            files.push((path.display().to_string(), text));
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(io::Error::other(format!(
            "no rule file (*.toml) in {}",
            folder.display()
        )));
    }
    serde_json::to_vec(&files).map_err(io::Error::from)
}

/// How long a recording is kept.
fn class_of(judged: &Judged) -> Class {
    match judged.verdict {
        Verdict::Harmful | Verdict::Suspicious => Class::Forever,
        _ if judged.outcome.status.is_good() => Class::Short,
        _ => Class::Long,
    }
}

/// The record of a job that failed by our fault; it is written only if that was the last time.
pub(crate) fn our_fault(file: FileInfo, env: Env, finished_ms: u64, worker: &str, why: &str) -> NewResult {
    let why: String = why.chars().take(512).collect();
    let more = More {
        detail: why.clone(),
        worker: worker.to_owned(),
        ..More::default()
    };
    NewResult {
        file,
        env,
        finished_ms,
        outcome: Outcome::because(
            Status::Error,
            Reason::new(ReasonCode::Testbed, why).blaming(Blame::Us),
        ),
        verdict: Verdict::NotJudged,
        blame: Some(Blame::Us),
        cost_ms: 0,
        passed: 0,
        failed: 0,
        recording: None,
        baseline: None,
        more: serde_json::to_string(&more).ok(),
        findings: Vec::new(),
    }
}
