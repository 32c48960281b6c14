//! import: every top-level module, then every submodule, each with its own outcome.

use pyti_graph::Outcome;
use pyti_model::raw::{Import, ImportOutcome, RawData};
use pyti_probes::import;

use super::{INSTALLED, RUNTIME_ENVIRONMENT, install};
use crate::commands::INVOCATION;
use crate::job::{Cx, Ended, bad_end};

/// Seconds that one module may take.
const MODULE_LIMIT_S: u32 = 60;

/// Imports the distribution's modules.
pub(crate) fn import(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let installed = cx.get(&INSTALLED)?;
    let environment = cx.get(&RUNTIME_ENVIRONMENT)?;
    if installed.facts.modules.is_empty() {
        job.keep(cx, RawData::Import(Import::default()));
        return Ok(Outcome::skipped("there is nothing to import"));
    }
    let limit = MODULE_LIMIT_S.min(job.order.plan.limits.wall_s);
    let argv = import::argv(
        &INVOCATION,
        &installed.facts.top_level,
        &installed.facts.modules,
        limit,
    );
    let done = install::probe(cx, argv, install::lowers(&installed, &environment))?;
    job.tell_audits(cx, import::audits(&done.results));
    let (raw, loss) = import::parse(&done.results);
    job.lost(cx, loss);
    let bad: Vec<_> = raw
        .modules
        .iter()
        .filter(|m| m.outcome != ImportOutcome::Imported)
        .collect();
    let top = bad.iter().any(|m| m.top_level);
    let (bad, all) = (bad.len(), raw.modules.len());
    job.keep(cx, RawData::Import(raw));
    if let Some(how) = bad_end(&done.effect) {
        return Ok(Outcome::failure(how));
    }
    if top {
        return Ok(Outcome::failure("a top-level module cannot be imported"));
    }
    if bad > 0 {
        return Ok(Outcome::warnings(format!(
            "{bad} of {all} modules cannot be imported"
        )));
    }
    Ok(Outcome::success())
}
