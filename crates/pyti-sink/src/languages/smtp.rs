//! Mail (RFC 5321), as a submission server takes it: with sign-in, STARTTLS, and every address.

use super::line::{Lines, split};
use super::{Next, Scene, Talk};

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Smtp {
    lines: Lines,
    state: State,
    /// The message that is being taken.
    letter: Option<usize>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Commands,
    /// Awaits an answer to a question of AUTH; whether another one follows.
    SignIn {
        another: bool,
    },
    Letter,
}

/// Whether the first bytes are a command of this language, and of no other.
pub(super) fn recognise(said: &[u8]) -> bool {
    let word = said.get(..5).unwrap_or_default().to_ascii_uppercase();
    matches!(word.as_slice(), b"EHLO " | b"HELO " | b"LHLO ")
}

impl Talk for Smtp {
    fn name(&self) -> &'static str {
        "smtp"
    }

    fn hear(&mut self, mut said: &[u8], scene: &mut Scene<'_>) {
        while let Some(line) = self.lines.next(&mut said) {
            match self.state {
                State::Commands => self.command(&line, scene),
                State::SignIn { another } => self.signed(&line, another, scene),
                State::Letter => self.letter(&line, scene),
            }
            if !matches!(scene.next, Next::Stay) {
                // what was said before TLS began is not part of it
                return;
            }
        }
    }
}

impl Smtp {
    fn command(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        let (word, rest) = split(line);
        let verb = word.to_ascii_uppercase();
        let (verb, target, answer): (&[u8], &[u8], String) = match verb.as_slice() {
            b"EHLO" | b"LHLO" => (&verb, rest, extensions(scene)),
            b"HELO" => (&verb, rest, format!("250 {}", scene.place.server_name())),
            b"STARTTLS" if !scene.place.encrypted => {
                scene.next = Next::StartTls;
                (&verb, rest, "220 2.0.0 Ready to start TLS".to_owned())
            }
            b"AUTH" => {
                let (kind, first) = split(rest);
                let kind = kind.to_ascii_uppercase();
                let answer = match (kind.as_slice(), first) {
                    (b"LOGIN", b"") => {
                        self.state = State::SignIn { another: true };
                        "334 VXNlcm5hbWU6"
                    }
                    (b"LOGIN", _) => {
                        self.state = State::SignIn { another: false };
                        "334 UGFzc3dvcmQ6"
                    }
                    (_, b"") => {
                        self.state = State::SignIn { another: false };
                        "334 "
                    }
                    _ => "235 2.7.0 Authentication successful",
                };
                (&verb, rest, answer.to_owned())
            }
            b"MAIL" | b"RCPT" => {
                let colon = rest
                    .iter()
                    .position(|byte| *byte == b':')
                    .map_or(rest.len(), |at| at + 1);
                let whole: &[u8] = if verb.starts_with(b"M") {
                    b"MAIL FROM"
                } else {
                    b"RCPT TO"
                };
                (whole, rest[colon..].trim_ascii(), "250 2.1.0 Ok".to_owned())
            }
            b"DATA" => {
                self.letter = scene.notes.asked(b"DATA", b"");
                scene.notes.answer(self.letter, "354");
                scene.say(b"354 End data with <CR><LF>.<CR><LF>\r\n");
                self.state = State::Letter;
                return;
            }
            b"QUIT" => {
                scene.next = Next::Close;
                (&verb, rest, "221 2.0.0 Bye".to_owned())
            }
            b"RSET" | b"NOOP" => (&verb, rest, "250 2.0.0 Ok".to_owned()),
            b"VRFY" => (&verb, rest, "252 2.0.0 Cannot verify".to_owned()),
            b"" => return,
            _ => (word, rest, "502 5.5.2 Error: command not recognized".to_owned()),
        };
        scene.notes.exchange(verb, target, &answer[..3]);
        scene.say(answer.as_bytes());
        scene.say(b"\r\n");
    }

    fn signed(&mut self, line: &[u8], another: bool, scene: &mut Scene<'_>) {
        let answer = if line == b"*" {
            self.state = State::Commands;
            "501 5.7.0 Authentication aborted"
        } else if another {
            self.state = State::SignIn { another: false };
            "334 UGFzc3dvcmQ6"
        } else {
            self.state = State::Commands;
            "235 2.7.0 Authentication successful"
        };
        scene.notes.exchange(b"AUTH", line, &answer[..3]);
        scene.say(answer.as_bytes());
        scene.say(b"\r\n");
    }

    fn letter(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        if line == b"." {
            self.state = State::Commands;
            scene.notes.answer(self.letter.take(), "250");
            scene.say(b"250 2.0.0 Ok: queued as 4F1C22E0A7\r\n");
            return;
        }
        // a dot in front was doubled
        let line = if line.starts_with(b"..") { &line[1..] } else { line };
        scene.notes.body(self.letter, line);
        scene.notes.body(self.letter, b"\r\n");
    }
}

fn extensions(scene: &Scene<'_>) -> String {
    let secure = if scene.place.encrypted {
        ""
    } else {
        "250-STARTTLS\r\n"
    };
    format!(
        "250-{}\r\n250-PIPELINING\r\n250-SIZE 36700160\r\n{secure}250-AUTH PLAIN LOGIN\r\n250-ENHANCEDSTATUSCODES\r\n\
         250-8BITMIME\r\n250 SMTPUTF8",
        scene.place.server_name()
    )
}
