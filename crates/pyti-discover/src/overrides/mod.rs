//! Overrides: what somebody wrote down about how a project is tested. Files of TOML, those of the repository and the user's
//! own; read and checked here, and laid over what was found in a tree.

mod apply;
mod embedded;
mod write;

pub use apply::apply;
pub use embedded::embedded;
pub use write::{command_of, file_of};

use std::ops::Range;

use pyti_model::overriding::Override;
use pyti_services::Wanted;
use serde::Deserialize;
use toml::Spanned;

use crate::commandline;
use crate::requirements::canonical;

/// Largest file that is read, bytes.
pub const LARGEST: usize = 1 << 20;
/// Seconds that tests may be allowed at most.
const LONGEST_S: u32 = 24 * 3600;

/// A file of overrides that cannot be used: where, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}, line {line}: {why}")]
pub struct Mistake {
    /// The file, as it was named.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "override", default)]
    entries: Vec<Spanned<Override>>,
}

/// Reads and checks a file. `name` is what messages and reports call it.
pub fn read(name: &str, text: &str) -> Result<Vec<Override>, Mistake> {
    let mistake = |at: usize, why: String| Mistake {
        file: name.to_owned(),
        line: line_of(text, at),
        why,
    };
    if text.len() > LARGEST {
        return Err(mistake(0, format!("it is larger than {LARGEST} bytes")));
    }
    let file: File = toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        mistake(at, error.message().replace('\n', " "))
    })?;
    let mut entries = Vec::new();
    for entry in file.entries {
        let span = entry.span();
        let mut entry = entry.into_inner();
        if let Err((key, why)) = check(&entry) {
            return Err(mistake(place_of(text, &span, key), why));
        }
        entry.project = canonical(&entry.project);
        entry.origin = format!("{name}:{}", line_of(text, span.start));
        entries.push(entry);
    }
    Ok(entries)
}

/// What is wrong with an entry: the key, and why.
fn check(entry: &Override) -> Result<(), (&'static str, String)> {
    let plain = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    if !plain(&entry.project) {
        return Err(("project", format!("{:?} is no name of a project", entry.project)));
    }
    if !entry.origin.is_empty() {
        return Err((
            "origin",
            "where it was read is not for the file to say".to_owned(),
        ));
    }
    if entry.why.trim().is_empty() {
        return Err(("why", "why it is needed must be said".to_owned()));
    }
    if !entry.versions.is_empty()
        && let Err(error) = entry.versions.parse::<uv_pep440::VersionSpecifiers>()
    {
        return Err((
            "versions",
            format!("{:?}: {}", entry.versions, first_line(&error.to_string())),
        ));
    }
    for line in entry.requirements.iter().flatten() {
        if let Err(error) = line.parse::<uv_pep508::Requirement>() {
            return Err((
                "requirements",
                format!("{line:?}: {}", first_line(&error.to_string())),
            ));
        }
    }
    if let Some(extra) = entry.extras.iter().flatten().find(|extra| !plain(extra)) {
        return Err(("extras", format!("{extra:?} is no name of an extra")));
    }
    if let Some(command) = &entry.command
        && commandline::read(command).is_none()
    {
        return Err((
            "command",
            format!("{command:?} runs no tests: write pytest, python -m MODULE, or a program of the tree"),
        ));
    }
    if let Some(text) = entry
        .services
        .iter()
        .flatten()
        .find(|text| Wanted::read(text).is_none())
    {
        let known: Vec<&str> = pyti_services::catalogue::ALL.iter().map(|s| s.name).collect();
        return Err((
            "services",
            format!("{text:?} is no service: there are {}", known.join(", ")),
        ));
    }
    if entry
        .timeout_s
        .is_some_and(|seconds| seconds == 0 || seconds > LONGEST_S)
    {
        return Err(("timeout_s", format!("seconds are from 1 to {LONGEST_S}")));
    }
    if let Some(name) = entry.env.keys().find(|name| {
        name.is_empty()
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
            || name.starts_with("LD_")
    }) {
        return Err(("env", format!("{name:?} is no variable that may be set")));
    }
    if entry.skip.as_ref().is_some_and(|why| why.trim().is_empty()) {
        return Err(("skip", "why its tests are not run must be said".to_owned()));
    }
    let says = entry.requirements.is_some()
        || entry.extras.is_some()
        || entry.command.is_some()
        || entry.services.is_some()
        || entry.timeout_s.is_some()
        || !entry.env.is_empty()
        || entry.skip.is_some();
    if !says {
        return Err(("project", "it changes nothing".to_owned()));
    }
    Ok(())
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or("").to_owned()
}

/// The first override for a release, of those that count more first.
pub fn find<'a>(all: &'a [Override], project: &str, version: &str) -> Option<&'a Override> {
    let project = canonical(project);
    let version: Option<uv_pep440::Version> = version.parse().ok();
    all.iter().filter(|entry| entry.project == project).find(|entry| {
        entry.versions.is_empty()
            || entry
                .versions
                .parse::<uv_pep440::VersionSpecifiers>()
                .is_ok_and(|range| version.as_ref().is_some_and(|version| range.contains(version)))
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).map_or(0, |before| before.matches('\n').count()) + 1
}

/// Where an entry has a key; its beginning when it has none.
fn place_of(text: &str, entry: &Range<usize>, key: &str) -> usize {
    // the span of a table is that of its heading: the entry goes on until the next
    let within = text.get(entry.start..).unwrap_or_default();
    let end = within[1.min(within.len())..]
        .find("\n[[override]]")
        .map_or(within.len(), |at| at + 1);
    let within = &within[..end];
    let mut at = entry.start;
    for line in within.split_inclusive('\n') {
        let starts = line.trim_start().strip_prefix(key).is_some_and(|rest| {
            let rest = rest.trim_start();
            rest.starts_with('=') || rest.starts_with('.')
        });
        if starts || line.contains(&format!(".{key}]")) {
            return at;
        }
        at += line.len();
    }
    entry.start
}

#[cfg(test)]
mod tests;
