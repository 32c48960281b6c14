//! What a judge found in a recording: findings, and the verdict that follows from them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::outcome::Verdict;
use crate::trace::EventRef;

/// How much one finding weighs. The verdict is the maximum, never an average.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; says nothing about harm.
    Info,
    /// Weak alone.
    Low,
    /// Unusual; needs company.
    Medium,
    /// Should be looked at before use. Two of different families, in one process's descent, are as one `critical`.
    High,
    /// Harm on its own.
    Critical,
}

impl Severity {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a behaviour is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// Gets at what is not its own.
    Access,
    /// Runs what did not come with it, or hides what it runs.
    Execution,
    /// Stays after it ended.
    Persistence,
    /// Hides, or looks whether it is watched.
    Evasion,
    /// Takes something away.
    Exfiltration,
    /// Is told from outside what to do.
    Control,
    /// Destroys or uses up.
    Impact,
    /// Looks around.
    Discovery,
}

impl Family {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Access => "access",
            Self::Execution => "execution",
            Self::Persistence => "persistence",
            Self::Evasion => "evasion",
            Self::Exfiltration => "exfiltration",
            Self::Control => "control",
            Self::Impact => "impact",
            Self::Discovery => "discovery",
        }
    }
}

/// How far a rule is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleState {
    /// Shown, and not counted.
    Shadow,
    /// Counted.
    Active,
    /// Not used any more; old verdicts name it.
    Retired,
}

/// One thing that a rule found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The rule: `reads-decoy-then-sends`.
    pub rule: String,
    /// Its title, for lists.
    pub title: String,
    /// How much it weighs.
    pub severity: Severity,
    /// What it is for.
    pub family: Family,
    /// The task in which it happened: `import`.
    pub phase: String,
    /// One plain sentence about this very case; what came from the package is made visible in it.
    pub sentence: String,
    /// The proof, in order: what lights up in the process tree.
    pub events: Vec<EventRef>,
    /// Techniques of MITRE ATT&CK: `T1552.001`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mitre: Vec<String>,
    /// Whether the rule counts.
    pub state: RuleState,
    /// Why it does not count here: who suppressed it, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppressed: Option<String>,
}

/// What a judge says of one recording.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// The findings, heaviest first.
    pub findings: Vec<Finding>,
    /// Why it cannot be better than inconclusive, where that is so: what is missing from the recording.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// Digest of the rules: the same rules and the same recording give the same judgement.
    pub rules: String,
}
