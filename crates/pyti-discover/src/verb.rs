//! The verb `__inspect`: reads a tree in a box, and hands the inspection over as one JSON document.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write as _};
use std::mem::ManuallyDrop;
use std::os::fd::FromRawFd as _;
use std::path::Path;
use std::process::ExitCode;

use pyti_model::raw::Inspection;

use crate::tree::FolderTree;

/// The verb.
pub const VERB: &str = "__inspect";
/// Bytes of results that are believed at most.
const RESULTS: usize = 8 << 20;

/// An inspection that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// There is too much of it.
    #[error("an inspection of {bytes} bytes is over the cap of {cap}")]
    TooBig {
        /// Bytes that came.
        bytes: usize,
        /// Bytes that are read at most.
        cap: usize,
    },
    /// It is not what the verb writes.
    #[error("the inspection cannot be read")]
    Malformed(#[source] serde_json::Error),
}

/// The command line: the folder, the project's name, and the descriptor for results.
pub fn argv(program: &str, tree: &str, name: &str, results_fd: i32) -> Vec<String> {
    [program, VERB, &results_fd.to_string(), tree, name]
        .map(str::to_owned)
        .into()
}

/// Parses what the verb wrote.
pub fn parse(results: &[u8]) -> Result<Inspection, InspectError> {
    if results.len() > RESULTS {
        return Err(InspectError::TooBig {
            bytes: results.len(),
            cap: RESULTS,
        });
    }
    serde_json::from_slice(results).map_err(InspectError::Malformed)
}

/// Runs the verb with the arguments after it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "every verb takes its arguments alike"
)]
pub fn main(args: Vec<OsString>) -> ExitCode {
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // nobody is left to be told when even this fails
            let _ = writeln!(io::stderr(), "pyti: {VERB}: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &[OsString]) -> Result<(), String> {
    let [fd, tree, name] = args else {
        return Err("a descriptor, a folder and a name are wanted".to_owned());
    };
    let fd = descriptor(fd)?;
    hand_over(
        fd,
        &crate::inspect(&FolderTree::new(Path::new(tree)), &name.to_string_lossy()),
    )
}

/// The descriptor that an argument names.
pub(crate) fn descriptor(argument: &OsStr) -> Result<i32, String> {
    argument
        .to_str()
        .and_then(|fd| fd.parse().ok())
        .filter(|fd| *fd > 2)
        .ok_or_else(|| format!("{} is no descriptor", argument.display()))
}

/// Writes results to a descriptor that whoever started this program passed.
pub(crate) fn hand_over<T: serde::Serialize>(fd: i32, results: &T) -> Result<(), String> {
    let json = serde_json::to_vec(results).map_err(|error| error.to_string())?;
    // SAFETY: the number was passed by whoever started this program as a descriptor for us to write to; nothing else
    // in this process owns it, and it is not closed here. A wrong number makes the write fail.
    let mut file = ManuallyDrop::new(unsafe { File::from_raw_fd(fd) });
    file.write_all(&json)
        .map_err(|error| format!("cannot write the results to descriptor {fd}: {error}"))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _};
    use std::os::fd::AsRawFd as _;

    use super::*;

    #[test]
    fn the_verb_writes_what_parse_reads() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("one.py"), "X = 1\n").unwrap();
        let mut results = tempfile::tempfile().unwrap();
        let fd = results.as_raw_fd();
        let args = argv("pyti", folder.path().to_str().unwrap(), "one", fd);
        run(&args[2..].iter().map(OsString::from).collect::<Vec<_>>()).unwrap();
        let mut written = Vec::new();
        results.rewind().unwrap();
        results.read_to_end(&mut written).unwrap();
        assert_eq!(parse(&written).unwrap().importable["one"], "one.py");
        assert!(parse(b"{}{").is_err());
        assert!(run(&[OsString::from("1"), OsString::from("/"), OsString::from("x")]).is_err());
    }
}
