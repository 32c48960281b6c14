//! What a process did or tried, in words.

use pyti_model::Foreign;
use pyti_model::effect::Effect;
use pyti_model::trace::{
    Access, Act, Conversation, DecoyUse, Deed, Endpoint, Exchange, Origin, Process, Result, Transport,
};

use crate::seen::Traced;
use crate::sentences::{shown, shown_str};
use crate::words::{bytes, count, seconds};

/// What an act has to do with, for grouping and filters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Decoy,
    Network,
    Program,
    Write,
    Read,
    Process,
    Refused,
}

impl Kind {
    /// All, in the order of the page.
    pub(crate) const ALL: [Self; 7] = [
        Self::Decoy,
        Self::Network,
        Self::Program,
        Self::Write,
        Self::Read,
        Self::Process,
        Self::Refused,
    ];

    /// The word of a filter.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Decoy => "decoys",
            Self::Network => "network",
            Self::Program => "programs",
            Self::Write => "writes",
            Self::Read => "reads",
            Self::Process => "processes",
            Self::Refused => "refused",
        }
    }

    /// The kind of an act.
    pub(crate) fn of(act: &Act) -> Self {
        if act.result == Result::Refused {
            return Self::Refused;
        }
        match &act.deed {
            Deed::Decoy { .. } => Self::Decoy,
            Deed::Bind { .. }
            | Deed::Listen { .. }
            | Deed::Connect { .. }
            | Deed::Send { .. }
            | Deed::Resolve { .. }
            | Deed::Converse(_)
            | Deed::Packet { .. } => Self::Network,
            Deed::Execute { .. } | Deed::Memory { .. } | Deed::Audit { .. } => Self::Program,
            Deed::Open { access, .. } if !writes(*access) => Self::Read,
            Deed::Look { .. } | Deed::List { .. } => Self::Read,
            Deed::Open { .. }
            | Deed::MakeFolder { .. }
            | Deed::MakeNode { .. }
            | Deed::Rename { .. }
            | Deed::Link { .. }
            | Deed::Remove { .. }
            | Deed::Mode { .. }
            | Deed::Owner { .. }
            | Deed::Truncate { .. } => Self::Write,
            Deed::Ptrace { .. }
            | Deed::ForeignMemory { .. }
            | Deed::Signal { .. }
            | Deed::Become { .. }
            | Deed::Inquire { .. }
            | Deed::Unknown => Self::Process,
            Deed::Forbidden { .. } => Self::Refused,
        }
    }
}

/// Whether a file was opened to be changed.
pub(crate) fn writes(access: Access) -> bool {
    access.write || access.append || access.create || access.truncate
}

/// An act in words: what was done, to what, and what else there is to say.
pub(crate) struct Said {
    /// `tried to open for reading`.
    pub(crate) verb: String,
    /// `/home/dev/.aws/credentials`; foreign text made visible.
    pub(crate) object: String,
    /// In brackets; may be empty.
    pub(crate) note: String,
}

impl Said {
    /// All of it as one line.
    pub(crate) fn line(&self) -> String {
        let mut line = self.verb.clone();
        if !self.object.is_empty() {
            line.push(' ');
            line.push_str(&self.object);
        }
        if !self.note.is_empty() {
            line.push_str(&format!(" ({})", self.note));
        }
        line
    }
}

/// An act in words. What was only tried is never told as done.
pub(crate) fn say(act: &Act, traced: &Traced<'_>) -> Said {
    let (verb, object, mut notes) = parts(act, traced);
    let verb = match verb {
        Verb::Told(text) => text,
        Verb::Tried(plain, past) => match &act.result {
            Result::Attempted => format!("tried to {plain}"),
            Result::Done => past,
            Result::Failed(error) => {
                notes.push(shown_str(error));
                format!("failed to {plain}")
            }
            Result::Refused => format!("was kept from trying to {plain}"),
        },
    };
    if act.times > 1 {
        notes.push(count(act.times.into(), "time"));
    }
    Said {
        verb,
        object,
        note: notes.join(", "),
    }
}

