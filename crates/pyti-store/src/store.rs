//! The store: opening, closing, and jobs.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use pyti_dispatch::{
    Answer, Completion, Job, JobId, JobStore, Lease, LeaseAnswer, Ledger as _, Message, Policy, Signal,
    State, Worker, WorkerId,
};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::blobs::Blobs;
use crate::clock::{Clock, Running};
use crate::error::{Result, StoreError};
use crate::ledger::Book;
use crate::metrics::{Figures, Metrics};
use crate::readers::Readers;
use crate::results::{self, NewResult};
use crate::rows::{self, first, signed};
use crate::staging::Staging;
use crate::writer::{Desk, Listeners, Writer};
use crate::{schema, sql};

/// How a store is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// The numbers of the queue.
    pub policy: Policy,
    /// Threads that read.
    pub readers: usize,
    /// Queries that may wait; beyond that they are refused as busy.
    pub waiting: usize,
    /// The longest that one query may take.
    pub longest: Duration,
    /// What one lease may bring, in bytes.
    pub quota: u64,
    /// The queue's clock.
    pub clock: Clock,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            readers: 4,
            waiting: 64,
            longest: Duration::from_secs(1),
            quota: 256 << 20,
            clock: Clock::System,
        }
    }
}

/// One folder of data: a database, blobs, and segments on their way. Cheap to clone; the last one that is dropped closes it.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) folder: PathBuf,
    pub(crate) writer: Writer,
    pub(crate) readers: Readers,
    pub(crate) blobs: Blobs,
    pub(crate) staging: Staging,
    pub(crate) metrics: Arc<Metrics>,
    /// When each backup that runs began: what is younger is not deleted.
    pub(crate) backups: Mutex<Vec<SystemTime>>,
    listeners: Listeners,
    policy: Policy,
    clock: Running,
    /// Held as long as the store is open.
    _lock: File,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.readers.stop();
        self.writer.stop();
    }
}

/// The database's file.
pub(crate) fn database(folder: &Path) -> PathBuf {
    folder.join("pyti.db")
}

/// Takes the folder, or says that another has it.
pub(crate) fn lock(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).map_err(StoreError::io(folder))?;
    let path = folder.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(StoreError::io(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(StoreError::io(path)(error)),
    }
}

/// A connection that writes, as durable as it gets.
pub(crate) fn connect(database: &Path) -> Result<Connection> {
    let conn = Connection::open(database)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(128);
    // a plan does not depend on the values that are bound, so a statement is never prepared anew for them
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = 1; PRAGMA cache_size = -65536; \
         PRAGMA journal_size_limit = 67108864",
    )?;
    Ok(conn)
}

impl Store {
    /// Opens a folder, makes it if need be, and brings its database to the newest schema.
    ///
    /// # Errors
    ///
    /// [`StoreError::InUse`] if another process has it, [`StoreError::Newer`] if a newer program wrote it.
    pub fn open(folder: &Path, options: Options) -> Result<Self> {
        let lock = lock(folder)?;
        let file = database(folder);
        let mut conn = connect(&file)?;
        schema::migrate(&mut conn, schema::NEWEST)?;
        let blobs = Blobs::open(folder.join("blobs"))?;
        let staging = Staging::open(folder.join("staging"), options.quota)?;
        crate::blobs::sync_folder(folder)?;
        let last = first(&conn, sql::BASE, [], |row| rows::number_at(row, 0))?;
        let clock = Running::from(options.clock, pyti_dispatch::Monotonic(last.unwrap_or(0)));
        let metrics = Arc::new(Metrics::default());
        let listeners = Listeners::default();
        let policy = options.policy.clone();
        let desk = Desk::new(conn, options.policy, clock.clone())?;
        let writer = Writer::start(desk, Arc::clone(&listeners), Arc::clone(&metrics))?;
        let readers = Readers::start(
            &file,
            options.readers,
            options.waiting,
            options.longest,
            Arc::clone(&metrics),
        )?;
        Ok(Self {
            inner: Arc::new(Inner {
                folder: folder.to_owned(),
                writer,
                readers,
                blobs,
                staging,
                metrics,
                backups: Mutex::default(),
                listeners,
                policy,
                clock,
                _lock: lock,
            }),
        })
    }

