//! Methods for who wants something tested.

use std::str::FromStr;

use pyti_dispatch::{JobId, JobKey, Label, Needs, Priority, State, WorkerId};
use pyti_model::Digest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::method::methods;
use crate::order::Options;
use crate::result::ResultView;

methods! {
    /// Makes jobs of a target. Sent again under the same key, the same answer.
    Submit = "job.submit", Submit, reads: false, SubmitParams => Submitted;
    /// Tells where a job stands, and waits for its end if asked.
    Get = "job.get", Anyone, reads: true, GetParams => JobView;
    /// Ends an open job. Who does it learns so at the next renewal.
    Cancel = "job.cancel", Submit, reads: false, CancelParams => CancelAnswer;
}

/// What shall be tested.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SubmitTarget {
    /// A project of the configured index: of its newest release, or of one, the files that a user would get.
    Project {
        /// Its name.
        name: String,
        /// As pip takes it: `==1.17.0`, `>=2,<3`; nothing is the newest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        specifiers: Option<String>,
    },
    /// A file that the controller knows, or that was put there.
    File {
        /// Which.
        sha256: Digest,
    },
    /// A file of the configured index by its address.
    Url {
        /// The address, as the index gives it.
        url: String,
    },
}

impl FromStr for SubmitTarget {
    type Err = String;

    /// `six`, `six==1.17.0`, 64 hexadecimal digits, an address. Extras belong to the options.
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("an empty target".to_owned());
        }
        if text.contains("://") {
            return Ok(Self::Url { url: text.to_owned() });
        }
        if let Ok(sha256) = text.parse::<Digest>() {
            return Ok(Self::File { sha256 });
        }
        let end = text
            .find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .unwrap_or(text.len());
        let (name, rest) = (&text[..end], text[end..].trim());
        if name.is_empty() || !(rest.is_empty() || rest.starts_with(['=', '<', '>', '~', '!'])) {
            return Err(format!(
                "{text:?} is no target: write name, name==version, an address or a digest"
            ));
        }
        Ok(Self::Project {
            name: name.to_owned(),
            specifiers: (!rest.is_empty()).then(|| rest.to_owned()),
        })
    }
}

/// Of `job.submit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmitParams {
    /// Made up by who asks, 8 to 64 bytes; asked again with it, nothing is done twice.
    pub key: String,
    /// What.
    pub target: SubmitTarget,
    /// Interpreters, as command lines name them: `3.13`; none is the controller's own choice.
    #[serde(default)]
    pub python: Vec<String>,
    /// Platform; none is the controller's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Label>,
    /// Isolation; none is `sandbox`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub isolation: Option<Label>,
    /// How.
    #[serde(default)]
    pub options: Options,
    /// How soon; none is `interactive`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Priority>,
    /// Whether to test again what was tested.
    #[serde(default)]
    pub again: bool,
}

/// One job of a submission.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubmittedJob {
    /// Its number.
    pub job: JobId,
    /// Whether it was made now.
    pub new: bool,
    /// The file's name.
    pub file: String,
    /// The file.
    pub sha256: Digest,
    /// Interpreter: `cpython-3.13`.
    pub interpreter: Label,
}

/// Of `job.submit`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Submitted {
    /// Normalized name of the project.
    pub project: String,
    /// Version of the release.
    pub version: String,
    /// One for each file and interpreter.
    pub jobs: Vec<SubmittedJob>,
    /// What was not made a job, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// Of `job.get`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GetParams {
    /// Which.
    pub job: JobId,
    /// How long to wait for its end, seconds; at most [`crate::work::WAIT_S`], and not in a batch.
    #[serde(default)]
    pub wait_s: u32,
}

/// Where a job stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its number.
    pub job: JobId,
    /// File, specification and generation.
    pub key: JobKey,
    /// Normalized name of the project.
    pub project: String,
    /// The file's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// What it needs of a worker.
    pub needs: Needs,
    /// How soon.
    pub priority: Priority,
    /// Where it stands.
    pub state: State,
    /// Whether it can change no more.
    pub ended: bool,
    /// How many leases there were.
    pub epoch: u64,
    /// Who has it, or had it last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worker: Option<WorkerId>,
    /// How often it failed by our fault.
    pub faults: u8,
    /// How often its worker was lost.
    pub lost: u8,
    /// What it came to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<ResultView>,
}

/// Of `job.cancel`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CancelParams {
    /// Which.
    pub job: JobId,
}

/// Of `job.cancel`.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CancelAnswer {
    /// Where it stood when it was cancelled, or how it had ended.
    pub state: State,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read() {
        let project = |name: &str, specifiers: Option<&str>| {
            Ok(SubmitTarget::Project {
                name: name.into(),
                specifiers: specifiers.map(Into::into),
            })
        };
        assert_eq!("six".parse(), project("six", None));
        assert_eq!(" six ==1.17.0".parse(), project("six", Some("==1.17.0")));
        assert_eq!(
            "Zope.Interface>=5,<6".parse(),
            project("Zope.Interface", Some(">=5,<6"))
        );
        assert!(matches!("ab".repeat(32).parse(), Ok(SubmitTarget::File { .. })));
        assert!(matches!(
            "https://files.example/a.whl".parse(),
            Ok(SubmitTarget::Url { .. })
        ));
        for bad in ["", "==1", "six six", "six[socks]", "-"] {
            let read = bad.parse::<SubmitTarget>();
            assert!(read.is_err() || bad == "-", "{bad:?} {read:?}");
        }
    }
}
