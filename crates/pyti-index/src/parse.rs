//! Reads metadata out of wheels and sdists, in a child that can touch nothing.
//!
//! [`main`] is the hidden verb `__parse`. The bytes come on standard input, the answer goes to standard output;
//! the child shuts itself off from the file system and the network (Landlock) and limits its memory, time, files
//! and processes before it reads the first byte. The reading itself is safe Rust with caps, so where no program
//! is given (tests) a thread does the same.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::caps;

mod confine;
mod tarball;
mod zipped;

pub use confine::{shut_off, shut_off_within};

/// The hidden verb.
pub const VERB: &str = "__parse";

/// How long a child may read.
const TIME: Duration = Duration::from_secs(30);

/// What is to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Job {
    /// The last bytes of a wheel of `total` bytes.
    Tail { total: u64 },
    /// One entry of a wheel with its local header.
    Entry(Place),
    /// A whole wheel.
    Wheel,
    /// A whole sdist.
    Sdist,
}

/// Where an entry lies in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Where its local header begins.
    pub(crate) offset: u64,
    /// Bytes from there that hold header and data for sure.
    pub(crate) span: u64,
    /// Compressed bytes.
    pub(crate) compressed: u64,
    /// Bytes.
    pub(crate) size: u64,
    /// Deflated, or stored.
    pub(crate) deflated: bool,
}

/// What reading gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "found", rename_all = "snake_case")]
pub(crate) enum Reply {
    /// The metadata; its bytes follow the line.
    Metadata {
        #[serde(skip)]
        bytes: Vec<u8>,
    },
    /// It lies there: fetch that range.
    Entry { place: Place },
    /// The archive's directory begins there: fetch all from there on.
    Wider { from: u64 },
    /// It cannot be read.
    Bad { why: String },
}

impl Job {
    fn arguments(&self) -> Vec<String> {
        match self {
            Self::Tail { total } => vec!["tail".into(), total.to_string()],
            Self::Entry(place) => vec![
                "entry".into(),
                place.compressed.to_string(),
                place.size.to_string(),
                place.deflated.to_string(),
            ],
            Self::Wheel => vec!["wheel".into()],
            Self::Sdist => vec!["sdist".into()],
        }
    }

    fn from_arguments(arguments: &[String]) -> Option<Self> {
        match arguments {
            [word, total] if word == "tail" => Some(Self::Tail {
                total: total.parse().ok()?,
            }),
            [word, compressed, size, deflated] if word == "entry" => Some(Self::Entry(Place {
                offset: 0,
                span: 0,
                compressed: compressed.parse().ok()?,
                size: size.parse().ok()?,
                deflated: deflated.parse().ok()?,
            })),
            [word] if word == "wheel" => Some(Self::Wheel),
            [word] if word == "sdist" => Some(Self::Sdist),
            _ => None,
        }
    }
}

/// Where the bytes are.
pub(crate) enum Input {
    Bytes(Vec<u8>),
    File(File),
}

/// The verb: `tail TOTAL`, `entry COMPRESSED SIZE DEFLATED`, `wheel`, `sdist`. Whole files are given as a file on
/// standard input. Ends with 0 when an answer was written, with 2 for arguments that it does not know, with 5 when
/// it cannot confine itself.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let arguments: Option<Vec<String>> = arguments.into_iter().map(|a| a.into_string().ok()).collect();
    let Some(job) = arguments.as_deref().and_then(Job::from_arguments) else {
        return ExitCode::from(2);
    };
    if confine::shut_off().is_err() {
        return ExitCode::from(5);
    }
    let reply = match job {
        Job::Wheel | Job::Sdist => match io::stdin().try_clone_to_file() {
            Ok(file) => read(&job, Input::File(file)),
            Err(error) => Reply::Bad {
                why: error.to_string(),
            },
        },
        _ => {
            let mut bytes = Vec::new();
            match io::stdin().lock().take(caps::PAGE).read_to_end(&mut bytes) {
                Ok(_) => read(&job, Input::Bytes(bytes)),
                Err(error) => Reply::Bad {
                    why: error.to_string(),
                },
            }
        }
    };
    match write_reply(&reply) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

trait ToFile {
    fn try_clone_to_file(&self) -> io::Result<File>;
}

impl ToFile for io::Stdin {
    fn try_clone_to_file(&self) -> io::Result<File> {
        use std::os::fd::AsFd;
        self.as_fd().try_clone_to_owned().map(File::from)
    }
}

