//! lock-runtime, lock-test and test: the distribution's own tests, against the installed distribution.

use std::collections::BTreeSet;

use pyti_archive::unpack::{self, Then};
use pyti_archive::wheel::WheelFacts;
use pyti_box::protocol::{Offered, PROGRAM, SOURCE, VENV};
use pyti_graph::Outcome;
use pyti_model::FileKind;
use pyti_model::event::Event;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::plan::Purpose;
use pyti_model::raw::{RawData, Recipe};
use pyti_probes::{Invocation, test};
use pyti_resolve::lock::{IndexLock, LockedPackage};
use pyti_resolve::requirements;
use pyti_sandbox::RESULTS_FD;

use super::lock::{Unlocked, Wish, conclude, lock, lock_and_put};
use super::wheel::normal;
use super::{
    FACTS, INSPECTION, INSTALLED, RUNTIME_LOCK, TEST_ENVIRONMENT, TEST_LOCK, TREE, WHEEL, Wheel, install,
};
use crate::commands::{self, PROBES};
use crate::job::{Cx, Ended, bad_end};

/// Locks what the distribution needs to be used.
pub(crate) fn lock_runtime(cx: &Cx<'_>) -> Ended {
    let plan = &cx.context().order.plan;
    let (offered, without) = subject(cx)?;
    let wish = Wish {
        purpose: Purpose::Runtime,
        requirements: requirements::runtime_set(&offered.name, &offered.version, &plan.extras),
        constraints: Vec::new(),
        offered: vec![offered],
        without,
    };
    lock_and_put(cx, &wish, &RUNTIME_LOCK)
}

/// Locks what its tests need, with the runtime's versions where that can be.
pub(crate) fn lock_test(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let plan = &job.order.plan;
    let inspection = cx.get(&INSPECTION)?;
    let Some(recipe) = inspection.recipes.first() else {
        job.because(cx, Reason::new(ReasonCode::NoTests, ""));
        return Ok(Outcome::skipped("there are no tests"));
    };
    let runtime = cx.get(&RUNTIME_LOCK)?;
    let (offered, without) = subject(cx)?;
    let facts = cx.get(&FACTS)?;
    let mut with_extras = recipe.clone();
    with_extras.extras.extend(plan.extras.iter().cloned());
    let (wanted, constraints) =
        requirements::test_set(&facts.metadata, &with_extras, &index_lock(&runtime.packages));
    let mut wish = Wish {
        purpose: Purpose::Test,
        requirements: wanted,
        constraints,
        offered: vec![offered],
        without,
    };
    match lock(cx, &wish)? {
        (Ok(locked), raw) => {
            job.keep(cx, RawData::Resolve(raw));
            cx.put(&TEST_LOCK, locked)?;
            Ok(Outcome::success())
        }
        (Err(Unlocked::Impossible(_)), _) if !wish.constraints.is_empty() => {
            // the tests want other versions than the runtime's: again, with only the subject pinned
            wish.constraints.clear();
            match lock(cx, &wish)? {
                (Ok(locked), raw) => {
                    job.keep(cx, RawData::Resolve(raw));
                    job.because(cx, Reason::new(ReasonCode::TestEnvDiffers, ""));
                    cx.put(&TEST_LOCK, locked)?;
                    Ok(Outcome::warnings(
                        "its tests need other versions than its users get",
                    ))
                }
                (Err(unlocked), raw) => Ok(conclude(cx, raw, unlocked)),
            }
        }
        (Err(unlocked), raw) => Ok(conclude(cx, raw, unlocked)),
    }
}

