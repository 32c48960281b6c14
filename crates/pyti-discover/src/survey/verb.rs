//! The verb `__survey`: surveys a wheel in a box, and hands the survey over as one JSON document.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use super::Survey;

/// The verb.
pub const VERB: &str = "__survey";
/// Bytes of results that are believed at most.
const RESULTS: usize = 16 << 20;

/// A survey that cannot be believed.
#[derive(Debug, thiserror::Error)]
pub enum SurveyError {
    /// There is too much of it.
    #[error("a survey of {0} bytes is over the cap of {RESULTS}")]
    TooBig(usize),
    /// It is not what the verb writes.
    #[error("the survey cannot be read")]
    Malformed(#[source] serde_json::Error),
}

/// The command line: the folder, the site-packages with what it needs, and the descriptor for results.
pub fn argv(program: &str, wheel: &str, installed: &str, results_fd: i32) -> Vec<String> {
    [program, VERB, &results_fd.to_string(), wheel, installed]
        .map(str::to_owned)
        .into()
}

/// Parses what the verb wrote.
pub fn parse(results: &[u8]) -> Result<Survey, SurveyError> {
    if results.len() > RESULTS {
        return Err(SurveyError::TooBig(results.len()));
    }
    serde_json::from_slice(results).map_err(SurveyError::Malformed)
}

/// Runs the verb with the arguments after it.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let run = || -> Result<(), String> {
        let [fd, wheel, installed] = &args[..] else {
            return Err("a descriptor and two folders are wanted".to_owned());
        };
        let fd = crate::verb::descriptor(fd)?;
        crate::verb::hand_over(fd, &super::survey(Path::new(wheel), Some(Path::new(installed))))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // nobody is left to be told when even this fails
            let _ = writeln!(io::stderr(), "pyti: {VERB}: {why}");
            ExitCode::from(2)
        }
    }
}
