//! scripts and exercise: what the distribution does when it is used a little.

use pyti_box::protocol::VENV;
use pyti_graph::Outcome;
use pyti_model::raw::{RawData, ScriptCall, Scripts};
use pyti_probes::exercise;

use super::{INSTALLED, RUNTIME_ENVIRONMENT, install};
use crate::commands::{self, INVOCATION};
use crate::job::{Cx, Ended, bad_end};
use crate::observe::Phase;

/// Most console scripts that are called.
const MOST_SCRIPTS: usize = 8;
/// Seconds that one call of a script may take.
const SCRIPT_LIMIT_S: u32 = 10;
/// Most functions that are called, and seconds for each.
const MOST_FUNCTIONS: u32 = 200;
const FUNCTION_LIMIT_S: u32 = 2;

/// Calls each console script with `--help`, `--version` and nothing.
pub(crate) fn scripts(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let installed = cx.get(&INSTALLED)?;
    let environment = cx.get(&RUNTIME_ENVIRONMENT)?;
    let all = &installed.facts.scripts;
    if all.is_empty() {
        return Ok(Outcome::skipped("there are no console scripts"));
    }
    let mut raw = Scripts {
        calls: Vec::new(),
        left_out: u32::try_from(all.len().saturating_sub(MOST_SCRIPTS)).unwrap_or(u32::MAX),
    };
    for script in all.iter().take(MOST_SCRIPTS) {
        // a name that is no plain file name was not installed by an installer of ours
        let Some(name) = script.as_str().filter(|name| !name.contains('/')) else {
            continue;
        };
        for arguments in [&["--help"][..], &["--version"], &[]] {
            cx.progress(format!("{} {}", script.visible(), arguments.join(" ")));
            let mut argv = vec![format!("{VENV}/bin/{name}")];
            argv.extend(arguments.iter().map(ToString::to_string));
            let mut command = commands::package(job, argv, install::lowers(&installed, &environment));
            command.results = false;
            command.limits.wall_s = command.limits.wall_s.min(SCRIPT_LIMIT_S);
            let done = job.observe(cx, &mut command, Phase::Use)?;
            raw.calls.push(ScriptCall {
                script: script.clone(),
                arguments: arguments.iter().map(ToString::to_string).collect(),
                exit: done.effect.exit,
                limit: done.effect.limit,
                wall_s: done.effect.cost.wall_s,
            });
        }
    }
    job.keep(cx, RawData::Scripts(raw));
    // what a script says to wrong arguments is its own affair; the trace tells what it does
    Ok(Outcome::success())
}

/// Calls exported functions with cheap arguments.
pub(crate) fn exercise(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let installed = cx.get(&INSTALLED)?;
    let environment = cx.get(&RUNTIME_ENVIRONMENT)?;
    if installed.facts.top_level.is_empty() {
        return Ok(Outcome::skipped("there is nothing to import"));
    }
    let argv = exercise::argv(
        &INVOCATION,
        &installed.facts.top_level,
        FUNCTION_LIMIT_S,
        MOST_FUNCTIONS,
    );
    let done = install::probe(cx, argv, install::lowers(&installed, &environment))?;
    let (raw, loss) = exercise::parse(&done.results);
    job.lost(cx, loss);
    job.keep(cx, RawData::Exercise(raw));
    match bad_end(&done.effect) {
        Some(how) => Ok(Outcome::warnings(how)),
        None => Ok(Outcome::success()),
    }
}
