//! A connection to somebody who is not simulated: bytes are passed on in both directions, and the first of them kept.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use pyti_model::foreign::Foreign;
use rustls::server::Acceptor;

use crate::connection::Wants;
use crate::record::{Caller, Ledger, Notes};
use crate::settings::{Allow, Caps};

/// Bytes that may wait for the other side.
const WAITING: usize = 64 << 10;
/// Reads of one turn.
const READS: usize = 4;
/// Bytes of the beginning in which the hello of TLS is looked for.
const HELLO: usize = 16 << 10;

/// One direction.
#[derive(Default)]
struct Way {
    waiting: Vec<u8>,
    /// The reading end is over.
    over: bool,
    /// The writing end was told.
    told: bool,
}

/// A way to somebody, before the caller's end is put in.
pub(crate) struct Offer {
    far: Option<UnixStream>,
    caller: Caller,
    host: Option<Foreign>,
    notes: Notes,
}

/// A connection that is passed on.
pub(crate) struct Relay {
    near: TcpStream,
    far: Option<UnixStream>,
    out: Way,
    back: Way,
    before: (Wants, Wants),
    caller: Caller,
    host: Option<Foreign>,
    notes: Notes,
    answer: Option<usize>,
    acceptor: Option<Box<Acceptor>>,
    looked_at: usize,
    heard: Instant,
}

const READ: Wants = Wants {
    read: true,
    write: false,
};

impl Relay {
    /// A way to whom the caller wants, when that is somebody who is let through.
    pub(crate) fn for_caller(
        caller: &Caller,
        host: Option<Foreign>,
        allow: &[Allow],
        ledger: &Ledger,
        near: &TcpStream,
    ) -> Option<Offer> {
        let name = host.as_ref().map(|host| host.lossy().into_owned());
        let address = caller.to.ip().to_string();
        let allowed = allow.iter().find(|one| {
            let wanted = one.host.trim_end_matches('.').trim_matches(['[', ']']);
            one.port == caller.to.port()
                && (wanted == address
                    || name
                        .as_ref()
                        .is_some_and(|name| name.eq_ignore_ascii_case(wanted)))
        })?;
        let far = (allowed.connect)()
            .and_then(|far| far.set_nonblocking(true).map(|()| far))
            .ok();
        let _ = near.set_nonblocking(true);
        let mut notes = ledger.notes();
        notes.language = "relayed";
        Some(Offer {
            far,
            caller: caller.clone(),
            host,
            notes,
        })
    }

    /// Moves what can be moved; false when it is over.
    pub(crate) fn ready(&mut self, buffer: &mut [u8]) -> bool {
        let Some(far) = &mut self.far else { return false };
        for _ in 0..READS {
            if self.out.waiting.len() < WAITING && !self.out.over {
                match read(&mut self.near, buffer) {
                    Got::Bytes(length) => {
                        self.heard = Instant::now();
                        self.notes.said(&buffer[..length]);
                        if self.acceptor.is_some() {
                            look(
                                &mut self.acceptor,
                                &mut self.looked_at,
                                &mut self.notes,
                                &buffer[..length],
                            );
                        }
                        self.out.waiting.extend_from_slice(&buffer[..length]);
                    }
                    Got::Nothing => {}
                    Got::End => self.out.over = true,
                    Got::Broken => return false,
                }
            }
            if self.back.waiting.len() < WAITING && !self.back.over {
                match read(far, buffer) {
                    Got::Bytes(length) => {
                        self.heard = Instant::now();
                        self.notes.answered += length as u64;
                        if self.answer.is_none() {
                            self.answer = self.notes.asked(b"RELAYED", b"");
                        }
                        self.notes.body(self.answer, &buffer[..length]);
                        self.back.waiting.extend_from_slice(&buffer[..length]);
                    }
                    Got::Nothing => {}
                    Got::End => self.back.over = true,
                    Got::Broken => return false,
                }
            }
            if !write(far, &mut self.out.waiting) || !write(&mut self.near, &mut self.back.waiting) {
                return false;
            }
        }
        if self.out.over && self.out.waiting.is_empty() && !self.out.told {
            self.out.told = true;
            let _ = far.shutdown(Shutdown::Write);
        }
        if self.back.over && self.back.waiting.is_empty() && !self.back.told {
            self.back.told = true;
            let _ = self.near.shutdown(Shutdown::Write);
        }
        !(self.out.told && self.back.told)
    }

