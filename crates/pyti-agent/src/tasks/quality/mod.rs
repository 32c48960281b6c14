//! quality: the distribution's files are read, by ourselves and by linters. Nothing of it runs.

mod lint;
mod readme;

use pyti_archive::unpack::{self, Then};
use pyti_archive::wheel::WheelFacts;
use pyti_box::protocol::PROGRAM;
use pyti_discover::survey::{self, Survey};
use pyti_graph::{Outcome, TaskError};
use pyti_model::outcome::Reason;
use pyti_model::quality::{EntryPoint, Quality, WheelContents};
use pyti_model::raw::RawData;
use pyti_sandbox::{Layer, RESULTS_FD};

use super::{FACTS, RUNTIME_ENVIRONMENT, TREE, WHEEL};
use crate::commands::reading;
use crate::job::{Cx, Ended, bad_end};

/// Where the wheel lies in these boxes, as an installer would put it.
const UNPACKED: &str = "/home/dev/wheel";
/// Files of the wheel that are listed.
const FILES: usize = 5_000;

/// Reads the wheel, and asks the linters.
pub(crate) fn quality(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let facts = cx.get(&FACTS)?;
    cx.progress("reading its files");
    let (survey, unpacked) = match read(cx)? {
        Ok(read) => read,
        Err(how) => {
            return Ok(Outcome::failure(format!("its files cannot be read: {how}")));
        }
    };
    let mut quality = Quality {
        wheel: contents(&facts, &survey),
        imports: survey.imports,
        providers: survey.providers,
        types: survey.types,
        limited: survey.limited,
        code_lines: survey.code_lines,
        ..Quality::default()
    };
    if cx.try_get(&RUNTIME_ENVIRONMENT)?.is_none() {
        quality
            .missing
            .push("what gives which import: its requirements were not installed".to_owned());
    }
    let mut without = Vec::new();
    if quality.code_lines > 0 {
        let tree = cx.try_get(&TREE)?;
        without.extend(lint::ruff(cx, &mut quality, &unpacked, tree.as_deref())?);
        if job.order.plan.pylint {
            without.extend(lint::pylint(cx, &mut quality, &unpacked)?);
        }
    }
    without.extend(readme::render(cx, &mut quality, &facts)?);
    job.keep(cx, RawData::Quality(Box::new(quality)));
    let Some(first) = without.first().cloned() else {
        return Ok(Outcome::success());
    };
    for reason in without {
        job.because(cx, reason);
    }
    Ok(Outcome::warnings(format!(
        "not everything could be looked at: {}",
        first.code.meaning()
    )))
}

/// The wheel, unpacked and surveyed; or how that ended.
fn read(cx: &Cx<'_>) -> Result<Result<(Survey, Layer), String>, TaskError> {
    let job = cx.context();
    let wheel = cx.get(&WHEEL)?;
    let request = unpack::Request {
        archive: wheel.path.clone(),
        destination: UNPACKED.to_owned(),
        hide: Vec::new(),
        graft: Vec::new(),
        then: Some(Then {
            cwd: UNPACKED.to_owned(),
            argv: survey::argv(PROGRAM, UNPACKED, &job.site_packages(), RESULTS_FD),
        }),
    };
    let argv = unpack::argv(&request, PROGRAM, RESULTS_FD);
    let mut command = reading(job, argv, &[&wheel.path]);
    // a distribution whose requirements cannot be had is read all the same
    if let Some(environment) = cx.try_get(&RUNTIME_ENVIRONMENT)? {
        command.lowers.push(environment.lower.clone());
    }
    let done = job.run(cx, &mut command)?;
    if let Some(how) = bad_end(&done.effect) {
        return Ok(Err(how));
    }
    Ok(match survey::parse(&done.results) {
        Ok(survey) => Ok((survey, done.layer)),
        Err(error) => Err(error.to_string()),
    })
}

/// What is kept of the facts that the task `metadata` read.
fn contents(facts: &WheelFacts, survey: &Survey) -> WheelContents {
    WheelContents {
        filename: facts.filename.clone(),
        files: facts
            .files
            .iter()
            .take(FILES)
            .map(|file| (file.path.clone(), file.size))
            .collect(),
        files_total: facts.files_total,
        metadata: facts.fields.clone(),
        description_bytes: facts.description_bytes,
        tags: facts.tags.clone(),
        root_is_purelib: facts.root_is_purelib,
        generator: facts.generator.clone(),
        entry_points: facts
            .entry_points
            .iter()
            .map(|(group, name, target)| {
                let object = target.lossy();
                let object = object.split('[').next().unwrap_or_default().trim();
                EntryPoint {
                    group: group.clone(),
                    name: name.clone(),
                    target: target.clone(),
                    defined: survey.points.get(object).copied().flatten(),
                }
            })
            .collect(),
        top_level: facts.top_level.clone(),
        modules: facts.modules.clone(),
        extensions: facts.extensions.clone(),
        problems: facts.problems.clone(),
        dates: facts.dates.clone(),
    }
}

/// Says in the raw data what is missing, and gives the reasons for the task.
fn lacking(quality: &mut Quality, what: &str, reasons: Vec<Reason>) -> Vec<Reason> {
    let why = reasons
        .first()
        .map_or_else(|| "nothing says why".to_owned(), |reason| reason.detail.visible());
    quality.missing.push(format!("{what}: {why}"));
    reasons
}
