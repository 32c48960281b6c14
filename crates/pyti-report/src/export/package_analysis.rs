//! The form of the `package-analysis` of `OpenSSF`, for who already queries it: files, sockets, commands and names by phase.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyti_judge::TaskRecord;
use pyti_model::Foreign;
use pyti_model::effect::{Change, Changed, Contact};
use pyti_model::outcome::TaskResult;
use pyti_model::trace::{Deed, Endpoint, Result, Transport};
use serde_json::{Value, json};

use super::unix_seconds;
use crate::seen::{Seen, Traced};
use crate::{Job, Run, deeds};

/// Their names for what we do in several tasks.
const PHASES: [(&str, &[&str]); 3] = [
    ("install", &["requires", "build", "install"]),
    ("import", &["start", "import"]),
    ("execute", &["scripts", "exercise"]),
];
/// Bytes of one stream of output.
const OUTPUT: usize = 64 * 1024;

/// One line of JSON for each file, in the form of package-analysis' dynamic results. Paths, names and arguments are
/// as they were, with invalid UTF-8 replaced, as there.
pub fn package_analysis(run: &Run<'_>) -> String {
    let mut lines = String::new();
    for job in &run.jobs {
        let value = json!({
            "Package": {
                "Ecosystem": "pypi",
                "Name": run.name,
                "Version": run.version.unwrap_or_default(),
            },
            "CreatedTimestamp": unix_seconds(&job.record.when),
            "Analysis": analysis(job),
        });
        lines.push_str(&value.to_string());
        lines.push('\n');
    }
    lines
}

fn analysis(job: &Job<'_>) -> Value {
    let seen = Seen::of(job);
    let mut phases = serde_json::Map::new();
    for (name, tasks) in PHASES {
        let tasks: Vec<&TaskRecord> = job
            .record
            .tasks
            .iter()
            .filter(|task| tasks.contains(&phase_of(&task.name)) && task.was_attempted())
            .collect();
        if !tasks.is_empty() {
            phases.insert(name.to_owned(), phase(&tasks, &seen));
        }
    }
    Value::Object(phases)
}

/// The phase of a task: its name without what tells several of them apart.
fn phase_of(task: &str) -> &str {
    task.split(['-', ':', '@', '.']).next().unwrap_or(task)
}

#[derive(Default)]
struct File {
    read: bool,
    write: bool,
    delete: bool,
}

#[derive(Default)]
struct Phase {
    files: BTreeMap<String, File>,
    sockets: BTreeMap<(String, u16), BTreeSet<String>>,
    commands: Vec<Value>,
    names: BTreeMap<String, BTreeSet<String>>,
}

fn phase(tasks: &[&TaskRecord], seen: &Seen<'_>) -> Value {
    let mut phase = Phase::default();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    for task in tasks {
        for traced in seen.traces.iter().filter(|traced| traced.task == task.name) {
            phase.take(traced);
        }
        for change in &task.changes {
            phase.change(change);
        }
        for recorded in task.last_effects() {
            for contact in &recorded.effect.contacts {
                phase.contact(contact);
            }
            stdout.extend_from_slice(recorded.effect.stdout.head.as_bytes());
            stderr.extend_from_slice(recorded.effect.stderr.head.as_bytes());
        }
    }
    stdout.truncate(OUTPUT);
    stderr.truncate(OUTPUT);
    let files: Vec<Value> = phase
        .files
        .into_iter()
        .map(|(path, file)| json!({ "Path": path, "Read": file.read, "Write": file.write, "Delete": file.delete }))
        .collect();
    let sockets: Vec<Value> = phase
        .sockets
        .into_iter()
        .map(|((address, port), names)| json!({ "Address": address, "Port": port, "Hostnames": names }))
        .collect();
    let queries: Vec<Value> = phase
        .names
        .into_iter()
        .map(|(name, types)| json!({ "Hostname": name, "Types": types }))
        .collect();
    let dns = if queries.is_empty() {
        json!([])
    } else {
        json!([{ "Class": "IN", "Queries": queries }])
    };
    json!({
        "Status": status(tasks),
        "Stdout": STANDARD.encode(stdout),
        "Stderr": STANDARD.encode(stderr),
        "Files": files,
        "Sockets": sockets,
        "Commands": phase.commands,
        "DNS": dns,
    })
}

