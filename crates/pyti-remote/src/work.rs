//! A worker at work: it claims jobs, carries each out in a process of its own, renews its leases, and delivers.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use pyti_command::order::WorkOrder;
use pyti_command::work::{
    Claim, ClaimParams, Claimed, Phase, Release, ReleaseParams, Renew, RenewParams, Renewal, Taken,
    WorkOutcome,
};
use pyti_command::worker::Welcome;
use pyti_dispatch::{Idle, Lease, LeaseAnswer, Offers};
use pyti_index::FileStore;
use pyti_worker::Stop;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::backoff::{Backoff, dice};
use crate::carry::{Ended, Task};
use crate::deliver::{Delivered, deliver};
use crate::fetch::{FetchError, fetch};
use crate::home::{Counters, Home, HomeError};
use crate::link::{Link, LinkError};
use crate::news::{News, Newspaper};
use crate::process;
use crate::spool::{Delivery, Entry, Found};

/// Leases of one renewal.
const AT_ONCE: usize = 256;
/// With less free than this where the spool is, nothing new is taken.
const ROOM: u64 = 512 << 20;
/// How long work that is finished may take to be delivered when the worker stops.
const LAST_DELIVERY: Duration = Duration::from_secs(10);
/// Longest time between two renewals, whatever the controller would bear: who cancels a job does not wait for long.
const PACE: Duration = Duration::from_secs(10);
/// How long a word at the end may take.
const LAST_WORD: Duration = Duration::from_secs(5);

/// How a worker works.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The program itself, which is started again for each job.
    pub program: PathBuf,
    /// Where distributions are kept, the store of `pyti run`.
    pub files: PathBuf,
    /// Base address of the index, where one was given.
    pub index_url: Option<String>,
    /// Nothing is fetched from the index.
    pub offline: bool,
    /// What is offered.
    pub offers: Offers,
}

/// Why a worker ends.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// Its controller, or what it says.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Its folder.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// Its spool or its store of files.
    #[error("cannot use {0}")]
    Disk(&'static str, #[source] io::Error),
}

/// A lease that is held.
struct Held {
    stop: Stop,
    phase: Phase,
    next_seq: u32,
    /// Nobody wants it any more.
    unwanted: bool,
}

/// The worker.
pub struct Hand {
    link: Link,
    home: Arc<Home>,
    files: FileStore,
    settings: Settings,
    held: Mutex<BTreeMap<Lease, Held>>,
    changed: Notify,
    stop: Stop,
    /// Finished work is given up on when the worker stops, and found again at its next start.
    hurry: Stop,
    news: Arc<dyn Newspaper>,
    /// What ends the whole worker, from whichever job it was met in.
    fatal: Mutex<Option<LinkError>>,
}

impl Hand {
    /// A worker for an enrolled line.
    pub fn new(
        link: Link,
        home: Arc<Home>,
        settings: Settings,
        stop: Stop,
        news: Arc<dyn Newspaper>,
    ) -> Result<Arc<Self>, WorkError> {
        let files = FileStore::open(&settings.files).map_err(|e| WorkError::Disk("the store of files", e))?;
        Ok(Arc::new(Self {
            link,
            home,
            files,
            settings,
            held: Mutex::new(BTreeMap::new()),
            changed: Notify::new(),
            stop,
            hurry: Stop::new(),
            news,
            fatal: Mutex::new(None),
        }))
    }

    /// Works until it is stopped, drained or sent away. Jobs that run then are given back free of charge.
    pub async fn work(self: Arc<Self>, counters: Counters) -> Result<(), WorkError> {
        let welcome = match self.link.hello().await {
            Err(LinkError::Stopped) => return Ok(()),
            other => other?,
        };
        let mut jobs = JoinSet::new();
        self.recover(&mut jobs)?;
        self.news.tell(&News::Ready {
            worker: self.link.worker().clone(),
            boot: counters.boot,
            slots: self.settings.offers.slots,
            interpreters: self
                .settings
                .offers
                .interpreters
                .iter()
                .map(ToString::to_string)
                .collect(),
        });
        let renewing = tokio::spawn(Arc::clone(&self).renew_always(welcome.clone()));
        let claimed = self.claim_always(&mut jobs, counters, &welcome).await;
        // what runs is told to stop by `self.stop`; finished work has a moment more
        self.stop.stop();
        let ends = async { while jobs.join_next().await.is_some() {} };
        let mut ends = std::pin::pin!(ends);
        if tokio::time::timeout(LAST_DELIVERY, &mut ends).await.is_err() {
            self.hurry.stop();
            ends.await;
        }
        renewing.abort();
        if let Some(fatal) = lock(&self.fatal).take() {
            return Err(fatal.into());
        }
        match claimed {
            Err(WorkError::Link(LinkError::Stopped)) => Ok(()),
            other => other,
        }
    }

