//! The queue's look-ups and changes, in SQLite.

use pyti_dispatch::{
    Change, Job, JobId, JobKey, Lease, Ledger, Monotonic, Policy, Timers, Want, Worker, WorkerId,
};
use pyti_model::Digest;
use rusqlite::{Connection, params};

use crate::error::{Result, StoreError};
use crate::rows::{self, all, bytes, first, run, signed, unsigned};
use crate::{results, sql};

/// The database inside one transaction, and the alarms.
pub(crate) struct Book<'a> {
    pub(crate) conn: &'a Connection,
    pub(crate) timers: &'a Timers,
}

impl Ledger for Book<'_> {
    type Error = StoreError;

    fn job(&self, id: JobId) -> Result<Option<Job>> {
        first(self.conn, sql::JOB, [signed(id.0)], rows::job)
    }

    fn by_key(&self, key: &JobKey) -> Result<Option<Job>> {
        let params = params![bytes(&key.file), bytes(&key.spec), key.generation];
        first(self.conn, sql::JOB_BY_KEY, params, rows::job)
    }

    fn newest_generation(&self, file: &Digest, spec: &Digest) -> Result<Option<Job>> {
        first(
            self.conn,
            sql::JOB_NEWEST,
            params![bytes(file), bytes(spec)],
            rows::job,
        )
    }

    fn by_lease(&self, lease: Lease) -> Result<Option<Job>> {
        first(self.conn, sql::JOB_BY_LEASE, [lease.0], rows::job)
    }

    fn held(&self, worker: &WorkerId) -> Result<Vec<Job>> {
        let mut held = all(self.conn, sql::JOBS_HELD, [worker.as_str()], rows::job)?;
        held.sort_by_key(|job| job.id);
        Ok(held)
    }

    fn next(&self, want: &Want<'_>) -> Result<Option<Job>> {
        let mut best: Option<Job> = None;
        for (need, needs) in needs(self.conn)? {
            if want.offers.is_some_and(|offers| !offers.fit(&needs)) {
                continue;
            }
            for alone in [false, true] {
                if want.alone.is_some_and(|wanted| wanted != alone) {
                    continue;
                }
                // as many as are skipped, and one more
                let limit = i64::try_from(want.skip.len() + 1).unwrap_or(i64::MAX);
                let jobs = all(self.conn, sql::JOBS_NEXT, params![need, alone, limit], rows::job)?;
                let job = jobs.into_iter().find(|job| !want.skip.contains(&job.id));
                best = match (best, job) {
                    (Some(a), Some(b)) if (b.order_key, b.id) < (a.order_key, a.id) => Some(b),
                    (None, b) => b,
                    (a, _) => a,
                };
            }
        }
        Ok(best)
    }

    fn worker(&self, id: &WorkerId) -> Result<Option<Worker>> {
        first(self.conn, sql::WORKER, [id.as_str()], rows::worker)
    }

    fn claimed(&self, worker: &WorkerId, boot: u64, request: u64) -> Result<Option<Vec<(JobId, Lease)>>> {
        let params = params![worker.as_str(), signed(boot), signed(request)];
        let got = all(self.conn, sql::CLAIM, params, |row| {
            Ok((JobId(rows::number_at(row, 0)?), Lease(row.get(1)?)))
        })?;
        Ok(if got.is_empty() { None } else { Some(got) })
    }

    fn came_since(&self, project: &str, since: Monotonic) -> Result<u32> {
        let count = first(
            self.conn,
            sql::JOBS_CAME,
            params![project, signed(since.0)],
            |row| row.get(0),
        )?;
        Ok(count.unwrap_or(0))
    }

    fn unused_id(&self) -> Result<JobId> {
        let last: Option<i64> = first(self.conn, sql::JOB_LAST, [], |row| row.get(0))?.flatten();
        Ok(JobId(unsigned(last.unwrap_or(0)) + 1))
    }

    fn base(&self) -> Result<Monotonic> {
        let base = first(self.conn, sql::BASE, [], |row| rows::number_at(row, 0))?;
        Ok(Monotonic(base.unwrap_or(0)))
    }

    fn timers(&self) -> &Timers {
        self.timers
    }
}

/// Every set of needs that a job ever had, with its number.
pub(crate) fn needs(conn: &Connection) -> Result<Vec<(i64, pyti_dispatch::Needs)>> {
    all(conn, sql::NEEDS, [], |row| {
        Ok((row.get(0)?, rows::needs_at(row, 1)?))
    })
}

