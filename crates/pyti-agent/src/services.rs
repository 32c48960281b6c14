//! Services beside the tests: which are started, and what of a command's record is theirs and not the package's.
//!
//! Everything before the tests begin is ours: nothing of the package has run. Later, what a service does may be what the
//! package asked it for (`COPY … TO PROGRAM`), so only its usual business is taken out of the record: its own folder and
//! sockets, and the loopback.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use pyti_box::protocol::PROGRAM;
use pyti_model::effect::Change;
use pyti_model::plan::Plan;
use pyti_model::raw::{Recipe, Service, ServiceState};
use pyti_model::trace::{Act, Count, Deed, Endpoint, Trace};
use pyti_sandbox::{Command, RESULTS_FD};
use pyti_services::request::{self, Request};
use pyti_services::{FOLDER, SOCKETS, VERB, Wanted, locate};

/// The word of who wants no services at all.
pub(crate) const NONE: &str = "none";
/// Seconds until a service that is not ready is given up.
const PATIENCE_S: u32 = 90;

/// What tests are offered.
#[derive(Debug, Default)]
pub(crate) struct Offer {
    /// What is started.
    pub(crate) present: Vec<Wanted>,
    /// What this machine does not have.
    absent: Vec<Service>,
    because: BTreeMap<String, String>,
}

impl Offer {
    /// What a plan and a recipe ask for.
    pub(crate) fn of(plan: &Plan, recipe: &Recipe) -> Self {
        if plan.services.iter().any(|name| name == NONE) {
            return Self::default();
        }
        let texts = plan.services.iter().chain(&recipe.services);
        let mut offer = Self::default();
        for wanted in request::read_all(texts.map(String::as_str)) {
            let Some(service) = wanted.service() else { continue };
            let name = service.name.to_owned();
            let asked = plan
                .services
                .iter()
                .any(|text| Wanted::read(text).is_some_and(|w| w.name == name));
            let why = if asked {
                "it was asked for".to_owned()
            } else {
                because(recipe, &name)
            };
            if locate(service, Path::new(PROGRAM)).is_some() {
                offer.present.push(wanted);
            } else {
                offer.absent.push(absent_service(service, why.clone()));
            }
            offer.because.insert(name, why);
        }
        offer
    }

    /// The command with services beside it.
    pub(crate) fn around(&self, argv: Vec<String>) -> Vec<String> {
        if self.present.is_empty() {
            return argv;
        }
        let request = Request {
            results: RESULTS_FD,
            services: self.present.clone(),
            patience_s: PATIENCE_S,
        };
        request::argv(&request, PROGRAM, argv)
    }

    /// What came of them, and what is left of a command's results.
    pub(crate) fn came(&self, results: &[u8]) -> (Vec<Service>, Vec<u8>) {
        let (told, rest) = pyti_services::split(results);
        let mut services = told.services;
        for wanted in &self.present {
            if !services.iter().any(|service| service.name == wanted.name) {
                services.push(Service {
                    name: wanted.name.clone(),
                    state: ServiceState::Failed,
                    ..Service::default()
                });
            }
        }
        for service in &mut services {
            if let Some(because) = self.because.get(&service.name) {
                service.because.clone_from(because);
            }
        }
        services.extend(self.absent.iter().cloned());
        services.sort_by(|a, b| a.name.cmp(&b.name));
        (services, rest)
    }
}

/// Names of services that it is no use to ask for.
pub(crate) fn absent(plan: &Plan) -> Vec<String> {
    let unwanted = plan.services.iter().any(|name| name == NONE);
    pyti_services::catalogue::ALL
        .iter()
        .filter(|service| unwanted || locate(service, Path::new(PROGRAM)).is_none())
        .map(|service| service.name.to_owned())
        .collect()
}

/// Adds services that the tests missed and this machine does not have.
pub(crate) fn add_missed(services: &mut Vec<Service>, plan: &Plan, missed: &[(String, String)]) {
    if plan.services.iter().any(|name| name == NONE) {
        return;
    }
    for (word, text) in missed {
        let Some(service) = Wanted::read(text).and_then(|wanted| wanted.service()) else {
            continue;
        };
        if services.iter().all(|known| known.name != service.name)
            && locate(service, Path::new(PROGRAM)).is_none()
        {
            services.push(absent_service(service, word.clone()));
        }
    }
}

fn absent_service(service: &pyti_services::Service, because: String) -> Service {
    Service {
        name: service.name.to_owned(),
        because,
        state: ServiceState::Absent,
        install: service.install.to_owned(),
        ..Service::default()
    }
}

/// Why a recipe wants a service, in its own words: `services: redis: the tests import redis`.
fn because(recipe: &Recipe, name: &str) -> String {
    let start = format!("services: {name}: ");
    let why = recipe.why.iter().rev().find_map(|why| why.strip_prefix(&start));
    why.unwrap_or("its recipe names it").to_owned()
}

