//! Programs of our own that run in boxes, from locks that are part of PyTI: a file with another digest is not used.

use pyti_box::protocol::{ProvideFiles, ProvideOrder};
use pyti_graph::TaskError;
use pyti_model::outcome::Reason;
use pyti_model::plan::{Lock, Purpose};
use pyti_sandbox::Lower;

use super::environment::{Made, make};
use super::lock::Locked;
use crate::job::Cx;

/// An environment with what one of our locks names, or why there is none.
pub(crate) fn environment(cx: &Cx<'_>, pylock: &str) -> Result<Result<Lower, Vec<Reason>>, TaskError> {
    let provided = cx.context().peer.call::<ProvideFiles>(&ProvideOrder {
        purpose: Purpose::Quality,
        requirements: Vec::new(),
        index_lock: pylock.to_owned(),
        view: None,
        without: Vec::new(),
    })?;
    if !provided.problems.is_empty() {
        return Ok(Err(provided.problems));
    }
    let locked = Locked {
        box_lock: provided.box_lock,
        environment: provided.environment,
        ready: provided.ready,
        packages: provided.packages,
        frozen: Lock::default(),
    };
    Ok(match make(cx, &locked)? {
        Made::Kept(lower) | Made::Lost(lower, _) => Ok(lower),
        Made::Failed(reason) => Err(vec![reason]),
    })
}
