//! Following the index: its changelog, the hint that something is new, and the comparison with its root.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pyti_command::rpc::RpcError;
use pyti_feed::action::{COMPARED, What};
use pyti_feed::patience;
use pyti_feed::reading::{Cursor, Odd, compare};
use pyti_index::feeds::{Change, Places};
use pyti_index::{Index, IndexError};
use pyti_store::FeedEvent;

use super::{Feeds, INDEX, pause};
use crate::controller::{Controller, now_ms};

/// Where what a reader must remember besides its cursor is kept.
const SPACE: &str = "feed";
/// The serial at which the reader once started.
const FLOOR: &str = "floor";
/// When that was, RFC 3339.
pub(super) const SINCE: &str = "since";
/// The serial up to which the root was compared.
const COMPARED_TO: &str = "compared";

/// What came of a round.
struct Heard {
    cursor: Cursor,
    /// What the reader does, in words.
    state: &'static str,
    trouble: Option<String>,
}

impl Heard {
    fn well(cursor: Cursor, state: &'static str) -> Self {
        Self {
            cursor,
            state,
            trouble: None,
        }
    }
}

const BY_CHANGELOG: &str = "following the changelog";
const BY_ROOT: &str = "no changelog: comparing the root";

/// Why a round came to nothing.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error(transparent)]
    Index(#[from] IndexError),
    #[error("{0}")]
    Store(RpcError),
}

impl From<RpcError> for Failed {
    fn from(error: RpcError) -> Self {
        Self::Store(error)
    }
}

/// Runs until the controller stops.
pub(super) async fn follow(controller: Arc<Controller>, feeds: Arc<Feeds>, places: Places) {
    let config = &feeds.config;
    if config.hint_every_s > 0 {
        tokio::spawn(hints(Arc::clone(&controller), Arc::clone(&feeds), places.clone()));
    }
    let every = Duration::from_secs(config.every_s.max(1));
    let mut failures = 0;
    let mut compared = None::<Instant>;
    let mut etag = None;
    loop {
        let Some(index) = controller.index() else { return };
        let round = match ask(&controller, index, &places).await {
            // many mirrors have no changelog; the root may do
            Err(Failed::Index(IndexError::Status {
                status: 404 | 405 | 410 | 501,
                ..
            })) => by_root(&controller, index, &places, &mut etag).await,
            other => other,
        };
        match round {
            Ok(heard) => {
                failures = 0;
                feeds.heard(INDEX, heard.state);
                feeds.note(INDEX, |shown| shown.view.cursor = Some(heard.cursor.to_string()));
                if let Some(trouble) = heard.trouble {
                    feeds.trouble(INDEX, trouble);
                }
                feeds.told.notify_one();
            }
            Err(error) => {
                failures += 1;
                let why = pyti_model::with_causes(&error);
                tracing::warn!(why, failures, "the index's feed gave nothing");
                feeds.trouble(INDEX, format!("no answer {failures} times: {why}"));
            }
        }
        let due = Duration::from_secs(config.compare_every_s);
        if config.compare_every_s > 0 && failures == 0 && compared.is_none_or(|when| when.elapsed() >= due) {
            compared = Some(Instant::now());
            if let Err(error) = reconcile(&controller, index, &places).await {
                tracing::warn!(why = pyti_model::with_causes(&error), "the root was not compared");
            }
            feeds.told.notify_one();
        }
        let wait = patience::between(every, failures);
        let sooner = (failures == 0).then_some(&feeds.hint);
        if !pause(&controller, wait, sooner).await {
            return;
        }
    }
}

async fn kept(controller: &Controller, key: &'static str) -> Result<Option<String>, RpcError> {
    let bytes = controller.ask(move |store| store.keep_get(SPACE, key)).await?;
    Ok(bytes.and_then(|bytes| String::from_utf8(bytes).ok()))
}

async fn keep(controller: &Controller, key: &'static str, text: String) -> Result<(), RpcError> {
    controller
        .ask(move |store| store.keep_put(SPACE, key, text.as_bytes(), None))
        .await
}

/// Since when a reader follows the index, RFC 3339.
pub(super) async fn since(controller: &Controller) -> Result<Option<String>, RpcError> {
    kept(controller, SINCE).await
}

async fn cursor(controller: &Controller) -> Result<Option<Cursor>, RpcError> {
    let text = controller.ask(|store| store.feed_cursor(INDEX)).await?;
    Ok(text.as_deref().and_then(Cursor::parse))
}

/// A reader that starts at a serial: what was before is not news.
async fn start(controller: &Controller, newest: u64) -> Result<Cursor, RpcError> {
    let cursor = Cursor::starting(newest);
    // an upload of the moment before may carry a time of the index's clock, which is not ours
    let since = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(10);
    keep(controller, SINCE, format!("{since:.6}")).await?;
    keep(controller, FLOOR, newest.to_string()).await?;
    keep(controller, COMPARED_TO, newest.to_string()).await?;
    let text = cursor.to_string();
    controller
        .ask(move |store| store.feed_take(INDEX, &text, Vec::new()))
        .await?;
    tracing::info!(serial = newest, "the index is followed from now on");
    Ok(cursor)
}