    /// Everything that jobs and workers tell from now on, each after its commit. Losing one loses nothing.
    pub fn signals(&self) -> Receiver<Signal> {
        let (tell, told) = channel();
        self.inner
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(tell);
        told
    }

    /// The blobs.
    pub fn blobs(&self) -> &Blobs {
        &self.inner.blobs
    }

    /// Segments of recordings on their way.
    pub fn staging(&self) -> &Staging {
        &self.inner.staging
    }

    /// The numbers of the queue.
    pub fn policy(&self) -> &Policy {
        &self.inner.policy
    }

    /// The queue's clock: what the age of a job is told from.
    pub fn now(&self) -> pyti_dispatch::Monotonic {
        self.inner.clock.now()
    }

    /// How the store is doing.
    pub fn figures(&self) -> Figures {
        let size = |name: &str| fs::metadata(self.inner.folder.join(name)).map_or(0, |meta| meta.len());
        self.inner.metrics.figures(size("pyti.db"), size("pyti.db-wal"))
    }

    /// Does something in a transaction of the writer.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner.writer.write(work)
    }

    /// Asks the readers.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.inner.readers.read(query)
    }

    /// Gives a job that was given up the result that says so, so that its file's page does not wait for ever. Whether it was
    /// written: only for a dead job, and once.
    pub fn write_off(&self, job: JobId, record: NewResult) -> Result<bool> {
        self.write(move |desk| {
            let state = first(&desk.conn, sql::JOB, [signed(job.0)], rows::job)?.map(|job| job.state);
            let known = first(&desk.conn, sql::RESULT_KNOWN, [signed(job.0)], |row| {
                row.get::<_, i64>(0)
            })?;
            if !matches!(state, Some(State::Dead(_))) || known.is_some() {
                return Ok(false);
            }
            results::put_result(&desk.conn, job, &record)?;
            Ok(true)
        })
    }

    /// The job that a lease is the newest of, if any: for whoever takes segments.
    pub fn job_of(&self, lease: Lease) -> Result<Option<Job>> {
        self.read(move |conn| first(conn, sql::JOB_BY_LEASE, [lease.0], rows::job))
    }
}

impl JobStore for Store {
    type Record = NewResult;
    type Error = StoreError;

    fn send(&self, message: Message) -> Result<Answer> {
        self.write(move |desk| Ok(desk.step(message)?.answer))
    }

    fn complete(&self, completion: Completion, record: Option<NewResult>) -> Result<Answer> {
        self.write(move |desk| {
            let decision = desk.step(Message::Complete(completion))?;
            if let (Answer::Lease(LeaseAnswer::Ok), Some(job), Some(record)) =
                (&decision.answer, decision.ended_job(), record)
            {
                results::put_result(&desk.conn, job, &record)?;
            }
            Ok(decision.answer)
        })
    }

    fn claim(&self, worker: &WorkerId, boot: u64, request: u64, slots: u16) -> Result<Answer> {
        let slots = usize::from(slots).min(self.inner.policy.grants_at_once);
        let fresh = (0..slots).map(|_| fresh_lease()).collect::<Result<_>>()?;
        self.send(Message::Claim {
            worker: worker.clone(),
            boot,
            request,
            fresh,
        })
    }

    fn job(&self, id: JobId) -> Result<Option<Job>> {
        self.read(move |conn| first(conn, sql::JOB, [signed(id.0)], rows::job))
    }

    fn worker(&self, id: &WorkerId) -> Result<Option<Worker>> {
        let id = id.clone();
        self.read(move |conn| {
            let timers = pyti_dispatch::Timers::default();
            Book {
                conn,
                timers: &timers,
            }
            .worker(&id)
        })
    }
}

/// 128 bits that nobody can guess.
fn fresh_lease() -> Result<Lease> {
    let mut bytes = [0; 16];
    let mut filled = 0;
    while filled < bytes.len() {
        let n = rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())
            .map_err(|error| StoreError::io("random numbers")(error.into()))?;
        filled += n;
    }
    Ok(Lease(bytes))
}
