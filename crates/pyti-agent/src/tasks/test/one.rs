//! One attempt: the tests of one recipe, in a pristine box.

use std::collections::BTreeSet;

use pyti_archive::unpack::{self, Then};
use pyti_box::protocol::{PROGRAM, SOURCE};
use pyti_discover::escalate::Death;
use pyti_graph::TaskError;
use pyti_model::effect::{Exit, Limit};
use pyti_model::plan::Lock;
use pyti_model::raw::{Inspection, Recipe, Test};
use pyti_probes::test;
use pyti_sandbox::{Lower, RESULTS_FD};

use super::super::coverage::{Kit, switches_off};
use super::super::{Environment, Installed, install};
use crate::commands::{self, INVOCATION};
use crate::job::{Cx, bad_end};
use crate::observe::Phase;
use crate::services::{self, Offer};

/// What the tests of an attempt run with.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(crate) recipe: Recipe,
    pub(crate) because: String,
    /// The environment.
    pub(crate) lower: Lower,
    /// Names of the packages in it.
    pub(crate) packages: Vec<String>,
    /// What it was locked to.
    pub(crate) lock: Lock,
}

/// What all attempts of a job share.
pub(crate) struct Bench<'a> {
    pub(crate) inspection: &'a Inspection,
    pub(crate) installed: &'a Installed,
    /// The source archive, in the agent's root.
    pub(crate) archive: &'a str,
    /// Its files, relative.
    pub(crate) files: &'a [String],
    /// Its links that lead to places in it.
    pub(crate) links: &'a [(String, String)],
}

/// What came of an attempt.
pub(crate) struct Ran {
    pub(crate) raw: Test,
    /// What was taken away from the tree.
    pub(crate) hidden: Vec<String>,
    pub(crate) death: Death,
    pub(crate) limit: Option<Limit>,
    /// How the command ended badly, in words.
    pub(crate) bad_end: Option<String>,
    /// The end of what it printed.
    pub(crate) said: String,
    /// Ports of the loopback that it wanted to connect to.
    pub(crate) ports: Vec<u16>,
    pub(crate) wall_s: f64,
    /// Which of the task's commands it was.
    pub(crate) command: u32,
}

/// Runs them.
pub(crate) fn run(cx: &Cx<'_>, bench: &Bench<'_>, setting: &Setting) -> Result<Ran, TaskError> {
    go(cx, bench, setting, None).map(|(ran, _)| ran)
}

/// Runs them, unwatched, with coverage.py listening; its data are left at `data` in the layers that come back.
pub(crate) fn run_measured(
    cx: &Cx<'_>,
    bench: &Bench<'_>,
    setting: &Setting,
    kit: &Kit,
    data: &str,
) -> Result<(Ran, Vec<Lower>), TaskError> {
    go(cx, bench, setting, Some((kit, data)))
}

