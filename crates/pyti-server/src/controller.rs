//! The controller: the store, the queue's clock, signals, and what everybody shares.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use pyti_command::rpc::{RpcError, codes};
use pyti_command::trust::ControllerId;
use pyti_command::work::Phase;
use pyti_dispatch::{Answer, JobId, JobStore as _, Lease, Message, Needs, Signal, State, WorkerId};
use pyti_index::{FileStore, Index};
use pyti_model::Digest;
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode, Status, Verdict};
use pyti_store::{NewResult, Options, Store, StoreError};
use tokio::sync::{Notify, Semaphore, broadcast, watch};

use crate::config::ServeConfig;
use crate::error::{ServerError, of_store};
use crate::feed::Feeds;
use crate::judging::Judge;
use crate::trust::{self, Rates};

/// How many signals a slow listener may be behind before it must look for itself.
const BEHIND: usize = 1024;
/// How often what is over is forgotten, in ticks.
const SWEEP: u64 = 60;

/// What was heard of a worker since the controller started; for pages only.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) heard_ms: u64,
    pub(crate) version: Option<String>,
    pub(crate) phases: HashMap<Lease, Phase>,
}

/// The controller. There is one for a folder of data.
pub struct Controller {
    store: Store,
    config: ServeConfig,
    pub(crate) id: ControllerId,
    pub(crate) started_ms: u64,
    pub(crate) trust: trust::Secrets,
    pub(crate) rates: Rates,
    /// Fingerprint of our own authority, where there is one.
    authority: Mutex<Option<Digest>>,
    feeds: Option<Arc<Feeds>>,
    pub(crate) judge: Judge,
    pub(crate) index: Option<Index>,
    /// Calls that may be at work at once, besides those that only wait.
    pub(crate) at_work: Semaphore,
    /// Claims and questions that may wait at once.
    pub(crate) waiting: Semaphore,
    /// Leases whose delivery is being judged.
    pub(crate) delivering: Mutex<std::collections::HashSet<Lease>>,
    pub(crate) wakes: broadcast::Sender<Needs>,
    /// Counts changes of what workers may do.
    pub(crate) standings: watch::Sender<u64>,
    pub(crate) ended: broadcast::Sender<JobId>,
    results: broadcast::Sender<i64>,
    signals: broadcast::Sender<Signal>,
    pub(crate) to_capture: Notify,
    pub(crate) waiting_captures: AtomicU64,
    stop: watch::Sender<bool>,
    seen: Mutex<HashMap<WorkerId, Seen>>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Controller")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Controller {
    /// Opens the folder of data. `program` is started as `PROGRAM __judge` to judge recordings and as `PROGRAM __parse` to read
    /// metadata; without an index only files that are put here can be tested. Blocks.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another controller has the folder.
    pub fn open(
        config: ServeConfig,
        program: &Path,
        index: Option<pyti_index::Settings>,
    ) -> Result<Arc<Self>, ServerError> {
        private_folder(&config.data)?;
        let options = Options {
            quota: config.quota_bytes,
            ..Options::default()
        };
        let store = Store::open(&config.data, options)?;
        let id = controller_id(&store)?;
        let index = match index {
            None => None,
            Some(settings) => {
                let cache = config.data.join("index");
                let files = FileStore::open(&cache.join("files")).map_err(ServerError::io(&cache))?;
                Some(Index::new(settings, files, &cache, false)?.with_parser(program.to_owned()))
            }
        };
        let judge = Judge::new(
            program.to_owned(),
            config.rules.clone(),
            config.judges,
            config.unpacked_bytes,
        );
        let feeds = config.feed.clone().map(Feeds::new).transpose()?.map(Arc::new);
        let controller = Arc::new(Self {
            store,
            id,
            started_ms: now_ms(),
            trust: trust::Secrets::new()?,
            rates: Rates::default(),
            authority: Mutex::default(),
            feeds,
            judge,
            index,
            at_work: Semaphore::new(config.connections),
            waiting: Semaphore::new((config.connections / 2).max(1)),
            delivering: Mutex::default(),
            wakes: broadcast::Sender::new(BEHIND),
            standings: watch::Sender::new(0),
            ended: broadcast::Sender::new(BEHIND),
            results: broadcast::Sender::new(BEHIND),
            signals: broadcast::Sender::new(BEHIND),
            to_capture: Notify::new(),
            waiting_captures: AtomicU64::new(0),
            stop: watch::Sender::new(false),
            seen: Mutex::default(),
            config,
        });
        controller.write_off_all()?;
        Ok(controller)
    }

