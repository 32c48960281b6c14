//! What is shown of a run, between the recording's types and the forms that show it.

use pyti_judge::TaskRecord;
use pyti_model::FileKind;
use pyti_model::effect::Loss;
use pyti_model::outcome::{Reason, Status, TaskResult, Verdict};
use pyti_model::raw::{RawData, TestCounts};

use crate::sentences::{self, shown_str};
use crate::words::{count, number};
use crate::{Job, Run, findings, telling};

/// One line about one task, or about several that are shown folded.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) result: TaskResult,
    pub(crate) sentence: String,
    /// Telling lines, for what went wrong.
    pub(crate) lines: Vec<String>,
    pub(crate) wall_s: f64,
}

/// One file's job.
#[derive(Debug, Clone)]
pub(crate) struct FileView<'a> {
    pub(crate) job: Job<'a>,
    pub(crate) filename: String,
    pub(crate) rows: Vec<Row>,
}

/// What a job's recording lost: of itself, of its tasks, of what their processes did.
pub(crate) fn losses(job: Job<'_>) -> impl Iterator<Item = &Loss> {
    let record = job.record;
    let tasks = record.tasks.iter().flat_map(|task| {
        let traces = task.traces.iter().flat_map(|traced| &traced.trace.losses);
        task.losses.iter().chain(traces)
    });
    record.losses.iter().chain(tasks)
}

/// The word of a kind.
pub(crate) fn kind_word(kind: Option<FileKind>) -> &'static str {
    match kind {
        Some(FileKind::Wheel) => "wheel",
        Some(FileKind::Folder) => "folder",
        // a recording that never told its file
        Some(FileKind::Sdist) | None => "sdist",
    }
}

/// Kind of a job's file.
pub(crate) fn kind(job: Job<'_>) -> Option<FileKind> {
    job.record.file.as_ref().map(|file| file.kind)
}

/// The job that a user would meet: the wheel's, else the first.
pub(crate) fn headline<'a>(run: &Run<'a>) -> Option<Job<'a>> {
    run.jobs
        .iter()
        .copied()
        .find(|job| kind(*job) == Some(FileKind::Wheel))
        .or_else(|| run.jobs.first().copied())
}

/// Counts of a job's tests, where tests were run.
pub(crate) fn tests(job: Job<'_>) -> Option<&TestCounts> {
    job.record.test().map(|test| &test.counts)
}

/// Status and reasons of the headline job.
pub(crate) fn outcome<'a>(run: &Run<'a>) -> (Status, &'a [Reason]) {
    headline(run).map_or((Status::Error, &[]), |job| {
        (
            job.judgement.outcome.status,
            job.judgement.outcome.reasons.as_slice(),
        )
    })
}

/// The worst verdict of all jobs.
pub(crate) fn verdict(run: &Run<'_>) -> Verdict {
    run.jobs
        .iter()
        .map(findings::verdict)
        .max_by_key(|verdict| weight(*verdict))
        .unwrap_or_default()
}

fn weight(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::NotJudged => 0,
        Verdict::Clean => 1,
        Verdict::Notable => 2,
        Verdict::Inconclusive => 3,
        Verdict::Suspicious => 4,
        Verdict::Harmful => 5,
    }
}

/// What a verdict says.
pub(crate) fn verdict_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "not judged",
        Verdict::Clean => "clean: nothing beyond the baseline",
        Verdict::Notable => "notable: something worth knowing",
        Verdict::Suspicious => "suspicious: look at it before use",
        Verdict::Harmful => "harmful: harm was attempted",
        Verdict::Inconclusive => "inconclusive: the recording cannot tell",
    }
}

/// A task's result and reasons as the judgement has them, else as recorded.
pub(crate) fn judged<'a>(job: Job<'a>, task: &'a TaskRecord) -> (TaskResult, &'a [Reason]) {
    job.judgement.task(&task.name).unwrap_or((
        task.result.unwrap_or(TaskResult::Exception),
        task.reasons.as_slice(),
    ))
}

/// Whether a task is only shown when there is something to tell: preparation, and reading without running.
pub(crate) fn is_quiet(task: &TaskRecord) -> bool {
    task.preparation || matches!(task.name.as_str(), "metadata" | "inspect")
}

fn is_calm(result: TaskResult) -> bool {
    matches!(
        result,
        TaskResult::Success | TaskResult::Skipped | TaskResult::Cancelled
    )
}

/// The line of one task.
pub(crate) fn row(task: &TaskRecord, judged: (TaskResult, &[Reason])) -> Row {
    let (result, reasons) = judged;
    let bad = matches!(result, TaskResult::Failure | TaskResult::Exception);
    let sentence = sentences::task(task, result, reasons);
    let mut lines = if bad { telling::lines(task) } else { Vec::new() };
    lines.retain(|line| !sentence.contains(line.as_str()));
    Row {
        name: shown_str(&task.name),
        result,
        sentence,
        lines,
        wall_s: task.wall_s,
    }
}

