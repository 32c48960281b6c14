//! What the verb in the box tells, apart from what the tests tell over the same descriptor.

use pyti_model::raw::{Service, ServiceState};
use serde::{Deserialize, Serialize};

/// The word that a line of ours begins with.
const MARK: &[u8] = b"{\"pyti_services\":";
/// Longest line of ours that is believed.
const LONGEST: usize = 1 << 20;

/// What was told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// What came of each service.
    pub services: Vec<Service>,
    /// Whether the line that is written before the command starts was there.
    pub begun: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) pyti_services: Say,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Say {
    /// Before the command: nothing of a package has run yet.
    Before(Vec<Service>),
    /// After it: names of those that had ended by themselves.
    After(Vec<String>),
}

/// One line, its end included.
pub(crate) fn line(say: Say) -> Vec<u8> {
    let mut line = serde_json::to_vec(&Line { pyti_services: say }).unwrap_or_default();
    line.push(b'\n');
    line
}

/// Takes what the verb told out of the results of a command.
///
/// Only the first line of all can be the one that was written before the command began; it alone says which services
/// there are. What comes later, tests can have written: it can say that a service ended, and no more.
pub fn split(results: &[u8]) -> (Told, Vec<u8>) {
    let mut told = Told::default();
    let mut rest = Vec::with_capacity(results.len());
    let mut gone: Vec<String> = Vec::new();
    for (number, text) in results.split_inclusive(|byte| *byte == b'\n').enumerate() {
        if !text.starts_with(MARK) || text.len() > LONGEST {
            rest.extend_from_slice(text);
            continue;
        }
        match serde_json::from_slice::<Line>(text).map(|line| line.pyti_services) {
            Ok(Say::Before(services)) if number == 0 => {
                told.begun = true;
                told.services = services;
            }
            Ok(Say::After(names)) => gone = names,
            _ => rest.extend_from_slice(text),
        }
    }
    for service in &mut told.services {
        if service.state == ServiceState::Ready && gone.contains(&service.name) {
            service.state = ServiceState::Ended;
        }
    }
    (told, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(name: &str) -> Service {
        Service {
            name: name.to_owned(),
            state: ServiceState::Ready,
            ..Service::default()
        }
    }

    #[test]
    fn what_was_told_is_taken_out() {
        let mut all = line(Say::Before(vec![ready("redis"), ready("memcached")]));
        all.extend(b"{\"e\":\"done\"}\n");
        all.extend(line(Say::After(vec!["memcached".to_owned()])));
        let (told, rest) = split(&all);
        assert!(told.begun);
        assert_eq!(rest, b"{\"e\":\"done\"}\n");
        let states: Vec<ServiceState> = told.services.iter().map(|s| s.state).collect();
        assert_eq!(states, [ServiceState::Ready, ServiceState::Ended]);
    }

    #[test]
    fn tests_cannot_say_which_services_there_are() {
        let mut all = b"{\"e\":\"case\"}\n".to_vec();
        all.extend(line(Say::Before(vec![ready("redis")])));
        let (told, rest) = split(&all);
        assert_eq!(told, Told::default());
        assert_eq!(rest, all, "it is left for whoever counts what makes no sense");
    }

    #[test]
    fn results_without_services_stay_as_they_are() {
        let plain = b"{\"e\":\"case\"}\nhalf a li";
        assert_eq!(split(plain), (Told::default(), plain.to_vec()));
    }
}
