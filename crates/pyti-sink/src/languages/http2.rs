//! HTTP/2: the `h2` crate, driven by hand over memory. There is no runtime: after each piece that comes, everything is
//! asked once more, and whoever waits is asked again with the next piece.

use std::collections::VecDeque;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::server::{Connection, Handshake, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answers::{self, Asked};
use super::{Next, Scene, Talk};

/// What a client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Questions at once on one connection.
const STREAMS: u32 = 64;
/// Bytes of all header fields of one question.
const FIELDS: u32 = 32 << 10;
/// Bytes of answers that may wait.
const WAITING: usize = 64 << 10;
/// Rounds for one piece; beyond, the rest waits for the next one.
const ROUNDS: usize = 10_000;

/// Whether the first bytes are this: `None` when it cannot be told yet.
pub(super) fn recognise(said: &[u8]) -> Option<bool> {
    let length = said.len().min(PREFACE.len());
    if said[..length] != PREFACE[..length] {
        return Some(false);
    }
    (length == PREFACE.len()).then_some(true)
}

/// Two pipes in memory.
#[derive(Default)]
struct Pipes {
    coming: VecDeque<u8>,
    going: Vec<u8>,
}

#[derive(Clone, Default)]
struct Ends(Arc<Mutex<Pipes>>);

impl Ends {
    fn with<T>(&self, act: impl FnOnce(&mut Pipes) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl AsyncRead for Ends {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.with(|pipes| {
            if pipes.coming.is_empty() {
                return Poll::Pending;
            }
            let (piece, _) = pipes.coming.as_slices();
            let length = piece.len().min(buffer.remaining());
            buffer.put_slice(&piece[..length]);
            pipes.coming.drain(..length);
            Poll::Ready(Ok(()))
        })
    }
}

impl AsyncWrite for Ends {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.with(|pipes| {
            if pipes.going.len() > WAITING {
                return Poll::Pending;
            }
            pipes.going.extend_from_slice(bytes);
            Poll::Ready(Ok(bytes.len()))
        })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

enum Stage {
    Shaking(Pin<Box<Handshake<Ends, Bytes>>>),
    Open(Box<Connection<Ends, Bytes>>),
    Over,
}

/// A question that is not answered yet.
struct Question {
    asked: Asked,
    place: Option<usize>,
    body: RecvStream,
    respond: SendResponse<Bytes>,
}

/// A server in the middle of a conversation.
pub(crate) struct Http2 {
    ends: Ends,
    stage: Stage,
    questions: Vec<Question>,
    /// Bodies that wait for the client to make room.
    answers: Vec<(SendStream<Bytes>, Bytes)>,
    metadata: bool,
}

impl Default for Http2 {
    fn default() -> Self {
        let ends = Ends::default();
        let shaking = h2::server::Builder::new()
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(FIELDS)
            .initial_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_concurrent_reset_streams(16)
            .handshake(ends.clone());
        Self {
            ends,
            stage: Stage::Shaking(Box::pin(shaking)),
            questions: Vec::new(),
            answers: Vec::new(),
            metadata: false,
        }
    }
}

impl Talk for Http2 {
    fn name(&self) -> &'static str {
        if self.metadata { "metadata" } else { "http" }
    }

    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>) {
        if matches!(self.stage, Stage::Over) {
            return;
        }
        self.ends.with(|pipes| pipes.coming.extend(said));
        for _ in 0..ROUNDS {
            let moved = self.turn(scene);
            let going = self.ends.with(|pipes| std::mem::take(&mut pipes.going));
            scene.say(&going);
            if matches!(self.stage, Stage::Over) {
                scene.next = Next::Close;
                return;
            }
            if !moved && going.is_empty() {
                return;
            }
        }
    }
}

impl Http2 {
    /// Asks everybody once; whether anything moved.
    fn turn(&mut self, scene: &mut Scene<'_>) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut moved = false;
        match &mut self.stage {
            Stage::Shaking(shaking) => match shaking.as_mut().poll(&mut context) {
                Poll::Ready(Ok(connection)) => {
                    self.stage = Stage::Open(Box::new(connection));
                    moved = true;
                }
                Poll::Ready(Err(_)) => self.stage = Stage::Over,
                Poll::Pending => {}
            },
            Stage::Open(connection) => match connection.poll_accept(&mut context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    let question = begin(request, respond, scene);
                    self.questions.push(question);
                    moved = true;
                }
                Poll::Ready(_) => self.stage = Stage::Over,
                Poll::Pending => {}
            },
            Stage::Over => return false,
        }
        for mut question in std::mem::take(&mut self.questions) {
            match hear_body(&mut question, &mut context, scene) {
                Heard::More(any) => {
                    moved |= any;
                    self.questions.push(question);
                }
                Heard::All => {
                    moved = true;
                    self.answer(question, scene);
                }
                Heard::Broken => moved = true,
            }
        }
        for (mut stream, rest) in std::mem::take(&mut self.answers) {
            match send(&mut stream, rest, &mut context) {
                Some(rest) => self.answers.push((stream, rest)),
                None => moved = true,
            }
        }
        moved
    }

    fn answer(&mut self, question: Question, scene: &mut Scene<'_>) {
        let Question {
            asked,
            place,
            mut respond,
            ..
        } = question;
        let answer = answers::answer(&asked, scene.simulation, scene.place);
        self.metadata |= answer.metadata;
        scene.notes.answer(place, &answer.status.to_string());
        let mut response = http::Response::builder().status(answer.status);
        for (name, value) in answer.all_fields() {
            response = response.header(name, value);
        }
        let Ok(response) = response.body(()) else {
            respond.send_reset(Reason::INTERNAL_ERROR);
            return;
        };
        let body = if asked.verb == "HEAD" {
            Bytes::new()
        } else {
            Bytes::from(answer.body)
        };
        if let Ok(stream) = respond.send_response(response, body.is_empty())
            && !body.is_empty()
        {
            self.answers.push((stream, body));
        }
    }
}

