//! The capture lane: files that jobs wait for are fetched from the index and kept, whatever the queue does.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pyti_dispatch::{Job, JobStore as _, Message, State, Wait};
use pyti_model::{Digest, FileKind};
use pyti_store::{Class, File, FileInfo, StoreError};
use tokio::task::JoinSet;

use crate::controller::Controller;

/// How often it looks by itself.
const LOOK: Duration = Duration::from_secs(5);
/// Files at once.
const AT_ONCE: usize = 3;
/// How often a file is tried, and how long to wait between.
const TRIES: [u64; 4] = [5, 30, 120, 600];

/// A file that could not be fetched.
#[derive(Debug, Clone, Copy)]
struct Tried {
    times: usize,
    not_before: Instant,
}

/// Runs until the controller stops.
pub(crate) async fn lane(controller: Arc<Controller>) {
    let mut stop = controller.stopped();
    let mut tried: HashMap<Digest, Tried> = HashMap::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = controller.to_capture.notified() => {}
            () = crate::controller::over(&mut stop) => return,
        }
        if let Err(error) = round(&controller, &mut tried).await {
            tracing::warn!(%error, "the capture lane could not look");
        }
    }
}

async fn round(
    controller: &Arc<Controller>,
    tried: &mut HashMap<Digest, Tried>,
) -> Result<(), pyti_command::rpc::RpcError> {
    let waiting = controller.ask(|store| store.uncaptured(pyti_store::MOST)).await?;
    let mut files: HashMap<Digest, Vec<Job>> = HashMap::new();
    for job in waiting {
        files.entry(job.key.file.clone()).or_default().push(job);
    }
    controller
        .waiting_captures
        .store(files.len() as u64, Ordering::Relaxed);
    tried.retain(|file, _| files.contains_key(file));
    let now = Instant::now();
    let mut at_work = JoinSet::new();
    let mut outcomes = Vec::new();
    for (file, jobs) in files {
        if tried.get(&file).is_some_and(|tried| tried.not_before > now) {
            continue;
        }
        if at_work.len() >= AT_ONCE
            && let Some(outcome) = at_work.join_next().await
        {
            outcomes.extend(outcome);
        }
        let controller = Arc::clone(controller);
        at_work.spawn(async move {
            let outcome = capture(&controller, &file, &jobs).await;
            (file, jobs, outcome)
        });
    }
    while let Some(outcome) = at_work.join_next().await {
        outcomes.extend(outcome);
    }
    for (file, jobs, outcome) in outcomes {
        let Err(why) = outcome else {
            tried.remove(&file);
            continue;
        };
        let times = tried.get(&file).map_or(0, |tried| tried.times);
        tracing::warn!(file = file.short(), times, why, "a file was not captured");
        match TRIES.get(times) {
            Some(wait) => {
                let not_before = Instant::now() + Duration::from_secs(*wait);
                tried.insert(
                    file,
                    Tried {
                        times: times + 1,
                        not_before,
                    },
                );
            }
            None => {
                // it is gone, and nothing can be said of it
                for job in jobs {
                    controller.send(Message::Cancel { job: job.id }).await?;
                    let _ = controller.ended.send(job.id);
                }
            }
        }
    }
    Ok(())
}

/// Fetches one file and lets its jobs into the queue.
async fn capture(controller: &Controller, file: &Digest, jobs: &[Job]) -> Result<(), String> {
    let wanted = file.clone();
    let known = controller
        .ask(move |store| store.files(&wanted))
        .await
        .map_err(|error| error.to_string())?;
    let known = known.into_iter().next().ok_or("nobody knows its name")?;
    if known.captured.is_none() {
        store_file(controller, &known.info).await?;
    }
    let version = known.version_id;
    let others = controller
        .ask(move |store| store.files_of_version(version))
        .await
        .map_err(|error| error.to_string())?;
    for other in beside(&known, &others) {
        // without it the job still runs, and says what it misses
        if let Err(why) = store_file(controller, &other.info).await {
            tracing::warn!(
                file = other.info.name,
                why,
                "what belongs to a job was not captured"
            );
        }
    }
    let jobs: Vec<_> = jobs
        .iter()
        .filter(|job| job.state == State::Waiting(Wait::Capture))
        .map(|job| job.id)
        .collect();
    controller
        .ask(move |store| {
            for job in jobs {
                store.send(Message::Ready { job })?;
            }
            Ok(())
        })
        .await
        .map_err(|error| error.to_string())
}

/// Files of the same release that a job needs and that are not stored yet: a wheel's tests are in its sdist, and the build of an
/// sdist is compared with a wheel.
fn beside<'a>(file: &File, others: &'a [File]) -> Vec<&'a File> {
    let other_kind = others
        .iter()
        .filter(|other| other.info.kind != file.info.kind && !other.state.removed);
    let lacking: Vec<_> = other_kind
        .clone()
        .filter(|other| other.captured.is_none())
        .collect();
    match file.info.kind {
        FileKind::Wheel => lacking,
        // one wheel is enough
        FileKind::Folder => Vec::new(),
        FileKind::Sdist if other_kind.clone().any(|other| other.captured.is_some()) => Vec::new(),
        FileKind::Sdist => lacking.into_iter().take(1).collect(),
    }
}

/// Fetches a file from the index and stores it; the bytes are those that its digest says.
pub(crate) async fn store_file(controller: &Controller, info: &FileInfo) -> Result<(), String> {
    let index = controller.index().ok_or("no index is configured")?;
    let page = index
        .project(&info.project)
        .await
        .map_err(|error| pyti_model::with_causes(&error))?;
    let named = page
        .files
        .iter()
        .find(|named| named.filename == info.name)
        .ok_or("the index does not name it any more")?;
    let (digest, path) = index
        .fetch(named, &|_, _| {})
        .await
        .map_err(|error| pyti_model::with_causes(&error))?;
    if digest != info.sha256 {
        return Err("the index gives other bytes under its name".to_owned());
    }
    let info = info.clone();
    controller
        .ask(move |store| {
            let mut from = std::fs::File::open(&path).map_err(|source| StoreError::Io {
                path: path.clone(),
                source,
            })?;
            let (_, size) = store.blobs().put_from(&mut from)?;
            store.captured(&FileInfo { size, ..info }, Class::Short)?;
            // the store keeps it; the cache was only a way to get it
            let _ = std::fs::remove_file(&path);
            Ok(())
        })
        .await
        .map_err(|error| error.to_string())
}
