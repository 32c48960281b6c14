//! `manifest.toml` of a fixture.

use std::collections::BTreeMap;

use pyti_model::outcome::{Blame, ReasonCode, Status};
use pyti_model::raw::TestCounts;
use serde::Deserialize;

/// The build declaration of fixtures that have none of their own.
pub(crate) const PLAIN_PYPROJECT: &str =
    "[build-system]\nrequires = [\"plain-backend\"]\nbuild-backend = \"plain_backend\"\n";

/// What `pyti` shall find.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expected {
    /// The status of the job that a user would meet.
    pub status: Status,
    /// Reasons that must be there; others may be there too.
    #[serde(default)]
    pub reasons: Vec<ReasonCode>,
    /// Who is to blame for the first of them, where that matters.
    pub blame: Option<Blame>,
    /// What must be in the recording, in plain words.
    #[serde(default)]
    pub recorded: Vec<String>,
    /// Counts of tests.
    pub tests: Option<TestCounts>,
    /// The fixture that does the harmless form of it, or the harmful form.
    pub twin: Option<String>,
    /// Projects from outside that it needs: their wheels must be in the extra folder of the index.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Services that must be on the machine.
    #[serde(default)]
    pub services: Vec<String>,
}

/// Which files a fixture has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Sdist,
    Wheel,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Manifest {
    pub(crate) summary: String,
    #[serde(default = "default_version")]
    pub(crate) version: String,
    #[serde(default = "default_files")]
    pub(crate) files: Vec<Kind>,
    /// Tag of its wheel.
    #[serde(default = "default_tag")]
    pub(crate) tag: String,
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    #[serde(default)]
    pub(crate) classifiers: Vec<String>,
    pub(crate) requires_python: Option<String>,
    /// A name for METADATA that is not its own.
    pub(crate) metadata_name: Option<String>,
    /// A version for METADATA that is not its own.
    pub(crate) metadata_version: Option<String>,
    pub(crate) yanked: Option<String>,
    pub(crate) huge_metadata: Option<u64>,
    /// Commands that its wheel brings: name, and the function that each calls (`module:function`).
    #[serde(default)]
    pub(crate) console_scripts: BTreeMap<String, String>,
    /// What is wrong with its archive.
    pub(crate) hostile: Option<String>,
    pub(crate) expected: Expected,
}

pub(crate) fn default_version() -> String {
    "1.0.0".into()
}

pub(crate) fn default_files() -> Vec<Kind> {
    vec![Kind::Sdist, Kind::Wheel]
}

pub(crate) fn default_tag() -> String {
    "py3-none-any".into()
}

impl Manifest {
    /// Core metadata.
    pub(crate) fn metadata(&self, name: &str) -> Vec<u8> {
        let mut lines = vec![
            "Metadata-Version: 2.2".to_owned(),
            format!("Name: {}", self.metadata_name.as_deref().unwrap_or(name)),
            format!(
                "Version: {}",
                self.metadata_version.as_deref().unwrap_or(&self.version)
            ),
            format!("Summary: {}", self.summary),
            "License: MIT OR Apache-2.0".to_owned(),
        ];
        lines.extend(
            self.requires_python
                .iter()
                .map(|python| format!("Requires-Python: {python}")),
        );
        lines.extend(
            self.classifiers
                .iter()
                .map(|classifier| format!("Classifier: {classifier}")),
        );
        lines.extend(
            self.requires
                .iter()
                .map(|requirement| format!("Requires-Dist: {requirement}")),
        );
        let mut text = lines.join("\n");
        text.push_str("\n\n");
        text.into_bytes()
    }

    /// The files of `.dist-info`, without RECORD.
    pub(crate) fn dist_info(&self, stem: &str, metadata: &[u8]) -> Vec<(String, Vec<u8>)> {
        let pure = self.tag.ends_with("-none-any");
        let wheel = format!(
            "Wheel-Version: 1.0\nGenerator: pyti-fixtures 1\nRoot-Is-Purelib: {pure}\nTag: {}\n",
            self.tag
        );
        let mut files = vec![
            (format!("{stem}.dist-info/METADATA"), metadata.to_vec()),
            (format!("{stem}.dist-info/WHEEL"), wheel.into_bytes()),
        ];
        if !self.console_scripts.is_empty() {
            let lines = self
                .console_scripts
                .iter()
                .map(|(name, call)| format!("{name} = {call}\n"));
            let text = "[console_scripts]\n".to_owned() + &lines.collect::<String>();
            files.push((format!("{stem}.dist-info/entry_points.txt"), text.into_bytes()));
        }
        files
    }
}
