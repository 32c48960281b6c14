//! Adds to a trace which decoys were used, and how.

use std::collections::BTreeSet;

use pyti_model::Foreign;
use pyti_model::effect::Captured;
use pyti_model::trace::{Act, Conversation, Decoy, DecoyPlace, DecoyUse, Deed, Result, Trace};

use crate::machine;
use crate::search::{Hit, Needles};

/// Acts that are added to one trace.
const MOST: usize = 4096;
/// New names of decoys that are followed.
const MOST_NAMES: usize = 256;

/// What a command left besides its trace.
#[derive(Debug, Clone, Copy, Default)]
pub struct Output<'a> {
    /// What it printed.
    pub stdout: Option<&'a Captured>,
    /// What it printed as errors.
    pub stderr: Option<&'a Captured>,
    /// Files that it wrote: path, and bytes.
    pub written: &'a [(Foreign, &'a [u8])],
}

/// What [`annotate`] did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Annotated {
    /// Acts that were added.
    pub added: usize,
    /// Whether a cap was reached in something that left the process, was printed or named as an argument: a decoy may
    /// have gone out with it, unseen.
    pub cut: bool,
    /// Whether a cap was reached in a file that was written. What leaves it later is searched then.
    pub cut_files: bool,
}

/// Appends a [`Deed::Decoy`] for each use of a decoy that the trace or the output shows. Places of the acts that were
/// there stay as they are. To be called once for a trace.
///
/// A file counts as read when it was opened for reading and that did not fail, also under a name that it got by a
/// rename or link which the trace shows. A secret counts as sent when it is in what was sent, in a question, its
/// header fields or its body, or in names that were asked for; as an argument when it is in the arguments of one
/// execution.
pub fn annotate(trace: &mut Trace, decoys: &[Decoy], needles: &Needles, output: &Output<'_>) -> Annotated {
    let mut notes = Notes {
        needles,
        acts: Vec::new(),
        read: BTreeSet::new(),
        cut: false,
    };
    notes.opened(&trace.acts, decoys);
    for (place, act) in (0..).zip(&trace.acts) {
        match &act.deed {
            Deed::Execute { argv, .. } => notes.executed(place, act, argv),
            Deed::Converse(conversation) => notes.conversed(place, act, conversation),
            _ => {}
        }
    }
    notes.resolved(&trace.acts);
    let end = trace.acts.iter().map(|act| act.at_us).max().unwrap_or(0);
    notes.printed(end, output);
    let cut = notes.cut;
    notes.cut = false;
    notes.wrote(end, decoys, output);
    let added = notes.acts.len();
    trace.acts.append(&mut notes.acts);
    Annotated {
        added,
        cut,
        cut_files: notes.cut,
    }
}

/// Uses of decoys, as they are found.
struct Notes<'a> {
    needles: &'a Needles,
    acts: Vec<Act>,
    /// Who read which decoy under which name: once is enough.
    read: BTreeSet<(Option<u32>, String, Foreign)>,
    cut: bool,
}