enum Verb {
    /// Another source than the notification says that it was so.
    Told(String),
    /// The plain form, and that of what is done.
    Tried(String, String),
}

fn tried(plain: &str, past: &str) -> Verb {
    Verb::Tried(plain.to_owned(), past.to_owned())
}

fn told(text: impl Into<String>) -> Verb {
    Verb::Told(text.into())
}

fn parts(act: &Act, traced: &Traced<'_>) -> (Verb, String, Vec<String>) {
    let mut notes = Vec::new();
    let (verb, object) = match &act.deed {
        Deed::Execute {
            path,
            argv,
            argv_dropped,
            origin,
            sockets,
            cwd,
            variables,
        } => {
            if !matches!(act.result, Result::Failed(_)) {
                notes.extend(origin_words(*origin).map(str::to_owned));
            }
            if !sockets.is_empty() {
                let which: Vec<&str> = sockets.iter().map(|fd| stream(*fd)).collect();
                notes.push(format!("its {} a network connection", are(&which)));
            }
            if *argv_dropped > 0 {
                notes.push(count(u64::from(*argv_dropped), "further argument"));
            }
            if !variables.is_empty() {
                let names: Vec<String> = variables.iter().map(shown).collect();
                notes.push(format!("with {} set", crate::words::some(&names, 6)));
            }
            if !cwd.is_empty() {
                notes.push(format!("in {}", shown(cwd)));
            }
            (tried("run", "ran"), command_line(path, argv))
        }
        Deed::Open { path, access } => {
            let (plain, past) = open_words(*access);
            (Verb::Tried(plain, past), shown(path))
        }
        Deed::Look { path } => (tried("look at", "looked at"), shown(path)),
        Deed::List { path } => (tried("list the names in", "listed the names in"), shown(path)),
        Deed::MakeFolder { path } => (tried("make the folder", "made the folder"), shown(path)),
        Deed::MakeNode { path } => (
            tried(
                "make the pipe, socket or device",
                "made the pipe, socket or device",
            ),
            shown(path),
        ),
        Deed::Rename { from, to } => (
            tried("rename", "renamed"),
            format!("{} to {}", shown(from), shown(to)),
        ),
        Deed::Link { path, to, symbolic } => {
            let what = if *symbolic { "link" } else { "hard link" };
            (
                tried(&format!("make the {what}"), &format!("made the {what}")),
                format!("{} to {}", shown(path), shown(to)),
            )
        }
        Deed::Remove { path, folder } => {
            let what = if *folder { " the folder" } else { "" };
            (
                tried(&format!("remove{what}"), &format!("removed{what}")),
                shown(path),
            )
        }
        Deed::Mode { path, mode } => {
            notes.push(format!("to {mode:o}"));
            if mode & 0o111 != 0 {
                notes.push("executable".to_owned());
            }
            (tried("change the mode of", "changed the mode of"), shown(path))
        }
        Deed::Owner { path } => (tried("change the owner of", "changed the owner of"), shown(path)),
        Deed::Truncate { path } => (tried("cut the file", "cut the file"), shown(path)),
        Deed::Memory { name } => (
            tried("make a file in memory", "made a file in memory"),
            shown(name),
        ),
        Deed::Ptrace { request, target } => (
            tried("trace", "traced"),
            format!("process {target} by ptrace {}", shown_str(request)),
        ),
        Deed::ForeignMemory { target, write } => {
            let (a, b) = if *write {
                ("write", "wrote")
            } else {
                ("read", "read")
            };
            (
                tried(&format!("{a} the memory of"), &format!("{b} the memory of")),
                format!("process {target}"),
            )
        }
        Deed::Signal { target, signal } => (
            tried(
                &format!("send signal {signal} to"),
                &format!("sent signal {signal} to"),
            ),
            if *target < 0 {
                format!("the process group {}", target.unsigned_abs())
            } else {
                format!("process {target}")
            },
        ),
        Deed::Become { call, text } => {
            if !text.is_empty() {
                notes.push(shown(text));
            }
            (tried("call", "called"), shown_str(call))
        }
        Deed::Inquire { call } => (told("asked what tells machines apart, by"), shown_str(call)),
        Deed::Forbidden { call } => (told("called what the box refuses:"), shown_str(call)),
        Deed::Bind { to } => (
            tried("take the address", "took the address"),
            endpoint(to, traced),
        ),
        Deed::Listen { at } => (
            tried("wait for connections at", "waited for connections at"),
            at.as_ref().map_or_else(
                || "an address that is not known".to_owned(),
                |to| endpoint(to, traced),
            ),
        ),
        Deed::Connect { to, transport } => {
            if *transport != Transport::Unix {
                notes.push(transport_word(*transport).to_owned());
            }
            (tried("connect to", "connected to"), endpoint(to, traced))
        }
        Deed::Send { to } => (tried("send to", "sent to"), endpoint(to, traced)),
        Deed::Resolve { name, record, answer } => {
            notes.push(shown_str(record));
            notes.push(if answer.is_empty() {
                "no such name".to_owned()
            } else {
                "simulated".to_owned()
            });
            (told("asked for the name"), shown(name))
        }
        Deed::Converse(conversation) => {
            notes.push(exchanged(conversation));
            (
                told(format!("spoke {} with", language(conversation))),
                whom(conversation),
            )
        }
        Deed::Packet { to, protocol } => (
            told(format!("sent {} packets to", shown_str(protocol))),
            endpoint(to, traced),
        ),
        Deed::Decoy { decoy, used } => return decoy_parts(decoy, used),
        Deed::Audit { name, text } => {
            notes.push("as the interpreter itself says".to_owned());
            (told(format!("{}:", shown_str(name))), shown(text))
        }
        Deed::Unknown => (told("did something that this version cannot read"), String::new()),
    };
    (verb, object, notes)
}

