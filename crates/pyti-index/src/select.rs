//! Which files of a project are used. Pure: no I/O, no clock.

use std::collections::BTreeMap;
use std::str::FromStr;

use pyti_model::distribution::FileKind;
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status};
use pyti_model::plan::Interpreter;
use uv_distribution_filename::{LegacySourceDistExtension, SourceDistExtension, WheelFilename};
use uv_pep440::{Operator, Version, VersionSpecifiers};
use uv_platform_tags::{TagCompatibility, Tags};

use crate::names::ParsedName;
use crate::project::{Project, ProjectFile, ProjectState};

mod tags;
mod why_not;

pub use tags::{TagsError, tags_of};

/// What is wanted of a project.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Version specifiers (PEP 440): `==1.0`, `>=1,<2`.
    pub specifiers: Option<&'a str>,
    /// Pre-releases too.
    pub pre: bool,
    /// Only files uploaded before that moment, RFC 3339. A file without a time is left out, as uv does.
    pub exclude_newer: Option<&'a str>,
    /// Who shall run it.
    pub interpreter: &'a Interpreter,
    /// That kind of file must be there and usable. The other one is given too, as companion.
    pub only: Option<FileKind>,
    /// Largest file that is used, bytes.
    pub max_bytes: u64,
}

/// What was chosen.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The version.
    pub version: Version,
    /// The wheel that an installer would take.
    pub wheel: Option<ProjectFile>,
    /// The sdist.
    pub sdist: Option<ProjectFile>,
    /// What is worth knowing beside: yanked, left out by size.
    pub notes: Vec<Reason>,
}

/// Why nothing was chosen.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// The project cannot be tested here: a status with its reasons.
    #[error("{}", .0.status)]
    Outcome(Outcome),
    /// No version fits the specifiers.
    #[error("{project} has no version {wanted}")]
    NoVersion {
        /// Normalised name.
        project: String,
        /// The specifiers.
        wanted: String,
        /// What there is, newest first.
        available: Vec<String>,
    },
    /// The specifiers cannot be read.
    #[error("{text:?} is no version specifier: {why}")]
    BadSpecifier {
        /// As given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// The interpreter cannot be understood.
    #[error(transparent)]
    Tags(#[from] TagsError),
}

fn refuse(status: Status, code: ReasonCode, detail: impl Into<String>) -> Refusal {
    Refusal::Outcome(Outcome::because(status, Reason::new(code, detail.into())))
}

/// Chooses a version and its files. Without a pinned version the newest that this interpreter can use is taken, as
/// pip and uv do; when a version is pinned, that one or the reason why not.
pub fn choose(project: &Project, wanted: &Wanted<'_>) -> Result<Chosen, Refusal> {
    if let Some(status) = project
        .status
        .as_ref()
        .filter(|status| status.state == ProjectState::Quarantined)
    {
        return Err(refuse(
            Status::Broken,
            ReasonCode::Quarantined,
            status.reason.clone().unwrap_or_default(),
        ));
    }
    let text = wanted.specifiers.unwrap_or("").trim();
    let specifiers = VersionSpecifiers::from_str(text).map_err(|error| Refusal::BadSpecifier {
        text: text.to_owned(),
        why: error.to_string(),
    })?;
    let tags = tags_of(wanted.interpreter)?;
    let python = python_of(wanted.interpreter)?;

    // versions that the index names are there even when they have no files
    let mut releases: BTreeMap<Version, Vec<&ProjectFile>> = project
        .versions
        .iter()
        .filter_map(|text| Version::from_str(text).ok())
        .map(|version| (version, Vec::new()))
        .collect();
    for file in &project.files {
        releases.entry(file.version.clone()).or_default().push(file);
    }
    if releases.is_empty() {
        return Err(refuse(
            Status::Broken,
            ReasonCode::NoFiles,
            nothing_usable(project),
        ));
    }
    let named: Vec<String> = releases.keys().rev().map(ToString::to_string).collect();
    if let Some(moment) = wanted.exclude_newer {
        for files in releases.values_mut() {
            files.retain(|file| is_before(file.uploaded.as_deref(), moment));
        }
        releases.retain(|_, files| !files.is_empty());
    }
    let fits: Vec<&Version> = releases
        .keys()
        .rev()
        .filter(|version| specifiers.contains(version))
        .collect();
    let pre = wanted.pre
        || specifiers.iter().any(uv_pep440::VersionSpecifier::any_prerelease)
        || fits.iter().all(|v| v.any_prerelease());
    let fits: Vec<&Version> = fits
        .into_iter()
        .filter(|version| pre || !version.any_prerelease())
        .collect();
    let Some(newest) = fits.first().copied() else {
        return Err(Refusal::NoVersion {
            project: project.name.clone(),
            wanted: text.to_owned(),
            available: named,
        });
    };
    let pinned = specifiers
        .iter()
        .any(|s| matches!(s.operator(), Operator::Equal | Operator::ExactEqual));
    let usable = |version: &Version| {
        let files = releases.get(version).map(Vec::as_slice).unwrap_or_default();
        pick(files, &tags, &python)
    };
    let is_wanted = |found: &Pick<'_>| match wanted.only {
        None => found.wheel.is_some() || found.sdist.is_some(),
        Some(FileKind::Wheel) => found.wheel.is_some(),
        Some(_) => found.sdist.is_some(),
    };
    let candidates = if pinned { &fits[..1] } else { &fits[..] };
    let found = candidates
        .iter()
        .map(|version| (*version, usable(version)))
        .filter(|(_, found)| is_wanted(found))
        .find(|(_, found)| pinned || !found.is_yanked());
    if let Some((version, found)) = found {
        return finish(version, &found, wanted);
    }
    // tell of the newest version that has any file: one without is no news when an older one has some
    let has_files = |version: &&&Version| releases.get(**version).is_some_and(|files| !files.is_empty());
    let told = candidates.iter().find(has_files).copied().unwrap_or(newest);
    let files = releases.get(told).map(Vec::as_slice).unwrap_or_default();
    Err(why_not::explain(project, told, files, wanted, &python))
}

