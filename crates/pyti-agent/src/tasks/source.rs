//! unpack and inspect: the sdist becomes a tree, and the tree is read. Nothing of it runs.

use pyti_archive::unpack;
use pyti_box::protocol::{PROGRAM, SOURCE};
use pyti_graph::Outcome;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::raw::RawData;
use pyti_sandbox::{Lower, RESULTS_FD};

use super::{INSPECTION, TREE};
use crate::commands::reading;
use crate::job::{Cx, Ended, bad_end};

/// Unpacks an archive of the agent's root.
pub(crate) fn unpack(cx: &Cx<'_>, archive: &str) -> Ended {
    let job = cx.context();
    let request = unpack::Request {
        archive: archive.to_owned(),
        destination: SOURCE.to_owned(),
        hide: Vec::new(),
        graft: Vec::new(),
        then: None,
    };
    let mut command = reading(job, unpack::argv(&request, PROGRAM, RESULTS_FD), &[archive]);
    let done = job.run(cx, &mut command)?;
    job.leave(cx, &done, &command);
    let ended = bad_end(&done.effect);
    let raw = match (unpack::parse(&done.results), &ended) {
        (Ok(raw), _) => raw,
        // the reader itself was ended by a limit: the archive is what it fell over
        (Err(_), Some(how)) => pyti_model::raw::Unpack {
            fatal: Some(Foreign::from(format!("reading it {how}"))),
            ..Default::default()
        },
        (Err(error), None) => return Err(error.into()),
    };
    let fatal = raw.fatal.clone();
    let refused = raw.refused_total;
    job.keep(cx, RawData::Unpack(raw));
    if let Some(fatal) = fatal {
        job.because(cx, Reason::new(ReasonCode::BadArchive, fatal));
        return Ok(Outcome::failure("the archive cannot be used"));
    }
    // both of a job's archives are never unpacked
    let _ = job.unpacked.set(done.layer.clone());
    cx.put(&TREE, done.layer)?;
    if refused > 0 {
        return Ok(Outcome::warnings(format!("{refused} entries were not unpacked")));
    }
    Ok(Outcome::success())
}

/// Reads the tree.
pub(crate) fn inspect(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let tree = cx.get(&TREE)?;
    let argv = pyti_discover::argv(PROGRAM, SOURCE, &job.order.plan.target.project, RESULTS_FD);
    let mut command = reading(job, argv, &[]);
    command.lowers.push(Lower::Layer((*tree).clone()));
    let done = job.run(cx, &mut command)?;
    job.leave(cx, &done, &command);
    let mut inspection = match (pyti_discover::parse(&done.results), bad_end(&done.effect)) {
        (Ok(inspection), None) => inspection,
        (_, Some(how)) => {
            job.because(
                cx,
                Reason::new(ReasonCode::BadArchive, format!("reading its files {how}")),
            );
            return Ok(Outcome::failure("its files cannot be read"));
        }
        (Err(error), None) => return Err(error.into()),
    };
    if let Some(entry) = &job.order.plan.overriding {
        pyti_discover::overrides::apply(&mut inspection, entry);
    }
    job.keep(cx, RawData::Inspect(Box::new(inspection.clone())));
    cx.put(&INSPECTION, inspection)?;
    Ok(Outcome::success())
}
