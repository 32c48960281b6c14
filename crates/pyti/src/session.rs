//! Runs of one command: what they share, and one after the other what each goes through.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use indicatif::MultiProgress;
use pyti_model::FileKind;
use pyti_model::event::{Envelope, Event, RECORDING_VERSION};
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_model::plan::{Interpreter, Plan, Watch};
use pyti_model::raw::RawData;
use pyti_worker::folders::Folders;
use pyti_worker::recording::{Listener, Recorder};
use pyti_worker::runs::{Run, RunFile, Runs};
use pyti_worker::target::Target;
use pyti_worker::{JobError, Nothing, Prepared, PreparedJob, Request, Settings, Stop, Worker};

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
        let overrides = pyti_index::config::Overrides {
            index_url: config.index_url.as_ref().map(|v| v.value.clone()),
            remember_in: Some(folders.index()?),
            ..Default::default()
        };
        let found =
            tokio::task::spawn_blocking(move || pyti_index::config::Settings::discover(&env, &overrides))
                .await?;
        let index = found.context("the index is not configured")?;
        let program = std::env::current_exe().context("cannot find the program itself")?;
        let settings = Settings {
            index,
            offline,
            folders,
            program,
            at_once: 2,
        };
        let worker = Worker::open(settings, &env).await?;
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
            run.file.recordings.push(name.clone());
            let watched = match &job {
                PreparedJob::Plan(plan) if plan.watch == Watch::On => Some(plan.clone()),
                _ => None,
            };
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
                let detail = pyti_model::with_causes(why);
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
            if let Some(plan) = watched {
                self.compare_with_nothing(&mut run, &name, &plan).await;
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

    /// Puts the recording of an empty package beside that of a job. Without one nothing is subtracted, and the verdict
    /// is the stricter.
    async fn compare_with_nothing(&self, run: &mut Run, name: &str, plan: &Plan) {
        // nothing is built of a wheel, so its recording need not be read for a backend
        let backend = if plan.target.kind == FileKind::Wheel {
            None
        } else {
            let Ok(events) = pyti_worker::recording::read(&run.recording(name)) else {
                return;
            };
            backend_of(&events)
        };
        let Ok(kept) = self.worker.baseline(plan, backend.as_deref(), &self.stop).await else {
            return;
        };
        let beside = format!("baseline-{name}");
        let to = run.recording(&beside);
        if std::fs::hard_link(&kept, &to).is_ok() || std::fs::copy(&kept, &to).is_ok() {
            run.file.baselines.insert(name.to_owned(), beside);
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

/// The build backend that a job's sources name.
fn backend_of(events: &[Envelope]) -> Option<String> {
    events.iter().find_map(|envelope| match &envelope.event {
        Event::Ended {
            task,
            raw: Some(RawData::Inspect(inspection)),
            ..
        } if task == "inspect" => Some(inspection.build.backend.clone()),
        _ => None,
    })
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
