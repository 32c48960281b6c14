//! What is kept of what was said, within its caps, and what is only counted.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

use pyti_model::effect::{Captured, Loss};
use pyti_model::foreign::Foreign;
use pyti_model::trace::{Act, Conversation, Count, Deed, Exchange, Result as Came, Tls, Transport};

use crate::settings::Caps;

/// Header fields that are kept of one question.
const HEADERS: usize = 64;
/// Bytes that are kept of a verb, a name or a value of a header, a target.
const FIELD: usize = 8 << 10;

/// Bytes that may still be kept, for all conversations together.
#[derive(Clone, Default)]
pub(crate) struct Budget {
    left: Rc<Cell<usize>>,
    dropped: Rc<Cell<u64>>,
}

impl Budget {
    fn new(bytes: usize) -> Self {
        let budget = Self::default();
        budget.left.set(bytes);
        budget
    }

    /// As many of the bytes as may be kept.
    fn take(&self, wanted: usize) -> usize {
        let granted = wanted.min(self.left.get());
        self.left.set(self.left.get() - granted);
        let missing = (wanted - granted) as u64;
        self.dropped.set(self.dropped.get().saturating_add(missing));
        granted
    }
}

/// What is known of one conversation while it lasts.
pub(crate) struct Notes {
    /// See [`Conversation::language`].
    pub(crate) language: &'static str,
    /// Bytes that were answered.
    pub(crate) answered: u64,
    /// The TLS around it.
    pub(crate) tls: Option<Tls>,
    sent: Piece,
    exchanges: Vec<Exchange>,
    /// Their bodies, by place.
    bodies: Vec<Piece>,
    /// Bytes that may still be kept.
    room: Room,
    most: usize,
    budget: Budget,
    dropped: Rc<RefCell<Dropped>>,
}

impl Notes {
    /// Takes what was said.
    pub(crate) fn said(&mut self, bytes: &[u8]) {
        let granted = self.budget.take(bytes.len().min(self.room.said));
        self.room.said -= granted;
        self.sent.append(bytes, granted);
    }

    /// A question; its place, when it is kept.
    pub(crate) fn asked(&mut self, verb: &[u8], target: &[u8]) -> Option<usize> {
        if self.exchanges.len() >= self.most {
            self.dropped.borrow_mut().exchanges += 1;
            return None;
        }
        let exchange = Exchange {
            verb: self.keep(verb, 32),
            target: self.keep(target, 256),
            host: None,
            headers: Vec::new(),
            body: Captured::default(),
            answer: String::new(),
        };
        self.exchanges.push(exchange);
        self.bodies.push(Piece::default());
        Some(self.exchanges.len() - 1)
    }

    /// A header field of a question.
    pub(crate) fn header(&mut self, place: Option<usize>, name: &[u8], value: &[u8]) {
        let Some(place) = place else { return };
        if self.exchanges[place].headers.len() >= HEADERS {
            self.dropped.borrow_mut().headers += 1;
            return;
        }
        let field = (self.keep(name, 0), self.keep(value, 0));
        self.exchanges[place].headers.push(field);
    }

    /// Whom a question is for.
    pub(crate) fn host(&mut self, place: Option<usize>, host: &[u8]) {
        let Some(place) = place else { return };
        let host = self.keep(host, 256);
        self.exchanges[place].host = Some(host);
    }

    /// A piece of the body of a question.
    pub(crate) fn body(&mut self, place: Option<usize>, bytes: &[u8]) {
        let Some(place) = place else { return };
        let granted = self.budget.take(bytes.len().min(self.room.bodies));
        self.room.bodies -= granted;
        self.bodies[place].append(bytes, granted);
    }

    /// What a question was answered.
    pub(crate) fn answer(&mut self, place: Option<usize>, answer: &str) {
        if let Some(place) = place {
            answer.clone_into(&mut self.exchanges[place].answer);
        }
    }

    /// A question that is over as soon as it is asked.
    pub(crate) fn exchange(&mut self, verb: &[u8], target: &[u8], answer: &str) {
        let place = self.asked(verb, target);
        self.answer(place, answer);
    }

