//! Runs on disk: one folder each, with a recording for each job and a small index of what it was.
//!
//! ```text
//! runs/7f3a/run.json              what was asked for, when
//! runs/7f3a/wheel.jsonl.zst       the recording of the wheel's job
//! runs/7f3a/sdist.jsonl.zst
//! runs/7f3a/baseline-wheel.jsonl.zst   the recording of an empty package, for comparison
//! ```

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Version of `run.json`.
const RUN_VERSION: u32 = 1;

/// What a run was: one target on one interpreter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunFile {
    /// [`RUN_VERSION`] of the writer.
    pub version: u32,
    /// Project name, normalised.
    pub name: String,
    /// Version of the distribution, where one could be chosen.
    pub release: Option<String>,
    /// Interpreter: `3.13`.
    pub python: String,
    /// Interpreter, for people: `CPython 3.13`.
    pub interpreter: String,
    /// `sandbox`.
    pub isolation: String,
    /// When, RFC 3339 in UTC.
    pub when: String,
    /// The status of the whole, once it has ended.
    #[serde(default)]
    pub status: Option<String>,
    /// Names of the recordings, in order.
    pub recordings: Vec<String>,
    /// For a recording, the name of that of an empty package in the same circumstances.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub baselines: BTreeMap<String, String>,
}

/// A run that is on disk.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name: a few hexadecimal digits.
    pub id: String,
    /// Its folder.
    pub folder: PathBuf,
    /// What it was.
    pub file: RunFile,
}

/// Why a run cannot be found or used.
#[derive(Debug, thiserror::Error)]
pub enum RunsError {
    /// No run has this name.
    #[error("there is no run {0}")]
    None(String),
    /// Several runs begin so.
    #[error("several runs begin with {0}: {1}")]
    Several(String, String),
    /// A file cannot be used.
    #[error("cannot use {0}")]
    File(PathBuf, #[source] io::Error),
}

/// All runs of one user.
#[derive(Debug, Clone)]
pub struct Runs {
    folder: PathBuf,
}

impl Runs {
    /// Runs below this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Makes a run with a new short name.
    pub fn create(&self, file: &RunFile) -> Result<Run, RunsError> {
        for length in [4, 4, 4, 6, 8, 12] {
            let id = random_hex(length).map_err(|e| RunsError::File(self.folder.clone(), e))?;
            let folder = self.folder.join(&id);
            match fs::create_dir(&folder) {
                Ok(()) => {
                    let run = Run {
                        id,
                        folder,
                        file: file.clone(),
                    };
                    run.save()?;
                    return Ok(run);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(RunsError::File(folder, error)),
            }
        }
        Err(RunsError::File(
            self.folder.clone(),
            io::Error::other("no name is free"),
        ))
    }

    /// All runs, newest first. Folders that hold no run are left out.
    pub fn list(&self) -> Vec<Run> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let mut runs: Vec<_> = entries
            .filter_map(|entry| Self::read(&entry.path()).ok())
            .collect();
        runs.sort_by(|a, b| b.file.when.cmp(&a.file.when).then_with(|| a.id.cmp(&b.id)));
        runs
    }

    /// The run of this name, or the one whose name begins so; `last` is the newest.
    pub fn find(&self, name: &str) -> Result<Run, RunsError> {
        if name == "last" {
            return self
                .list()
                .into_iter()
                .next()
                .ok_or_else(|| RunsError::None(name.to_owned()));
        }
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_hexdigit());
        if is_name && let Ok(run) = Self::read(&self.folder.join(name)) {
            return Ok(run);
        }
        let mut found: Vec<_> = self
            .list()
            .into_iter()
            .filter(|run| is_name && run.id.starts_with(name))
            .collect();
        match found.len() {
            0 => Err(RunsError::None(name.to_owned())),
            1 => Ok(found.remove(0)),
            _ => {
                let names: Vec<_> = found.iter().map(|run| run.id.as_str()).collect();
                Err(RunsError::Several(name.to_owned(), names.join(", ")))
            }
        }
    }

