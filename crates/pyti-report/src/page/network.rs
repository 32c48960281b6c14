//! What was tried on the network: every name, every connection, who made it, what was said and answered.

use std::collections::BTreeMap;

use pyti_model::trace::{Act, Conversation, Deed, Endpoint};

use super::lit::{self, Lit};
use super::safe::{event_anchor, process_anchor};
use crate::deeds;
use crate::seen::{Seen, Traced};
use crate::sentences::{shown, shown_str};
use crate::talk::{self, Body, Talk};
use crate::words::{bytes, number};

/// Names that are listed.
const NAMES: usize = 200;
/// Conversations that are listed.
const TALKS: usize = 200;
/// Other acts that are listed.
const OTHERS: usize = 200;
/// Bytes of text of all conversations of one file's part of the page.
const TEXT: usize = 700_000;

/// The network of one file.
#[derive(Default)]
pub(crate) struct NetworkPart {
    pub(crate) names: Vec<NamePart>,
    pub(crate) names_more: usize,
    pub(crate) talks: Vec<TalkPart>,
    pub(crate) talks_more: usize,
    pub(crate) others: Vec<OtherPart>,
    pub(crate) others_more: usize,
}

impl NetworkPart {
    /// Whether nothing was tried.
    pub(crate) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.talks.is_empty() && self.others.is_empty()
    }
}

/// A process, and where on the page it is.
pub(crate) struct Who {
    pub(crate) name: String,
    pub(crate) href: Option<String>,
}

/// A name that was asked for.
pub(crate) struct NamePart {
    pub(crate) class: String,
    pub(crate) task: String,
    pub(crate) name: String,
    pub(crate) record: String,
    pub(crate) answer: String,
    pub(crate) who: Who,
    pub(crate) times: String,
}

/// What is one line of the table: trace, name, type, process.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct NameKey(usize, String, String, Option<u32>);

