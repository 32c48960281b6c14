//! Small things that the service keeps besides: tokens, sessions and keys (hashed by whoever brings them), and who did what.

use rusqlite::params;

use crate::clock::calendar_ms;
use crate::error::Result;
use crate::pages::MOST;
use crate::rows::{all, first, number_at, run, signed};
use crate::sql;
use crate::store::Store;

/// One line of the audit log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub id: i64,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// Who.
    pub who: String,
    /// Did what.
    pub what: String,
    /// To whom.
    pub detail: String,
}

impl Store {
    /// Keeps a value, until a moment (milliseconds since 1970) or for ever.
    pub fn keep_put(&self, space: &str, key: &str, value: &[u8], until_ms: Option<u64>) -> Result<()> {
        let (space, key, value) = (space.to_owned(), key.to_owned(), value.to_owned());
        self.write(move |desk| {
            run(
                &desk.conn,
                sql::KEEP_PUT,
                params![space, key, value, until_ms.map(signed)],
            )
            .map(drop)
        })
    }

    /// A value that is kept and not over.
    pub fn keep_get(&self, space: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let (space, key) = (space.to_owned(), key.to_owned());
        self.read(move |c| {
            first(c, sql::KEEP, params![space, key, signed(calendar_ms())], |row| {
                row.get(0)
            })
        })
    }

    /// Takes a value away; only one of several who try gets it, so that it can be used once.
    pub fn keep_take(&self, space: &str, key: &str) -> Result<Option<Vec<u8>>> {
        let (space, key) = (space.to_owned(), key.to_owned());
        self.write(move |desk| {
            let params = params![space, key, signed(calendar_ms())];
            first(&desk.conn, sql::KEEP_TAKE, params, |row| row.get(0))
        })
    }

    /// Values of a space after a key, by key.
    pub fn keep_list(&self, space: &str, after: &str, most: u32) -> Result<Vec<(String, Vec<u8>)>> {
        let (space, after) = (space.to_owned(), after.to_owned());
        self.read(move |c| {
            let params = params![space, after, signed(calendar_ms()), most.clamp(1, MOST)];
            all(c, sql::KEEP_LIST, params, |row| Ok((row.get(0)?, row.get(1)?)))
        })
    }

    /// Forgets what is over; how many.
    pub fn keep_sweep(&self) -> Result<usize> {
        self.write(|desk| run(&desk.conn, sql::KEEP_FORGET, [signed(calendar_ms())]))
    }

    /// Notes who did what. Nothing secret belongs in it.
    pub fn audit(&self, who: &str, what: &str, detail: &str) -> Result<()> {
        let (who, what, detail) = (who.to_owned(), what.to_owned(), detail.to_owned());
        self.write(move |desk| {
            let params = params![signed(calendar_ms()), who, what, detail];
            run(&desk.conn, sql::AUDIT_PUT, params).map(drop)
        })
    }

    /// The audit log before a line, newest first.
    pub fn audit_log(&self, before: Option<i64>, most: u32) -> Result<Vec<AuditRow>> {
        self.read(move |c| {
            let params = params![before.unwrap_or(i64::MAX), most.clamp(1, MOST)];
            all(c, sql::AUDIT, params, |row| {
                Ok(AuditRow {
                    id: row.get(0)?,
                    at_ms: number_at(row, 1)?,
                    who: row.get(2)?,
                    what: row.get(3)?,
                    detail: row.get(4)?,
                })
            })
        })
    }
}
