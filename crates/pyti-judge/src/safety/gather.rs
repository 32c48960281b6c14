//! Facts of traces: each act under the word that rules know.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use pyti_model::Foreign;
use pyti_model::trace::{Act, Decoy, DecoyPlace, DecoyUse, Deed, Endpoint, EventRef, Form};

use super::facts::{Fact, Outcome};
use super::kind::{Kind, Phase};
use super::other_names::OtherNames;
use super::place::Layout;
use super::tree::{self, Running, Tree};
use super::wire::{is_resolver, is_silent, longest_label};
use crate::record::{JobRecord, RecordedTrace, TaskRecord};

/// Gathers facts, task by task.
pub(super) struct Gathering<'r> {
    layout: Layout,
    pub(super) record: &'r JobRecord,
    pub(super) facts: Vec<Fact<'r>>,
    programs: Vec<String>,
    numbers: HashMap<String, u32>,
    commands: u32,
    others: OtherNames,
}

/// What all facts of one task share.
#[derive(Clone, Copy)]
pub(super) struct Site {
    pub(super) task: usize,
    pub(super) phase: Phase,
}

impl<'r> Gathering<'r> {
    /// All facts of a recording, in order, and the programs that they name.
    pub(super) fn of(record: &'r JobRecord) -> (Vec<Fact<'r>>, Vec<String>) {
        let mut gathering = Self {
            layout: Layout::of(record),
            record,
            facts: Vec::new(),
            programs: Vec::new(),
            numbers: HashMap::new(),
            commands: 0,
            others: OtherNames::default(),
        };
        for (number, task) in record.tasks.iter().enumerate() {
            gathering.task(number, task);
        }
        gathering.name_addresses();
        (gathering.facts, gathering.programs)
    }

    /// Addresses get the names by which they were asked for or spoken to, to be told by.
    fn name_addresses(&mut self) {
        let mut names: HashMap<IpAddr, String> = HashMap::new();
        for fact in &self.facts {
            match fact.deed {
                Some(Deed::Resolve { name, answer, .. }) => {
                    for address in answer.iter().filter_map(|answer| answer.parse().ok()) {
                        names
                            .entry(address)
                            .or_insert_with(|| name.lossy().to_ascii_lowercase());
                    }
                }
                Some(Deed::Converse(talk)) => {
                    if let Some(host) = fact.hosts().into_iter().next() {
                        names.entry(talk.address).or_insert_with(|| host.into_owned());
                    }
                }
                _ => {}
            }
        }
        for fact in &mut self.facts {
            if matches!(fact.kind, Kind::Connect | Kind::Send | Kind::Packet)
                && let Some((address, _)) = fact.address()
            {
                fact.alias = names.get(&address).cloned();
            }
        }
    }

    fn task(&mut self, number: usize, task: &'r TaskRecord) {
        let site = Site {
            task: number,
            phase: Phase::of(&task.name),
        };
        for trace in &task.traces {
            self.trace(site, task, trace);
        }
        if (task.preparation || site.phase == Phase::Other) && task.traces.is_empty() {
            // what is prepared, unpacked or read by us is not the package's doing
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
            if !is_watched(task, recorded.seq) {
                self.names(site, recorded.seq, &recorded.effect, None);
                self.packets(site, recorded.seq, &recorded.effect);
            }
        }
        self.idle(site, task);
        if let Some(raw) = &task.raw {
            let seq = task.ended_seq.unwrap_or_default();
            self.raw(site, EventRef { seq, item: None }, raw);
        }
    }