/// One question to the changelog.
async fn ask(controller: &Controller, index: &Index, places: &Places) -> Result<Heard, Failed> {
    let Some(cursor) = cursor(controller).await? else {
        let newest = index.last_serial(&places.changelog).await?;
        return Ok(Heard::well(start(controller, newest).await?, BY_CHANGELOG));
    };
    let floor = floor(controller, FLOOR).await?;
    let changes = index.changes_since(&places.changelog, cursor.ask_after()).await?;
    let taken = cursor.take(floor, changes);
    let mut trouble = None;
    for odd in &taken.odd {
        tracing::warn!(?odd, "the changelog is odd");
        if let Odd::Backwards { cursor, newest } = odd {
            trouble = Some(format!("the changelog went back: {newest} after {cursor}"));
        }
    }
    let events = taken
        .events
        .into_iter()
        .filter(|change| What::of(&change.action).matters())
        .map(event)
        .collect();
    let text = taken.cursor.to_string();
    let new = controller
        .ask(move |store| store.feed_take(INDEX, &text, events))
        .await?;
    if new > 0 {
        tracing::info!(events = new, serial = taken.cursor.serial(), "uploads were told");
    }
    Ok(Heard {
        trouble,
        ..Heard::well(taken.cursor, BY_CHANGELOG)
    })
}

async fn floor(controller: &Controller, key: &'static str) -> Result<u64, RpcError> {
    let text = kept(controller, key).await?;
    Ok(text.and_then(|text| text.parse().ok()).unwrap_or(0))
}

fn event(change: Change) -> FeedEvent {
    FeedEvent {
        serial: change.serial,
        project: change.project,
        action: change.action,
        at_ms: change.at.saturating_mul(1000),
    }
}

/// An index without a changelog: the serials of its root tell which projects have something new.
async fn by_root(
    controller: &Controller,
    index: &Index,
    places: &Places,
    etag: &mut Option<String>,
) -> Result<Heard, Failed> {
    let before = cursor(controller).await?;
    let asked = etag.clone().filter(|_| before.is_some());
    let Some(root) = index.root(&places.root, asked).await? else {
        return Ok(Heard::well(before.unwrap_or(Cursor::starting(0)), BY_ROOT));
    };
    etag.clone_from(&root.etag);
    let newest = root.projects.iter().filter_map(|(_, serial)| *serial).max();
    let Some(newest) = newest.max(root.serial) else {
        let why = "this index tells nothing of uploads: it has no changelog, and its root no serials";
        return Ok(Heard {
            trouble: Some(why.to_owned()),
            ..Heard::well(before.unwrap_or(Cursor::starting(0)), BY_ROOT)
        });
    };
    let Some(before) = before else {
        return Ok(Heard::well(start(controller, newest).await?, BY_ROOT));
    };
    store_compared(controller, &root.projects, before.serial(), u64::MAX, newest).await?;
    Ok(Heard::well(
        Cursor::starting(newest.max(before.serial())),
        BY_ROOT,
    ))
}

/// Compares the root with what the changelog told since the last comparison.
async fn reconcile(controller: &Controller, index: &Index, places: &Places) -> Result<(), Failed> {
    let Some(cursor) = cursor(controller).await? else {
        return Ok(());
    };
    let from = floor(controller, COMPARED_TO).await?;
    if from >= cursor.serial() {
        return Ok(());
    }
    let Some(root) = index.root(&places.root, None).await? else {
        return Ok(());
    };
    // a little further back: an event may have been late
    let floor = floor(controller, FLOOR)
        .await?
        .max(from.saturating_sub(pyti_feed::reading::OVERLAP));
    let missed = store_compared(
        controller,
        &root.projects,
        floor,
        cursor.serial(),
        cursor.serial(),
    )
    .await?;
    if missed > 0 {
        tracing::warn!(missed, "the changelog had left out what the root knows");
    }
    keep(controller, COMPARED_TO, cursor.to_string()).await?;
    Ok(())
}

/// Stores projects that changed after `floor` and up to `limit` as events; how many were new.
async fn store_compared(
    controller: &Controller,
    projects: &[(String, Option<u64>)],
    floor: u64,
    limit: u64,
    cursor: u64,
) -> Result<usize, RpcError> {
    let events = compare(projects, floor)
        .into_iter()
        .filter(|(_, serial)| *serial <= limit)
        .map(|(project, serial)| FeedEvent {
            serial,
            project,
            action: COMPARED.to_owned(),
            at_ms: now_ms(),
        })
        .collect();
    let text = cursor.to_string();
    controller
        .ask(move |store| store.feed_take(INDEX, &text, events))
        .await
}

/// Looks at the list of newest releases: what is new there is a reason to ask the changelog at once.
async fn hints(controller: Arc<Controller>, feeds: Arc<Feeds>, places: Places) {
    let every = Duration::from_secs(feeds.config.hint_every_s);
    let mut last = Vec::new();
    let mut failures = 0;
    loop {
        let Some(index) = controller.index() else { return };
        match index.newest_projects(&places.newest).await {
            Ok(newest) => {
                failures = 0;
                if newest != last && !last.is_empty() {
                    feeds.hint.notify_one();
                }
                last = newest;
            }
            Err(error) => {
                failures += 1;
                tracing::debug!(
                    why = pyti_model::with_causes(&error),
                    "no list of newest releases"
                );
            }
        }
        if !pause(&controller, patience::between(every, failures), None).await {
            return;
        }
    }
}
