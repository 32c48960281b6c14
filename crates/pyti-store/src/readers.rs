//! The threads that read: few, of low priority, with a bounded queue before them, so that no crowd of readers slows the writer.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use crate::error::{Result, StoreError};
use crate::metrics::Metrics;

/// How much nicer than others the reading threads are.
const NICE: i32 = 10;
/// Instructions of the database's machine between two looks at the clock.
const LOOK: i32 = 4096;

type Query = Box<dyn FnOnce(&Connection) + Send>;

/// The door to the reading threads.
#[derive(Debug)]
pub(crate) struct Readers {
    door: Mutex<Option<SyncSender<Query>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    metrics: Arc<Metrics>,
}

impl Readers {
    pub(crate) fn start(
        database: &Path,
        count: usize,
        waiting: usize,
        longest: Duration,
        metrics: Arc<Metrics>,
    ) -> Result<Self> {
        let (door, queries) = sync_channel(waiting);
        let queries = Arc::new(Mutex::new(queries));
        let mut threads = Vec::new();
        for n in 0..count.max(1) {
            let (mut conn, queries) = (open(database)?, Arc::clone(&queries));
            let limit = limit(&mut conn)?;
            let thread = std::thread::Builder::new()
                .name(format!("store-reader-{n}"))
                .spawn(move || read(&conn, &queries, &limit, longest))
                .map_err(StoreError::io("a reading thread"))?;
            threads.push(thread);
        }
        Ok(Self {
            door: Mutex::new(Some(door)),
            threads: Mutex::new(threads),
            metrics,
        })
    }

    /// Asks; refused at once when too many wait.
    pub(crate) fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = sync_channel(1);
        let query: Query = Box::new(move |conn| {
            // whoever asked may have gone
            let _ = tell.send(query(conn));
        });
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match door.ok_or(StoreError::Shut)?.try_send(query) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                self.metrics.busy();
                return Err(StoreError::Busy);
            }
            Err(TrySendError::Disconnected(_)) => return Err(StoreError::Shut),
        }
        let outcome = told.recv().map_err(|_| StoreError::Shut)?;
        self.metrics.read();
        if matches!(outcome, Err(StoreError::TooLong)) {
            self.metrics.late();
        }
        outcome
    }

    pub(crate) fn stop(&self) {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).take();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in threads {
            // its panic was told on standard error already
            let _ = thread.join();
        }
    }
}

/// A connection that cannot write.
pub(crate) fn open(database: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(database, flags)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.set_prepared_statement_cache_capacity(128);
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA query_only = 1; PRAGMA cache_size = -16384; PRAGMA mmap_size = 268435456")?;
    Ok(conn)
}

/// A moment, in milliseconds since `started`, at which what runs is cut off; 0: never.
#[derive(Clone)]
struct Limit {
    started: Instant,
    at: Arc<AtomicU64>,
}

impl Limit {
    fn passed(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn limit(conn: &mut Connection) -> Result<Limit> {
    let limit = Limit {
        started: Instant::now(),
        at: Arc::default(),
    };
    let seen = limit.clone();
    conn.progress_handler(
        LOOK,
        Some(move || {
            let at = seen.at.load(Ordering::Relaxed);
            at != 0 && seen.passed() > at
        }),
    )?;
    Ok(limit)
}

fn read(conn: &Connection, queries: &Mutex<Receiver<Query>>, limit: &Limit, longest: Duration) {
    // only this thread; where that is not allowed, it reads with ordinary priority
    let _ = rustix::process::nice(NICE);
    let longest = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
    loop {
        let query = queries.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(query) = query else { return };
        let at = limit.passed().saturating_add(longest).max(1);
        limit.at.store(at, Ordering::Relaxed);
        query(conn);
        limit.at.store(0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SLOW: &str = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) SELECT sum(x) FROM n";

    fn start(count: usize, waiting: usize, longest: Duration) -> (tempfile::TempDir, Readers) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("db");
        Connection::open(&file)
            .unwrap()
            .execute_batch("CREATE TABLE t (x)")
            .unwrap();
        let readers = Readers::start(&file, count, waiting, longest, Arc::default()).unwrap();
        (folder, readers)
    }

    fn sum(conn: &Connection, sql: &str) -> Result<i64> {
        Ok(conn.query_row(sql, [], |row| row.get(0))?)
    }

    #[test]
    fn a_query_that_takes_too_long_is_cut_off_and_the_next_is_not() {
        let (_folder, readers) = start(1, 4, Duration::from_millis(50));
        assert!(matches!(readers.read(|c| sum(c, SLOW)), Err(StoreError::TooLong)));
        assert_eq!(readers.read(|c| sum(c, "SELECT 7")).unwrap(), 7);
        assert_eq!(readers.metrics.figures(0, 0).late, 1);
    }

    #[test]
    fn beyond_the_bound_readers_are_refused_and_within_it_they_wait() {
        let (_folder, readers) = start(1, 1, Duration::from_millis(300));
        let (mut busy, mut late) = (0, 0);
        std::thread::scope(|scope| {
            let asked: Vec<_> = (0..6)
                .map(|_| {
                    std::thread::sleep(Duration::from_millis(20));
                    scope.spawn(|| readers.read(|c| sum(c, SLOW)))
                })
                .collect();
            for answer in asked {
                match answer.join().unwrap() {
                    Err(StoreError::Busy) => busy += 1,
                    Err(StoreError::TooLong) => late += 1,
                    other => panic!("{other:?}"),
                }
            }
        });
        assert!(busy >= 3 && late >= 2, "{busy} {late}");
    }

    #[test]
    fn readers_cannot_write() {
        let (_folder, readers) = start(1, 1, Duration::from_secs(1));
        let refused = readers.read(|c| Ok(c.execute_batch("CREATE TABLE other (x)")?));
        assert!(matches!(refused, Err(StoreError::Sql(_))));
        readers.stop();
        assert!(matches!(
            readers.read(|c| sum(c, "SELECT 7")),
            Err(StoreError::Shut)
        ));
    }
}
