//! Mailboxes, IMAP (RFC 3501) and POP3 (RFC 1939): whoever signs in is let in, and there is no mail.

use super::line::{Lines, split};
use super::{Next, Scene, Talk};

/// A server of IMAP in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Imap {
    lines: Lines,
    /// Bytes of a literal that are still to come, where they are kept, and the tag that is answered behind them.
    literal: u64,
    place: Option<usize>,
    tag: Vec<u8>,
    /// Awaits an answer to a question of AUTHENTICATE, or the end of IDLE.
    asked: bool,
}

impl Talk for Imap {
    fn name(&self) -> &'static str {
        "imap"
    }

    fn hear(&mut self, mut said: &[u8], scene: &mut Scene<'_>) {
        while matches!(scene.next, Next::Stay) {
            if self.literal > 0 {
                let now = usize::try_from(self.literal)
                    .unwrap_or(usize::MAX)
                    .min(said.len());
                scene.notes.body(self.place, &said[..now]);
                self.literal -= now as u64;
                said = &said[now..];
                if self.literal > 0 {
                    return;
                }
            }
            let Some(line) = self.lines.next(&mut said) else {
                return;
            };
            self.line(&line, scene);
        }
    }
}

impl Imap {
    fn line(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        if !self.tag.is_empty() {
            // the rest of a command: behind a literal, or an answer to a question
            scene.notes.body(self.place, line);
            if self.asked || !self.begins_literal(line, scene) {
                self.asked = false;
                self.end("OK done", scene);
            }
            return;
        }
        let (tag, rest) = split(line);
        let (verb, rest) = split(rest);
        if verb.is_empty() {
            scene.say(b"* BAD nothing asked\r\n");
            return;
        }
        let verb = verb.to_ascii_uppercase();
        self.tag = tag.to_vec();
        self.place = scene.notes.asked(&verb, rest);
        if self.begins_literal(rest, scene) {
            return;
        }
        match verb.as_slice() {
            b"CAPABILITY" => scene.say(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN STARTTLS IDLE\r\n"),
            b"STARTTLS" if !scene.place.encrypted => {
                self.end("OK begin TLS", scene);
                scene.next = Next::StartTls;
                return;
            }
            b"SELECT" | b"EXAMINE" => {
                scene.say(b"* 0 EXISTS\r\n* 0 RECENT\r\n* FLAGS (\\Seen \\Deleted)\r\n* OK [UIDVALIDITY 1] UIDs valid\r\n");
                return self.end("OK [READ-WRITE] done", scene);
            }
            b"LIST" | b"LSUB" => scene.say(b"* LIST (\\HasNoChildren) \"/\" INBOX\r\n"),
            b"SEARCH" => scene.say(b"* SEARCH\r\n"),
            b"UID" if rest.to_ascii_uppercase().starts_with(b"SEARCH") => scene.say(b"* SEARCH\r\n"),
            b"AUTHENTICATE" if split(rest).1.is_empty() => {
                scene.say(b"+ \r\n");
                self.asked = true;
                return;
            }
            b"IDLE" => {
                scene.say(b"+ idling\r\n");
                self.asked = true;
                return;
            }
            b"LOGOUT" => {
                scene.say(b"* BYE\r\n");
                scene.next = Next::Close;
            }
            _ => {}
        }
        self.end("OK done", scene);
    }

    /// A line that ends with `{12}` goes on with as many bytes; with `{12+}` nobody waits for being asked for them.
    fn begins_literal(&mut self, line: &[u8], scene: &mut Scene<'_>) -> bool {
        let Some(open) = line.iter().rposition(|byte| *byte == b'{') else {
            return false;
        };
        let Some(inside) = line[open + 1..].strip_suffix(b"}") else {
            return false;
        };
        let digits = inside.strip_suffix(b"+").unwrap_or(inside);
        let Some(length) = std::str::from_utf8(digits)
            .ok()
            .and_then(|digits| digits.parse().ok())
        else {
            return false;
        };
        self.literal = length;
        if digits.len() == inside.len() {
            scene.say(b"+ go on\r\n");
        }
        true
    }

    fn end(&mut self, answer: &str, scene: &mut Scene<'_>) {
        let tag = std::mem::take(&mut self.tag);
        scene.notes.answer(self.place.take(), "OK");
        scene.say(&tag);
        scene.say(format!(" {answer}\r\n").as_bytes());
    }
}

/// A server of POP3 in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Pop3 {
    lines: Lines,
    /// Awaits an answer to a question of AUTH.
    asked: bool,
}

impl Talk for Pop3 {
    fn name(&self) -> &'static str {
        "pop3"
    }

    fn hear(&mut self, mut said: &[u8], scene: &mut Scene<'_>) {
        while matches!(scene.next, Next::Stay)
            && let Some(line) = self.lines.next(&mut said)
        {
            if std::mem::take(&mut self.asked) {
                scene.notes.exchange(b"AUTH", &line, "+OK");
                scene.say(b"+OK signed in\r\n");
                continue;
            }
            let (verb, rest) = split(&line);
            let verb = verb.to_ascii_uppercase();
            let answer: &[u8] = match verb.as_slice() {
                b"" => continue,
                b"CAPA" => b"+OK\r\nUSER\r\nSASL PLAIN LOGIN\r\nSTLS\r\nUIDL\r\n.\r\n",
                b"STAT" => b"+OK 0 0\r\n",
                b"LIST" | b"UIDL" if rest.is_empty() => b"+OK 0 messages\r\n.\r\n",
                b"LIST" | b"UIDL" | b"RETR" | b"TOP" | b"DELE" => b"-ERR no such message\r\n",
                b"AUTH" if split(rest).1.is_empty() => {
                    self.asked = true;
                    b"+ \r\n"
                }
                b"STLS" if !scene.place.encrypted => {
                    scene.next = Next::StartTls;
                    b"+OK begin TLS\r\n"
                }
                b"QUIT" => {
                    scene.next = Next::Close;
                    b"+OK\r\n"
                }
                _ => b"+OK\r\n",
            };
            let short = if answer.starts_with(b"-") { "-ERR" } else { "+OK" };
            scene.notes.exchange(&verb, rest, short);
            scene.say(answer);
        }
    }
}