    pub(super) fn blank(site: Site, kind: Kind, at: EventRef) -> Fact<'r> {
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
            alias: None,
            name: Cow::Borrowed(""),
            text: Cow::Borrowed(b""),
            number: 0,
            times: 1,
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
        let effect = task.effects.iter().rev().find(|effect| effect.seq < recorded.seq);
        let own_argv = effect.map(|effect| effect.effect.argv.as_slice());
        if let Some(effect) = effect {
            // when a name was asked for is not known where nobody answers: before everything, so that it follows nothing
            self.names(site, effect.seq, &effect.effect, Some(command));
        }
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
            fact.times = act.times.max(1);
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
            fact.by = process.and_then(|process| {
                running.program(trace, process).or_else(|| {
                    let place = self.layout.place(tree::executable(trace, process)?, pid, false);
                    Some(self.program(place))
                })
            });
            if let Deed::Execute { path, argv, .. } = &act.deed {
                let is_own = own_is_open
                    && act.process == Some(0)
                    && own_argv.is_some_and(|own| own == argv.as_slice());
                // only what surely came about: else who tries a program would pass for that program
                if let Some(process) = act.process
                    && fact.came == Outcome::Done
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
                && let Some(decoy) = self.decoy_at(&decoys, path)
            {
                seen_open.insert((process, decoy.id.as_str()));
                let mut read = fact.clone();
                read.kind = Kind::DecoyRead;
                read.decoy = Some(decoy);
                read.path = Some(Cow::Borrowed(path));
                read.place = self.layout.place(path, pid, true);
                self.facts.push(read);
            }
            let first = self.facts.len();
            self.act(fact, pid, &act.deed, &seen_open);
            self.under_other_names(first, pid);
            if fact_failed(act) {
                continue;
            }
            match &act.deed {
                Deed::Link { path, to, .. } => self.others.note(path, to),
                Deed::Rename { from, to } => self.others.note(to, from),
                _ => {}
            }
        }
    }

    /// What was done to a file under one name was done to it under its others.
    fn under_other_names(&mut self, first: usize, pid: Option<i32>) {
        for number in first..self.facts.len() {
            let fact = &self.facts[number];
            if !matches!(
                fact.kind,
                Kind::Read
                    | Kind::Write
                    | Kind::Truncate
                    | Kind::Remove
                    | Kind::List
                    | Kind::Look
                    | Kind::Mode
            ) {
                continue;
            }
            let Some(real) = fact.path.as_ref().and_then(|path| self.others.real(path)) else {
                continue;
            };
            let mut other = fact.clone();
            other.place = self.layout.place(&real, pid, fact.phase != Phase::Install);
            if other.place != fact.place {
                other.path = Some(Cow::Owned(real));
                self.facts.push(other);
            }
        }
    }

    fn decoy_at(&self, decoys: &HashMap<&[u8], &'r Decoy>, path: &Foreign) -> Option<&'r Decoy> {
        if let Some(decoy) = decoys.get(path.as_bytes()) {
            return Some(decoy);
        }
        let real = self.others.real(path)?;
        decoys.get(real.as_bytes()).copied()
    }

    /// The file that an interpreter is given to run: its first argument that is no option.
    fn script(&self, argv: &[Foreign], cwd: &Foreign, pid: Option<i32>) -> String {
        let first = argv
            .iter()
            .skip(1)
            .take(8)
            .find(|argument| !argument.as_bytes().starts_with(b"-"));
        let Some(first) = first.filter(|argument| !argument.is_empty()) else {
            return String::new();
        };
        if first.as_bytes().starts_with(b"/") {
            return self.layout.place(first, pid, true);
        }
        let joined = [cwd.as_bytes(), first.as_bytes()].join(&b'/');
        self.layout.place(&Foreign::new(joined), pid, true)
    }

    pub(super) fn place(&self, fact: &mut Fact<'r>, path: &'r Foreign, pid: Option<i32>) {
        fact.place = self.layout.place(path, pid, fact.phase != Phase::Install);
        fact.path = Some(Cow::Borrowed(path));
    }

    fn act(&mut self, mut fact: Fact<'r>, pid: Option<i32>, deed: &'r Deed, seen: &Seen<'_>) {
        match deed {
            Deed::Execute { path, argv, cwd, .. } => {
                fact.kind = Kind::Execute;
                self.place(&mut fact, path, pid);
                fact.from = self.script(argv, cwd, pid);
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
                let mut gone = fact.clone();
                gone.kind = Kind::Remove;
                gone.place.clone_from(&fact.from);
                gone.path = Some(Cow::Borrowed(from));
                self.facts.push(gone);
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
                // as its file would be named
                fact.place = String::from("{other}/mem");
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
            Deed::Connect { to, .. } | Deed::Send { to } | Deed::Packet { to, .. }
                if is_resolver(to) || is_silent(deed) =>
            {
                return;
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
        seen: &Seen<'_>,
    ) -> bool {
        fact.decoy = self.record.decoys.iter().find(|decoy| decoy.id == id);
        fact.name = Cow::Borrowed(id);
        match used {
            DecoyUse::Read { path } => {
                // told already by the opening itself
                if seen.contains(&(fact.process, id)) {
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
                fact.place = format!("abstract:{}", name.trim_start_matches(['\0', '@']));
                fact.path = Some(Cow::Borrowed(path));
            }
            Endpoint::Ip { .. } => {}
            Endpoint::Other(family) => fact.name = Cow::Borrowed(family),
        }
    }
}

/// Who was seen opening which decoy.
type Seen<'r> = HashSet<(Option<u32>, &'r str)>;

fn fact_failed(act: &Act) -> bool {
    Outcome::from(&act.result) == Outcome::Failed
}

/// Whether what the processes of a command did was watched.
fn is_watched(task: &TaskRecord, effect: u64) -> bool {
    let next = task
        .effects
        .iter()
        .map(|other| other.seq)
        .find(|seq| *seq > effect);
    task.traces.iter().any(|recorded| {
        recorded.seq > effect
            && next.is_none_or(|next| recorded.seq < next)
            && recorded.trace.form != Form::None
    })
}
