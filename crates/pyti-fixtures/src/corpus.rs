//! The corpus: one tiny package for each behaviour of harmful packages, and one for each harmless look-alike.
//!
//! The sources lie in `corpus/NN-name/` (behaviours), `corpus/LNN-name/` (look-alikes) and `corpus/support-name/`
//! (what others need), each with a `manifest.toml` that tells which findings and which verdict it must come to. All
//! are harmless: they act only when the variable [`VARIABLE`] holds their name, and speak to reserved names and
//! documentation addresses only.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{fs, io};

use pyti_model::outcome::{ReasonCode, Status, Verdict};
use serde::Deserialize;

use crate::manifest::{self, Kind, Manifest};
use crate::{Error, Expected, Fixture};

/// The environment variable that a package of the corpus must find its own name in before it acts.
pub const VARIABLE: &str = "PYTI_CORPUS";

/// Which part of the corpus a package belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// It does what harmful packages do.
    Behaviour,
    /// It is harmless, and looks as if it were not.
    LookAlike,
    /// Others need it.
    Support,
}

/// What a run of a package must come to.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Identifiers of the rules that must find something, sorted.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Rules that may find something too: what depends on the machine.
    #[serde(default)]
    pub also: Vec<String>,
    /// Status of the job.
    #[serde(default = "loads")]
    pub status: Status,
    /// Reasons that must be there.
    #[serde(default)]
    pub reasons: Vec<ReasonCode>,
    /// Why exactly these.
    pub why: String,
}

/// What a run comes to in which the package is quiet, where that is more than nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quiet {
    /// The verdict.
    pub verdict: Verdict,
    /// Identifiers of the rules that must find something, sorted.
    #[serde(default)]
    pub findings: Vec<String>,
    /// Why it cannot be quiet.
    pub why: String,
}

fn loads() -> Status {
    Status::Load
}

/// `manifest.toml` of a package of the corpus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Description {
    title: String,
    does: String,
    #[serde(default)]
    phase: String,
    #[serde(default = "manifest::default_files")]
    files: Vec<Kind>,
    #[serde(default)]
    requires: Vec<String>,
    #[serde(default)]
    console_scripts: BTreeMap<String, String>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    arguments: Vec<String>,
    #[serde(default)]
    slow: bool,
    #[serde(default)]
    exception: Option<String>,
    expected: Option<Judged>,
    quiet: Option<Quiet>,
}

/// One package of the corpus.
#[derive(Debug, Clone)]
pub struct Package {
    /// Its folder below `corpus/`.
    pub folder: String,
    /// Which part it belongs to.
    pub part: Part,
    /// Its row in the list of behaviours or of look-alikes; 0 for what others need.
    pub number: u32,
    /// The behaviour, in a few words.
    pub title: String,
    /// What it does, in a sentence.
    pub does: String,
    /// The task in which it acts: `import`.
    pub phase: String,
    /// Further arguments of `pyti run`: for behaviours that show only when asked for.
    pub arguments: Vec<String>,
    /// Whether it takes long on purpose.
    pub slow: bool,
    /// Why a recording cannot show the behaviour, where it cannot.
    pub exception: Option<String>,
    /// What a run must come to; nothing for what others need.
    pub expected: Option<Judged>,
    /// What a run without the variable comes to, where that is not `clean`.
    pub quiet: Option<Quiet>,
    /// Its files.
    pub fixture: Fixture,
}

/// The folder with the sources of the corpus.
pub fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus")
}

/// Builds every package, behaviours first.
pub fn build_all() -> Result<Vec<Package>, Error> {
    let root = sources();
    let failed = |source| read_error("*", &root, source);
    let mut all = Vec::new();
    for entry in fs::read_dir(&root).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if let Some(folder) = path.file_name().and_then(|name| name.to_str())
            && path.join("manifest.toml").is_file()
        {
            all.push(build(folder)?);
        }
    }
    all.sort_by(|a, b| (a.part, a.number, &a.folder).cmp(&(b.part, b.number, &b.folder)));
    Ok(all)
}

