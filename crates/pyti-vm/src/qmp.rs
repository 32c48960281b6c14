//! A client of QEMU's monitor protocol: greeting, capabilities, one command at a time, events.
//!
//! Source: QEMU's `docs/interop/qmp-spec.rst`. QEMU may be taken over by its guest, so lines are capped and a wrong one
//! ends the connection.

use std::io::{self, BufRead as _, BufReader, IoSlice, Read as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use pyti_model::image::GuestEnd;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde_json::{Value, json};

/// Longest line that is read, bytes.
const LINE_CAP: u64 = 1 << 20;
/// Events kept.
const EVENTS: usize = 256;

/// Why QEMU could not be told something.
#[derive(Debug, thiserror::Error)]
pub enum QmpError {
    /// It did not answer in time.
    #[error("QEMU did not answer {0:?} within {1:?}")]
    Silent(String, Duration),
    /// It answered with an error.
    #[error("QEMU refuses {command:?}: {text}")]
    Refused {
        /// The command.
        command: String,
        /// What it said.
        text: String,
    },
    /// The connection is closed.
    #[error("QEMU's monitor is closed")]
    Closed,
    /// The migration did not succeed.
    #[error("QEMU could not {0}: {1}")]
    Migration(&'static str, String),
}

/// A connection to one QEMU.
pub struct Qmp {
    stream: UnixStream,
    answers: Receiver<Value>,
    events: Arc<Mutex<Vec<String>>>,
    /// An event whose name says how the guest ended.
    end: Arc<Mutex<Option<GuestEnd>>>,
}

impl Qmp {
    /// Waits for the greeting and leaves the negotiation.
    pub fn start(stream: UnixStream, patience: Duration) -> Result<Self, QmpError> {
        let (sender, answers) = channel();
        let reader = stream.try_clone().map_err(|_| QmpError::Closed)?;
        let events = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(Mutex::new(None));
        let (noting, ending) = (Arc::clone(&events), Arc::clone(&end));
        thread::Builder::new()
            .name("qmp".to_owned())
            .spawn(move || {
                // the connection ends with the first line that is none
                let _ = read(reader, &sender, &noting, &ending);
            })
            .map_err(|_| QmpError::Closed)?;
        let qmp = Self {
            stream,
            answers,
            events,
            end,
        };
        let greeting = qmp.receive("the greeting", patience)?;
        if greeting.get("QMP").is_none() {
            return Err(QmpError::Closed);
        }
        qmp.run("qmp_capabilities", json!({}), patience)?;
        Ok(qmp)
    }

    /// Runs a command and gives what it returns.
    pub fn run(&self, command: &str, arguments: Value, patience: Duration) -> Result<Value, QmpError> {
        let mut line = json!({ "execute": command, "arguments": arguments }).to_string();
        line.push('\n');
        (&self.stream)
            .write_all(line.as_bytes())
            .map_err(|_| QmpError::Closed)?;
        let mut answer = self.receive(command, patience)?;
        if let Some(error) = answer.get("error") {
            let text = error
                .get("desc")
                .and_then(Value::as_str)
                .unwrap_or("?")
                .to_owned();
            return Err(QmpError::Refused {
                command: command.to_owned(),
                text,
            });
        }
        Ok(answer.get_mut("return").map(Value::take).unwrap_or_default())
    }

    /// Gives QEMU a descriptor under a name.
    pub fn give(&self, name: &str, file: &impl AsFd, patience: Duration) -> Result<(), QmpError> {
        let mut line = json!({ "execute": "getfd", "arguments": { "fdname": name } }).to_string();
        line.push('\n');
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = [file.as_fd()];
        if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
            return Err(QmpError::Closed);
        }
        let parts = [IoSlice::new(line.as_bytes())];
        sendmsg(&self.stream, &parts, &mut control, SendFlags::empty()).map_err(|_| QmpError::Closed)?;
        let answer = self.receive("getfd", patience)?;
        match answer.get("error") {
            None => Ok(()),
            Some(error) => Err(QmpError::Refused {
                command: "getfd".to_owned(),
                text: error
                    .get("desc")
                    .and_then(Value::as_str)
                    .unwrap_or("?")
                    .to_owned(),
            }),
        }
    }

    /// Waits until what comes in has come.
    pub fn restored(&self, patience: Duration) -> Result<(), QmpError> {
        let began = Instant::now();
        loop {
            let status = self.run("query-status", json!({}), patience)?;
            match status.get("status").and_then(Value::as_str) {
                Some("inmigrate") => {}
                Some("paused" | "prelaunch" | "running" | "postmigrate") => return Ok(()),
                other => {
                    let text = other.unwrap_or("?").to_owned();
                    return Err(QmpError::Migration("restore a state", text));
                }
            }
            if began.elapsed() > patience {
                return Err(QmpError::Silent("migrate-incoming".to_owned(), patience));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }

    /// Saves the state of a machine to a descriptor that was given under this name, or to a file.
    pub fn save(&self, uri: &str, patience: Duration) -> Result<(), QmpError> {
        self.run("migrate", json!({ "uri": uri }), patience)?;
        let began = Instant::now();
        loop {
            let told = self.run("query-migrate", json!({}), patience)?;
            match told.get("status").and_then(Value::as_str) {
                Some("completed") => return Ok(()),
                Some("failed" | "cancelled") => {
                    let why = told
                        .get("error-desc")
                        .and_then(Value::as_str)
                        .unwrap_or("it failed");
                    return Err(QmpError::Migration("save a state", why.to_owned()));
                }
                _ if began.elapsed() > patience => {
                    return Err(QmpError::Silent("migrate".to_owned(), patience));
                }
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// How the guest ended, as far as QEMU has told.
    pub fn end(&self) -> Option<GuestEnd> {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names of the events so far.
    pub fn events(&self) -> Vec<String> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn receive(&self, what: &str, patience: Duration) -> Result<Value, QmpError> {
        self.answers.recv_timeout(patience).map_err(|error| match error {
            RecvTimeoutError::Timeout => QmpError::Silent(what.to_owned(), patience),
            RecvTimeoutError::Disconnected => QmpError::Closed,
        })
    }
}

fn read(
    stream: UnixStream,
    answers: &Sender<Value>,
    events: &Mutex<Vec<String>>,
    end: &Mutex<Option<GuestEnd>>,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut reader).take(LINE_CAP).read_until(b'\n', &mut line)?;
        if read == 0 || line.last() != Some(&b'\n') {
            return Ok(());
        }
        let value: Value = serde_json::from_slice(&line)?;
        let Some(event) = value.get("event").and_then(Value::as_str) else {
            if answers.send(value).is_err() {
                return Ok(());
            }
            continue;
        };
        if let Some(how) = ended(event, &value) {
            end.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(how);
        }
        let mut events = events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.len() < EVENTS {
            events.push(event.chars().take(40).collect());
        }
    }
}

/// What an event says of the guest's end.
fn ended(event: &str, value: &Value) -> Option<GuestEnd> {
    let reason = value.pointer("/data/reason").and_then(Value::as_str);
    match (event, reason) {
        ("GUEST_PANICKED", _) | ("SHUTDOWN", Some("guest-panic")) => Some(GuestEnd::Panic),
        ("SHUTDOWN" | "RESET", Some("guest-reset")) => Some(GuestEnd::Reboot),
        ("SHUTDOWN", Some("guest-shutdown")) => Some(GuestEnd::Shutdown),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    fn play(lines: &'static [&'static str]) -> UnixStream {
        let (near, far) = UnixStream::pair().unwrap();
        thread::spawn(move || {
            let mut reader = BufReader::new(far.try_clone().unwrap());
            for line in lines {
                (&far).write_all(line.as_bytes()).unwrap();
                if line.contains("QMP") || line.contains("return") || line.contains("error") {
                    let mut asked = String::new();
                    let _ = reader.read_line(&mut asked);
                }
            }
            thread::sleep(Duration::from_millis(200));
        });
        near
    }

    #[test]
    fn commands_are_answered_and_events_are_kept() {
        let stream = play(&[
            "{\"QMP\":{}}\n",
            "{\"return\":{}}\n",
            "{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\"reason\":\"guest-reset\"}}\n{\"error\":{\"desc\":\"no\"}}\n",
        ]);
        let qmp = Qmp::start(stream, SOON).unwrap();
        let error = qmp.run("stop", json!({}), SOON).unwrap_err();
        assert!(matches!(error, QmpError::Refused { .. }), "{error}");
        assert_eq!(qmp.end(), Some(GuestEnd::Reboot));
        assert_eq!(qmp.events(), ["SHUTDOWN"]);
    }

    #[test]
    fn nonsense_closes_the_connection() {
        for line in ["nonsense\n", "{}\n", "{\"QMP\""] {
            let (near, mut far) = UnixStream::pair().unwrap();
            far.write_all(line.as_bytes()).unwrap();
            drop(far);
            assert!(matches!(Qmp::start(near, SOON), Err(QmpError::Closed)), "{line}");
        }
    }

    #[test]
    fn a_silent_one_is_given_up() {
        let (near, _far) = UnixStream::pair().unwrap();
        assert!(matches!(
            Qmp::start(near, Duration::from_millis(20)),
            Err(QmpError::Silent(..))
        ));
    }
}