/// The alarms of a database that starts at `now` (L4).
pub(crate) fn timers(conn: &Connection, policy: &Policy, now: Monotonic) -> Result<Timers> {
    let mut jobs = Vec::new();
    for state in [0, 2] {
        jobs.extend(all(conn, sql::JOBS_ARMED, [state], |row| {
            let state = rows::state_in(row.get(1)?, row.get(2)?).ok_or_else(|| rows::strange(1, "state"))?;
            Ok((JobId(rows::number_at(row, 0)?), state))
        })?);
    }
    let workers = all(conn, sql::WORKERS, [], rows::worker)?;
    Ok(Timers::at_start(
        now,
        policy,
        jobs,
        workers.iter().map(|w| (&w.id, w.standing)),
    ))
}

/// Writes what was decided; the alarms are the caller's, who sets them when the rest is certain.
pub(crate) fn write(conn: &Connection, policy: &Policy, changes: &[Change]) -> Result<()> {
    for change in changes {
        match change {
            Change::Job(job) => write_job(conn, policy, job)?,
            Change::Worker(worker) => write_worker(conn, worker)?,
            Change::Claimed {
                worker,
                boot,
                request,
                grants,
            } => {
                for (n, (job, lease)) in grants.iter().enumerate() {
                    let params = params![
                        worker.as_str(),
                        signed(*boot),
                        signed(*request),
                        i64::try_from(n).unwrap_or(i64::MAX),
                        signed(job.0),
                        lease.0
                    ];
                    run(conn, sql::CLAIM_PUT, params)?;
                }
            }
            Change::ForgetClaims { worker, before } => {
                let params = params![worker.as_str(), signed(before.0), signed(before.1)];
                run(conn, sql::CLAIM_FORGET, params)?;
            }
            Change::Base(base) => {
                run(conn, sql::BASE_PUT, [signed(base.0)])?;
            }
            Change::Arm(..) | Change::Disarm(_) => {}
        }
    }
    Ok(())
}

fn write_job(conn: &Connection, policy: &Policy, job: &Job) -> Result<()> {
    let (state, why) = rows::state_out(job.state);
    let alone = job.lost >= policy.alone_from;
    let holder = job.holder.as_ref();
    let (lease, worker) = (holder.map(|h| h.lease.0), holder.map(|h| h.worker.as_str()));
    let (id, epoch, mark) = (signed(job.id.0), signed(job.epoch), rows::mark_out(holder));
    let params = params![
        id, state, why, alone, epoch, lease, worker, mark, job.faults, job.lost
    ];
    if run(conn, sql::JOB_CHANGE, params)? > 0 {
        return Ok(());
    }
    let needs = &job.needs;
    let named = params![
        needs.platform.as_str(),
        needs.interpreter.as_str(),
        needs.isolation.as_str(),
        needs.memory_mib
    ];
    let need: Option<i64> = first(conn, sql::NEED_ID, named, |row| row.get(0))?;
    let need = if let Some(need) = need {
        need
    } else {
        run(conn, sql::NEED_PUT, named)?;
        conn.last_insert_rowid()
    };
    let spec = bytes(&job.key.spec);
    let known: Option<i64> = first(conn, sql::SPEC_ID, [&spec], |row| row.get(0))?;
    let spec = if let Some(known) = known {
        known
    } else {
        run(conn, sql::SPEC_PUT, params![spec, None::<Vec<u8>>])?;
        conn.last_insert_rowid()
    };
    let project = results::number(conn, sql::PROJECT_PUT, sql::PROJECT_ID, &job.project)?;
    let priority = pyti_dispatch::Priority::ALL
        .iter()
        .position(|p| *p == job.priority);
    let params = params![
        id,
        bytes(&job.key.file),
        spec,
        job.key.generation,
        project,
        need,
        i64::try_from(priority.unwrap_or(0)).unwrap_or(0),
        signed(job.entered.0),
        signed(job.order_key),
        state,
        why,
        alone,
        epoch,
        lease,
        worker,
        mark,
        job.faults,
        job.lost,
    ];
    run(conn, sql::JOB_PUT, params)?;
    Ok(())
}

fn write_worker(conn: &Connection, worker: &Worker) -> Result<()> {
    let (standing, quiet) = rows::standing_out(worker.standing);
    let offers =
        serde_json::to_string(&worker.offers).map_err(|_| StoreError::Invalid("offers that are no JSON"))?;
    let params = params![
        worker.id.as_str(),
        standing,
        quiet,
        offers,
        signed(worker.boot),
        signed(worker.request),
        worker.health.ends,
        worker.health.quarantines,
        worker.health.probation,
        signed(worker.health.counted_boot),
    ];
    run(conn, sql::WORKER_PUT, params)?;
    Ok(())
}