/// Builds the package of one folder.
pub fn build(folder: &str) -> Result<Package, Error> {
    let root = sources().join(folder);
    let text = fs::read_to_string(root.join("manifest.toml"))
        .map_err(|source| read_error(folder, &root.join("manifest.toml"), source))?;
    let described: Description = toml::from_str(&text).map_err(|source| Error::Manifest {
        name: folder.into(),
        source: Box::new(source),
    })?;
    let (part, number, name) = placed(folder).ok_or_else(|| Error::Folder { name: folder.into() })?;
    let judged = described.expected.clone();
    let expected = Expected {
        status: judged.as_ref().map_or(Status::Load, |judged| judged.status),
        reasons: judged
            .as_ref()
            .map(|judged| judged.reasons.clone())
            .unwrap_or_default(),
        blame: None,
        recorded: Vec::new(),
        tests: None,
        twin: None,
        needs: described.needs,
        services: Vec::new(),
    };
    let manifest = Manifest {
        summary: described.title.clone(),
        version: manifest::default_version(),
        files: described.files,
        tag: manifest::default_tag(),
        requires: described.requires,
        classifiers: Vec::new(),
        requires_python: None,
        metadata_name: None,
        metadata_version: None,
        yanked: None,
        huge_metadata: None,
        console_scripts: described.console_scripts,
        hostile: None,
        expected,
    };
    Ok(Package {
        folder: folder.to_owned(),
        part,
        number,
        title: described.title,
        does: described.does,
        phase: described.phase,
        arguments: described.arguments,
        slow: described.slow,
        exception: described.exception,
        expected: judged,
        quiet: described.quiet,
        fixture: crate::packed(name, &root, manifest)?,
    })
}

/// What a folder's name says: the part, the row, and the name of the project.
fn placed(folder: &str) -> Option<(Part, u32, &str)> {
    let (row, name) = folder.split_once('-')?;
    if row == "support" {
        return Some((Part::Support, 0, name));
    }
    let (part, digits) = match row.strip_prefix('L') {
        Some(digits) => (Part::LookAlike, digits),
        None => (Part::Behaviour, row),
    };
    Some((part, digits.parse().ok()?, name))
}

/// The tables of `docs/corpus.md`.
pub fn table(packages: &[Package]) -> String {
    let mut text = String::new();
    for (part, title) in [(Part::Behaviour, "behaviour"), (Part::LookAlike, "look-alike")] {
        let _ = writeln!(
            text,
            "| row | {title} | acts in | files | verdict | rules that find something |\n|---|---|---|---|---|---|"
        );
        for package in packages.iter().filter(|package| package.part == part) {
            let files: Vec<_> = package
                .fixture
                .files
                .iter()
                .map(|(name, _)| {
                    if name.strip_suffix(".whl").is_some() {
                        "wheel"
                    } else {
                        "sdist"
                    }
                })
                .collect();
            let (verdict, rules) = package.expected.as_ref().map_or(("", Vec::new()), |expected| {
                let rules = expected.findings.iter().map(|rule| format!("`{rule}`"));
                (expected.verdict.word(), rules.collect())
            });
            let _ = writeln!(
                text,
                "| {} | {} | {} | {} | {verdict} | {} |",
                package.number,
                package.title,
                package.phase,
                files.join(", "),
                rules.join(", "),
            );
        }
        text.push('\n');
    }
    text
}

fn read_error(name: &str, path: &Path, source: io::Error) -> Error {
    Error::Read {
        name: name.into(),
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_tell_their_row() {
        assert_eq!(
            placed("07-takes-tokens"),
            Some((Part::Behaviour, 7, "takes-tokens"))
        );
        assert_eq!(placed("L31-is-packed"), Some((Part::LookAlike, 31, "is-packed")));
        assert_eq!(placed("support-victim"), Some((Part::Support, 0, "victim")));
        assert_eq!(placed("x1-a"), None);
        assert_eq!(placed("readme"), None);
    }
}