    /// Removes runs older than this; tells which.
    pub fn prune(&self, older_than: Duration) -> Result<Vec<String>, RunsError> {
        let mut gone = Vec::new();
        for run in self.list() {
            let age = fs::metadata(&run.folder)
                .and_then(|m| m.modified())
                .ok()
                .and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age >= older_than) {
                run.remove()?;
                gone.push(run.id);
            }
        }
        Ok(gone)
    }

    fn read(folder: &Path) -> Result<Run, RunsError> {
        let path = folder.join("run.json");
        let error = |e: io::Error| RunsError::File(path.clone(), e);
        let mut text = String::new();
        File::open(&path)
            .and_then(|f| f.take(1 << 20).read_to_string(&mut text))
            .map_err(error)?;
        let file: RunFile = serde_json::from_str(&text).map_err(|e| error(e.into()))?;
        if file.version > RUN_VERSION {
            return Err(error(io::Error::other("a newer PyTI wrote it")));
        }
        let id = folder
            .file_name()
            .map(|n| n.to_string_lossy().into_owned())
            .unwrap_or_default();
        Ok(Run {
            id,
            folder: folder.to_owned(),
            file,
        })
    }
}

impl RunFile {
    /// A run that begins now.
    pub fn now(name: &str, release: Option<&str>, interpreter: &pyti_model::plan::Interpreter) -> Self {
        Self {
            version: RUN_VERSION,
            name: name.to_owned(),
            release: release.map(str::to_owned),
            python: interpreter.short(),
            interpreter: interpreter.title(),
            isolation: pyti_model::plan::Isolation::Sandbox.word().to_owned(),
            when: crate::clock::now(),
            status: None,
            recordings: Vec::new(),
            baselines: BTreeMap::new(),
        }
    }
}

impl Run {
    /// Writes what it is, whole or not at all.
    pub fn save(&self) -> Result<(), RunsError> {
        let path = self.folder.join("run.json");
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut file| {
            file.write_all(&serde_json::to_vec_pretty(&self.file)?)?;
            file.persist(&path).map_err(|e| e.error)
        });
        written.map(|_| ()).map_err(|e| RunsError::File(path, e))
    }

    /// Where the recording of a job lies.
    pub fn recording(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Removes it.
    pub fn remove(&self) -> Result<(), RunsError> {
        fs::remove_dir_all(&self.folder).map_err(|e| RunsError::File(self.folder.clone(), e))
    }
}

fn random_hex(length: usize) -> io::Result<String> {
    use std::fmt::Write as _;
    let mut bytes = [0; 8];
    File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    let mut text = bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    });
    text.truncate(length);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(when: &str) -> RunFile {
        RunFile {
            version: RUN_VERSION,
            name: "six".into(),
            release: Some("1.17.0".into()),
            python: "3.13".into(),
            interpreter: "CPython 3.13".into(),
            isolation: "sandbox".into(),
            when: when.into(),
            status: None,
            recordings: vec![],
            baselines: BTreeMap::new(),
        }
    }

    #[test]
    fn runs_are_found_by_name_prefix_and_age() {
        let folder = tempfile::tempdir().unwrap();
        let runs = Runs::new(folder.path().to_owned());
        let old = runs.create(&file("2026-01-01T00:00:00Z")).unwrap();
        let new = runs.create(&file("2026-02-01T00:00:00Z")).unwrap();
        assert_eq!(runs.find("last").unwrap().id, new.id);
        assert_eq!(runs.find(&old.id).unwrap().file.when, old.file.when);
        assert!(matches!(runs.find("zz"), Err(RunsError::None(_))));
        assert!(matches!(runs.find("../x"), Err(RunsError::None(_))));
        assert!(runs.prune(Duration::from_hours(1)).unwrap().is_empty());
        assert_eq!(runs.prune(Duration::ZERO).unwrap().len(), 2);
        assert!(runs.list().is_empty());
    }
}
