//! What a recording says, as facts: one kind for each word that rules know, whatever source it comes from.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use pyti_model::Foreign;
use pyti_model::effect::{Change, Changed, Contact, Effect, Limit};
use pyti_model::raw::RawData;
use pyti_model::trace::{
    Decoy, DecoyPlace, DecoyUse, Deed, Endpoint, EventRef, Result as Came, Transport, Written,
};
use serde::{Deserialize, Serialize};

use super::kind::{Kind, Phase};
use super::pathfile;
use super::place::Layout;
use super::tree::{Running, Tree};
use crate::record::{JobRecord, RecordedTrace, TaskRecord};

/// Wall-clock seconds of a command above which next to no work is odd.
const IDLE_S: f64 = 50.0;
/// The part of the wall-clock time that still counts as next to no work.
const IDLE_CPU: f64 = 0.1;

/// Whether an act came about; the three are never mixed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Outcome {
    Attempted,
    Done,
    Failed,
    Refused,
}

impl From<&Came> for Outcome {
    fn from(came: &Came) -> Self {
        match came {
            Came::Attempted => Self::Attempted,
            Came::Done => Self::Done,
            Came::Failed(_) => Self::Failed,
            Came::Refused => Self::Refused,
        }
    }
}

/// One thing that rules can look at.
#[derive(Debug, Clone)]
pub(super) struct Fact<'r> {
    pub(super) kind: Kind,
    pub(super) at: EventRef,
    /// Another place that belongs to it: the conversation in which a secret was.
    pub(super) also: Option<EventRef>,
    pub(super) task: usize,
    pub(super) phase: Phase,
    /// The command: a running number of traces.
    pub(super) command: Option<u32>,
    pub(super) process: Option<u32>,
    /// The branch of processes; `None` belongs to all.
    pub(super) branch: Option<u32>,
    pub(super) came: Outcome,
    /// The path as rules name it; empty when there is none.
    pub(super) place: String,
    /// Where it was before, for renames.
    pub(super) from: String,
    /// The program of the process that did it: a place in [`Facts::programs`].
    pub(super) by: Option<u32>,
    /// The path as it was recorded.
    pub(super) path: Option<Cow<'r, Foreign>>,
    pub(super) deed: Option<&'r Deed>,
    pub(super) change: Option<&'r Change>,
    pub(super) file: Option<&'r Written>,
    pub(super) decoy: Option<&'r Decoy>,
    /// A call, a script, a limit: what has a name.
    pub(super) name: Cow<'r, str>,
    /// What was said or given: text that came from the package.
    pub(super) text: Cow<'r, [u8]>,
    pub(super) number: u64,
}

/// Everything that a recording says, in order.
#[derive(Debug)]
pub(super) struct Facts<'r> {
    pub(super) record: &'r JobRecord,
    pub(super) all: Vec<Fact<'r>>,
    /// Programs as rules name them.
    pub(super) programs: Vec<String>,
    by_kind: HashMap<Kind, Vec<usize>>,
}

impl<'r> Facts<'r> {
    pub(super) fn of(record: &'r JobRecord) -> Self {
        let mut maker = Maker {
            layout: Layout::of(record),
            record,
            facts: Vec::new(),
            programs: Vec::new(),
            numbers: HashMap::new(),
            commands: 0,
        };
        for (number, task) in record.tasks.iter().enumerate() {
            maker.task(number, task);
        }
        let Maker { facts, programs, .. } = maker;
        let mut whole = Self {
            record,
            all: facts,
            programs,
            by_kind: HashMap::new(),
        };
        whole.index();
        whole
    }

