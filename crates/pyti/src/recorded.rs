//! What is read from recordings: `pyti report`, `pyti log`, `pyti get`.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use pyti_model::distribution::is_plain_file_name;
use pyti_model::event::{Envelope, Event};
use pyti_model::raw::RawData;
use pyti_worker::recording;
use pyti_worker::runs::{Run, Runs};

use crate::args::{GetArgs, LogArgs, ReportArgs};
use crate::output::{Look, Usage, print};
use crate::run::{Judged, env};
use crate::safety::Judge;

/// How the file of a recording ends.
const SUFFIX: &str = ".jsonl.zst";

/// A run with its jobs judged anew by today's rules.
pub(crate) struct Loaded {
    pub(crate) jobs: Vec<Judged>,
    pub(crate) names: Vec<String>,
    pub(crate) events: Vec<Vec<Envelope>>,
    /// Whether each is safe.
    pub(crate) found: Vec<pyti_model::finding::Judgement>,
}

/// All runs.
pub(crate) fn all() -> anyhow::Result<Runs> {
    Ok(Runs::new(pyti_worker::folders::Folders::find(&env)?.runs()?))
}

/// The jobs of a run by name, and where their recordings are.
pub(crate) fn recordings(run: &Run) -> anyhow::Result<Vec<(String, PathBuf)>> {
    let place = |name: &String| {
        if !is_plain_file_name(name) {
            bail!("run {} names a recording outside its folder", run.id);
        }
        let job = name.strip_suffix(SUFFIX).unwrap_or(name);
        Ok((job.to_owned(), run.recording(name)))
    };
    run.file.recordings.iter().map(place).collect()
}

/// Reads the recordings of a run and judges them, by the rules that are configured.
pub(crate) fn load(run: &Run) -> anyhow::Result<Loaded> {
    load_with(run, &Judge::configured()?)
}

/// The same by these rules.
pub(crate) fn load_with(run: &Run, judge: &Judge) -> anyhow::Result<Loaded> {
    let mut loaded = Loaded {
        jobs: Vec::new(),
        names: Vec::new(),
        events: Vec::new(),
        found: Vec::new(),
    };
    for (name, path) in recordings(run)? {
        let events = recording::read(&path)?;
        let job = pyti_judge::fold(events.iter().cloned());
        let judgement = pyti_judge::judge(&job);
        let baseline = run.file.baselines.get(&format!("{name}{SUFFIX}"));
        let baseline = baseline.filter(|name| is_plain_file_name(name));
        let baseline = baseline.and_then(|name| crate::safety::baseline(&run.recording(name)));
        loaded.found.push(judge.judge(&job, baseline.as_ref()));
        loaded.jobs.push((job, judgement));
        loaded.names.push(name);
        loaded.events.push(events);
    }
    Ok(loaded)
}

impl Loaded {
    /// What the reports show.
    pub(crate) fn view<'a>(&'a self, run: &'a Run) -> pyti_report::Run<'a> {
        pyti_report::Run {
            id: &run.id,
            name: &run.file.name,
            version: run.file.release.as_deref(),
            interpreter: &run.file.interpreter,
            python: &run.file.python,
            isolation: &run.file.isolation,
            jobs: self
                .jobs
                .iter()
                .zip(&self.found)
                .map(|((record, judgement), found)| {
                    pyti_report::Job::new(record, judgement).with(Some(found))
                })
                .collect(),
        }
    }
}

