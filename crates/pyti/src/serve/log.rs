//! The log of the service: one line an event on standard error, for people or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::filter::LevelFilter;

use crate::args::LogForm;
use crate::output::Usage;
use crate::run::env;

/// Starts the log. `PYTI_LOG` is the least level that is told: error, warn, info (the default), debug.
pub(crate) fn start(form: Option<LogForm>) -> anyhow::Result<()> {
    let level = match env("PYTI_LOG") {
        None => LevelFilter::INFO,
        Some(word) => word
            .parse()
            .map_err(|_| Usage(format!("PYTI_LOG {word:?}: write error, warn, info or debug")))?,
    };
    let builder = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_writer(std::io::stderr);
    let started = match form.unwrap_or(LogForm::Text) {
        LogForm::Json => builder.json().flatten_event(true).try_init(),
        LogForm::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log cannot be started: {error}"))
}
