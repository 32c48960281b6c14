//! The one thread that writes. Works that wait together are one transaction and so one sync of the disk; nobody is answered before it.

use std::sync::mpsc::{Receiver, Sender, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use pyti_dispatch::{Change, Decision, Message, Policy, Signal, Timers, decide};
use rusqlite::Connection;

use crate::clock::Running;
use crate::error::{Result, StoreError};
use crate::ledger::{self, Book};
use crate::metrics::Metrics;

/// Works of one transaction at most.
const TOGETHER: usize = 256;
/// Works that wait at most before those who bring more must wait too.
const WAITING: usize = 1024;

/// Tells whoever asked, after the commit or its failure.
type Tell = Box<dyn FnOnce(Option<&StoreError>) + Send>;
/// One work; what it returns is called after the commit.
type Work = Box<dyn FnOnce(&mut Desk) -> Tell + Send>;

/// Who wants to hear signals.
pub(crate) type Listeners = Arc<Mutex<Vec<Sender<Signal>>>>;

/// What the writing thread has before it.
pub(crate) struct Desk {
    pub(crate) conn: Connection,
    pub(crate) policy: Policy,
    pub(crate) clock: Running,
    timers: Timers,
    arming: Vec<Change>,
    signals: Vec<Signal>,
    /// There is no transaction any more: nothing may be done until the next.
    broken: bool,
}

impl Desk {
    pub(crate) fn new(conn: Connection, policy: Policy, clock: Running) -> Result<Self> {
        let timers = ledger::timers(&conn, &policy, clock.now())?;
        Ok(Self {
            conn,
            policy,
            clock,
            timers,
            arming: Vec::new(),
            signals: Vec::new(),
            broken: false,
        })
    }

    /// Decides a message and writes what was decided, in the transaction that is open.
    pub(crate) fn step(&mut self, message: Message) -> Result<Decision> {
        let book = Book {
            conn: &self.conn,
            timers: &self.timers,
        };
        let decision = decide(&book, &self.policy, self.clock.now(), message)?;
        ledger::write(&self.conn, &self.policy, &decision.changes)?;
        let alarms = decision.changes.iter();
        self.arming.extend(
            alarms
                .filter(|c| matches!(c, Change::Arm(..) | Change::Disarm(_)))
                .cloned(),
        );
        self.signals.extend(decision.signals.iter().cloned());
        Ok(decision)
    }

    /// One work inside the transaction: all of it, or nothing.
    fn attempt<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.broken {
            return Err(StoreError::Full);
        }
        self.conn.execute_batch("SAVEPOINT work")?;
        let heard = self.signals.len();
        let outcome = work(self);
        if outcome.is_ok() {
            self.conn.execute_batch("RELEASE work")?;
            for change in self.arming.drain(..) {
                match change {
                    Change::Arm(timer, at) => self.timers.arm(timer, at),
                    Change::Disarm(timer) => self.timers.disarm(&timer),
                    _ => {}
                }
            }
        } else {
            self.arming.clear();
            self.signals.truncate(heard);
            // a full disk ends the whole transaction; then there is nothing to go back to
            if !self.conn.is_autocommit() {
                self.conn.execute_batch("ROLLBACK TO work; RELEASE work")?;
            }
        }
        outcome
    }

    /// What was not committed is forgotten, also by the alarms.
    fn forget(&mut self) {
        if !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        self.broken = false;
        self.signals.clear();
        self.arming.clear();
        if let Ok(timers) = ledger::timers(&self.conn, &self.policy, self.clock.now()) {
            self.timers = timers;
        }
    }
}

/// The door to the writing thread.
#[derive(Debug)]
pub(crate) struct Writer {
    door: Mutex<Option<SyncSender<Work>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    pub(crate) fn start(desk: Desk, listeners: Listeners, metrics: Arc<Metrics>) -> Result<Self> {
        let (door, works) = sync_channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || write(desk, &works, &listeners, &metrics))
            .map_err(StoreError::io("the writing thread"))?;
        Ok(Self {
            door: Mutex::new(Some(door)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Does a work in a transaction; returns after the commit.
    pub(crate) fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Desk) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (tell, told) = sync_channel(1);
        let work: Work = Box::new(move |desk| {
            let outcome = desk.attempt(work);
            Box::new(move |failure| {
                let outcome = match (outcome, failure) {
                    // what was refused because there was no transaction has the transaction's reason
                    (Ok(_) | Err(StoreError::Full), Some(failure)) => Err(failure.shared()),
                    (outcome, _) => outcome,
                };
                // whoever asked may have gone
                let _ = tell.send(outcome);
            })
        });
        let door = self.door.lock().unwrap_or_else(PoisonError::into_inner).clone();
        door.ok_or(StoreError::Shut)?
            .send(work)
            .map_err(|_| StoreError::Shut)?;
        told.recv().map_err(|_| StoreError::Shut)?
    }

    /// Finishes what was brought, and stops.
    pub(crate) fn stop(&self) {
        self.door.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // its panic was told on standard error already
            let _ = thread.join();
        }
    }
}

fn write(mut desk: Desk, works: &Receiver<Work>, listeners: &Listeners, metrics: &Metrics) {
    while let Ok(first) = works.recv() {
        let mut waiting = vec![first];
        while waiting.len() < TOGETHER
            && let Ok(next) = works.try_recv()
        {
            waiting.push(next);
        }
        metrics.group(waiting.len());
        let mut told: Vec<Tell> = Vec::with_capacity(waiting.len());
        let mut failure = desk
            .conn
            .execute_batch("BEGIN IMMEDIATE")
            .err()
            .map(StoreError::from);
        for work in waiting {
            if failure.is_none() && desk.conn.is_autocommit() {
                failure = Some(StoreError::Full);
            }
            desk.broken = failure.is_some();
            told.push(work(&mut desk));
        }
        if failure.is_none() {
            failure = if desk.conn.is_autocommit() {
                Some(StoreError::Full)
            } else {
                desk.conn.execute_batch("COMMIT").err().map(StoreError::from)
            };
        }
        if failure.is_some() {
            desk.forget();
        }
        for tell in told {
            tell(failure.as_ref());
        }
        let mut listeners = listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for signal in desk.signals.drain(..) {
            listeners.retain(|listener| listener.send(signal.clone()).is_ok());
        }
    }
}
