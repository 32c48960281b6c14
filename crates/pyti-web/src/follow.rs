//! Following results as they are committed. One task reads the store and tells all who follow; whoever comes late, or falls
//! behind, reads from the store what it missed, by number.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyti_store::Store;
use tokio::sync::{Notify, broadcast};

use crate::pages::{Now, now};
use crate::views::{FileView, ResultView};

/// Something new.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// A result was committed.
    Result(Arc<ResultView>),
    /// A file became known.
    Upload(Arc<FileView>),
    /// How much waits, when that changed.
    Now(Arc<Now>),
    /// From here on it is told; what came before must be read by whoever has not heard it.
    From(i64),
}

/// How often the store is looked at when nobody tells.
const LOOK: Duration = Duration::from_secs(1);
/// Results that a follower may be behind before it reads from the store.
const BEHIND: usize = 256;
/// Uploads that are told again when it begins.
const AGAIN: u32 = 10;
/// Results of one look.
const STEP: u32 = 100;

/// Tells of new results.
#[derive(Debug)]
pub(crate) struct Tail {
    store: Store,
    told: Arc<Notify>,
    news: broadcast::Sender<News>,
    runs: Arc<AtomicBool>,
}

impl Tail {
    pub(crate) fn new(store: Store) -> Self {
        Self {
            store,
            told: Arc::default(),
            news: broadcast::channel(BEHIND).0,
            runs: Arc::default(),
        }
    }

    /// A result was committed.
    pub(crate) fn tell(&self, _result: i64) {
        self.told.notify_one();
    }

    /// How many follow.
    pub(crate) fn followers(&self) -> usize {
        self.news.receiver_count()
    }

    /// Hears of every result from now on. The task that looks runs as long as somebody listens.
    pub(crate) fn listen(&self) -> broadcast::Receiver<News> {
        let listener = self.news.subscribe();
        if !self.runs.swap(true, Ordering::SeqCst) {
            tokio::spawn(look(
                self.store.clone(),
                Arc::clone(&self.told),
                self.news.clone(),
                Arc::clone(&self.runs),
            ));
        }
        listener
    }
}

/// Asks the store on a thread for blocking; nothing, when it does not answer now.
async fn ask<T: Send + 'static>(
    store: &Store,
    ask: impl FnOnce(&Store) -> Result<T, crate::fault::Fault> + Send + 'static,
) -> Option<T> {
    let store = store.clone();
    tokio::task::spawn_blocking(move || ask(&store)).await.ok()?.ok()
}

/// The last that was told.
struct Last {
    result: i64,
    file: i64,
    now: Option<Now>,
}

async fn newest(store: &Store) -> Option<Last> {
    ask(store, |store| {
        Ok(Last {
            result: store.latest(None, 1)?.first().map_or(0, |row| row.id),
            // the last few are told again: a page shows each once, and one may have come since it was made
            file: store
                .files_latest(None, AGAIN)?
                .last()
                .map_or(0, |file| file.id - 1),
            now: None,
        })
    })
    .await
}

/// Tells what is new since `last`; whether there is more.
async fn tell(store: &Store, news: &broadcast::Sender<News>, last: &mut Last) -> bool {
    let (result, file) = (last.result, last.file);
    let seen = ask(store, move |store| {
        Ok((
            store.export(result, STEP)?,
            store.files_after(file, STEP)?,
            now(store)?,
        ))
    });
    let Some((results, files, now)) = seen.await else {
        return false;
    };
    let more = results.len() == STEP as usize || files.len() == STEP as usize;
    // nobody may be left to hear it
    for file in files {
        last.file = file.id;
        let _ = news.send(News::Upload(Arc::new(file.into())));
    }
    for row in results {
        last.result = row.id;
        let _ = news.send(News::Result(Arc::new(row.into())));
    }
    if last.now.as_ref() != Some(&now) {
        last.now = Some(now.clone());
        let _ = news.send(News::Now(Arc::new(now)));
    }
    more
}

async fn look(store: Store, told: Arc<Notify>, news: broadcast::Sender<News>, runs: Arc<AtomicBool>) {
    let mut last = None;
    loop {
        if last.is_none() {
            last = newest(&store).await;
            if let Some(last) = &last {
                let _ = news.send(News::From(last.result));
            }
        }
        if let Some(last) = &mut last
            && tell(&store, &news, last).await
        {
            continue;
        }
        if news.receiver_count() == 0 {
            runs.store(false, Ordering::SeqCst);
            // somebody who came in between found the task running
            if news.receiver_count() == 0 || runs.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        let _ = tokio::time::timeout(LOOK, told.notified()).await;
    }
}
