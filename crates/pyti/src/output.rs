//! Writing to the terminal, and saying errors.

use std::io::{self, IsTerminal as _, Write as _};

use pyti_sandbox::LaunchError;
use pyti_worker::{JobError, Nothing, WorkerError};

use crate::args::{Args, Colour};

/// How text may look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look {
    /// For the reports.
    pub(crate) report: pyti_report::Look,
    /// Whether standard error is a terminal that can be redrawn.
    pub(crate) live: bool,
}

impl Look {
    pub(crate) fn find(args: &Args) -> Self {
        let terminal = io::stdout().is_terminal();
        let dumb = std::env::var_os("TERM").is_some_and(|t| t == "dumb");
        let colour = match args.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => terminal && !dumb && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()),
        };
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"]
            .iter()
            .find_map(|name| std::env::var(name).ok().filter(|v| !v.is_empty()))
            .is_none_or(|v| v.to_ascii_lowercase().replace('-', "").contains("utf8"));
        let width = std::env::var("COLUMNS")
            .ok()
            .and_then(|v| v.parse().ok())
            .or_else(|| {
                rustix::termios::tcgetwinsize(io::stdout())
                    .ok()
                    .map(|size| usize::from(size.ws_col))
            })
            .filter(|width| *width > 20)
            .unwrap_or(100);
        Self {
            report: pyti_report::Look {
                colour,
                width,
                ascii: args.ascii || !utf8,
            },
            live: io::stderr().is_terminal() && !dumb,
        }
    }
}

/// Prints text and a line break.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| {
        if text.ends_with('\n') || text.is_empty() {
            Ok(())
        } else {
            out.write_all(b"\n")
        }
    });
    match written.and_then(|()| out.flush()) {
        // `pyti … | head` is no error
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Prints to standard error.
pub(crate) fn tell(text: &str) {
    let mut out = io::stderr().lock();
    // nobody is left to tell when standard error is gone
    let _ = writeln!(out, "{text}");
}

/// An error of usage: exit code 2.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// Says what happened, why, and what to do next.
pub(crate) fn say_error(error: &anyhow::Error) {
    tell(&format!("error: {error}"));
    for cause in error.chain().skip(1) {
        tell(&format!("  {cause}"));
    }
    for cause in error.chain() {
        if let Some(hint) = hint(cause) {
            tell(&format!("  hint: {hint}"));
            return;
        }
    }
}

fn hint(cause: &(dyn std::error::Error + 'static)) -> Option<String> {
    if let Some(JobError::Machine(error)) = cause.downcast_ref::<JobError>() {
        return error.hint();
    }
    if let Some(error) = cause.downcast_ref::<LaunchError>() {
        return error.hint();
    }
    if let Some(JobError::Box(error)) = cause.downcast_ref::<JobError>() {
        return error.hint();
    }
    if let Some(error) = cause.downcast_ref::<pyti_index::ConfigError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(WorkerError::Tool(error)) = cause.downcast_ref::<WorkerError>() {
        return Some(error.hint().to_owned());
    }
    if let Some(error) = cause.downcast_ref::<crate::caller::CallerError>() {
        return error.hint().map(str::to_owned);
    }
    if let Some(Nothing::NoProject { suggestions, .. }) = cause.downcast_ref::<Nothing>() {
        return suggestions.first().map(|name| format!("pyti run {name}"));
    }
    None
}

/// The exit code of an error.
pub(crate) fn code_of(error: &anyhow::Error) -> u8 {
    let usage = error.chain().any(|cause| {
        cause.is::<Usage>()
            || cause.is::<pyti_worker::target::NoTarget>()
            || cause.is::<pyti_resolve::interpreters::NoInterpreter>()
            || cause.is::<pyti_worker::runs::RunsError>()
            || matches!(
                cause.downcast_ref::<Nothing>(),
                Some(
                    Nothing::NoProject { .. }
                        | Nothing::NoVersion { .. }
                        | Nothing::File(..)
                        | Nothing::FileName(..)
                )
            )
    });
    if usage { crate::USAGE } else { crate::OWN_ERROR }
}
