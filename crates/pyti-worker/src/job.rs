//! One job: a box, an agent in it, and the answers to its questions.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use pyti_box::protocol::{CACHE, CancelJob, ENVIRONMENTS, JobOrder, RunJob, STAGE, ShellEnd, ShellOrder, UV};
use pyti_box::rpc::{CallError, Peer};
use pyti_model::effect::{Limits, Loss};
use pyti_model::event::{Envelope, Event};
use pyti_model::outcome::{Blame, Reason, ReasonCode};
use pyti_model::plan::{Installer, Interpreter, Isolation, PLAN_VERSION, Plan, Watch};
use pyti_model::{Digest, Distribution, FileKind};
use pyti_sandbox::{Bind, JobSpec, LaunchError};
use pyti_vm::image::Image;
use tokio::runtime::Handle;

use crate::boxed::{Boxed, LensFrom, prefix_binds, stretched};
use crate::built::BuiltHere;
use crate::desk::{Desk, lock};
use crate::recording::Recorder;
use crate::scratch::Scratch;
use crate::stop::Stop;
use crate::terminal::Terminal;
use crate::tools;
use crate::tunnels::Tunnels;
use crate::worker::{Inner, Worker};

/// How deep builds of dependencies may need builds of dependencies.
const DEPTH: u32 = 6;
/// How long a cancelled job may take to end in order.
const GRACE: Duration = Duration::from_secs(8);
/// The same for a shell.
const GRACE_OF_SHELL: Duration = Duration::from_secs(1);

/// The job could not be run at all, or its agent was lost.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// No box could be opened.
    #[error("no box can be opened on this machine")]
    Box(#[from] LaunchError),
    /// No virtual machine could be opened.
    #[error("no virtual machine can be opened on this machine")]
    Machine(#[source] Box<pyti_vm::open::OpenError>),
    /// A file or folder of ours cannot be used.
    #[error("cannot prepare the job: {0}")]
    Prepare(String),
    /// The agent was lost.
    #[error("the agent was lost: {0}")]
    Agent(String),
    /// The way to where a shell was wanted did not lead there.
    #[error("no shell can be opened: {0}")]
    Shell(String),
}

impl From<pyti_vm::open::OpenError> for JobError {
    fn from(error: pyti_vm::open::OpenError) -> Self {
        Self::Machine(Box::new(error))
    }
}

/// How and how deep a job is shut in: builds of dependencies are as their job is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Within {
    pub(crate) isolation: Isolation,
    pub(crate) depth: u32,
}

/// Ends a guest that has fallen silent: its first process speaks every two seconds, whatever the job does.
fn watch(job: &Arc<Mutex<Boxed>>) -> tokio::task::JoinHandle<()> {
    let job = Arc::clone(job);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(1)).await;
            // who holds it is ending it
            let Ok(mut job) = job.try_lock() else { continue };
            if job.silence().is_some_and(|(silence, most)| silence > most) {
                job.kill();
                return;
            }
        }
    })
}

/// What shall be done beside the plan.
#[derive(Default, Clone)]
pub(crate) struct Until {
    pub(crate) task: Option<String>,
    pub(crate) shell: Option<(ShellOrder, Arc<dyn Terminal>)>,
}

impl Worker {
    /// Runs a plan and records it, up to the end of all tasks or of the given one.
    pub async fn run(
        &self,
        plan: Plan,
        until: Option<String>,
        recorder: Arc<Recorder>,
        stop: &Stop,
    ) -> Result<(), JobError> {
        self.run_at(
            plan,
            Until {
                task: until,
                shell: None,
            },
            recorder,
            stop,
            0,
        )
        .await
        .map(|_| ())
    }

    /// Carries out a plan up to the task that the order names, and opens a shell on the layers that it left.
    /// `None` when it was stopped before.
    pub async fn shell(
        &self,
        plan: Plan,
        order: ShellOrder,
        terminal: Arc<dyn Terminal>,
        recorder: Arc<Recorder>,
        stop: &Stop,
    ) -> Result<Option<ShellEnd>, JobError> {
        let until = Until {
            task: Some(order.after.clone()),
            shell: Some((order, terminal)),
        };
        self.run_at(plan, until, recorder, stop, 0).await
    }

