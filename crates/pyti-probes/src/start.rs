//! What the interpreter has loaded when it starts.

use pyti_model::foreign::Foreign;
use pyti_model::raw::Start;
use serde::Deserialize;

use crate::{Invocation, ResultsError};

/// One start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct State {
    modules: Vec<String>,
    paths: Vec<String>,
    events: Vec<String>,
}

/// The command.
pub fn argv(invocation: &Invocation<'_>) -> Vec<String> {
    invocation.argv("start.py", [])
}

/// Reads what it said.
pub fn parse(results: &[u8]) -> Result<State, ResultsError> {
    let line = results
        .split(|byte| *byte == b'\n')
        .find(|line| !line.is_empty())
        .ok_or(ResultsError::Nothing)?;
    serde_json::from_slice(line).map_err(ResultsError::Unreadable)
}

/// What the second start has that the first had not.
pub fn difference(before: &State, after: &State) -> Start {
    let new = |before: &[String], after: &[String]| {
        after
            .iter()
            .filter(|name| !before.contains(name))
            .map(|name| Foreign::from(name.as_str()))
            .collect()
    };
    Start {
        new_modules: new(&before.modules, &after.modules),
        new_paths: new(&before.paths, &after.paths),
        new_events: new(&before.events, &after.events),
        spoke: false,
        changed_files: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_counts() {
        let state = |modules: &[&str]| State {
            modules: modules.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        assert!(difference(&state(&["os", "site"]), &state(&["os"])).is_unchanged());
        let new = difference(&state(&["os"]), &state(&["os", "spy"]));
        assert_eq!(new.new_modules, [Foreign::from("spy")]);
    }
}