    /// After our own restart: what is finished is delivered, what is not is given back and never run again.
    fn recover(self: &Arc<Self>, jobs: &mut JoinSet<()>) -> Result<(), WorkError> {
        let spool = |e| WorkError::Disk("the spool", e);
        self.home.spool.sweep(SystemTime::now()).map_err(spool)?;
        for found in self.home.spool.found().map_err(spool)? {
            let hand = Arc::clone(self);
            match found {
                Found::Finished(entry, delivery) => {
                    self.hold(entry.lease(), Phase::Delivering);
                    jobs.spawn(async move { hand.bring(entry, delivery).await });
                }
                Found::Unfinished { entry, clean } => {
                    jobs.spawn(async move { hand.give_back(entry, clean).await });
                }
            }
        }
        Ok(())
    }

    fn hold(&self, lease: Lease, phase: Phase) -> Stop {
        let stop = Stop::new();
        let held = Held {
            stop: stop.clone(),
            phase,
            next_seq: 0,
            unwanted: false,
        };
        lock(&self.held).insert(lease, held);
        stop
    }

    fn let_go(&self, lease: Lease) {
        lock(&self.held).remove(&lease);
        self.changed.notify_waiters();
    }

    fn update(&self, lease: Lease, change: impl FnOnce(&mut Held)) {
        if let Some(held) = lock(&self.held).get_mut(&lease) {
            change(held);
        }
    }

    /// Ends the worker, for this reason.
    fn fail(&self, error: LinkError) {
        if !matches!(error, LinkError::Stopped) {
            lock(&self.fatal).get_or_insert(error);
        }
        self.stop.stop();
    }

    // ---- claiming

    async fn claim_always(
        self: &Arc<Self>,
        jobs: &mut JoinSet<()>,
        mut counters: Counters,
        welcome: &Welcome,
    ) -> Result<(), WorkError> {
        let mut told = None;
        loop {
            while jobs.try_join_next().is_some() {}
            if self.stop.is_stopped() {
                return Ok(());
            }
            let room = self.room().await?;
            let request = self.home.request(&mut counters)?;
            let params = ClaimParams {
                boot: counters.boot,
                request,
                slots: room,
                wait_s: welcome.wait_s.min(pyti_command::work::WAIT_S),
            };
            let began = Instant::now();
            let claimed = self.claim(&params).await?;
            for order in claimed.orders {
                told = None;
                self.begin(jobs, order);
            }
            if let Some(why) = claimed.idle {
                if told != Some(why) && why != Idle::Empty {
                    self.news.tell(&News::Idle { why });
                }
                told = Some(why);
                if why == Idle::Draining && lock(&self.held).is_empty() {
                    return Ok(());
                }
                self.rest(why, began.elapsed()).await;
            }
        }
    }

    /// One claim, asked under the same number until it is answered. When the worker is stopped meanwhile, the answer is asked
    /// for once more without waiting, and what came is given back: no job is lost on the way.
    async fn claim(&self, params: &ClaimParams) -> Result<Claimed, WorkError> {
        let wait = Duration::from_secs(u64::from(params.wait_s));
        let asked = self
            .link
            .patiently(|| self.link.call::<Claim>(params, wait))
            .await;
        match asked {
            Err(LinkError::Stopped) => {
                let params = ClaimParams {
                    wait_s: 0,
                    ..params.clone()
                };
                let last = self.link.call::<Claim>(&params, Duration::ZERO);
                if let Ok(Ok(claimed)) = tokio::time::timeout(LAST_WORD, last).await {
                    for order in claimed.orders {
                        self.release(order.lease, true, "the worker stops").await;
                        self.news.tell(&News::Released {
                            job: order.job,
                            clean: true,
                        });
                    }
                }
                Err(LinkError::Stopped.into())
            }
            other => Ok(other?),
        }
    }