    /// Keeps a field: as much as there is room for, and `least` bytes in any case, so that a long field hides no other.
    fn keep(&mut self, bytes: &[u8], least: usize) -> Foreign {
        let wanted = bytes.len().min(FIELD);
        let granted = self.budget.take(wanted.min(self.room.fields.max(least)));
        self.room.fields = self.room.fields.saturating_sub(granted);
        Foreign::new(&bytes[..granted])
    }
}

/// Bytes that may still be kept of one conversation: of what was said, of the bodies of its questions, and of their fields, so
/// that none of them hides another.
struct Room {
    said: usize,
    bodies: usize,
    fields: usize,
}

/// The beginning of something, and its whole length.
#[derive(Default)]
struct Piece {
    head: Vec<u8>,
    total: u64,
}

impl Piece {
    fn append(&mut self, bytes: &[u8], granted: usize) {
        self.total += bytes.len() as u64;
        self.head.extend_from_slice(&bytes[..granted]);
    }

    fn captured(self) -> Captured {
        Captured {
            head: Foreign::new(self.head),
            tail: Foreign::default(),
            total: self.total,
        }
    }
}

/// What was not kept.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) refused: u64,
    pub(crate) acts: u64,
    pub(crate) exchanges: u64,
    pub(crate) headers: u64,
    pub(crate) ports: u64,
    pub(crate) flows: u64,
    /// Conversations that were lost by a fault of ours.
    pub(crate) broken: u64,
}

/// Who spoke, with whom, since when.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) process: Option<u32>,
    pub(crate) began: Instant,
    pub(crate) transport: Transport,
    pub(crate) to: SocketAddr,
}

/// All acts of one command.
pub(crate) struct Ledger {
    began: Instant,
    caps: Caps,
    acts: Vec<Act>,
    budget: Budget,
    pub(crate) dropped: Rc<RefCell<Dropped>>,
    /// Whom a packet may go to without being worth a mention.
    explained: HashSet<(Transport, SocketAddr)>,
    /// Names and records, with how often they were asked for.
    names: BTreeMap<(Foreign, String), u64>,
}

/// Destinations that are remembered as explained.
const EXPLAINED: usize = 65_536;

impl Ledger {
    pub(crate) fn new(began: Instant, caps: &Caps) -> Self {
        Self {
            began,
            budget: Budget::new(caps.bytes),
            caps: caps.clone(),
            acts: Vec::new(),
            dropped: Rc::default(),
            explained: HashSet::new(),
            names: BTreeMap::new(),
        }
    }

    /// Begins to take notes.
    pub(crate) fn notes(&self) -> Notes {
        Notes {
            language: "nothing",
            answered: 0,
            tls: None,
            sent: Piece::default(),
            exchanges: Vec::new(),
            bodies: Vec::new(),
            room: Room {
                said: self.caps.conversation_bytes,
                bodies: self.caps.conversation_bytes,
                fields: self.caps.conversation_bytes,
            },
            most: self.caps.exchanges,
            budget: self.budget.clone(),
            dropped: Rc::clone(&self.dropped),
        }
    }

    /// Packets to this destination are no news.
    pub(crate) fn explain(&mut self, transport: Transport, to: SocketAddr) {
        if self.explained.len() < EXPLAINED {
            self.explained.insert((transport, to));
        }
    }

    /// A conversation is over.
    pub(crate) fn converse(&mut self, caller: &Caller, host: Option<Foreign>, mut notes: Notes) {
        if notes.language == "nothing" && notes.sent.total > 0 {
            notes.language = "raw";
        }
        for (exchange, body) in notes.exchanges.iter_mut().zip(notes.bodies) {
            exchange.body = body.captured();
        }
        let conversation = Conversation {
            transport: caller.transport,
            address: caller.to.ip(),
            port: caller.to.port(),
            host,
            language: notes.language.to_owned(),
            tls: notes.tls,
            exchanges: notes.exchanges,
            sent: notes.sent.captured(),
            answered: notes.answered,
            lasted_us: micros(caller.began.elapsed()),
        };
        if conversation.language == "nothing"
            && conversation.tls.is_none()
            && let Some(Act {
                process,
                times,
                deed: Deed::Converse(last),
                ..
            }) = self.acts.last_mut()
            && *process == caller.process
            && last.language == "nothing"
            && last.tls.is_none()
            && (last.address, last.port, last.transport)
                == (conversation.address, conversation.port, conversation.transport)
        {
            *times = times.saturating_add(1);
            return;
        }
        let at = caller.began;
        self.keep(at, caller.process, Deed::Converse(Box::new(conversation)));
    }

