//! What a worker has taken and not delivered yet: one folder for each lease.
//!
//! ```text
//! spool/<lease>/order.json              what is to be done; written and synced before anything is done
//! spool/<lease>/events.jsonl.zst        the recording, while the job runs
//! spool/<lease>/baseline.jsonl.zst      the recording of an empty package
//! spool/<lease>/segments/events-0       what is put; synced before the next file is written
//! spool/<lease>/delivery.json           outcome and manifest: the job is finished. Without it, it is not
//! spool/<lease>/stopped                 the worker stopped it itself
//! spool/<lease>/gone                    the controller gave the job to another, or it was cancelled; kept for a day
//! ```

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pyti_command::order::WorkOrder;
use pyti_command::raw::{Manifest, SegmentRef, StreamName};
use pyti_command::work::WorkOutcome;
use pyti_dispatch::Lease;
use serde::{Deserialize, Serialize};

use crate::home::{read_json, sync_folder, write_json};
use crate::segments;

/// How long finished work is kept that nobody wants any more.
pub const KEPT: Duration = Duration::from_hours(24);

/// The folder of all leases.
#[derive(Debug, Clone)]
pub struct Spool {
    folder: PathBuf,
}

/// One lease.
#[derive(Debug, Clone)]
pub struct Entry {
    folder: PathBuf,
    /// What is to be done.
    pub order: WorkOrder,
}

/// What is delivered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    /// What came of it.
    pub outcome: WorkOutcome,
    /// Everything that belongs to it.
    pub manifest: Manifest,
}

/// How far a lease was when the worker looks after its own restart.
#[derive(Debug)]
pub enum Found {
    /// To be delivered.
    Finished(Entry, Delivery),
    /// To be given back: it is never run again in the same lease.
    Unfinished {
        /// The lease.
        entry: Entry,
        /// Whether the worker had stopped it itself: then nothing of the job is to blame.
        clean: bool,
    },
}

impl Spool {
    /// Opens the folder, which is made if need be.
    pub fn open(folder: &Path) -> io::Result<Self> {
        make(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Writes down an order. When this returns, it is on the disk.
    pub fn take(&self, order: &WorkOrder) -> io::Result<Entry> {
        let folder = self.folder.join(order.lease.to_string());
        make(&folder)?;
        write_json(&folder.join("order.json"), order)?;
        sync_folder(&self.folder)?;
        Ok(Entry {
            folder,
            order: order.clone(),
        })
    }

    /// All leases that wait for an answer. What was never written down whole was never begun, and goes.
    pub fn found(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        for path in self.folders()? {
            if path.join("gone").exists() {
                continue;
            }
            let Ok(Some(order)) = read_json::<WorkOrder>(&path.join("order.json")) else {
                fs::remove_dir_all(&path)?;
                continue;
            };
            let entry = Entry { folder: path, order };
            // a delivery that cannot be read is none: the job is given back
            found.push(match read_json(&entry.folder.join("delivery.json")) {
                Ok(Some(delivery)) => Found::Finished(entry, delivery),
                _ => Found::Unfinished {
                    clean: entry.folder.join("stopped").exists(),
                    entry,
                },
            });
        }
        Ok(found)
    }

    /// Takes away what is gone for a day. Tells how many.
    pub fn sweep(&self, now: SystemTime) -> io::Result<usize> {
        let mut swept = 0;
        for path in self.folders()? {
            let since = fs::metadata(path.join("gone")).and_then(|mark| mark.modified());
            if since.is_ok_and(|since| now.duration_since(since).is_ok_and(|age| age >= KEPT)) {
                fs::remove_dir_all(&path)?;
                swept += 1;
            }
        }
        Ok(swept)
    }

    /// Bytes that are free where the spool is.
    pub fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn folders(&self) -> io::Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            let named = path
                .file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.parse::<Lease>().is_ok());
            if named && path.is_dir() {
                folders.push(path);
            }
        }
        folders.sort();
        Ok(folders)
    }
}

impl Entry {
    /// The lease.
    pub fn lease(&self) -> Lease {
        self.order.lease
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The entry of a folder.
    pub fn at(folder: &Path) -> io::Result<Self> {
        let order = read_json(&folder.join("order.json"))?
            .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no order"))?;
        Ok(Self {
            folder: folder.to_owned(),
            order,
        })
    }

    /// Where a recording is written while the job runs.
    pub fn recording(&self, stream: StreamName) -> PathBuf {
        self.folder.join(format!("{}.jsonl.zst", stream.word()))
    }

    fn segment_path(&self, stream: StreamName, seq: usize) -> PathBuf {
        self.folder
            .join("segments")
            .join(format!("{}-{seq}", stream.word()))
    }

    /// Cuts what was recorded into segments and writes down that the job is finished. When this returns, all is on the disk.
    pub fn finish(&self, outcome: WorkOutcome) -> io::Result<Delivery> {
        let segments = self.folder.join("segments");
        // what an interrupted try left
        match fs::remove_dir_all(&segments) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => make(&segments)?,
        }
        let mut manifest = Manifest::default();
        for stream in StreamName::ALL {
            let recording = match File::open(self.recording(stream)) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut refs = Vec::new();
            segments::cut(recording, |bytes| {
                let mut file = File::create_new(self.segment_path(stream, refs.len()))?;
                io::Write::write_all(&mut file, &bytes)?;
                file.sync_all()?;
                refs.push(SegmentRef {
                    sha256: crate::sha256(&bytes),
                    size: bytes.len() as u64,
                });
                Ok(())
            })?;
            if !refs.is_empty() {
                manifest.0.insert(stream, refs);
            }
        }
        sync_folder(&segments)?;
        sync_folder(&self.folder)?;
        let delivery = Delivery { outcome, manifest };
        write_json(&self.folder.join("delivery.json"), &delivery)?;
        for stream in StreamName::ALL {
            // the segments are the recording now
            let _ = fs::remove_file(self.recording(stream));
        }
        Ok(delivery)
    }

