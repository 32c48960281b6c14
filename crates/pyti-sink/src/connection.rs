//! One connection of TCP: what comes is taken out of TLS, given to a language, and its answers are sent.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use pyti_model::foreign::Foreign;
use pyti_model::trace::Tls;
use rustls::ServerConnection;
use rustls::server::Acceptor;

use crate::languages::{self, Delivery, First, Next, Place, Scene, Talk};
use crate::names::Names;
use crate::record::{Caller, Ledger, Notes};
use crate::settings::{PASSIVE_PORT, Simulation};

/// Bytes that may wait to be sent before nothing more is heard.
const WAITING: usize = 64 << 10;
/// Bytes that are read at once while answers wait.
const BITE: usize = 1 << 10;
/// Reads of one turn, so that nobody keeps the others waiting.
const READS: usize = 2;
/// How long the other side may take to hang up after us.
const FAREWELL: Duration = Duration::from_millis(500);
/// Tunnels through tunnels.
const TUNNELS: u8 = 4;

/// What every connection shares.
pub(crate) struct World<'a> {
    pub(crate) simulation: &'a Simulation,
    pub(crate) names: &'a mut Names,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) buffer: &'a mut [u8],
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wants {
    pub(crate) read: bool,
    pub(crate) write: bool,
}

enum Layer {
    Plain,
    /// Awaits the client's hello.
    Hello(Box<Acceptor>),
    Session(Box<ServerConnection>),
}

