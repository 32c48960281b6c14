//! The second attempt of a build: with an older setuptools, where nothing is declared and the interpreter is before
//! 3.12. Most such sources build with the newest one; some use what it no longer has, such as `use_2to3`.

use pyti_graph::TaskError;
use pyti_model::foreign::Foreign;
use pyti_model::plan::Purpose;
use pyti_model::raw::Inspection;
use pyti_resolve::requirements;
use pyti_sandbox::Done;

use super::Environment;
use super::environment::{Made, make};
use super::lock::{Wish, lock};
use crate::job::Cx;

/// An environment for the second attempt.
pub(crate) struct Older {
    /// The requirement lines that replace the first attempt's.
    pub(crate) base: Vec<String>,
    /// What they came to.
    pub(crate) environment: Environment,
    /// What was done, for who reads the result.
    pub(crate) label: String,
}

/// The environment of the second attempt with what the hook asked besides; `None` where none is due or can be had.
/// A limit of the box that was hit is no reason for one: it would be hit again.
pub(crate) fn after(
    cx: &Cx<'_>,
    failed: &Done,
    inspection: &Inspection,
    asked: &[Foreign],
) -> Result<Option<Older>, TaskError> {
    let interpreter = &cx.context().order.plan.interpreter;
    let mut attempts = requirements::build_attempts(&inspection.build, interpreter).into_iter();
    let Some(base) = attempts.nth(1).filter(|_| failed.effect.limit.is_none()) else {
        return Ok(None);
    };
    cx.progress("it fails with the newest setuptools: trying an older one");
    let mut lines = base.clone();
    lines.extend(
        asked
            .iter()
            .map(|line| line.lossy().trim().to_owned())
            .filter(|line| !base.contains(line)),
    );
    let wish = Wish {
        purpose: Purpose::Build,
        requirements: lines,
        constraints: Vec::new(),
        offered: Vec::new(),
        without: Vec::new(),
        exclude_newer: None,
    };
    let (Ok(locked), _) = lock(cx, &wish)? else {
        return Ok(None);
    };
    let version = locked
        .packages
        .iter()
        .find(|(name, _)| name == "setuptools")
        .map_or("", |(_, version)| version);
    let label = format!("setuptools {version}, because it fails with the newest");
    let lower = match make(cx, &locked)? {
        Made::Kept(lower) | Made::Lost(lower, _) => lower,
        Made::Failed(_) => return Ok(None),
    };
    Ok(Some(Older {
        base,
        environment: Environment { lower },
        label,
    }))
}
