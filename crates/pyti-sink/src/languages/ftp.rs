//! FTP (RFC 959, RFC 2428, RFC 4217), with passive data connections only: they all go to one port, where the next one is
//! told what to say.

use super::line::{Lines, split};
use super::{Delivery, Next, Scene, Talk};
use crate::settings::PASSIVE_PORT;

/// A server in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Ftp {
    lines: Lines,
    /// Files go over TLS.
    private: bool,
}

/// Whether the first bytes are a command of this language, and of no other.
pub(super) fn recognise(said: &[u8]) -> bool {
    let word = said.get(..5).unwrap_or_default().to_ascii_uppercase();
    matches!(word.as_slice(), b"USER " | b"AUTH " | b"FEAT\r" | b"FEAT\n")
}

impl Talk for Ftp {
    fn name(&self) -> &'static str {
        "ftp"
    }

    fn hear(&mut self, mut said: &[u8], scene: &mut Scene<'_>) {
        while let Some(line) = self.lines.next(&mut said) {
            self.command(&line, scene);
            if !matches!(scene.next, Next::Stay) {
                return;
            }
        }
    }
}

impl Ftp {
    fn command(&mut self, line: &[u8], scene: &mut Scene<'_>) {
        let (word, rest) = split(line);
        let verb = word.to_ascii_uppercase();
        let answer = match verb.as_slice() {
            b"" => return,
            b"USER" => "331 Please specify the password.".to_owned(),
            b"PASS" => "230 Login successful.".to_owned(),
            b"AUTH" if !scene.place.encrypted => {
                scene.next = Next::StartTls;
                "234 Proceed with negotiation.".to_owned()
            }
            b"PROT" => {
                self.private = rest.eq_ignore_ascii_case(b"P");
                "200 PROT now set.".to_owned()
            }
            b"SYST" => "215 UNIX Type: L8".to_owned(),
            b"FEAT" => "211-Features:\r\n EPSV\r\n PASV\r\n SIZE\r\n UTF8\r\n211 End".to_owned(),
            b"PWD" | b"XPWD" => "257 \"/\" is the current directory".to_owned(),
            b"PASV" => match scene.place.address {
                std::net::IpAddr::V4(address) => {
                    let [a, b, c, d] = address.octets();
                    let (high, low) = (PASSIVE_PORT >> 8, PASSIVE_PORT & 255);
                    format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low}).")
                }
                std::net::IpAddr::V6(_) => "425 Use EPSV first.".to_owned(),
            },
            b"EPSV" => format!("229 Entering Extended Passive Mode (|||{PASSIVE_PORT}|)"),
            b"SIZE" => "213 3".to_owned(),
            b"LIST" | b"NLST" | b"MLSD" => {
                self.deliver(b"readme.txt\r\n", scene);
                "150 Here comes the directory listing.\r\n226 Directory send OK.".to_owned()
            }
            b"RETR" => {
                self.deliver(b"ok\n", scene);
                "150 Opening BINARY mode data connection.\r\n226 Transfer complete.".to_owned()
            }
            b"STOR" | b"STOU" | b"APPE" => "150 Ok to send data.\r\n226 Transfer complete.".to_owned(),
            b"PORT" | b"EPRT" => "500 Illegal PORT command.".to_owned(),
            b"QUIT" => {
                scene.next = Next::Close;
                "221 Goodbye.".to_owned()
            }
            b"CWD" | b"CDUP" | b"DELE" | b"RMD" | b"RNTO" => "250 Okay.".to_owned(),
            b"MKD" => "257 Created.".to_owned(),
            b"RNFR" => "350 Ready for RNTO.".to_owned(),
            b"TYPE" | b"MODE" | b"STRU" | b"OPTS" | b"NOOP" | b"PBSZ" | b"ALLO" | b"SITE" => {
                "200 Okay.".to_owned()
            }
            _ => "500 Unknown command.".to_owned(),
        };
        let kept = if answer.starts_with('5') { word } else { &verb };
        scene.notes.exchange(kept, rest, &answer[..3]);
        scene.say(answer.as_bytes());
        scene.say(b"\r\n");
    }

    fn deliver(&self, bytes: &[u8], scene: &mut Scene<'_>) {
        scene.delivery = Some(Delivery {
            bytes: bytes.to_vec(),
            private: self.private,
        });
    }
}