    /// Starts what goes on beside requests: the queue's clock, signals, the capture lane. Inside a runtime.
    pub fn start(self: &Arc<Self>) -> Result<(), ServerError> {
        let controller = Arc::downgrade(self);
        let told = self.store.signals();
        std::thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || {
                // ends when the store does, which this thread does not hold
                while let Ok(signal) = told.recv() {
                    let Some(controller) = controller.upgrade() else {
                        return;
                    };
                    controller.heard(&signal);
                }
            })
            .map_err(ServerError::io("the thread of signals"))?;
        tokio::spawn(Arc::clone(self).tick());
        tokio::spawn(crate::capture::lane(Arc::clone(self)));
        if let Some(feeds) = &self.feeds {
            crate::feed::spawn(self, feeds)?;
        }
        Ok(())
    }

    /// The store.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What the service was told.
    pub fn config(&self) -> &ServeConfig {
        &self.config
    }

    /// The index, where one is configured.
    pub fn index(&self) -> Option<&Index> {
        self.index.as_ref()
    }

    /// Which controller it is.
    pub fn id(&self) -> ControllerId {
        self.id
    }

    /// Numbers of results from now on, each after its commit. Who is too slow misses some, and finds them in the store.
    pub fn results(&self) -> broadcast::Receiver<i64> {
        self.results.subscribe()
    }

    /// Everything that the queue tells from now on.
    pub fn signals(&self) -> broadcast::Receiver<Signal> {
        self.signals.subscribe()
    }

    /// Ends all that waits; who listens stops.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Whether it stops.
    pub fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// To wait for the stop.
    pub fn stopped(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Asks the store on a thread for blocking.
    ///
    /// # Errors
    ///
    /// As the error is told to who asked.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let store = self.store.clone();
        tokio::task::spawn_blocking(move || ask(&store))
            .await
            .map_err(|_| RpcError::plain(codes::INTERNAL))?
            .map_err(of_store)
    }

    /// Says something to the queue.
    pub(crate) async fn send(&self, message: Message) -> Result<Answer, RpcError> {
        self.ask(move |store| store.send(message)).await
    }

    /// Notes who did what.
    pub(crate) async fn audit(&self, who: &str, what: &'static str, detail: String) -> Result<(), RpcError> {
        tracing::info!(who, what, detail, "audit");
        let who = who.to_owned();
        self.ask(move |store| store.audit(&who, what, &detail)).await
    }

    /// Notes that a worker was heard.
    pub(crate) fn saw(&self, worker: &WorkerId, note: impl FnOnce(&mut Seen)) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = seen.entry(worker.clone()).or_default();
        seen.heard_ms = now_ms();
        note(seen);
    }

    /// What was heard of a worker.
    pub(crate) fn seen(&self, worker: &WorkerId) -> Option<Seen> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(worker).cloned()
    }

    fn heard(&self, signal: &Signal) {
        // nobody may be listening
        let _ = self.signals.send(signal.clone());
        match signal {
            Signal::Wake(needs) => {
                let _ = self.wakes.send(needs.clone());
            }
            Signal::Ended(ended) => {
                if matches!(ended.state, State::Dead(_))
                    && let Err(error) = self.write_off(ended.job)
                {
                    tracing::error!(job = %ended.job, %error, "a job that was given up has no result yet");
                }
                if let Ok(Some(result)) = self.store.result_of(ended.job) {
                    let _ = self.results.send(result.id);
                }
                let _ = self.ended.send(ended.job);
                tracing::info!(job = %ended.job, state = ended.state.word(), "job ended");
            }
            Signal::Drained(worker) => tracing::info!(%worker, "worker is empty"),
            Signal::Quarantined(worker, ms) => {
                tracing::warn!(%worker, seconds = ms / 1000, "too much failed at a worker: it rests");
            }
        }
    }

    /// The queue's clock: once a second; in between it looks for what is over.
    async fn tick(self: Arc<Self>) {
        let mut stop = self.stopped();
        let mut every = tokio::time::interval(Duration::from_secs(1));
        every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut count = 0_u64;
        loop {
            tokio::select! {
                _ = every.tick() => {}
                () = over(&mut stop) => return,
            }
            count += 1;
            loop {
                match self.send(Message::Tick).await {
                    Ok(Answer::Ticked { more: true }) => {}
                    Ok(_) => break,
                    Err(error) => {
                        tracing::error!(%error, "the queue's clock stands");
                        break;
                    }
                }
            }
            if count.is_multiple_of(SWEEP) {
                self.rates.sweep(Instant::now());
                if let Err(error) = self.ask(pyti_store::Store::keep_sweep).await {
                    tracing::warn!(%error, "what is over was not forgotten");
                }
            }
        }
    }

    /// Gives every job that was given up a result that says so.
    fn write_off_all(&self) -> Result<(), ServerError> {
        let mut before = None;
        loop {
            let dead = self.store.dead_jobs(before, pyti_store::MOST)?;
            let Some(last) = dead.last() else {
                return Ok(());
            };
            before = Some(last.id);
            for job in dead {
                if self.store.result_of(job.id)?.is_none() {
                    self.write_off(job.id)?;
                }
            }
        }
    }

    fn write_off(&self, id: JobId) -> Result<(), StoreError> {
        let Some(job) = self.store.job(id)? else {
            return Ok(());
        };
        let State::Dead(death) = job.state else {
            return Ok(());
        };
        let code = match death {
            pyti_dispatch::Death::Faults => ReasonCode::Sandbox,
            pyti_dispatch::Death::Lost => ReasonCode::WorkerLost,
        };
        let why = match death {
            pyti_dispatch::Death::Faults => format!("given up after {} failures of ours", job.faults),
            pyti_dispatch::Death::Lost => format!("given up after {} workers were lost with it", job.lost),
        };
        let files = self.store.files(&job.key.file)?;
        let Some(file) = files.into_iter().next() else {
            return Ok(());
        };
        let record = NewResult {
            file: file.info,
            env: crate::views::env_of(&job.needs),
            finished_ms: now_ms(),
            outcome: Outcome::because(Status::Error, Reason::new(code, why)),
            verdict: Verdict::NotJudged,
            blame: Some(Blame::Us),
            cost_ms: 0,
            passed: 0,
            failed: 0,
            recording: None,
            baseline: None,
            more: None,
            findings: Vec::new(),
        };
        self.store.write_off(id, record).map(drop)
    }

    /// Each feed, and what is wrong with it.
    pub fn feed_troubles(&self) -> Vec<(String, Option<String>)> {
        self.feeds
            .as_ref()
            .map(|feeds| feeds.troubles())
            .unwrap_or_default()
    }

    /// What the feeds are at.
    pub(crate) fn feeds(&self) -> Vec<pyti_command::feed::FeedView> {
        self.feeds.as_ref().map(|feeds| feeds.views()).unwrap_or_default()
    }

    /// The fingerprint of our own authority, where there is one.
    pub fn authority(&self) -> Option<Digest> {
        self.authority
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_authority(&self, authority: Digest) {
        *self.authority.lock().unwrap_or_else(PoisonError::into_inner) = Some(authority);
    }

    /// Files that wait to be captured.
    pub(crate) fn captures(&self) -> u64 {
        self.waiting_captures.load(Ordering::Relaxed)
    }
}

/// Waits for the stop.
pub(crate) async fn over(stop: &mut watch::Receiver<bool>) {
    // an error means that the controller is gone, which is a stop too
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(passed.as_millis()).unwrap_or(u64::MAX)
}

/// Makes a folder that only its owner can look into.
pub(crate) fn private_folder(path: &Path) -> Result<(), ServerError> {
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(ServerError::io(PathBuf::from(path)))
}

fn controller_id(store: &Store) -> Result<ControllerId, ServerError> {
    if let Some(bytes) = store.keep_get("controller", "id")?
        && let Ok(bytes) = <[u8; 16]>::try_from(bytes)
    {
        return Ok(ControllerId(bytes));
    }
    let bytes: [u8; 16] = trust::random()?;
    store.keep_put("controller", "id", &bytes, None)?;
    Ok(ControllerId(bytes))
}