fn decoy_parts(decoy: &str, used: &DecoyUse) -> (Verb, String, Vec<String>) {
    let id = shown_str(decoy);
    let hidden = |encoding: &str| {
        if encoding == "raw" {
            Vec::new()
        } else {
            vec![format!("hidden by {}", shown_str(encoding))]
        }
    };
    match used {
        DecoyUse::Read { path } => (told("read the decoy"), id, vec![shown(path)]),
        DecoyUse::Sent { encoding, .. } => (told("sent the decoy"), id, hidden(encoding)),
        DecoyUse::Argument { encoding, .. } => (
            told("put into a program's arguments the decoy"),
            id,
            hidden(encoding),
        ),
        DecoyUse::Written { encoding, path } => {
            let mut notes = vec![shown(path)];
            notes.extend(hidden(encoding));
            (told("wrote into a file the decoy"), id, notes)
        }
        DecoyUse::Printed { encoding } => (told("printed the decoy"), id, hidden(encoding)),
    }
}

fn open_words(access: Access) -> (String, String) {
    let how = if access.folder {
        "the folder"
    } else if access.append {
        "for writing at the end"
    } else if access.exclusive {
        "a new file for writing"
    } else if access.truncate {
        "and empty for writing"
    } else if access.read && writes(access) {
        "for reading and writing"
    } else if writes(access) {
        "for writing"
    } else {
        "for reading"
    };
    let past = if access.truncate && !access.append && !access.exclusive && !access.folder {
        "opened and emptied for writing".to_owned()
    } else {
        format!("opened {how}")
    };
    (format!("open {how}"), past)
}

