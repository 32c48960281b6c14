//! requires and build: the hooks of the build backend, each in a process and a layer of its own (PEP 517).

use std::io::{Read as _, Seek as _};

use pyti_archive::unpack::{self, Then};
use pyti_archive::{compare, compilers};
use pyti_box::protocol::{BlobPart, PROGRAM, PutBlob, SOURCE};
use pyti_graph::{Outcome, TaskError};
use pyti_model::distribution::is_plain_file_name;
use pyti_model::effect::Loss;
use pyti_model::event::Event;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::raw::{Build, BuiltWheel, Hook, Inspection, RawData, WheelComparison};
use pyti_probes::hook;
use pyti_sandbox::{Command, Done, Layer, RESULTS_FD};

use super::{
    Asked, BUILD_ENVIRONMENT, DYNAMIC_REQUIRES, Environment, FIRST_BUILD_ENVIRONMENT, INSPECTION, WHEEL,
    Wheel, older,
};
use crate::commands::{self, COMPILER_LOG};
use crate::job::{Cx, Ended, Job, bad_end, open_in_layer, read_in_layer, trouble};
use crate::observe::Phase;
use crate::written::digest;

/// Where the hooks put what they make.
pub(crate) const OUT: &str = "/home/dev/dist";
const PART: usize = 768 << 10;
const LOG_CAP: u64 = 16 << 20;

/// Asks the backend what it needs to build (`get_requires_for_build_wheel`).
pub(crate) fn requires(cx: &Cx<'_>, archive: &str) -> Ended {
    let inspection = cx.get(&INSPECTION)?;
    let environment = cx.get(&FIRST_BUILD_ENVIRONMENT)?;
    let (first, done) = ask(cx, archive, &inspection, &environment)?;
    let why = match first {
        Ok(requires) => {
            cx.put(
                &DYNAMIC_REQUIRES,
                Asked {
                    requires,
                    instead: None,
                },
            )?;
            return Ok(Outcome::success());
        }
        Err(why) => why,
    };
    let Some(older) = older::after(cx, &done, &inspection, &[])? else {
        return Ok(Outcome::failure(why));
    };
    match ask(cx, archive, &inspection, &older.environment)?.0 {
        Ok(requires) => {
            cx.put(
                &DYNAMIC_REQUIRES,
                Asked {
                    requires,
                    instead: Some((older.base, older.label.clone())),
                },
            )?;
            Ok(Outcome::warnings(older.label))
        }
        Err(_) => Ok(Outcome::failure(format!("{why}, also with an older setuptools"))),
    }
}

/// Asks in one environment; what it says, or in a few words why it says nothing.
fn ask(
    cx: &Cx<'_>,
    archive: &str,
    inspection: &Inspection,
    environment: &Environment,
) -> Result<(Result<Vec<Foreign>, String>, Done), TaskError> {
    let job = cx.context();
    let mut command = call(job, archive, inspection, environment, hook::Name::GetRequires)?;
    let done = job.observe(cx, &mut command, Phase::Build)?;
    job.leave(cx, &done, &command);
    let answer = hook::parse(&done.results);
    let raw = Hook {
        name: "get_requires_for_build_wheel".to_owned(),
        backend: inspection.build.backend.clone(),
        requires: answer.as_ref().map(|a| a.requires.clone()).unwrap_or_default(),
        present: answer.as_ref().is_ok_and(|a| a.present),
        error: answer.as_ref().ok().and_then(|a| a.error.clone()),
    };
    job.keep(cx, RawData::Hook(raw));
    let said = match (answer, bad_end(&done.effect)) {
        (Ok(answer), None) if answer.error.is_none() => Ok(answer.requires),
        (_, how) => Err(how.unwrap_or_else(|| "the backend does not say what it needs".to_owned())),
    };
    Ok((said, done))
}

/// Builds the wheel (`build_wheel`), with the compilers' calls recorded.
pub(crate) fn build(cx: &Cx<'_>, archive: &str) -> Ended {
    let job = cx.context();
    let inspection = cx.get(&INSPECTION)?;
    let environment = cx.get(&BUILD_ENVIRONMENT)?;
    let asked = cx.get(&DYNAMIC_REQUIRES)?;
    let mut done = build_in(cx, archive, &inspection, &environment)?;
    let mut label = asked.instead.as_ref().map(|(_, label)| label.clone());
    if asked.instead.is_none()
        && !made_something(&done)
        && let Some(older) = older::after(cx, &done, &inspection, &asked.requires)?
    {
        done = build_in(cx, archive, &inspection, &older.environment)?;
        label = Some(older.label);
    }
    let answer = hook::parse(&done.results);
    let log = read_in_layer(&done.layer, COMPILER_LOG, LOG_CAP)?.unwrap_or_default();
    let (compiler_calls, dropped) = compilers::parse(&log);
    job.lost(cx, (dropped > 0).then_some(Loss::Results { bytes: dropped }));
    let dropped_extension = compiler_calls.iter().any(|call| call.exit != 0);
    let mut raw = Build {
        backend: answer
            .as_ref()
            .ok()
            .and_then(|a| a.backend_version.clone())
            .unwrap_or_else(|| inspection.build.backend.clone()),
        wheel: None,
        error: answer.as_ref().ok().and_then(|a| a.error.clone()),
        compiler_calls,
        published: None,
    };
    let output = answer.ok().and_then(|a| a.output);
    let ended = bad_end(&done.effect);
    let (Some(output), None) = (output, &ended) else {
        job.keep(cx, RawData::Build(raw));
        return Ok(Outcome::failure(
            ended.unwrap_or_else(|| "the backend made no wheel".to_owned()),
        ));
    };
    let Some(wheel) = keep_wheel(cx, &done.layer, &output)? else {
        job.keep(cx, RawData::Build(raw));
        job.because(cx, Reason::new(ReasonCode::BuildNoWheel, output));
        return Ok(Outcome::failure(
            "the backend made no wheel of the name that it gave",
        ));
    };
    let facts = super::wheel::read(cx, &wheel)?;
    raw.wheel = Some(BuiltWheel {
        filename: Foreign::from(wheel.filename.as_str()),
        sha256: wheel.sha256.clone(),
        size: size_of(&wheel.path),
        files: facts
            .as_ref()
            .map_or(0, |f| u32::try_from(f.files_total).unwrap_or(u32::MAX)),
        extensions: facts.map(|f| f.extensions).unwrap_or_default(),
    });
    raw.published = compare_with_published(cx, &wheel)?;
    let differs = raw
        .published
        .as_ref()
        .is_some_and(|comparison| !comparison.is_same());
    job.keep(cx, RawData::Build(raw));
    cx.put(&WHEEL, wheel)?;
    if let Some(label) = label {
        return Ok(Outcome::warnings(label));
    }
    if dropped_extension {
        return Ok(Outcome::warnings("a compiler call failed and the build went on"));
    }
    if differs {
        return Ok(Outcome::warnings(
            "its files are not those of the published wheel",
        ));
    }
    Ok(Outcome::success())
}