    /// Leaves out what is not to be judged.
    pub(super) fn retain(&mut self, keep: impl FnMut(&Fact<'r>) -> bool) {
        self.all.retain(keep);
        self.index();
    }

    fn index(&mut self) {
        self.by_kind.clear();
        for (at, fact) in self.all.iter().enumerate() {
            self.by_kind.entry(fact.kind).or_default().push(at);
        }
    }

    pub(super) fn of_kind(&self, kind: Kind) -> &[usize] {
        self.by_kind.get(&kind).map_or(&[], Vec::as_slice)
    }

    pub(super) fn program_of(&self, fact: &Fact<'r>) -> &str {
        fact.by
            .and_then(|by| self.programs.get(by as usize))
            .map_or("", String::as_str)
    }
}

impl Fact<'_> {
    /// Names that it was for: of the conversation, its TLS and its questions, or the name that was asked for.
    pub(super) fn hosts(&self) -> Vec<Cow<'_, str>> {
        match self.deed {
            Some(Deed::Converse(talk)) => {
                let mut hosts: Vec<&Foreign> = talk.host.iter().collect();
                hosts.extend(talk.tls.iter().filter_map(|tls| tls.server_name.as_ref()));
                hosts.extend(
                    talk.exchanges
                        .iter()
                        .filter_map(|exchange| exchange.host.as_ref()),
                );
                let mut out: Vec<Cow<'_, str>> = Vec::new();
                for host in hosts {
                    let host = host.lossy();
                    // a Host field may name the port besides
                    let host = match host.rsplit_once(':') {
                        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => {
                            Cow::Owned(name.to_ascii_lowercase())
                        }
                        _ => Cow::Owned(host.to_ascii_lowercase()),
                    };
                    if !out.contains(&host) {
                        out.push(host);
                    }
                }
                out
            }
            Some(Deed::Resolve { name, .. }) => vec![Cow::Owned(name.lossy().to_ascii_lowercase())],
            _ if self.kind == Kind::Resolve => vec![Cow::Borrowed(self.name.as_ref())],
            _ => Vec::new(),
        }
    }

    /// Address and port.
    pub(super) fn address(&self) -> Option<(IpAddr, u16)> {
        let ip = |to: &Endpoint| match to {
            Endpoint::Ip { address, port } => Some((*address, *port)),
            Endpoint::Unix(_) | Endpoint::Other(_) => None,
        };
        match self.deed {
            Some(Deed::Converse(talk)) => Some((talk.address, talk.port)),
            Some(
                Deed::Connect { to, .. } | Deed::Send { to } | Deed::Packet { to, .. } | Deed::Bind { to },
            ) => ip(to),
            Some(Deed::Listen { at }) => ip(at.as_ref()?),
            None if self.kind == Kind::Packet => {
                let port = u16::try_from(self.number).unwrap_or(0);
                Some((self.name.parse().ok()?, port))
            }
            _ => None,
        }
    }

    /// Whether it is about a socket of the file system.
    pub(super) fn is_unix(&self) -> bool {
        match self.deed {
            Some(Deed::Connect { to, transport }) => {
                *transport == Transport::Unix || matches!(to, Endpoint::Unix(_))
            }
            Some(Deed::Bind { to } | Deed::Send { to }) => !matches!(to, Endpoint::Ip { .. }),
            Some(Deed::Listen { at }) => matches!(at, Some(Endpoint::Unix(_) | Endpoint::Other(_))),
            _ => false,
        }
    }
}

struct Maker<'r> {
    layout: Layout,
    record: &'r JobRecord,
    facts: Vec<Fact<'r>>,
    programs: Vec<String>,
    numbers: HashMap<String, u32>,
    commands: u32,
}

/// What all facts of one task share.
#[derive(Clone, Copy)]
struct Site {
    task: usize,
    phase: Phase,
}