    /// Waits until there is room for a job, on the disk too; how many fit.
    async fn room(&self) -> Result<u16, WorkError> {
        let mut told = false;
        loop {
            let changed = self.changed.notified();
            let held = u16::try_from(lock(&self.held).len()).unwrap_or(u16::MAX);
            let free = self.settings.offers.slots.saturating_sub(held);
            let bytes = self
                .home
                .spool
                .free_bytes()
                .map_err(|e| WorkError::Disk("the spool", e))?;
            if free > 0 && bytes >= ROOM {
                return Ok(free);
            }
            if bytes < ROOM && !told {
                told = true;
                self.news.tell(&News::Hindered {
                    why: format!("only {} MiB are free where the spool is", bytes >> 20),
                });
            }
            tokio::select! {
                () = self.stop.stopped() => return Err(LinkError::Stopped.into()),
                () = changed => {}
                () = tokio::time::sleep(Duration::from_secs(if bytes < ROOM { 10 } else { 300 })) => {}
            }
        }
    }

    /// How long to leave the controller alone, beside what it let us wait already.
    async fn rest(&self, why: Idle, waited: Duration) {
        let wanted = match why {
            Idle::Quarantined => Duration::from_secs(30),
            Idle::Held | Idle::Draining => Duration::from_secs(5),
            Idle::Full | Idle::Alone | Idle::Probation => Duration::from_secs(2),
            Idle::Empty | Idle::Answered => Duration::from_millis(500),
        };
        let jitter = Duration::from_millis(dice() % 250);
        tokio::select! {
            () = self.stop.stopped() => {}
            () = tokio::time::sleep(wanted.saturating_sub(waited) + jitter) => {}
        }
    }

    // ---- one job

    fn begin(self: &Arc<Self>, jobs: &mut JoinSet<()>, order: WorkOrder) {
        if lock(&self.held).contains_key(&order.lease) {
            return;
        }
        self.news.tell(&News::Took {
            job: order.job,
            epoch: order.epoch,
            file: order.file.filename.clone(),
            interpreter: order.spec.environment.interpreter.to_string(),
        });
        let stop = self.hold(order.lease, Phase::Preparing);
        let hand = Arc::clone(self);
        match self.home.spool.take(&order) {
            Ok(entry) => {
                jobs.spawn(async move { hand.job(entry, stop).await });
            }
            // what is not written down is not begun
            Err(error) => {
                self.news.tell(&News::Hindered {
                    why: format!("the spool cannot be written: {error}"),
                });
                jobs.spawn(async move {
                    hand.release(order.lease, true, "the spool cannot be written")
                        .await;
                    hand.let_go(order.lease);
                });
            }
        }
    }

    async fn job(self: Arc<Self>, entry: Entry, stop: Stop) {
        let (lease, began) = (entry.lease(), Instant::now());
        let ends = async {
            // the worker's end is the job's
            tokio::select! {
                () = self.stop.stopped() => stop.stop(),
                () = stop.stopped() => {}
            }
        };
        let (ended, ()) = tokio::join!(
            async {
                let ended = self.carry(&entry, &stop).await;
                stop.stop();
                ended
            },
            ends
        );
        let unwanted = lock(&self.held).get(&lease).is_some_and(|held| held.unwanted);
        match ended {
            Ended::Interrupted if unwanted => {
                self.news.tell(&News::Stopped { job: entry.order.job });
                let _ = entry.gone();
                self.let_go(lease);
            }
            Ended::Interrupted => {
                // remembered, should the word not come through
                let _ = entry.stopped();
                self.give_back(entry, true).await;
            }
            Ended::Done(outcome) => {
                let failed = match &outcome {
                    WorkOutcome::Failed { why } => Some(why.clone()),
                    WorkOutcome::Ran => None,
                };
                self.news.tell(&News::Finished {
                    job: entry.order.job,
                    seconds: began.elapsed().as_secs(),
                    failed,
                });
                self.update(lease, |held| held.phase = Phase::Delivering);
                let finishing = entry.clone();
                let finished = tokio::task::spawn_blocking(move || finishing.finish(outcome)).await;
                match finished {
                    Ok(Ok(delivery)) => self.bring(entry, delivery).await,
                    Ok(Err(error)) => {
                        self.news.tell(&News::Hindered {
                            why: format!("the spool cannot be written: {error}"),
                        });
                        self.give_back(entry, true).await;
                    }
                    Err(_) => self.give_back(entry, false).await,
                }
            }
        }
    }

