//! What a controller needs of the store besides jobs: workers that join, submissions that are done once, files to be captured.

use pyti_dispatch::{Answer, Job, JobId, Message, NewJob, Offers, Refusal, Standing, WorkerId};
use pyti_model::Digest;
use rusqlite::params;
use serde::{Deserialize, Serialize};

use crate::clock::calendar_ms;
use crate::error::{Result, StoreError};
use crate::feed::{Expansion, put_spec};
use crate::pages::MOST;
use crate::results;
use crate::rows::{all, bytes, first, run, signed};
use crate::shown::{File, file_row};
use crate::sql;
use crate::store::Store;
use crate::writer::Desk;

/// Where keys of workers are kept.
const KEYS: &str = "worker_key";
/// Where join tokens are kept.
const JOINS: &str = "join";
/// Where submissions are remembered.
const SUBMISSIONS: &str = "submission";

/// A worker that wants to be known.
#[derive(Debug, Clone)]
pub struct Joining {
    /// The name that it wants.
    pub worker: WorkerId,
    /// Its public key.
    pub key: Vec<u8>,
    /// What it has.
    pub offers: Offers,
    /// The name under which its join token is kept, looked at by the caller and good for this worker.
    pub token: Option<String>,
    /// Whether it is trusted without a token.
    pub trusted: bool,
}

/// How a joining went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Joined {
    /// It is known now, or was before with the same key.
    Standing(Standing),
    /// Another key has that name.
    NameTaken,
    /// The token was used meanwhile, or is over.
    NoToken,
}

/// A submission: what it expands to, and by which key it is known when it comes again.
#[derive(Debug)]
pub struct Submission {
    /// Of who asked, with who asked.
    pub key: String,
    /// Of everything that was asked; the same key with another digest is a mistake.
    pub asked: Digest,
    /// Files, specifications, jobs.
    pub expansion: Expansion,
    /// Whether jobs that have ended are done again.
    pub again: bool,
    /// How long it is remembered, milliseconds.
    pub remember_ms: u64,
    /// What the answer says besides; given back when it comes again.
    pub note: String,
}

/// What became of a submission, now or before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// In the order of its jobs: the number, and whether it was made by this submission.
    pub jobs: Vec<(JobId, bool)>,
    /// As given.
    pub note: String,
    asked: Digest,
}

impl Store {
    /// Makes a worker known: name, key and the token that it used up are one transaction. Asked again with the same key, the same
    /// answer; a worker that waits is trusted once it comes with a token.
    pub fn join(&self, joining: Joining) -> Result<Joined> {
        self.write(move |desk| join(desk, joining))
    }

    /// The key of a worker.
    pub fn worker_key(&self, worker: &WorkerId) -> Result<Option<Vec<u8>>> {
        self.keep_get(KEYS, worker.as_str())
    }

    /// What a submission was answered before, if it was; [`StoreError::Invalid`] if the key was used for something else.
    pub fn was_submitted(&self, key: &str, asked: &Digest) -> Result<Option<Submitted>> {
        let known = self.keep_get(SUBMISSIONS, key)?;
        known.map(|bytes| same(&bytes, asked)).transpose()
    }

    /// Does a submission once: files, specifications, jobs and the answer are one transaction.
    pub fn submit_once(&self, submission: Submission) -> Result<Submitted> {
        self.write(move |desk| {
            let now = calendar_ms();
            let known: Option<Vec<u8>> = first(
                &desk.conn,
                sql::KEEP,
                params![SUBMISSIONS, submission.key, signed(now)],
                |row| row.get(0),
            )?;
            if let Some(known) = known {
                return same(&known, &submission.asked);
            }
            for file in &submission.expansion.files {
                results::put_file(&desk.conn, file)?;
            }
            for (hash, body) in &submission.expansion.specs {
                put_spec(&desk.conn, hash, body)?;
            }
            let mut jobs = Vec::new();
            for new in submission.expansion.jobs {
                jobs.push(submit_one(desk, new, submission.again)?);
            }
            let done = Submitted {
                jobs,
                note: submission.note,
                asked: submission.asked,
            };
            let text =
                serde_json::to_vec(&done).map_err(|_| StoreError::Invalid("an answer that is no JSON"))?;
            let until = signed(now.saturating_add(submission.remember_ms));
            run(
                &desk.conn,
                sql::KEEP_PUT,
                params![SUBMISSIONS, submission.key, text, until],
            )?;
            Ok(done)
        })
    }