    async fn run_at(
        &self,
        plan: Plan,
        until: Until,
        recorder: Arc<Recorder>,
        stop: &Stop,
        depth: u32,
    ) -> Result<Option<ShellEnd>, JobError> {
        let prepare = |e: std::io::Error| JobError::Prepare(e.to_string());
        let stage = Scratch::new(&self.inner.stage).map_err(prepare)?;
        let terminal = until.shell.as_ref().map(|(_, terminal)| Arc::clone(terminal));
        let mut order = self.order(&plan, until, &recorder)?;
        let files = [
            Some(&order.target),
            order.companion.as_ref(),
            order.published.as_ref(),
            order.pip_wheel.as_ref(),
        ];
        let files = files.into_iter().flatten().cloned().collect();
        let telling = Arc::clone(&recorder);
        let say = Arc::new(move |what: &str| {
            telling.record(Event::Progress {
                task: "box".to_owned(),
                text: what.into(),
                done: None,
                total: None,
            });
        });
        let (job, carrier) = self.open_box(&plan, stage.path(), files, say).await?;
        order.plan.limits = stretched(&plan.limits, job.scale());
        order.apart = carrier.is_some();
        order.began_us = recorder.now_us();
        let facts = job.facts();
        let reader = job.channel().map_err(prepare)?;
        let writer = reader.try_clone().map_err(prepare)?;
        let job = Arc::new(Mutex::new(job));
        let lens = self.serve_lens(&job)?;
        let watch = watch(&job);
        let desk = Arc::new(Desk {
            worker: self.clone(),
            interpreter: plan.interpreter.clone(),
            pre: plan.pre,
            exclude_newer: plan.exclude_newer.clone(),
            stage: stage.path().to_owned(),
            recorder: Arc::clone(&recorder),
            heard: AtomicU64::new(0),
            handle: Handle::current(),
            blobs: Mutex::new(None),
            views: Mutex::new(HashMap::new()),
            wanted: Mutex::new(HashSet::new()),
            lost: Mutex::new(None),
            closed: AtomicBool::new(false),
            terminal,
            tunnels: Arc::new(Tunnels::new(&plan.allow)),
            peer: OnceLock::new(),
            within: Within {
                isolation: plan.isolation,
                depth,
            },
            carrier,
            facts,
        });
        let peer = Peer::start(reader, writer, desk.clone()).map_err(prepare)?;
        let _ = desk.peer.set(Arc::clone(&peer));
        let asking = Arc::clone(&peer);
        let mut running = tokio::task::spawn_blocking(move || asking.call::<RunJob>(&order));
        let done = tokio::select! {
            done = &mut running => done,
            () = stop.stopped() => {
                // input that a shell does not read fills the channel, and holds up the word to stop too; and a shell
                // has nothing to finish
                let telling = Arc::clone(&peer);
                tokio::task::spawn_blocking(move || telling.notify::<CancelJob>(&()));
                let grace = if desk.terminal.is_some() { GRACE_OF_SHELL } else { GRACE };
                if let Ok(done) = tokio::time::timeout(grace, &mut running).await {
                    done
                } else {
                    lock(&job).kill();
                    running.await
                }
            }
        };
        watch.abort();
        let ended = tokio::task::spawn_blocking(move || {
            let mut job = lock(&job);
            (job.finish(), job.complaint())
        });
        let (guest, said) = ended.await.unwrap_or_default();
        lens.abort();
        if let Some(guest) = guest {
            recorder.record(Event::Guest {
                guest: Box::new(guest),
            });
        }
        let why = match done {
            Ok(Ok(done)) => {
                let missing = done.events.saturating_sub(desk.heard.load(Ordering::Acquire));
                if missing > 0 {
                    let why = format!("{missing} events are missing");
                    recorder.record(Event::Lost {
                        task: None,
                        what: Loss::Channel { why },
                    });
                }
                return Ok(done.shell);
            }
            Ok(Err(CallError::Answered(error))) if desk.terminal.is_some() => {
                return Err(JobError::Shell(error.message));
            }
            Ok(Err(CallError::Answered(error))) => error.to_string(),
            Ok(Err(error)) => pyti_model::with_causes(&error),
            Err(error) => error.to_string(),
        };
        if stop.is_stopped() {
            return Ok(None);
        }
        let lost = lock(&desk.lost).clone();
        let why = [Some(why), lost, said]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join("; ");
        recorder.record(Event::Lost {
            task: None,
            what: Loss::Channel { why: why.clone() },
        });
        Err(JobError::Agent(why))
    }

