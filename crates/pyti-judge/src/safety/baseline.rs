//! What an empty package does, to be left out; and what differs between two releases.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::trace::{Deed, EventRef, Origin};
use serde::{Deserialize, Serialize};

use super::facts::{Fact, Facts, Outcome, line};
use super::kind::{Kind, Phase};
use super::sentence::shown;
use crate::record::JobRecord;

/// Places of the recording that one line names.
const MOST_EVENTS: usize = 8;

/// What the same image, interpreter and build backend do with a package that holds nothing. It is subtracted before
/// rules look.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    acts: BTreeMap<Phase, BTreeSet<String>>,
}

impl Baseline {
    /// What was done in a recording, with what changes from run to run left out.
    pub fn from_record(record: &JobRecord) -> Self {
        let facts = Facts::of(record);
        let mut acts: BTreeMap<Phase, BTreeSet<String>> = BTreeMap::new();
        for fact in &facts.all {
            if let Some(act) = ordinary(&facts, fact) {
                acts.entry(fact.phase).or_default().insert(act);
            }
        }
        Self { acts }
    }

    /// Both together.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        for (phase, acts) in other.acts {
            self.acts.entry(phase).or_default().extend(acts);
        }
        self
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.acts.values().all(BTreeSet::is_empty)
    }

    /// Different acts in it.
    pub fn len(&self) -> usize {
        self.acts.values().map(BTreeSet::len).sum()
    }

    pub(super) fn knows(&self, facts: &Facts<'_>, fact: &Fact<'_>) -> bool {
        self.acts
            .get(&fact.phase)
            .is_some_and(|acts| ordinary(facts, fact).is_some_and(|act| acts.contains(&act)))
    }
}

/// What may be subtracted, as a line. Only what is harmless wherever it is done: looking, reading files of the machine,
/// running its programs. What is written, sent or taken is never subtracted, so that an attack cannot hide behind
/// something that an empty package does too.
fn ordinary(facts: &Facts<'_>, fact: &Fact<'_>) -> Option<String> {
    let who = facts.program_of(fact);
    let machine = !fact.place.starts_with(['~', '{', '?']);
    match fact.kind {
        Kind::Look | Kind::List | Kind::Read if machine || fact.place.starts_with("{self}") => {
            Some(format!("{} {} {who}", fact.kind.word(), fact.place))
        }
        Kind::Execute => match fact.deed {
            Some(Deed::Execute {
                argv,
                origin,
                sockets,
                ..
            }) if *origin == Origin::System && sockets.is_empty() => {
                let argv = normalised(&String::from_utf8_lossy(&line(argv)));
                Some(format!("execute {} {argv} {who}", fact.place))
            }
            _ => None,
        },
        Kind::Inquire | Kind::Become | Kind::Audit => Some(format!(
            "{} {} {} {who}",
            fact.kind.word(),
            fact.name,
            normalised(&String::from_utf8_lossy(&fact.text))
        )),
        Kind::Connect if fact.is_unix() => Some(format!("connect {} {who}", fact.place)),
        Kind::Bind => fact
            .address()
            .filter(|(address, _)| address.is_loopback())
            .map(|(address, port)| {
                format!("bind {address} {} {who}", if port == 0 { "any" } else { "fixed" })
            }),
        _ => None,
    }
}

/// Text with what changes from run to run and from release to release left out: numbers, hashes, random names.
pub(super) fn normalised(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            word.push(c);
        } else {
            out.push_str(&of_word(&word));
            word.clear();
            out.push(c);
        }
    }
    out.push_str(&of_word(&word));
    out
}