impl Notes<'_> {
    fn note(&mut self, at_us: u64, process: Option<u32>, result: Result, decoy: String, used: DecoyUse) {
        if self.acts.len() >= MOST {
            self.cut = true;
            return;
        }
        self.acts.push(Act {
            at_us,
            process,
            result,
            times: 1,
            deed: Deed::Decoy { decoy, used },
        });
    }

    fn opened(&mut self, acts: &[Act], decoys: &[Decoy]) {
        let mut names = Names::default();
        for act in acts {
            if matches!(act.result, Result::Failed(_) | Result::Refused) {
                continue;
            }
            match &act.deed {
                Deed::Rename { from, to } => names.renamed(from, to),
                Deed::Link { path, to, .. } => names.linked(path, to),
                Deed::Open { path, access } if access.read => {
                    let real = names.real(&path.lossy());
                    let lies_there = |d: &&Decoy| {
                        d.family != machine::FAMILY && matches!(&d.place, DecoyPlace::File(p) if *p == real)
                    };
                    let Some(decoy) = decoys.iter().find(lies_there) else {
                        continue;
                    };
                    if self.read.insert((act.process, decoy.id.clone(), path.clone())) {
                        let used = DecoyUse::Read { path: path.clone() };
                        self.note(act.at_us, act.process, act.result.clone(), decoy.id.clone(), used);
                    }
                }
                _ => {}
            }
        }
    }

    fn executed(&mut self, place: u32, act: &Act, argv: &[Foreign]) {
        let arguments: Vec<&[u8]> = argv.iter().map(Foreign::as_bytes).collect();
        for hit in self.find(&[arguments.join(&b'\n')]) {
            let used = DecoyUse::Argument {
                encoding: hit.encoding,
                act: place,
            };
            self.note(act.at_us, act.process, act.result.clone(), hit.decoy, used);
        }
    }

    fn conversed(&mut self, place: u32, act: &Act, conversation: &Conversation) {
        let mut texts = Vec::new();
        for exchange in &conversation.exchanges {
            let mut head = Vec::new();
            let fields = exchange.headers.iter().flat_map(|(name, value)| [name, value]);
            for part in [&exchange.verb, &exchange.target]
                .into_iter()
                .chain(&exchange.host)
                .chain(fields)
            {
                head.extend_from_slice(part.as_bytes());
                head.push(b'\n');
            }
            texts.push(head);
            texts.extend(kept(&exchange.body));
        }
        texts.extend(kept(&conversation.sent));
        let mut hits = self.find(&texts);
        let told = conversation.tls.as_ref().and_then(|tls| tls.server_name.as_ref());
        for name in conversation.host.iter().chain(told) {
            for hit in self.needles.search_name(name.as_bytes()) {
                keep_first(&mut hits, hit);
            }
        }
        for hit in hits {
            let used = DecoyUse::Sent {
                encoding: hit.encoding,
                act: place,
            };
            self.note(act.at_us, act.process, act.result.clone(), hit.decoy, used);
        }
    }

    /// Names that were asked for: of all processes together, since a name service or a child for each question
    /// would spread them.
    fn resolved(&mut self, acts: &[Act]) {
        let asked: Vec<(u32, &Act, &Foreign)> = (0..)
            .zip(acts)
            .filter_map(|(place, act)| match &act.deed {
                Deed::Resolve { name, .. } => Some((place, act, name)),
                _ => None,
            })
            .collect();
        if asked.is_empty() {
            return;
        }
        let looked = self
            .needles
            .look_at_names(asked.iter().map(|(_, _, name)| name.as_bytes()));
        self.cut |= looked.cut;
        for hit in looked.hits {
            let Some((place, act, _)) = asked.get(hit.offset) else {
                continue;
            };
            let used = DecoyUse::Sent {
                encoding: hit.encoding,
                act: *place,
            };
            self.note(act.at_us, act.process, act.result.clone(), hit.decoy, used);
        }
    }

    fn printed(&mut self, end: u64, output: &Output<'_>) {
        let printed: Vec<Vec<u8>> = output
            .stdout
            .iter()
            .chain(&output.stderr)
            .flat_map(|captured| kept(captured))
            .collect();
        for hit in self.find(&printed) {
            let used = DecoyUse::Printed {
                encoding: hit.encoding,
            };
            self.note(end, None, Result::Done, hit.decoy, used);
        }
    }

    fn wrote(&mut self, end: u64, decoys: &[Decoy], output: &Output<'_>) {
        for (path, bytes) in output.written {
            for hit in self.find(&[bytes]) {
                // a decoy's own file holds its secret, also after something was added to it
                let own = decoys.iter().any(|d| {
                    d.id == hit.decoy
                        && matches!(&d.place, DecoyPlace::File(own) if own.as_bytes() == path.as_bytes())
                });
                if !own {
                    let used = DecoyUse::Written {
                        encoding: hit.encoding,
                        path: path.clone(),
                    };
                    self.note(end, None, Result::Done, hit.decoy, used);
                }
            }
        }
    }

    /// The first hit of each decoy.
    fn find(&mut self, texts: &[impl AsRef<[u8]>]) -> Vec<Hit> {
        let mut out = Vec::new();
        for text in texts {
            let looked = self.needles.look(text.as_ref());
            self.cut |= looked.cut;
            for hit in looked.hits {
                keep_first(&mut out, hit);
            }
        }
        out
    }
}

fn keep_first(hits: &mut Vec<Hit>, hit: Hit) {
    if !hits.iter().any(|known| known.decoy == hit.decoy) {
        hits.push(hit);
    }
}

/// What was kept of a stream: one text, or two when the middle is missing.
fn kept(captured: &Captured) -> Vec<Vec<u8>> {
    let (head, tail) = (captured.head.as_bytes(), captured.tail.as_bytes());
    let mut texts = if captured.dropped() == 0 {
        vec![[head, tail].concat()]
    } else {
        vec![head.to_vec(), tail.to_vec()]
    };
    texts.retain(|text| !text.is_empty());
    texts
}

/// Names that files got while a command ran.
#[derive(Default)]
struct Names {
    /// New name, and what it is a name of.
    given: Vec<(String, String)>,
}

impl Names {
    fn renamed(&mut self, from: &Foreign, to: &Foreign) {
        let from = self.real(&from.lossy());
        self.give(&to.lossy(), from);
    }

    fn linked(&mut self, path: &Foreign, to: &Foreign) {
        let (path, to) = (path.lossy(), to.lossy());
        let to = if to.starts_with('/') {
            self.real(&to)
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            self.real(&format!("{folder}/{to}"))
        };
        self.give(&path, to);
    }

    fn give(&mut self, name: &str, of: String) {
        let name = plain(name);
        if name != of && self.given.len() < MOST_NAMES {
            self.given.push((name, of));
        }
    }

    /// The name that a file had at first.
    fn real(&self, path: &str) -> String {
        let mut path = plain(path);
        for (name, of) in self.given.iter().rev() {
            if let Some(rest) = path.strip_prefix(name.as_str())
                && (rest.is_empty() || rest.starts_with('/'))
            {
                path = format!("{of}{rest}");
            }
        }
        path
    }
}

/// Without `.`, `..`, doubled slashes, and a process's own view of the root in front.
fn plain(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
        if let ["proc", process, "root"] = parts[..]
            && (process == "self" || process == "thread-self" || process.bytes().all(|b| b.is_ascii_digit()))
        {
            parts.clear();
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
#[path = "annotate_tests.rs"]
mod tests;