    pub(crate) fn spec(&self, plan: &Plan, stage: &Path, image: Option<&Image>) -> JobSpec {
        let inner: &Inner = &self.inner;
        let bind = |source: &Path, target: &str, writable| Bind {
            source: source.to_owned(),
            target: PathBuf::from(target),
            writable,
        };
        let mut binds = prefix_binds(&plan.interpreter, image);
        binds.push(bind(&inner.files, CACHE, false));
        binds.push(bind(&inner.environments_folder, ENVIRONMENTS, false));
        binds.push(bind(stage, STAGE, true));
        binds.push(bind(&inner.uv.path, UV, false));
        let layers = (plan.limits.disk_bytes * 2)
            .min(memory_available() / 2)
            .max(256 << 20);
        JobSpec {
            binds,
            program: inner.settings.program.clone(),
            layers_bytes: layers,
            layers_inodes: plan.limits.disk_inodes * 2,
            // the layers live in memory too
            memory_bytes: plan.limits.memory_bytes.saturating_add(layers),
            store: None,
            image: image.map(Image::root),
            devices: Vec::new(),
        }
    }

    fn order(&self, plan: &Plan, until: Until, recorder: &Recorder) -> Result<JobOrder, JobError> {
        let place = |distribution: &pyti_model::Distribution| {
            self.inner
                .store
                .get(&distribution.sha256)
                .map(|path| self.in_box(&path))
                .ok_or_else(|| JobError::Prepare(format!("{} is not in the cache", distribution.filename)))
        };
        let pip_wheel = match plan.installer {
            Installer::Uv => None,
            Installer::Pip => {
                let wheel = tools::bundled_pip(&plan.interpreter).ok_or_else(|| {
                    JobError::Prepare("the interpreter carries no pip (ensurepip)".to_owned())
                })?;
                let name = wheel
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let (_, path) = self
                    .inner
                    .store
                    .insert_file(&wheel, &name)
                    .map_err(|e| JobError::Prepare(e.to_string()))?;
                Some(self.in_box(&path))
            }
        };
        Ok(JobOrder {
            target: place(&plan.target)?,
            companion: plan.companion.as_ref().map(place).transpose()?,
            published: plan.published.as_ref().map(place).transpose()?,
            plan: plan.clone(),
            index_host: self.inner.settings.index.index_url.host_str().map(str::to_owned),
            uv_version: self.inner.uv.version.clone(),
            pip_wheel,
            until: until.task,
            shell: until.shell.map(|(order, _)| order),
            at_once: self.inner.settings.at_once,
            apart: false,
            first_event: 0,
            began_us: recorder.now_us(),
        })
    }

    /// Serves the lens where the job's uv looks for it.
    fn serve_lens(&self, job: &Mutex<Boxed>) -> Result<tokio::task::JoinHandle<()>, JobError> {
        let from = lock(job)
            .take_lens()
            .ok_or_else(|| JobError::Agent("it passed no listener".to_owned()))?;
        let prepare = |e: std::io::Error| JobError::Prepare(e.to_string());
        let lens = Arc::clone(&self.inner.lens);
        match from {
            LensFrom::Listener(listener) => {
                listener.set_nonblocking(true).map_err(prepare)?;
                let listener = tokio::net::TcpListener::from_std(listener).map_err(prepare)?;
                Ok(tokio::spawn(async move {
                    // an error here shows in uv's own words
                    let _ = lens.serve(listener).await;
                }))
            }
            LensFrom::Guest(link) => {
                let (give, streams) = tokio::sync::mpsc::unbounded_channel();
                link.on_lens(Box::new(move |stream| {
                    // nobody serves any more: the job is ending
                    let _ = give.send(stream);
                }));
                Ok(tokio::spawn(async move {
                    let _ = lens.serve_streams(streams).await;
                }))
            }
        }
    }

