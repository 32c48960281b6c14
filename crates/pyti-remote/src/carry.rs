//! One job in a process of its own: the side of that process. It does with the order what `pyti run` does with a target, by
//! the same functions, and leaves its recording in the lease's folder.
//!
//! Standard input brings one line of JSON (a [`Task`]), later perhaps the word `stop`; when it ends, the worker is gone, and so
//! is this process. Standard output says `running` when a box is open.

use std::io::{self, BufRead, Write as _};
use std::path::PathBuf;
use std::sync::Arc;

use pyti_command::order::WorkOrder;
use pyti_command::raw::StreamName;
use pyti_command::work::WorkOutcome;
use pyti_model::effect::Limits;
use pyti_model::event::{Envelope, Event};
use pyti_model::plan::{Interpreter, Isolation};
use pyti_worker::recording::Listener;
use pyti_worker::{CarryError, Chosen, PreparedJob, Request, Stop, Worker};
use serde::{Deserialize, Serialize};

use crate::home::{read_json, write_json};
use crate::spool::Entry;

/// The hidden verb of the program.
pub const VERB: &str = "__carry";
/// Said on standard output when a box is open.
pub(crate) const RUNNING: &str = "running";
/// Said on standard input to end in order.
pub(crate) const STOP: &str = "stop";

/// What the process is told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Task {
    /// The lease's folder in the spool.
    pub folder: PathBuf,
    /// Base address of the index, where the worker was given one. It may hold a password, so it is no argument.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index_url: Option<String>,
    /// Nothing is fetched from the index.
    #[serde(default)]
    pub offline: bool,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// With this.
    Done(WorkOutcome),
    /// It was told to stop.
    Interrupted,
}

impl Ended {
    fn path(entry: &Entry) -> PathBuf {
        entry.folder().join("ended.json")
    }

    /// What the process wrote down; nothing when it died before.
    pub(crate) fn read(entry: &Entry) -> Option<Self> {
        read_json(&Self::path(entry)).ok().flatten()
    }

    fn write(&self, entry: &Entry) -> io::Result<()> {
        write_json(&Self::path(entry), self)
    }
}

/// Reads the task, and goes on to listen for the word to stop. When standard input ends, the process ends at once: a job is
/// never carried on for a worker that is gone, and boxes end with the process that opened them.
pub fn listen(stop: Stop) -> io::Result<Task> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let task = serde_json::from_str(&line)?;
    std::thread::spawn(move || {
        let mut line = String::new();
        while io::stdin().lock().read_line(&mut line).is_ok_and(|read| read > 0) {
            if line.trim() == STOP {
                stop.stop();
            }
            line.clear();
        }
        std::process::exit(1);
    });
    Ok(task)
}

/// Says when a box is open.
struct Opened;

impl Listener for Opened {
    fn heard(&self, envelope: &Envelope) {
        if matches!(envelope.event, Event::Opened { .. }) {
            let mut out = io::stdout().lock();
            // a worker that does not listen any more ends this process by other means
            let _ = writeln!(out, "{RUNNING}").and_then(|()| out.flush());
        }
    }
}

/// What an order asks for, in the words of `pyti run`.
fn request(order: &WorkOrder, interpreter: Interpreter, limits: &Limits) -> Request {
    let options = &order.spec.options;
    Request {
        skip: options.skip.clone(),
        env: options.env.clone(),
        pre: options.pre,
        exclude_newer: options.exclude_newer.clone(),
        limits: options.limits.clone().unwrap_or_else(|| limits.clone()),
        installer: options.installer,
        hash_seed: options.hash_seed,
        watch: options.watch(),
        exercise: options.exercise,
        allow: options.allow.clone(),
        repeat: options.repeat,
        ..Request::plain(interpreter)
    }
}

/// The job of an order.
pub fn job(order: &WorkOrder, interpreter: Interpreter, limits: &Limits) -> PreparedJob {
    let request = request(order, interpreter, limits);
    let chosen = Chosen {
        target: order.file.clone(),
        companion: order.companion.clone(),
        companion_lost: order.companion_lost.clone(),
        published: order.published.clone(),
        extras: order.spec.options.extras.clone(),
        run_tests: order.spec.run_tests,
    };
    chosen.into_job(&request)
}

/// Whether this program can shut in a job as the order asks.
fn isolation(order: &WorkOrder) -> Result<(), String> {
    let wanted = order.spec.environment.isolation.as_str();
    if wanted == Isolation::Sandbox.word() {
        Ok(())
    } else {
        Err(format!("no isolation {wanted} on this worker"))
    }
}

/// Carries out the job of a lease, and writes down how it ended.
pub async fn carry(
    worker: &Worker,
    entry: &Entry,
    interpreter: Interpreter,
    limits: &Limits,
    stop: &Stop,
) -> io::Result<()> {
    let ended = match isolation(&entry.order) {
        Err(why) => Ended::Done(WorkOutcome::Failed { why }),
        Ok(()) => run(worker, entry, job(&entry.order, interpreter, limits), stop).await,
    };
    ended.write(entry)
}

/// Writes down that there is no recording, and why.
pub fn failed(entry: &Entry, why: String) -> io::Result<()> {
    Ended::Done(WorkOutcome::Failed { why }).write(entry)
}

async fn run(worker: &Worker, entry: &Entry, job: PreparedJob, stop: &Stop) -> Ended {
    let plan = match &job {
        PreparedJob::Plan(plan) => Some(plan.clone()),
        PreparedJob::Decided { .. } => None,
    };
    let to = entry.recording(StreamName::Events);
    let carried = worker
        .carry_out(job, &to, &pyti_worker::now(), Arc::new(Opened), stop)
        .await;
    if stop.is_stopped() {
        return Ended::Interrupted;
    }
    match carried {
        // what went wrong is in the recording, and the controller judges it
        Ok(()) | Err(CarryError::Job(_)) => {}
        Err(error @ CarryError::Recording(_)) => {
            return Ended::Done(WorkOutcome::Failed {
                why: pyti_model::with_causes(&error),
            });
        }
    }
    if let (Ok(()), Some(plan)) = (&carried, &plan)
        && let Some(kept) = worker.beside(plan, &to, stop).await
    {
        let beside = entry.recording(StreamName::Baseline);
        if std::fs::hard_link(&kept, &beside).is_err() {
            // without it nothing is subtracted, and the verdict is the stricter
            let _ = std::fs::copy(&kept, &beside);
        }
    }
    if stop.is_stopped() {
        return Ended::Interrupted;
    }
    Ended::Done(WorkOutcome::Ran)
}
