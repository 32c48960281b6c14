//! What pages ask. Every list goes on from where the last one ended (no offsets), and none is longer than [`MOST`].

use pyti_dispatch::{Job, JobId, Needs, Worker, WorkerId};
use pyti_model::outcome::{Blame, Status, Verdict};
use pyti_model::{Digest, FileKind};
use rusqlite::{Connection, Row, params};
use serde::Serialize;

use crate::error::{Result, StoreError};
use crate::results::{BLAMES, Env, FileInfo, KINDS, VERDICTS, finding_sum, result_sum, verdict_number};
use crate::rows::{self, all, bytes, digest_at, first, number_at, signed, small_at, strange};
use crate::store::Store;
use crate::{ledger, sql};

/// Most rows of one answer.
pub const MOST: u32 = 200;

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

    fn of(bits: i64) -> Self {
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

fn limit(wanted: u32) -> u32 {
    wanted.clamp(1, MOST)
}

fn before(id: Option<i64>) -> i64 {
    id.unwrap_or(i64::MAX)
}

fn pick<T: Copy>(all: &[T], row: &Row<'_>, column: usize, what: &str) -> rusqlite::Result<T> {
    let at = usize::try_from(row.get::<_, i64>(column)?).ok();
    at.and_then(|at| all.get(at).copied())
        .ok_or_else(|| strange(column, what))
}

/// A row, or the number of one whose checksum is wrong.
type Summed<T> = std::result::Result<T, i64>;

fn result_row(row: &Row<'_>) -> rusqlite::Result<Summed<ResultRow>> {
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

fn finding_row(row: &Row<'_>) -> rusqlite::Result<Summed<FindingRow>> {
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

fn file_row(row: &Row<'_>) -> rusqlite::Result<File> {
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
fn sound<T>(table: &'static str, rows: Vec<Summed<T>>) -> Result<Vec<T>> {
    rows.into_iter()
        .map(|row| row.map_err(|id| StoreError::Corrupt { table, id }))
        .collect()
}

fn results(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<ResultRow>> {
    sound("result", all(conn, sql, params, result_row)?)
}

fn findings(conn: &Connection, sql: &str, params: impl rusqlite::Params) -> Result<Vec<FindingRow>> {
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

impl Store {
    /// Results before one, newest first.
    pub fn latest(&self, before_id: Option<i64>, most: u32) -> Result<Vec<ResultRow>> {
        self.read(move |c| results(c, sql::RESULTS_LATEST, params![before(before_id), limit(most)]))
    }

    /// Results after one, oldest first: for exports, and for those who follow.
    pub fn export(&self, after: i64, most: u32) -> Result<Vec<ResultRow>> {
        self.read(move |c| results(c, sql::RESULTS_EXPORT, params![after, limit(most)]))
    }

    /// One result.
    pub fn result(&self, id: i64) -> Result<Option<ResultRow>> {
        self.read(move |c| Ok(results(c, sql::RESULT, [id])?.pop()))
    }

    /// The result of a job.
    pub fn result_of(&self, job: JobId) -> Result<Option<ResultRow>> {
        self.read(move |c| Ok(results(c, sql::RESULT_BY_JOB, [signed(job.0)])?.pop()))
    }

    /// The number of a project by its normalized name.
    pub fn project(&self, name: &str) -> Result<Option<i64>> {
        let name = name.to_owned();
        self.read(move |c| first(c, sql::PROJECT_ID, [name], |row| row.get(0)))
    }

    /// Projects whose name begins so, by name.
    pub fn search(&self, prefix: &str, most: u32) -> Result<Vec<(i64, String)>> {
        // the first name after all that begin so
        let end = format!("{prefix}\u{10ffff}");
        let prefix = prefix.to_owned();
        self.read(move |c| {
            all(c, sql::SEARCH, params![prefix, end, limit(most)], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
        })
    }

    /// Results of a project, newest first.
    pub fn project_results(&self, project: i64, before_id: Option<i64>, most: u32) -> Result<Vec<ResultRow>> {
        self.read(move |c| {
            let params = params![project, before(before_id), limit(most)];
            results(c, sql::RESULTS_BY_PROJECT, params)
        })
    }

    /// Releases of a project, newest first, after the one with this sort key.
    pub fn versions(&self, project: i64, after: Option<Vec<u8>>, most: u32) -> Result<Vec<VersionRow>> {
        self.read(move |c| {
            let read = |row: &Row<'_>| {
                Ok(VersionRow {
                    id: row.get(0)?,
                    version: row.get(1)?,
                    sort_key: row.get(2)?,
                })
            };
            match after {
                None => all(c, sql::VERSIONS_FIRST, params![project, limit(most)], read),
                Some(key) => all(c, sql::VERSIONS_AFTER, params![project, key, limit(most)], read),
            }
        })
    }

    /// Files of some releases, each with its newest result in every environment: the matrix of a project's page.
    pub fn matrix(&self, versions: Vec<i64>) -> Result<Vec<(File, Vec<ResultRow>)>> {
        self.read(move |c| {
            let mut matrix = Vec::new();
            for version in versions.iter().take(MOST as usize) {
                for file in all(c, sql::FILES_BY_VERSION, [version], file_row)? {
                    let newest = results(c, sql::RESULTS_CURRENT, [file.id])?;
                    matrix.push((file, newest));
                }
            }
            Ok(matrix)
        })
    }

    /// How many files and environments of a project have a result.
    pub fn tested(&self, project: i64) -> Result<u64> {
        self.read(move |c| {
            let count = first(c, sql::COUNT_CURRENT, [project], |row| number_at(row, 0))?;
            Ok(count.unwrap_or(0))
        })
    }

    /// A file by its number.
    pub fn file(&self, id: i64) -> Result<Option<File>> {
        self.read(move |c| first(c, sql::FILE, [id], file_row))
    }

    /// Files with this content; mostly one.
    pub fn files(&self, sha256: &Digest) -> Result<Vec<File>> {
        let sha256 = bytes(sha256);
        self.read(move |c| all(c, sql::FILES_BY_SHA256, [sha256], file_row))
    }

    /// The newest result of a file in every environment.
    pub fn file_current(&self, file: i64) -> Result<Vec<ResultRow>> {
        self.read(move |c| results(c, sql::RESULTS_CURRENT, [file]))
    }

    /// Results of a file in one environment, newest first.
    pub fn file_results(
        &self,
        file: i64,
        env: i64,
        before_id: Option<i64>,
        most: u32,
    ) -> Result<Vec<ResultRow>> {
        self.read(move |c| {
            let params = params![file, env, before(before_id), limit(most)];
            results(c, sql::RESULTS_BY_FILE, params)
        })
    }

    /// Results with this first reason, newest first.
    pub fn results_by_reason(&self, code: &str, before_id: Option<i64>, most: u32) -> Result<Vec<ResultRow>> {
        let code = code.to_owned();
        self.read(move |c| {
            let Some(reason) = first(c, sql::REASON_ID, [code], |row| row.get::<_, i64>(0))? else {
                return Ok(Vec::new());
            };
            let params = params![reason, before(before_id), limit(most)];
            results(c, sql::RESULTS_BY_REASON, params)
        })
    }

    /// Results with this verdict, newest first.
    pub fn results_by_verdict(
        &self,
        verdict: Verdict,
        before_id: Option<i64>,
        most: u32,
    ) -> Result<Vec<ResultRow>> {
        self.read(move |c| {
            let params = params![verdict_number(verdict), before(before_id), limit(most)];
            results(c, sql::RESULTS_BY_VERDICT, params)
        })
    }

    /// Results that a worker brought, by job: what to test again when it is revoked (L10).
    pub fn results_of_worker(
        &self,
        worker: &WorkerId,
        after: Option<JobId>,
        most: u32,
    ) -> Result<Vec<ResultRow>> {
        let worker = worker.clone();
        self.read(move |c| {
            let after = after.map_or(0, |job| signed(job.0));
            let params = params![worker.as_str(), after, limit(most)];
            results(c, sql::RESULTS_BY_WORKER, params)
        })
    }

    /// Findings of a result.
    pub fn findings(&self, result: i64) -> Result<Vec<FindingRow>> {
        self.read(move |c| findings(c, sql::FINDINGS_BY_RESULT, [result]))
    }

    /// Findings of a rule, newest first.
    pub fn findings_by_rule(&self, rule: &str, before_id: Option<i64>, most: u32) -> Result<Vec<FindingRow>> {
        let rule = rule.to_owned();
        self.read(move |c| {
            let Some(rule) = first(c, sql::RULE_ID, [rule], |row| row.get::<_, i64>(0))? else {
                return Ok(Vec::new());
            };
            let params = params![rule, before(before_id), limit(most)];
            findings(c, sql::FINDINGS_BY_RULE, params)
        })
    }

    /// Findings of a severity, newest first.
    pub fn findings_by_severity(
        &self,
        severity: u8,
        before_id: Option<i64>,
        most: u32,
    ) -> Result<Vec<FindingRow>> {
        self.read(move |c| {
            let params = params![severity, before(before_id), limit(most)];
            findings(c, sql::FINDINGS_BY_SEVERITY, params)
        })
    }

    /// Every rule that ever found something, by name.
    pub fn rules(&self) -> Result<Vec<(i64, String)>> {
        self.read(|c| all(c, sql::RULES, [], |row| Ok((row.get(0)?, row.get(1)?))))
    }

    /// How many findings of a rule there are, of this state and severity.
    pub fn finding_count(&self, rule: i64, state: u8, severity: u8) -> Result<u64> {
        self.read(move |c| {
            let params = params![rule, state, severity];
            Ok(first(c, sql::FINDING_COUNT, params, |row| number_at(row, 0))?.unwrap_or(0))
        })
    }

    /// Statuses and reasons of the hours before a moment (milliseconds since 1970), from hourly counters.
    pub fn reasons_of_hours(&self, hours: u32, now_ms: u64) -> Result<Vec<Count>> {
        let now = signed(now_ms) / 3_600_000;
        self.read(move |c| all(c, sql::HOURS, params![now - i64::from(hours), now], count_row))
    }

    /// The same of days, from daily counters.
    pub fn reasons_of_days(&self, days: u32, now_ms: u64) -> Result<Vec<Count>> {
        let now = signed(now_ms) / 86_400_000;
        self.read(move |c| all(c, sql::DAYS, params![now - i64::from(days), now], count_row))
    }

    /// Every queue and how long it is.
    pub fn queues(&self) -> Result<Vec<QueueRow>> {
        self.read(|c| {
            let mut queues = Vec::new();
            for (need, needs) in ledger::needs(c)? {
                let of = |state: i64| {
                    first(c, sql::QUEUE_LENGTH, [state, need], |row| {
                        Ok((number_at(row, 0)?, row.get::<_, Option<i64>>(1)?))
                    })
                };
                let (queued, oldest) = of(1)?.unwrap_or_default();
                queues.push(QueueRow {
                    needs,
                    queued,
                    leased: of(2)?.unwrap_or_default().0,
                    waiting: of(0)?.unwrap_or_default().0,
                    oldest: oldest.map(rows::unsigned),
                });
            }
            Ok(queues)
        })
    }

    /// Every worker.
    pub fn workers(&self) -> Result<Vec<Worker>> {
        self.read(|c| all(c, sql::WORKERS, [], rows::worker))
    }

    /// What a worker holds.
    pub fn held(&self, worker: &WorkerId) -> Result<Vec<Job>> {
        let worker = worker.clone();
        self.read(move |c| all(c, sql::JOBS_HELD, [worker.as_str()], rows::job))
    }

    /// Jobs of a file, in every environment and generation.
    pub fn jobs_of_file(&self, sha256: &Digest, most: u32) -> Result<Vec<Job>> {
        let sha256 = bytes(sha256);
        self.read(move |c| {
            let mut jobs = all(c, sql::JOBS_BY_FILE, params![sha256, 0, limit(most)], rows::job)?;
            jobs.sort_by_key(|job| job.id);
            Ok(jobs)
        })
    }

    /// Jobs that were given up, newest first.
    pub fn dead_jobs(&self, before_job: Option<JobId>, most: u32) -> Result<Vec<Job>> {
        self.read(move |c| {
            let before = before_job.map_or(i64::MAX, |job| signed(job.0));
            all(c, sql::JOBS_DEAD, params![before, limit(most)], rows::job)
        })
    }

    /// The next jobs of a queue in the order in which they are given out, those that must run alone apart.
    pub fn turn(&self, needs: &Needs, alone: bool, most: u32) -> Result<Vec<Job>> {
        let needs = needs.clone();
        self.read(move |c| {
            let known = ledger::needs(c)?.into_iter().find(|(_, n)| *n == needs);
            match known {
                Some((need, _)) => all(c, sql::JOBS_NEXT, params![need, alone, limit(most)], rows::job),
                None => Ok(Vec::new()),
            }
        })
    }
}

fn count_row(row: &Row<'_>) -> rusqlite::Result<Count> {
    Ok(Count {
        status: pick(&Status::ALL, row, 0, "status")?,
        reason: row.get(1)?,
        count: number_at(row, 2)?,
    })
}
