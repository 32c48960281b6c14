//! What is in the store, as pages and JSON say it. Each is both: a template shows it, serde writes it.

use pyti_dispatch::Job;
use pyti_model::FileKind;
use pyti_model::outcome::{Blame, Status, Verdict};
use pyti_store::{Env, File, FileState, FindingRow, ResultRow};
use serde::Serialize;

use crate::hostile::{Hostile, Markup};
use crate::moment;
use crate::words;

/// A result.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ResultView {
    pub(crate) id: i64,
    pub(crate) job: u64,
    pub(crate) project: String,
    pub(crate) version: Hostile,
    pub(crate) file: Hostile,
    pub(crate) sha256: String,
    pub(crate) kind: &'static str,
    pub(crate) status: Status,
    pub(crate) reason: Option<String>,
    /// What the reason is about.
    pub(crate) detail: Option<Hostile>,
    pub(crate) blame: Option<Blame>,
    pub(crate) verdict: Verdict,
    pub(crate) finished: String,
    pub(crate) cost_ms: u64,
    pub(crate) passed: u32,
    pub(crate) failed: u32,
    pub(crate) environment: Env,
    pub(crate) index: FileState,
    pub(crate) recording: Option<RecordingView>,
    /// Who did it.
    pub(crate) worker: Option<Hostile>,
    #[serde(skip)]
    pub(crate) env_id: i64,
    #[serde(skip)]
    pub(crate) finished_ms: u64,
}

/// Both answers, for the two big fields of a page.
pub(crate) trait Answers {
    fn status(&self) -> Status;
    fn verdict(&self) -> Verdict;

    fn works_tone(&self) -> &'static str {
        words::tone(self.status())
    }

    fn works_word(&self) -> &'static str {
        self.status().word()
    }

    fn works_words(&self) -> &'static str {
        words::works_words(self.status())
    }

    fn safe_tone(&self) -> &'static str {
        words::verdict_tone(self.verdict())
    }

    fn safe_word(&self) -> &'static str {
        words::verdict_word(self.verdict())
    }

    fn safe_words(&self) -> &'static str {
        words::safe_words(self.verdict())
    }
}

impl Answers for ResultView {
    fn status(&self) -> Status {
        self.status
    }

    fn verdict(&self) -> Verdict {
        self.verdict
    }
}

/// Where the recording of a result is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RecordingView {
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    /// Whether it is still there.
    pub(crate) kept: bool,
}

impl RecordingView {
    pub(crate) fn size(&self) -> String {
        words::bytes(self.bytes)
    }
}

/// What stands beside a result, as whoever stored it wrote it.
#[derive(Default, serde::Deserialize)]
struct Beside {
    #[serde(default)]
    detail: String,
    #[serde(default)]
    worker: String,
}

fn some(text: String) -> Option<Hostile> {
    (!text.is_empty()).then(|| text.into())
}

impl From<ResultRow> for ResultView {
    fn from(row: ResultRow) -> Self {
        let beside: Beside = row
            .more
            .as_deref()
            .and_then(|more| serde_json::from_str(more).ok())
            .unwrap_or_default();
        Self {
            id: row.id,
            job: row.job.0,
            project: row.project,
            version: row.version.into(),
            file: row.file.into(),
            sha256: row.sha256.to_string(),
            kind: kind_word(row.kind),
            status: row.status,
            reason: row.reason,
            detail: some(beside.detail),
            blame: row.blame,
            verdict: row.verdict,
            finished: moment::rfc3339(row.finished_ms),
            cost_ms: row.cost_ms,
            passed: row.passed,
            failed: row.failed,
            environment: row.env,
            index: row.state,
            recording: row.recording.map(|(sha256, bytes, kept)| RecordingView {
                sha256: sha256.to_string(),
                bytes,
                kept,
            }),
            worker: some(beside.worker),
            env_id: row.env_id,
            finished_ms: row.finished_ms,
        }
    }
}

impl ResultView {
    pub(crate) fn works(&self) -> Markup {
        words::works(self.status)
    }

