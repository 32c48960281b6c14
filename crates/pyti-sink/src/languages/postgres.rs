//! `PostgreSQL`'s protocol, version 3: whoever signs in is let in, and every query has no rows.

use super::{Next, Scene, Talk};

/// Most bytes of one message.
const MESSAGE: usize = 96 << 10;
const SSL: u32 = 80_877_103;
const GSS: u32 = 80_877_104;
const CANCEL: u32 = 80_877_102;

/// Whether the first bytes are a client of this: `None` when it cannot be told yet.
pub(super) fn recognise(said: &[u8]) -> Option<bool> {
    // lengths of a first message are below 64 KiB
    if said[0] != 0 || said.get(1).is_some_and(|byte| *byte != 0) {
        return Some(false);
    }
    let (length, code) = (word(said), word(said.get(4..)?));
    let code = match (length, code) {
        (Some(length), Some(code)) if length >= 8 => code,
        (Some(_), Some(_)) => return Some(false),
        _ => return None,
    };
    Some(matches!(code, SSL | GSS | CANCEL) || code >> 16 == 3)
}

fn word(bytes: &[u8]) -> Option<u32> {
    bytes.first_chunk().map(|word| u32::from_be_bytes(*word))
}

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Postgres {
    buffer: Vec<u8>,
    /// The first message was a sign-in, and the others have a letter in front.
    begun: bool,
}

impl Talk for Postgres {
    fn name(&self) -> &'static str {
        "postgres"
    }

    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>) {
        self.buffer.extend_from_slice(said);
        let mut at = 0;
        while matches!(scene.next, Next::Stay) {
            let rest = &self.buffer[at..];
            let letter = usize::from(self.begun);
            let Some(length) = rest.get(letter..).and_then(word) else {
                break;
            };
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            if !(4..=MESSAGE).contains(&length) {
                scene.next = Next::Close;
                break;
            }
            let Some(body) = rest.get(letter + 4..letter + length) else {
                break;
            };
            let (letter_is, body) = (rest[0], body.to_vec());
            at += letter + length;
            if self.begun {
                message(letter_is, &body, scene);
            } else {
                self.first(&body, scene);
            }
        }
        if matches!(scene.next, Next::Stay) {
            self.buffer.drain(..at);
        } else {
            // what was said before TLS began is not part of it
            self.buffer = Vec::new();
        }
    }
}

impl Postgres {
    fn first(&mut self, body: &[u8], scene: &mut Scene<'_>) {
        match word(body) {
            Some(SSL) if !scene.place.encrypted => {
                scene.notes.exchange(b"SSLRequest", b"", "S");
                scene.say(b"S");
                scene.next = Next::StartTls;
            }
            Some(SSL | GSS) => scene.say(b"N"),
            Some(CANCEL) | None => scene.next = Next::Close,
            Some(_) => {
                self.begun = true;
                // names and values, each with a zero behind
                let text: Vec<u8> = body[4..]
                    .iter()
                    .map(|byte| if *byte == 0 { b' ' } else { *byte })
                    .collect();
                scene.notes.exchange(
                    b"StartupMessage",
                    text.trim_ascii(),
                    "AuthenticationCleartextPassword",
                );
                scene.say(&[b'R', 0, 0, 0, 8, 0, 0, 0, 3]);
            }
        }
    }
}

const NO_ROWS: &str = "SELECT 0";
/// A row would have one column of text, without a name.
const ONE_COLUMN: &[u8] = b"T\0\0\0\x21\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";

/// What a server says that has done it.
fn tag(query: &[u8]) -> String {
    let word: String = query
        .trim_ascii_start()
        .iter()
        .take(16)
        .take_while(|byte| byte.is_ascii_alphabetic())
        .map(|byte| char::from(byte.to_ascii_uppercase()))
        .collect();
    match word.as_str() {
        "SELECT" | "WITH" | "SHOW" | "VALUES" | "TABLE" | "" => NO_ROWS.to_owned(),
        "INSERT" => "INSERT 0 1".to_owned(),
        "UPDATE" | "DELETE" | "COPY" => format!("{word} 0"),
        _ => word,
    }
}

fn done(tag: &str, scene: &mut Scene<'_>) {
    let length = u32::try_from(4 + tag.len() + 1).unwrap_or(0);
    scene.say(b"C");
    scene.say(&length.to_be_bytes());
    scene.say(tag.as_bytes());
    scene.say(&[0]);
}

fn message(letter: u8, body: &[u8], scene: &mut Scene<'_>) {
    const READY: &[u8] = &[b'Z', 0, 0, 0, 5, b'I'];
    let text = body.strip_suffix(&[0]).unwrap_or(body);
    match letter {
        b'p' => {
            scene.notes.exchange(b"PasswordMessage", text, "AuthenticationOk");
            scene.say(&[b'R', 0, 0, 0, 8, 0, 0, 0, 0]);
            for (name, value) in [("server_version", "15.6"), ("client_encoding", "UTF8")] {
                let length = u32::try_from(4 + name.len() + value.len() + 2).unwrap_or(0);
                scene.say(b"S");
                scene.say(&length.to_be_bytes());
                scene.say(format!("{name}\0{value}\0").as_bytes());
            }
            scene.say(READY);
        }
        b'Q' => {
            let place = scene.notes.asked(b"Query", b"");
            scene.notes.body(place, text);
            let tag = tag(text);
            scene.notes.answer(place, &tag);
            if tag == NO_ROWS {
                scene.say(ONE_COLUMN);
            }
            done(&tag, scene);
            scene.say(READY);
        }
        b'P' => {
            let place = scene.notes.asked(b"Parse", b"");
            scene.notes.body(place, text);
            scene.say(&[b'1', 0, 0, 0, 4]);
        }
        b'B' => {
            let place = scene.notes.asked(b"Bind", b"");
            scene.notes.body(place, text);
            scene.say(&[b'2', 0, 0, 0, 4]);
        }
        // parameters are not asked for by number; no rows, whatever is described or executed
        b'D' if text.starts_with(b"S") => {
            scene.say(&[b't', 0, 0, 0, 6, 0, 0]);
            scene.say(ONE_COLUMN);
        }
        b'D' => scene.say(ONE_COLUMN),
        b'E' => done(NO_ROWS, scene),
        b'S' => scene.say(READY),
        b'X' => scene.next = Next::Close,
        _ => {}
    }
}
