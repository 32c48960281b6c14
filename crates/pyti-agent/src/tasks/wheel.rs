//! metadata: the wheel is read, without installing it.

use pyti_archive::wheel::{self, WheelFacts};
use pyti_box::protocol::PROGRAM;
use pyti_graph::{Outcome, TaskError};
use pyti_model::FileKind;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::raw::RawData;
use pyti_sandbox::RESULTS_FD;

use super::{FACTS, WHEEL, Wheel};
use crate::commands::reading;
use crate::job::{Cx, Ended};

/// Reads the wheel's metadata and names.
pub(crate) fn metadata(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let wheel = cx.get(&WHEEL)?;
    let Some(facts) = read(cx, &wheel)? else {
        job.because(
            cx,
            Reason::new(ReasonCode::BadArchive, "reading the wheel was ended by a limit"),
        );
        return Ok(Outcome::failure("the wheel cannot be read"));
    };
    job.keep(cx, RawData::Metadata(facts.metadata.clone()));
    if let Some(fatal) = &facts.fatal {
        job.because(cx, Reason::new(ReasonCode::BadArchive, fatal.clone()));
        return Ok(Outcome::failure("the wheel cannot be read"));
    }
    let target = &job.order.plan.target;
    if target.kind != FileKind::Folder && !same_name(&facts.metadata.name.lossy(), &target.project) {
        let detail = format!("it calls itself {:?}", facts.metadata.name);
        job.because(cx, Reason::new(ReasonCode::BadMetadata, detail));
        return Ok(Outcome::failure("the metadata is of another project"));
    }
    let problems = facts.problems.clone();
    if let Some(lie) = problems
        .iter()
        .find(|problem| problem.starts_with("METADATA says version"))
    {
        job.because(cx, Reason::new(ReasonCode::BadMetadata, lie.clone()));
        return Ok(Outcome::failure("the metadata is of another version"));
    }
    // installers do not look, so it may work all the same
    if let Some(lie) = problems.iter().find(|problem| problem.starts_with("RECORD lies")) {
        job.because(cx, Reason::new(ReasonCode::BadArchive, lie.clone()));
    }
    cx.put(&FACTS, facts)?;
    match problems.first() {
        Some(problem) => Ok(Outcome::warnings(problem.clone())),
        None => Ok(Outcome::success()),
    }
}

/// Reads a wheel in a box of its own; `None` when a limit ended that.
pub(crate) fn read(cx: &Cx<'_>, wheel: &Wheel) -> Result<Option<WheelFacts>, TaskError> {
    let job = cx.context();
    let done = job.run(
        cx,
        &mut reading(job, wheel::argv(PROGRAM, &wheel.path, RESULTS_FD), &[&wheel.path]),
    )?;
    match wheel::parse(&done.results) {
        Ok(facts) => Ok(Some(facts)),
        Err(_) if done.effect.limit.is_some() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether two project names are the same by PEP 503.
fn same_name(one: &str, other: &str) -> bool {
    normal(one) == normal(other)
}

/// A project name as PEP 503 normalises it.
pub(crate) fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        if matches!(c, '-' | '_' | '.') {
            if !out.ends_with('-') {
                out.push('-');
            }
        } else {
            out.extend(c.to_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_pep_503_says() {
        assert!(same_name("Zope.Interface", "zope-interface"));
        assert!(same_name("a_-.b", "a-b"));
        assert!(!same_name("six", "sixer"));
    }
}