    /// Which of its ends want something else than before: descriptor, whether it is the far one, and what.
    pub(crate) fn changes(&mut self) -> Vec<(RawFd, bool, Wants)> {
        let near = Wants {
            read: !self.out.over && self.out.waiting.len() < WAITING,
            write: !self.back.waiting.is_empty(),
        };
        let far = Wants {
            read: !self.back.over && self.back.waiting.len() < WAITING,
            write: !self.out.waiting.is_empty(),
        };
        let mut changes = Vec::new();
        if near != self.before.0 {
            changes.push((self.near.as_raw_fd(), false, near));
        }
        if let Some(end) = &self.far
            && far != self.before.1
        {
            changes.push((end.as_raw_fd(), true, far));
        }
        self.before = (near, far);
        changes
    }

    /// Looks at the clock; false when it is over. Real servers may take longer to answer than ours.
    pub(crate) fn tick(&self, now: Instant, caps: &Caps) -> bool {
        self.far.is_some()
            && now.saturating_duration_since(self.heard) < caps.idle * 6
            && now.saturating_duration_since(self.caller.began) < caps.lasting * 5
    }

    pub(crate) fn finish(self, ledger: &mut Ledger) {
        ledger.converse(&self.caller, self.host, self.notes);
    }
}

impl Offer {
    /// The far end.
    pub(crate) fn far(&self) -> Option<RawFd> {
        self.far.as_ref().map(AsRawFd::as_raw_fd)
    }

    /// Puts the caller's end in.
    pub(crate) fn with(self, near: TcpStream) -> Relay {
        Relay {
            near,
            far: self.far,
            out: Way::default(),
            back: Way::default(),
            before: (READ, READ),
            heard: self.caller.began,
            caller: self.caller,
            host: self.host,
            notes: self.notes,
            answer: None,
            acceptor: Some(Box::default()),
            looked_at: 0,
        }
    }
}

/// Looks for the name in the hello of TLS.
fn look(acceptor: &mut Option<Box<Acceptor>>, looked_at: &mut usize, notes: &mut Notes, mut bytes: &[u8]) {
    *looked_at += bytes.len();
    let over = *looked_at > HELLO;
    while let Some(reader) = acceptor
        && !bytes.is_empty()
    {
        let read = reader.read_tls(&mut bytes).unwrap_or(0);
        match reader.accept() {
            Ok(Some(accepted)) => {
                let hello = accepted.client_hello();
                let tls = notes.tls.get_or_insert_default();
                tls.server_name = hello.server_name().map(Foreign::new);
                tls.offered = hello
                    .alpn()
                    .into_iter()
                    .flatten()
                    .take(16)
                    .map(Foreign::new)
                    .collect();
                // whether the real certificate was taken is not seen from here; nothing says that it was not
                tls.accepted = true;
                *acceptor = None;
            }
            Ok(None) if read > 0 => {}
            _ => *acceptor = None,
        }
    }
    if over {
        *acceptor = None;
    }
}

enum Got {
    Bytes(usize),
    Nothing,
    End,
    Broken,
}

fn read(from: &mut impl Read, buffer: &mut [u8]) -> Got {
    match from.read(buffer) {
        Ok(0) => Got::End,
        Ok(length) => Got::Bytes(length),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
            ) =>
        {
            Got::Nothing
        }
        Err(_) => Got::Broken,
    }
}

fn write(to: &mut impl Write, waiting: &mut Vec<u8>) -> bool {
    while !waiting.is_empty() {
        match to.write(waiting) {
            Ok(0) => return false,
            Ok(length) => {
                waiting.drain(..length);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}
