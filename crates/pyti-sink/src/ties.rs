//! Who called whom: what was announced, until it arrives.
//!
//! An announcement may bring a copy of the caller's socket. Once the call has begun, that socket has an address of its own,
//! which is where the connection comes from: so the two are matched without doubt, however many call the same address at
//! once. Without a copy, the oldest announcement for the destination is taken.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pyti_model::trace::Transport;

use crate::socket;

/// An announcement of TCP that is older has come to nothing.
const STALE: Duration = Duration::from_secs(10);
/// A copy of a socket is kept no longer: its owner may want the address again.
const HELD: Duration = Duration::from_secs(1);
/// Most copies at once.
const COPIES: usize = 256;
/// Destinations that are remembered.
const DESTINATIONS: usize = 8192;
/// Announcements for one destination.
const WAITING: usize = 256;

#[derive(Debug)]
struct Tie {
    process: u32,
    at: Instant,
    /// Somebody came for it; of datagrams it is remembered, for others that may come.
    used: bool,
    socket: Option<OwnedFd>,
}

impl Tie {
    /// Whether it is the caller's, as far as its socket tells.
    fn is_from(&self, from: SocketAddr) -> bool {
        let own = self.socket.as_ref().and_then(socket::local);
        own.is_some_and(|own| {
            own.port() == from.port() && (own.ip() == from.ip() || own.ip().is_unspecified())
        })
    }
}

fn held(ties: &[Tie]) -> usize {
    ties.iter().filter(|tie| tie.socket.is_some()).count()
}

/// Announcements by destination, oldest first.
#[derive(Default)]
pub(crate) struct Ties {
    waiting: HashMap<(Transport, SocketAddr), Vec<Tie>>,
    /// There was no room, and looking again before then would be in vain.
    full_until: Option<Instant>,
    /// Copies of sockets, and when it was looked last whether they are too old.
    copies: usize,
    swept: Option<Instant>,
}

impl Ties {
    /// A process is about to call somebody.
    pub(crate) fn expect(
        &mut self,
        transport: Transport,
        to: SocketAddr,
        process: u32,
        socket: Option<OwnedFd>,
        now: Instant,
    ) {
        self.sweep(now);
        if self.waiting.len() >= DESTINATIONS && !self.waiting.contains_key(&(transport, to)) {
            if self.full_until.is_some_and(|until| now < until) {
                return;
            }
            self.waiting
                .retain(|_, ties| ties.iter().any(|t| !t.used && now.duration_since(t.at) < STALE));
            self.count();
            if self.waiting.len() >= DESTINATIONS {
                self.full_until = Some(now + STALE / 10);
                return;
            }
        }
        let socket = socket.filter(|_| self.copies < COPIES);
        let ties = self.waiting.entry((transport, to)).or_default();
        if transport != Transport::Tcp {
            // datagrams of one socket are announced again and again, and without a copy only the first one matters
            if socket.is_none() && ties.iter().any(|tie| tie.process == process && !tie.used) {
                return;
            }
            // those that were used hold no copies
            ties.retain(|tie| tie.process != process || !tie.used);
        }
        if ties.len() < WAITING {
            self.copies += usize::from(socket.is_some());
            ties.push(Tie {
                process,
                at: now,
                used: false,
                socket,
            });
        }
    }

    /// Somebody has called from an address: who it was.
    pub(crate) fn take(
        &mut self,
        transport: Transport,
        to: SocketAddr,
        from: SocketAddr,
        now: Instant,
    ) -> Option<u32> {
        let ties = self.waiting.get_mut(&(transport, to))?;
        let before = held(ties);
        if transport == Transport::Tcp {
            ties.retain(|tie| now.duration_since(tie.at) < STALE);
        }
        let exact = ties.iter().position(|tie| tie.is_from(from));
        let any = || ties.iter().position(|tie| !tie.used && tie.socket.is_none());
        let place = exact.or_else(any);
        let found = match place {
            Some(place) if transport == Transport::Tcp => Some(ties.remove(place).process),
            Some(place) => {
                ties[place].used = true;
                ties[place].socket = None;
                Some(ties[place].process)
            }
            // of datagrams, whoever called last
            None if transport != Transport::Tcp => ties.last().map(|tie| tie.process),
            None => None,
        };
        self.copies = (self.copies + held(ties)).saturating_sub(before);
        if ties.is_empty() {
            self.waiting.remove(&(transport, to));
        }
        found
    }

    /// Whose socket an address is, when somebody was announced with it.
    pub(crate) fn whose(&self, transport: Transport, to: SocketAddr, from: SocketAddr) -> Option<u32> {
        let ties = self.waiting.get(&(transport, to))?;
        ties.iter().find(|tie| tie.is_from(from)).map(|tie| tie.process)
    }