/// All jobs of a run, with their lines.
pub(crate) fn files<'a>(run: &Run<'a>) -> Vec<FileView<'a>> {
    let beside_wheel = run.jobs.iter().any(|job| kind(*job) == Some(FileKind::Wheel));
    run.jobs
        .iter()
        .map(|job| {
            let kind = kind(*job);
            let fold = beside_wheel && kind != Some(FileKind::Wheel);
            FileView {
                job: *job,
                filename: filename(*job),
                rows: rows(*job, fold),
            }
        })
        .collect()
}

/// Name of a job's file.
pub(crate) fn filename(job: Job<'_>) -> String {
    job.record
        .file
        .as_ref()
        .map_or_else(|| "no file".to_owned(), |file| shown_str(&file.filename))
}

/// The lines of one job. `fold`: what only repeats the wheel's job is told in one line.
pub(crate) fn rows(job: Job<'_>, fold: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut resolved = false;
    let alike = fold
        && job
            .record
            .tasks
            .iter()
            .filter(|t| is_alike(t))
            .all(|t| judged(job, t).0 == TaskResult::Success);
    let mut folded = false;
    for task in &job.record.tasks {
        let judged = judged(job, task);
        if is_quiet(task) && is_calm(judged.0) {
            if task.preparation && !resolved && is_lock(task) && judged.0 == TaskResult::Success {
                resolved = true;
                rows.push(resolve_row(job));
            }
            continue;
        }
        if alike && is_alike(task) {
            if !folded {
                folded = true;
                rows.push(alike_row(job));
            }
            continue;
        }
        let new = row(task, judged);
        match rows.last_mut() {
            // tasks that one cause kept from running are told together
            Some(last) if last.result == TaskResult::Skipped && new.result == TaskResult::Skipped => {
                last.sentence.push_str(if last.sentence.contains(" · nor ") {
                    ", "
                } else {
                    " · nor "
                });
                last.sentence.push_str(&new.name);
            }
            _ => rows.push(new),
        }
    }
    rows
}

fn is_alike(task: &TaskRecord) -> bool {
    matches!(task.name.as_str(), "install" | "start" | "import")
}

fn is_lock(task: &TaskRecord) -> bool {
    task.name.starts_with("lock-")
}

/// Locks and environments that went well, folded.
fn resolve_row(job: Job<'_>) -> Row {
    let (mut locks, mut packages, mut fetched, mut built) = (0, 0, 0, 0);
    let mut wall_s = 0.0;
    let mut environments = (0, 0);
    for task in job
        .record
        .tasks
        .iter()
        .filter(|task| task.preparation && judged(job, task).0 == TaskResult::Success)
    {
        match &task.raw {
            Some(RawData::Resolve(x)) => {
                locks += 1;
                packages += x.locked.len() as u64;
                fetched += u64::from(x.fetched);
                built += u64::from(x.built);
            }
            Some(RawData::Provide(x)) => {
                environments.0 += 1;
                environments.1 += u64::from(x.cached);
            }
            _ => {}
        }
        wall_s += task.wall_s;
    }
    let mut parts = vec![count(locks, "lock"), count(packages, "package")];
    if packages > 0 {
        parts.push(match (fetched, built) {
            (0, 0) => "all cached".to_owned(),
            (fetched, 0) => format!("{} fetched", number(fetched)),
            (0, built) => format!("{} built here", number(built)),
            (fetched, built) => format!("{} fetched, {} built here", number(fetched), number(built)),
        });
    }
    let mut sentence = parts.join(", ");
    if environments.0 > 0 && environments.0 == environments.1 {
        sentence.push_str(" · environments cached");
    }
    Row {
        name: "resolve".into(),
        result: TaskResult::Success,
        sentence,
        lines: Vec::new(),
        wall_s,
    }
}

/// Install, start and import of an sdist that did as well as the wheel's, folded.
fn alike_row(job: Job<'_>) -> Row {
    let mut parts = Vec::new();
    if let Some(install) = job.record.install() {
        parts.push(count(install.files.into(), "file"));
        if !install.outside.is_empty() {
            parts.push(format!(
                "{} outside site-packages",
                count(install.outside.len() as u64, "path")
            ));
        }
    }
    if let Some(RawData::Start(start)) = job.record.raw("start") {
        parts.push(if start.is_unchanged() {
            "start-up unchanged".to_owned()
        } else {
            sentences::start(start)
        });
    }
    if let Some(import) = job.record.import() {
        parts.push(format!(
            "imports {}",
            count(import.modules.len() as u64, "module")
        ));
    }
    let wall_s = job
        .record
        .tasks
        .iter()
        .filter(|task| is_alike(task))
        .map(|task| task.wall_s)
        .sum();
    Row {
        name: "install".into(),
        result: TaskResult::Success,
        sentence: parts.join(" · "),
        lines: Vec::new(),
        wall_s,
    }
}
