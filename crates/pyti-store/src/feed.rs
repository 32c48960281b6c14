//! Files, specifications and feeds: what comes before a job.

use pyti_dispatch::{Answer, Message, NewJob};
use pyti_model::Digest;
use rusqlite::params;

use crate::clock::calendar_ms;
use crate::error::{Result, StoreError};
use crate::pages::MOST;
use crate::results::{self, Class, FileInfo, OUTBOX_FILE};
use crate::rows::{all, bytes, first, number_at, run, signed, small_at};
use crate::shown::{File, FileState, file_row};
use crate::sql;
use crate::store::Store;

/// Longest specification of a job, in bytes.
const SPEC_BYTES: usize = 1 << 20;

/// Something that a feed told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedEvent {
    /// The feed's own number of it.
    pub serial: u64,
    /// Normalized name of the project.
    pub project: String,
    /// What happened, in the feed's words.
    pub action: String,
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
}

/// An event that waits to become jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenEvent {
    /// Its number here.
    pub id: i64,
    /// Of which feed.
    pub feed: String,
    /// What was told.
    pub event: FeedEvent,
    /// How often it was tried.
    pub tries: u32,
}

/// What became of some events: files, specifications and jobs, written together.
#[derive(Debug, Clone, Default)]
pub struct Expansion {
    /// Numbers of events that are done with.
    pub events: Vec<i64>,
    /// Files that they brought.
    pub files: Vec<FileInfo>,
    /// Specifications of the jobs, by their hash.
    pub specs: Vec<(Digest, Vec<u8>)>,
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// Files to be stored, whether a job wants them or not.
    pub captures: Vec<Digest>,
}

/// A file that is to be stored.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Which.
    pub file: File,
    /// How often it was tried.
    pub tries: u32,
}

impl Store {
    /// Where a feed was read up to.
    pub fn feed_cursor(&self, feed: &str) -> Result<Option<String>> {
        let feed = feed.to_owned();
        self.read(move |c| first(c, sql::CURSOR, [feed], |row| row.get(0)))
    }

    /// Takes events and where the feed was read up to, in one transaction; events that are known already change nothing. How
    /// many were new.
    pub fn feed_take(&self, feed: &str, cursor: &str, events: Vec<FeedEvent>) -> Result<usize> {
        let (feed, cursor) = (feed.to_owned(), cursor.to_owned());
        self.write(move |desk| {
            let mut new = 0;
            for event in &events {
                let params = params![
                    feed,
                    signed(event.serial),
                    event.project,
                    event.action,
                    signed(event.at_ms)
                ];
                new += run(&desk.conn, sql::EVENT_PUT, params)?;
            }
            run(&desk.conn, sql::CURSOR_PUT, params![feed, cursor])?;
            Ok(new)
        })
    }

    /// Events that wait and are due (milliseconds since 1970), oldest first.
    pub fn feed_open(&self, now_ms: u64, most: u32) -> Result<Vec<OpenEvent>> {
        self.read(move |c| {
            all(
                c,
                sql::EVENTS_OPEN,
                params![signed(now_ms), most.clamp(1, MOST)],
                |row| {
                    Ok(OpenEvent {
                        id: row.get(0)?,
                        feed: row.get(1)?,
                        event: FeedEvent {
                            serial: number_at(row, 2)?,
                            project: row.get(3)?,
                            action: row.get(4)?,
                            at_ms: number_at(row, 5)?,
                        },
                        tries: small_at(row, 6)?,
                    })
                },
            )
        })
    }

    /// How many events wait, and when the oldest happened (milliseconds since 1970): the lag.
    pub fn feed_lag(&self) -> Result<(u64, Option<u64>)> {
        self.read(|c| {
            let lag = first(c, sql::EVENTS_OPEN_COUNT, [], |row| {
                Ok((number_at(row, 0)?, row.get::<_, Option<i64>>(1)?))
            })?;
            let (count, oldest) = lag.unwrap_or_default();
            Ok((count, oldest.map(crate::rows::unsigned)))
        })
    }

    /// Tries an event again, not before that moment (milliseconds since 1970).
    pub fn feed_defer(&self, event: i64, due_ms: u64) -> Result<()> {
        self.write(move |desk| run(&desk.conn, sql::EVENT_DEFER, params![event, signed(due_ms)]).map(drop))
    }

    /// Gives an event up.
    pub fn feed_give_up(&self, event: i64) -> Result<()> {
        self.write(move |desk| run(&desk.conn, sql::EVENT_STATE_PUT, params![event, 2]).map(drop))
    }

