//! The verb `__smtp`: a mail server that takes every mail and keeps it, one file for each.
//!
//! Mails are for the tests to look at: the folder's name is in `MAILS`.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The verb.
pub const VERB: &str = "__smtp";
/// Largest mail that is taken.
const LARGEST: usize = 32 << 20;
/// Longest line.
const LONGEST: u64 = 1 << 20;
/// How long a client may say nothing.
const PATIENCE: Duration = Duration::from_mins(5);

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// Runs the verb: port and folder.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let serve = || -> io::Result<()> {
        let [port, folder] = args.as_slice() else {
            return Err(io::Error::other("a port and a folder are wanted"));
        };
        let port = port.to_str().and_then(|p| p.parse().ok());
        let port = port.ok_or_else(|| io::Error::other("the port is no number"))?;
        fs::create_dir_all(folder)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        serve(&listener, &PathBuf::from(folder))
    };
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // it goes into the service's log
            let _ = writeln!(io::stderr(), "pyti: {VERB}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listener: &TcpListener, folder: &Path) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept()?;
        let folder = folder.to_owned();
        // a client that goes away ends its own conversation and nobody else's
        std::thread::spawn(move || talk(&stream, &folder));
    }
}

fn talk(stream: &TcpStream, folder: &Path) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream);
    let say = |text: &str| -> io::Result<()> { (&*stream).write_all(format!("{text}\r\n").as_bytes()) };
    say("220 localhost ESMTP PyTI")?;
    let (mut from, mut to) = (None::<String>, Vec::<String>::new());
    loop {
        let Some(line) = line(&mut reader)? else {
            return Ok(());
        };
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let upper = line.to_ascii_uppercase();
        match upper.split([' ', ':']).next().unwrap_or("") {
            "EHLO" => say(&format!(
                "250-localhost\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE {LARGEST}"
            ))?,
            "HELO" => say("250 localhost")?,
            "MAIL" => {
                from = Some(address(&line));
                to.clear();
                say("250 OK")?;
            }
            "RCPT" if from.is_none() => say("503 MAIL first")?,
            "RCPT" => {
                to.push(address(&line));
                say("250 OK")?;
            }
            "DATA" if to.is_empty() => say("503 RCPT first")?,
            "DATA" => {
                say("354 end with a line that is a dot")?;
                match mail(&mut reader)? {
                    Some(text) => {
                        let number = NUMBER.fetch_add(1, Ordering::SeqCst);
                        keep(folder, number, from.as_deref().unwrap_or(""), &to, &text)?;
                        say(&format!("250 kept as {number}"))?;
                    }
                    None => say("552 too large")?,
                }
                (from, to) = (None, Vec::new());
            }
            // anybody is let in
            "AUTH" if upper.trim_end() == "AUTH LOGIN" => {
                say("334 VXNlcm5hbWU6")?;
                let _ = self::line(&mut reader)?;
                say("334 UGFzc3dvcmQ6")?;
                let _ = self::line(&mut reader)?;
                say("235 welcome")?;
            }
            "AUTH" if upper.trim_end() == "AUTH PLAIN" => {
                say("334 ")?;
                let _ = self::line(&mut reader)?;
                say("235 welcome")?;
            }
            "AUTH" if upper.starts_with("AUTH PLAIN") || upper.starts_with("AUTH LOGIN") => {
                say("235 welcome")?;
            }
            "RSET" => {
                (from, to) = (None, Vec::new());
                say("250 OK")?;
            }
            "NOOP" => say("250 OK")?,
            "VRFY" => say("252 perhaps")?,
            "QUIT" => return say("221 bye"),
            _ => say("502 not known here")?,
        }
    }
}

/// One line; nothing at the end.
fn line(reader: &mut impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let n = reader.take(LONGEST).read_until(b'\n', &mut line)?;
    Ok((n > 0).then_some(line))
}

/// The lines until a dot alone, without the dots that only protect others; nothing when they are too many.
fn mail(reader: &mut impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let (mut text, mut fits) = (Vec::new(), true);
    while let Some(line) = line(reader)? {
        if line == b".\r\n" || line == b".\n" {
            return Ok(fits.then_some(text));
        }
        let line = if line.starts_with(b"..") {
            &line[1..]
        } else {
            &line[..]
        };
        fits &= text.len() + line.len() <= LARGEST;
        if fits {
            text.extend_from_slice(line);
        }
    }
    Err(io::ErrorKind::UnexpectedEof.into())
}

/// What stands between the angles.
fn address(line: &str) -> String {
    let inner = line.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
    inner.map_or_else(
        || {
            line.split_once(':')
                .map_or("", |(_, rest)| rest.trim())
                .to_owned()
        },
        |(address, _)| address.to_owned(),
    )
}

fn keep(folder: &Path, number: u32, from: &str, to: &[String], text: &[u8]) -> io::Result<()> {
    let mut bytes = format!("X-Envelope-From: {from}\r\nX-Envelope-To: {}\r\n", to.join(", ")).into_bytes();
    bytes.extend_from_slice(text);
    // whoever looks into the folder finds whole mails only
    let (begun, done) = (
        folder.join(format!(".{number}")),
        folder.join(format!("{number:06}.eml")),
    );
    fs::write(&begun, bytes)?;
    fs::rename(begun, done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_is_taken_and_kept() {
        let folder = std::env::temp_dir().join(format!("pyti-smtp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kept = folder.clone();
        std::thread::spawn(move || serve(&listener, &kept));
        let client = TcpStream::connect(address).unwrap();
        let mut reader = BufReader::new(client.try_clone().unwrap());
        let mut hear = |want: &str| {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            assert!(line.starts_with(want), "{line:?} is no {want}");
        };
        let say = |text: &str| (&client).write_all(text.as_bytes()).unwrap();
        hear("220 ");
        say("HELO me\r\n");
        hear("250 ");
        say("RCPT TO:<b@x.example>\r\n");
        hear("503 ");
        say("MAIL FROM:<a@x.example> SIZE=9\r\nRCPT TO:<b@x.example>\r\nDATA\r\n");
        hear("250 ");
        hear("250 ");
        hear("354 ");
        say("Subject: hi\r\n\r\n..dot\r\n.\r\nQUIT\r\n");
        hear("250 kept as");
        hear("221 ");
        let entry = fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
        let text = fs::read_to_string(entry.path()).unwrap();
        assert_eq!(
            text,
            "X-Envelope-From: a@x.example\r\nX-Envelope-To: b@x.example\r\nSubject: hi\r\n\r\n.dot\r\n"
        );
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_too_large_is_not_taken_and_not_lost_track_of() {
        let mut text = vec![b'x'; LARGEST + 1];
        for at in (0..text.len()).step_by(1000) {
            text[at] = b'\n';
        }
        text.extend_from_slice(b"\r\n.\r\nNOOP\r\n");
        let mut reader = BufReader::new(&text[..]);
        assert_eq!(mail(&mut reader).unwrap(), None);
        assert_eq!(line(&mut reader).unwrap().unwrap(), b"NOOP\r\n");
        let mut cut = BufReader::new(&b"half"[..]);
        assert!(mail(&mut cut).is_err());
    }
}
