//! How a verb hands its results over: one JSON document to a file descriptor that it inherited.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::process::ExitCode;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Exit code when the arguments make no sense.
pub const BAD_ARGUMENTS: u8 = 2;
/// Exit code when the program that should follow was not started; the results say why.
pub const NOT_STARTED: u8 = 120;
/// Exit code when the results could not be written.
pub const NO_RESULTS: u8 = 121;

/// Results that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// There are too many of them.
    #[error("results of {bytes} bytes are over the cap of {cap}")]
    TooBig {
        /// Bytes that came.
        bytes: usize,
        /// Bytes that are read at most.
        cap: usize,
    },
    /// They are not what the verb writes.
    #[error("results are not what `{verb}` writes")]
    Malformed {
        /// The verb.
        verb: &'static str,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
}

/// Parses the results of `verb`, at most `cap` bytes of them.
pub(crate) fn parse<T: DeserializeOwned>(
    verb: &'static str,
    results: &[u8],
    cap: usize,
) -> Result<T, ParseError> {
    if results.len() > cap {
        return Err(ParseError::TooBig {
            bytes: results.len(),
            cap,
        });
    }
    serde_json::from_slice(results).map_err(|source| ParseError::Malformed { verb, source })
}

/// Writes results to an inherited descriptor, and gives `good` when that worked.
pub(crate) fn write<T: Serialize>(fd: i32, results: &T, good: u8) -> ExitCode {
    let written = serde_json::to_vec(results)
        .map_err(io::Error::other)
        .and_then(|json| {
            // SAFETY: the number was passed by whoever started this program as a descriptor for us to write to;
            // nothing else in this process owns it, and it is not closed here (a program that follows may use it).
            // A wrong number makes the write fail.
            let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
            file.write_all(&json)
        });
    match written {
        Ok(()) => ExitCode::from(good),
        Err(error) => complain(
            NO_RESULTS,
            &format!("cannot write the results to descriptor {fd}: {error}"),
        ),
    }
}

/// Says what went wrong on standard error, and gives the exit code.
pub(crate) fn complain(code: u8, what: &str) -> ExitCode {
    // nobody is left to be told when even this fails
    let _ = writeln!(io::stderr(), "pyti: {what}");
    ExitCode::from(code)
}

/// Arguments of a verb, taken one by one.
#[derive(Debug)]
pub(crate) struct Arguments(std::vec::IntoIter<OsString>);

impl Arguments {
    pub(crate) fn new(args: Vec<OsString>) -> Self {
        Self(args.into_iter())
    }

    /// The next one, which must be UTF-8.
    pub(crate) fn next(&mut self) -> Result<Option<String>, String> {
        self.0
            .next()
            .map(|argument| {
                argument
                    .into_string()
                    .map_err(|a| format!("argument {} is not UTF-8", a.display()))
            })
            .transpose()
    }

    /// The value of an option.
    pub(crate) fn value(&mut self, option: &str) -> Result<String, String> {
        self.next()?
            .ok_or_else(|| format!("option {option} wants a value"))
    }

    /// The descriptor that an option names: not one of the three standard streams.
    pub(crate) fn descriptor(&mut self, option: &str) -> Result<i32, String> {
        let value = self.value(option)?;
        value
            .parse()
            .ok()
            .filter(|fd| *fd > 2)
            .ok_or_else(|| format!("option {option}: {value} is no descriptor"))
    }

    /// All that are left.
    pub(crate) fn rest(&mut self) -> Result<Vec<String>, String> {
        let mut rest = Vec::new();
        while let Some(argument) = self.next()? {
            rest.push(argument);
        }
        Ok(rest)
    }
}