fn go(
    cx: &Cx<'_>,
    bench: &Bench<'_>,
    setting: &Setting,
    measured: Option<(&Kit, &str)>,
) -> Result<(Ran, Vec<Lower>), TaskError> {
    let job = cx.context();
    let plan = &job.order.plan;
    let (installed, recipe) = (bench.installed, &setting.recipe);
    let layout = pyti_discover::layout(bench.inspection, recipe, bench.files, &installed.facts.modules);
    let cwd = if layout.cwd.is_empty() {
        SOURCE.to_owned()
    } else {
        format!("{SOURCE}/{}", layout.cwd)
    };
    let mut arguments = layout.arguments.clone();
    if measured.is_some() && switches_off(setting) {
        arguments.push("--no-cov".to_owned());
    }
    let request = test::Request {
        recipe,
        arguments: &arguments,
        tree: SOURCE,
        subject_modules: &installed.facts.top_level,
        site_packages: &installed.site_packages,
    };
    let offer = Offer::of(plan, recipe);
    let unpack = unpack::Request {
        archive: bench.archive.to_owned(),
        destination: SOURCE.to_owned(),
        hide: layout.hide.clone(),
        graft: layout
            .graft
            .iter()
            .map(|(from, to)| (from.clone(), format!("{}/{to}", installed.site_packages)))
            .collect(),
        then: Some(Then {
            cwd,
            argv: offer.around(test::argv(&INVOCATION, &request)),
        }),
    };
    let argv = unpack::argv(&unpack, PROGRAM, RESULTS_FD);
    let environment = Environment {
        lower: setting.lower.clone(),
    };
    let mut command = commands::package(job, argv, install::lowers(installed, &environment));
    if let Some(seconds) = plan.overriding.as_ref().and_then(|entry| entry.timeout_s) {
        command.limits.wall_s = seconds;
        command.limits.cpu_s = command.limits.cpu_s.max(seconds);
    }
    for (name, value) in test::env().into_iter().chain(recipe.env.clone()) {
        if !plan.env.contains_key(&name) {
            commands::set(&mut command, &name, &value);
        }
    }
    command.binds.push(commands::bind(PROGRAM));
    command.binds.push(commands::bind(bench.archive));
    commands::add_probes(job, &mut command)?;
    // thousands of files that a database makes are told by no list
    command.filled.push(pyti_services::FOLDER.into());
    let done = match measured {
        None => job.observe(cx, &mut command, Phase::Test)?,
        Some((kit, data)) => {
            kit.equip(job, &mut command, data, &installed.facts.top_level)?;
            job.run(cx, &mut command)?
        }
    };
    // it may have been repeated: the last one counts
    let number = job.commands(cx).saturating_sub(1);
    job.leave(cx, &done, &command);
    let mut layers = vec![Lower::Layer(done.layer.clone())];
    layers.extend(command.lowers.iter().cloned());
    let (offered, results) = offer.came(&done.results);
    let (mut raw, loss) = test::parse(&results);
    job.lost(cx, loss);
    let effect = &done.effect;
    let said = end_of(&format!("{}\n{}", effect.stdout.text(), effect.stderr.text()));
    raw.recipe = recipe.clone();
    raw.services = offered;
    raw.source
        .clone_from(&plan.companion.as_ref().unwrap_or(&plan.target).filename);
    test::from_text(&mut raw, &said);
    let death = match (effect.limit, effect.exit) {
        (Some(_), _) => Death::Limit,
        (None, Exit::Signal(_)) => Death::Signal,
        (None, Exit::Code(_)) => Death::Exited,
    };
    let ran = Ran {
        raw,
        hidden: layout.hide,
        death,
        limit: effect.limit,
        bad_end: bad_end(effect),
        said,
        ports: services::ports(&done.trace),
        wall_s: effect.cost.wall_s,
        command: number,
    };
    Ok((ran, layers))
}

/// The last 64 KiB of a text.
fn end_of(text: &str) -> String {
    const MOST: usize = 64 << 10;
    let mut from = text.len().saturating_sub(MOST);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    text[from..].to_owned()
}

/// What lies in a tree.
pub(crate) struct Below {
    /// Its files, relative; folders that are links are not entered. Capped.
    pub(crate) files: Vec<String>,
    /// Its links, and where those that stay in the tree lead to.
    pub(crate) links: Vec<(String, String)>,
}

/// Looks through a tree.
pub(crate) fn below(root: &std::path::Path) -> Below {
    const CAP: usize = 200_000;
    const LINKS: usize = 1000;
    let (mut files, mut links) = (BTreeSet::new(), Vec::new());
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                folders.push(entry.path());
            } else if let Ok(relative) = entry.path().strip_prefix(root)
                && files.len() < CAP
            {
                let path = relative.to_string_lossy().into_owned();
                if kind.is_symlink()
                    && links.len() < LINKS
                    && let Ok(target) = std::fs::read_link(entry.path())
                    && let Some(target) = led_to(&path, &target.to_string_lossy())
                {
                    links.push((path.clone(), target));
                }
                files.insert(path);
            }
        }
    }
    Below {
        files: files.into_iter().collect(),
        links,
    }
}

/// The place in the tree that a link leads to, by its words alone.
fn led_to(link: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = link.split('/').collect();
    parts.pop();
    if target.starts_with('/') {
        return None;
    }
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_to_places_in_the_tree_or_nowhere() {
        assert_eq!(
            led_to("tests/data/a.css", "../../x/a.css").as_deref(),
            Some("x/a.css")
        );
        assert_eq!(led_to("a", "./b/../c").as_deref(), Some("c"));
        assert_eq!(led_to("a", "../b"), None);
        assert_eq!(led_to("a", "/etc/passwd"), None);
    }
}