/// Where a program comes from, where that is worth a word.
pub(crate) fn origin_words(origin: Origin) -> Option<&'static str> {
    match origin {
        Origin::System => None,
        Origin::Layer => Some("a file of the environment or the sources"),
        Origin::Written => Some("a file that this command wrote itself"),
        Origin::Nameless => Some("a file without a name"),
        Origin::Unknown => Some("from where is not known"),
    }
}

fn stream(fd: u8) -> &'static str {
    match fd {
        0 => "standard input",
        1 => "standard output",
        2 => "standard error",
        _ => "another descriptor",
    }
}

fn are(words: &[&str]) -> String {
    match words {
        [one] => format!("{one} is"),
        [head @ .., last] => format!("{} and {last} are", head.join(", ")),
        [] => "streams are".to_owned(),
    }
}

/// A program with its arguments; the first argument is left out where it only repeats the program's name.
pub(crate) fn command_line(path: &Foreign, argv: &[Foreign]) -> String {
    let mut words = vec![shown(path)];
    words.extend(argv.iter().skip(1).take(40).map(quoted));
    if argv.len() > 41 {
        words.push(format!("… ({} more)", argv.len() - 41));
    }
    words.join(" ")
}

/// An argument as a shell would have to be given it, where that matters.
fn quoted(argument: &Foreign) -> String {
    let text = shown(argument);
    let plain = !text.is_empty()
        && text.chars().all(|c| {
            !c.is_whitespace()
                && !matches!(
                    c,
                    '\'' | '"' | '$' | '`' | '|' | '&' | ';' | '<' | '>' | '(' | ')'
                )
        });
    if plain { text } else { format!("'{text}'") }
}

/// A whole command: what was run, and the limit that ended it.
pub(crate) fn ran(effect: &Effect) -> String {
    let argv = effect.argv.iter().map(quoted).collect::<Vec<_>>().join(" ");
    match effect.limit {
        Some(limit) => format!(
            "the command {argv}, ended by its limit of {}",
            crate::words::limit(limit)
        ),
        None => format!("the command {argv}"),
    }
}

/// The last part of a program's path, with its first arguments: `python3.13 -c …`.
pub(crate) fn short_process(process: &Process) -> (String, String) {
    let path = process.executable.visible();
    let name = path
        .rsplit('/')
        .next()
        .filter(|name| !name.is_empty())
        .unwrap_or("?");
    let arguments = process
        .argv
        .iter()
        .skip(1)
        .take(12)
        .map(quoted)
        .collect::<Vec<_>>()
        .join(" ");
    (shown_str(name), arguments)
}

/// Names of a process and of those above it, from the command's own down; of a long way the beginning and the end.
pub(crate) fn ancestry(traced: &Traced<'_>, process: usize) -> Vec<String> {
    const BEGIN: usize = 3;
    const END: usize = 5;
    let path = traced.tree().path(process);
    let name = |n: &usize| {
        traced
            .trace
            .processes
            .get(*n)
            .map(|process| short_process(process).0)
    };
    if path.len() <= BEGIN + END {
        return path.iter().filter_map(name).collect();
    }
    let left = path.len() - BEGIN - END;
    path[..BEGIN]
        .iter()
        .filter_map(name)
        .chain([format!("… {left} more …")])
        .chain(path[BEGIN + left..].iter().filter_map(name))
        .collect()
}

/// An address, with the name that was resolved to it.
pub(crate) fn endpoint(to: &Endpoint, traced: &Traced<'_>) -> String {
    match to {
        Endpoint::Ip { address, port } => {
            let plain = socket(*address, *port);
            match traced.name_of(address) {
                Some(name) => format!("{} ({plain})", shown(name)),
                None => plain,
            }
        }
        Endpoint::Unix(path) => match path.as_bytes() {
            [0, rest @ ..] => format!("the abstract socket {}", shown(&Foreign::from(rest))),
            _ => format!("the socket {}", shown(path)),
        },
        Endpoint::Other(text) => shown_str(text),
    }
}

