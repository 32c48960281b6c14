//! What a worker tells of itself while it works: for people as lines, for programs as JSON.

use std::fmt;
use std::time::Duration;

use pyti_command::work::Taken;
use pyti_dispatch::{Idle, JobId, WorkerId};
use serde::Serialize;

use crate::client::ClientError;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "news")]
pub enum News {
    /// The controller knows this worker.
    Enrolled {
        /// Its name.
        worker: WorkerId,
        /// Where the controller is.
        controller: String,
    },
    /// Somebody must approve it.
    Pending {
        /// Its name.
        worker: WorkerId,
    },
    /// It has said hello.
    Ready {
        /// Its name.
        worker: WorkerId,
        /// Its start.
        boot: u64,
        /// Jobs at once.
        slots: u16,
        /// Interpreters there.
        interpreters: Vec<String>,
    },
    /// A job came.
    Took {
        /// Which.
        job: JobId,
        /// Its number among the leases.
        epoch: u64,
        /// The file's name.
        file: String,
        /// `cpython-3.13`
        interpreter: String,
    },
    /// A job has ended, and its recording lies in the spool.
    Finished {
        /// Which.
        job: JobId,
        /// How long it took, seconds.
        seconds: u64,
        /// Why there is none, by our own fault.
        #[serde(skip_serializing_if = "Option::is_none")]
        failed: Option<String>,
    },
    /// A delivery was answered.
    Delivered {
        /// Which job.
        job: JobId,
        /// How it was taken.
        answer: Taken,
    },
    /// A job was given back.
    Released {
        /// Which.
        job: JobId,
        /// Whether nothing of it is to blame.
        clean: bool,
    },
    /// A job was stopped because the controller does not want it any more.
    Stopped {
        /// Which.
        job: JobId,
    },
    /// There is nothing to do, and why.
    Idle {
        /// Why.
        why: Idle,
    },
    /// The controller is not there, or has no time.
    Waiting {
        /// Why.
        why: String,
        /// Milliseconds until the next try.
        ms: u64,
    },
    /// Something of this machine is in the way; no new jobs are taken.
    Hindered {
        /// What.
        why: String,
    },
}

impl News {
    pub(crate) fn unreachable(error: &ClientError, wait: Duration) -> Self {
        Self::Waiting {
            why: pyti_model::with_causes(error),
            ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Enrolled { worker, controller } => write!(f, "enrolled at {controller} as {worker}"),
            Self::Pending { worker } => write!(
                f,
                "waiting for approval: pyti admin workers approve {worker}, on the controller's side"
            ),
            Self::Ready {
                worker,
                boot,
                slots,
                interpreters,
            } => write!(
                f,
                "ready: {worker}, start {boot}, {slots} {} at once, {}",
                if *slots == 1 { "job" } else { "jobs" },
                interpreters.join(" ")
            ),
            Self::Took {
                job,
                epoch,
                file,
                interpreter,
            } => {
                write!(f, "job {job}: {file} on {interpreter}")?;
                if *epoch > 1 {
                    write!(f, ", try {epoch}")?;
                }
                Ok(())
            }
            Self::Finished {
                job,
                seconds,
                failed: None,
            } => write!(f, "job {job}: finished after {seconds} s"),
            Self::Finished {
                job,
                seconds,
                failed: Some(why),
            } => write!(f, "job {job}: failed here after {seconds} s: {why}"),
            Self::Delivered { job, answer } => {
                let word = match answer {
                    Taken::Ok => "delivered",
                    Taken::Missing => "delivered, something is missing",
                    Taken::Gone => "delivered too late: it is another's, or nobody's",
                    Taken::Ended => "was delivered before",
                };
                write!(f, "job {job}: {word}")
            }
            Self::Released { job, clean: true } => write!(f, "job {job}: given back"),
            Self::Released { job, clean: false } => {
                write!(f, "job {job}: given back, it was running when this worker ended")
            }
            Self::Stopped { job } => write!(f, "job {job}: stopped, nobody wants it any more"),
            Self::Idle { why } => f.write_str(match why {
                Idle::Empty => "nothing to do",
                Idle::Full => "as much as it can hold",
                Idle::Alone => "a job that must run alone keeps others away",
                Idle::Held => "held by an administrator",
                Idle::Draining => "draining",
                Idle::Quarantined => "in quarantine: too much failed here",
                Idle::Probation => "on probation: one job at a time",
                Idle::Answered => "an earlier request was answered already",
            }),
            Self::Waiting { why, ms } => {
                write!(f, "trying again in {}.{} s: {why}", ms / 1000, ms % 1000 / 100)
            }
            Self::Hindered { why } => write!(f, "no new jobs: {why}"),
        }
    }
}

/// Who is told.
pub trait Newspaper: Send + Sync {
    /// Something happened.
    fn tell(&self, news: &News);
}

impl Newspaper for () {
    fn tell(&self, _: &News) {}
}
