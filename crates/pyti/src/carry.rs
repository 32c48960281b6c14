//! The hidden verb by which a worker carries out one job in a process of its own.

use std::process::ExitCode;

use pyti_command::order::WorkOrder;
use pyti_model::effect::Limits;
use pyti_model::plan::Interpreter;
use pyti_remote::carry::{self, Task};
use pyti_remote::spool::Entry;
use pyti_worker::folders::Folders;
use pyti_worker::{Stop, Worker};

use crate::OWN_ERROR;
use crate::config::{Config, Spoken};
use crate::output::say_error;
use crate::run::env;

/// Does what the worker says on standard input.
pub(crate) fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say_error(&error);
            ExitCode::from(OWN_ERROR)
        }
    }
}

fn run() -> anyhow::Result<()> {
    let stop = Stop::new();
    let task = carry::listen(stop.clone())?;
    let entry = Entry::at(&task.folder)?;
    crate::run::runtime()?.block_on(async {
        match open(&task, &entry.order).await {
            Ok((worker, interpreter, limits)) => {
                carry::carry(&worker, &entry, interpreter, &limits, &stop).await?;
            }
            Err(error) => carry::failed(&entry, format!("{error:#}"))?,
        }
        Ok(())
    })
}

/// Everything that `pyti run` opens, with the configuration of this machine.
async fn open(task: &Task, order: &WorkOrder) -> anyhow::Result<(Worker, Interpreter, Limits)> {
    let config = Config::find(&Spoken {
        index_url: task.index_url.as_deref(),
        ..Default::default()
    })?;
    let folders = Folders::find(&env)?;
    let found = pyti_resolve::interpreters::find_cached(&env, &folders.interpreters()?);
    let wanted = order.spec.environment.python();
    let interpreter = pyti_resolve::interpreters::choose(&found, Some(&wanted))?;
    let limits = config.limits.clone();
    let worker = crate::session::open_worker(&config, folders, task.offline).await?;
    Ok((worker, interpreter, limits))
}
