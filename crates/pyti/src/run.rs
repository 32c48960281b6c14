//! `pyti run`.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::MultiProgress;
use pyti_judge::{JobRecord, Judgement};
use pyti_model::FileKind;
use pyti_model::event::{Event, RECORDING_VERSION};
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_model::plan::{Installer, Interpreter, Plan, Watch};
use pyti_worker::recording::{Listener, Recorder};
use pyti_worker::runs::{Run, RunFile, Runs};
use pyti_worker::target::Target;
use pyti_worker::{JobError, Nothing, Prepared, PreparedJob, Request, Settings, Stop, Worker};

use crate::args::{InstallerName, Only, RunArgs};
use crate::config::{Config, Spoken};
use crate::live::Live;
use crate::output::{Look, Usage, print, tell};
use crate::recorded::{Loaded, load};

/// A variable of the environment, when it is text.
pub(crate) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Tasks that can be left out; what needs them is left out too.
const TASKS: &[&str] = &[
    "unpack", "inspect", "build", "metadata", "install", "start", "import", "test",
];

/// What all runs of one command share.
struct Session<'a> {
    worker: Worker,
    runs: Runs,
    stop: Stop,
    look: &'a Look,
    json: bool,
    quiet: bool,
    bars: Option<MultiProgress>,
    interpreter_count: usize,
}

/// One target on one interpreter.
struct Piece {
    target: Wanted,
    request: Request,
}

#[derive(Clone)]
enum Wanted {
    Target(String, Target),
    Plan(Box<Plan>),
}

/// What one piece came to.
struct Finished {
    /// Of every job: a wheel that passes does not hide an sdist that fails.
    jobs: Vec<(Status, Verdict)>,
    own_error: bool,
    run: Run,
}

/// Runs everything that was asked for.
pub(crate) fn run(args: RunArgs, look: &Look) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(run_all(args, look))
}

async fn run_all(args: RunArgs, look: &Look) -> anyhow::Result<u8> {
    let config = Config::find(&Spoken {
        python: &args.python,
        timeout: args.timeout,
        memory: args.memory.as_deref(),
        jobs: args.jobs,
        index_url: args.index_url.as_deref(),
    })?;
    let folders = pyti_worker::folders::Folders::find(&env)?;
    let runs = Runs::new(folders.runs()?);
    let pieces = pieces(&args, &config, &folders)?;
    let overrides = pyti_index::config::Overrides {
        index_url: config.index_url.as_ref().map(|v| v.value.clone()),
        remember_in: Some(folders.index()?),
        ..Default::default()
    };
    let found =
        tokio::task::spawn_blocking(move || pyti_index::config::Settings::discover(&env, &overrides)).await?;
    let index = found.context("the index is not configured")?;
    let program = std::env::current_exe().context("cannot find the program itself")?;
    let settings = Settings {
        index,
        offline: args.offline,
        folders,
        program,
        at_once: 2,
    };
    let worker = Worker::open(settings, &env).await?;
    let stop = Stop::new();
    stop_on_signal(stop.clone());
    let bars = (look.live && !args.quiet).then(Live::bars);
    let session = Session {
        worker,
        runs,
        stop: stop.clone(),
        look,
        json: args.json,
        quiet: args.quiet,
        bars,
        interpreter_count: config.python.value.len(),
    };
    let session = Arc::new(session);
    let at_once = config.jobs.value.clamp(1, 64);
    let mut finished = Vec::new();
    let mut waiting = pieces.into_iter();
    // runs side by side share one thread of control; boxes are processes of their own
    let mut running = futures_set::FuturesSet::new();
    loop {
        while running.len() < at_once && !stop.is_stopped() {
            let Some(piece) = waiting.next() else { break };
            let session = Arc::clone(&session);
            running.push(Box::pin(async move { session.one(piece).await }));
        }
        match running.next().await {
            Some(result) => finished.push(result?),
            None => break,
        }
    }
    if finished.len() > 2 && !session.json && !session.quiet {
        session.summarise(&finished)?;
    }
    let statuses: Vec<_> = finished.iter().flat_map(|f| f.jobs.iter().copied()).collect();
    let own_error = finished.iter().any(|f| f.own_error);
    Ok(pyti_judge::exit_code(&statuses, stop.is_stopped(), own_error))
}

