//! Looking after the store while it serves: check, backup, restore, prune.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use pyti_model::Digest;
use rusqlite::{Connection, params};

use crate::blobs::{Blobs, sync_folder};
use crate::error::{Result, StoreError};
use crate::readers;
use crate::results::Class;
use crate::rows::{self, all, digest_at, first, number_at, run, signed};
use crate::store::{Store, database};
use crate::{clock, schema, shown, sql};

/// Rows of one step of a long walk; each step is a transaction of its own.
const STEP: u32 = 500;
/// Blobs younger than this are never rubbish: their row may be on its way.
const GRACE: Duration = Duration::from_hours(1);

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The database itself is damaged.
    #[error("database: {0}")]
    Database(String),
    /// A row's checksum is wrong.
    #[error("{table} {id}: not as it was written")]
    Row {
        /// Where.
        table: &'static str,
        /// Which.
        id: i64,
    },
    /// A blob that a row names is not there.
    #[error("blob {0}: missing")]
    MissingBlob(Digest),
    /// A blob has another size or content than its name and row say.
    #[error("blob {0}: not as it was written")]
    DamagedBlob(Digest),
}

/// How long blobs of each class are kept; `None`: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Of [`Class::Long`].
    pub long: Option<Duration>,
    /// Of [`Class::Short`].
    pub short: Option<Duration>,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            long: Some(Duration::from_hours(365 * 24)),
            short: Some(Duration::from_hours(60 * 24)),
        }
    }
}

/// What a pruning took away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Blobs past their time.
    pub old: u64,
    /// Files that no row names.
    pub orphans: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// Segments of leases that are over.
    pub segments: u64,
}

/// What a backup holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backup {
    /// Size of its database in bytes.
    pub database_bytes: u64,
    /// Blobs that it names.
    pub blobs: u64,
    /// Of those, copied now; the rest was there from an earlier backup.
    pub copied: u64,
    /// Blobs that could not be copied because they are missing or damaged here.
    pub unsound: u64,
}

impl Store {
    /// Looks for damage: the database, every checksum, every blob's size; with `deep`, every blob's content too.
    pub fn check(&self, deep: bool) -> Result<Vec<Problem>> {
        // a connection of its own: the readers' time limit is for pages
        let conn = readers::open(&database(&self.inner.folder))?;
        let mut problems: Vec<Problem> =
            all(&conn, "PRAGMA quick_check(20)", [], |row| row.get::<_, String>(0))?
                .into_iter()
                .filter(|line| line != "ok")
                .map(Problem::Database)
                .collect();
        for (table, finding) in [("result", false), ("finding", true)] {
            let mut after = 0;
            loop {
                let (bad, last) = shown::unsound(&conn, finding, after, STEP)?;
                problems.extend(bad.into_iter().map(|id| Problem::Row { table, id }));
                match last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        each_blob(&conn, |digest, size| {
            match sound(self.blobs(), &digest, size, deep) {
                Ok(true) => {}
                Ok(false) => problems.push(Problem::DamagedBlob(digest)),
                Err(StoreError::NoBlob(_)) if self.retired(&digest)? => {}
                Err(StoreError::NoBlob(_)) => problems.push(Problem::MissingBlob(digest)),
                Err(other) => return Err(other),
            }
            Ok(())
        })?;
        Ok(problems)
    }

    /// Whether a blob was pruned since a walk over the blobs read its row.
    fn retired(&self, digest: &Digest) -> Result<bool> {
        let sha256 = rows::bytes(digest);
        self.write(move |desk| {
            let known = first(&desk.conn, sql::BLOB_KNOWN, [sha256], |row| row.get::<_, i64>(0))?;
            Ok(known.is_none())
        })
    }

    /// Copies the store to a folder, while it serves: the database as of one moment, then the blobs that it names. A folder that
    /// holds an older backup gets only the blobs that it lacks.
    pub fn backup(&self, to: &Path) -> Result<Backup> {
        let began = SystemTime::now();
        let running = || self.inner.backups.lock().unwrap_or_else(PoisonError::into_inner);
        running().push(began);
        let outcome = self.copy(to);
        let mut backups = running();
        if let Some(at) = backups.iter().position(|b| *b == began) {
            backups.swap_remove(at);
        }
        outcome
    }

    fn copy(&self, to: &Path) -> Result<Backup> {
        fs::create_dir_all(to).map_err(StoreError::io(to))?;
        let conn = readers::open(&database(&self.inner.folder))?;
        conn.execute_batch("PRAGMA query_only = 0")?;
        let temporary = to.join("pyti.db.new");
        match fs::remove_file(&temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::io(temporary)(error));
            }
            _ => {}
        }
        let name = temporary
            .to_str()
            .ok_or(StoreError::Invalid("a backup folder whose name is no text"))?;
        conn.execute("VACUUM INTO ?1", [name])?;
        let file = fs::File::open(&temporary).map_err(StoreError::io(&temporary))?;
        file.sync_all().map_err(StoreError::io(&temporary))?;
        let mut backup = Backup {
            database_bytes: file.metadata().map_err(StoreError::io(&temporary))?.len(),
            ..Backup::default()
        };
        let there = Blobs::open(to.join("blobs"))?;
        let copy = readers::open(&temporary)?;
        each_blob(&copy, |digest, size| {
            backup.blobs += 1;
            let has = fs::metadata(there.path(&digest)).is_ok_and(|meta| meta.len() == size);
            if has {
                return Ok(());
            }
            match self.blobs().open_blob(&digest) {
                Ok(mut from) => match there.put_from(&mut from) {
                    Ok(_) => backup.copied += 1,
                    Err(StoreError::Io { source, .. }) if source.kind() == io::ErrorKind::InvalidData => {
                        backup.unsound += 1;
                    }
                    Err(other) => return Err(other),
                },
                Err(StoreError::NoBlob(_)) => backup.unsound += 1,
                Err(other) => return Err(other),
            }
            Ok(())
        })?;
        drop(copy);
        let whole = database(to);
        fs::rename(&temporary, &whole).map_err(StoreError::io(&whole))?;
        sync_folder(to)?;
        Ok(backup)
    }

