//! `pyti submit`, `pyti status` and `pyti watch`: the service, for who wants something tested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use pyti_command::job::{Get, GetParams, JobView, Submit, SubmitParams, SubmitTarget, Submitted};
use pyti_command::order::Options;
use pyti_command::result::{Query, QueryParams};
use pyti_command::{Nothing, admin, feed};
use pyti_dispatch::{JobId, Priority};
use pyti_model::outcome::{Status, Verdict};
use pyti_worker::Stop;
use pyti_worker::target::Target;

use crate::args::{PriorityName, StatusArgs, SubmitArgs, WatchArgs};
use crate::caller::{Caller, CallerError};
use crate::output::{Look, Usage, print, tell};
use crate::shown;

/// Longest wait of one question for a job.
const WAIT: u32 = pyti_command::work::WAIT_S;
/// Largest file that is sent.
const MOST: u64 = 200 << 20;
/// How often it is looked for new results.
const PACE: Duration = Duration::from_secs(1);

/// `pyti submit`.
pub(crate) fn submit(args: &SubmitArgs, look: &Look) -> anyhow::Result<u8> {
    crate::run::runtime()?.block_on(submit_all(args, look))
}

async fn submit_all(args: &SubmitArgs, look: &Look) -> anyhow::Result<u8> {
    let caller = Arc::new(Caller::new(&args.controller)?);
    let mut texts = args.targets.clone();
    if let Some(list) = &args.list {
        texts.extend(crate::run::targets_of(list)?);
    }
    // all are looked at before any is sent
    let wanted: Vec<Wanted> = texts
        .iter()
        .map(|text| Wanted::of(text))
        .collect::<Result<_, _>>()?;
    let mut jobs = Vec::new();
    for one in wanted {
        let submitted = one.submit(&caller, args).await?;
        for note in &submitted.notes {
            tell(&format!("note: {}", shown::seen(note)));
        }
        if args.json && !args.wait {
            print(&serde_json::to_string(&submitted)?)?;
        } else if !args.json {
            tell_submitted(&submitted, look);
        }
        jobs.extend(submitted.jobs.iter().map(|job| job.job));
    }
    if !args.wait {
        if !args.json && !jobs.is_empty() {
            let names: Vec<String> = jobs.iter().take(8).map(ToString::to_string).collect();
            tell(&format!("  pyti status {}", names.join(" ")));
        }
        return Ok(0);
    }
    let stop = Stop::new();
    crate::session::stop_on_signal(stop.clone());
    let ended = wait_for(&caller, &jobs, &stop, |job| {
        let text = if args.json {
            serde_json::to_string(job)?
        } else {
            shown::job_lines(job, &look.report)
        };
        print(&text).map_err(anyhow::Error::from)
    })
    .await?;
    if ended.len() > 2 && !args.json {
        print(&shown::summary(&ended, &look.report))?;
    }
    Ok(code(&ended, stop.is_stopped()))
}

fn tell_submitted(submitted: &Submitted, look: &Look) {
    let new = submitted.jobs.iter().filter(|job| job.new).count();
    let old = submitted.jobs.len() - new;
    let mut parts = Vec::new();
    if new > 0 {
        parts.push(format!("{new} new {}", if new == 1 { "job" } else { "jobs" }));
    }
    if old > 0 {
        parts.push(format!(
            "{old} that {} there already",
            if old == 1 { "was" } else { "were" }
        ));
    }
    if parts.is_empty() {
        parts.push("nothing to test".to_owned());
    }
    let text = format!(
        "{} {}: {}",
        shown::seen(&submitted.project),
        shown::seen(&submitted.version),
        parts.join(", ")
    );
    tell(&look.report.plain(&text));
}

/// The exit code of jobs of the service: as of `pyti run`; a job without a result is an error of ours.
fn code(jobs: &[JobView], interrupted: bool) -> u8 {
    let statuses: Vec<(Status, Verdict)> = jobs
        .iter()
        .filter_map(|job| job.result.as_ref())
        .map(|result| (result.status, result.verdict))
        .collect();
    let none = jobs.iter().any(|job| job.ended && job.result.is_none());
    // what has not ended is no finding yet
    if statuses.is_empty() && !none && !interrupted {
        return 0;
    }
    pyti_judge::exit_code(&statuses, interrupted, none)
}