    /// Files of one version, by number: a wheel's sdist is among them.
    pub fn files_of_version(&self, version: i64) -> Result<Vec<File>> {
        self.read(move |c| all(c, sql::FILES_BY_VERSION, [version], file_row))
    }

    /// Jobs that wait for their file, some of them.
    pub fn uncaptured(&self, most: u32) -> Result<Vec<Job>> {
        self.read(move |c| all(c, sql::JOBS_UNCAPTURED, [most.clamp(1, MOST)], crate::rows::job))
    }

    /// Whether a captured file is kept under this digest.
    pub fn is_captured(&self, sha256: &Digest) -> Result<bool> {
        let sha256 = bytes(sha256);
        self.read(move |c| {
            let files = all(c, sql::FILES_BY_SHA256, [sha256], file_row)?;
            Ok(files.iter().any(|file| file.captured.is_some()))
        })
    }
}

fn join(desk: &mut Desk, joining: Joining) -> Result<Joined> {
    let Joining {
        worker,
        key,
        offers,
        token,
        trusted,
    } = joining;
    let now = signed(calendar_ms());
    let known: Option<Vec<u8>> = first(
        &desk.conn,
        sql::KEEP,
        params![KEYS, worker.as_str(), now],
        |row| row.get(0),
    )?;
    let standing =
        first(&desk.conn, sql::WORKER, [worker.as_str()], crate::rows::worker)?.map(|worker| worker.standing);
    match (&known, standing) {
        (Some(known), Some(standing)) if *known == key => {
            if standing != Standing::Pending || !(trusted || token.is_some()) {
                return Ok(Joined::Standing(standing));
            }
        }
        (_, Some(_)) => return Ok(Joined::NameTaken),
        (_, None) => {}
    }
    let with_token = token.is_some();
    if let Some(token) = token {
        let taken: Option<Vec<u8>> = first(&desk.conn, sql::KEEP_TAKE, params![JOINS, token, now], |row| {
            row.get(0)
        })?;
        if taken.is_none() {
            return Ok(Joined::NoToken);
        }
    }
    let approved = with_token || trusted;
    let message = if standing.is_some() {
        Message::Approve {
            worker: worker.clone(),
        }
    } else {
        Message::Enrol {
            worker: worker.clone(),
            offers,
            approved,
        }
    };
    let answer = desk.step(message)?.answer;
    if let Answer::Refused(refusal) = answer {
        return match refusal {
            Refusal::NameTaken => Ok(Joined::NameTaken),
            _ => Err(StoreError::Invalid("a worker that cannot be enrolled")),
        };
    }
    run(
        &desk.conn,
        sql::KEEP_PUT,
        params![KEYS, worker.as_str(), key, None::<i64>],
    )?;
    Ok(Joined::Standing(if approved {
        Standing::Active
    } else {
        Standing::Pending
    }))
}

fn submit_one(desk: &mut Desk, new: NewJob, again: bool) -> Result<(JobId, bool)> {
    let answer = desk.step(Message::Submit(new))?.answer;
    let Answer::Submitted { job, new } = answer else {
        return Err(StoreError::Invalid("a job that cannot be submitted"));
    };
    if new || !again {
        return Ok((job, new));
    }
    match desk.step(Message::Requeue { job })?.answer {
        Answer::Submitted { job, new } => Ok((job, new)),
        _ => Err(StoreError::Invalid("a job that cannot be done again")),
    }
}

fn same(known: &[u8], asked: &Digest) -> Result<Submitted> {
    let known: Submitted =
        serde_json::from_slice(known).map_err(|_| StoreError::Invalid("an answer that is no JSON"))?;
    if known.asked == *asked {
        Ok(known)
    } else {
        Err(StoreError::Invalid("this key was used for another submission"))
    }
}