fn finish(version: &Version, found: &Pick<'_>, wanted: &Wanted<'_>) -> Result<Chosen, Refusal> {
    let mut chosen = Chosen {
        version: version.clone(),
        wheel: found.wheel.cloned(),
        sdist: found.sdist.cloned(),
        notes: Vec::new(),
    };
    for slot in [&mut chosen.wheel, &mut chosen.sdist] {
        if let Some(file) = slot.as_ref()
            && let Some(size) = file.size.filter(|size| *size > wanted.max_bytes)
        {
            let detail = format!(
                "{} has {size} bytes, the limit is {}",
                file.filename, wanted.max_bytes
            );
            chosen.notes.push(Reason::new(ReasonCode::SizePolicy, detail));
            *slot = None;
        }
    }
    let missing = match wanted.only {
        None => {
            chosen.wheel.is_none() && chosen.sdist.is_none()
                || chosen.wheel.is_none() && found.wheel.is_some()
        }
        Some(FileKind::Wheel) => chosen.wheel.is_none(),
        Some(_) => chosen.sdist.is_none(),
    };
    if missing {
        return Err(Refusal::Outcome(Outcome {
            status: Status::Skip,
            reasons: chosen.notes,
        }));
    }
    if let Some(reason) = chosen
        .wheel
        .as_ref()
        .or(chosen.sdist.as_ref())
        .and_then(|file| file.yanked.clone())
    {
        chosen.notes.push(Reason::new(ReasonCode::Yanked, reason));
    }
    Ok(chosen)
}

fn nothing_usable(project: &Project) -> String {
    match project.skipped.len() {
        0 => "the project has no files".into(),
        n => format!("none of its {n} files is a wheel or an sdist"),
    }
}

/// The best files of one version.
pub(crate) struct Pick<'a> {
    pub(crate) wheel: Option<&'a ProjectFile>,
    pub(crate) sdist: Option<&'a ProjectFile>,
}

