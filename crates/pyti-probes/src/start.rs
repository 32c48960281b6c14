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

/// What an audit hook heard (PEP 578) while site did its work, in a second start.
#[derive(Debug, Default, Deserialize)]
struct Heard {
    audit: Vec<String>,
}

/// The command.
pub fn argv(invocation: &Invocation<'_>) -> Vec<String> {
    invocation.argv("start.py", [])
}

/// Reads what it said. A second start that does not end well adds nothing: the first one is what users get.
pub fn parse(results: &[u8]) -> Result<State, ResultsError> {
    let mut lines = results
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    let first = lines.next().ok_or(ResultsError::Nothing)?;
    let mut state: State = serde_json::from_slice(first).map_err(ResultsError::Unreadable)?;
    if let Some(heard) = lines.find_map(|line| serde_json::from_slice::<Heard>(line).ok()) {
        state.events.extend(heard.audit);
    }
    Ok(state)
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