/// A set of futures of which the next that ends is taken.
mod futures_set {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    pub(super) struct FuturesSet<'a, T> {
        futures: Vec<Pin<Box<dyn Future<Output = T> + 'a>>>,
    }

    impl<'a, T> FuturesSet<'a, T> {
        pub(super) fn new() -> Self {
            Self { futures: Vec::new() }
        }

        pub(super) fn len(&self) -> usize {
            self.futures.len()
        }

        pub(super) fn push(&mut self, future: Pin<Box<dyn Future<Output = T> + 'a>>) {
            self.futures.push(future);
        }

        pub(super) async fn next(&mut self) -> Option<T> {
            if self.futures.is_empty() {
                return None;
            }
            let (at, value) = poll_fn(|cx| {
                for (at, future) in self.futures.iter_mut().enumerate() {
                    if let Poll::Ready(value) = future.as_mut().poll(cx) {
                        return Poll::Ready((at, value));
                    }
                }
                Poll::Pending
            })
            .await;
            drop(self.futures.swap_remove(at));
            Some(value)
        }
    }
}

fn stop_on_signal(stop: Stop) {
    tokio::spawn(async move {
        let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
        match terminate {
            Ok(mut terminate) => {
                tokio::select! { _ = tokio::signal::ctrl_c() => {}, _ = terminate.recv() => {} }
            }
            Err(_) => {
                let _ = tokio::signal::ctrl_c().await;
            }
        }
        tell("stopping; again to stop at once");
        stop.stop();
        if tokio::signal::ctrl_c().await.is_ok() {
            // boxes end with this process: their agents notice that it is gone
            std::process::exit(130);
        }
    });
}

/// Every target on every interpreter.
fn pieces(
    args: &RunArgs,
    config: &Config,
    folders: &pyti_worker::folders::Folders,
) -> anyhow::Result<Vec<Piece>> {
    if let Some(path) = &args.plan {
        let plan =
            pyti_resolve::planfile::read(path).with_context(|| format!("{} is no plan", path.display()))?;
        let request = request(args, config, plan.interpreter.clone())?;
        return Ok(vec![Piece {
            target: Wanted::Plan(Box::new(plan)),
            request,
        }]);
    }
    let mut texts = args.targets.clone();
    if let Some(list) = &args.list {
        let text =
            std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        texts.extend(lines.map(str::to_owned));
    }
    let found = pyti_resolve::interpreters::find_cached(&env, &folders.interpreters()?);
    let wanted: Vec<Option<&str>> = if config.python.value.is_empty() {
        vec![None]
    } else {
        config.python.value.iter().map(|v| Some(v.as_str())).collect()
    };
    let interpreters: Vec<Interpreter> = wanted
        .into_iter()
        .map(|wish| pyti_resolve::interpreters::choose(&found, wish))
        .collect::<Result<_, _>>()?;
    let mut pieces = Vec::new();
    for text in texts {
        let target: Target = text.parse()?;
        for interpreter in &interpreters {
            let request = request(args, config, interpreter.clone())?;
            pieces.push(Piece {
                target: Wanted::Target(text.clone(), target.clone()),
                request,
            });
        }
    }
    Ok(pieces)
}

fn request(args: &RunArgs, config: &Config, interpreter: Interpreter) -> anyhow::Result<Request> {
    let mut env = BTreeMap::new();
    for pair in &args.env {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Usage(format!("--env {pair:?}: write NAME=VALUE")))?;
        env.insert(name.to_owned(), value.to_owned());
    }
    if let Some(unknown) = args.skip.iter().find(|name| !TASKS.contains(&name.as_str())) {
        return Err(Usage(format!(
            "--skip {unknown:?}: there are the tasks {}",
            TASKS.join(", ")
        ))
        .into());
    }
    Ok(Request {
        interpreter,
        only: args.only.map(|only| match only {
            Only::Sdist => FileKind::Sdist,
            Only::Wheel => FileKind::Wheel,
        }),
        skip: args.skip.clone(),
        env,
        pre: args.pre,
        exclude_newer: args.exclude_newer.clone(),
        limits: config.limits.clone(),
        installer: match args.installer {
            InstallerName::Uv => Installer::Uv,
            InstallerName::Pip => Installer::Pip,
        },
        max_bytes: config.max_size.value,
        hash_seed: 0,
        watch: if args.no_watch { Watch::Off } else { Watch::On },
        exercise: args.exercise,
        allow: args.allow.clone(),
        repeat: args.repeat.unwrap_or(0),
    })
}

