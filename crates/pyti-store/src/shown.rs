//! Rows as pages show them, and how they are read and found to be sound.

use pyti_dispatch::{JobId, Needs};
use pyti_model::outcome::{Blame, Status, Verdict};
use pyti_model::{Digest, FileKind};
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use crate::error::{Result, StoreError};
use crate::results::{BLAMES, Env, FileInfo, KINDS, VERDICTS, finding_sum, result_sum};
use crate::rows::{all, digest_at, number_at, small_at, strange};
use crate::sql;

/// What is wrong with a file in the index now; never a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FileState {
    /// Its publisher took it back.
    pub yanked: bool,
    /// The index holds the project back.
    pub quarantined: bool,
    /// It is no longer there.
    pub removed: bool,
}

impl FileState {
    pub(crate) fn bits(self) -> i64 {
        i64::from(self.yanked) | i64::from(self.quarantined) << 1 | i64::from(self.removed) << 2
    }

    pub(crate) fn of(bits: i64) -> Self {
        Self {
            yanked: bits & 1 != 0,
            quarantined: bits & 2 != 0,
            removed: bits & 4 != 0,
        }
    }
}

/// A file that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its number.
    pub id: i64,
    /// Its project's number.
    pub project_id: i64,
    /// Its version's number.
    pub version_id: i64,
    /// What the index told.
    pub info: FileInfo,
    /// Where it stands there now.
    pub state: FileState,
    /// The captured file, if it is still kept.
    pub captured: Option<Digest>,
}

/// A result as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// Its number: order of commits, and where the next page goes on.
    pub id: i64,
    /// Of which job.
    pub job: JobId,
    /// The file's number.
    pub file_id: i64,
    /// The environment's number.
    pub env_id: i64,
    /// The project's number.
    pub project_id: i64,
    /// When, in milliseconds since 1970.
    pub finished_ms: u64,
    /// Works?
    pub status: Status,
    /// The first reason's word.
    pub reason: Option<String>,
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
    /// The recording, its size in bytes, and whether it is still kept.
    pub recording: Option<(Digest, u64, bool)>,
    /// What was given besides.
    pub more: Option<String>,
    /// The file's name.
    pub file: String,
    /// The file.
    pub sha256: Digest,
    /// What it is.
    pub kind: FileKind,
    /// Where it stands in the index now.
    pub state: FileState,
    /// When it was uploaded, in milliseconds since 1970.
    pub uploaded_ms: u64,
    /// The version.
    pub version: String,
    /// The project's name.
    pub project: String,
    /// In what.
    pub env: Env,
}

/// A finding as pages show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FindingRow {
    /// Its number.
    pub id: i64,
    /// Of which result.
    pub result: i64,
    /// The rule's number.
    pub rule_id: i64,
    /// The rule.
    pub rule: String,
    /// Of the rule when it judged.
    pub state: u8,
    /// How bad.
    pub severity: u8,
    /// The sentence for people.
    pub sentence: String,
    /// Numbers of events in the recording.
    pub events: Vec<u64>,
    /// The file's number.
    pub file_id: i64,
    /// The file's name.
    pub file: String,
    /// The version.
    pub version: String,
    /// The project's name.
    pub project: String,
}

/// One release on a project's page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRow {
    /// Its number.
    pub id: i64,
    /// As the index writes it.
    pub version: String,
    /// Where the next page goes on.
    pub sort_key: Vec<u8>,
}

/// A queue: jobs with the same needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueRow {
    /// What a worker must have.
    pub needs: Needs,
    /// Jobs that can be had.
    pub queued: u64,
    /// Jobs that are being done.
    pub leased: u64,
    /// Jobs that wait for their file or after a failure.
    pub waiting: u64,
    /// When the oldest queued one came, on the queue's clock.
    pub oldest: Option<u64>,
}

/// How often something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Count {
    /// With this status.
    pub status: Status,
    /// For this reason.
    pub reason: Option<String>,
    /// So often.
    pub count: u64,
}

pub(crate) fn pick<T: Copy>(all: &[T], row: &Row<'_>, column: usize, what: &str) -> rusqlite::Result<T> {
    let at = usize::try_from(row.get::<_, i64>(column)?).ok();
    at.and_then(|at| all.get(at).copied())
        .ok_or_else(|| strange(column, what))
}

/// A row, or the number of one whose checksum is wrong.
pub(crate) type Summed<T> = std::result::Result<T, i64>;