    /// A name was asked for.
    pub(crate) fn resolve(
        &mut self,
        at: Instant,
        process: Option<u32>,
        name: &[u8],
        record: &str,
        answer: Vec<String>,
    ) {
        let name = Foreign::new(name);
        let full = self.names.len() >= self.caps.acts;
        match self.names.get_mut(&(name.clone(), record.to_owned())) {
            Some(times) => *times += 1,
            None if full => {}
            None => {
                self.names.insert((name.clone(), record.to_owned()), 1);
            }
        }
        let deed = Deed::Resolve {
            name,
            record: record.to_owned(),
            answer,
        };
        // the two questions of one look-up alternate, so two acts back is near enough
        for last in self.acts.iter_mut().rev().take(2) {
            if last.process == process && last.deed == deed {
                last.times = last.times.saturating_add(1);
                return;
            }
        }
        self.keep(at, process, deed);
    }

    fn keep(&mut self, at: Instant, process: Option<u32>, deed: Deed) {
        if self.acts.len() >= self.caps.acts {
            self.dropped.borrow_mut().acts += 1;
            return;
        }
        self.acts.push(Act {
            at_us: micros(at.saturating_duration_since(self.began)),
            process,
            result: Came::Done,
            times: 1,
            deed,
        });
    }

    /// What there is.
    pub(crate) fn finish(mut self, names_shared: u64) -> Report {
        self.acts.sort_by_key(|act| act.at_us);
        let dropped = self.dropped.borrow();
        let bytes = self.budget.dropped.get();
        let counts: Vec<Count> = [
            ("sink_connections_refused", dropped.refused),
            ("sink_acts_dropped", dropped.acts),
            ("sink_questions_dropped", dropped.exchanges),
            ("sink_headers_dropped", dropped.headers),
            ("sink_ports_refused", dropped.ports),
            ("sink_flows_dropped", dropped.flows),
            ("sink_conversations_broken", dropped.broken),
            ("sink_names_shared", names_shared),
            ("sink_bytes_dropped", bytes),
        ]
        .into_iter()
        .filter(|(_, times)| *times > 0)
        .map(|(what, times)| Count {
            what: what.to_owned(),
            times,
        })
        .collect();
        // a port that stays closed loses nothing: what is tried there is told by the tap
        // one conversation that lost bytes or questions is one loss at least; how many bytes is in the counts
        let lost = dropped.refused
            + dropped.acts
            + dropped.exchanges
            + dropped.headers
            + dropped.flows
            + dropped.broken
            + u64::from(bytes > 0);
        let losses = (lost > 0)
            .then_some(Loss::Contacts { dropped: lost })
            .into_iter()
            .collect();
        drop(dropped);
        Report {
            acts: self.acts,
            counts,
            losses,
            explained: self.explained,
            announced: HashMap::new(),
            names: self.names,
        }
    }
}

/// What a simulated network tells when it ends.
#[derive(Debug, Default)]
pub struct Report {
    /// Names that were asked for and conversations, by time.
    pub acts: Vec<Act>,
    /// What was only counted.
    pub counts: Vec<Count>,
    /// What is missing.
    pub losses: Vec<Loss>,
    /// Destinations whose packets are accounted for.
    pub explained: HashSet<(Transport, SocketAddr)>,
    /// Who was announced last for a destination, as far as that was not used up by a conversation.
    pub announced: HashMap<(Transport, SocketAddr), u32>,
    /// Names and record types that were asked for, and how often.
    pub names: BTreeMap<(Foreign, String), u64>,
}

