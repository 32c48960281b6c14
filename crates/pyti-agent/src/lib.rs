//! The agent: the execution part of PyTI.
//!
//! It is PID 1 of a job, in namespaces and a root of its own. It gets one order ([`pyti_box::protocol::JobOrder`]),
//! runs the graph of tasks for it, each command in a box of its own on stacked layers, and tells everything that
//! happened while it happens. It decides nothing about the package: it records.

mod commands;
mod events;
mod graph;
mod job;
mod observe;
mod planted;
mod services;
mod shell;
mod sources;
mod tasks;
mod tree;
mod tunnels;
mod written;

use std::collections::HashMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

use pyti_box::protocol::{CancelJob, JobDone, JobOrder, RunJob, TerminalInput, TerminalSize, TunnelData};
use pyti_box::rpc::{Handler, Method as _, Notification as _, Peer, RpcError, answer};
use pyti_graph::{Cancel, CancelToken, Event as GraphEvent, EventKind, Runner, SkipReason};
use pyti_model::event::{Event, PlannedTask};
use pyti_model::foreign::Foreign;
use pyti_model::outcome::TaskResult;
use pyti_model::plan::Watch;
use pyti_sandbox::Boxes;
use serde_json::Value;

use crate::events::Events;
use crate::job::Job;
use crate::planted::Planting;
use crate::tunnels::Tunnels;

/// The hidden verb by which the program is started as an agent.
pub const VERB: &str = "__agent";

/// Sets up the job's boundary and serves until the worker goes away.
pub fn main() -> ExitCode {
    // the worker reads why from standard error, when the channel says nothing
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprint(&format!("agent: {error}\n"));
            ExitCode::from(5)
        }
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the agent's standard error is its last way to say what is wrong"
)]
fn eprint(text: &str) {
    eprint!("{text}");
}

fn serve() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let inside = pyti_sandbox::enter()?;
    let (ended, end) = channel();
    let agent = Arc::new(Agent {
        peer: OnceLock::new(),
        boxes: inside.boxes,
        lens_port: inside.lens_port,
        cancel: CancelToken::new(),
        cancelled: Arc::new(AtomicBool::new(false)),
        typing: shell::Typing::default(),
        tunnels: Arc::default(),
        ended: Mutex::new(ended),
    });
    let reader = inside.channel.try_clone()?;
    let peer = Peer::start(reader, inside.channel, agent.clone())?;
    // the reader cannot be faster than this line by more than a moment: a request waits for it
    let _ = agent.peer.set(peer);
    let _ = end.recv();
    Ok(())
}

struct Agent {
    peer: OnceLock<Arc<Peer>>,
    boxes: Boxes,
    lens_port: u16,
    cancel: CancelToken,
    cancelled: Arc<AtomicBool>,
    typing: shell::Typing,
    tunnels: Arc<Tunnels>,
    ended: Mutex<Sender<()>>,
}

impl Agent {
    fn peer(&self) -> Arc<Peer> {
        Arc::clone(self.peer.wait())
    }

    fn run(&self, order: JobOrder) -> Result<JobDone, RpcError> {
        let first = order.first_event;
        let at_once = order.at_once.max(1);
        let events = Arc::new(Events::new(self.peer(), order.first_event, order.began_us));
        if order.plan.guise > 0 {
            one_processor();
        }
        let mut machine = self.boxes.facts();
        machine.insert("uv".to_owned(), order.uv_version.clone());
        events.send(Event::Opened { machine });
        let planted = match order.plan.watch {
            Watch::Off => Planting::none(Arc::clone(&events)),
            Watch::On => Planting::start(
                self.boxes.clone(),
                order.index_host.clone(),
                self.tunnels.allow(&self.peer(), &order.plan.allow),
                Arc::clone(&events),
            )
            .map_err(RpcError::failed)?,
        };
        let job = Job::new(
            order,
            self.boxes.clone(),
            self.peer(),
            Arc::clone(&events),
            self.lens_port,
            Arc::clone(&self.cancelled),
            planted,
        );
        let graph = graph::Shape { job: &job }.graph().map_err(RpcError::failed)?;
        let shell = job.order.shell.as_ref();
        if let Some(shell) =
            shell.filter(|s| !graph.plan().tasks().any(|(_, t)| t.name().as_str() == s.after))
        {
            return Err(RpcError::failed(format!("this job has no task {}", shell.after)));
        }
        events.send(Event::Planned {
            tasks: planned(graph.plan()),
        });
        let runner = Runner::new().capacity(at_once).cancel_by(&self.cancel);
        let mut teller = Teller::default();
        runner.run(&graph, &job, |event| teller.tell(&job, event));
        let shell = match shell {
            Some(shell) => Some(shell::open(&job, shell, &self.typing)?),
            None => None,
        };
        Ok(JobDone {
            events: events.next() - first,
            shell,
        })
    }
}

