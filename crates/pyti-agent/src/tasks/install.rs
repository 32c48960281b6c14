//! install: the wheel is put into the environment, in a layer of its own.

use pyti_archive::installed;
use pyti_box::protocol::{UV, VENV};
use pyti_graph::{Outcome, TaskError};
use pyti_model::plan::Installer;
use pyti_model::raw::RawData;
use pyti_resolve::uv;

use super::{INSTALLED, Installed, RUNTIME_ENVIRONMENT, WHEEL};
use crate::commands;
use crate::job::{Cx, Ended, bad_end, read_in_layer, trouble};
use crate::observe::Phase;

/// Most bytes of a small file (a .pth, an entry point list) that are looked at.
const SMALL: u64 = 256 << 10;

/// Installs the wheel, without its dependencies: those are in the layer below.
pub(crate) fn install(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let wheel = cx.get(&WHEEL)?;
    let environment = cx.get(&RUNTIME_ENVIRONMENT)?;
    let pip = job.order.pip_wheel.as_deref();
    let made = uv::install(&uv::InstallOne {
        uv: UV,
        venv: VENV,
        wheel: &wheel.path,
        installer: job.order.plan.installer,
        pip_wheel: pip,
    })
    .ok_or_else(|| trouble("there is no pip to install with"))?;
    let installer = match (job.order.plan.installer, pip) {
        (Installer::Pip, Some(pip)) => {
            format!(
                "pip {}",
                pip.rsplit('/')
                    .next()
                    .and_then(|name| name.split('-').nth(1))
                    .unwrap_or("")
            )
        }
        _ => format!("uv {}", job.order.uv_version),
    };
    let mut command = commands::package(job, made.argv, vec![environment.lower.clone()]);
    command.env = made
        .env
        .into_iter()
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    command.results = false;
    command.binds.push(commands::bind(UV));
    command.binds.push(commands::bind(&wheel.path));
    if let Some(pip) = &job.order.pip_wheel {
        command.binds.push(commands::bind(pip));
    }
    commands::add_files(job, &mut command, &made.files)?;
    let done = job.observe(cx, &mut command, Phase::Install)?;
    job.leave(cx, &done, &command);
    let site_packages = job.site_packages();
    let mut read = |path: &str| -> Option<Vec<u8>> { read_in_layer(&done.layer, path, SMALL).ok().flatten() };
    // uv's lock of the environment is not the package's doing
    let lock = format!("{VENV}/.lock");
    let changes: Vec<_> = done
        .changes
        .iter()
        .filter(|c| c.path.as_bytes() != lock.as_bytes())
        .cloned()
        .collect();
    let mut facts = installed::facts(&changes, &site_packages, &format!("{VENV}/bin"), &mut read);
    facts.installer = installer;
    job.keep(cx, RawData::Install(facts.clone()));
    if let Some(how) = bad_end(&done.effect) {
        return Ok(Outcome::failure(how));
    }
    let outside = facts.outside.len();
    cx.put(
        &INSTALLED,
        Installed {
            layer: done.layer,
            facts,
            site_packages,
        },
    )?;
    if outside > 0 {
        return Ok(Outcome::warnings(format!(
            "{outside} changes outside site-packages"
        )));
    }
    Ok(Outcome::success())
}

/// The layers of an installed distribution, newest first.
pub(crate) fn lowers(installed: &Installed, environment: &super::Environment) -> Vec<pyti_sandbox::Lower> {
    vec![
        pyti_sandbox::Lower::Layer(installed.layer.clone()),
        environment.lower.clone(),
    ]
}

/// Runs a probe in the environment with the distribution.
pub(crate) fn probe(
    cx: &Cx<'_>,
    argv: Vec<String>,
    lowers: Vec<pyti_sandbox::Lower>,
) -> Result<pyti_sandbox::Done, TaskError> {
    let job = cx.context();
    let mut command = commands::package(job, argv, lowers);
    commands::add_probes(job, &mut command)?;
    let done = job.observe(cx, &mut command, Phase::Use)?;
    job.leave(cx, &done, &command);
    Ok(done)
}