impl Session<'_> {
    async fn one(&self, piece: Piece) -> anyhow::Result<Finished> {
        let interpreter = piece.request.interpreter.clone();
        let label = match &piece.target {
            Wanted::Target(text, _) => text.clone(),
            Wanted::Plan(plan) => format!("{} {}", plan.target.project, plan.target.version),
        };
        let label = if self.interpreter_count > 1 {
            format!("{label} {}", interpreter.short())
        } else {
            label
        };
        let live = Live::new(label.clone(), self.bars.as_ref(), self.quiet);
        live.say("looking up", "");
        let prepared = match piece.target {
            Wanted::Plan(plan) => {
                let progress =
                    |name: &str, done: u64, _: Option<u64>| live.say("fetching", &format!("{name} {done}"));
                self.worker
                    .fetch_for(&plan, &progress)
                    .await
                    .map(|()| from_plan(*plan))
            }
            Wanted::Target(_, target) => {
                let progress =
                    |name: &str, done: u64, _: Option<u64>| live.say("fetching", &format!("{name} {done}"));
                self.worker.prepare(&target, &piece.request, &progress).await
            }
        };
        live.end_all();
        let prepared = match prepared {
            Ok(prepared) => prepared,
            Err(error) => return self.nothing(&label, error, &interpreter),
        };
        let run = self.runs.create(&RunFile::now(
            &prepared.name,
            prepared.version.as_deref(),
            &interpreter,
        ))?;
        let ran = self.jobs(prepared, run.clone(), &label).await;
        let (run, own_error) = match ran {
            Ok(run) => (run, None),
            Err((run, error)) => (run, Some(error)),
        };
        let shown = load(&run).and_then(|loaded| self.show(&run, &loaded));
        match (shown, own_error) {
            (Ok(finished), Some(error)) => {
                crate::output::say_error(&error);
                Ok(Finished {
                    own_error: true,
                    ..finished
                })
            }
            // what could not be written cannot be read: that it could not is the news
            (Err(_), Some(error)) => Err(error),
            (shown, None) => shown,
        }
    }

    /// Runs the jobs of one run, one after the other: the wheel's first, because it is what a user would get.
    async fn jobs(&self, prepared: Prepared, mut run: Run, label: &str) -> Result<Run, (Run, anyhow::Error)> {
        let mut failed = None;
        for (number, job) in prepared.jobs.into_iter().enumerate() {
            let kind = match &job {
                PreparedJob::Plan(plan) => plan.target.kind.to_string(),
                PreparedJob::Decided { file, .. } => {
                    file.as_ref().map_or("file".to_owned(), |f| f.kind.to_string())
                }
            };
            let name = if run.file.recordings.iter().any(|r| r.starts_with(&kind)) {
                format!("{kind}-{number}.jsonl.zst")
            } else {
                format!("{kind}.jsonl.zst")
            };
            let live = Arc::new(Live::new(
                format!("{label} {kind}"),
                self.bars.as_ref(),
                self.quiet,
            ));
            let listener: Arc<dyn Listener> = Arc::clone(&live) as Arc<dyn Listener>;
            let recorder = match Recorder::create(&run.recording(&name), listener) {
                Ok(recorder) => Arc::new(recorder),
                Err(error) => return Err((run, error.into())),
            };
            run.file.recordings.push(name);
            let result = match job {
                PreparedJob::Decided { file, outcome } => {
                    recorder.record(Event::Decided { file, outcome });
                    Ok(())
                }
                PreparedJob::Plan(plan) => {
                    recorder.record(began(&plan, &run));
                    self.worker
                        .run(*plan, None, Arc::clone(&recorder), &self.stop)
                        .await
                }
            };
            if let Err(JobError::Box(why)) = &result {
                let mut detail = why.to_string();
                let mut source = std::error::Error::source(why);
                while let Some(cause) = source {
                    detail.push_str(&format!(": {cause}"));
                    source = cause.source();
                }
                recorder.record(Event::Decided {
                    file: None,
                    outcome: Outcome::because(Status::Error, Reason::new(ReasonCode::Sandbox, detail)),
                });
            }
            recorder.record(Event::Finished {
                interrupted: self.stop.is_stopped(),
            });
            live.end_all();
            // a thread of the job may hold it a moment longer
            if let Err(error) = recorder.finish() {
                failed.get_or_insert(error.into());
            }
            if let Err(error) = result {
                failed.get_or_insert(error.into());
                break;
            }
            if self.stop.is_stopped() {
                break;
            }
        }
        if let Err(error) = run.save() {
            failed.get_or_insert(error.into());
        }
        match failed {
            None => Ok(run),
            Some(error) => Err((run, error)),
        }
    }

    fn show(&self, run: &Run, loaded: &Loaded) -> anyhow::Result<Finished> {
        let view = loaded.view(run);
        let judged = loaded
            .jobs
            .iter()
            .map(|(_, judgement)| (judgement.outcome.status, judgement.verdict));
        let jobs: Vec<_> = judged.collect();
        let summary = pyti_report::summary(&view, Some(&run.folder.display().to_string()));
        let mut saved = run.clone();
        saved.file.status = Some(summary.status.word().to_owned());
        saved.save()?;
        let text = if self.json {
            serde_json::to_string(&summary)?
        } else {
            pyti_report::terminal(&view, &self.look.report)
        };
        match &self.bars {
            Some(bars) => bars.suspend(|| print(&text))?,
            None => print(&text)?,
        }
        Ok(Finished {
            own_error: jobs.iter().any(|(status, _)| *status == Status::Error),
            jobs,
            run: saved,
        })
    }

    /// All runs, grouped by what they came to.
    fn summarise(&self, finished: &[Finished]) -> anyhow::Result<()> {
        let loaded: Vec<Loaded> = finished.iter().map(|f| load(&f.run)).collect::<Result<_, _>>()?;
        let views: Vec<_> = loaded
            .iter()
            .zip(finished)
            .map(|(loaded, f)| loaded.view(&f.run))
            .collect();
        print(&pyti_report::several(&views, &self.look.report))?;
        Ok(())
    }

    /// A target that is not there: an error for who asked, an object for a program.
    fn nothing(&self, label: &str, error: Nothing, interpreter: &Interpreter) -> anyhow::Result<Finished> {
        let code = match &error {
            Nothing::NoProject { .. } | Nothing::NoVersion { .. } => ReasonCode::UnknownProject,
            Nothing::Index { .. } => ReasonCode::Download,
            Nothing::File(..) | Nothing::FileName(..) | Nothing::Refused(_) | Nothing::Gone(_) => {
                return Err(error.into());
            }
        };
        let status = if code == ReasonCode::Download {
            Status::Error
        } else {
            Status::Broken
        };
        let mut run = self.runs.create(&RunFile::now(label, None, interpreter))?;
        let recorder = Recorder::create(&run.recording("file.jsonl.zst"), Arc::new(()))?;
        recorder.record(Event::Decided {
            file: None,
            outcome: Outcome::because(status, Reason::new(code, with_causes(&error))),
        });
        recorder.record(Event::Finished { interrupted: false });
        recorder.finish()?;
        run.file.recordings.push("file.jsonl.zst".to_owned());
        run.save()?;
        let finished = self.show(&run, &load(&run)?)?;
        if !self.json {
            crate::output::say_error(&error.into());
        }
        Ok(finished)
    }
}

/// An error and what caused it, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn from_plan(plan: Plan) -> Prepared {
    Prepared {
        name: plan.target.project.clone(),
        version: Some(plan.target.version.clone()),
        jobs: vec![PreparedJob::Plan(Box::new(plan))],
    }
}

fn began(plan: &Plan, run: &Run) -> Event {
    let mut machine = BTreeMap::new();
    if let Ok(release) = std::fs::read_to_string("/proc/sys/kernel/osrelease") {
        machine.insert("kernel".to_owned(), release.trim().to_owned());
    }
    machine.insert("architecture".to_owned(), std::env::consts::ARCH.to_owned());
    Event::Began {
        recording: RECORDING_VERSION,
        pyti: env!("CARGO_PKG_VERSION").to_owned(),
        when: run.file.when.clone(),
        plan: Box::new(plan.clone()),
        machine,
    }
}

/// Jobs of a run, judged.
pub(crate) type Judged = (JobRecord, Judgement);