fn build_in(
    cx: &Cx<'_>,
    archive: &str,
    inspection: &Inspection,
    environment: &Environment,
) -> Result<Done, TaskError> {
    let job = cx.context();
    let mut command = call(job, archive, inspection, environment, hook::Name::BuildWheel)?;
    commands::record_compilers(job, &mut command)?;
    let done = job.observe(cx, &mut command, Phase::Build)?;
    job.leave(cx, &done, &command);
    Ok(done)
}

fn made_something(done: &Done) -> bool {
    bad_end(&done.effect).is_none() && hook::parse(&done.results).is_ok_and(|answer| answer.output.is_some())
}

/// A command that unpacks the source into its own layer and calls a hook there. Unpacked anew for each command,
/// because renaming a folder of a lower layer fails.
fn call(
    job: &Job,
    archive: &str,
    inspection: &Inspection,
    environment: &Environment,
    name: hook::Name,
) -> Result<Command, TaskError> {
    let build = &inspection.build;
    let argv = hook::argv(
        &commands::INVOCATION,
        name,
        &build.backend,
        &build.backend_path,
        SOURCE,
        OUT,
    );
    let request = unpack::Request {
        archive: archive.to_owned(),
        destination: SOURCE.to_owned(),
        hide: Vec::new(),
        graft: Vec::new(),
        then: Some(Then {
            cwd: SOURCE.to_owned(),
            argv,
        }),
    };
    let argv = unpack::argv(&request, PROGRAM, RESULTS_FD);
    let mut command = commands::package(job, argv, vec![environment.lower.clone()]);
    command.binds.push(commands::bind(PROGRAM));
    command.binds.push(commands::bind(archive));
    commands::add_probes(job, &mut command)?;
    Ok(command)
}

/// Sends the wheel to the worker's store. `None` when there is no such file.
fn keep_wheel(cx: &Cx<'_>, layer: &Layer, output: &Foreign) -> Result<Option<Wheel>, TaskError> {
    let job = cx.context();
    let Some(filename) = output
        .as_str()
        .filter(|name| is_plain_file_name(name) && name.ends_with(".whl"))
    else {
        return Ok(None);
    };
    let Some(mut file) = open_in_layer(layer, &format!("{OUT}/{filename}"))? else {
        return Ok(None);
    };
    let sha256 = digest(&mut file)?;
    let mut part = vec![0; PART];
    file.rewind()?;
    let size = file.metadata()?.len();
    let mut offset = 0;
    let path = loop {
        let read = read_full(&mut file, &mut part)?;
        let last = offset + read as u64 >= size;
        let stored = job.peer.call::<PutBlob>(&BlobPart {
            name: Foreign::from(filename),
            sha256: sha256.clone(),
            offset,
            bytes: Foreign::new(&part[..read]),
            last,
        })?;
        offset += read as u64;
        if last {
            break stored
                .path
                .ok_or_else(|| trouble("the worker did not keep the wheel"))?;
        }
    };
    job.events.send(Event::Blob {
        task: cx.task().to_string(),
        name: Foreign::from(filename),
        sha256: sha256.clone(),
        size,
    });
    Ok(Some(Wheel {
        path,
        filename: filename.to_owned(),
        sha256,
    }))
}

fn compare_with_published(cx: &Cx<'_>, wheel: &Wheel) -> Result<Option<WheelComparison>, TaskError> {
    let job = cx.context();
    let (Some(path), Some(published)) = (&job.order.published, &job.order.plan.published) else {
        return Ok(None);
    };
    let argv = compare::argv(PROGRAM, &wheel.path, path, RESULTS_FD);
    let done: Done = job.run(cx, &mut commands::reading(job, argv, &[&wheel.path, path]))?;
    match compare::parse(&done.results) {
        Ok(compared) if compared.fatal.is_none() => {
            let mut comparison = compared.comparison;
            comparison.with.clone_from(&published.filename);
            Ok(Some(comparison))
        }
        // what cannot be compared is said by leaving it out; the build itself is as good as it was
        _ => Ok(None),
    }
}

fn size_of(path: &str) -> u64 {
    std::fs::metadata(path).map(|m| m.len()).unwrap_or_default()
}

fn read_full(file: &mut std::fs::File, part: &mut [u8]) -> std::io::Result<usize> {
    let mut read = 0;
    while read < part.len() {
        match file.read(&mut part[read..])? {
            0 => break,
            n => read += n,
        }
    }
    Ok(read)
}