/// A conversation.
pub(crate) struct TalkPart {
    pub(crate) anchor: String,
    /// Where evidence points to, where it does.
    pub(crate) evidence: Option<String>,
    pub(crate) class: String,
    pub(crate) numbers: String,
    pub(crate) task: String,
    pub(crate) when: String,
    pub(crate) title: String,
    pub(crate) whom: String,
    pub(crate) who: Who,
    pub(crate) facts: Vec<(&'static str, String)>,
    /// The certificate was refused: nothing could be read.
    pub(crate) refused: Option<String>,
    pub(crate) hidden: Vec<String>,
    pub(crate) talks: Vec<Talk>,
    pub(crate) more: usize,
    pub(crate) sent: Option<Body>,
    pub(crate) open: bool,
}

/// Something else: an address that was listened at, packets, a connection without a conversation.
pub(crate) struct OtherPart {
    pub(crate) class: String,
    pub(crate) task: String,
    pub(crate) when: String,
    pub(crate) text: String,
    pub(crate) who: Who,
}

/// The network of a job. `has` says whether an anchor is on the page.
pub(crate) fn part(job: usize, seen: &Seen<'_>, lit: &Lit, has: &dyn Fn(&str) -> bool) -> NetworkPart {
    let mut part = NetworkPart::default();
    let mut budget = TEXT;
    let mut names: BTreeMap<NameKey, (u64, NamePart)> = BTreeMap::new();
    // what findings point to comes first where room is short
    let mut talks: Vec<(bool, usize, u32, &Act, &Conversation)> = Vec::new();
    let mut others: Vec<(bool, usize, u32, &Act)> = Vec::new();
    for (t, traced) in seen.traces.iter().enumerate() {
        let spoken: std::collections::BTreeSet<(std::net::IpAddr, u16)> = traced
            .trace
            .acts
            .iter()
            .filter_map(|act| match &act.deed {
                Deed::Converse(talk) => Some((talk.address, talk.port)),
                _ => None,
            })
            .collect();
        for (at, act) in (0_u32..).zip(&traced.trace.acts) {
            let named = lit.place(traced.seq, at).is_some();
            match &act.deed {
                Deed::Resolve { name, record, answer } => {
                    let key = NameKey(t, shown(name), shown_str(record), act.process);
                    let entry = names.entry(key).or_insert_with(|| {
                        let answer = if answer.is_empty() {
                            "no such name".to_owned()
                        } else {
                            let all: Vec<String> = answer.iter().map(|a| shown_str(a)).collect();
                            crate::words::some(&all, 4)
                        };
                        (
                            0,
                            NamePart {
                                class: String::new(),
                                task: shown_str(traced.task),
                                name: shown(name),
                                record: shown_str(record),
                                answer,
                                who: who(job, traced, act, has),
                                times: String::new(),
                            },
                        )
                    });
                    entry.0 += u64::from(act.times);
                    if named && entry.1.class.is_empty() {
                        entry.1.class = lit::class(lit.place(traced.seq, at));
                    }
                }
                Deed::Converse(talk) => talks.push((!named, t, at, act, talk)),
                Deed::Connect {
                    to: Endpoint::Ip { address, port },
                    ..
                }
                | Deed::Send {
                    to: Endpoint::Ip { address, port },
                } if !named && spoken.contains(&(*address, *port)) => {}
                Deed::Bind { .. }
                | Deed::Listen { .. }
                | Deed::Connect { .. }
                | Deed::Send { .. }
                | Deed::Packet { .. } => others.push((!named, t, at, act)),
                _ => {}
            }
        }
    }
    part.names_more = names.len().saturating_sub(NAMES);
    let mut names: Vec<(u64, NamePart)> = names.into_values().collect();
    names.sort_by_key(|(_, part)| part.class.is_empty());
    part.names = names
        .into_iter()
        .take(NAMES)
        .map(|(times, name)| NamePart {
            times: number(times),
            ..name
        })
        .collect();

    talks.sort_by_key(|(unnamed, t, at, ..)| (*unnamed, *t, *at));
    let all = talks.len();
    let mut kept: Vec<(usize, u32, TalkPart)> = Vec::new();
    for (unnamed, t, at, act, talk) in talks.into_iter().take(TALKS) {
        let Some(traced) = seen.traces.get(t) else {
            continue;
        };
        let new = talk_part(job, seen, traced, at, act, talk, lit, !unnamed, has);
        let size = new.size();
        if size > budget {
            break;
        }
        budget -= size;
        kept.push((t, at, new));
    }
    kept.sort_by_key(|(t, at, _)| (*t, *at));
    part.talks_more = all - kept.len();
    part.talks = kept.into_iter().map(|(_, _, part)| part).collect();

    others.sort_by_key(|(unnamed, t, at, _)| (*unnamed, *t, *at));
    part.others_more = others.len().saturating_sub(OTHERS);
    others.truncate(OTHERS);
    others.sort_by_key(|(_, t, at, _)| (*t, *at));
    part.others = others
        .into_iter()
        .filter_map(|(_, t, at, act)| {
            let traced = seen.traces.get(t)?;
            let named = lit.place(traced.seq, at);
            Some(OtherPart {
                class: lit::class(named),
                task: shown_str(traced.task),
                when: deeds::at(act.at_us),
                text: deeds::say(act, traced).line(),
                who: who(job, traced, act, has),
            })
        })
        .collect();
    part
}

fn who(job: usize, traced: &Traced<'_>, act: &Act, has: &dyn Fn(&str) -> bool) -> Who {
    let process = act.process.and_then(|n| usize::try_from(n).ok());
    let Some((n, process)) = process.and_then(|n| traced.trace.processes.get(n).map(|process| (n, process)))
    else {
        return Who {
            name: "not known".to_owned(),
            href: None,
        };
    };
    let anchor = process_anchor(job, traced.seq, n);
    Who {
        name: deeds::short_process(process).0,
        href: has(&anchor).then_some(anchor),
    }
}

#[expect(clippy::too_many_arguments, reason = "all of it is one entry of the page")]
fn talk_part(
    job: usize,
    seen: &Seen<'_>,
    traced: &Traced<'_>,
    at: u32,
    act: &Act,
    talk: &Conversation,
    lit: &Lit,
    open: bool,
    has: &dyn Fn(&str) -> bool,
) -> TalkPart {
    let named = lit.place(traced.seq, at);
    let needles = talk::needles(seen, traced, at);
    let (talks, more) = talk::talks(talk, &needles);
    let mut facts = vec![
        ("spoken", deeds::language(talk)),
        ("carried by", deeds::transport_word(talk.transport).to_owned()),
    ];
    if let Some(tls) = &talk.tls {
        if let Some(name) = &tls.server_name {
            facts.push(("TLS asked for", shown(name)));
        }
        if !tls.offered.is_empty() {
            let offered: Vec<String> = tls.offered.iter().map(shown).collect();
            facts.push(("TLS offered", crate::words::some(&offered, 6)));
        }
        facts.push((
            "our certificate",
            if tls.accepted {
                "was taken, so that what was said can be read".to_owned()
            } else {
                "was refused, so that nothing can be read".to_owned()
            },
        ));
    }
    facts.push(("sent", bytes(talk.sent.total)));
    facts.push(("answered", bytes(talk.answered)));
    facts.push(("lasted", deeds::at(talk.lasted_us)));
    let hidden = talk::hidden(traced, at);
    TalkPart {
        anchor: format!("f{job}-c{}-{at}", traced.seq),
        evidence: named.map(|_| event_anchor(job, traced.seq, at)),
        class: lit::class(named),
        numbers: lit::numbers(named),
        task: shown_str(traced.task),
        when: deeds::at(act.at_us),
        title: if talk.exchanges.is_empty() {
            let whom = deeds::host(talk).unwrap_or_else(|| talk.address.to_string());
            format!("{whom}: {}", deeds::exchanged(talk))
        } else {
            deeds::exchanged(talk)
        },
        whom: deeds::whom(talk),
        who: who(job, traced, act, has),
        facts,
        refused: talk.tls.as_ref().filter(|tls| !tls.accepted).map(|tls| {
            tls.alert
                .as_ref()
                .map_or_else(|| "no alert was given".to_owned(), |alert| shown_str(alert))
        }),
        hidden,
        sent: if talk.exchanges.is_empty() {
            talk::body(&talk.sent, &needles)
        } else {
            None
        },
        talks,
        more,
        open,
    }
}

impl TalkPart {
    /// Bytes of its text, and what the markup around it takes.
    fn size(&self) -> usize {
        let pieces = |list: &[talk::Piece]| list.iter().map(|piece| piece.text.len() + 60).sum::<usize>();
        let body = |body: &Option<Body>| {
            body.as_ref().map_or(0, |body| {
                100 + pieces(&body.pieces) + body.decoded.as_ref().map_or(0, |(_, list)| pieces(list))
            })
        };
        let talks: usize = self
            .talks
            .iter()
            .map(|talk| {
                let headers: usize = talk
                    .headers
                    .iter()
                    .map(|(name, value)| 60 + name.len() + pieces(value))
                    .sum();
                200 + pieces(&talk.line) + headers + body(&talk.body)
            })
            .sum();
        900 + self.title.len() + talks + body(&self.sent)
    }
}
