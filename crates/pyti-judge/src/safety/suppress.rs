//! Suppressions: findings that somebody looked at and takes the blame for.

use std::str::FromStr;

use pyti_model::finding::Finding;
use serde::Deserialize;
use toml::Spanned;
use uv_pep440::{Version, VersionSpecifiers};

use super::kind::Phase;
use super::rule::{RuleError, RuleErrors, line_of, unreadable};
use super::sentence::shown;
use crate::record::JobRecord;

/// A finding that does not count, for some files, for a time.
#[derive(Debug, Clone)]
pub struct Suppression {
    /// The rule.
    pub rule: String,
    /// The project, normalised; `*` for all.
    pub project: String,
    /// Versions, PEP 440; all when absent.
    pub versions: Option<VersionSpecifiers>,
    /// The phase; all when absent.
    pub phase: Option<Phase>,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// The first day on which it does not hold any more: `2027-01-31`.
    pub expires: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    #[serde(default, rename = "suppression")]
    suppressions: Vec<Spanned<Raw>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    rule: String,
    project: String,
    versions: Option<String>,
    phase: Option<Phase>,
    author: String,
    reason: String,
    expires: String,
}

impl Suppression {
    /// Reads a file of `[[suppression]]` tables.
    ///
    /// # Errors
    /// Everything that is wrong, with file and line.
    pub fn load(name: &str, text: &str) -> Result<Vec<Self>, RuleErrors> {
        let file: RawFile =
            toml::from_str(text).map_err(|error| RuleErrors(vec![unreadable(name, text, &error)]))?;
        let mut out = Vec::new();
        let mut errors = Vec::new();
        for spanned in file.suppressions {
            let line = line_of(text, spanned.span().start);
            let raw = spanned.into_inner();
            let rule = raw.rule.clone();
            match check(raw) {
                Ok(suppression) => out.push(suppression),
                Err(reason) => errors.push(RuleError {
                    file: name.to_owned(),
                    line,
                    rule: Some(rule),
                    reason,
                }),
            }
        }
        if errors.is_empty() {
            Ok(out)
        } else {
            Err(RuleErrors(errors))
        }
    }

    /// Whether it is for this finding of this recording. It holds for recordings that were begun before it expires, so
    /// that the same recording is judged the same on every day; where that is not known, it does not hold.
    pub fn covers(&self, record: &JobRecord, finding: &Finding) -> bool {
        let Some(file) = &record.file else { return false };
        let day = record.when.get(..10).filter(|day| is_day(day));
        self.rule == finding.rule
            && (self.project == "*" || self.project == file.project)
            && self.phase.is_none_or(|phase| phase == Phase::of(&finding.phase))
            && day.is_some_and(|day| day < self.expires.as_str())
            && self.versions.as_ref().is_none_or(|versions| {
                Version::from_str(&file.version).is_ok_and(|version| versions.contains(&version))
            })
    }

    /// What is shown beside the finding.
    pub fn words(&self) -> String {
        format!(
            "{}: {} (until {})",
            shown(self.author.as_bytes()),
            shown(self.reason.as_bytes()),
            self.expires
        )
    }
}

fn check(raw: Raw) -> Result<Suppression, String> {
    for (field, value) in [
        ("rule", &raw.rule),
        ("author", &raw.author),
        ("reason", &raw.reason),
    ] {
        if value.trim().is_empty() {
            return Err(format!("the {field} is empty"));
        }
    }
    if !is_day(&raw.expires) {
        return Err(format!(
            "expires is {:?}, and not a day such as 2027-01-31",
            raw.expires
        ));
    }
    let project = normalised(&raw.project);
    if project.is_empty() {
        return Err("the project is empty; * stands for all".to_owned());
    }
    let versions = match &raw.versions {
        Some(text) => Some(
            VersionSpecifiers::from_str(text)
                .map_err(|error| format!("versions is {text:?}: {}", error.to_string().replace('\n', " ")))?,
        ),
        None => None,
    };
    Ok(Suppression {
        rule: raw.rule,
        project,
        versions,
        phase: raw.phase,
        author: raw.author,
        reason: raw.reason,
        expires: raw.expires,
    })
}

/// A project's name, as PEP 503 wants it.
fn normalised(name: &str) -> String {
    let mut out = String::new();
    for c in name.trim().chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .filter(|part| part.iter().all(u8::is_ascii_digit))
            .and_then(|part| std::str::from_utf8(part).ok()?.parse::<u32>().ok())
    };
    bytes.len() == 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && digits(0..4).is_some()
        && digits(5..7).is_some_and(|month| (1..=12).contains(&month))
        && digits(8..10).is_some_and(|day| (1..=31).contains(&day))
}
