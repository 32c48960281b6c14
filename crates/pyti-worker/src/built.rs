//! Which wheel was built from which sdist, on which interpreter: each is built once.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use pyti_model::event::{Envelope, Event};
use pyti_model::plan::Interpreter;
use pyti_model::raw::{Metadata, RawData};
use pyti_model::{Digest, Foreign};
use serde::{Deserialize, Serialize};

/// A wheel that was built here and is in the file store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BuiltHere {
    pub(crate) filename: String,
    pub(crate) sha256: Digest,
    /// Core metadata, as far as resolving needs it.
    pub(crate) metadata: String,
}

impl BuiltHere {
    /// What a job that built a wheel and read its metadata came to; `None` when it came to nothing.
    pub(crate) fn from_events(events: &[Envelope]) -> Option<Self> {
        let (mut wheel, mut metadata) = (None, None);
        for envelope in events {
            match &envelope.event {
                Event::Blob { name, sha256, .. } => wheel = Some((name.as_str()?.to_owned(), sha256.clone())),
                Event::Ended {
                    raw: Some(RawData::Metadata(read)),
                    ..
                } => metadata = Some(core_metadata(read)?),
                _ => {}
            }
        }
        let (filename, sha256) = wheel?;
        Some(Self {
            filename,
            sha256,
            metadata: metadata?,
        })
    }
}

/// Core metadata with the fields that resolving reads. A line break in a field would forge others, so it is refused.
fn core_metadata(read: &Metadata) -> Option<String> {
    let mut text = String::from("Metadata-Version: 2.1\n");
    let mut field = |name: &str, value: &Foreign| -> Option<()> {
        let value = value.as_str().filter(|v| !v.contains(['\n', '\r']))?;
        text.push_str(name);
        text.push_str(": ");
        text.push_str(value);
        text.push('\n');
        Some(())
    };
    field("Name", &read.name)?;
    field("Version", &read.version)?;
    for requires in &read.requires_dist {
        field("Requires-Dist", requires)?;
    }
    for extra in &read.provides_extra {
        field("Provides-Extra", extra)?;
    }
    if let Some(python) = &read.requires_python {
        field("Requires-Python", python)?;
    }
    Some(text)
}

pub(crate) struct BuiltWheels {
    folder: PathBuf,
}

impl BuiltWheels {
    pub(crate) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn get(&self, sdist: &Digest, interpreter: &Interpreter) -> Option<BuiltHere> {
        let bytes = fs::read(self.path(sdist, interpreter))
            .ok()
            .filter(|bytes| bytes.len() < 16 << 20)?;
        serde_json::from_slice(&bytes).ok()
    }

    /// Remembers a wheel. An error costs only the next build's time.
    pub(crate) fn put(
        &self,
        sdist: &Digest,
        interpreter: &Interpreter,
        wheel: &BuiltHere,
    ) -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(wheel)?)?;
        file.persist(self.path(sdist, interpreter)).map_err(|e| e.error)?;
        Ok(())
    }

    fn path(&self, sdist: &Digest, interpreter: &Interpreter) -> PathBuf {
        let (version, platform) = (&interpreter.version, &interpreter.platform);
        let free = if interpreter.free_threaded { "t" } else { "" };
        self.folder.join(format!(
            "{sdist}-{}-{version}{free}-{platform}.json",
            interpreter.implementation
        ))
    }
}