/// Runs the tests by the best recipe.
pub(crate) fn test(cx: &Cx<'_>, archive: &str) -> Ended {
    let job = cx.context();
    let plan = &job.order.plan;
    let inspection = cx.get(&INSPECTION)?;
    let tree = cx.get(&TREE)?;
    let installed = cx.get(&INSTALLED)?;
    let environment = cx.get(&TEST_ENVIRONMENT)?;
    let Some(recipe) = inspection.recipes.first() else {
        return Ok(Outcome::skipped("there are no tests"));
    };
    let files = files_below(&tree.path().join(SOURCE.trim_start_matches('/')));
    let layout = pyti_discover::layout(&inspection, recipe, &files, &installed.facts.modules);
    let python = format!("{VENV}/bin/python");
    let invocation = Invocation {
        python: &python,
        probes: PROBES,
        results_fd: RESULTS_FD,
    };
    let cwd = if layout.cwd.is_empty() {
        SOURCE.to_owned()
    } else {
        format!("{SOURCE}/{}", layout.cwd)
    };
    let request = test::Request {
        recipe,
        arguments: &layout.arguments,
        tree: SOURCE,
        subject_modules: &installed.facts.top_level,
        site_packages: &installed.site_packages,
    };
    let unpack = unpack::Request {
        archive: archive.to_owned(),
        destination: SOURCE.to_owned(),
        hide: layout.hide.clone(),
        graft: layout
            .graft
            .iter()
            .map(|(from, to)| (from.clone(), format!("{}/{to}", installed.site_packages)))
            .collect(),
        then: Some(Then {
            cwd,
            argv: test::argv(&invocation, &request),
        }),
    };
    let argv = unpack::argv(&unpack, PROGRAM, RESULTS_FD);
    let mut command = commands::package(job, argv, install::lowers(&installed, &environment));
    for (name, value) in test::env() {
        if !plan.env.contains_key(&name) {
            commands::set(&mut command, &name, &value);
        }
    }
    command.binds.push(commands::bind(PROGRAM));
    command.binds.push(commands::bind(archive));
    commands::add_probes(job, &mut command)?;
    let done = job.run(cx, &mut command)?;
    job.leave(cx, &done, &command);
    let (mut raw, loss) = test::parse(&done.results);
    if let Some(what) = loss {
        job.events.send(Event::Lost {
            task: Some(cx.task().to_string()),
            what,
        });
    }
    raw.recipe = Recipe::clone(recipe);
    raw.source
        .clone_from(&plan.companion.as_ref().unwrap_or(&plan.target).filename);
    let (counts, finished) = (raw.counts, raw.finished);
    job.keep(cx, RawData::Test(Box::new(raw)));
    if let Some(limit) = done.effect.limit {
        return Ok(Outcome::failure(
            format!("ended by a limit: {limit:?}").to_lowercase(),
        ));
    }
    if counts.failed + counts.errors > 0 {
        return Ok(Outcome::failure(format!(
            "{} failed, {} errors",
            counts.failed, counts.errors
        )));
    }
    if !finished {
        let how = bad_end(&done.effect).unwrap_or_else(|| "it ended before it had finished".to_owned());
        return Ok(Outcome::failure(how));
    }
    if counts.executed() == 0 {
        job.because(cx, Reason::new(ReasonCode::NoTests, "the runner found none"));
        return Ok(Outcome::warnings("no test was run"));
    }
    if bad_end(&done.effect).is_some() {
        return Ok(Outcome::failure("the runner says that it failed"));
    }
    Ok(Outcome::success())
}

/// The runtime's packages as the constraints are made from.
fn index_lock(packages: &[(String, String)]) -> IndexLock {
    let package = |(name, version): &(String, String)| LockedPackage {
        name: name.clone(),
        version: version.clone(),
        filename: String::new(),
        url: None,
        sha256: None,
        is_placeholder: false,
        marker: None,
    };
    IndexLock {
        packages: packages.iter().map(package).collect(),
    }
}

/// The distribution under test as the lens shall show it, and its name.
fn subject(cx: &Cx<'_>) -> Result<(Offered, Vec<String>), pyti_graph::TaskError> {
    let plan = &cx.context().order.plan;
    let wheel: std::sync::Arc<Wheel> = cx.get(&WHEEL)?;
    let facts: std::sync::Arc<WheelFacts> = cx.get(&FACTS)?;
    let target = &plan.target;
    let (name, version) = if target.kind == FileKind::Folder {
        // the name of a folder is no claim: it is called what its build says
        let metadata = &facts.metadata;
        (
            normal(&metadata.name.lossy()),
            metadata.version.lossy().trim().to_owned(),
        )
    } else {
        (target.project.clone(), target.version.clone())
    };
    let without = vec![name.clone()];
    let offered = Offered {
        name,
        version,
        filename: wheel.filename.clone(),
        metadata: facts.metadata_bytes.clone(),
        sha256: wheel.sha256.clone(),
    };
    Ok((offered, without))
}

/// Files of a tree, relative; folders that are links are not entered. Capped.
fn files_below(root: &std::path::Path) -> Vec<String> {
    const CAP: usize = 200_000;
    let mut files = BTreeSet::new();
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
                files.insert(relative.to_string_lossy().into_owned());
            }
        }
    }
    files.into_iter().collect()
}