impl Phase {
    fn take(&mut self, traced: &Traced<'_>) {
        for act in &traced.trace.acts {
            if matches!(act.result, Result::Failed(_) | Result::Refused) {
                continue;
            }
            match &act.deed {
                Deed::Open { path, access } => {
                    let file = self.file(path);
                    file.read |= access.read || access.folder;
                    file.write |= deeds::writes(*access);
                }
                Deed::List { path } => self.file(path).read = true,
                Deed::Truncate { path }
                | Deed::Mode { path, .. }
                | Deed::MakeFolder { path }
                | Deed::MakeNode { path }
                | Deed::Link { path, .. } => self.file(path).write = true,
                Deed::Remove { path, .. } => self.file(path).delete = true,
                Deed::Rename { from, to } => {
                    self.file(from).delete = true;
                    self.file(to).write = true;
                }
                Deed::Execute { argv, variables, .. } => self.commands.push(json!({
                    "Command": words(argv),
                    // names only: values are kept of decoys alone
                    "Environment": words(variables),
                })),
                Deed::Resolve { name, record, .. } => {
                    self.names
                        .entry(name.lossy().into_owned())
                        .or_default()
                        .insert(record.clone());
                }
                Deed::Converse(talk) => {
                    let names = self
                        .sockets
                        .entry((talk.address.to_string(), talk.port))
                        .or_default();
                    names.extend(talk.host.as_ref().map(|host| host.lossy().into_owned()));
                }
                Deed::Connect {
                    to: Endpoint::Ip { address, port },
                    transport,
                } if *transport != Transport::Unix => {
                    let names = self.sockets.entry((address.to_string(), *port)).or_default();
                    names.extend(traced.name_of(address).map(|name| name.lossy().into_owned()));
                }
                Deed::Send {
                    to: Endpoint::Ip { address, port },
                }
                | Deed::Packet {
                    to: Endpoint::Ip { address, port },
                    ..
                } => {
                    let names = self.sockets.entry((address.to_string(), *port)).or_default();
                    names.extend(traced.name_of(address).map(|name| name.lossy().into_owned()));
                }
                _ => {}
            }
        }
    }

    fn file(&mut self, path: &Foreign) -> &mut File {
        self.files.entry(path.lossy().into_owned()).or_default()
    }

    fn change(&mut self, change: &Change) {
        let file = self.file(&change.path);
        match change.what {
            Changed::Added | Changed::Modified => file.write = true,
            Changed::Deleted => file.delete = true,
        }
    }

    fn contact(&mut self, contact: &Contact) {
        match contact {
            Contact::Name { name, record, .. } => {
                self.names
                    .entry(name.lossy().into_owned())
                    .or_default()
                    .insert(record.clone());
            }
            Contact::Address { address, port, .. } => {
                self.sockets
                    .entry((address.clone(), port.unwrap_or_default()))
                    .or_default();
            }
        }
    }
}

fn words(list: &[Foreign]) -> Vec<String> {
    list.iter().map(|word| word.lossy().into_owned()).collect()
}

/// Their words for how it ended.
fn status(tasks: &[&TaskRecord]) -> &'static str {
    let any = |result: &[TaskResult]| {
        tasks
            .iter()
            .any(|task| task.result.is_some_and(|r| result.contains(&r)))
    };
    let limit = tasks.iter().any(|task| {
        task.last_effects()
            .any(|recorded| recorded.effect.limit.is_some())
    });
    if limit {
        "error_timeout"
    } else if any(&[TaskResult::Failure]) {
        "error_analysis"
    } else if any(&[TaskResult::Exception, TaskResult::Retry, TaskResult::Cancelled])
        || tasks.iter().any(|task| task.result.is_none())
    {
        "error_other"
    } else {
        "completed"
    }
}
