//! Services that tests found in their box.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::foreign::Foreign;

/// A service that somebody had reason to start beside the tests.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Service {
    /// Its name in PyTI: `postgresql`.
    pub name: String,
    /// Why it was wanted: `the tests import psycopg2`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub because: String,
    /// What came of it.
    pub state: ServiceState,
    /// What its program says of its version, one line.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub version: Foreign,
    /// The program that serves: `/usr/bin/redis-server`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// Where it listens on the loopback; nothing for a display or a bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Seconds until it was ready, its first preparation included.
    #[serde(default)]
    pub ready_s: f64,
    /// Variables that tell the tests where it is.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What it printed last, where it did not do well.
    #[serde(default, skip_serializing_if = "Foreign::is_empty")]
    pub said: Foreign,
    /// How it can be had on this machine, where it is absent: `apt-get install redis-server`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub install: String,
}

/// What came of a service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// It was ready before the tests began, and there until they ended.
    Ready,
    /// This machine has no program for it.
    #[default]
    Absent,
    /// It could not be started, or was not ready in time.
    Failed,
    /// It was ready, and ended before the tests did. Tests can bring that about.
    Ended,
}

impl ServiceState {
    /// The word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Absent => "absent",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }
}

impl Service {
    /// The number in what its program says of its version: `15.20`.
    pub fn number(&self) -> Option<String> {
        let text = self.version.lossy();
        text.split(|c: char| !(c.is_ascii_digit() || c == '.'))
            .map(|word| word.trim_matches('.'))
            .find(|word| word.contains('.'))
            .map(str::to_owned)
    }

    /// With its number, for a list: `postgresql 15.20`.
    pub fn title(&self) -> String {
        match self.number() {
            Some(number) => format!("{} {number}", self.name),
            None => self.name.clone(),
        }
    }

    /// In a sentence, for people. What its program said is not made visible yet.
    pub fn sentence(&self) -> String {
        let name = if self.version.is_empty() {
            self.name.clone()
        } else {
            format!("{} ({})", self.name, self.version.lossy())
        };
        match self.state {
            ServiceState::Ready => format!("{name}, ready after {:.1} s", self.ready_s),
            ServiceState::Absent if self.install.is_empty() => format!("{name}: not on this machine"),
            ServiceState::Absent => format!("{name}: not on this machine; {}", self.install),
            ServiceState::Failed => format!("{name}: could not be started"),
            ServiceState::Ended => format!("{name}: ended before the tests did"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_told() {
        let mut service = Service {
            name: "redis".to_owned(),
            install: "apt-get install redis-server".to_owned(),
            ..Service::default()
        };
        assert_eq!(
            service.sentence(),
            "redis: not on this machine; apt-get install redis-server"
        );
        service.version = Foreign::from("Redis server v=7.0.15");
        service.state = ServiceState::Ready;
        service.ready_s = 0.25;
        assert_eq!(service.title(), "redis 7.0.15");
        assert_eq!(
            service.sentence(),
            "redis (Redis server v=7.0.15), ready after 0.2 s"
        );
    }
}
