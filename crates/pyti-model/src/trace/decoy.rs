//! What lies in a box to be found, and how it was used.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_false;
use crate::foreign::Foreign;

/// How a decoy was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", tag = "how")]
pub enum DecoyUse {
    /// Its file was opened for reading.
    Read {
        /// The file.
        path: Foreign,
    },
    /// Its secret was in what was sent.
    Sent {
        /// How it was hidden: `raw`, `base64`, `hex`, `gzip`…
        encoding: String,
        /// The conversation, question of names, or packet: a place in [`Trace::acts`].
        act: u32,
    },
    /// Its secret was in the arguments of a program.
    Argument {
        /// How it was hidden.
        encoding: String,
        /// The execution: a place in [`Trace::acts`].
        act: u32,
    },
    /// Its secret was in a file that was written.
    Written {
        /// How it was hidden.
        encoding: String,
        /// The file.
        path: Foreign,
    },
    /// Its secret was in what was printed.
    Printed {
        /// How it was hidden.
        encoding: String,
    },
}

/// Something that was put into the box to be found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Decoy {
    /// Its name in this recording: `aws.credentials`, `env.GITHUB_TOKEN`.
    pub id: String,
    /// Whose tool it belongs to: `aws`, `ssh`, `pypi`, `browser`; two decoys of one tool count as one.
    pub family: String,
    /// Where it lies: a path, or the name of a variable.
    pub place: DecoyPlace,
    /// The secrets in it that are searched for. They open nothing: they were made for this run.
    pub secrets: Vec<String>,
    /// Whether opening it tells nothing, because much ordinary code does (`~/.netrc`, `~/.gitconfig`).
    #[serde(default, skip_serializing_if = "is_false")]
    pub commonly_read: bool,
}

/// Where a decoy lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DecoyPlace {
    /// A file.
    File(String),
    /// An environment variable.
    Variable(String),
}