    /// Makes a data folder from a backup. The folder must hold no database.
    ///
    /// # Errors
    ///
    /// [`StoreError::Invalid`] if there is a database already, [`StoreError::Newer`] if the backup is of a newer program.
    pub fn restore(from: &Path, folder: &Path) -> Result<Backup> {
        let _lock = crate::store::lock(folder)?;
        let whole = database(folder);
        if whole.exists() {
            return Err(StoreError::Invalid("the folder holds a database already"));
        }
        let source = readers::open(&database(from))?;
        let found = schema::version(&source)?;
        if found > schema::NEWEST {
            return Err(StoreError::Newer {
                found,
                known: schema::NEWEST,
            });
        }
        let (old, new) = (
            Blobs::open(from.join("blobs"))?,
            Blobs::open(folder.join("blobs"))?,
        );
        let mut backup = Backup::default();
        each_blob(&source, |digest, _| {
            backup.blobs += 1;
            let copied = old
                .open_blob(&digest)
                .and_then(|mut from| new.put_from(&mut from));
            if copied.is_ok() {
                backup.copied += 1;
            } else {
                backup.unsound += 1;
            }
            Ok(())
        })?;
        let temporary = folder.join("pyti.db.new");
        backup.database_bytes = fs::copy(database(from), &temporary).map_err(StoreError::io(&temporary))?;
        let file = fs::File::open(&temporary).map_err(StoreError::io(&temporary))?;
        file.sync_all().map_err(StoreError::io(&temporary))?;
        fs::rename(&temporary, &whole).map_err(StoreError::io(&whole))?;
        sync_folder(folder)?;
        Ok(backup)
    }

    /// Deletes blobs past their time, files that no row names, and segments of leases that are over. What is younger than an
    /// hour, or than the oldest backup that runs, is spared.
    pub fn prune(&self, retention: &Retention) -> Result<Pruned> {
        self.prune_after(retention, GRACE)
    }

