//! Following results as they are committed. One task reads the store and tells all who follow; whoever comes late, or falls
//! behind, reads from the store what it missed, by number.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pyti_store::Store;
use tokio::sync::{Notify, broadcast};

use crate::views::ResultView;

/// How often the store is looked at when nobody tells.
const LOOK: Duration = Duration::from_secs(1);
/// Results that a follower may be behind before it reads from the store.
const BEHIND: usize = 256;
/// Results of one look.
const STEP: u32 = 100;

/// Tells of new results.
#[derive(Debug)]
pub(crate) struct Tail {
    store: Store,
    told: Arc<Notify>,
    news: broadcast::Sender<Arc<ResultView>>,
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
    pub(crate) fn listen(&self) -> broadcast::Receiver<Arc<ResultView>> {
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

async fn newest(store: &Store) -> Option<i64> {
    let store = store.clone();
    let rows = tokio::task::spawn_blocking(move || store.latest(None, 1)).await;
    Some(rows.ok()?.ok()?.first().map_or(0, |row| row.id))
}

async fn look(
    store: Store,
    told: Arc<Notify>,
    news: broadcast::Sender<Arc<ResultView>>,
    runs: Arc<AtomicBool>,
) {
    let mut last = None;
    loop {
        if last.is_none() {
            last = newest(&store).await;
        }
        if let Some(after) = last {
            let store = store.clone();
            let rows = tokio::task::spawn_blocking(move || store.export(after, STEP)).await;
            let rows = rows.ok().and_then(Result::ok).unwrap_or_default();
            let more = rows.len() == STEP as usize;
            for row in rows {
                last = Some(row.id);
                // nobody may be left
                let _ = news.send(Arc::new(row.into()));
            }
            if more {
                continue;
            }
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
