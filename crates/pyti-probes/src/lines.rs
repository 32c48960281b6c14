//! Results as lines of JSON; a line that cannot be read is counted, not trusted.

use pyti_model::effect::Loss;
use pyti_model::foreign::Foreign;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Reads every line that can be read, and counts the bytes of the others.
pub(crate) fn read<T: DeserializeOwned>(results: &[u8]) -> (Vec<T>, Option<Loss>) {
    let (mut read, mut lost) = (Vec::new(), 0);
    for line in results
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        match serde_json::from_slice(line) {
            Ok(value) => read.push(value),
            Err(_) => lost += line.len() as u64,
        }
    }
    (read, (lost > 0).then_some(Loss::Results { bytes: lost }))
}

/// An exception, as the probes write it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct RawError {
    #[serde(default)]
    pub(crate) class: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) traceback: String,
    #[serde(default)]
    pub(crate) module: Option<String>,
}

impl From<RawError> for pyti_model::raw::PythonError {
    fn from(raw: RawError) -> Self {
        Self {
            class: Foreign::from(raw.class),
            message: Foreign::from(raw.message),
            module: raw.module.map(Foreign::from),
            traceback: Foreign::from(raw.traceback),
        }
    }
}
