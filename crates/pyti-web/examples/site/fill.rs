//! Recordings into a store, as a controller puts them there: captured, submitted, claimed, judged, completed.

use std::error::Error;

use pyti_dispatch::{
    Answer, Completion, JobKey, JobStore as _, Label, Needs, NewJob, Offers, Priority, WorkerId,
};
use pyti_judge::safety::{Baseline, RuleSet, judge_safety};
use pyti_model::Digest;
use pyti_model::finding::RuleState;
use pyti_store::{Class, Env, Expansion, FileInfo, NewFinding, NewResult, Recording, Store};
use pyti_web::{Limits, read_recording};
use sha2::{Digest as _, Sha256};

/// What goes wrong.
pub(crate) type Fallible<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// One recording to be stored.
pub(crate) struct Piece {
    /// The file; its size and digest come from the recording where it tells them.
    pub(crate) file: FileInfo,
    /// In what.
    pub(crate) env: Env,
    /// Which repetition.
    pub(crate) generation: u32,
    /// When it ended, in milliseconds since 1970.
    pub(crate) finished_ms: u64,
    /// zstd-compressed JSON lines.
    pub(crate) recording: Vec<u8>,
    /// That of an empty package.
    pub(crate) baseline: Option<Vec<u8>>,
}

/// SHA-256 of a text.
pub(crate) fn digest(text: &str) -> Fallible<Digest> {
    let hex: String = Sha256::digest(text.as_bytes())
        .iter()
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok(hex.parse()?)
}

fn label(text: &str) -> Fallible<Label> {
    Ok(text.parse()?)
}

/// A worker that can do everything of these environments.
pub(crate) fn enrol(store: &Store, name: &str, interpreters: &[&str]) -> Fallible<WorkerId> {
    let who: WorkerId = name.parse()?;
    let offers = Offers {
        platform: label("linux/x86_64")?,
        interpreters: interpreters.iter().map(|i| label(i)).collect::<Fallible<_>>()?,
        isolations: [label("sandbox")?].into(),
        memory_mib: 4096,
        slots: 2,
    };
    store.enrol(who.clone(), offers.clone(), true)?;
    store.hello(who.clone(), 1, offers)?;
    Ok(who)
}

/// A job for a file in an environment.
pub(crate) fn job(file: &FileInfo, env: &Env, generation: u32, captured: bool) -> Fallible<NewJob> {
    Ok(NewJob {
        key: JobKey {
            file: file.sha256.clone(),
            spec: digest(&format!("{}{}", env.interpreter, env.options))?,
            generation,
        },
        project: file.project.clone(),
        needs: Needs {
            platform: label(&env.platform)?,
            interpreter: label(&env.interpreter)?,
            isolation: label(&env.isolation)?,
            memory_mib: 2048,
        },
        priority: Priority::Release,
        captured,
    })
}

/// Stores one; the result's number. `request` must grow.
pub(crate) fn put(store: &Store, who: &WorkerId, request: u64, piece: Piece) -> Fallible<i64> {
    let events = read_recording(&*piece.recording, &Limits::default())?;
    let record = pyti_judge::fold(events);
    let judgement = pyti_judge::judge(&record);
    let baseline = match &piece.baseline {
        Some(bytes) => Some(Baseline::from_record(&pyti_judge::fold(read_recording(
            &**bytes,
            &Limits::default(),
        )?))),
        None => None,
    };
    let found = judge_safety(&record, RuleSet::built_in(), &[], baseline.as_ref());
    let blob = store.blobs().put(&piece.recording)?;
    let baseline = match &piece.baseline {
        Some(bytes) => Some(Recording {
            blob: store.blobs().put(bytes)?,
            size: bytes.len() as u64,
            class: Class::Long,
        }),
        None => None,
    };
    let more = baseline
        .as_ref()
        .map(|baseline| format!("{{\"baseline\":\"{}\"}}", baseline.blob));
    store.expand(Expansion {
        files: vec![piece.file.clone()],
        jobs: vec![job(&piece.file, &piece.env, piece.generation, true)?],
        ..Expansion::default()
    })?;
    let Answer::Granted { grants, .. } = store.claim(who, 1, request, 1)? else {
        return Err("no answer to a claim".into());
    };
    let grant = grants.into_iter().next().ok_or("no job to be had")?;
    let counts = record.test().map(|test| test.counts).unwrap_or_default();
    let cpu_s: f64 = record.tasks.iter().map(|task| task.cpu_s).sum();
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "some milliseconds"
    )]
    let result = NewResult {
        file: piece.file,
        env: piece.env,
        finished_ms: piece.finished_ms,
        blame: judgement.outcome.reasons.first().map(|reason| reason.blame),
        outcome: judgement.outcome.clone(),
        verdict: found.verdict,
        cost_ms: (cpu_s * 1000.0) as u64,
        passed: number(counts.passed),
        failed: number(counts.failed + counts.errors),
        recording: Some(Recording {
            blob,
            size: piece.recording.len() as u64,
            class: Class::Long,
        }),
        baseline,
        more,
        findings: found
            .findings
            .iter()
            .map(|finding| NewFinding {
                rule: finding.rule.clone(),
                severity: finding.severity as u8,
                state: match finding.state {
                    RuleState::Shadow => 0,
                    RuleState::Active => 1,
                    RuleState::Retired => 2,
                },
                sentence: finding.sentence.clone(),
                events: finding.events.iter().map(|event| event.seq).collect(),
            })
            .collect(),
    };
    let completion = Completion {
        worker: who.clone(),
        lease: grant.lease,
        blame: None,
        missing: Vec::new(),
    };
    store.complete(completion, Some(result))?;
    let row = store
        .result_of(grant.job)?
        .ok_or("no result of a job that was completed")?;
    Ok(row.id)
}
