//! What pages are made from.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use pyti_store::Store;

use crate::fault::Fault;
use crate::follow::Tail;
use crate::pages::RuleCounts;
use crate::rendered::{Render, Renderer};

/// How the site is run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The name of this service, for titles.
    pub name: String,
    /// Names of this machine that a browser may call it by, without port; names of loopback always are.
    pub hosts: Vec<String>,
    /// Its address for readers of feeds, without a slash at the end: `https://pyti.example`. Without it, as the request says.
    pub address: Option<String>,
    /// How recordings are rendered.
    pub render: Render,
    /// Files of rules (name, text); the built-in ones when there is none.
    pub rules: Option<Vec<(String, String)>>,
    /// A file of suppressions (name, text).
    pub suppressions: Option<(String, String)>,
    /// The longest that a page may take.
    pub longest: Duration,
    /// Streams of results at once.
    pub streams: usize,
    /// Bytes of rendered reports that are kept in memory.
    pub kept: usize,
}

impl Settings {
    /// Settings for one machine, with this way to render.
    pub fn new(render: Render) -> Self {
        Self {
            name: "PyTI".to_owned(),
            hosts: Vec::new(),
            address: None,
            render,
            rules: None,
            suppressions: None,
            longest: Duration::from_secs(15),
            streams: 128,
            kept: 64 << 20,
        }
    }

    /// Renders by this program's hidden verb `__page`.
    pub fn of_program(program: PathBuf) -> Self {
        Self::new(Render::Child {
            program,
            arguments: vec!["__page".to_owned()],
        })
    }
}

/// How far behind a feed is.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FeedLag {
    /// Its name.
    pub feed: String,
    /// Seconds between what the index says and what was read of it.
    pub behind_s: u64,
    /// What is wrong with it, in words.
    pub trouble: Option<String>,
}

/// The site. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Site {
    pub(crate) inner: Arc<Inner>,
}

/// Writes metrics of somebody else, in the text form of Prometheus.
struct Metrics(Box<dyn Fn() -> String + Send + Sync>);

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) store: Store,
    pub(crate) settings: Settings,
    pub(crate) renderer: Renderer,
    pub(crate) tail: Tail,
    pub(crate) streams: Arc<tokio::sync::Semaphore>,
    pub(crate) started: Instant,
    pub(crate) closed: tokio::sync::watch::Sender<bool>,
    feeds: RwLock<Option<Vec<FeedLag>>>,
    metrics: Mutex<Vec<Metrics>>,
    pub(crate) counts: Mutex<Option<(Instant, Arc<RuleCounts>)>>,
}

impl Site {
    /// A site over a store.
    pub fn new(store: Store, settings: Settings) -> Self {
        Self {
            inner: Arc::new(Inner {
                renderer: Renderer::new(&settings),
                tail: Tail::new(store.clone()),
                streams: Arc::new(tokio::sync::Semaphore::new(settings.streams)),
                store,
                settings,
                started: Instant::now(),
                closed: tokio::sync::watch::channel(false).0,
                feeds: RwLock::default(),
                metrics: Mutex::default(),
                counts: Mutex::default(),
            }),
        }
    }

    /// A result was committed: those who follow hear at once. Nothing is lost without it, they only hear a second later.
    pub fn tell(&self, result: i64) {
        self.inner.tail.tell(result);
    }

    /// How far behind the feeds are, as whoever reads them knows.
    pub fn feeds(&self, feeds: Vec<FeedLag>) {
        *self.inner.feeds.write().unwrap_or_else(PoisonError::into_inner) = Some(feeds);
    }

    /// Metrics of another part of the service, written in the text form of Prometheus whenever somebody asks.
    pub fn add_metrics(&self, write: impl Fn() -> String + Send + Sync + 'static) {
        self.inner
            .metrics
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Metrics(Box::new(write)));
    }

    pub(crate) fn more_metrics(&self) -> Vec<String> {
        let metrics = self.inner.metrics.lock().unwrap_or_else(PoisonError::into_inner);
        metrics.iter().map(|one| (one.0)()).collect()
    }

    /// Ends all streams: the service stops.
    pub fn close(&self) {
        self.inner.closed.send_replace(true);
    }

    pub(crate) fn known_feeds(&self) -> Option<Vec<FeedLag>> {
        self.inner
            .feeds
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Asks the store, on a thread for blocking.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, Fault> {
        let store = self.inner.store.clone();
        tokio::task::spawn_blocking(move || ask(&store))
            .await
            .unwrap_or_else(|_| Err(Fault::Broken("the store cannot be read".to_owned())))
    }
}