    /// Events become files and jobs: all of it, or nothing. What each submission was answered.
    pub fn expand(&self, expansion: Expansion) -> Result<Vec<Answer>> {
        self.write(move |desk| {
            for file in &expansion.files {
                results::put_file(&desk.conn, file)?;
            }
            for (hash, body) in &expansion.specs {
                put_spec(&desk.conn, hash, body)?;
            }
            let mut answers = Vec::with_capacity(expansion.jobs.len());
            for job in expansion.jobs {
                answers.push(desk.step(Message::Submit(job))?.answer);
            }
            for file in &expansion.captures {
                run(&desk.conn, sql::UPLOAD_PUT, params![bytes(file)])?;
            }
            for event in &expansion.events {
                run(&desk.conn, sql::EVENT_STATE_PUT, params![event, 1])?;
            }
            Ok(answers)
        })
    }

    /// A job's specification by its hash.
    pub fn spec(&self, hash: &Digest) -> Result<Option<Vec<u8>>> {
        let hash = bytes(hash);
        self.read(move |c| first(c, sql::SPEC, [hash], |row| row.get(0)))
    }

    /// The index says something else of a file now. It changes the file's row, never a result.
    pub fn set_file_state(&self, sha256: &Digest, state: FileState) -> Result<usize> {
        let sha256 = bytes(sha256);
        self.write(move |desk| {
            let changed = run(&desk.conn, sql::FILE_STATE_PUT, params![sha256, state.bits()])?;
            let files = all(&desk.conn, sql::FILES_BY_SHA256, [&sha256], |row| {
                row.get::<_, i64>(0)
            })?;
            for file in files {
                run(&desk.conn, sql::OUTBOX_PUT, params![OUTBOX_FILE, file])?;
            }
            Ok(changed)
        })
    }

    /// A file was captured: its blob is stored, and its row says so.
    pub fn captured(&self, file: &FileInfo, class: Class) -> Result<()> {
        if !self.blobs().has(&file.sha256) {
            return Err(StoreError::NoBlob(file.sha256.to_string()));
        }
        let file = file.clone();
        self.write(move |desk| {
            results::put_file(&desk.conn, &file)?;
            let blob = results::put_blob(&desk.conn, &file.sha256, file.size, class, calendar_ms())?;
            run(&desk.conn, sql::FILE_BLOB_PUT, params![bytes(&file.sha256), blob])?;
            run(&desk.conn, sql::UPLOADS_DROP, params![bytes(&file.sha256)]).map(drop)
        })
    }

    /// Files that are to be stored and due (milliseconds since 1970), those that wait longest first.
    pub fn uploads(&self, now_ms: u64, most: u32) -> Result<Vec<Upload>> {
        let due: Vec<(i64, u32)> = self.read(move |c| {
            all(
                c,
                sql::UPLOADS_DUE,
                params![signed(now_ms), most.clamp(1, MOST)],
                |row| Ok((row.get(0)?, small_at(row, 1)?)),
            )
        })?;
        let mut uploads = Vec::with_capacity(due.len());
        for (id, tries) in due {
            if let Some(file) = self.file(id)? {
                uploads.push(Upload { file, tries });
            }
        }
        Ok(uploads)
    }

    /// How many files are to be stored.
    pub fn upload_count(&self) -> Result<u64> {
        self.read(|c| Ok(first(c, sql::UPLOADS_COUNT, [], |row| number_at(row, 0))?.unwrap_or(0)))
    }

    /// Tries to store a file again, not before that moment (milliseconds since 1970).
    pub fn upload_defer(&self, file: i64, due_ms: u64) -> Result<()> {
        self.write(move |desk| run(&desk.conn, sql::UPLOAD_DEFER, params![file, signed(due_ms)]).map(drop))
    }

    /// A file is not to be stored any more: it cannot be had.
    pub fn upload_give_up(&self, file: i64) -> Result<()> {
        self.write(move |desk| run(&desk.conn, sql::UPLOAD_DROP, params![file]).map(drop))
    }

    /// Every file of a project after a number, by number.
    pub fn files_of_project(&self, project: i64, after: i64, most: u32) -> Result<Vec<File>> {
        self.read(move |c| {
            all(
                c,
                sql::FILES_OF_PROJECT,
                params![project, after, most.clamp(1, MOST)],
                file_row,
            )
        })
    }

    /// What happened after a number: `(number, kind, subject)`, to be passed on to others.
    pub fn outbox(&self, after: i64, most: u32) -> Result<Vec<(i64, u8, i64)>> {
        self.read(move |c| {
            all(c, sql::OUTBOX, params![after, most.clamp(1, MOST)], |row| {
                Ok((row.get(0)?, small_at(row, 1)?, row.get(2)?))
            })
        })
    }

    /// Everybody has heard what happened up to that number.
    pub fn outbox_forget(&self, up_to: i64) -> Result<usize> {
        self.write(move |desk| run(&desk.conn, sql::OUTBOX_FORGET, [up_to]))
    }
}

pub(crate) fn put_spec(conn: &rusqlite::Connection, hash: &Digest, body: &[u8]) -> Result<()> {
    if body.len() > SPEC_BYTES {
        return Err(StoreError::Invalid("a specification of more than 1 MiB"));
    }
    run(conn, sql::SPEC_PUT, params![bytes(hash), body]).map(drop)
}
