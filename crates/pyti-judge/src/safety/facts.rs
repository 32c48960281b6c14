//! What a recording says, as facts: one kind for each word that rules know, whatever source it comes from.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

use pyti_model::Foreign;
use pyti_model::effect::Change;
use pyti_model::trace::{Decoy, Deed, Endpoint, EventRef, Result as Came, Transport, Written};

use super::gather::Gathering;
use super::kind::{Kind, Phase};
use crate::record::JobRecord;

/// Whether an act came about; the three are never mixed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
    /// Where it was before, for renames; for executions the file that an interpreter was given.
    pub(super) from: String,
    /// The program of the process that did it: a place in [`Facts::programs`].
    pub(super) by: Option<u32>,
    /// The path as it was recorded.
    pub(super) path: Option<Cow<'r, Foreign>>,
    pub(super) deed: Option<&'r Deed>,
    pub(super) change: Option<&'r Change>,
    pub(super) file: Option<&'r Written>,
    pub(super) decoy: Option<&'r Decoy>,
    /// The name of the address, where it has one.
    pub(super) alias: Option<String>,
    /// A call, a script, a limit: what has a name.
    pub(super) name: Cow<'r, str>,
    /// What was said or given: text that came from the package.
    pub(super) text: Cow<'r, [u8]>,
    pub(super) number: u64,
    /// How often in a row.
    pub(super) times: u32,
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
        let (facts, programs) = Gathering::of(record);
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
                // in other languages who asks names himself
                if matches!(
                    talk.language.as_str(),
                    "http" | "websocket" | "metadata" | "relayed"
                ) {
                    hosts.extend(
                        talk.exchanges
                            .iter()
                            .filter_map(|exchange| exchange.host.as_ref()),
                    );
                }
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
            _ => self
                .alias
                .iter()
                .map(|name| Cow::Borrowed(name.as_str()))
                .collect(),
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

    /// Whether it is about a socket of the file system, or one by which a process speaks with the kernel.
    pub(super) fn is_unix(&self) -> bool {
        match self.deed {
            Some(Deed::Connect { to, transport }) => {
                *transport == Transport::Unix || !matches!(to, Endpoint::Ip { .. })
            }
            Some(Deed::Bind { to } | Deed::Send { to }) => !matches!(to, Endpoint::Ip { .. }),
            Some(Deed::Listen { at }) => matches!(at, Some(Endpoint::Unix(_) | Endpoint::Other(_))),
            _ => false,
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
