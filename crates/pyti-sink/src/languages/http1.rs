//! HTTP/1.1: heads by `httparse`, bodies by length or in chunks, one answer for each question.

use super::answers::{self, Asked};
use super::websocket::WebSocket;
use super::{Next, Scene, Talk};

/// Most bytes of a head.
const HEAD: usize = 32 << 10;
/// Bytes of answers after which others have their turn.
const ENOUGH: usize = 16 << 10;
/// Questions on one connection, as many as usual servers take.
const QUESTIONS: u32 = 1000;
/// Most header fields.
const FIELDS: usize = 128;
/// Most bytes of the line before a chunk, and of a trailer.
const CHUNK_LINE: usize = 8 << 10;

/// Whether the first bytes are a request line: `None` when it cannot be told yet.
pub(super) fn recognise(said: &[u8]) -> Option<bool> {
    let Some(space) = said.iter().position(|byte| *byte == b' ') else {
        let word = said.len() <= 20 && said.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-');
        return if word { None } else { Some(false) };
    };
    let (verb, rest) = (&said[..space], &said[space + 1..]);
    if verb.is_empty() || !verb.iter().all(|byte| byte.is_ascii_uppercase() || *byte == b'-') {
        return Some(false);
    }
    // other languages have commands in capitals, too: what follows is a path, a star, or a URL, then the version
    let known = [
        "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND", "MKCOL",
        "REPORT",
    ];
    if !known.iter().any(|one| one.as_bytes() == verb) {
        return match rest.iter().position(|byte| matches!(byte, b' ' | b'\n')) {
            Some(end) => Some(rest[end..].starts_with(b" HTTP/1.")),
            None => (rest.len() > 1024).then_some(false),
        };
    }
    Some(true)
}

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Http1 {
    buffer: Vec<u8>,
    state: State,
    metadata: bool,
    answered: u32,
    goes_on: bool,
}

#[derive(Default)]
enum State {
    /// Awaits the rest of a head.
    #[default]
    Head,
    /// Awaits this many bytes of a body.
    Length(u64, Question),
    /// Awaits the line before a chunk.
    Size(Question),
    /// Awaits this many bytes of a chunk, its end included.
    Chunk(u64, Question),
    /// Awaits the end of the trailers.
    Trailers(Question),
    /// Nothing more is understood.
    Over,
}

/// A question whose body is still coming.
struct Question {
    place: Option<usize>,
    asked: Asked,
    close: bool,
}

enum Head {
    More,
    Bad,
    Whole(usize),
}

impl Talk for Http1 {
    fn name(&self) -> &'static str {
        if self.metadata { "metadata" } else { "http" }
    }

    fn goes_on(&self) -> bool {
        self.goes_on
    }

    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>) {
        if matches!(self.state, State::Over) {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.extend_from_slice(said);
        let mut at = 0;
        self.goes_on = false;
        while let Some(used) = self.step(&buffer[at..], scene) {
            at += used;
            if scene.out.len() >= ENOUGH && matches!(scene.next, Next::Stay) {
                self.goes_on = true;
                break;
            }
            match &mut scene.next {
                Next::Stay => {}
                Next::Tunnel(_, _, rest) | Next::Become(_, rest) => {
                    *rest = buffer.split_off(at);
                    return;
                }
                _ => return,
            }
        }
        buffer.drain(..at);
        self.buffer = buffer;
    }
}

