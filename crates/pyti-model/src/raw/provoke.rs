//! Raw data of the tasks that provoke behaviour: console scripts and exported functions are called.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::effect::{Exit, Limit};
use crate::foreign::Foreign;

/// Console scripts were called with `--help`, `--version` and nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Scripts {
    /// Each call, in order; it is also a command of the task.
    pub calls: Vec<ScriptCall>,
    /// Scripts beyond the cap, which were not called.
    #[serde(default)]
    pub left_out: u32,
}

/// One call of a script.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScriptCall {
    /// The script's name.
    pub script: Foreign,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// How it ended.
    pub exit: Exit,
    /// The limit that ended it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Limit>,
    /// Wall-clock seconds.
    pub wall_s: f64,
}

/// Exported functions were called with cheap arguments. What they return or raise says nothing; what they do is in the
/// trace.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exercise {
    /// Functions and classes that were called.
    pub called: u32,
    /// Of these, how many returned.
    pub returned: u32,
    /// How many raised.
    pub raised: u32,
    /// How many did not end in time, or took their process with them.
    pub ended_badly: Vec<Foreign>,
    /// Functions beyond the cap, which were not called.
    #[serde(default)]
    pub left_out: u32,
}