    /// A segment's bytes, if they are still those of the manifest.
    pub fn segment(&self, stream: StreamName, seq: usize, named: &SegmentRef) -> io::Result<Vec<u8>> {
        let bytes = fs::read(self.segment_path(stream, seq))?;
        if crate::sha256(&bytes) == named.sha256 {
            Ok(bytes)
        } else {
            Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("segment {}/{seq} was damaged in the spool", stream.word()),
            ))
        }
    }

    /// The worker stops, and has stopped this job.
    pub fn stopped(&self) -> io::Result<()> {
        File::create(self.folder.join("stopped"))?;
        sync_folder(&self.folder)
    }

    /// The controller has it, or knows that this lease has ended the job.
    pub fn forget(self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)
    }

    /// Nobody wants it any more: kept for a day if it is finished, else it goes.
    pub fn gone(self) -> io::Result<()> {
        if self.folder.join("delivery.json").exists() {
            File::create(self.folder.join("gone"))?;
            sync_folder(&self.folder)
        } else {
            fs::remove_dir_all(&self.folder)
        }
    }
}

fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(lease: u8) -> WorkOrder {
        let digest = "ab".repeat(32);
        serde_json::from_value(serde_json::json!({
            "job": 7,
            "lease": Lease([lease; 16]),
            "epoch": 1,
            "key": {"file": digest, "spec": digest, "generation": 0},
            "file": {"project": "a", "version": "1", "filename": "a-1-py3-none-any.whl", "kind": "wheel", "sha256": digest, "size": 3},
            "spec": {"version": 1, "run_tests": true,
                     "environment": {"platform": "linux/x86_64", "interpreter": "cpython-3.13", "isolation": "sandbox"}},
        }))
        .unwrap()
    }

    fn record(entry: &Entry, stream: StreamName, text: &str) {
        fs::write(
            entry.recording(stream),
            zstd::bulk::compress(text.as_bytes(), 1).unwrap(),
        )
        .unwrap();
    }

    #[test]
    fn what_is_finished_is_found_finished_and_what_is_not_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool")).unwrap();
        let (one, two) = (spool.take(&order(1)).unwrap(), spool.take(&order(2)).unwrap());
        record(&one, StreamName::Events, "{\"seq\":0}\n");
        record(&two, StreamName::Events, "{\"seq\":0}\n");
        let delivery = one.finish(WorkOutcome::Ran).unwrap();
        let named = &delivery.manifest.0[&StreamName::Events][0];
        assert!(!delivery.manifest.0.contains_key(&StreamName::Baseline));
        let bytes = one.segment(StreamName::Events, 0, named).unwrap();
        assert_eq!(zstd::decode_all(&*bytes).unwrap(), b"{\"seq\":0}\n");
        let found = spool.found().unwrap();
        assert!(matches!(
            &found[..],
            [Found::Finished(a, d), Found::Unfinished { entry: b, clean: false }]
                if a.lease() == one.lease() && *d == delivery && b.lease() == two.lease()
        ));
        two.stopped().unwrap();
        assert!(matches!(
            &spool.found().unwrap()[1],
            Found::Unfinished { clean: true, .. }
        ));
        one.forget().unwrap();
        two.gone().unwrap();
        assert!(spool.found().unwrap().is_empty());
    }

    #[test]
    fn a_damaged_segment_is_not_sent() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let entry = spool.take(&order(1)).unwrap();
        record(&entry, StreamName::Events, "{\"seq\":0}\n");
        let delivery = entry.finish(WorkOutcome::Ran).unwrap();
        let named = &delivery.manifest.0[&StreamName::Events][0];
        let path = entry.segment_path(StreamName::Events, 0);
        let mut bytes = fs::read(&path).unwrap();
        bytes[5] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(entry.segment(StreamName::Events, 0, named).is_err());
    }

    #[test]
    fn finished_work_that_nobody_wants_is_kept_for_a_day() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let entry = spool.take(&order(1)).unwrap();
        record(&entry, StreamName::Events, "{\"seq\":0}\n");
        entry.finish(WorkOutcome::Ran).unwrap();
        let path = entry.folder().to_owned();
        entry.gone().unwrap();
        assert!(spool.found().unwrap().is_empty() && path.is_dir());
        let now = SystemTime::now();
        assert_eq!(spool.sweep(now + Duration::from_hours(23)).unwrap(), 0);
        assert!(path.is_dir());
        assert_eq!(spool.sweep(now + Duration::from_hours(25)).unwrap(), 1);
        assert!(!path.exists());
    }

    #[test]
    fn what_was_not_written_whole_was_not_begun() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        let torn = folder.path().join(Lease([9; 16]).to_string());
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join("order.json"), "{\"job\"").unwrap();
        fs::create_dir(folder.path().join("somebody-else's")).unwrap();
        assert!(spool.found().unwrap().is_empty());
        assert!(!torn.exists() && folder.path().join("somebody-else's").exists());
        // a torn delivery is none
        let entry = spool.take(&order(1)).unwrap();
        fs::write(entry.folder().join("delivery.json"), "{\"outcome\"").unwrap();
        assert!(matches!(
            &spool.found().unwrap()[..],
            [Found::Unfinished { clean: false, .. }]
        ));
    }
}
