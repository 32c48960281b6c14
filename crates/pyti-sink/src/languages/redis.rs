//! Redis: commands as arrays of strings (RESP), or as plain lines; a store that is empty and takes everything.

use super::{Next, Scene, Talk};

/// Most words of one command, and most bytes of one word that are waited for.
const WORDS: usize = 1024;
const WORD: usize = 96 << 10;

/// Whether the first bytes are a command: `None` when it cannot be told yet.
pub(super) fn recognise(said: &[u8]) -> Option<bool> {
    let (first, rest) = said.split_first()?;
    if *first != b'*' {
        return Some(false);
    }
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    match rest.get(digits..).unwrap_or_default() {
        _ if digits > 4 => Some(false),
        [] | [b'\r'] | [b'\r', b'\n'] => None,
        [b'\r', b'\n', b'$', ..] => Some(digits > 0),
        _ => Some(false),
    }
}

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Redis {
    buffer: Vec<u8>,
    /// The client wants the third version, which writes "nothing" differently.
    third: bool,
}

enum Read {
    More,
    Bad,
    Whole(Vec<Vec<u8>>, usize),
}

impl Talk for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn hear(&mut self, said: &[u8], scene: &mut Scene<'_>) {
        self.buffer.extend_from_slice(said);
        let mut at = 0;
        loop {
            match read(&self.buffer[at..]) {
                Read::More if self.buffer.len() - at <= WORD => break,
                Read::More | Read::Bad => {
                    self.buffer = Vec::new();
                    scene.say(b"-ERR Protocol error\r\n");
                    scene.next = Next::Close;
                    return;
                }
                Read::Whole(words, length) => {
                    at += length;
                    self.command(&words, scene);
                }
            }
        }
        self.buffer.drain(..at);
    }
}

impl Redis {
    fn command(&mut self, words: &[Vec<u8>], scene: &mut Scene<'_>) {
        let Some((verb, rest)) = words.split_first() else {
            return;
        };
        let answer: &[u8] = match verb.to_ascii_uppercase().as_slice() {
            b"PING" => b"+PONG\r\n",
            b"GET" | b"HGET" if self.third => b"_\r\n",
            b"GET" | b"HGET" => b"$-1\r\n",
            b"KEYS" | b"HGETALL" | b"SMEMBERS" | b"LRANGE" | b"COMMAND" => b"*0\r\n",
            b"INFO" => b"$48\r\n# Server\r\nredis_version:7.0.15\r\nredis_mode:single\r\n",
            b"EXISTS" | b"DEL" | b"INCR" | b"LPUSH" | b"RPUSH" | b"SADD" | b"PUBLISH" => b":1\r\n",
            b"CONFIG" if rest.first().is_some_and(|word| word.eq_ignore_ascii_case(b"get")) => b"*0\r\n",
            b"HELLO" if rest.first().is_some_and(|version| version == b"3") => {
                self.third = true;
                b"%3\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:3\r\n"
            }
            b"HELLO" => {
                b"*6\r\n$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n$5\r\nproto\r\n:2\r\n"
            }
            _ => b"+OK\r\n",
        };
        let place = scene.notes.asked(verb, rest.first().map_or(b"", Vec::as_slice));
        for word in rest.iter().skip(1) {
            scene.notes.body(place, word);
            scene.notes.body(place, b" ");
        }
        let short = std::str::from_utf8(answer).unwrap_or_default().lines().next();
        scene.notes.answer(place, short.unwrap_or_default());
        scene.say(answer);
    }
}

/// Reads one command off the front.
fn read(said: &[u8]) -> Read {
    let Some(first) = said.first() else {
        return Read::More;
    };
    let Some((line, mut at)) = line(said) else {
        return Read::More;
    };
    if *first != b'*' {
        let words = line
            .split(u8::is_ascii_whitespace)
            .filter(|word| !word.is_empty());
        return Read::Whole(words.map(<[u8]>::to_vec).collect(), at);
    }
    let Some(count) = number(&line[1..]).filter(|count| *count <= WORDS) else {
        return Read::Bad;
    };
    let mut words = Vec::new();
    for _ in 0..count {
        let Some((head, length)) = self::line(&said[at..]) else {
            return Read::More;
        };
        let size = head
            .strip_prefix(b"$")
            .and_then(number)
            .filter(|size| *size <= WORD);
        let Some(size) = size else { return Read::Bad };
        at += length;
        let Some(word) = said.get(at..at + size) else {
            return Read::More;
        };
        if said.len() < at + size + 2 {
            return Read::More;
        }
        words.push(word.to_vec());
        at += size + 2;
    }
    Read::Whole(words, at)
}

fn number(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A line without its end, and its length with it.
fn line(said: &[u8]) -> Option<(&[u8], usize)> {
    let end = said.iter().position(|byte| *byte == b'\n')?;
    Some((said[..end].trim_ascii_end(), end + 1))
}
