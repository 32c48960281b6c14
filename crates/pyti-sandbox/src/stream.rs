//! The pipes between a command and its watcher, and what is kept of what goes through them.

use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd, RawFd};

use pyti_model::effect::Captured;
use pyti_model::foreign::Foreign;

use crate::spec::Command;
use crate::sys;

/// Bytes of output that are kept from the beginning, and from the end, of each stream.
const HEAD: usize = 256 << 10;
const TAIL: usize = 256 << 10;

/// Our ends of the pipes.
pub(crate) struct Pipes {
    pub(crate) stdin: Option<OwnedFd>,
    pub(crate) stdout: Option<OwnedFd>,
    pub(crate) stderr: Option<OwnedFd>,
    pub(crate) results: Option<OwnedFd>,
    pub(crate) status: OwnedFd,
    pub(crate) go: OwnedFd,
}

/// The command's ends.
pub(crate) struct Ends {
    pub(crate) stdin: OwnedFd,
    pub(crate) stdout: OwnedFd,
    pub(crate) stderr: OwnedFd,
    pub(crate) results: Option<OwnedFd>,
    pub(crate) status: OwnedFd,
    pub(crate) go: OwnedFd,
}

impl Ends {
    /// Standard input, output and error.
    pub(crate) fn standard(&self) -> [RawFd; 3] {
        [
            self.stdin.as_raw_fd(),
            self.stdout.as_raw_fd(),
            self.stderr.as_raw_fd(),
        ]
    }
}

impl Pipes {
    pub(crate) fn new(command: &Command) -> io::Result<(Self, Ends)> {
        let (status, their_status) = sys::pipe()?;
        let (their_go, go) = sys::pipe()?;
        let (results, their_results) = if command.results {
            let (ours, theirs) = sys::pipe()?;
            (Some(ours), Some(theirs))
        } else {
            (None, None)
        };
        let (pipes, ends) = if let Some(terminal) = &command.terminal {
            let ends = Ends {
                stdin: terminal.try_clone()?,
                stdout: terminal.try_clone()?,
                stderr: terminal.try_clone()?,
                results: their_results,
                status: their_status,
                go: their_go,
            };
            (
                Self {
                    stdin: None,
                    stdout: None,
                    stderr: None,
                    results,
                    status,
                    go,
                },
                ends,
            )
        } else {
            let (their_stdin, stdin) = match &command.input {
                Some(input) => (input.try_clone()?, None),
                None => sys::pipe().map(|(theirs, ours)| (theirs, Some(ours)))?,
            };
            let (stdout, their_stdout) = sys::pipe()?;
            let (stderr, their_stderr) = sys::pipe()?;
            let ends = Ends {
                stdin: their_stdin,
                stdout: their_stdout,
                stderr: their_stderr,
                results: their_results,
                status: their_status,
                go: their_go,
            };
            (
                Self {
                    stdin,
                    stdout: Some(stdout),
                    stderr: Some(stderr),
                    results,
                    status,
                    go,
                },
                ends,
            )
        };
        for fd in [&pipes.stdin, &pipes.stdout, &pipes.stderr, &pipes.results]
            .into_iter()
            .flatten()
        {
            sys::nonblocking(fd.as_fd())?;
        }
        Ok((pipes, ends))
    }
}

/// Reads what is there; closes our end when the pipe has ended. True when something came.
pub(crate) fn drain(fd: &mut Option<OwnedFd>, mut take: impl FnMut(&[u8])) -> bool {
    let Some(open) = fd.take() else { return false };
    let mut file = std::fs::File::from(open);
    let mut buffer = [0; 8 << 10];
    let mut heard = false;
    // a writer that never stops must not keep us from looking at limits
    for _ in 0..256 {
        match file.read(&mut buffer) {
            Ok(0) => return heard,
            Ok(n) => {
                heard = true;
                take(&buffer[..n]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    *fd = Some(file.into());
    heard
}

/// Head, tail and length of a stream.
#[derive(Default)]
pub(crate) struct Stream {
    head: Vec<u8>,
    tail: std::collections::VecDeque<u8>,
    pub(crate) total: u64,
}

impl Stream {
    pub(crate) fn take(&mut self, bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = HEAD.saturating_sub(self.head.len()).min(bytes.len());
        self.head.extend_from_slice(&bytes[..room]);
        let rest = &bytes[room..];
        let rest = &rest[rest.len().saturating_sub(TAIL)..];
        let over = (self.tail.len() + rest.len()).saturating_sub(TAIL);
        self.tail.drain(..over);
        self.tail.extend(rest);
    }

    pub(crate) fn finish(self) -> Captured {
        Captured {
            head: Foreign::new(self.head),
            tail: Foreign::new(Vec::from(self.tail)),
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_keeps_its_head_and_tail() {
        let mut stream = Stream::default();
        stream.take(b"abc");
        let small = stream.finish();
        assert_eq!(
            (small.head.as_bytes(), small.total, small.dropped()),
            (&b"abc"[..], 3, 0)
        );
        let mut stream = Stream::default();
        for n in 0..200u8 {
            stream.take(&[n; 10_000]);
        }
        let big = stream.finish();
        assert_eq!(
            (big.head.len(), big.tail.len(), big.total),
            (HEAD, TAIL, 2_000_000)
        );
        assert_eq!(big.tail.as_bytes().last(), Some(&199));
        assert_eq!(big.dropped(), 2_000_000 - (HEAD + TAIL) as u64);
    }
}
