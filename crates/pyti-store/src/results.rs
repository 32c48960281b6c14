//! Results and findings: what is given to the store, and how it is written in the transaction that ends the job (L5).

use pyti_dispatch::JobId;
use pyti_model::outcome::{Blame, Outcome, Status, Verdict};
use pyti_model::{Digest, FileKind};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};

use crate::clock::calendar_ms;
use crate::error::{Result, StoreError};
use crate::rows::{bytes, first, run, signed};
use crate::sql;
use crate::sum::Sum;

/// Kinds of things in the outbox: a result was written.
pub const OUTBOX_RESULT: u8 = 1;
/// A file's state in the index changed.
pub const OUTBOX_FILE: u8 = 2;

/// One file of one release, as the index told it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileInfo {
    /// Normalized name of the project.
    pub project: String,
    /// The version as the index writes it.
    pub version: String,
    /// Bytes that compare as the versions do.
    pub sort_key: Vec<u8>,
    /// The file's name.
    pub name: String,
    /// The file.
    pub sha256: Digest,
    /// In bytes.
    pub size: u64,
    /// What it is.
    pub kind: FileKind,
    /// When it was uploaded, in milliseconds since 1970.
    pub uploaded_ms: u64,
}

/// In what a file was tested.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Env {
    /// `linux/x86_64`
    pub platform: String,
    /// `cpython-3.12`
    pub interpreter: String,
    /// `sandbox`
    pub isolation: String,
    /// What else makes it another environment; empty by default.
    pub options: String,
}

/// How long blobs are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// For ever: of what was harmful, suspicious, or asked for.
    Forever,
    /// For long: of what failed.
    Long,
    /// As long as there is room: of what passed, and captured files.
    Short,
}

impl Class {
    /// All, longest first.
    pub const ALL: [Self; 3] = [Self::Forever, Self::Long, Self::Short];

    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Forever => 0,
            Self::Long => 1,
            Self::Short => 2,
        }
    }
}

/// A recording that is stored already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// The blob.
    pub blob: Digest,
    /// In bytes, as stored.
    pub size: u64,
    /// How long it is kept.
    pub class: Class,
}

/// One finding of a judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewFinding {
    /// The rule's id.
    pub rule: String,
    /// How bad; bigger is worse.
    pub severity: u8,
    /// Of the rule when it judged: 0 shadow, 1 active, 2 retired.
    pub state: u8,
    /// The sentence for people.
    pub sentence: String,
    /// Numbers of events in the recording.
    pub events: Vec<u64>,
}

/// What a completed job leaves behind. The controller made it from the recording; nothing of it is a worker's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewResult {
    /// The file.
    pub file: FileInfo,
    /// In what.
    pub env: Env,
    /// When, in milliseconds since 1970 by the controller's clock.
    pub finished_ms: u64,
    /// Works?
    pub outcome: Outcome,
    /// Safe?
    pub verdict: Verdict,
    /// Whose doing.
    pub blame: Option<Blame>,
    /// Processor time in milliseconds.
    pub cost_ms: u64,
    /// Tests that passed.
    pub passed: u32,
    /// Tests that did not.
    pub failed: u32,
    /// The recording.
    pub recording: Option<Recording>,
    /// That of an empty package in the same circumstances, which was subtracted.
    pub baseline: Option<Recording>,
    /// What a page shows besides, as JSON; at most 4 KiB.
    pub more: Option<String>,
    /// What the judge found.
    pub findings: Vec<NewFinding>,
}

/// Longest extra text of a result, in bytes.
const MORE: usize = 4096;
/// Most findings of a result, and longest sentence.
const FINDINGS: usize = 256;
const SENTENCE: usize = 1024;

pub(crate) fn status_number(status: Status) -> i64 {
    let at = Status::ALL.iter().position(|s| *s == status);
    i64::try_from(at.unwrap_or(0)).unwrap_or(0)
}

/// All verdicts; a verdict's number is its place.
pub(crate) const VERDICTS: [Verdict; 6] = [
    Verdict::NotJudged,
    Verdict::Clean,
    Verdict::Notable,
    Verdict::Suspicious,
    Verdict::Harmful,
    Verdict::Inconclusive,
];

pub(crate) fn verdict_number(verdict: Verdict) -> i64 {
    let at = VERDICTS.iter().position(|v| *v == verdict);
    i64::try_from(at.unwrap_or(0)).unwrap_or(0)
}

/// All blames; a blame's number is its place and one more, 0 is nobody.
pub(crate) const BLAMES: [Blame; 4] = [Blame::Package, Blame::Dependency, Blame::Environment, Blame::Us];

fn blame_number(blame: Option<Blame>) -> i64 {
    let at = blame.and_then(|blame| BLAMES.iter().position(|b| *b == blame));
    at.map_or(0, |at| i64::try_from(at + 1).unwrap_or(0))
}

/// All kinds of files; a kind's number is its place.
pub(crate) const KINDS: [FileKind; 3] = [FileKind::Wheel, FileKind::Sdist, FileKind::Folder];

/// A number for each text, given once.
pub(crate) fn number(conn: &Connection, put: &str, get: &str, text: &str) -> Result<i64> {
    if let Some(id) = first(conn, get, [text], |row| row.get(0))? {
        return Ok(id);
    }
    run(conn, put, [text])?;
    Ok(conn.last_insert_rowid())
}