/// Waits for the end of all jobs, in whatever order they end.
async fn wait_for(
    caller: &Arc<Caller>,
    jobs: &[JobId],
    stop: &Stop,
    mut each: impl FnMut(&JobView) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<JobView>> {
    let mut waiting = tokio::task::JoinSet::new();
    let mut left = jobs.iter().copied();
    let mut ended = Vec::new();
    loop {
        while waiting.len() < 16
            && let Some(job) = left.next()
        {
            let (caller, stop) = (Arc::clone(caller), stop.clone());
            waiting.spawn(async move {
                tokio::select! {
                    () = stop.stopped() => Ok(None),
                    view = end_of(&caller, job) => view.map(Some),
                }
            });
        }
        match waiting.join_next().await {
            Some(view) => {
                if let Some(view) = view?? {
                    each(&view)?;
                    ended.push(view);
                }
            }
            None => return Ok(ended),
        }
    }
}

async fn end_of(caller: &Caller, job: JobId) -> Result<JobView, CallerError> {
    let params = GetParams { job, wait_s: WAIT };
    loop {
        let began = std::time::Instant::now();
        let view = caller
            .call::<Get>(&params, Duration::from_secs(WAIT.into()))
            .await?;
        if view.ended {
            return Ok(view);
        }
        // a controller that does not wait is not asked in a circle
        tokio::time::sleep(PACE.saturating_sub(began.elapsed())).await;
    }
}

/// One target as the service takes it.
enum Wanted {
    Named(SubmitTarget, Vec<String>),
    File(std::path::PathBuf, Vec<String>),
}

impl Wanted {
    fn of(text: &str) -> anyhow::Result<Self> {
        if text.contains("://") {
            return Ok(Self::Named(
                SubmitTarget::Url { url: text.to_owned() },
                Vec::new(),
            ));
        }
        if let Ok(sha256) = text.parse() {
            return Ok(Self::Named(SubmitTarget::File { sha256 }, Vec::new()));
        }
        Ok(match text.parse::<Target>()? {
            Target::Project {
                name,
                extras,
                specifiers,
            } => Self::Named(SubmitTarget::Project { name, specifiers }, extras),
            Target::File { path, extras } => Self::File(path, extras),
            Target::Folder { path, .. } => {
                return Err(Usage(format!(
                    "{} is a folder: a service takes files; build an sdist, or use pyti run",
                    path.display()
                ))
                .into());
            }
        })
    }

    async fn submit(self, caller: &Caller, args: &SubmitArgs) -> anyhow::Result<Submitted> {
        let (target, extras) = match self {
            Self::Named(target, extras) => (target, extras),
            Self::File(path, extras) => {
                let sha256 = caller.put(&path, MOST).await?;
                (SubmitTarget::File { sha256 }, extras)
            }
        };
        let params = SubmitParams {
            key: key()?,
            target,
            python: args.python.clone(),
            platform: None,
            isolation: None,
            options: options(args, extras)?,
            priority: args.priority.map(priority),
            again: args.again,
        };
        Ok(caller.call::<Submit>(&params, Duration::from_mins(1)).await?)
    }
}

fn options(args: &SubmitArgs, extras: Vec<String>) -> anyhow::Result<Options> {
    let mut env = BTreeMap::new();
    for pair in &args.env {
        let (name, value) = pair
            .split_once('=')
            .filter(|(name, _)| !name.is_empty())
            .ok_or_else(|| Usage(format!("--env {pair:?}: write NAME=VALUE")))?;
        env.insert(name.to_owned(), value.to_owned());
    }
    Ok(Options {
        extras,
        skip: args.skip.clone(),
        env,
        pre: args.pre,
        exclude_newer: args.exclude_newer.clone(),
        no_watch: args.no_watch,
        ..Options::default()
    })
}

fn priority(name: PriorityName) -> Priority {
    match name {
        PriorityName::Interactive => Priority::Interactive,
        PriorityName::Release => Priority::Release,
        PriorityName::Retest => Priority::Retest,
    }
}

/// What makes a submission the same when it is sent again.
fn key() -> anyhow::Result<String> {
    use std::io::Read as _;
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut random| random.read_exact(&mut bytes))
        .context("the system gives no random bytes")?;
    Ok(pyti_command::trust::hex(&bytes))
}

