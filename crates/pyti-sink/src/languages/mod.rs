//! Languages, as a server speaks them: bytes in, bytes out, no socket and no clock. A [`Talk`] hears what a client says
//! and answers into a [`Scene`].

use std::net::IpAddr;

use crate::names::Names;
use crate::record::{Ledger, Notes};
use crate::settings::{PASSIVE_PORT, Simulation};

pub(crate) mod answers;
mod ftp;
mod http1;
mod http2;
mod line;
mod lookup;
mod mailbox;
mod metadata;
mod postgres;
mod redis;
mod smtp;
mod stratum;
mod websocket;

/// Where a conversation takes place.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The address that was called.
    pub(crate) address: IpAddr,
    /// The port.
    pub(crate) port: u16,
    /// The name behind it: what was asked for in TLS, or resolved.
    pub(crate) host: Option<String>,
    /// Whether TLS is around it.
    pub(crate) encrypted: bool,
}

impl Place {
    /// What a server here calls itself.
    pub(crate) fn server_name(&self) -> String {
        self.host.clone().unwrap_or_else(|| self.address.to_string())
    }
}

/// What happens when a language has said its piece.
#[derive(Default)]
pub(crate) enum Next {
    /// The same goes on.
    #[default]
    Stay,
    /// The server hangs up, after what it said is sent.
    Close,
    /// TLS begins, in the same language.
    StartTls,
    /// Another conversation begins on the same connection: with this host and port.
    Tunnel(String, u16, Vec<u8>),
    /// Another language begins; the bytes are its first.
    Become(Box<dyn Talk>, Vec<u8>),
}

/// What shall be said on the next data connection.
pub(crate) struct Delivery {
    pub(crate) bytes: Vec<u8>,
    /// Whether the client will want TLS there.
    pub(crate) private: bool,
}

/// What a language may see and do.
pub(crate) struct Scene<'a> {
    pub(crate) simulation: &'a Simulation,
    pub(crate) place: &'a Place,
    pub(crate) notes: &'a mut Notes,
    /// What is answered.
    pub(crate) out: &'a mut Vec<u8>,
    pub(crate) next: Next,
    pub(crate) delivery: Option<Delivery>,
    pub(crate) names: &'a mut Names,
    pub(crate) ledger: &'a mut Ledger,
    /// Who speaks.
    pub(crate) process: Option<u32>,
}

impl Scene<'_> {
    /// Answers.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }
}

/// A language in the middle of a conversation.
pub(crate) trait Talk {
    /// See [`pyti_model::trace::Conversation::language`].
    fn name(&self) -> &'static str;
    /// Hears a piece of what the client says. Keeps no more of it than it has to, and never without a cap.
    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>);
    /// Whether it stopped in the middle of what it heard, because there was much to answer: then it wants to hear
    /// nothing for once, and goes on.
    fn goes_on(&self) -> bool {
        false
    }
}

/// What the first bytes of a client mean.
pub(crate) enum First {
    /// Not to be told yet.
    More,
    /// TLS.
    Tls,
    /// A language.
    Is(Box<dyn Talk>),
}

/// Most bytes that are needed to tell a language.
const TELLING: usize = 4 << 10;

/// What a server says before the client says anything: at once where its port tells that it begins, and else when the
/// client `waited` in vain. `None` when it is the client's turn.
pub(crate) fn greeting(place: &Place, waited: bool) -> Option<Vec<u8>> {
    let name = place.server_name();
    let line = match place.port {
        21 => format!("220 {name} FTP server ready.\r\n"),
        25 | 587 | 2525 => format!("220 {name} ESMTP Postfix\r\n"),
        465 if place.encrypted || waited => format!("220 {name} ESMTP Postfix\r\n"),
        990 if place.encrypted || waited => format!("220 {name} FTP server ready.\r\n"),
        22 => "SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u2\r\n".to_owned(),
        110 => "+OK POP3 ready\r\n".to_owned(),
        995 if place.encrypted || waited => "+OK POP3 ready\r\n".to_owned(),
        143 => "* OK IMAP4rev1 ready\r\n".to_owned(),
        993 if place.encrypted || waited => "* OK IMAP4rev1 ready\r\n".to_owned(),
        // here the client begins, and may take its time
        53 | 80 | 443 | 465 | 990 | 993 | 995 | 3128 | 5432 | 6379 | 8000 | 8080 | 8443 | 8888
        | PASSIVE_PORT => {
            return None;
        }
        // mail and files begin alike
        _ if waited => format!("220 {name} ready\r\n"),
        _ => return None,
    };
    Some(line.into_bytes())
}

/// Recognises a language by the first bytes of a client; `over` tells that no more will come.
pub(crate) fn recognise(said: &[u8], place: &Place, over: bool) -> First {
    if said.is_empty() {
        return First::More;
    }
    if !place.encrypted && is_tls(said) {
        return if said.len() >= 3 || over {
            First::Tls
        } else {
            First::More
        };
    }
    if place.port == 53 && !place.encrypted {
        return First::Is(Box::<lookup::Lookup>::default());
    }
    // ports at which we greeted, and so told which language we speak
    let http = ["GET ", "POST ", "PUT ", "HEAD "]
        .iter()
        .any(|verb| said.starts_with(verb.as_bytes()));
    match place.port {
        PASSIVE_PORT => return First::Is(Box::new(Plain("ftp-data"))),
        22 => return First::Is(Box::new(Plain("ssh"))),
        25 | 465 | 587 | 2525 if !http => return First::Is(Box::<smtp::Smtp>::default()),
        143 | 993 if !http => return First::Is(Box::<mailbox::Imap>::default()),
        110 | 995 if !http => return First::Is(Box::<mailbox::Pop3>::default()),
        21 | 990 if !http => return First::Is(Box::<ftp::Ftp>::default()),
        _ => {}
    }
    if smtp::recognise(said) {
        return First::Is(Box::<smtp::Smtp>::default());
    }
    if ftp::recognise(said) {
        return First::Is(Box::<ftp::Ftp>::default());
    }
    let mut more = false;
    let mut is = |answer: Option<bool>| {
        more |= answer.is_none();
        answer == Some(true)
    };
    if is(http2::recognise(said)) {
        return First::Is(Box::<http2::Http2>::default());
    }
    if is(http1::recognise(said)) {
        return First::Is(Box::<http1::Http1>::default());
    }
    if is(stratum::recognise(said)) {
        return First::Is(Box::<stratum::Stratum>::default());
    }
    if is(redis::recognise(said)) || (place.port == 6379 && said.first().is_some_and(u8::is_ascii_alphabetic))
    {
        return First::Is(Box::<redis::Redis>::default());
    }
    if is(postgres::recognise(said)) {
        return First::Is(Box::<postgres::Postgres>::default());
    }
    if more && !over && said.len() < TELLING {
        return First::More;
    }
    First::Is(Box::new(Plain("raw")))
}

/// The beginning of a record that holds a client's hello.
fn is_tls(said: &[u8]) -> bool {
    said[0] == 0x16 && said.get(1).is_none_or(|b| *b == 3) && said.get(2).is_none_or(|b| *b <= 4)
}

/// Nothing that we understand: it is kept, and answered nothing. It has a name where its port tells one.
pub(crate) struct Plain(&'static str);

impl Talk for Plain {
    fn name(&self) -> &'static str {
        self.0
    }

    fn hear(&mut self, _: &[u8], _: &mut Scene<'_>) {}
}

#[cfg(test)]
mod tests;
