use pyti_model::distribution::{Digest, FileKind};
use url::Url;
use uv_pep440::Version;

use crate::names::ParsedName;
use crate::redacted::RedactedUrl;

/// A project as one index shows it.
#[derive(Debug, Clone)]
pub struct Project {
    /// Normalised name.
    pub name: String,
    /// Files that can be looked at, in the index's order.
    pub files: Vec<ProjectFile>,
    /// Versions that the index names, also those without files.
    pub versions: Vec<String>,
    /// Status marker (PEP 792), when it is another than active.
    pub status: Option<ProjectStatus>,
    /// The index that answered.
    pub index: RedactedUrl,
    /// Files that are not looked at: name and why.
    pub skipped: Vec<(String, String)>,
    /// Serial number of the last change, where the index gives it.
    pub serial: Option<u64>,
}

impl Project {
    /// A project with nothing in it yet, or any more.
    pub fn without_files(name: &str, index: RedactedUrl) -> Self {
        Self {
            name: name.to_owned(),
            files: Vec::new(),
            versions: Vec::new(),
            status: None,
            index,
            skipped: Vec::new(),
            serial: None,
        }
    }
}

/// A project's status marker with its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectStatus {
    /// The marker.
    pub state: ProjectState,
    /// What the index says about it; foreign text.
    pub reason: Option<String>,
}

/// Status markers of PEP 792.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProjectState {
    /// No new releases are expected.
    Archived,
    /// Nothing may be installed.
    Quarantined,
    /// Something else should be used.
    Deprecated,
}

/// One file of a project.
#[derive(Debug, Clone)]
pub struct ProjectFile {
    /// Normalised project name.
    pub project: String,
    /// The name as the index gives it; one plain path component.
    pub filename: String,
    /// Where it is; may hold credentials, so show it through [`RedactedUrl`].
    pub url: Url,
    /// The name, parsed.
    pub kind: ParsedName,
    /// Its version.
    pub version: Version,
    /// Digest, where the index gives it.
    pub sha256: Option<Digest>,
    /// Size in bytes, where the index gives it.
    pub size: Option<u64>,
    /// `Requires-Python` as the index gives it.
    pub requires_python: Option<String>,
    /// Why it was yanked; an empty text when no reason was given.
    pub yanked: Option<String>,
    /// Whether its metadata lies beside it (PEP 658).
    pub core_metadata: bool,
    /// Digest of that metadata, where the index gives it.
    pub metadata_sha256: Option<Digest>,
    /// When it was uploaded, RFC 3339.
    pub uploaded: Option<String>,
    /// Address of its provenance (PEP 740).
    pub provenance: Option<String>,
}

impl ProjectFile {
    /// Wheel or sdist.
    pub fn file_kind(&self) -> FileKind {
        self.kind.kind()
    }
}