/// Notes a file; its number and its project's.
pub(crate) fn put_file(conn: &Connection, file: &FileInfo) -> Result<(i64, i64)> {
    let sha256 = bytes(&file.sha256);
    let known = first(conn, sql::FILE_ID, params![sha256, file.name], |row| {
        Ok((row.get(0)?, row.get(1)?))
    })?;
    if let Some(known) = known {
        return Ok(known);
    }
    let project = number(conn, sql::PROJECT_PUT, sql::PROJECT_ID, &file.project)?;
    let version: Option<i64> = first(conn, sql::VERSION_ID, params![project, file.version], |row| {
        row.get(0)
    })?;
    let version = if let Some(version) = version {
        version
    } else {
        run(
            conn,
            sql::VERSION_PUT,
            params![project, file.version, file.sort_key],
        )?;
        conn.last_insert_rowid()
    };
    let kind = KINDS.iter().position(|k| *k == file.kind).unwrap_or(0);
    let params = params![
        version,
        project,
        file.name,
        sha256,
        signed(file.size),
        i64::try_from(kind).unwrap_or(0),
        signed(file.uploaded_ms)
    ];
    run(conn, sql::FILE_PUT, params)?;
    Ok((conn.last_insert_rowid(), project))
}

/// Notes a blob that was written and synced before; its number.
pub(crate) fn put_blob(
    conn: &Connection,
    blob: &Digest,
    size: u64,
    class: Class,
    now_ms: u64,
) -> Result<i64> {
    let sha256 = bytes(blob);
    run(
        conn,
        sql::BLOB_PUT,
        params![sha256, signed(size), class.number(), signed(now_ms)],
    )?;
    let id = first(conn, sql::BLOB_ID, [sha256], |row| row.get(0))?;
    id.ok_or(StoreError::Invalid("a blob that was just noted"))
}

fn put_env(conn: &Connection, env: &Env) -> Result<i64> {
    let named = params![env.platform, env.interpreter, env.isolation, env.options];
    if let Some(id) = first(conn, sql::ENV_ID, named, |row| row.get(0))? {
        return Ok(id);
    }
    run(conn, sql::ENV_PUT, named)?;
    Ok(conn.last_insert_rowid())
}

/// The columns that a result's checksum is over, in order, and the text.
pub(crate) fn result_sum(numbers: &[i64], recording: Option<i64>, more: Option<&str>) -> i64 {
    let sum = numbers.iter().fold(Sum::new("result"), |sum, n| sum.number(*n));
    sum.number(recording.unwrap_or(0)).text(more.unwrap_or("")).end()
}

/// The same of a finding.
pub(crate) fn finding_sum(numbers: &[i64; 4], sentence: &str, events: &str) -> i64 {
    let sum = numbers.iter().fold(Sum::new("finding"), |sum, n| sum.number(*n));
    sum.text(sentence).text(events).end()
}

/// Writes a result with all that belongs to it; its number.
pub(crate) fn put_result(conn: &Connection, job: JobId, new: &NewResult) -> Result<i64> {
    if new.more.as_ref().is_some_and(|more| more.len() > MORE) {
        return Err(StoreError::Invalid("more than 4 KiB beside a result"));
    }
    let (file, project) = put_file(conn, &new.file)?;
    let env = put_env(conn, &new.env)?;
    let reason = match new.outcome.reasons.first() {
        Some(reason) => number(conn, sql::REASON_PUT, sql::REASON_ID, reason.code.word())?,
        None => 0,
    };
    let recording = match &new.recording {
        Some(r) => Some(put_blob(conn, &r.blob, r.size, r.class, calendar_ms())?),
        None => None,
    };
    if let Some(baseline) = &new.baseline {
        put_blob(conn, &baseline.blob, baseline.size, baseline.class, calendar_ms())?;
    }
    let status = status_number(new.outcome.status);
    let finished = signed(new.finished_ms);
    let numbers = [
        signed(job.0),
        file,
        env,
        project,
        finished,
        status,
        reason,
        verdict_number(new.verdict),
        blame_number(new.blame),
        signed(new.cost_ms),
        i64::from(new.passed),
        i64::from(new.failed),
    ];
    let [n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11] = numbers;
    let sum = result_sum(&numbers, recording, new.more.as_deref());
    let params = params![
        n0, n1, n2, n3, n4, n5, n6, n7, n8, n9, n10, n11, recording, new.more, sum
    ];
    run(conn, sql::RESULT_PUT, params)?;
    let id = conn.last_insert_rowid();
    run(conn, sql::CURRENT_PUT, params![file, env, project, id])?;
    for finding in new.findings.iter().take(FINDINGS) {
        put_finding(conn, id, finding)?;
    }
    run(
        conn,
        sql::HOURLY_PUT,
        params![finished / 3_600_000, status, reason],
    )?;
    run(
        conn,
        sql::DAILY_PUT,
        params![finished / 86_400_000, status, reason],
    )?;
    run(conn, sql::OUTBOX_PUT, params![OUTBOX_RESULT, id])?;
    Ok(id)
}

fn put_finding(conn: &Connection, result: i64, finding: &NewFinding) -> Result<()> {
    let rule = number(conn, sql::RULE_PUT, sql::RULE_ID, &finding.rule)?;
    let numbers = [
        result,
        rule,
        i64::from(finding.state),
        i64::from(finding.severity),
    ];
    let mut end = finding.sentence.len().min(SENTENCE);
    while !finding.sentence.is_char_boundary(end) {
        end -= 1;
    }
    let sentence = &finding.sentence[..end];
    let events: Vec<u64> = finding.events.iter().copied().take(64).collect();
    let events =
        serde_json::to_string(&events).map_err(|_| StoreError::Invalid("events that are no JSON"))?;
    let sum = finding_sum(&numbers, sentence, &events);
    let params = params![
        numbers[0], numbers[1], numbers[2], numbers[3], sentence, events, sum
    ];
    run(conn, sql::FINDING_PUT, params)?;
    Ok(())
}