impl Handler for Agent {
    fn request(&self, method: &str, params: Value) -> Result<Value, RpcError> {
        match method {
            RunJob::NAME => answer::<RunJob>(params, |order| self.run(order)),
            other => Err(RpcError::no_such_method(other)),
        }
    }

    fn notification(&self, method: &str, params: Value) {
        match method {
            CancelJob::NAME => {
                self.cancelled.store(true, Ordering::Release);
                self.cancel.cancel(Cancel::Orderly);
            }
            TerminalInput::NAME => self.typing.input(params),
            TunnelData::NAME => self.tunnels.heard(params),
            TerminalSize::NAME => self.typing.resize(params),
            _ => {}
        }
    }

    fn closed(&self, _: Option<&str>) {
        // without a worker there is nobody to work for; the job's processes end with this one
        let _ = self.ended.lock().unwrap_or_else(PoisonError::into_inner).send(());
    }
}

/// Shows one processor to this process and to all that descend from it. Where it cannot be, the guise is only
/// another name.
fn one_processor() {
    let mut set = rustix::thread::CpuSet::new();
    let Ok(now) = rustix::thread::sched_getaffinity(None) else {
        return;
    };
    if let Some(first) = (0..rustix::thread::CpuSet::MAX_CPU).find(|cpu| now.is_set(*cpu)) {
        set.set(first);
        let _ = rustix::thread::sched_setaffinity(None, &set);
    }
}

/// Turns what the graph tells into events of the recording.
#[derive(Default)]
struct Teller {
    skipped: Option<SkipReason>,
    began: HashMap<String, Instant>,
}

impl Teller {
    fn tell(&mut self, job: &Job, event: &GraphEvent) {
        match &event.kind {
            EventKind::Started { task, attempt } => {
                self.began.entry(task.to_string()).or_insert_with(Instant::now);
                job.events.send(Event::Started {
                    task: task.to_string(),
                    attempt: *attempt,
                });
            }
            EventKind::Progress { task, text } => job.events.send(Event::Progress {
                task: task.to_string(),
                text: Foreign::from(text.as_str()),
                done: None,
                total: None,
            }),
            EventKind::Skipped { reason, .. } => self.skipped = Some(reason.clone()),
            EventKind::Ended { task, outcome, .. } => {
                let note = job.take(task.as_str());
                let chain = match self.skipped.take() {
                    Some(reason) => chain(&reason),
                    None => outcome.reasons.clone(),
                };
                job.events.send(Event::Ended {
                    task: task.to_string(),
                    result: result(outcome.result),
                    reasons: note.reasons,
                    chain,
                    raw: note.raw,
                    wall_s: self
                        .began
                        .remove(task.as_str())
                        .map_or(0.0, |began| began.elapsed().as_secs_f64()),
                    cpu_s: note.cpu_s,
                    peak_memory_bytes: note.peak_memory_bytes,
                });
            }
            _ => {}
        }
    }
}

fn chain(reason: &SkipReason) -> Vec<String> {
    match reason {
        SkipReason::Needed { chain, .. } => chain
            .iter()
            .map(|link| format!("{}: {}", link.task, link.result))
            .collect(),
        other => vec![other.to_string()],
    }
}

fn result(result: pyti_graph::TaskResult) -> TaskResult {
    match result {
        pyti_graph::TaskResult::Success => TaskResult::Success,
        pyti_graph::TaskResult::Warnings => TaskResult::Warnings,
        pyti_graph::TaskResult::Failure => TaskResult::Failure,
        pyti_graph::TaskResult::Skipped => TaskResult::Skipped,
        pyti_graph::TaskResult::Exception => TaskResult::Exception,
        pyti_graph::TaskResult::Retry => TaskResult::Retry,
        pyti_graph::TaskResult::Cancelled => TaskResult::Cancelled,
    }
}

fn planned(plan: &pyti_graph::Plan) -> Vec<PlannedTask> {
    plan.tasks()
        .map(|(_, task)| PlannedTask {
            name: task.name().to_string(),
            needs: task
                .dependencies()
                .iter()
                .map(|d| plan.task(d.task).name().to_string())
                .collect(),
            preparation: graph::is_preparation(task.name().as_str()),
        })
        .collect()
}