impl Http1 {
    /// One step: how many bytes it used; `None` when it needs more than there are.
    fn step(&mut self, rest: &[u8], scene: &mut Scene<'_>) -> Option<usize> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Head => match self.head(rest, scene) {
                Head::More => {
                    self.state = State::Head;
                    None
                }
                Head::Bad => Some(bad(scene)),
                Head::Whole(length) => Some(length),
            },
            State::Length(left, question) => {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                scene.notes.body(question.place, &rest[..now]);
                let left = left - now as u64;
                if left == 0 {
                    self.answer(question, scene);
                } else {
                    self.state = State::Length(left, question);
                }
                (left == 0 || now > 0).then_some(now)
            }
            State::Size(question) => match line(rest) {
                Line::More => {
                    self.state = State::Size(question);
                    None
                }
                Line::Whole(text, length) => {
                    match size(text) {
                        Some(0) => self.state = State::Trailers(question),
                        // and the line's end behind it
                        Some(size) => self.state = State::Chunk(size + 2, question),
                        None => return Some(bad(scene)),
                    }
                    Some(length)
                }
                Line::Bad => Some(bad(scene)),
            },
            State::Chunk(left, question) => {
                let now = usize::try_from(left).unwrap_or(usize::MAX).min(rest.len());
                let data = usize::try_from(left.saturating_sub(2))
                    .unwrap_or(usize::MAX)
                    .min(now);
                scene.notes.body(question.place, &rest[..data]);
                let left = left - now as u64;
                self.state = if left == 0 {
                    State::Size(question)
                } else {
                    State::Chunk(left, question)
                };
                (now > 0).then_some(now)
            }
            State::Trailers(question) => match line(rest) {
                Line::More => {
                    self.state = State::Trailers(question);
                    None
                }
                Line::Whole(text, length) => {
                    if text.is_empty() {
                        self.answer(question, scene);
                    } else {
                        self.state = State::Trailers(question);
                    }
                    Some(length)
                }
                Line::Bad => Some(bad(scene)),
            },
            State::Over => None,
        }
    }

    fn head(&mut self, rest: &[u8], scene: &mut Scene<'_>) -> Head {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(rest) {
            Ok(httparse::Status::Complete(length)) if length <= HEAD => length,
            Ok(httparse::Status::Partial) if rest.len() <= HEAD => return Head::More,
            _ => return Head::Bad,
        };
        let (verb, target) = (
            request.method.unwrap_or_default(),
            request.path.unwrap_or_default(),
        );
        let place = scene.notes.asked(verb.as_bytes(), target.as_bytes());
        let mut asked = Asked::new(verb, target.as_bytes());
        let (mut length_field, mut chunked, mut expects) = (None, false, false);
        let mut close = request.version == Some(0);
        for field in request.headers.iter() {
            scene.notes.header(place, field.name.as_bytes(), field.value);
            let is = |name: &str| field.name.eq_ignore_ascii_case(name);
            let has = |word: &[u8]| {
                let value = field.value.to_ascii_lowercase();
                value.windows(word.len()).any(|window| window == word)
            };
            if is("content-length") {
                let number = std::str::from_utf8(field.value)
                    .ok()
                    .and_then(|v| v.trim().parse::<u64>().ok());
                if number.is_none() {
                    return Head::Bad;
                }
                length_field = number;
            } else if is("transfer-encoding") {
                chunked = has(b"chunked");
            } else if is("connection") {
                close = has(b"close") || (close && !has(b"keep-alive"));
            } else if is("expect") {
                expects = has(b"100-continue");
            } else if is("host") {
                scene.notes.host(place, field.value);
                asked.host = Some(field.value.to_vec());
            } else {
                asked.note(field.name, field.value);
            }
        }
        if verb == "CONNECT" {
            scene.notes.answer(place, "200");
            scene.say(b"HTTP/1.1 200 Connection established\r\n\r\n");
            let (host, port) = answers::authority(target);
            scene.next = Next::Tunnel(host, port, Vec::new());
            return Head::Whole(length);
        }
        if let Some(key) = asked.websocket_key() {
            scene.notes.answer(place, "101");
            scene.say(&answers::upgrade(&key));
            scene.next = Next::Become(Box::new(WebSocket::default()), Vec::new());
            return Head::Whole(length);
        }
        if expects && (chunked || length_field.is_some_and(|n| n > 0)) {
            scene.say(b"HTTP/1.1 100 Continue\r\n\r\n");
        }
        let question = Question { place, asked, close };
        self.state = if chunked {
            State::Size(question)
        } else {
            State::Length(length_field.unwrap_or(0), question)
        };
        Head::Whole(length)
    }

    fn answer(&mut self, question: Question, scene: &mut Scene<'_>) {
        let Question { place, asked, close } = question;
        self.answered += 1;
        let close = close || self.answered >= QUESTIONS;
        let answer = answers::answer(&asked, scene.simulation, scene.place);
        self.metadata |= answer.metadata;
        scene.notes.answer(place, &answer.status.to_string());
        let head = answer.head(close);
        scene.say(head.as_bytes());
        if asked.verb != "HEAD" {
            scene.say(&answer.body);
        }
        if close {
            scene.next = Next::Close;
        } else {
            self.state = State::Head;
        }
    }
}

/// The size before a chunk, in hexadecimal; what follows a semicolon means nothing to us.
fn size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?.trim(), 16).ok()?;
    // the end of the line behind it is added
    (size < 1 << 48).then_some(size)
}

enum Line<'a> {
    More,
    Whole(&'a [u8], usize),
    Bad,
}

/// A line without its end, and its length with it.
fn line(rest: &[u8]) -> Line<'_> {
    match rest.iter().take(CHUNK_LINE).position(|byte| *byte == b'\n') {
        Some(end) => Line::Whole(rest[..end].trim_ascii_end(), end + 1),
        None if rest.len() >= CHUNK_LINE => Line::Bad,
        None => Line::More,
    }
}

/// Nothing that we understand: it is said, and the rest is not heard.
fn bad(scene: &mut Scene<'_>) -> usize {
    scene.say(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    scene.next = Next::Close;
    0
}