/// One connection.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    pub(crate) wants: Wants,
    caller: Caller,
    host: Option<Foreign>,
    place: Place,
    layer: Layer,
    /// What was said before the language was known.
    first: Vec<u8>,
    talk: Option<Box<dyn Talk>>,
    notes: Notes,
    out: Vec<u8>,
    sent: usize,
    heard: Instant,
    spoke_first: bool,
    /// The client has hung up, as far as it speaks.
    silent: bool,
    /// We hang up when everything is sent.
    closing: bool,
    /// Since when we have hung up.
    hung_up: Option<Instant>,
    tunnels: u8,
    /// What another connection shall say.
    pub(crate) delivery: Option<Delivery>,
    /// What this one shall say as soon as TLS is there.
    due: Option<Vec<u8>>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, caller: Caller, world: &World<'_>) -> Self {
        let host = world.names.host(caller.to.ip()).cloned();
        let place = Place {
            address: caller.to.ip(),
            port: caller.to.port(),
            host: host.as_ref().map(|host| host.lossy().into_owned()),
            encrypted: false,
        };
        let notes = world.ledger.notes();
        let mut new = Self {
            stream,
            wants: Wants {
                read: true,
                write: false,
            },
            heard: caller.began,
            caller,
            host,
            place,
            layer: Layer::Plain,
            first: Vec::new(),
            talk: None,
            notes,
            out: Vec::new(),
            sent: 0,
            spoke_first: false,
            silent: false,
            closing: false,
            hung_up: None,
            tunnels: 0,
            delivery: None,
            due: None,
        };
        new.greet(false);
        new.settle();
        new
    }

    /// Moves what can be moved; false when it is over.
    pub(crate) fn ready(&mut self, world: &mut World<'_>) -> bool {
        if self.goes_on() && self.out.is_empty() {
            self.talk(&[], world);
            return self.settle();
        }
        for _ in 0..READS {
            if !self.wants_to_hear() {
                break;
            }
            // whoever does not read yet is heard in small bites, so that answers to them stay small
            let bite = if self.out.is_empty() {
                world.buffer.len()
            } else {
                BITE.min(world.buffer.len())
            };
            let read = self.stream.read(&mut world.buffer[..bite]);
            match read {
                Ok(0) => {
                    self.silent = true;
                    self.hear_no_more(world);
                }
                Ok(length) => {
                    self.heard = Instant::now();
                    let buffer = std::mem::take(&mut world.buffer);
                    self.wire(&buffer[..length], world);
                    world.buffer = buffer;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        self.settle()
    }

    /// Looks at the clock; false when it is over.
    pub(crate) fn tick(&mut self, now: Instant, world: &mut World<'_>) -> bool {
        let caps = &world.simulation.caps;
        let quiet = now.saturating_duration_since(self.heard);
        if self
            .hung_up
            .is_some_and(|at| now.saturating_duration_since(at) >= FAREWELL)
            || quiet >= caps.idle
            || now.saturating_duration_since(self.caller.began) >= caps.lasting
        {
            return false;
        }
        if quiet >= caps.silence && self.talk.is_none() && !self.spoke_first {
            if self.first.is_empty() {
                self.greet(true);
            } else {
                self.begin(true, world);
            }
            return self.settle();
        }
        true
    }

    /// It is over: what is known of it is kept.
    pub(crate) fn finish(mut self, world: &mut World<'_>) {
        if !self.silent {
            self.hear_no_more(world);
        }
        if let Some(tls) = &mut self.notes.tls {
            // some shake hands first and look at the certificate then
            if self.talk.is_none() && self.notes.answered == 0 {
                tls.accepted = false;
            }
            if !tls.accepted && tls.alert.is_none() {
                tls.alert = Some("hung up".to_owned());
            }
        }
        if self.talk.is_none() && self.place.port == PASSIVE_PORT {
            self.notes.language = "ftp-data";
        }
        if let Some(talk) = &self.talk {
            self.notes.language = talk.name();
        }
        if self.notes.language == "dns" {
            // its questions are acts of their own
            return;
        }
        world.ledger.converse(&self.caller, self.host, self.notes);
    }

    /// Whether it waits for something to be delivered.
    pub(crate) fn is_data(&self) -> bool {
        self.place.port == PASSIVE_PORT && !self.closing && self.due.is_none()
    }

    /// Says what was ordered on another connection, and hangs up; false when it is over.
    pub(crate) fn deliver(&mut self, delivery: Delivery) -> bool {
        if delivery.private && !self.notes.tls.as_ref().is_some_and(|tls| tls.accepted) {
            self.due = Some(delivery.bytes);
            return true;
        }
        self.say(&delivery.bytes);
        self.closing = true;
        self.settle()
    }

    fn wants_to_hear(&self) -> bool {
        !self.silent && self.out.len() - self.sent < WAITING && !self.goes_on()
    }

    fn goes_on(&self) -> bool {
        !self.closing && self.talk.as_ref().is_some_and(|talk| talk.goes_on())
    }

    /// Speaks first, where the port or, after some silence, nobody else says who begins.
    fn greet(&mut self, waited: bool) {
        if matches!(self.layer, Layer::Hello(_)) {
            return;
        }
        if let Some(greeting) = languages::greeting(&self.place, waited) {
            self.spoke_first = true;
            self.say(&greeting);
        }
    }

    /// Bytes as they come over the wire.
    fn wire(&mut self, bytes: &[u8], world: &mut World<'_>) {
        if self.hung_up.is_some() || self.closing {
            return;
        }
        match &mut self.layer {
            Layer::Plain => self.plain(bytes, world),
            Layer::Hello(_) => self.hello(bytes, world),
            Layer::Session(_) => self.session(bytes, world),
        }
    }

    /// The beginning of TLS.
    fn hello(&mut self, mut bytes: &[u8], world: &mut World<'_>) {
        while !bytes.is_empty() {
            let Layer::Hello(acceptor) = &mut self.layer else {
                return self.wire(bytes, world);
            };
            if acceptor.read_tls(&mut bytes).unwrap_or(0) == 0 {
                return self.refuse("a hello without end".to_owned());
            }
            match acceptor.accept() {
                Ok(None) => {}
                Ok(Some(accepted)) => {
                    let hello = accepted.client_hello();
                    let name = hello.server_name().map(ToOwned::to_owned);
                    let offered: Vec<Vec<u8>> = hello
                        .alpn()
                        .into_iter()
                        .flatten()
                        .take(16)
                        .map(<[u8]>::to_vec)
                        .collect();
                    let tls = self.notes.tls.get_or_insert_default();
                    tls.server_name = name.as_deref().map(Foreign::new);
                    tls.offered = offered
                        .iter()
                        .map(|protocol| Foreign::new(protocol.as_slice()))
                        .collect();
                    if name.is_some() {
                        self.place.host.clone_from(&name);
                    }
                    self.place.encrypted = true;
                    let server = name.unwrap_or_else(|| self.place.server_name());
                    let address = self.place.address.to_string();
                    let authority = &world.simulation.authority;
                    // a name that is no name gets the certificate of its address
                    let config = authority
                        .server(&server, &offered)
                        .or_else(|_| authority.server(&address, &offered));
                    let made = config.map_err(|error| error.to_string()).and_then(|config| {
                        accepted
                            .into_connection(config)
                            .map_err(|(error, _)| error.to_string())
                    });
                    match made {
                        Ok(mut session) => {
                            session.set_buffer_limit(None);
                            self.layer = Layer::Session(Box::new(session));
                            self.session(&[], world);
                        }
                        Err(why) => return self.refuse(why),
                    }
                }
                Err((error, mut alert)) => {
                    let _ = alert.write_all(&mut self.out);
                    return self.refuse(error.to_string());
                }
            }
        }
    }

    fn refuse(&mut self, why: String) {
        let tls: &mut Tls = self.notes.tls.get_or_insert_default();
        tls.alert.get_or_insert(why);
        self.closing = true;
    }

    /// Bytes of TLS, after the hello.
    fn session(&mut self, mut bytes: &[u8], world: &mut World<'_>) {
        loop {
            let Layer::Session(session) = &mut self.layer else {
                return;
            };
            let read = session.read_tls(&mut bytes).unwrap_or(0);
            let outcome = session.process_new_packets();
            let mut plain = Vec::new();
            let _ = (&mut session.reader())
                .take(WAITING as u64)
                .read_to_end(&mut plain);
            let shaken = !session.is_handshaking();
            let tls = self.notes.tls.get_or_insert_default();
            let new = shaken && !tls.accepted && outcome.is_ok();
            tls.accepted |= shaken && outcome.is_ok();
            self.encrypt();
            if new && self.talk.is_none() {
                self.greet(false);
            }
            if new && let Some(due) = self.due.take() {
                self.say(&due);
                self.closing = true;
            }
            if !plain.is_empty() {
                self.plain(&plain, world);
            }
            match outcome {
                Ok(state) if state.peer_has_closed() => {
                    self.closing = true;
                    return;
                }
                Ok(_) => {}
                Err(rustls::Error::AlertReceived(alert)) => {
                    let tls = self.notes.tls.get_or_insert_default();
                    // some find out only after they have shaken hands
                    tls.accepted = false;
                    return self.refuse(alert_name(alert));
                }
                Err(error) => return self.refuse(error.to_string()),
            }
            if (bytes.is_empty() && plain.is_empty()) || (read == 0 && plain.is_empty()) || self.closing {
                return;
            }
        }
    }

    /// Moves what TLS wants to say to where it is sent.
    fn encrypt(&mut self) {
        if let Layer::Session(session) = &mut self.layer {
            while session.wants_write() {
                if session.write_tls(&mut self.out).unwrap_or(0) == 0 {
                    break;
                }
            }
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.notes.answered += bytes.len() as u64;
        match &mut self.layer {
            Layer::Session(session) => {
                // it buffers, and does not fail
                let _ = session.writer().write_all(bytes);
                self.encrypt();
            }
            _ => self.out.extend_from_slice(bytes),
        }
    }

    /// What the client says, out of TLS.
    fn plain(&mut self, bytes: &[u8], world: &mut World<'_>) {
        if self.talk.is_some() {
            self.notes.said(bytes);
            self.talk(bytes, world);
            return;
        }
        self.first.extend_from_slice(bytes);
        self.begin(false, world);
    }

    /// Finds out which language is spoken, by what was said so far.
    fn begin(&mut self, over: bool, world: &mut World<'_>) {
        match languages::recognise(&self.first, &self.place, over) {
            First::More => {}
            First::Tls => {
                let first = std::mem::take(&mut self.first);
                self.start_tls();
                self.wire(&first, world);
            }
            First::Is(talk) => {
                let first = std::mem::take(&mut self.first);
                self.notes.said(&first);
                self.talk = Some(talk);
                self.talk(&first, world);
            }
        }
    }

    fn start_tls(&mut self) {
        self.notes.tls.get_or_insert_default();
        self.layer = Layer::Hello(Box::default());
    }

    fn talk(&mut self, bytes: &[u8], world: &mut World<'_>) {
        let Some(mut talk) = self.talk.take() else { return };
        let mut out = Vec::new();
        let mut scene = Scene {
            simulation: world.simulation,
            place: &self.place,
            notes: &mut self.notes,
            out: &mut out,
            next: Next::Stay,
            delivery: None,
            names: world.names,
            ledger: world.ledger,
            process: self.caller.process,
        };
        talk.hear(bytes, &mut scene);
        let next = scene.next;
        self.delivery = scene.delivery.or(self.delivery.take());
        self.notes.language = talk.name();
        self.talk = Some(talk);
        self.say(&out);
        match next {
            Next::Close => self.closing = true,
            Next::StartTls if !self.place.encrypted => self.start_tls(),
            // TLS in TLS is not spoken
            Next::Stay | Next::StartTls => {}
            Next::Become(talk, rest) => {
                self.notes.language = talk.name();
                self.talk = Some(talk);
                if !rest.is_empty() {
                    self.talk(&rest, world);
                }
            }
            Next::Tunnel(host, port, rest) => {
                self.tunnels += 1;
                if self.tunnels > TUNNELS {
                    self.closing = true;
                    return;
                }
                self.host = Some(Foreign::new(host.as_bytes()));
                self.place.host = Some(host);
                self.place.port = port;
                self.talk = None;
                self.first = rest;
                if !self.first.is_empty() {
                    self.begin(false, world);
                }
            }
        }
    }

    /// The client says nothing more.
    fn hear_no_more(&mut self, world: &mut World<'_>) {
        if self.talk.is_none() && !self.first.is_empty() {
            self.begin(true, world);
        }
        while self.goes_on() {
            self.talk(&[], world);
        }
        self.closing = true;
    }

    /// Sends what waits, and tells what is waited for; false when it is over.
    fn settle(&mut self) -> bool {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return false,
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return false,
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
            if self.closing {
                if self.silent {
                    return false;
                }
                if self.hung_up.is_none() {
                    if let Layer::Session(session) = &mut self.layer {
                        session.send_close_notify();
                        self.encrypt();
                        // what does not fit now is not needed
                        let _ = self.stream.write(&self.out);
                        self.out.clear();
                    }
                    self.hung_up = Some(Instant::now());
                    // unread bytes would turn the end into a reset that overtakes the answer, so it is read to its end
                    let _ = self.stream.shutdown(std::net::Shutdown::Write);
                }
            }
        }
        self.wants = Wants {
            read: self.wants_to_hear(),
            write: self.sent < self.out.len() || self.goes_on(),
        };
        true
    }
}

/// The alert as the standard writes it: `unknown_ca`.
fn alert_name(alert: rustls::AlertDescription) -> String {
    let mut name = String::new();
    let text = format!("{alert:?}");
    let mut before_is_upper = true;
    for c in text.chars() {
        if c.is_ascii_uppercase() && !before_is_upper {
            name.push('_');
        }
        before_is_upper = c.is_ascii_uppercase();
        name.push(c.to_ascii_lowercase());
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alerts_have_their_names() {
        use rustls::AlertDescription as Alert;
        assert_eq!(alert_name(Alert::UnknownCA), "unknown_ca");
        assert_eq!(alert_name(Alert::BadCertificate), "bad_certificate");
        assert_eq!(alert_name(Alert::CertificateUnknown), "certificate_unknown");
    }
}