fn socket(address: std::net::IpAddr, port: u16) -> String {
    if port == 0 {
        address.to_string()
    } else {
        std::net::SocketAddr::new(address, port).to_string()
    }
}

/// The word of a transport.
pub(crate) fn transport_word(transport: Transport) -> &'static str {
    match transport {
        Transport::Tcp => "TCP",
        Transport::Udp => "UDP",
        Transport::Icmp => "ICMP",
        Transport::Unix => "a socket of the file system",
        Transport::Other => "another transport",
    }
}

/// What was spoken: `HTTP over TLS`.
pub(crate) fn language(conversation: &Conversation) -> String {
    let plain = match conversation.language.as_str() {
        "http" => "HTTP".to_owned(),
        "smtp" => "SMTP".to_owned(),
        "ftp" => "FTP".to_owned(),
        "websocket" => "WebSocket".to_owned(),
        "stratum" => "stratum (mining)".to_owned(),
        "metadata" => "HTTP (cloud metadata)".to_owned(),
        "raw" => "an unknown language".to_owned(),
        "nothing" => "not a word".to_owned(),
        other => shown_str(other),
    };
    if conversation.tls.is_some() {
        format!("{plain} over TLS")
    } else {
        plain
    }
}

/// With whom: the name behind the address, the address, the port.
pub(crate) fn whom(conversation: &Conversation) -> String {
    let plain = socket(conversation.address, conversation.port);
    match host(conversation) {
        Some(host) => format!("{host} ({plain})"),
        None => plain,
    }
}

/// The name behind a conversation: as it was resolved, else as it was asked for in TLS.
pub(crate) fn host(conversation: &Conversation) -> Option<String> {
    conversation
        .host
        .as_ref()
        .or_else(|| conversation.tls.as_ref().and_then(|tls| tls.server_name.as_ref()))
        .map(shown)
}

/// The address of an exchange as a person would write it: `https://collector.example/x`.
pub(crate) fn url(conversation: &Conversation, exchange: &Exchange) -> String {
    let target = shown(&exchange.target);
    let web = matches!(conversation.language.as_str(), "http" | "metadata" | "websocket");
    if !web || target.contains("://") {
        return target;
    }
    let scheme = if conversation.tls.is_some() {
        "https"
    } else {
        "http"
    };
    let host = exchange
        .host
        .as_ref()
        .map(shown)
        .or_else(|| host(conversation))
        .unwrap_or_else(|| conversation.address.to_string());
    let usual = if conversation.tls.is_some() { 443 } else { 80 };
    let port = if conversation.port == usual || host.contains(':') {
        String::new()
    } else {
        format!(":{}", conversation.port)
    };
    format!("{scheme}://{host}{port}{target}")
}

/// What a conversation came to, in few words.
pub(crate) fn exchanged(conversation: &Conversation) -> String {
    if let Some(tls) = &conversation.tls
        && !tls.accepted
    {
        return match &tls.alert {
            Some(alert) => format!("our certificate was refused, {}", shown_str(alert)),
            None => "our certificate was refused".to_owned(),
        };
    }
    match conversation.exchanges.as_slice() {
        [] if conversation.sent.total == 0 => "nothing was said".to_owned(),
        [] => format!("sent {}", bytes(conversation.sent.total)),
        [first, rest @ ..] => {
            let mut text = format!("{} {}", shown(&first.verb), url(conversation, first));
            if first.body.total > 0 {
                text.push_str(&format!(", {} of body", bytes(first.body.total)));
            }
            if !rest.is_empty() {
                text.push_str(&format!(", and {} more", rest.len()));
            }
            text
        }
    }
}

/// Microseconds since the command began, for people: with hundredths of a second, because order is what matters.
#[expect(clippy::cast_precision_loss, reason = "only for showing")]
pub(crate) fn at(us: u64) -> String {
    let s = us as f64 / 1e6;
    if (0.0995..9.995).contains(&s) {
        format!("{s:.2} s")
    } else {
        seconds(s)
    }
}
