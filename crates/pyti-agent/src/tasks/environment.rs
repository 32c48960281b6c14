//! env-*: what was locked becomes an environment, from the cache or made in a box and kept there.

use std::path::Path;

use pyti_box::protocol::{CommitEnvironment, ENVIRONMENTS, EnvironmentKey, STAGE, UV, VENV};
use pyti_graph::{Key, Outcome};
use pyti_model::Digest;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::plan::Purpose;
use pyti_model::raw::{Provide, RawData};
use pyti_resolve::{lock, uv};
use pyti_sandbox::{Lower, Network};

use super::{Environment, lock::Locked};
use crate::commands;
use crate::job::{Cx, Ended, bad_end};
use crate::tree;

/// Makes the environment of a lock, or takes it from the cache.
pub(crate) fn environment(cx: &Cx<'_>, purpose: Purpose, from: &Key<Locked>, to: &Key<Environment>) -> Ended {
    let job = cx.context();
    let locked = cx.get(from)?;
    job.keep(
        cx,
        RawData::Provide(Provide {
            purpose,
            environment: locked.environment.clone(),
            cached: locked.ready,
            packages: u32::try_from(locked.packages.len()).unwrap_or(u32::MAX),
        }),
    );
    match make(cx, &locked)? {
        Made::Kept(lower) => {
            put(cx, to, lower)?;
            Ok(Outcome::success())
        }
        Made::Lost(lower, why) => {
            put(cx, to, lower)?;
            Ok(Outcome::warnings(why))
        }
        Made::Failed(reason) => {
            job.because(cx, reason);
            Ok(Outcome::failure("what was locked cannot be installed"))
        }
    }
}

/// What became of a lock.
pub(crate) enum Made {
    /// An environment, in the cache.
    Kept(Lower),
    /// An environment that could not be put into the cache, and why.
    Lost(Lower, String),
    /// None.
    Failed(Reason),
}

/// Makes the environment of a lock, or takes it from the cache; publishes nothing.
pub(crate) fn make(cx: &Cx<'_>, locked: &Locked) -> Result<Made, pyti_graph::TaskError> {
    let job = cx.context();
    let key: Digest = locked.environment.parse()?;
    let ready = Path::new(ENVIRONMENTS).join(key.as_str());
    if locked.ready && ready.is_dir() {
        return Ok(Made::Kept(Lower::Folder(ready)));
    }
    let wheels = lock::parse_box_lock(&locked.box_lock)?;
    let made = uv::make_environment(&uv::MakeEnvironment {
        uv: UV,
        python: &job.order.plan.interpreter.executable,
        venv: VENV,
        box_lock: &locked.box_lock,
    })?;
    let mut command = commands::uv(job, made.argv, made.env, Network::None);
    command.stdin = made.stdin;
    commands::add_files(job, &mut command, &made.files)?;
    for wheel in &wheels {
        command.binds.push(commands::bind(&wheel.path));
    }
    cx.progress(format!("installing {} packages", wheels.len()));
    let done = job.run(cx, &mut command)?;
    if let Some(how) = bad_end(&done.effect) {
        let said = done.effect.stderr.text();
        let last = said
            .lines()
            .rev()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("")
            .trim()
            .to_owned();
        let reason = Reason::new(ReasonCode::Unresolvable, format!("{how}: {last}"));
        return Ok(Made::Failed(reason));
    }
    if job.order.apart {
        return Ok(Made::Kept(Lower::Layer(done.layer)));
    }
    let staged = Path::new(STAGE).join(key.as_str());
    match tree::copy(&done.layer.path(), &staged).and_then(|()| tree::complete(&staged)) {
        Ok(()) => {
            job.peer.call::<CommitEnvironment>(&EnvironmentKey { key })?;
            // what the cache holds is the same; mounting it from there frees the layer's memory
            let lower = if ready.is_dir() {
                Lower::Folder(ready)
            } else {
                Lower::Layer(done.layer)
            };
            Ok(Made::Kept(lower))
        }
        Err(error) => {
            // the cache is a convenience: the job goes on with the layer
            let _ = std::fs::remove_dir_all(&staged);
            let why = format!("the environment could not be kept: {error}");
            Ok(Made::Lost(Lower::Layer(done.layer), why))
        }
    }
}

/// Publishes the environment, and leaves it for a shell.
pub(crate) fn put(cx: &Cx<'_>, to: &Key<Environment>, lower: Lower) -> Result<(), pyti_graph::TaskError> {
    cx.context().leave_lowers(cx, vec![lower.clone()]);
    cx.put(to, Environment { lower })?;
    Ok(())
}
