//! Events become files and jobs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use pyti_command::order::{Environment, Options};
use pyti_command::rpc::RpcError;
use pyti_dispatch::{NewJob, State};
use pyti_feed::action::What;
use pyti_feed::news::{Cause, Known, News, Standing, news};
use pyti_feed::patience::{self, Next};
use pyti_index::{IndexError, Project, RedactedUrl};
use pyti_model::{Digest, FileKind};
use pyti_store::{Expansion, FileInfo, FileState, OpenEvent, StoreError};

use super::{Feeds, changelog, pause};
use crate::controller::{Controller, now_ms};
use crate::expand;

/// How often it looks by itself.
const LOOK: Duration = Duration::from_secs(2);
/// Events that are looked up at once.
const AT_ONCE: u32 = 200;

/// Runs until the controller stops.
pub(super) async fn run(controller: Arc<Controller>, feeds: Arc<Feeds>) {
    loop {
        match round(&controller, &feeds).await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::warn!(%error, "events wait"),
        }
        if !pause(&controller, LOOK, Some(&feeds.told)).await {
            return;
        }
    }
}

/// Expands what is due; whether anything was.
async fn round(controller: &Arc<Controller>, feeds: &Feeds) -> Result<bool, RpcError> {
    let open = controller.ask(|store| store.feed_open(now_ms(), AT_ONCE)).await?;
    if open.is_empty() {
        return Ok(false);
    }
    // before a worker has come there is nothing that a job could be for, and events wait
    let environments = expand::environments(controller, &[], None, None).await?;
    // several events of a project are one look at its page
    let mut projects: BTreeMap<String, Vec<OpenEvent>> = BTreeMap::new();
    for event in open {
        projects
            .entry(event.event.project.clone())
            .or_default()
            .push(event);
    }
    for (project, events) in projects {
        if controller.stopping() {
            return Ok(false);
        }
        let why = match expand_project(controller, feeds, &project, &events, &environments).await {
            Ok(()) => continue,
            Err(Trouble::Store(error)) => return Err(error),
            Err(Trouble::Page(why)) => why,
        };
        for event in events {
            match patience::after(event.tries) {
                Next::Again(wait) => {
                    let due = now_ms().saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
                    controller
                        .ask(move |store| store.feed_defer(event.id, due))
                        .await?;
                }
                Next::GiveUp => {
                    tracing::warn!(project, serial = event.event.serial, why, "an event was given up");
                    controller.ask(move |store| store.feed_give_up(event.id)).await?;
                }
            }
        }
    }
    Ok(true)
}

/// Why a project's events wait on.
enum Trouble {
    /// Its page: not to be had, or older than the events.
    Page(String),
    /// Ours.
    Store(RpcError),
}

impl From<RpcError> for Trouble {
    fn from(error: RpcError) -> Self {
        Self::Store(error)
    }
}

async fn expand_project(
    controller: &Arc<Controller>,
    feeds: &Feeds,
    project: &str,
    events: &[OpenEvent],
    environments: &[Environment],
) -> Result<(), Trouble> {
    let index = controller
        .index()
        .ok_or_else(|| Trouble::Page("no index is configured".to_owned()))?;
    let told: Vec<What> = events.iter().map(|event| What::of(&event.event.action)).collect();
    let known = known(controller, project).await?;
    let page = match index.project_now(project).await {
        Ok(page) => page,
        // taken away as a whole; a new one may not be there yet
        Err(IndexError::UnknownProject { .. }) if !known.is_empty() && told.contains(&What::Removed) => {
            Arc::new(Project::without_files(
                project,
                RedactedUrl::new(index.settings().index_url.clone()),
            ))
        }
        Err(error) => return Err(Trouble::Page(pyti_model::with_causes(&error))),
    };
    let since = changelog::since(controller).await?.unwrap_or_default();
    let cause = Cause {
        told: &told,
        serial: events.iter().map(|event| event.event.serial).max(),
        since: &since,
    };
    let news = news(&page, &known, &cause, &feeds.filter);
    if news.is_stale {
        return Err(Trouble::Page(
            "index_stale: its page is older than the event".to_owned(),
        ));
    }
    for (file, why) in &news.unwanted {
        tracing::info!(file = file.filename, why = why.word(), "an upload is not taken");
    }
    let mut expansion = Expansion {
        events: events.iter().map(|event| event.id).collect(),
        ..Expansion::default()
    };
    fill(controller, feeds, &page, &news, environments, &mut expansion).await?;
    let standings: Vec<(Digest, FileState)> = news
        .standings
        .iter()
        .map(|(sha256, standing)| (sha256.clone(), state_of(*standing)))
        .collect();
    let (files, jobs) = (expansion.files.len(), expansion.jobs.len());
    controller
        .ask(move |store| {
            for (sha256, state) in &standings {
                store.set_file_state(sha256, *state)?;
            }
            store.expand(expansion)
        })
        .await?;
    if files + jobs > 0 {
        tracing::info!(project, files, jobs, "uploads were expanded");
        feeds.to_store.notify_one();
        controller.to_capture.notify_one();
    }
    Ok(())
}