/// What runs beside services, where a command has them.
fn beside(command: &Command) -> Option<Vec<&[u8]>> {
    let argv: Vec<&[u8]> = command.argv.iter().map(|word| word.as_encoded_bytes()).collect();
    let at = argv.iter().position(|word| *word == VERB.as_bytes())?;
    (argv.get(at.checked_sub(1)?) == Some(&PROGRAM.as_bytes()) && argv.get(at + 2) == Some(&&b"--"[..]))
        .then(|| argv[at + 3..].to_vec())
}

/// Ports of the loopback that processes of a command wanted to connect to, each once.
pub(crate) fn ports(trace: &Trace) -> Vec<u16> {
    const MOST: usize = 1000;
    let ports: BTreeSet<u16> = trace
        .acts
        .iter()
        .filter_map(|act| match &act.deed {
            Deed::Connect {
                to: Endpoint::Ip { address, port },
                ..
            } if address.is_loopback() => Some(*port),
            _ => None,
        })
        .collect();
    ports.into_iter().take(MOST).collect()
}

/// Leaves out what services keep for themselves.
pub(crate) fn without_places(command: &Command, changes: &mut Vec<Change>) {
    if beside(command).is_some() {
        changes.retain(|change| !is_place(change.path.as_bytes()) && !is_parent(change.path.as_bytes()));
    }
}

/// Takes out of a trace what we and our services did. Whether it was done is told.
pub(crate) fn without_services(trace: &mut Trace, command: &Command) -> bool {
    let Some(argv) = beside(command) else {
        return false;
    };
    let parents: BTreeMap<u32, Option<u32>> = trace.processes.iter().map(|p| (p.number, p.parent)).collect();
    let begins = |act: &Act| match (&act.deed, act.process) {
        (Deed::Execute { argv: given, .. }, Some(process)) => {
            parents.get(&process) == Some(&Some(0))
                && !given.is_empty()
                && given
                    .iter()
                    .zip(&argv)
                    .all(|(given, ours)| given.as_bytes() == *ours)
        }
        _ => false,
    };
    let Some(at) = trace.acts.iter().position(begins) else {
        return true;
    };
    let tests = trace.acts[at].process;
    let began_us = trace.acts[at].at_us;
    // who was there before the tests, and whom they started since
    let mut ours: BTreeSet<u32> = BTreeSet::from([0]);
    for process in &trace.processes {
        let was_there = process.began_us < began_us && process.parent != tests;
        let descends = process
            .parent
            .is_some_and(|parent| parent != 0 && ours.contains(&parent));
        if Some(process.number) != tests && (was_there || descends) {
            ours.insert(process.number);
        }
    }
    let pids: BTreeSet<i32> = trace
        .processes
        .iter()
        .filter(|p| p.number != 0 && ours.contains(&p.number))
        .map(|p| p.pid)
        .collect();
    let (mut number, mut met) = (0, 0);
    trace.acts.retain(|act| {
        number += 1;
        let is_ours = act.process.is_some_and(|process| ours.contains(&process));
        // that tests speak with what was started for them tells nothing
        let meets = matches!(&act.deed, Deed::Connect { to: to @ Endpoint::Unix(_), .. } if is_near(to));
        met += u64::from(number > at && meets && !is_ours);
        number > at && !meets && !(is_ours && is_usual(&act.deed, &pids))
    });
    if met > 0 {
        trace.counts.push(Count {
            what: "service".to_owned(),
            times: met,
        });
    }
    true
}

/// Whether it is a service's usual business.
fn is_usual(deed: &Deed, services: &BTreeSet<i32>) -> bool {
    match deed {
        Deed::Open { path, .. }
        | Deed::MakeFolder { path }
        | Deed::MakeNode { path }
        | Deed::Remove { path, .. }
        | Deed::Mode { path, .. }
        | Deed::Owner { path }
        | Deed::Truncate { path } => is_place(path.as_bytes()),
        Deed::Rename { from, to } => is_place(from.as_bytes()) && is_place(to.as_bytes()),
        Deed::Link { path, to, .. } => is_place(path.as_bytes()) && is_place(to.as_bytes()),
        Deed::Look { .. }
        | Deed::List { .. }
        | Deed::Inquire { .. }
        | Deed::Become { .. }
        | Deed::Memory { .. } => true,
        Deed::Signal { target, .. } => services.contains(&target.abs()),
        Deed::Bind { to } | Deed::Send { to } | Deed::Connect { to, .. } => is_near(to),
        Deed::Listen { at } => at.as_ref().is_none_or(is_near),
        _ => false,
    }
}

fn is_near(endpoint: &Endpoint) -> bool {
    match endpoint {
        Endpoint::Unix(path) => is_place(path.as_bytes()),
        Endpoint::Ip { address, .. } => address.is_loopback() || address.is_unspecified(),
        Endpoint::Other(_) => false,
    }
}

