//! Calling a hook of a build backend (PEP 517).

use pyti_model::foreign::Foreign;
use pyti_model::raw::PythonError;
use serde::Deserialize;
use serde_json::json;

use crate::lines::{self, RawError};
use crate::{Invocation, ResultsError};

/// The hooks that are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name {
    /// `get_requires_for_build_wheel`
    GetRequires,
    /// `prepare_metadata_for_build_wheel`
    PrepareMetadata,
    /// `build_wheel`
    BuildWheel,
}

impl Name {
    /// As PEP 517 writes it.
    pub fn word(self) -> &'static str {
        match self {
            Self::GetRequires => "get_requires_for_build_wheel",
            Self::PrepareMetadata => "prepare_metadata_for_build_wheel",
            Self::BuildWheel => "build_wheel",
        }
    }
}

/// What a hook said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    /// Whether the backend has it.
    pub present: bool,
    /// What it asks for.
    pub requires: Vec<Foreign>,
    /// The file or folder that it made, relative to the output folder.
    pub output: Option<Foreign>,
    /// The exception that it raised; the class `BackendMissing` when there is no backend at all.
    pub error: Option<PythonError>,
    /// `setuptools 80.9.0`, where known.
    pub backend_version: Option<String>,
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    present: bool,
    #[serde(default)]
    requires: Vec<String>,
    output: Option<String>,
    error: Option<RawError>,
    version: Option<String>,
}

/// The command; it works in `source` and leaves what it makes in `out`.
pub fn argv(
    invocation: &Invocation<'_>,
    name: Name,
    backend: &str,
    backend_path: &[String],
    source: &str,
    out: &str,
) -> Vec<String> {
    let config = json!({
        "hook": name.word(), "backend": backend, "backend_path": backend_path, "source": source, "out": out,
    });
    invocation.argv("hook.py", [config.to_string()])
}

/// Reads what it said. The last line counts: a hook cannot speak for a later one, its process is its own.
pub fn parse(results: &[u8]) -> Result<Answer, ResultsError> {
    let (lines, _) = lines::read::<Line>(results);
    let line = lines.into_iter().next_back().ok_or(ResultsError::Nothing)?;
    let plain = |text: &String| text.len() < 100 && text.bytes().all(|b| (b' '..0x7f).contains(&b));
    Ok(Answer {
        present: line.present,
        requires: line.requires.into_iter().map(Foreign::from).collect(),
        output: line.output.map(Foreign::from),
        error: line.error.map(Into::into),
        backend_version: line.version.filter(plain),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_garbage_is_not() {
        let answer =
            parse(b"{\"present\":true,\"requires\":[\"wheel\"],\"version\":\"setuptools 80\"}\n").unwrap();
        assert_eq!(answer.requires, [Foreign::from("wheel")]);
        assert_eq!(answer.backend_version.as_deref(), Some("setuptools 80"));
        assert!(matches!(parse(b"nonsense\n"), Err(ResultsError::Nothing)));
        assert!(matches!(parse(b""), Err(ResultsError::Nothing)));
    }
}
