//! Runs of one command: what they share, and one after the other what each goes through.

use std::sync::Arc;

use anyhow::Context as _;
use indicatif::MultiProgress;
use pyti_model::event::Event;
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_model::plan::{Interpreter, Plan};
use pyti_worker::folders::Folders;
use pyti_worker::recording::{Listener, Recorder};
use pyti_worker::runs::{Run, RunFile, Runs};
use pyti_worker::target::Target;
use pyti_worker::{CarryError, Nothing, Prepared, PreparedJob, Request, Settings, Stop, Worker};

use crate::config::Config;
use crate::live::Live;
use crate::output::{Look, print, tell};
use crate::recorded::{Loaded, load};
use crate::run::env;
use crate::side_by_side::FuturesSet;

/// How runs are shown while they happen and when they end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Showing {
    /// The report of each on a terminal.
    Report,
    /// One JSON object each.
    Json,
    /// Nothing: who asked shows them together.
    Nothing,
}

/// What all runs of one command share.
pub(crate) struct Session<'a> {
    pub(crate) worker: Worker,
    pub(crate) stop: Stop,
    runs: Runs,
    look: &'a Look,
    showing: Showing,
    quiet: bool,
    bars: Option<MultiProgress>,
    at_once: usize,
    interpreter_count: usize,
}

/// One target on one interpreter.
#[derive(Clone)]
pub(crate) struct Piece {
    pub(crate) target: Wanted,
    pub(crate) request: Request,
}

/// What is wanted of it.
#[derive(Clone)]
pub(crate) enum Wanted {
    /// A target, and how it was written.
    Target(String, Target),
    /// A plan that was frozen.
    Plan(Box<Plan>),
}

/// What one piece came to.
pub(crate) struct Finished {
    /// Of every job: a wheel that passes does not hide an sdist that fails.
    pub(crate) jobs: Vec<(Status, Verdict)>,
    pub(crate) own_error: bool,
    pub(crate) run: Run,
    /// Which of the pieces it is.
    pub(crate) piece: usize,
}

/// Opens the caches and the index.
pub(crate) async fn open_worker(config: &Config, folders: Folders, offline: bool) -> anyhow::Result<Worker> {
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
        offline,
        folders,
        program,
        at_once: 2,
    };
    Ok(Worker::open(settings, &env).await?)
}

/// The first signal stops in order, the second at once.
pub(crate) fn stop_on_signal(stop: Stop) {
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

impl<'a> Session<'a> {
    /// Opens the caches and the index.
    pub(crate) async fn open(
        config: &Config,
        folders: Folders,
        offline: bool,
        quiet: bool,
        showing: Showing,
        look: &'a Look,
    ) -> anyhow::Result<Self> {
        let runs = Runs::new(folders.runs()?);
        let worker = open_worker(config, folders, offline).await?;
        let stop = Stop::new();
        stop_on_signal(stop.clone());
        Ok(Self {
            worker,
            stop,
            runs,
            look,
            showing,
            quiet,
            bars: (look.live && !quiet).then(Live::bars),
            at_once: config.jobs.value.clamp(1, 64),
            interpreter_count: config.python.value.len(),
        })
    }

    /// Runs pieces side by side; boxes are processes of their own, so one thread of control is enough.
    pub(crate) async fn all(self: &Arc<Self>, pieces: Vec<Piece>) -> anyhow::Result<Vec<Finished>> {
        let mut finished = Vec::new();
        let mut waiting = pieces.into_iter().enumerate();
        let mut running = FuturesSet::new();
        loop {
            while running.len() < self.at_once && !self.stop.is_stopped() {
                let Some((number, piece)) = waiting.next() else {
                    break;
                };
                let session = Arc::clone(self);
                running.push(Box::pin(async move {
                    session.one(piece).await.map(|finished| Finished {
                        piece: number,
                        ..finished
                    })
                }));
            }
            match running.next().await {
                Some(result) => finished.push(result?),
                None => break,
            }
        }
        if finished.len() > 2 && self.showing == Showing::Report && !self.quiet {
            self.summarise(&finished)?;
        }
        Ok(finished)
    }

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
        let mut file = RunFile::now(&prepared.name, prepared.version.as_deref(), &interpreter);
        piece.request.isolation.word().clone_into(&mut file.isolation);
        let run = self.runs.create(&file)?;
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
        let mut failed: Option<anyhow::Error> = None;
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
            let plan = match &job {
                PreparedJob::Plan(plan) => Some(plan.clone()),
                PreparedJob::Decided { .. } => None,
            };
            let recording = run.recording(&name);
            let result = self
                .worker
                .carry_out(job, &recording, &run.file.when, listener, &self.stop)
                .await;
            live.end_all();
            if recording.is_file() {
                run.file.recordings.push(name.clone());
            }
            if let Err(error) = result {
                // each as itself, so that its hint is found
                failed = Some(match error {
                    CarryError::Job(error) => error.into(),
                    CarryError::Recording(error) => error.into(),
                });
                break;
            }
            if self.stop.is_stopped() {
                break;
            }
            let kept = match &plan {
                Some(plan) => self.worker.beside(plan, &recording, &self.stop).await,
                None => None,
            };
            if let Some(kept) = kept {
                let beside = format!("baseline-{name}");
                let to = run.recording(&beside);
                if std::fs::hard_link(&kept, &to).is_ok() || std::fs::copy(&kept, &to).is_ok() {
                    run.file.baselines.insert(name, beside);
                }
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
            .zip(&loaded.found)
            .map(|((_, judgement), found)| (judgement.outcome.status, found.verdict));
        let jobs: Vec<_> = judged.collect();
        let summary = pyti_report::summary(&view, Some(&run.folder.display().to_string()));
        let mut saved = run.clone();
        saved.file.status = Some(summary.status.word().to_owned());
        saved.save()?;
        let text = match self.showing {
            Showing::Json => serde_json::to_string(&summary)?,
            Showing::Report => pyti_report::terminal(&view, &self.look.report),
            Showing::Nothing => String::new(),
        };
        match &self.bars {
            _ if text.is_empty() => {}
            Some(bars) => bars.suspend(|| print(&text))?,
            None => print(&text)?,
        }
        Ok(Finished {
            own_error: jobs.iter().any(|(status, _)| *status == Status::Error),
            jobs,
            run: saved,
            piece: 0,
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
            outcome: Outcome::because(status, Reason::new(code, pyti_model::with_causes(&error))),
        });
        recorder.record(Event::Finished { interrupted: false });
        recorder.finish()?;
        run.file.recordings.push("file.jsonl.zst".to_owned());
        run.save()?;
        let finished = self.show(&run, &load(&run)?)?;
        if self.showing == Showing::Report {
            crate::output::say_error(&error.into());
        }
        Ok(finished)
    }
}

fn from_plan(plan: Plan) -> Prepared {
    Prepared {
        name: plan.target.project.clone(),
        version: Some(plan.target.version.clone()),
        jobs: vec![PreparedJob::Plan(Box::new(plan))],
    }
}