    /// Files first, then the process.
    async fn carry(&self, entry: &Entry, stop: &Stop) -> Ended {
        let failed = |why: String| Ended::Done(WorkOutcome::Failed { why });
        let order = &entry.order;
        let files = [
            Some(&order.file),
            order.companion.as_ref(),
            order.published.as_ref(),
        ];
        for file in files.into_iter().flatten() {
            let fetched = tokio::select! {
                () = stop.stopped() => return Ended::Interrupted,
                fetched = fetch(&self.link, &self.files, entry, file) => fetched,
            };
            match fetched {
                Ok(()) => {}
                Err(FetchError::Link(LinkError::Stopped)) => return Ended::Interrupted,
                Err(error) => {
                    return failed(format!(
                        "{} cannot be had: {}",
                        file.filename,
                        pyti_model::with_causes(&error)
                    ));
                }
            }
        }
        let task = Task {
            folder: entry.folder().to_owned(),
            index_url: self.settings.index_url.clone(),
            offline: self.settings.offline,
        };
        let running = || self.update(order.lease, |held| held.phase = Phase::Running);
        process::run(&self.settings.program, entry, &task, stop, running)
            .await
            .unwrap_or_else(|error| failed(format!("the job's process cannot be started: {error}")))
    }

    /// Delivers, and forgets what the controller has.
    async fn bring(self: &Arc<Self>, entry: Entry, delivery: Delivery) {
        let (lease, job) = (entry.lease(), entry.order.job);
        let progress = |next| self.update(lease, |held| held.next_seq = next);
        match deliver(&self.link, &entry, delivery, &self.hurry, progress).await {
            Ok(Delivered::Answered(answer)) => {
                self.news.tell(&News::Delivered { job, answer });
                // what cannot be deleted is delivered once more at the next start, and answered with `ended`
                let _ = match answer {
                    Taken::Gone => entry.gone(),
                    Taken::Ok | Taken::Ended | Taken::Missing => entry.forget(),
                };
            }
            Ok(Delivered::Stopped) => {}
            Err(LinkError::Refused(why)) => {
                self.news.tell(&News::Hindered { why });
                self.release(lease, false, "its delivery was refused").await;
                let _ = entry.gone();
            }
            Err(error) => self.fail(error),
        }
        self.let_go(lease);
    }

    /// Gives a job back, and forgets it once that was answered.
    async fn give_back(&self, entry: Entry, clean: bool) {
        let (lease, job) = (entry.lease(), entry.order.job);
        let reason = if clean {
            "the worker stops"
        } else {
            "the worker ended while it ran"
        };
        if self.release(lease, clean, reason).await {
            self.news.tell(&News::Released { job, clean });
            let _ = entry.gone();
        }
        self.let_go(lease);
    }

    /// Whether it was answered.
    async fn release(&self, lease: Lease, clean: bool, reason: &str) -> bool {
        let params = ReleaseParams {
            lease,
            clean,
            reason: reason.to_owned(),
        };
        let mut backoff = Backoff::default();
        loop {
            let asked = self.link.call::<Release>(&params, Duration::ZERO);
            match tokio::time::timeout(LAST_WORD, asked).await {
                Ok(Ok(_)) => return true,
                _ if self.stop.is_stopped() => return false,
                Ok(Err(error)) => match self.link.weigh(error, &mut backoff) {
                    Ok(wait) => tokio::time::sleep(wait).await,
                    Err(LinkError::Client(_)) => return true,
                    Err(error) => {
                        self.fail(error);
                        return false;
                    }
                },
                Err(_) => {}
            }
        }
    }

    // ---- renewing

    async fn renew_always(self: Arc<Self>, welcome: Welcome) {
        let pace = Duration::from_millis(welcome.renew_ms).clamp(Duration::from_millis(100), PACE);
        loop {
            tokio::time::sleep(pace).await;
            let all: Vec<Renewal> = lock(&self.held)
                .iter()
                .map(|(lease, held)| Renewal {
                    lease: *lease,
                    phase: held.phase,
                    next_seq: held.next_seq,
                })
                .collect();
            for some in all.chunks(AT_ONCE) {
                let params = RenewParams {
                    leases: some.to_vec(),
                };
                match self.link.call::<Renew>(&params, Duration::ZERO).await {
                    Ok(renewed) => renewed.leases.iter().for_each(|one| {
                        if one.answer != LeaseAnswer::Ok {
                            self.unwanted(one.lease);
                        }
                    }),
                    // the next one comes soon; what cannot pass ends the worker
                    Err(error) if !error.passes() => {
                        if let Err(error) = self.link.weigh(error, &mut Backoff::default())
                            && !matches!(error, LinkError::Client(_))
                        {
                            self.fail(error);
                        }
                    }
                    Err(_) => {}
                }
            }
        }
    }

    /// A job that runs is stopped; what is finished is delivered all the same, and answered there.
    fn unwanted(&self, lease: Lease) {
        self.update(lease, |held| {
            if held.phase != Phase::Delivering {
                held.unwanted = true;
                held.stop.stop();
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