    /// Builds the wheel of a dependency that has only an sdist, once. True when it was built now.
    pub(crate) async fn build_dependency(
        &self,
        file: &pyti_index::ProjectFile,
        interpreter: &Interpreter,
        within: Within,
    ) -> Result<(BuiltHere, bool), Reason> {
        let Within { isolation, depth } = within;
        let failed = |code, detail: String| {
            Reason::new(code, format!("{}: {detail}", file.filename)).blaming(Blame::Dependency)
        };
        if depth >= DEPTH {
            return Err(failed(
                ReasonCode::Unresolvable,
                "builds need builds too deeply".to_owned(),
            ));
        }
        let (sha256, path) = self.inner.index.fetch(file, &|_, _| ()).await.map_err(|e| {
            failed(ReasonCode::Download, pyti_model::with_causes(&e)).blaming(Blame::Environment)
        })?;
        // deeper builds happen while an outer one waits, so only the outermost takes turns
        let _turn = if depth == 0 {
            Some(self.inner.building.lock().await)
        } else {
            None
        };
        if let Some(built) = self.inner.built.get(&sha256, interpreter)
            && self.inner.store.get(&built.sha256).is_some()
        {
            return Ok((built, false));
        }
        let plan = dependency_plan(file, sha256.clone(), &path, interpreter, isolation);
        let listener = Arc::new(Collector::default());
        let recorder = Arc::new(Recorder::nowhere(listener.clone()));
        let (stop, until) = (
            Stop::new(),
            Until {
                task: Some("metadata".to_owned()),
                shell: None,
            },
        );
        let run = Box::pin(self.run_at(plan, until, recorder, &stop, depth + 1));
        run.await
            .map_err(|e| failed(ReasonCode::WorkerLost, e.to_string()).blaming(Blame::Us))?;
        let events = std::mem::take(&mut *lock(&listener.0));
        if let Some(built) = BuiltHere::from_events(&events) {
            // what cannot be remembered is built again next time
            let _ = self.inner.built.put(&sha256, interpreter, &built);
            return Ok((built, true));
        }
        let job = pyti_judge::fold(events);
        let why = pyti_judge::judge(&job).outcome.reasons;
        let why = why.first().map_or_else(
            || "it could not be built".to_owned(),
            |reason| format!("{} ({})", reason.code.meaning(), reason.detail.visible()),
        );
        Err(failed(ReasonCode::Build, why))
    }
}

/// The job that builds a dependency: nothing of it is tested.
fn dependency_plan(
    file: &pyti_index::ProjectFile,
    sha256: Digest,
    path: &Path,
    interpreter: &Interpreter,
    isolation: Isolation,
) -> Plan {
    Plan {
        version: PLAN_VERSION,
        target: Distribution {
            project: file.project.clone(),
            version: file.version.to_string(),
            filename: file.filename.clone(),
            kind: FileKind::Sdist,
            sha256,
            size: std::fs::metadata(path).map(|m| m.len()).unwrap_or_default(),
            yanked: None,
            uploaded: None,
            index: None,
        },
        companion: None,
        companion_lost: None,
        published: None,
        extras: Vec::new(),
        interpreter: interpreter.clone(),
        isolation,
        installer: Installer::Uv,
        skip: Vec::new(),
        run_tests: false,
        env: std::collections::BTreeMap::new(),
        limits: Limits::default(),
        pre: false,
        exclude_newer: None,
        hash_seed: 0,
        watch: Watch::Off,
        guise: 0,
        exercise: false,
        allow: Vec::new(),
        repeat: 0,
        services: Vec::new(),
        overriding: None,
        coverage: false,
        quality: false,
        pylint: false,
        recipe: None,
        locks: std::collections::BTreeMap::new(),
    }
}

#[derive(Default)]
struct Collector(Mutex<Vec<Envelope>>);

impl crate::recording::Listener for Collector {
    fn heard(&self, envelope: &Envelope) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(envelope.clone());
    }
}

/// Bytes of memory that the machine could give now.
fn memory_available() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    text.lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|kib| kib.parse::<u64>().ok())
        .map_or(2 << 30, |kib| kib * 1024)
}
