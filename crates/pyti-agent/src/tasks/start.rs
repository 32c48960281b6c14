//! start: does the interpreter, with nothing imported, do something new now?

use pyti_graph::Outcome;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::raw::RawData;
use pyti_probes::start;
use pyti_sandbox::Done;

use super::{INSTALLED, RUNTIME_ENVIRONMENT, install};
use crate::commands::INVOCATION;
use crate::job::{Cx, Ended, bad_end};

/// Starts the interpreter without and with the distribution, and compares.
pub(crate) fn start(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let installed = cx.get(&INSTALLED)?;
    let environment = cx.get(&RUNTIME_ENVIRONMENT)?;
    let argv = || start::argv(&INVOCATION);
    let before = install::probe(cx, argv(), vec![environment.lower.clone()])?;
    let after = install::probe(cx, argv(), install::lowers(&installed, &environment))?;
    let state_before = start::parse(&before.results)?;
    if let Some(how) = bad_end(&after.effect) {
        job.because(
            cx,
            Reason::new(
                ReasonCode::StartChanged,
                format!("the interpreter does not start: {how}"),
            ),
        );
        return Ok(Outcome::failure("the interpreter does not start any more"));
    }
    // the package's own code ran in there and may have spoilt the results: that is a change too
    let mut difference = match start::parse(&after.results) {
        Ok(state) => start::difference(&state_before, &state),
        Err(error) => {
            job.because(cx, Reason::new(ReasonCode::StartChanged, error.to_string()));
            return Ok(Outcome::failure(
                "what the interpreter does at its start cannot be read",
            ));
        }
    };
    difference.spoke = spoke(&after) && !spoke(&before);
    difference.changed_files =
        u32::try_from(after.changes.len().saturating_sub(before.changes.len())).unwrap_or(u32::MAX);
    let unchanged = difference.is_unchanged();
    job.keep(cx, RawData::Start(difference));
    if unchanged {
        Ok(Outcome::success())
    } else {
        Ok(Outcome::warnings("starting the interpreter does something new"))
    }
}

fn spoke(done: &Done) -> bool {
    done.effect.stdout.total + done.effect.stderr.total > 0
}
