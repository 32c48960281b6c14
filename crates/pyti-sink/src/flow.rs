//! Datagrams: those of one partner to one address are one conversation.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pyti_model::trace::Transport;

use crate::dns;
use crate::names::Names;
use crate::record::{Caller, Ledger, Notes};
use crate::ties::Ties;

/// A conversation is over when nothing was said for so long.
const IDLE: Duration = Duration::from_secs(30);

/// Sockets that are remembered to have asked for names.
const ASKERS: usize = 1024;

struct Flow {
    caller: Caller,
    notes: Notes,
    heard: Instant,
}

/// All conversations by datagrams.
pub(crate) struct Flows {
    cap: usize,
    /// Whoever asked for names: both questions of one look-up come from one socket, and are announced once.
    askers: HashMap<(SocketAddr, SocketAddr), Option<u32>>,
    open: HashMap<(SocketAddr, SocketAddr), Flow>,
}

impl Flows {
    pub(crate) fn new(cap: usize) -> Self {
        Self {
            cap,
            askers: HashMap::new(),
            open: HashMap::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Takes a datagram; gives the answer.
    pub(crate) fn take(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        said: &[u8],
        names: &mut Names,
        ledger: &mut Ledger,
        ties: &mut Ties,
    ) -> Option<Vec<u8>> {
        let now = Instant::now();
        // an address is used again, by somebody else
        if let Some(process) = ties.whose(Transport::Udp, to, from) {
            if self
                .askers
                .get(&(from, to))
                .is_some_and(|asker| *asker != Some(process))
            {
                self.askers.remove(&(from, to));
            }
            if self
                .open
                .get(&(from, to))
                .is_some_and(|flow| flow.caller.process != Some(process))
                && let Some(flow) = self.open.remove(&(from, to))
            {
                keep(flow, names, ledger);
            }
        }
        if let Some(flow) = self.open.get_mut(&(from, to)) {
            ties.again(Transport::Udp, to, from, flow.caller.process);
            flow.heard = now;
            flow.notes.said(said);
            return if to.port() == 53 {
                dns::answer(said, names, ledger, now, flow.caller.process)
            } else {
                None
            };
        }
        let known = self.askers.get(&(from, to)).copied().filter(|_| to.port() == 53);
        let process = if let Some(process) = known {
            ties.again(Transport::Udp, to, from, process);
            process
        } else {
            ties.take(Transport::Udp, to, from, now)
        };
        if to.port() == 53
            && let Some(answer) = dns::answer(said, names, ledger, now, process)
        {
            if self.askers.len() >= ASKERS {
                self.askers.clear();
            }
            self.askers.insert((from, to), process);
            return Some(answer);
        }
        if self.open.len() >= self.cap {
            ledger.dropped.borrow_mut().flows += 1;
            return None;
        }
        let mut notes = ledger.notes();
        notes.said(said);
        let mut answer = None;
        if to.port() == 123 && said.len() == 48 {
            answer = Some(time(said));
            notes.language = "ntp";
            notes.answered = 48;
        }
        let caller = Caller {
            process,
            began: now,
            transport: Transport::Udp,
            to,
        };
        let flow = Flow {
            caller,
            notes,
            heard: now,
        };
        self.open.insert((from, to), flow);
        answer
    }

    /// Looks at the clock.
    pub(crate) fn tick(&mut self, now: Instant, names: &Names, ledger: &mut Ledger) {
        let over = self
            .open
            .extract_if(|_, flow| now.saturating_duration_since(flow.heard) >= IDLE);
        for (_, flow) in over {
            keep(flow, names, ledger);
        }
    }

    /// Everything is over.
    pub(crate) fn finish(&mut self, names: &Names, ledger: &mut Ledger) {
        for (_, flow) in self.open.drain() {
            keep(flow, names, ledger);
        }
    }
}

fn keep(flow: Flow, names: &Names, ledger: &mut Ledger) {
    let host = names.host(flow.caller.to.ip()).cloned();
    ledger.converse(&flow.caller, host, flow.notes);
}

/// What time it is (RFC 5905): what was asked is given back as its origin.
fn time(said: &[u8]) -> Vec<u8> {
    // seconds between 1900 and 1970
    const AGE: u64 = 2_208_988_800;
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    let stamp = (((since.as_secs() + AGE) << 32) | fraction).to_be_bytes();
    let mut answer = vec![0x24, 2, 6, 0xe9, 0, 0, 0, 16, 0, 0, 0, 16, 198, 18, 0, 1];
    answer.extend(stamp);
    answer.extend_from_slice(&said[40..48]);
    answer.extend(stamp);
    answer.extend(stamp);
    answer
}
