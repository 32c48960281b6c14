//! Who called whom: what was announced, until it arrives.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pyti_model::trace::Transport;

/// An announcement of TCP that is older has come to nothing.
const STALE: Duration = Duration::from_secs(10);
/// Destinations that are remembered.
const DESTINATIONS: usize = 8192;
/// Announcements for one destination.
const WAITING: usize = 256;

#[derive(Debug, Clone, Copy)]
struct Tie {
    process: u32,
    at: Instant,
    used: bool,
}

/// Announcements by destination, oldest first.
#[derive(Default)]
pub(crate) struct Ties {
    waiting: HashMap<(Transport, SocketAddr), Vec<Tie>>,
    /// There was no room, and looking again before then would be in vain.
    full_until: Option<Instant>,
}

impl Ties {
    /// A process is about to call somebody.
    pub(crate) fn expect(&mut self, transport: Transport, to: SocketAddr, process: u32, now: Instant) {
        if self.waiting.len() >= DESTINATIONS && !self.waiting.contains_key(&(transport, to)) {
            if self.full_until.is_some_and(|until| now < until) {
                return;
            }
            self.waiting
                .retain(|_, ties| ties.iter().any(|t| !t.used && now.duration_since(t.at) < STALE));
            if self.waiting.len() >= DESTINATIONS {
                self.full_until = Some(now + STALE / 10);
                return;
            }
        }
        let ties = self.waiting.entry((transport, to)).or_default();
        if transport == Transport::Tcp {
            ties.retain(|tie| now.duration_since(tie.at) < STALE);
        } else {
            // datagrams of one socket are announced again and again, and only the first one matters
            if ties.iter().any(|tie| tie.process == process && !tie.used) {
                return;
            }
            ties.retain(|tie| tie.process != process);
        }
        if ties.len() < WAITING {
            ties.push(Tie {
                process,
                at: now,
                used: false,
            });
        }
    }

    /// Somebody has called: who was announced first. Of datagrams, where nobody is announced, the one who called last.
    pub(crate) fn take(&mut self, transport: Transport, to: SocketAddr, now: Instant) -> Option<u32> {
        let ties = self.waiting.get_mut(&(transport, to))?;
        if transport == Transport::Tcp {
            ties.retain(|tie| now.duration_since(tie.at) < STALE);
            let first = (!ties.is_empty()).then(|| ties.remove(0).process);
            if ties.is_empty() {
                self.waiting.remove(&(transport, to));
            }
            return first;
        }
        match ties.iter_mut().find(|tie| !tie.used) {
            Some(tie) => {
                tie.used = true;
                Some(tie.process)
            }
            None => ties.last().map(|tie| tie.process),
        }
    }

    /// Somebody who called before has called again: if he was announced for it, that was it.
    pub(crate) fn again(&mut self, transport: Transport, to: SocketAddr, process: Option<u32>) {
        let ties = self.waiting.get_mut(&(transport, to));
        if let Some(tie) = ties.and_then(|ties| ties.iter_mut().find(|tie| !tie.used))
            && Some(tie.process) == process
        {
            tie.used = true;
        }
    }

    /// Who was announced last, for each destination.
    pub(crate) fn all(&self) -> HashMap<(Transport, SocketAddr), u32> {
        let last = |ties: &Vec<Tie>| ties.last().map(|tie| tie.process);
        self.waiting
            .iter()
            .filter_map(|(to, ties)| Some((*to, last(ties)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_oldest_announcement_is_taken() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("198.18.0.1:443");
        ties.expect(Transport::Tcp, to, 1, now);
        ties.expect(Transport::Tcp, to, 2, now);
        ties.expect(Transport::Tcp, to, 1, now);
        assert_eq!(ties.take(Transport::Tcp, at("198.18.0.1:80"), now), None);
        assert_eq!(ties.take(Transport::Udp, to, now), None);
        let taken: Vec<_> = (0..4).map(|_| ties.take(Transport::Tcp, to, now)).collect();
        assert_eq!(taken, [Some(1), Some(2), Some(1), None]);
        assert!(ties.waiting.is_empty());
    }

    #[test]
    fn what_came_to_nothing_is_forgotten() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("[2001:db8::1]:443");
        ties.expect(Transport::Tcp, to, 1, now);
        let later = now + STALE;
        ties.expect(Transport::Tcp, to, 2, later);
        assert_eq!(ties.take(Transport::Tcp, to, later), Some(2));
    }

    #[test]
    fn datagrams_belong_to_whoever_was_announced_last() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("10.0.2.2:53");
        let mut taken = Vec::new();
        for process in [1, 2, 1, 1] {
            ties.expect(Transport::Udp, to, process, now);
            taken.push(ties.take(Transport::Udp, to, now));
        }
        taken.push(ties.take(Transport::Udp, to, now));
        assert_eq!(taken, [Some(1), Some(2), Some(1), Some(1), Some(1)]);
        ties.expect(Transport::Udp, to, 1, now);
        ties.expect(Transport::Udp, to, 2, now);
        assert_eq!(ties.take(Transport::Udp, to, now), Some(1));
        assert_eq!(ties.take(Transport::Udp, to, now), Some(2));
    }

    #[test]
    fn floods_of_announcements_do_not_grow_it() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        for number in 0..40_000u32 {
            let to = SocketAddr::from((std::net::Ipv4Addr::from(number), 80));
            ties.expect(Transport::Tcp, to, 1, now);
            ties.expect(Transport::Tcp, at("198.18.0.1:80"), 1, now);
        }
        assert!(ties.waiting.len() <= DESTINATIONS);
        assert!(ties.waiting.values().all(|ties| ties.len() <= WAITING));
    }
}
