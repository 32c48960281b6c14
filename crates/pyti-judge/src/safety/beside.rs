//! Facts that no trace tells: changes of layers, what files hold, what commands cost, raw data of tasks.

use std::borrow::Cow;

use pyti_model::effect::{Change, Changed, Contact, Effect, Limit};
use pyti_model::raw::RawData;
use pyti_model::trace::{EventRef, Written};

use super::facts::{Outcome, line};
use super::gather::{Gathering, Site};
use super::kind::Kind;
use super::pathfile;
use super::wire::longest_label;
use crate::record::{RecordedEffect, TaskRecord};

/// Wall-clock seconds of a command above which next to no work is odd.
const IDLE_S: f64 = 40.0;
/// CPU seconds that still count as next to no work: an interpreter starts and waits. No part of the wall-clock time, because
/// on a machine with much to do whoever works waits too.
const IDLE_CPU_S: f64 = 1.5;

impl<'r> Gathering<'r> {
    pub(super) fn change(&mut self, site: Site, at: EventRef, change: &'r Change) {
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

    pub(super) fn file(&mut self, site: Site, at: EventRef, file: &'r Written) {
        let mut fact = Self::blank(site, Kind::File, at);
        self.place(&mut fact, &file.path, None);
        fact.file = Some(file);
        fact.text = Cow::Borrowed(file.preview.as_bytes());
        fact.name = Cow::Borrowed(if file.program { "program" } else { "data" });
        fact.number = file.size;
        self.facts.push(fact);
    }

    pub(super) fn effect(&mut self, site: Site, seq: u64, effect: &'r Effect) {
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
        if let Some(limit) = effect.limit {
            let mut fact = Self::blank(site, Kind::Limit, at);
            fact.name = Cow::Borrowed(limit_word(limit));
            self.facts.push(fact);
        }
    }

    /// Names that a command asked for, as its effect tells them.
    pub(super) fn names(&mut self, site: Site, seq: u64, effect: &'r Effect, command: Option<u32>) {
        for contact in &effect.contacts {
            let Contact::Name { name, record, .. } = contact else {
                continue;
            };
            let mut fact = Self::blank(site, Kind::Resolve, EventRef { seq, item: None });
            fact.command = command;
            fact.name = Cow::Owned(name.lossy().to_ascii_lowercase());
            fact.text = Cow::Borrowed(record.as_bytes());
            fact.number = longest_label(name.as_bytes());
            self.facts.push(fact);
        }
    }

    /// Addresses that packets went to, where no trace tells who sent them.
    pub(super) fn packets(&mut self, site: Site, seq: u64, effect: &'r Effect) {
        for contact in &effect.contacts {
            let Contact::Address {
                protocol,
                address,
                port,
                ..
            } = contact
            else {
                continue;
            };
            let mut fact = Self::blank(site, Kind::Packet, EventRef { seq, item: None });
            fact.name = Cow::Borrowed(address);
            fact.text = Cow::Borrowed(protocol.as_bytes());
            fact.number = u64::from(port.unwrap_or(0));
            self.facts.push(fact);
        }
    }

    /// Commands that took long and did next to nothing. A command that is run several times (on a network that answers, and
    /// on one that does not) is as idle as in the shortest run: who waits for answers that never come is not idle.
    pub(super) fn idle(&mut self, site: Site, task: &'r TaskRecord) {
        let mut shortest: Vec<&RecordedEffect> = Vec::new();
        for recorded in &task.effects {
            let same = |known: &&mut &RecordedEffect| {
                known.attempt == recorded.attempt && known.effect.argv == recorded.effect.argv
            };
            match shortest.iter_mut().find(same) {
                Some(known) if known.effect.cost.wall_s <= recorded.effect.cost.wall_s => {}
                Some(known) => *known = recorded,
                None => shortest.push(recorded),
            }
        }
        for recorded in shortest {
            let cost = &recorded.effect.cost;
            let (wall, cpu) = (cost.wall_s, cost.cpu_s());
            if !wall.is_finite() || wall < IDLE_S || cpu > IDLE_CPU_S {
                continue;
            }
            let at = EventRef {
                seq: recorded.seq,
                item: None,
            };
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

    pub(super) fn raw(&mut self, site: Site, at: EventRef, raw: &'r RawData) {
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
            RawData::Import(import) => {
                for module in &import.modules {
                    let Some(file) = &module.file else { continue };
                    let mut fact = Self::blank(site, Kind::Module, at);
                    self.place(&mut fact, file, None);
                    fact.name = module.module.lossy();
                    fact.text = Cow::Borrowed(module.module.as_bytes());
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
                    // what is more than byte code of what is known is seen by the trace
                    let name = if known { "known_files" } else { "files" };
                    differs(
                        name,
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