    /// The same with another age at which a file may be rubbish; for tests.
    pub fn prune_after(&self, retention: &Retention, grace: Duration) -> Result<Pruned> {
        let oldest = self
            .inner
            .backups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .min()
            .copied();
        let running = oldest.and_then(|at| at.elapsed().ok()).unwrap_or_default();
        let grace = grace.max(running);
        let mut pruned = Pruned::default();
        // while a backup copies, nothing that it may name goes
        if oldest.is_none() {
            for (class, age) in [(Class::Long, retention.long), (Class::Short, retention.short)] {
                if let Some(age) = age {
                    self.prune_class(class, age.max(grace), grace, &mut pruned)?;
                }
            }
        }
        let conn = readers::open(&database(&self.inner.folder))?;
        let mut orphans = Vec::new();
        let named = named(&conn)?;
        self.blobs().each(grace, |digest, meta| {
            if !named.contains(&digest) && !crate::blobs::young(meta, grace) {
                orphans.push((digest, meta.len()));
            }
            Ok(())
        })?;
        for (digest, size) in orphans {
            // it may have been named meanwhile
            if self.retired(&digest)? && self.blobs().delete(&digest, grace)? {
                pruned.orphans += 1;
                pruned.bytes += size;
            }
        }
        pruned.segments = self.staging().sweep(grace, |lease| {
            let job = first(&conn, sql::JOB_BY_LEASE, [lease.0], rows::job)?;
            Ok(job.is_some_and(|job| !job.state.ended()))
        })?;
        Ok(pruned)
    }

    fn prune_class(&self, class: Class, age: Duration, grace: Duration, pruned: &mut Pruned) -> Result<()> {
        let age = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
        let before = clock::calendar_ms().saturating_sub(age);
        let conn = readers::open(&database(&self.inner.folder))?;
        let mut after = 0;
        loop {
            let step = all(&conn, sql::BLOBS, params![after, STEP], |row| {
                let due = row.get::<_, i64>(3)? == 0
                    && row.get::<_, i64>(4)? == class.number()
                    && number_at(row, 5)? < before;
                Ok((row.get::<_, i64>(0)?, digest_at(row, 1)?, number_at(row, 2)?, due))
            })?;
            let Some(last) = step.last() else {
                return Ok(());
            };
            after = last.0;
            let due: Vec<_> = step.into_iter().filter(|(_, _, _, due)| *due).collect();
            if due.is_empty() {
                continue;
            }
            // a blob may have come again meanwhile
            let old = self.write(move |desk| {
                let mut old = Vec::new();
                for (id, digest, size, _) in due {
                    if run(
                        &desk.conn,
                        sql::BLOB_GONE,
                        params![id, class.number(), signed(before)],
                    )? > 0
                    {
                        old.push((digest, size));
                    }
                }
                Ok(old)
            })?;
            for (digest, size) in old {
                if self.blobs().delete(&digest, grace)? {
                    pruned.old += 1;
                    pruned.bytes += size;
                }
            }
        }
    }
}

/// Every blob that is kept.
fn each_blob(conn: &Connection, mut see: impl FnMut(Digest, u64) -> Result<()>) -> Result<()> {
    let mut after = 0;
    loop {
        let blobs = all(conn, sql::BLOBS, params![after, STEP], |row| {
            Ok((
                row.get::<_, i64>(0)?,
                digest_at(row, 1)?,
                number_at(row, 2)?,
                row.get::<_, i64>(3)?,
            ))
        })?;
        let Some(last) = blobs.last() else {
            return Ok(());
        };
        after = last.0;
        for (_, digest, size, gone) in blobs {
            if gone == 0 {
                see(digest, size)?;
            }
        }
    }
}

fn named(conn: &Connection) -> Result<HashSet<Digest>> {
    let mut named = HashSet::new();
    each_blob(conn, |digest, _| {
        named.insert(digest);
        Ok(())
    })?;
    Ok(named)
}

/// Whether a blob has its size, and if asked, its content.
fn sound(blobs: &Blobs, digest: &Digest, size: u64, deep: bool) -> Result<bool> {
    let mut blob = blobs.open_blob(digest)?;
    if blob.size() != size {
        return Ok(false);
    }
    if !deep {
        return Ok(true);
    }
    let mut buffer = vec![0; 64 << 10];
    loop {
        match blob.read(&mut buffer) {
            Ok(0) => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Ok(false),
            Err(error) => return Err(StoreError::io(blobs.path(digest))(error)),
        }
    }
}