    /// Somebody who called before has called again: if he was announced for it, that was it.
    pub(crate) fn again(
        &mut self,
        transport: Transport,
        to: SocketAddr,
        from: SocketAddr,
        process: Option<u32>,
    ) {
        let Some(ties) = self.waiting.get_mut(&(transport, to)) else {
            return;
        };
        let mut changed = false;
        for tie in ties
            .iter_mut()
            .filter(|tie| !tie.used && Some(tie.process) == process)
        {
            if tie.socket.is_none() || tie.is_from(from) {
                changed |= tie.socket.take().is_some();
                tie.used = true;
            }
        }
        if changed {
            self.count();
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

    /// Whether copies of sockets are held.
    pub(crate) fn holds(&self) -> bool {
        self.copies > 0
    }

    /// Lets go of copies that are too old: what was announced with them has come to nothing.
    pub(crate) fn sweep(&mut self, now: Instant) {
        if self.copies == 0 || self.swept.is_some_and(|at| now.duration_since(at) < HELD / 4) {
            return;
        }
        self.swept = Some(now);
        for ties in self.waiting.values_mut() {
            for tie in ties.iter_mut() {
                if tie.socket.is_some() && now.duration_since(tie.at) >= HELD {
                    tie.socket = None;
                    // it cannot be anybody else's any more; that it was tried is remembered
                    tie.used = true;
                }
            }
        }
        self.count();
    }

    fn count(&mut self) {
        self.copies = self.waiting.values().map(|ties| held(ties)).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Where calls come from in these tests.
    const FROM: &str = "10.0.2.15:40000";

    #[test]
    fn the_oldest_announcement_is_taken() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("198.18.0.1:443");
        for process in [1, 2, 1] {
            ties.expect(Transport::Tcp, to, process, None, now);
        }
        assert_eq!(
            ties.take(Transport::Tcp, at("198.18.0.1:80"), at(FROM), now),
            None
        );
        assert_eq!(ties.take(Transport::Udp, to, at(FROM), now), None);
        let taken: Vec<_> = (0..4)
            .map(|_| ties.take(Transport::Tcp, to, at(FROM), now))
            .collect();
        assert_eq!(taken, [Some(1), Some(2), Some(1), None]);
        assert!(ties.waiting.is_empty());
    }

    #[test]
    fn a_socket_tells_whose_a_connection_is() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let callers: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(to).unwrap()).collect();
        for (process, caller) in (0u32..).zip(&callers) {
            let copy = caller.try_clone().unwrap();
            ties.expect(Transport::Tcp, to, process, Some(copy.into()), now);
        }
        ties.expect(Transport::Tcp, to, 9, None, now);
        for process in [2u32, 0, 3] {
            let from = callers[process as usize].local_addr().unwrap();
            assert_eq!(ties.take(Transport::Tcp, to, from, now), Some(process));
        }
        // a stranger is not taken for somebody whose socket is known
        assert_eq!(ties.take(Transport::Tcp, to, at(FROM), now), Some(9));
        assert_eq!(ties.take(Transport::Tcp, to, at(FROM), now), None);
        assert!(ties.holds());
        ties.sweep(now + HELD);
        assert!(!ties.holds());
    }

    #[test]
    fn a_socket_tells_whose_a_datagram_is() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("127.0.0.1:9");
        let callers: Vec<UdpSocket> = (0..3).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
        for _ in 0..3 {
            for (process, caller) in (0u32..).zip(&callers) {
                let copy = caller.try_clone().unwrap();
                ties.expect(Transport::Udp, to, process, Some(copy.into()), now);
            }
        }
        for process in [2u32, 1, 0] {
            let from = callers[process as usize].local_addr().unwrap();
            assert_eq!(ties.take(Transport::Udp, to, from, now), Some(process));
            ties.again(Transport::Udp, to, from, Some(process));
        }
        assert!(!ties.holds());
    }

    #[test]
    fn what_came_to_nothing_is_forgotten() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("[2001:db8::1]:443");
        ties.expect(Transport::Tcp, to, 1, None, now);
        let later = now + STALE;
        ties.expect(Transport::Tcp, to, 2, None, later);
        assert_eq!(ties.take(Transport::Tcp, to, at(FROM), later), Some(2));
    }

    #[test]
    fn datagrams_belong_to_whoever_was_announced_last() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let to = at("10.0.2.2:53");
        let mut taken = Vec::new();
        for process in [1, 2, 1, 1] {
            ties.expect(Transport::Udp, to, process, None, now);
            taken.push(ties.take(Transport::Udp, to, at(FROM), now));
        }
        taken.push(ties.take(Transport::Udp, to, at(FROM), now));
        assert_eq!(taken, [Some(1), Some(2), Some(1), Some(1), Some(1)]);
        ties.expect(Transport::Udp, to, 1, None, now);
        ties.expect(Transport::Udp, to, 2, None, now);
        assert_eq!(ties.take(Transport::Udp, to, at(FROM), now), Some(1));
        assert_eq!(ties.take(Transport::Udp, to, at(FROM), now), Some(2));
    }

    #[test]
    fn floods_of_announcements_do_not_grow_it() {
        let (mut ties, now) = (Ties::default(), Instant::now());
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for number in 0..40_000u32 {
            let to = SocketAddr::from((std::net::Ipv4Addr::from(number), 80));
            ties.expect(Transport::Tcp, to, 1, None, now);
            let copy = (number % 16 == 0).then(|| socket.try_clone().unwrap().into());
            ties.expect(Transport::Tcp, at("198.18.0.1:80"), 1, copy, now);
        }
        assert!(ties.waiting.len() <= DESTINATIONS);
        assert!(ties.waiting.values().all(|ties| ties.len() <= WAITING));
        assert!(ties.copies <= COPIES);
    }
}