fn begin(
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
    scene: &mut Scene<'_>,
) -> Question {
    let (head, body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", http::uri::PathAndQuery::as_str);
    let place = scene
        .notes
        .asked(head.method.as_str().as_bytes(), target.as_bytes());
    let mut asked = Asked::new(head.method.as_str(), target.as_bytes());
    for (name, value) in &head.headers {
        scene
            .notes
            .header(place, name.as_str().as_bytes(), value.as_bytes());
        asked.note(name.as_str(), value.as_bytes());
    }
    let host = head.uri.authority().map(|host| host.as_str().as_bytes().to_vec());
    let host = host.or_else(|| head.headers.get("host").map(|host| host.as_bytes().to_vec()));
    if let Some(host) = &host {
        scene.notes.host(place, host);
    }
    asked.host = host;
    Question {
        asked,
        place,
        body,
        respond,
    }
}

enum Heard {
    More(bool),
    All,
    Broken,
}

fn hear_body(question: &mut Question, context: &mut Context<'_>, scene: &mut Scene<'_>) -> Heard {
    let mut any = false;
    loop {
        match question.body.poll_data(context) {
            Poll::Ready(Some(Ok(piece))) => {
                scene.notes.body(question.place, &piece);
                // it is used up as soon as it is there
                let _ = question.body.flow_control().release_capacity(piece.len());
                any = true;
            }
            Poll::Ready(Some(Err(_))) => return Heard::Broken,
            Poll::Ready(None) => return Heard::All,
            Poll::Pending => return Heard::More(any),
        }
    }
}

/// Sends as much as the client has room for; gives back the rest.
fn send(stream: &mut SendStream<Bytes>, mut rest: Bytes, context: &mut Context<'_>) -> Option<Bytes> {
    stream.reserve_capacity(rest.len());
    match stream.poll_capacity(context) {
        Poll::Ready(Some(Ok(room))) => {
            let piece = rest.split_to(room.min(rest.len()));
            let last = rest.is_empty();
            if stream.send_data(piece, last).is_err() || last {
                return None;
            }
            Some(rest)
        }
        Poll::Ready(_) => None,
        Poll::Pending => Some(rest),
    }
}