fn write_reply(reply: &Reply) -> io::Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, reply)?;
    out.write_all(b"\n")?;
    if let Reply::Metadata { bytes } = reply {
        out.write_all(bytes)?;
    }
    out.flush()
}

/// Reads here, in this process.
pub(crate) fn read(job: &Job, input: Input) -> Reply {
    let result = match (job, input) {
        (Job::Tail { total }, Input::Bytes(bytes)) => {
            zipped::tail(&bytes, *total, zipped::Want::WheelMetadata)
        }
        (Job::Entry(place), Input::Bytes(bytes)) => {
            zipped::entry(&bytes, place).map(|bytes| Reply::Metadata { bytes })
        }
        (Job::Wheel, Input::File(file)) => zipped::whole(&file, zipped::Want::WheelMetadata),
        (Job::Sdist, Input::File(file)) => tarball::sdist(&file),
        _ => Err("another form of input was expected".into()),
    };
    result.unwrap_or_else(|why| Reply::Bad { why })
}

/// Reads in a child. Blocks. The error is of the machinery, not of the bytes.
pub(crate) fn read_in_child(program: &Path, job: &Job, input: Input) -> Result<Reply, String> {
    let mut command = Command::new(program);
    command
        .arg(VERB)
        .args(job.arguments())
        .env_clear()
        .current_dir("/")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let bytes = match input {
        Input::File(file) => {
            command.stdin(file);
            None
        }
        Input::Bytes(bytes) => {
            command.stdin(Stdio::piped());
            Some(bytes)
        }
    };
    let mut child = command
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let writer = child.stdin.take().zip(bytes).map(|(mut pipe, bytes)| {
        // a child that died shows in its exit
        std::thread::spawn(move || drop(pipe.write_all(&bytes)))
    });
    let Some(out) = child.stdout.take() else {
        return Err("no pipe to the child".into());
    };
    let reader = std::thread::spawn(move || {
        let mut bytes = Vec::new();
        out.take(caps::METADATA + 4096)
            .read_to_end(&mut bytes)
            .map(|_| bytes)
    });
    let end = Instant::now() + TIME;
    let mut nap = Duration::from_micros(200);
    let exit = loop {
        match child.try_wait() {
            Ok(Some(exit)) => break exit,
            Ok(None) if Instant::now() < end => {
                std::thread::sleep(nap);
                nap = (nap * 2).min(Duration::from_millis(20));
            }
            other => {
                let _ = child.kill();
                let _ = child.wait();
                other.map_err(|error| error.to_string())?;
                return Ok(Reply::Bad {
                    why: format!("reading it took more than {} seconds", TIME.as_secs()),
                });
            }
        }
    };
    if let Some(writer) = writer {
        let _ = writer.join();
    }
    let bytes = reader
        .join()
        .map_err(|_| "the reader of the child's answer died".to_owned())?
        .map_err(|e| e.to_string())?;
    match exit.code() {
        Some(0) => parse_reply(&bytes),
        Some(code @ (2 | 5)) => Err(format!("the child ended with {code}")),
        _ => Ok(Reply::Bad {
            why: format!("reading it ended the reader ({exit})"),
        }),
    }
}

fn parse_reply(bytes: &[u8]) -> Result<Reply, String> {
    let at = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or("the child's answer is no line")?;
    let mut reply: Reply = serde_json::from_slice(&bytes[..at]).map_err(|error| error.to_string())?;
    if let Reply::Metadata { bytes: body } = &mut reply {
        *body = bytes[at + 1..].to_vec();
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_survive_their_arguments() {
        let place = Place {
            offset: 0,
            span: 0,
            compressed: 5,
            size: 9,
            deflated: true,
        };
        for job in [Job::Tail { total: 7 }, Job::Entry(place), Job::Wheel, Job::Sdist] {
            assert_eq!(Job::from_arguments(&job.arguments()), Some(job));
        }
        assert_eq!(Job::from_arguments(&["rm".into()]), None);
    }

    #[test]
    fn replies_survive_the_pipe() {
        let reply = parse_reply(b"{\"found\":\"metadata\"}\nName: x\n").unwrap();
        assert_eq!(
            reply,
            Reply::Metadata {
                bytes: b"Name: x\n".to_vec()
            }
        );
        assert!(parse_reply(b"garbage").is_err());
    }
}