pub(crate) fn result_row(row: &Row<'_>) -> rusqlite::Result<Summed<ResultRow>> {
    let id: i64 = row.get(0)?;
    let mut numbers = [0; 12];
    for (n, number) in numbers.iter_mut().enumerate() {
        *number = row.get(n + 1)?;
    }
    let recording: Option<i64> = row.get(13)?;
    let more: Option<String> = row.get(14)?;
    if result_sum(&numbers, recording, more.as_deref()) != row.get::<_, i64>(15)? {
        return Ok(Err(id));
    }
    let blame: i64 = row.get(9)?;
    Ok(Ok(ResultRow {
        id,
        job: JobId(number_at(row, 1)?),
        file_id: row.get(2)?,
        env_id: row.get(3)?,
        project_id: row.get(4)?,
        finished_ms: number_at(row, 5)?,
        status: pick(&Status::ALL, row, 6, "status")?,
        reason: row.get(16)?,
        verdict: pick(&VERDICTS, row, 8, "verdict")?,
        blame: match blame {
            0 => None,
            n => Some(
                usize::try_from(n - 1)
                    .ok()
                    .and_then(|n| BLAMES.get(n).copied())
                    .ok_or_else(|| strange(9, "blame"))?,
            ),
        },
        cost_ms: number_at(row, 10)?,
        passed: small_at(row, 11)?,
        failed: small_at(row, 12)?,
        recording: match recording {
            Some(_) => Some((
                digest_at(row, 17)?,
                number_at(row, 18)?,
                row.get::<_, i64>(19)? == 0,
            )),
            None => None,
        },
        more,
        file: row.get(20)?,
        sha256: digest_at(row, 21)?,
        kind: pick(&KINDS, row, 22, "kind")?,
        state: FileState::of(row.get(23)?),
        uploaded_ms: number_at(row, 24)?,
        version: row.get(25)?,
        project: row.get(26)?,
        env: Env {
            platform: row.get(27)?,
            interpreter: row.get(28)?,
            isolation: row.get(29)?,
            options: row.get(30)?,
        },
    }))
}

pub(crate) fn finding_row(row: &Row<'_>) -> rusqlite::Result<Summed<FindingRow>> {
    let id: i64 = row.get(0)?;
    let numbers: [i64; 4] = [row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?];
    let (sentence, events): (String, String) = (row.get(5)?, row.get(6)?);
    if finding_sum(&numbers, &sentence, &events) != row.get::<_, i64>(7)? {
        return Ok(Err(id));
    }
    Ok(Ok(FindingRow {
        id,
        result: numbers[0],
        rule_id: numbers[1],
        rule: row.get(8)?,
        state: small_at(row, 3)?,
        severity: small_at(row, 4)?,
        sentence,
        events: serde_json::from_str(&events).map_err(|_| strange(6, "events"))?,
        file_id: row.get(9)?,
        file: row.get(10)?,
        version: row.get(11)?,
        project: row.get(12)?,
    }))
}

pub(crate) fn file_row(row: &Row<'_>) -> rusqlite::Result<File> {
    Ok(File {
        id: row.get(0)?,
        info: FileInfo {
            project: row.get(1)?,
            version: row.get(2)?,
            sort_key: row.get(3)?,
            name: row.get(4)?,
            sha256: digest_at(row, 5)?,
            size: number_at(row, 6)?,
            kind: pick(&KINDS, row, 7, "kind")?,
            uploaded_ms: number_at(row, 8)?,
        },
        state: FileState::of(row.get(9)?),
        captured: match row.get_ref(10)? {
            rusqlite::types::ValueRef::Null => None,
            _ => Some(digest_at(row, 10)?),
        },
        project_id: row.get(11)?,
        version_id: row.get(12)?,
    })
}

/// Refuses rows that are not as they were written.
pub(crate) fn sound<T>(table: &'static str, rows: Vec<Summed<T>>) -> Result<Vec<T>> {
    rows.into_iter()
        .map(|row| row.map_err(|id| StoreError::Corrupt { table, id }))
        .collect()
}

pub(crate) fn results(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<ResultRow>> {
    sound("result", all(conn, sql, params, result_row)?)
}

pub(crate) fn findings(
    conn: &Connection,
    sql: &str,
    params: impl rusqlite::Params,
) -> Result<Vec<FindingRow>> {
    sound("finding", all(conn, sql, params, finding_row)?)
}

/// Numbers of the results and findings after `after` that are not as they were written, and the last number seen.
pub(crate) fn unsound(
    conn: &Connection,
    finding: bool,
    after: i64,
    most: u32,
) -> Result<(Vec<i64>, Option<i64>)> {
    let seen: Vec<Summed<i64>> = if finding {
        let rows = all(conn, sql::FINDINGS_EXPORT, params![after, most], finding_row)?;
        rows.into_iter().map(|r| r.map(|r| r.id)).collect()
    } else {
        let rows = all(conn, sql::RESULTS_EXPORT, params![after, most], result_row)?;
        rows.into_iter().map(|r| r.map(|r| r.id)).collect()
    };
    let last = seen.last().map(|row| match row {
        Ok(id) | Err(id) => *id,
    });
    Ok((seen.into_iter().filter_map(Result::err).collect(), last))
}

pub(crate) fn count_row(row: &Row<'_>) -> rusqlite::Result<Count> {
    Ok(Count {
        status: pick(&Status::ALL, row, 0, "status")?,
        reason: row.get(1)?,
        count: number_at(row, 2)?,
    })
}
