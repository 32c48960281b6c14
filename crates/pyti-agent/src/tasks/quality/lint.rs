//! ruff and pylint, from our own locks.

use pyti_box::protocol::{PYTHON, SOURCE, VENV};
use pyti_graph::TaskError;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::quality::{Profile, Quality};
use pyti_quality::{pylint as asked, ruff as rules};
use pyti_sandbox::{Layer, Lower, RESULTS_FD};

use super::{UNPACKED, lacking};
use crate::commands::reading;
use crate::job::{Cx, bad_end, read_in_layer};
use crate::tasks::tools;

/// ruff's lock for a machine.
fn ruff_lock() -> Option<&'static str> {
    match std::env::consts::ARCH {
        "x86_64" => Some(include_str!("ruff-x86_64.pylock.toml")),
        "aarch64" => Some(include_str!("ruff-aarch64.pylock.toml")),
        _ => None,
    }
}

/// ruff with the same rules for everybody on the wheel, and with the project's own on its tree.
pub(super) fn ruff(
    cx: &Cx<'_>,
    quality: &mut Quality,
    unpacked: &Layer,
    tree: Option<&Layer>,
) -> Result<Vec<Reason>, TaskError> {
    let Some(lock) = ruff_lock() else {
        let why = format!("there is no ruff for {}", std::env::consts::ARCH);
        return Ok(lacking(
            quality,
            "ruff",
            vec![Reason::new(ReasonCode::Testbed, why)],
        ));
    };
    cx.progress("fetching ruff");
    let ruff = match tools::environment(cx, lock)? {
        Ok(lower) => lower,
        Err(reasons) => return Ok(lacking(quality, "ruff", reasons)),
    };
    cx.progress("asking ruff");
    let program = format!("{VENV}/bin/ruff");
    let argv = rules::neutral(&program, quality, UNPACKED);
    let lowers = vec![Lower::Layer(unpacked.clone()), ruff.clone()];
    let (bytes, ended) = ask(cx, argv, lowers, UNPACKED)?;
    quality
        .lints
        .push(rules::parse(&bytes, UNPACKED, Profile::Neutral, ended));
    if let Some(tree) = tree
        && let Some(config) = own_configuration(tree)?
    {
        let lowers = vec![Lower::Layer(tree.clone()), ruff];
        let (bytes, ended) = ask(cx, rules::of_project(&program, SOURCE), lowers, SOURCE)?;
        let mut lint = rules::parse(&bytes, SOURCE, Profile::Project, ended);
        lint.config = Some(Foreign::from(config));
        quality.lints.push(lint);
    }
    Ok(Vec::new())
}

/// pylint, of errors and warnings, on the wheel.
pub(super) fn pylint(cx: &Cx<'_>, quality: &mut Quality, unpacked: &Layer) -> Result<Vec<Reason>, TaskError> {
    let short = cx.context().order.plan.interpreter.short();
    if !asked::runs_on(&short) {
        quality
            .missing
            .push(format!("pylint: it does not run on Python {short}"));
        return Ok(Vec::new());
    }
    cx.progress("fetching pylint");
    let pylint = match tools::environment(cx, include_str!("pylint.pylock.toml"))? {
        Ok(lower) => lower,
        Err(reasons) => return Ok(lacking(quality, "pylint", reasons)),
    };
    cx.progress("asking pylint");
    let argv = asked::argv(PYTHON, &quality.wheel);
    let lowers = vec![Lower::Layer(unpacked.clone()), pylint];
    let (bytes, ended) = ask(cx, argv, lowers, UNPACKED)?;
    quality.lints.push(asked::parse(&bytes, ended));
    Ok(Vec::new())
}

/// Runs a linter whose answer goes to the pipe for results. Gives that, and how it ended when it ended badly.
fn ask(
    cx: &Cx<'_>,
    argv: Vec<String>,
    lowers: Vec<Lower>,
    cwd: &str,
) -> Result<(Vec<u8>, Option<Foreign>), TaskError> {
    let job = cx.context();
    // a plain shell knows only descriptors of one digit
    let into = format!("exec \"$@\" >/proc/self/fd/{RESULTS_FD}");
    let mut whole: Vec<String> = ["/bin/sh", "-c", &into, "sh"].map(str::to_owned).into();
    whole.extend(argv);
    let mut command = reading(job, whole, &[]);
    command.lowers = lowers;
    command.cwd = cwd.into();
    let done = job.run(cx, &mut command)?;
    let mut ended = bad_end(&done.effect).map(|how| {
        let said = done.effect.stderr.text();
        let first = said
            .lines()
            .find(|line| !line.trim().is_empty())
            .unwrap_or("")
            .trim();
        Foreign::from(if first.is_empty() {
            how
        } else {
            format!("{how}: {first}")
        })
    });
    if done.results_dropped > 0 && ended.is_none() {
        ended = Some(Foreign::from("its answer is too long to be read as a whole"));
    }
    Ok((done.results, ended))
}

/// The file at the root of the tree with the project's own configuration of ruff, in ruff's order.
fn own_configuration(tree: &Layer) -> Result<Option<&'static str>, TaskError> {
    for name in [".ruff.toml", "ruff.toml", "pyproject.toml"] {
        let Some(bytes) = read_in_layer(tree, &format!("{SOURCE}/{name}"), 1 << 20)? else {
            continue;
        };
        let text = String::from_utf8_lossy(&bytes);
        let says = |line: &str| {
            line.trim_start().starts_with("[tool.ruff") || line.trim_start().starts_with("tool.ruff")
        };
        if name != "pyproject.toml" || text.lines().any(says) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