/// `pyti report`.
pub(crate) fn report(args: &ReportArgs, look: &Look) -> anyhow::Result<u8> {
    let run = all()?.find(&args.run)?;
    let loaded = load(&run)?;
    let view = loaded.view(&run);
    let text = if args.html {
        pyti_report::html(&view)
    } else if args.json {
        serde_json::to_string(&pyti_report::summary(
            &view,
            Some(&run.folder.display().to_string()),
        ))?
    } else if args.junit {
        pyti_report::junit(&view)?
    } else if args.markdown {
        pyti_report::markdown(&view)
    } else if args.sarif {
        pyti_report::sarif(&view)
    } else if args.stix {
        pyti_report::indicators(&view)
    } else if args.package_analysis {
        pyti_report::package_analysis(&view)
    } else if args.lcov {
        pyti_report::lcov(&view)?
    } else if args.cobertura {
        pyti_report::cobertura(&view)?
    } else if args.coverage_json {
        pyti_report::coverage_json(&view)?
    } else if args.csv {
        pyti_report::events_csv(&view)
    } else {
        pyti_report::terminal(&view, &look.report)
    };
    match &args.output {
        Some(path) => {
            std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        None => print(&text)?,
    }
    Ok(0)
}

/// `pyti log`.
pub(crate) fn log(args: &LogArgs) -> anyhow::Result<u8> {
    let run = all()?.find(&args.run)?;
    let loaded = load(&run)?;
    let wanted = args
        .task
        .as_deref()
        .map(|task| task.split_once('/').map_or((None, task), |(j, t)| (Some(j), t)));
    let mut text = String::new();
    for (name, (job, _)) in loaded.names.iter().zip(&loaded.jobs) {
        for task in &job.tasks {
            match wanted {
                None => text.push_str(&format!("{name}/{}\n", task.name)),
                Some((in_job, wanted)) if wanted == task.name && in_job.is_none_or(|j| j == name) => {
                    text.push_str(&said(task));
                }
                Some(_) => {}
            }
        }
    }
    if text.is_empty() {
        let task = args.task.as_deref().unwrap_or("");
        let text = if loaded.jobs.iter().all(|(job, _)| job.tasks.is_empty()) {
            format!("nothing ran in run {}", run.id)
        } else {
            format!(
                "run {0} has no output of a task {task}; `pyti log {0}` lists them",
                run.id
            )
        };
        return Err(Usage(text).into());
    }
    print(&text)?;
    Ok(0)
}

/// What the commands of a task were and said, made harmless to show.
fn said(task: &pyti_judge::TaskRecord) -> String {
    let mut text = String::new();
    for effect in &task.effects {
        let argv: Vec<_> = effect
            .effect
            .argv
            .iter()
            .map(pyti_model::Foreign::visible)
            .collect();
        text.push_str(&format!("$ {}\n", argv.join(" ")));
        for stream in [&effect.effect.stdout, &effect.effect.stderr] {
            let lines = pyti_model::Foreign::from(stream.text()).visible_lines();
            text.push_str(&lines);
            if !lines.is_empty() && !lines.ends_with('\n') {
                text.push('\n');
            }
        }
        text.push('\n');
    }
    text
}

/// All output of all tasks.
fn whole_log(loaded: &Loaded, wanted: Option<&str>) -> String {
    let mut text = String::new();
    for (name, (job, _)) in loaded.names.iter().zip(&loaded.jobs) {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        for task in job.tasks.iter().filter(|task| !task.effects.is_empty()) {
            let result = task
                .result
                .map_or_else(|| "did not end".to_owned(), |result| result.to_string());
            text.push_str(&format!("==== {name}/{}: {result}\n{}", task.name, said(task)));
        }
    }
    text
}

/// `pyti get`.
pub(crate) fn get(args: &GetArgs) -> anyhow::Result<u8> {
    let run = all()?.find(&args.run)?;
    let loaded = load(&run)?;
    let jobs = || {
        loaded
            .names
            .iter()
            .zip(&loaded.events)
            .filter(|(name, _)| args.job.as_ref().is_none_or(|job| job == *name))
    };
    match args.what.as_str() {
        "plan" => {
            let (_, events) = jobs()
                .next()
                .ok_or_else(|| Usage("there is no such job".to_owned()))?;
            let plan = frozen(events).ok_or_else(|| Usage("nothing was planned in this run".to_owned()))?;
            let text = pyti_resolve::planfile::render(&plan)?;
            match &args.output {
                Some(path) => std::fs::write(path, text)?,
                None => print(&text)?,
            }
        }
        "recording" => {
            let (name, _) = jobs()
                .next()
                .ok_or_else(|| Usage("there is no such job".to_owned()))?;
            let from = run.recording(&format!("{name}{SUFFIX}"));
            let to = args
                .output
                .clone()
                .unwrap_or_else(|| format!("{}-{name}{SUFFIX}", run.id).into());
            std::fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            print(&to.display().to_string())?;
        }
        "log" => {
            let text = whole_log(&loaded, args.job.as_deref());
            if text.is_empty() {
                return Err(Usage(format!("nothing ran in run {}", run.id)).into());
            }
            let to = args
                .output
                .clone()
                .unwrap_or_else(|| format!("{}.log", run.id).into());
            std::fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
            print(&to.display().to_string())?;
        }
        _ => {
            let blob = jobs()
                .flat_map(|(_, events)| events)
                .find_map(|envelope| match &envelope.event {
                    Event::Blob { name, sha256, .. } => Some((name.clone(), sha256.clone())),
                    _ => None,
                });
            let (name, sha256) =
                blob.ok_or_else(|| Usage(format!("no wheel was built in run {}", run.id)))?;
            let files = pyti_worker::folders::Folders::find(&env)?.files()?;
            let store = pyti_index::FileStore::open(&files)?;
            let from = store
                .get(&sha256)
                .context("the wheel is not in the cache any more")?;
            let to = args.output.clone().unwrap_or_else(|| name.visible().into());
            std::fs::copy(&from, &to).with_context(|| format!("cannot write {}", to.display()))?;
            print(&to.display().to_string())?;
        }
    }
    Ok(0)
}

/// The plan of a recording with the locks that were found while it ran: nothing is resolved again from it.
pub(crate) fn frozen(events: &[Envelope]) -> Option<pyti_model::plan::Plan> {
    let mut plan = None;
    for envelope in events {
        match &envelope.event {
            Event::Began { plan: began, .. } => plan = Some((**began).clone()),
            Event::Locked { purpose, lock } => {
                if let Some(plan) = plan.as_mut() {
                    plan.locks.insert(*purpose, (**lock).clone());
                }
            }
            // the recipe that gave the result is the only one that is tried again
            Event::Ended {
                raw: Some(RawData::Test(test)),
                ..
            } => {
                if let Some(plan) = plan.as_mut() {
                    plan.recipe = Some(test.recipe.clone());
                }
            }
            _ => {}
        }
    }
    plan
}