/// Every file of a project that there is a row for.
async fn known(controller: &Controller, project: &str) -> Result<Vec<Known>, RpcError> {
    let name = project.to_owned();
    controller
        .ask(move |store| -> Result<_, StoreError> {
            let Some(id) = store.project(&name)? else {
                return Ok(Vec::new());
            };
            let (mut known, mut after) = (Vec::new(), 0);
            loop {
                let files = store.files_of_project(id, after, pyti_store::MOST)?;
                let Some(last) = files.last() else {
                    return Ok(known);
                };
                after = last.id;
                known.extend(files.into_iter().map(|file| Known {
                    sha256: file.info.sha256,
                    version: file.info.version,
                    kind: file.info.kind,
                    standing: Standing {
                        yanked: file.state.yanked,
                        quarantined: file.state.quarantined,
                        removed: file.state.removed,
                    },
                }));
            }
        })
        .await
}

fn state_of(standing: Standing) -> FileState {
    FileState {
        yanked: standing.yanked,
        quarantined: standing.quarantined,
        removed: standing.removed,
    }
}

/// Writes what is new into an expansion.
async fn fill(
    controller: &Arc<Controller>,
    feeds: &Feeds,
    page: &Project,
    news: &News<'_>,
    environments: &[Environment],
    expansion: &mut Expansion,
) -> Result<(), RpcError> {
    if news.uploads.is_empty() {
        return Ok(());
    }
    let mut infos: BTreeMap<&str, FileInfo> = BTreeMap::new();
    for file in &news.uploads {
        if let Some(info) = expand::described_file(controller, page, Some(file)).await? {
            expansion.captures.push(info.sha256.clone());
            infos.insert(&file.filename, info);
        }
    }
    expansion.files = infos.values().cloned().collect();
    let priority = feeds.filter.priority(&page.name, news.is_new_project);
    // a pre-release that was uploaded is wanted; by its version it was asked for
    let options = Options::default();
    let mut seen = BTreeSet::new();
    for (version, release) in &news.releases {
        if !classified(controller, feeds, page, release.new.first()).await {
            continue;
        }
        for environment in environments {
            let pinned = format!("=={version}");
            let Ok(chosen) = expand::chosen(controller, page, Some(&pinned), environment, &options) else {
                // nothing of this release is for that interpreter
                continue;
            };
            let has_wheel = chosen.wheel.is_some();
            let candidates = [(&chosen.wheel, true), (&chosen.sdist, !has_wheel)];
            for (file, run_tests) in candidates {
                let Some(file) = file else { continue };
                let is_new = release.new.contains(&file.filename.as_str());
                let gets_tests = release.brings_tests && file.file_kind() == FileKind::Wheel;
                if !(is_new || gets_tests) || feeds.filter.kind(file).is_err() {
                    continue;
                }
                let Some(info) = expand::described_file(controller, page, Some(file)).await? else {
                    continue;
                };
                let spec = expand::spec(environment, &options, run_tests);
                let (mut job, hash, body) = expand::job(controller, &info, &spec, priority).await?;
                if !is_new && !next_generation(controller, &mut job).await? {
                    continue;
                }
                // it begins when what belongs to it is stored too, which the lane of captures sees to
                job.captured = false;
                if seen.insert(job.key.clone()) {
                    expansion.specs.push((hash, body));
                    expansion.jobs.push(job);
                }
            }
        }
    }
    Ok(())
}

/// Makes a job that was done before the next generation of itself. One that is still to be done needs none: it will find
/// the tests by itself.
async fn next_generation(controller: &Controller, job: &mut NewJob) -> Result<bool, RpcError> {
    let (file, spec) = (job.key.file.clone(), job.key.spec.clone());
    let before = controller
        .ask(move |store| {
            let jobs = store.jobs_of_file(&file, pyti_store::MOST)?;
            Ok(jobs
                .into_iter()
                .filter(|job| job.key.spec == spec)
                .max_by_key(|job| job.key.generation))
        })
        .await?;
    match before {
        None => Ok(true),
        Some(before) if matches!(before.state, State::Waiting(_) | State::Queued) => Ok(false),
        Some(before) => {
            job.key.generation = before.key.generation + 1;
            Ok(true)
        }
    }
}

/// Whether a release carries a classifier that is asked for. What cannot be read is not left out: better one job too many.
async fn classified(controller: &Controller, feeds: &Feeds, page: &Project, filename: Option<&&str>) -> bool {
    if !feeds.filter.asks_classifiers() {
        return true;
    }
    let file = filename.and_then(|name| page.files.iter().find(|file| file.filename == **name));
    let (Some(file), Some(index)) = (file, controller.index()) else {
        return true;
    };
    match index.metadata(file, None).await {
        Ok(metadata) => {
            let of_file = pyti_index::classifiers(&metadata);
            feeds
                .filter
                .classifiers(of_file.iter().map(String::as_str))
                .is_ok()
        }
        Err(_) => true,
    }
}
