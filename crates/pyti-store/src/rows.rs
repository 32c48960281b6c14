//! Between rows and types.

use pyti_dispatch::{
    Death, Health, Holder, Job, JobId, JobKey, Label, Lease, Mark, Monotonic, Needs, Priority, Standing,
    State, Wait, Worker, WorkerId,
};
use pyti_model::Digest;
use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Params, Row};

use crate::error::Result;

/// A number as the database holds it; what is too big for it is as big as it can be.
pub(crate) fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A number as it was before it was put into the database.
pub(crate) fn unsigned(n: i64) -> u64 {
    n.max(0).cast_unsigned()
}

/// The 32 bytes of a digest.
pub(crate) fn bytes(digest: &Digest) -> Vec<u8> {
    let hex = |b: u8| if b < b'a' { b - b'0' } else { b - b'a' + 10 };
    digest
        .as_str()
        .as_bytes()
        .chunks_exact(2)
        .map(|pair| hex(pair[0]) << 4 | hex(pair[1]))
        .collect()
}

/// A digest from its bytes.
pub(crate) fn digest(bytes: &[u8]) -> Option<Digest> {
    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    text.parse().ok()
}

/// For values that this program never writes.
pub(crate) fn strange(column: usize, what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Null, format!("strange {what}").into())
}

pub(crate) fn digest_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Digest> {
    let bytes = row
        .get_ref(column)?
        .as_blob()
        .map_err(|_| strange(column, "digest"))?;
    digest(bytes).ok_or_else(|| strange(column, "digest"))
}

pub(crate) fn number_at(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(unsigned)
}

/// A small number; anything else was not written by us.
pub(crate) fn small_at<T: TryFrom<i64>>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    T::try_from(row.get(column)?).map_err(|_| strange(column, "number"))
}

fn label_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Label> {
    let text = row
        .get_ref(column)?
        .as_str()
        .map_err(|_| strange(column, "name"))?;
    text.parse().map_err(|_| strange(column, "name"))
}

/// State and the number beside it.
pub(crate) fn state_out(state: State) -> (i64, i64) {
    match state {
        State::Waiting(Wait::Capture) => (0, 0),
        State::Waiting(Wait::BackOff(ms)) => (0, signed(ms.saturating_add(1))),
        State::Queued => (1, 0),
        State::Leased => (2, 0),
        State::Done => (3, 0),
        State::Dead(Death::Faults) => (4, 0),
        State::Dead(Death::Lost) => (4, 1),
        State::Cancelled => (5, 0),
    }
}

/// The state of these two numbers.
pub(crate) fn state_in(state: i64, why: i64) -> Option<State> {
    Some(match (state, why) {
        (0, 0) => State::Waiting(Wait::Capture),
        (0, ms) => State::Waiting(Wait::BackOff(unsigned(ms) - 1)),
        (1, _) => State::Queued,
        (2, _) => State::Leased,
        (3, _) => State::Done,
        (4, 0) => State::Dead(Death::Faults),
        (4, _) => State::Dead(Death::Lost),
        (5, _) => State::Cancelled,
        _ => return None,
    })
}

pub(crate) fn mark_out(holder: Option<&Holder>) -> i64 {
    match holder.map(|h| h.mark) {
        None | Some(Mark::Live) => 0,
        Some(Mark::Completed) => 1,
        Some(Mark::Released) => 2,
    }
}

pub(crate) fn needs_at(row: &Row<'_>, column: usize) -> rusqlite::Result<Needs> {
    Ok(Needs {
        platform: label_at(row, column)?,
        interpreter: label_at(row, column + 1)?,
        isolation: label_at(row, column + 2)?,
        memory_mib: small_at(row, column + 3)?,
    })
}

/// A row of [`crate::sql::JOB`].
pub(crate) fn job(row: &Row<'_>) -> rusqlite::Result<Job> {
    let priority = usize::try_from(row.get::<_, i64>(9)?).ok();
    let lease: Option<[u8; 16]> = row.get(15)?;
    let worker: Option<String> = row.get(16)?;
    let holder = match (lease, worker) {
        (Some(lease), Some(worker)) => Some(Holder {
            lease: Lease(lease),
            worker: worker.parse::<WorkerId>().map_err(|_| strange(16, "worker"))?,
            mark: match row.get(17)? {
                0 => Mark::Live,
                1 => Mark::Completed,
                2 => Mark::Released,
                _ => return Err(strange(17, "mark")),
            },
        }),
        _ => None,
    };
    Ok(Job {
        id: JobId(number_at(row, 0)?),
        key: JobKey {
            file: digest_at(row, 1)?,
            spec: digest_at(row, 2)?,
            generation: small_at(row, 3)?,
        },
        project: row.get(4)?,
        needs: needs_at(row, 5)?,
        priority: priority
            .and_then(|p| Priority::ALL.get(p).copied())
            .ok_or_else(|| strange(9, "priority"))?,
        entered: Monotonic(number_at(row, 10)?),
        order_key: number_at(row, 11)?,
        state: state_in(row.get(12)?, row.get(13)?).ok_or_else(|| strange(12, "state"))?,
        epoch: number_at(row, 14)?,
        holder,
        faults: small_at(row, 18)?,
        lost: small_at(row, 19)?,
    })
}

pub(crate) fn standing_out(standing: Standing) -> (i64, i64) {
    match standing {
        Standing::Pending => (0, 0),
        Standing::Active => (1, 0),
        Standing::Held => (2, 0),
        Standing::Draining => (3, 0),
        Standing::Quarantined(ms) => (4, signed(ms)),
        Standing::Revoked => (5, 0),
    }
}

/// A row of [`crate::sql::WORKER`].
pub(crate) fn worker(row: &Row<'_>) -> rusqlite::Result<Worker> {
    let name: String = row.get(0)?;
    let offers: String = row.get(3)?;
    Ok(Worker {
        id: name.parse().map_err(|_| strange(0, "worker"))?,
        standing: match row.get(1)? {
            0 => Standing::Pending,
            1 => Standing::Active,
            2 => Standing::Held,
            3 => Standing::Draining,
            4 => Standing::Quarantined(number_at(row, 2)?),
            5 => Standing::Revoked,
            _ => return Err(strange(1, "standing")),
        },
        offers: serde_json::from_str(&offers).map_err(|_| strange(3, "offers"))?,
        boot: number_at(row, 4)?,
        request: number_at(row, 5)?,
        health: Health {
            ends: small_at(row, 6)?,
            quarantines: small_at(row, 7)?,
            probation: row.get(8)?,
            counted_boot: number_at(row, 9)?,
        },
    })
}

/// All rows of a statement.
pub(crate) fn all<T, P: Params>(
    conn: &Connection,
    sql: &str,
    params: P,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let rows = statement.query_map(params, read)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The first row of a statement.
pub(crate) fn first<T, P: Params>(
    conn: &Connection,
    sql: &str,
    params: P,
    read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>> {
    Ok(conn.prepare_cached(sql)?.query_row(params, read).optional()?)
}

/// Runs a statement; how many rows it changed.
pub(crate) fn run<P: Params>(conn: &Connection, sql: &str, params: P) -> Result<usize> {
    Ok(conn.prepare_cached(sql)?.execute(params)?)
}