/// `pyti status`.
pub(crate) fn status(args: &StatusArgs, look: &Look) -> anyhow::Result<u8> {
    crate::run::runtime()?.block_on(async {
        let caller = Caller::new(&args.controller)?;
        if args.jobs.is_empty() {
            return overview(&caller, args.json, look).await;
        }
        let mut views = Vec::new();
        for job in &args.jobs {
            let params = GetParams {
                job: JobId(*job),
                wait_s: 0,
            };
            let view = caller.call::<Get>(&params, Duration::ZERO).await?;
            print(&if args.json {
                serde_json::to_string(&view)?
            } else {
                shown::job_lines(&view, &look.report)
            })?;
            views.push(view);
        }
        Ok(code(&views, false))
    })
}

async fn overview(caller: &Caller, json: bool, look: &Look) -> anyhow::Result<u8> {
    let nothing = Nothing::default();
    let status = caller.call::<admin::Status>(&nothing, Duration::ZERO).await?;
    let queues = caller.call::<admin::Queues>(&nothing, Duration::ZERO).await?;
    let workers = caller.call::<admin::Workers>(&nothing, Duration::ZERO).await?;
    let feeds = caller.call::<feed::Status>(&nothing, Duration::ZERO).await?;
    let latest = QueryParams {
        most: Some(5),
        ..QueryParams::default()
    };
    let results = caller.call::<Query>(&latest, Duration::ZERO).await?;
    if json {
        print(&serde_json::to_string(&serde_json::json!({
            "schema": "pyti.status/1",
            "status": status,
            "queues": queues.queues,
            "workers": workers.workers,
            "feed": feeds,
            "results": results.results,
        }))?)?;
        return Ok(0);
    }
    let now = crate::clock_ms();
    let ink = |ink, text: &str| look.report.ink(ink, text);
    let up = shown::ago(now.saturating_sub(status.started_ms));
    let state = if status.stopping { "stopping" } else { "serving" };
    let mut text = format!(
        " {} {state} since {up} · database {} · {} free\n",
        ink(
            pyti_report::Ink::Strong,
            &format!("pyti {}", shown::seen(&status.version))
        ),
        pyti_report::bytes(status.database_bytes),
        pyti_report::bytes(status.free_bytes),
    );
    text.push_str(&format!("\n{}", shown::queues(&queues.queues, &look.report)));
    text.push_str(&format!(
        "\n{}",
        shown::workers(&workers.workers, now, &look.report)
    ));
    if !feeds.feeds.is_empty() || feeds.open > 0 {
        text.push_str(&format!(
            "\n{}",
            crate::admin::feed_text(&feeds, now, &look.report)
        ));
    }
    if !results.results.is_empty() {
        text.push('\n');
        for result in &results.results {
            text.push_str(&shown::result_line(result, &look.report));
            text.push('\n');
        }
    }
    print(&look.report.plain(&text))?;
    Ok(0)
}

/// `pyti watch`.
pub(crate) fn watch(args: &WatchArgs, look: &Look) -> anyhow::Result<u8> {
    crate::run::runtime()?.block_on(async {
        let caller = Caller::new(&args.controller)?;
        let stop = Stop::new();
        crate::session::stop_on_signal(stop.clone());
        let newest = QueryParams {
            most: Some(1),
            ..QueryParams::default()
        };
        let mut after = if let Some(after) = args.after {
            after
        } else {
            let results = caller.call::<Query>(&newest, Duration::ZERO).await?.results;
            results.first().map_or(0, |result| result.id)
        };
        let mut left = args.count;
        while !stop.is_stopped() && left != Some(0) {
            let params = QueryParams {
                after: Some(after),
                most: Some(200),
                ..QueryParams::default()
            };
            let results = caller.call::<Query>(&params, Duration::ZERO).await?.results;
            for result in &results {
                after = after.max(result.id);
                if args
                    .project
                    .as_ref()
                    .is_some_and(|project| *project != result.project)
                {
                    continue;
                }
                print(&if args.json {
                    serde_json::to_string(result)?
                } else {
                    shown::result_line(result, &look.report)
                })?;
                left = left.map(|left| left.saturating_sub(1));
                if left == Some(0) {
                    break;
                }
            }
            if results.is_empty() {
                if args.no_wait {
                    break;
                }
                tokio::select! {
                    () = stop.stopped() => {}
                    () = tokio::time::sleep(PACE) => {}
                }
            }
        }
        Ok(if stop.is_stopped() { 130 } else { 0 })
    })
}