impl Pick<'_> {
    fn is_yanked(&self) -> bool {
        [self.wheel, self.sdist]
            .into_iter()
            .flatten()
            .all(|file| file.yanked.is_some())
    }
}

/// Picks the wheel with the best tags (then the highest build tag) and the sdist (`.tar.gz` first), files that
/// are not yanked first.
pub(crate) fn pick<'a>(files: &[&'a ProjectFile], tags: &Tags, python: &Version) -> Pick<'a> {
    let runs: Vec<&'a ProjectFile> = files
        .iter()
        .copied()
        .filter(|file| python_fits(file, python))
        .collect();
    let wheel = runs
        .iter()
        .filter_map(|file| match &file.kind {
            ParsedName::Wheel(name) => Some((*file, name)),
            ParsedName::Sdist(_) => None,
        })
        .filter_map(|(file, name)| match name.compatibility(tags) {
            TagCompatibility::Compatible(priority) => {
                Some((file, (file.yanked.is_none(), priority, name.build_tag().cloned())))
            }
            TagCompatibility::Incompatible(_) => None,
        })
        .max_by(|a, b| a.1.cmp(&b.1).then_with(|| b.0.filename.cmp(&a.0.filename)))
        .map(|(file, _)| file);
    let sdist = runs
        .iter()
        .copied()
        .filter(|file| file.file_kind() == FileKind::Sdist)
        .max_by_key(|file| {
            let gzipped =
                matches!(&file.kind, ParsedName::Sdist(name) if name.extension == SourceDistExtension::TarGz);
            let zipped =
                matches!(&file.kind, ParsedName::Sdist(name) if name.extension == SourceDistExtension::Legacy(LegacySourceDistExtension::Zip));
            (file.yanked.is_none(), gzipped, zipped)
        });
    Pick { wheel, sdist }
}

/// Whether a file's `Requires-Python` takes that interpreter. What cannot be read does not forbid, as in pip.
pub(crate) fn python_fits(file: &ProjectFile, python: &Version) -> bool {
    file.requires_python
        .as_deref()
        .and_then(lenient)
        .is_none_or(|specifiers| specifiers.contains(python))
}

/// Reads specifiers as uploads have them: stars behind orderings (`>=3.6.*`) and stray commas are mended.
pub(crate) fn lenient(text: &str) -> Option<VersionSpecifiers> {
    if text.len() > 2000 {
        return None;
    }
    if let Ok(specifiers) = VersionSpecifiers::from_str(text) {
        return Some(specifiers);
    }
    let mended: Vec<String> = text
        .split(',')
        .map(|part| part.trim().trim_matches(['"', '\'']))
        .filter(|part| !part.is_empty())
        .map(|part| {
            if part.starts_with(['>', '<', '~']) {
                part.trim_end_matches(".*").to_owned()
            } else {
                part.to_owned()
            }
        })
        .collect();
    VersionSpecifiers::from_str(&mended.join(",")).ok()
}

/// The interpreter's version as `Requires-Python` sees it: without pre-release parts.
pub(crate) fn python_of(interpreter: &Interpreter) -> Result<Version, TagsError> {
    let version = Version::from_str(&interpreter.version)
        .map_err(|_| TagsError::Version(interpreter.version.clone()))?;
    Ok(version.only_release())
}

/// Whether a file was uploaded before that moment. Both are UTC in RFC 3339, or begin so: text order is time order.
pub(crate) fn is_before(uploaded: Option<&str>, moment: &str) -> bool {
    let plain = |text: &str| text.trim_end_matches('Z').trim_end_matches("+00:00").to_owned();
    uploaded.is_some_and(|uploaded| plain(uploaded) < plain(moment))
}

/// Whether a wheel can be used there at all.
pub(crate) fn is_compatible(name: &WheelFilename, tags: &Tags) -> bool {
    name.is_compatible(tags)
}

#[cfg(test)]
mod tests;