    pub(crate) fn safe(&self) -> Markup {
        words::safe(self.verdict)
    }

    pub(crate) fn interpreter(&self) -> String {
        words::interpreter(&self.environment.interpreter)
    }

    /// Why, in a few words: the reason's meaning, or what the status claims; and how many tests.
    pub(crate) fn because(&self) -> String {
        let why = match self.reason.as_deref().and_then(reason_meaning) {
            Some(meaning) => meaning.to_owned(),
            None => words::works_words(self.status).to_owned(),
        };
        let why = match &self.detail {
            Some(detail) if self.reason.is_some() => format!("{why}: {}", detail.plain()),
            _ => why,
        };
        let blame = match self.blame {
            Some(Blame::Dependency) => "; a dependency's doing",
            Some(Blame::Environment) => "; the environment's doing",
            Some(Blame::Us) => "; our own doing",
            Some(Blame::Package) | None => "",
        };
        match (self.passed, self.failed) {
            (0, 0) => format!("{why}{blame}"),
            (passed, 0) => format!("{why}{blame} · {}", words::count(passed.into(), "test")),
            (passed, failed) => {
                let all = u64::from(passed) + u64::from(failed);
                format!("{why}{blame} · {failed} of {} failed", words::count(all, "test"))
            }
        }
    }

    pub(crate) fn ago(&self) -> String {
        moment::ago(self.finished_ms, moment::now_ms())
    }

    pub(crate) fn cost(&self) -> String {
        moment::length(self.cost_ms)
    }

    pub(crate) fn state_words(&self) -> &'static str {
        state_words(self.index)
    }

    /// Without the digest's tail.
    pub(crate) fn environment_words(&self) -> String {
        environment_words(&self.environment)
    }
}

/// Its interpreter, platform, isolation, and what else differs.
pub(crate) fn environment_words(env: &Env) -> String {
    let mut text = format!(
        "{} · {} · {}",
        words::interpreter(&env.interpreter),
        env.platform,
        env.isolation
    );
    if !env.options.is_empty() {
        text.push_str(" · ");
        text.push_str(&Hostile::from(env.options.as_str()).plain());
    }
    text
}

/// What is wrong with a file in the index; nothing, when nothing is.
pub(crate) fn state_words(state: FileState) -> &'static str {
    match state {
        FileState { removed: true, .. } => "removed from the index",
        FileState {
            quarantined: true, ..
        } => "in quarantine",
        FileState { yanked: true, .. } => "yanked",
        FileState { .. } => "",
    }
}

/// A kind's word.
pub(crate) fn kind_word(kind: FileKind) -> &'static str {
    match kind {
        FileKind::Wheel => "wheel",
        FileKind::Sdist => "sdist",
        FileKind::Folder => "folder",
    }
}

/// What a reason's word means.
pub(crate) fn reason_meaning(word: &str) -> Option<&'static str> {
    pyti_model::outcome::ReasonCode::ALL
        .iter()
        .find(|code| code.word() == word)
        .map(|code| code.meaning())
}

/// A file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FileView {
    pub(crate) project: String,
    pub(crate) version: Hostile,
    pub(crate) name: Hostile,
    pub(crate) sha256: String,
    pub(crate) bytes: u64,
    pub(crate) kind: &'static str,
    pub(crate) uploaded: String,
    pub(crate) index: FileState,
    /// Whether the bytes are kept.
    pub(crate) captured: bool,
    #[serde(skip)]
    pub(crate) uploaded_ms: u64,
}

impl From<File> for FileView {
    fn from(file: File) -> Self {
        Self {
            project: file.info.project,
            version: file.info.version.into(),
            name: file.info.name.into(),
            sha256: file.info.sha256.to_string(),
            bytes: file.info.size,
            kind: kind_word(file.info.kind),
            uploaded: moment::rfc3339(file.info.uploaded_ms),
            index: file.state,
            captured: file.captured.is_some(),
            uploaded_ms: file.info.uploaded_ms,
        }
    }
}