/// Microseconds, as far as they fit.
pub(crate) fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// The address as its own family writes it, not as a mapped one.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    let ip: IpAddr = address.ip().to_canonical();
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ledger(caps: Caps) -> Ledger {
        Ledger::new(Instant::now(), &caps)
    }

    fn caller(to: &str) -> Caller {
        Caller {
            process: Some(1),
            began: Instant::now(),
            transport: Transport::Tcp,
            to: to.parse().unwrap(),
        }
    }

    #[test]
    fn bytes_are_kept_up_to_the_caps_and_counted_beyond() {
        let mut ledger = ledger(Caps {
            conversation_bytes: 10,
            bytes: 15,
            ..Caps::default()
        });
        for _ in 0..2 {
            let mut notes = ledger.notes();
            notes.said(b"0123456789abcdef");
            ledger.converse(&caller("198.18.0.1:9"), None, notes);
        }
        let report = ledger.finish(0);
        let heads: Vec<_> = report
            .acts
            .iter()
            .map(|act| match &act.deed {
                Deed::Converse(c) => (c.sent.head.len(), c.sent.total, c.language.as_str()),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(heads, [(10, 16, "raw"), (5, 16, "raw")]);
        assert_eq!(report.losses, [Loss::Contacts { dropped: 1 }]);
        assert_eq!(report.counts[0].what, "sink_bytes_dropped");
    }

    #[test]
    fn long_bodies_and_fields_hide_no_later_question() {
        let ledger = ledger(Caps::default());
        let mut notes = ledger.notes();
        let place = notes.asked(b"POST", b"/big");
        notes.body(place, &b"x".repeat(100_000));
        for _ in 0..HEADERS {
            notes.header(place, b"a", &[b'y'; FIELD]);
        }
        let place = notes.asked(b"GET", b"/later");
        notes.host(place, b"a.example");
        let later = &notes.exchanges[1];
        assert_eq!(
            (later.verb.as_bytes(), later.target.as_bytes()),
            (&b"GET"[..], &b"/later"[..])
        );
        assert_eq!(later.host.as_ref().unwrap().as_bytes(), b"a.example");
        assert_eq!(notes.exchanges[0].headers.last().unwrap().1.len(), 0);
    }

    #[test]
    fn within_the_caps_nothing_is_lost() {
        let mut ledger = ledger(Caps::default());
        let mut notes = ledger.notes();
        let place = notes.asked(b"POST", b"/x");
        notes.header(place, b"a", b"b");
        notes.body(place, b"body");
        notes.answer(place, "200");
        ledger.converse(&caller("198.18.0.1:80"), Some("a.example".into()), notes);
        let report = ledger.finish(0);
        assert!(report.losses.is_empty() && report.counts.is_empty());
        let Deed::Converse(c) = &report.acts[0].deed else {
            panic!()
        };
        assert_eq!(c.exchanges[0].body.head.as_bytes(), b"body");
    }

    #[test]
    fn the_same_nothing_is_one_act() {
        let mut ledger = ledger(Caps::default());
        for _ in 0..1000 {
            let notes = ledger.notes();
            ledger.converse(&caller("198.18.0.1:80"), None, notes);
        }
        let notes = ledger.notes();
        ledger.converse(&caller("198.18.0.1:81"), None, notes);
        let report = ledger.finish(0);
        assert_eq!(report.acts.iter().map(|a| a.times).collect::<Vec<_>>(), [1000, 1]);
    }

    #[test]
    fn questions_for_names_are_counted_together() {
        let mut ledger = ledger(Caps::default());
        for _ in 0..3 {
            for record in ["A", "AAAA"] {
                ledger.resolve(Instant::now(), None, b"a.example", record, vec!["x".into()]);
            }
        }
        let report = ledger.finish(0);
        assert_eq!(report.acts.iter().map(|a| a.times).collect::<Vec<_>>(), [3, 3]);
        assert_eq!(report.names.values().copied().collect::<Vec<_>>(), [3, 3]);
    }
}