fn is_place(path: &[u8]) -> bool {
    let below = |place: &str| {
        path.strip_prefix(place.as_bytes())
            .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    };
    below(FOLDER)
        || SOCKETS.iter().any(|place| below(place))
        // PostgreSQL's shared memory, and the lock beside its socket
        || path.starts_with(b"/dev/shm/PostgreSQL.")
        || path.starts_with(b"/tmp/.s.PGSQL.5432")
}

/// Folders that are only there because a service lies in them.
fn is_parent(path: &[u8]) -> bool {
    path == b"/var" || path == b"/var/lib" || path == b"/run"
}

#[cfg(test)]
mod tests {
    use pyti_model::trace::{Origin, Process, Result, Transport};

    use super::*;

    const TESTS: &str = "/home/dev/venv/bin/python";

    fn process(number: u32, parent: Option<u32>, began_us: u64) -> Process {
        Process {
            number,
            parent,
            pid: 100 + number.cast_signed(),
            began_us,
            ended: None,
            executable: "/x".into(),
            argv: Vec::new(),
        }
    }

    fn act(process: u32, at_us: u64, deed: Deed) -> Act {
        Act {
            at_us,
            process: Some(process),
            result: Result::Done,
            times: 1,
            deed,
        }
    }

    fn execute(argv: &[&str]) -> Deed {
        Deed::Execute {
            path: argv[0].into(),
            argv: argv.iter().map(|word| (*word).into()).collect(),
            argv_dropped: 0,
            cwd: "/".into(),
            variables: Vec::new(),
            origin: Origin::System,
            sockets: Vec::new(),
        }
    }

    fn connect(path: &str) -> Deed {
        Deed::Connect {
            to: Endpoint::Unix(path.into()),
            transport: Transport::Unix,
        }
    }

    fn folder(path: &str) -> Deed {
        Deed::MakeFolder { path: path.into() }
    }

    fn command() -> Command {
        Command::new([
            PROGRAM, "__unpack", "--", PROGRAM, VERB, "{}", "--", TESTS, "boot.py",
        ])
    }

    #[test]
    fn what_was_before_the_tests_is_ours_and_what_a_service_is_made_to_do_is_not() {
        let mut trace = Trace {
            processes: vec![
                process(0, None, 0),
                process(1, Some(0), 10),
                process(2, Some(0), 50),
                process(3, Some(1), 60),
                process(4, Some(2), 70),
            ],
            acts: vec![
                act(0, 0, execute(&[PROGRAM, "__unpack"])),
                act(1, 10, execute(&["/usr/bin/redis-server"])),
                act(1, 20, folder("/etc/odd")),
                act(2, 50, execute(&[TESTS, "boot.py"])),
                act(3, 60, folder(&format!("{FOLDER}/postgresql/data/base"))),
                act(3, 61, connect("/run/postgresql/.s.PGSQL.5432")),
                act(3, 62, execute(&["/bin/sh", "-c", "curl"])),
                act(3, 63, folder("/home/dev/.ssh")),
                act(3, 64, connect("/run/docker.sock")),
                act(4, 70, folder("/home/dev/x")),
                act(2, 71, connect("/run/postgresql/.s.PGSQL.5432")),
                act(
                    0,
                    80,
                    Deed::Signal {
                        target: 101,
                        signal: 9,
                    },
                ),
                act(
                    0,
                    81,
                    Deed::Signal {
                        target: 104,
                        signal: 9,
                    },
                ),
            ],
            ..Trace::default()
        };
        assert!(without_services(&mut trace, &command()));
        let left: Vec<u64> = trace.acts.iter().map(|act| act.at_us).collect();
        assert_eq!(left, [50, 62, 63, 64, 70, 81]);
        assert_eq!(
            (trace.counts[0].what.as_str(), trace.counts[0].times),
            ("service", 1)
        );
    }

    #[test]
    fn a_command_without_services_keeps_everything() {
        let acts = vec![act(0, 0, folder(FOLDER))];
        let mut trace = Trace {
            acts: acts.clone(),
            ..Trace::default()
        };
        assert!(!without_services(
            &mut trace,
            &Command::new([PROGRAM, "__unpack"])
        ));
        // a package's own words are no services of ours
        assert!(!without_services(
            &mut trace,
            &Command::new(["/bin/sh", VERB, "{}", "--", "x"])
        ));
        assert_eq!(trace.acts, acts);
    }

    #[test]
    fn only_places_of_services_are_left_out() {
        assert!(is_place(FOLDER.as_bytes()) && is_place(b"/tmp/.X11-unix/X99"));
        assert!(!is_place(b"/var/lib/pyti-services-of-others") && !is_place(b"/tmp/x"));
    }

    #[test]
    fn nobody_is_asked_for_when_none_are_wanted() {
        let recipe = Recipe {
            services: vec!["smtp".to_owned()],
            why: vec!["services: smtp: the tests import x".to_owned()],
            ..Recipe::default()
        };
        assert_eq!(because(&recipe, "smtp"), "the tests import x");
        assert_eq!(because(&recipe, "redis"), "its recipe names it");
    }
}