impl FileView {
    pub(crate) fn ago(&self) -> String {
        moment::ago(self.uploaded_ms, moment::now_ms())
    }

    pub(crate) fn size(&self) -> String {
        words::bytes(self.bytes)
    }

    pub(crate) fn when(&self) -> String {
        moment::for_people(self.uploaded_ms)
    }

    pub(crate) fn state_words(&self) -> &'static str {
        state_words(self.index)
    }
}

/// A finding.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FindingView {
    pub(crate) id: i64,
    pub(crate) result: i64,
    pub(crate) rule: String,
    pub(crate) severity: &'static str,
    pub(crate) state: &'static str,
    pub(crate) sentence: Hostile,
    pub(crate) events: Vec<u64>,
    pub(crate) project: String,
    pub(crate) version: Hostile,
    pub(crate) file: Hostile,
    #[serde(skip)]
    weight: u8,
}

impl From<FindingRow> for FindingView {
    fn from(row: FindingRow) -> Self {
        Self {
            id: row.id,
            result: row.result,
            rule: row.rule,
            severity: words::severity_word(row.severity),
            state: rule_state_word(row.state),
            sentence: row.sentence.into(),
            events: row.events,
            project: row.project,
            version: row.version.into(),
            file: row.file.into(),
            weight: row.severity,
        }
    }
}

impl FindingView {
    pub(crate) fn tag(&self) -> Markup {
        words::severity(self.weight)
    }
}

/// The word of a rule's state, by its number in the store.
pub(crate) fn rule_state_word(state: u8) -> &'static str {
    match state {
        0 => "shadow",
        1 => "active",
        _ => "retired",
    }
}

/// A job.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct JobView {
    pub(crate) id: u64,
    pub(crate) project: String,
    pub(crate) file: String,
    pub(crate) spec: String,
    pub(crate) generation: u32,
    pub(crate) platform: String,
    pub(crate) interpreter: String,
    pub(crate) isolation: String,
    pub(crate) memory_mib: u32,
    pub(crate) priority: &'static str,
    pub(crate) state: &'static str,
    /// More of the state, in words.
    pub(crate) state_words: String,
    /// Milliseconds since it came.
    pub(crate) age_ms: u64,
    pub(crate) epoch: u64,
    /// Who has it, or had it last.
    pub(crate) worker: Option<String>,
    pub(crate) faults: u8,
    pub(crate) lost: u8,
}

impl JobView {
    pub(crate) fn new(job: Job, now: pyti_dispatch::Monotonic) -> Self {
        use pyti_dispatch::{Death, State, Wait};
        Self {
            id: job.id.0,
            project: job.project,
            file: job.key.file.to_string(),
            spec: job.key.spec.to_string(),
            generation: job.key.generation,
            platform: job.needs.platform.to_string(),
            interpreter: job.needs.interpreter.to_string(),
            isolation: job.needs.isolation.to_string(),
            memory_mib: job.needs.memory_mib,
            priority: job.priority.word(),
            state: job.state.word(),
            state_words: match job.state {
                State::Waiting(Wait::Capture) => "waits until its file is stored".to_owned(),
                State::Waiting(Wait::BackOff(ms)) => {
                    format!("waits {} after a failure of ours", moment::length(ms))
                }
                State::Queued => "waits for a worker".to_owned(),
                State::Leased => "is being done".to_owned(),
                State::Done => "has a result".to_owned(),
                State::Dead(Death::Faults) => "given up: it failed by our fault too often".to_owned(),
                State::Dead(Death::Lost) => "given up: its worker was lost too often".to_owned(),
                State::Cancelled => "nobody wants it any more".to_owned(),
            },
            age_ms: now.since(job.entered),
            epoch: job.epoch,
            worker: job.holder.map(|holder| holder.worker.to_string()),
            faults: job.faults,
            lost: job.lost,
        }
    }

    pub(crate) fn age(&self) -> String {
        moment::length(self.age_ms)
    }

    pub(crate) fn interpreter_words(&self) -> String {
        words::interpreter(&self.interpreter)
    }
}
