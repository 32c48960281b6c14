//! What pages ask. Every list goes on from where the last one ended (no offsets), and none is longer than [`MOST`].

use pyti_dispatch::{Job, JobId, Needs, Worker, WorkerId};
use pyti_model::Digest;
use pyti_model::outcome::{Status, Verdict};
use rusqlite::{Row, params};

use crate::error::Result;
use crate::results::verdict_number;
use crate::rows::{self, all, bytes, first, number_at, signed};
use crate::shown::{
    Count, File, FindingRow, QueueRow, ResultRow, VersionRow, count_row, file_row, findings, pick, results,
};
use crate::store::Store;
use crate::{ledger, sql};

/// Most rows of one answer.
pub const MOST: u32 = 200;
/// Releases of one step of a matrix.
const STEP: usize = 10;

fn limit(wanted: u32) -> u32 {
    wanted.clamp(1, MOST)
}

fn before(id: Option<i64>) -> i64 {
    id.unwrap_or(i64::MAX)
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
        self.search_after(prefix, None, most)
    }

    /// The same, after the one of this name.
    pub fn search_after(&self, prefix: &str, after: Option<&str>, most: u32) -> Result<Vec<(i64, String)>> {
        // the first name after all that begin so
        let end = format!("{prefix}\u{10ffff}");
        // the first name after that one
        let start = after.map_or_else(|| prefix.to_owned(), |after| format!("{after}\0"));
        let start = start.max(prefix.to_owned());
        self.read(move |c| {
            all(c, sql::SEARCH, params![start, end, limit(most)], |row| {
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
    pub fn matrix(&self, mut versions: Vec<i64>) -> Result<Vec<(File, Vec<ResultRow>)>> {
        versions.truncate(MOST as usize);
        let mut matrix = Vec::new();
        // in steps, each with a time limit of its own
        for step in versions.chunks(STEP) {
            let step = step.to_vec();
            matrix.extend(self.read(move |c| {
                let mut part = Vec::new();
                for version in step {
                    for file in all(c, sql::FILES_BY_VERSION, [version], file_row)? {
                        let newest = results(c, sql::RESULTS_CURRENT, [file.id])?;
                        part.push((file, newest));
                    }
                }
                Ok(part)
            })?);
        }
        Ok(matrix)
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

    /// Files that became known before one, newest first.
    pub fn files_latest(&self, before_id: Option<i64>, most: u32) -> Result<Vec<File>> {
        self.read(move |c| {
            all(
                c,
                sql::FILES_LATEST,
                params![before(before_id), limit(most)],
                file_row,
            )
        })
    }

    /// Files that became known after one, oldest first: for those who follow.
    pub fn files_after(&self, after: i64, most: u32) -> Result<Vec<File>> {
        self.read(move |c| all(c, sql::FILES_EXPORT, params![after, limit(most)], file_row))
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

    /// Findings before one, newest first.
    pub fn findings_latest(&self, before_id: Option<i64>, most: u32) -> Result<Vec<FindingRow>> {
        self.read(move |c| findings(c, sql::FINDINGS_LATEST, params![before(before_id), limit(most)]))
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

    /// How many findings of a rule there are: `(state, severity, count)`.
    pub fn finding_counts(&self, rule: i64) -> Result<Vec<(u8, u8, u64)>> {
        self.read(move |c| {
            all(c, sql::FINDING_COUNTS, [rule], |row| {
                Ok((
                    rows::small_at(row, 0)?,
                    rows::small_at(row, 1)?,
                    number_at(row, 2)?,
                ))
            })
        })
    }

    /// How many results each hour before a moment (milliseconds since 1970) had: `(hour since 1970, status, count)`.
    pub fn hours(&self, hours: u32, now_ms: u64) -> Result<Vec<(u64, Status, u64)>> {
        let now = signed(now_ms) / 3_600_000;
        self.read(move |c| {
            all(c, sql::HOURS_APART, params![now - i64::from(hours), now], |row| {
                Ok((
                    number_at(row, 0)?,
                    pick(&Status::ALL, row, 1, "status")?,
                    number_at(row, 2)?,
                ))
            })
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

    /// Jobs that came before one, newest first.
    pub fn jobs_latest(&self, before_job: Option<JobId>, most: u32) -> Result<Vec<Job>> {
        self.read(move |c| {
            let before = before_job.map_or(i64::MAX, |job| signed(job.0));
            all(c, sql::JOBS_LATEST, params![before, limit(most)], rows::job)
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