fn of_word(word: &str) -> String {
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.len() >= 8 && word.bytes().all(|b| b.is_ascii_hexdigit()) && digits > 0;
    // names of tempfile: eight of a-z, 0-9 and _, after tmp
    let random = word.strip_prefix("tmp").is_some_and(|rest| rest.len() == 8);
    if hex || random {
        return "#".to_owned();
    }
    let mut out = String::new();
    for c in word.chars() {
        if c.is_ascii_digit() {
            if !out.ends_with('#') {
                out.push('#');
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// One thing that one of two recordings has and the other has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActLine {
    /// When.
    pub phase: Phase,
    /// What, in words; what came from the package is made visible.
    pub text: String,
    /// How often.
    pub times: u64,
    /// Where in its recording, the first few.
    pub events: Vec<EventRef>,
}

/// How what two releases did differs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What only the newer one did.
    pub added: Vec<ActLine>,
    /// What only the older one did.
    pub gone: Vec<ActLine>,
}

impl Difference {
    /// Whether both did the same.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.gone.is_empty()
    }
}

/// How what a release did differs from what another did. Only phases are compared that both went through; numbers,
/// hashes and random names make no difference.
pub fn difference(now: &JobRecord, before: &JobRecord) -> Difference {
    let (now, before) = (told(now), told(before));
    let phases = |acts: &BTreeMap<(Phase, String), ActLine>| -> BTreeSet<Phase> {
        acts.keys().map(|(phase, _)| *phase).collect()
    };
    let both: BTreeSet<Phase> = phases(&now).intersection(&phases(&before)).copied().collect();
    let only = |these: &BTreeMap<(Phase, String), ActLine>, those: &BTreeMap<(Phase, String), ActLine>| {
        these
            .iter()
            .filter(|(key, _)| both.contains(&key.0) && !those.contains_key(key))
            .map(|(_, line)| line.clone())
            .collect()
    };
    Difference {
        added: only(&now, &before),
        gone: only(&before, &now),
    }
}

fn told(record: &JobRecord) -> BTreeMap<(Phase, String), ActLine> {
    let facts = Facts::of(record);
    let mut out: BTreeMap<(Phase, String), ActLine> = BTreeMap::new();
    for fact in &facts.all {
        let Some(text) = words(&facts, fact) else { continue };
        let line = out
            .entry((fact.phase, normalised(&text)))
            .or_insert_with(|| ActLine {
                phase: fact.phase,
                text,
                times: 0,
                events: Vec::new(),
            });
        line.times += 1;
        if line.events.len() < MOST_EVENTS {
            line.events.push(fact.at);
        }
    }
    out
}

/// A fact in words, for comparisons and explanations; nothing for what is too common to be told.
pub(super) fn words(facts: &Facts<'_>, fact: &Fact<'_>) -> Option<String> {
    let what = deed(fact)?;
    let by = facts.program_of(fact);
    let by = by.rsplit('/').next().unwrap_or(by);
    Some(if by.is_empty() {
        what
    } else {
        format!("{} {what}", shown(by.as_bytes()))
    })
}

/// The same without who did it.
pub(super) fn deed(fact: &Fact<'_>) -> Option<String> {
    let place = || shown(fact.place.as_bytes());
    let host = || {
        fact.hosts().first().map_or_else(
            || {
                fact.address()
                    .map_or_else(place, |(address, port)| format!("{address} port {port}"))
            },
            |host| shown(host.as_bytes()),
        )
    };
    let name = || shown(fact.name.as_bytes());
    let text = || shown(&fact.text);
    let decoy = || fact.decoy.map_or_else(name, |decoy| shown(decoy.id.as_bytes()));
    let suffix = match fact.came {
        Outcome::Failed => ", without success",
        Outcome::Refused => ", which the box refused",
        Outcome::Attempted | Outcome::Done => "",
    };
    let what = match fact.kind {
        // the package's own files and the byte code beside them are its content, not its acts
        Kind::Read | Kind::Write | Kind::Look | Kind::List | Kind::Remove
            if fact.place.starts_with("{own}") || fact.place.contains("/__pycache__/") =>
        {
            return None;
        }
        Kind::Execute => match fact.deed {
            Some(Deed::Execute { argv, .. }) => format!("executed {}: {}", place(), shown(&line(argv))),
            _ => format!("executed {}", place()),
        },
        Kind::Read => format!("read {}", place()),
        Kind::Write => format!("wrote {}", place()),
        Kind::Look => format!("looked at {}", place()),
        Kind::List => format!("listed {}", place()),
        Kind::Rename => format!("renamed {} to {}", shown(fact.from.as_bytes()), place()),
        Kind::Remove => format!("removed {}", place()),
        Kind::Truncate => format!("emptied {}", place()),
        Kind::Mode => format!("changed the mode of {} to {:o}", place(), fact.number),
        Kind::Memory => format!("made a file in memory named {}", text()),
        Kind::Ptrace => format!("called ptrace ({})", name()),
        Kind::ForeignMemory => format!("accessed the memory of another process ({})", name()),
        Kind::Signal => format!("sent signal {}", fact.number),
        Kind::Become => format!("called {} {}", name(), text()).trim_end().to_owned(),
        Kind::Inquire => format!("asked {}", name()),
        Kind::Forbidden => format!("called {}", name()),
        Kind::Bind => format!("took the address {}", host()),
        Kind::Listen => format!("waits for connections at {}", host()),
        Kind::Connect => format!("connected to {}", host()),
        Kind::Send => format!("sent to {}", host()),
        Kind::Resolve => format!("asked for the name {}", name()),
        Kind::Converse => format!("spoke {} with {} ({} bytes sent)", name(), host(), fact.number),
        Kind::Packet => format!("sent a packet to {}", host()),
        Kind::DecoyRead => format!("read the decoy {}", decoy()),
        Kind::DecoySent => format!("sent the secret of the decoy {} to {}", decoy(), host()),
        Kind::DecoyArgument => format!("gave the secret of the decoy {} to a program", decoy()),
        Kind::DecoyWritten => format!("wrote the secret of the decoy {} to {}", decoy(), place()),
        Kind::DecoyPrinted => format!("printed the secret of the decoy {}", decoy()),
        Kind::Audit => format!("the interpreter told {}: {}", name(), text()),
        Kind::File => format!("left the file {} of {} bytes", place(), fact.number),
        Kind::Survivor => format!("left a process behind: {}", text()),
        Kind::StartDiffers => format!("the interpreter starts differently ({}): {}", name(), text()),
        Kind::PathFile => format!("installed {}, which runs code at every start", place()),
        Kind::Module => format!("imported {} from {}", name(), place()),
        Kind::Script => format!("installed the command {}", name()),
        Kind::Limit => format!("was ended by a limit ({})", name()),
        Kind::Idle => format!("did next to nothing for {} seconds", fact.number),
        Kind::WheelDiffers => format!(
            "the published wheel's {} is not what the sdist gives ({})",
            place(),
            name()
        ),
    };
    Some(format!("{what}{suffix}"))
}