impl<'r> Maker<'r> {
    fn task(&mut self, number: usize, task: &'r TaskRecord) {
        let site = Site {
            task: number,
            phase: Phase::of(&task.name),
        };
        for trace in &task.traces {
            self.trace(site, task, trace);
        }
        if task.preparation && task.traces.is_empty() {
            // what is prepared is not the package's doing
            return;
        }
        let now = task.change_places.iter().zip(&task.changes);
        let before = task.earlier_changes.iter().map(|(at, change)| (at, change));
        for (at, change) in before.chain(now) {
            self.change(site, *at, change);
        }
        for files in &task.written {
            for (item, file) in (0..).zip(&files.files) {
                let at = EventRef {
                    seq: files.seq,
                    item: Some(item),
                };
                self.file(site, at, file);
            }
        }
        for recorded in &task.effects {
            self.effect(site, recorded.seq, &recorded.effect);
        }
        if let Some(raw) = &task.raw {
            let seq = task.ended_seq.unwrap_or_default();
            self.raw(site, EventRef { seq, item: None }, raw);
        }
    }

    fn blank(site: Site, kind: Kind, at: EventRef) -> Fact<'r> {
        Fact {
            kind,
            at,
            also: None,
            task: site.task,
            phase: site.phase,
            command: None,
            process: None,
            branch: None,
            came: Outcome::Done,
            place: String::new(),
            from: String::new(),
            by: None,
            path: None,
            deed: None,
            change: None,
            file: None,
            decoy: None,
            name: Cow::Borrowed(""),
            text: Cow::Borrowed(b""),
            number: 0,
        }
    }

    fn program(&mut self, place: String) -> u32 {
        if let Some(known) = self.numbers.get(&place) {
            return *known;
        }
        let number = u32::try_from(self.programs.len()).unwrap_or(u32::MAX);
        self.programs.push(place.clone());
        self.numbers.insert(place, number);
        number
    }

    fn trace(&mut self, site: Site, task: &'r TaskRecord, recorded: &'r RecordedTrace) {
        let trace = &recorded.trace;
        let command = self.commands;
        self.commands += 1;
        let tree = Tree::of(trace, site.phase.has_harness());
        let mut running = Running::new(trace.processes.len());
        let own_argv = task
            .effects
            .iter()
            .rev()
            .find(|effect| effect.seq < recorded.seq)
            .map(|effect| effect.effect.argv.as_slice());
        let mut own_is_open = true;
        let decoys: HashMap<&[u8], &'r Decoy> = self
            .record
            .decoys
            .iter()
            .filter_map(|decoy| match &decoy.place {
                DecoyPlace::File(path) => Some((path.as_bytes(), decoy)),
                DecoyPlace::Variable(_) => None,
            })
            .collect();
        let mut seen_open = HashSet::new();
        // An act that was found afterwards (a secret in what was sent) belongs where that happened.
        let when = |at: usize| {
            let act = &trace.acts[at];
            match &act.deed {
                Deed::Decoy {
                    used: DecoyUse::Sent { act, .. } | DecoyUse::Argument { act, .. },
                    ..
                } => trace
                    .acts
                    .get(*act as usize)
                    .map_or(trace.acts[at].at_us, |act| act.at_us),
                _ => act.at_us,
            }
        };
        let mut order: Vec<usize> = (0..trace.acts.len()).collect();
        order.sort_by_key(|at| when(*at));
        for number in order {
            let act = &trace.acts[number];
            let at = EventRef {
                seq: recorded.seq,
                item: u32::try_from(number).ok(),
            };
            let mut process = act.process;
            let mut fact = Self::blank(site, Kind::Execute, at);
            fact.came = (&act.result).into();
            fact.deed = Some(&act.deed);
            if let Deed::Decoy {
                used: DecoyUse::Sent { act, .. } | DecoyUse::Argument { act, .. },
                ..
            } = &act.deed
                && let Some(other) = trace.acts.get(*act as usize)
            {
                process = process.or(other.process);
                fact.also = Some(EventRef {
                    seq: recorded.seq,
                    item: Some(*act),
                });
                // who was told is known from the conversation
                fact.deed = Some(&other.deed);
            }
            fact.command = Some(command);
            fact.process = process;
            fact.branch = tree.branch(process);
            let pid = process
                .and_then(|process| trace.processes.get(process as usize))
                .map(|process| process.pid);
            let known = process.and_then(|process| {
                running.program(trace, process).or_else(|| {
                    let executable = &trace.processes.get(process as usize)?.executable;
                    (!executable.is_empty()).then(|| {
                        let place = self.layout.place(executable, pid, false);
                        self.program(place)
                    })
                })
            });
            fact.by = known;
            if let Deed::Execute { path, argv, .. } = &act.deed {
                let is_own = own_is_open
                    && act.process == Some(0)
                    && own_argv.is_some_and(|own| own == argv.as_slice());
                if let Some(process) = act.process
                    && fact.came != Outcome::Failed
                {
                    let place = self.layout.place(path, pid, false);
                    let program = self.program(place);
                    running.executes(process, program);
                }
                if act.process == Some(0) {
                    own_is_open = false;
                }
                if is_own {
                    continue;
                }
            }
            if let Deed::Open { path, access } = &act.deed
                && access.read
                && fact.came != Outcome::Failed
                && let Some(decoy) = decoys.get(path.as_bytes())
            {
                seen_open.insert(decoy.id.as_str());
                let mut read = fact.clone();
                read.kind = Kind::DecoyRead;
                read.decoy = Some(decoy);
                read.path = Some(Cow::Borrowed(path));
                read.place = self.layout.place(path, pid, true);
                self.facts.push(read);
            }
            self.act(fact, pid, &act.deed, &seen_open);
        }
    }

    fn place(&self, fact: &mut Fact<'r>, path: &'r Foreign, pid: Option<i32>) {
        fact.place = self.layout.place(path, pid, fact.phase != Phase::Install);
        fact.path = Some(Cow::Borrowed(path));
    }

    fn act(&mut self, mut fact: Fact<'r>, pid: Option<i32>, deed: &'r Deed, seen: &HashSet<&str>) {
        match deed {
            Deed::Execute { path, .. } => {
                fact.kind = Kind::Execute;
                self.place(&mut fact, path, pid);
            }
            Deed::Open { path, access } => {
                self.place(&mut fact, path, pid);
                let writes = access.write || access.append || access.create || access.truncate;
                if writes {
                    let mut write = fact.clone();
                    write.kind = Kind::Write;
                    if access.truncate {
                        let mut cut = fact.clone();
                        cut.kind = Kind::Truncate;
                        self.facts.push(cut);
                    }
                    self.facts.push(write);
                }
                if access.read || !writes {
                    fact.kind = if access.folder { Kind::List } else { Kind::Read };
                    self.facts.push(fact);
                }
                return;
            }
            Deed::Look { path } => {
                fact.kind = Kind::Look;
                self.place(&mut fact, path, pid);
            }
            Deed::List { path } => {
                fact.kind = Kind::List;
                self.place(&mut fact, path, pid);
            }
            Deed::Rename { from, to } => {
                self.place(&mut fact, to, pid);
                fact.from = self.layout.place(from, pid, fact.phase != Phase::Install);
                let mut write = fact.clone();
                write.kind = Kind::Write;
                self.facts.push(write);
                fact.kind = Kind::Rename;
            }
            Deed::MakeFolder { path }
            | Deed::MakeNode { path }
            | Deed::Link { path, .. }
            | Deed::Owner { path } => {
                fact.kind = Kind::Write;
                self.place(&mut fact, path, pid);
            }
            Deed::Remove { path, .. } => {
                fact.kind = Kind::Remove;
                self.place(&mut fact, path, pid);
            }
            Deed::Mode { path, mode } => {
                fact.kind = Kind::Mode;
                fact.number = u64::from(*mode);
                self.place(&mut fact, path, pid);
            }
            Deed::Truncate { path } => {
                self.place(&mut fact, path, pid);
                let mut write = fact.clone();
                write.kind = Kind::Write;
                self.facts.push(write);
                fact.kind = Kind::Truncate;
            }
            Deed::Memory { name } => {
                fact.kind = Kind::Memory;
                fact.text = Cow::Borrowed(name.as_bytes());
            }
            Deed::Ptrace { request, target } => {
                fact.kind = Kind::Ptrace;
                fact.name = Cow::Borrowed(request);
                fact.number = u64::from(target.unsigned_abs());
            }
            Deed::ForeignMemory { target, write } => {
                fact.kind = Kind::ForeignMemory;
                fact.name = Cow::Borrowed(if *write { "write" } else { "read" });
                fact.number = u64::from(target.unsigned_abs());
            }
            Deed::Signal { target, signal } => {
                fact.kind = Kind::Signal;
                fact.name = Cow::Owned(target.to_string());
                fact.number = u64::from(signal.unsigned_abs());
            }
            Deed::Become { call, text } => {
                fact.kind = Kind::Become;
                fact.name = Cow::Borrowed(call);
                fact.text = Cow::Borrowed(text.as_bytes());
            }
            Deed::Inquire { call } => {
                fact.kind = Kind::Inquire;
                fact.name = Cow::Borrowed(call);
            }
            Deed::Forbidden { call } => {
                fact.kind = Kind::Forbidden;
                fact.name = Cow::Borrowed(call);
            }
            Deed::Bind { to } => {
                fact.kind = Kind::Bind;
                self.socket(&mut fact, to, pid);
            }
            Deed::Listen { at } => {
                fact.kind = Kind::Listen;
                if let Some(at) = at {
                    self.socket(&mut fact, at, pid);
                }
            }
            Deed::Connect { to, .. } => {
                fact.kind = Kind::Connect;
                self.socket(&mut fact, to, pid);
            }
            Deed::Send { to } => {
                fact.kind = Kind::Send;
                self.socket(&mut fact, to, pid);
            }
            Deed::Resolve { name, record, .. } => {
                fact.kind = Kind::Resolve;
                fact.name = Cow::Owned(name.lossy().to_ascii_lowercase());
                fact.text = Cow::Borrowed(record.as_bytes());
                fact.number = longest_label(name.as_bytes());
            }
            Deed::Converse(talk) => {
                fact.kind = Kind::Converse;
                fact.name = Cow::Borrowed(&talk.language);
                fact.text = Cow::Borrowed(talk.sent.head.as_bytes());
                fact.number = talk.sent.total;
            }
            Deed::Packet { protocol, .. } => {
                fact.kind = Kind::Packet;
                fact.text = Cow::Borrowed(protocol.as_bytes());
            }
            Deed::Decoy { decoy, used } => {
                if !self.decoy(&mut fact, decoy, used, pid, seen) {
                    return;
                }
            }
            Deed::Audit { name, text } => {
                fact.kind = Kind::Audit;
                fact.name = Cow::Borrowed(name);
                fact.text = Cow::Borrowed(text.as_bytes());
            }
            Deed::Unknown => return,
        }
        self.facts.push(fact);
    }

    fn decoy(
        &self,
        fact: &mut Fact<'r>,
        id: &'r str,
        used: &'r DecoyUse,
        pid: Option<i32>,
        seen: &HashSet<&str>,
    ) -> bool {
        fact.decoy = self.record.decoys.iter().find(|decoy| decoy.id == id);
        fact.name = Cow::Borrowed(id);
        match used {
            DecoyUse::Read { path } => {
                // told already by the opening itself
                if seen.contains(id) {
                    return false;
                }
                fact.kind = Kind::DecoyRead;
                self.place(fact, path, pid);
            }
            DecoyUse::Sent { encoding, .. } => {
                fact.kind = Kind::DecoySent;
                fact.text = Cow::Borrowed(encoding.as_bytes());
            }
            DecoyUse::Argument { encoding, .. } => {
                fact.kind = Kind::DecoyArgument;
                fact.text = Cow::Borrowed(encoding.as_bytes());
                if let Some(Deed::Execute { path, .. }) = fact.deed {
                    self.place(fact, path, pid);
                }
            }
            DecoyUse::Written { encoding, path } => {
                fact.kind = Kind::DecoyWritten;
                fact.text = Cow::Borrowed(encoding.as_bytes());
                self.place(fact, path, pid);
            }
            DecoyUse::Printed { encoding } => {
                fact.kind = Kind::DecoyPrinted;
                fact.text = Cow::Borrowed(encoding.as_bytes());
            }
        }
        true
    }

    fn socket(&self, fact: &mut Fact<'r>, to: &'r Endpoint, pid: Option<i32>) {
        match to {
            Endpoint::Unix(path) if path.as_bytes().first() == Some(&b'/') => self.place(fact, path, pid),
            Endpoint::Unix(path) => {
                let name = path.lossy();
                fact.place = format!("@{}", name.trim_start_matches(['\0', '@']));
                fact.path = Some(Cow::Borrowed(path));
            }
            Endpoint::Ip { .. } => {}
            Endpoint::Other(family) => fact.name = Cow::Borrowed(family),
        }
    }

    fn change(&mut self, site: Site, at: EventRef, change: &'r Change) {
        let kind = match change.what {
            Changed::Added | Changed::Modified => Kind::Write,
            Changed::Deleted => Kind::Remove,
        };
        let mut fact = Self::blank(site, kind, at);
        self.place(&mut fact, &change.path, None);
        fact.change = Some(change);
        fact.name = Cow::Borrowed(match change.what {
            Changed::Added => "added",
            Changed::Modified => "modified",
            Changed::Deleted => "deleted",
        });
        fact.number = change.size.unwrap_or(0);
        self.facts.push(fact);
    }

    fn file(&mut self, site: Site, at: EventRef, file: &'r Written) {
        let mut fact = Self::blank(site, Kind::File, at);
        self.place(&mut fact, &file.path, None);
        fact.file = Some(file);
        fact.text = Cow::Borrowed(file.preview.as_bytes());
        fact.name = Cow::Borrowed(if file.program { "program" } else { "data" });
        fact.number = file.size;
        self.facts.push(fact);
    }

    fn effect(&mut self, site: Site, seq: u64, effect: &'r Effect) {
        let at = EventRef { seq, item: None };
        for survivor in effect
            .survivors
            .iter()
            .filter(|survivor| !survivor.ended_by_itself)
        {
            let mut fact = Self::blank(site, Kind::Survivor, at);
            fact.text = Cow::Owned(line(&survivor.argv));
            self.facts.push(fact);
        }
        for denial in &effect.denials {
            let mut fact = Self::blank(site, Kind::Forbidden, at);
            fact.name = Cow::Borrowed(&denial.call);
            fact.came = Outcome::Refused;
            self.facts.push(fact);
        }
        for contact in &effect.contacts {
            let fact = match contact {
                Contact::Name { name, record, .. } => {
                    let mut fact = Self::blank(site, Kind::Resolve, at);
                    fact.name = Cow::Owned(name.lossy().to_ascii_lowercase());
                    fact.text = Cow::Borrowed(record.as_bytes());
                    fact.number = longest_label(name.as_bytes());
                    fact
                }
                Contact::Address {
                    protocol,
                    address,
                    port,
                    ..
                } => {
                    let mut fact = Self::blank(site, Kind::Packet, at);
                    fact.name = Cow::Borrowed(address);
                    fact.text = Cow::Borrowed(protocol.as_bytes());
                    fact.number = u64::from(port.unwrap_or(0));
                    fact
                }
            };
            self.facts.push(fact);
        }
        if let Some(limit) = effect.limit {
            let mut fact = Self::blank(site, Kind::Limit, at);
            fact.name = Cow::Borrowed(limit_word(limit));
            self.facts.push(fact);
        }
        let (wall, cpu) = (effect.cost.wall_s, effect.cost.cpu_s());
        if wall.is_finite() && wall >= IDLE_S && cpu <= wall * IDLE_CPU {
            let mut fact = Self::blank(site, Kind::Idle, at);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "seconds of a command, finite and positive"
            )]
            let seconds = wall as u64;
            fact.number = seconds;
            self.facts.push(fact);
        }
    }

    fn raw(&mut self, site: Site, at: EventRef, raw: &'r RawData) {
        match raw {
            RawData::Install(install) => {
                for script in &install.scripts {
                    let mut fact = Self::blank(site, Kind::Script, at);
                    fact.name = script.lossy();
                    fact.text = Cow::Borrowed(script.as_bytes());
                    self.facts.push(fact);
                }
                for path in &install.executable_pth {
                    let mut fact = Self::blank(site, Kind::PathFile, at);
                    self.place(&mut fact, path, None);
                    fact.name = Cow::Borrowed(if pathfile::is_known(self.record, path) {
                        "known"
                    } else {
                        "unknown"
                    });
                    self.facts.push(fact);
                }
            }
            RawData::Start(start) => {
                let known = pathfile::all_known(self.record);
                let mut differs = |name: &'static str, text: Cow<'r, [u8]>| {
                    let mut fact = Self::blank(site, Kind::StartDiffers, at);
                    fact.name = Cow::Borrowed(name);
                    fact.text = text;
                    self.facts.push(fact);
                };
                for module in &start.new_modules {
                    let name = if known { "known_module" } else { "module" };
                    differs(name, Cow::Borrowed(module.as_bytes()));
                }
                for path in &start.new_paths {
                    differs("path", Cow::Borrowed(path.as_bytes()));
                }
                for event in &start.new_events {
                    let name = if known { "known_event" } else { "event" };
                    differs(name, Cow::Borrowed(event.as_bytes()));
                }
                if start.spoke {
                    differs("output", Cow::Borrowed(b"it printed something"));
                }
                if start.changed_files > 0 {
                    differs(
                        "files",
                        Cow::Owned(format!("{} files changed", start.changed_files).into_bytes()),
                    );
                }
            }
            RawData::Build(build) => {
                let Some(published) = &build.published else { return };
                let named = [
                    ("different", &published.different),
                    ("only_published", &published.only_published),
                ];
                for (name, paths) in named {
                    for path in paths {
                        let mut fact = Self::blank(site, Kind::WheelDiffers, at);
                        fact.place = path.lossy().into_owned();
                        fact.path = Some(Cow::Borrowed(path));
                        fact.name = Cow::Borrowed(name);
                        self.facts.push(fact);
                    }
                }
            }
            _ => {}
        }
    }
}

/// Arguments as one line.
pub(super) fn line(argv: &[Foreign]) -> Vec<u8> {
    const MOST: usize = 8 << 10;
    let mut out = Vec::new();
    for (number, argument) in argv.iter().enumerate() {
        if number > 0 {
            out.push(b' ');
        }
        let room = MOST.saturating_sub(out.len());
        let bytes = argument.as_bytes();
        out.extend_from_slice(&bytes[..bytes.len().min(room)]);
        if out.len() >= MOST {
            break;
        }
    }
    out
}

fn longest_label(name: &[u8]) -> u64 {
    name.split(|byte| *byte == b'.')
        .map(|label| label.len() as u64)
        .max()
        .unwrap_or(0)
}

fn limit_word(limit: Limit) -> &'static str {
    match limit {
        Limit::Wall => "wall",
        Limit::Cpu => "cpu",
        Limit::Inactivity => "inactivity",
        Limit::Memory => "memory",
        Limit::Processes => "processes",
        Limit::Disk => "disk",
        Limit::Output => "output",
    }
}
