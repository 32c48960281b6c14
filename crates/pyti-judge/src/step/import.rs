//! Imports: which modules count, and why one could not be imported.

use pyti_model::outcome::{Blame, Reason, ReasonCode, Status};
use pyti_model::raw::{ImportOutcome, ModuleImport, PythonError, RawData};

use super::{End, Finding, dead, first_status, merge};
use crate::catalog::status_of;
use crate::cause;
use crate::patterns::{Place, shorten};
use crate::record::{JobRecord, TaskRecord};

/// The signal that cannot be caught.
const SIGKILL: i32 = 9;

/// Whether a top-level module looks as if nobody had to import it: private by its underscore, tests, examples.
fn is_optional(module: &str) -> bool {
    const BESIDE: &[&str] = &[
        "test",
        "tests",
        "testing",
        "conftest",
        "examples",
        "example",
        "docs",
        "doc",
        "benchmarks",
        "benchmark",
        "setup",
        "tasks",
        "noxfile",
        "scripts",
        "tools",
    ];
    module.starts_with('_') || BESIDE.contains(&module)
}

/// Whether a module could not be imported because a distribution is missing that an extra of its own requires.
fn wants_an_extra(job: &JobRecord, module: &ModuleImport) -> bool {
    let ImportOutcome::Raised { error } = &module.outcome else {
        return false;
    };
    let (Some(missing), Some(RawData::Metadata(metadata))) = (cause::missing_in(error), job.raw("metadata"))
    else {
        return false;
    };
    let normal = |name: &str| name.replace(['_', '.'], "-").to_lowercase();
    let wanted = normal(missing.split('.').next().unwrap_or_default());
    metadata.requires_dist.iter().any(|line| {
        let line = line.lossy();
        let name = line
            .split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_' | '.')))
            .next();
        let marker = line.split_once(';').map_or("", |(_, marker)| marker);
        name.is_some_and(|name| normal(name) == wanted) && marker.contains("extra")
    })
}

pub(super) fn import(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
    let Some(RawData::Import(raw)) = &task.raw else {
        let dead = dead(task);
        if failed || !dead.is_empty() {
            return without_modules(dead);
        }
        return Finding {
            end: End::Empty,
            ..Finding::held()
        };
    };
    if raw.modules.is_empty() {
        let dead = dead(task);
        if !dead.is_empty() || failed {
            return without_modules(dead);
        }
        return Finding {
            end: End::Empty,
            ..Finding::held()
        };
    }
    let good = |module: &&ModuleImport| matches!(module.outcome, ImportOutcome::Imported);
    let tops: Vec<_> = raw.modules.iter().filter(|module| module.top_level).collect();
    let all_optional = tops.iter().all(|module| is_optional(&module.module.lossy()));
    // a module that only an extra makes usable is no promise to who did not ask for the extra
    let all_of_extras = tops.iter().all(|module| wants_an_extra(job, module));
    let needed = |module: &ModuleImport| {
        module.top_level
            && (all_optional || !is_optional(&module.module.lossy()))
            && (all_of_extras || !wants_an_extra(job, module))
    };
    let bad: Vec<_> = raw.modules.iter().filter(|m| needed(m) && !good(m)).collect();
    if bad.is_empty() {
        let mut finding = Finding::held();
        let other: Vec<_> = raw.modules.iter().filter(|m| !good(m)).collect();
        // Crashes of modules are contained: where the command itself ended badly, modules may be missing.
        let dead = dead(task);
        let ended_badly = task.deciding().is_some_and(|e| !e.effect.exit.is_success());
        if !dead.is_empty() || failed && (ended_badly || other.is_empty()) {
            return without_modules(dead);
        }
        if !other.is_empty() {
            let names: Vec<_> = other.iter().take(3).map(|m| m.module.lossy()).collect();
            let more = if other.len() > names.len() { ", …" } else { "" };
            let detail = format!(
                "{} of {} modules: {}{more}",
                other.len(),
                raw.modules.len(),
                names.join(", ")
            );
            finding
                .reasons
                .push(Reason::new(ReasonCode::ImportError, shorten(&detail, 300)));
        }
        return finding;
    }
    let mut reasons: Vec<Reason> = Vec::new();
    let mut statuses = Vec::new();
    for module in bad {
        let of_module = why_not_imported(job, task, module);
        statuses.push(first_status(&of_module));
        for reason in of_module {
            if reasons.len() < 20 && !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
    }
    let worst = [Status::Crash, Status::Killed, Status::Fail]
        .into_iter()
        .find(|s| statuses.contains(s));
    let status = worst.unwrap_or(Status::Na);
    // What gives the status stands first.
    reasons.sort_by_key(|r| status_of(r.code) != Some(status));
    let mut finding = Finding::failed(reasons, Reason::new(ReasonCode::ImportError, ""));
    finding.end = End::Failed(status);
    finding
}

fn why_not_imported(job: &JobRecord, task: &TaskRecord, module: &ModuleImport) -> Vec<Reason> {
    let name = module.module.lossy();
    match &module.outcome {
        ImportOutcome::Imported => Vec::new(),
        ImportOutcome::Exited { code } => {
            vec![Reason::new(
                ReasonCode::ImportError,
                format!("{name}: exits with code {code}").as_str(),
            )]
        }
        // the kernel ends whoever asks for more than the limit, and the probe outlives its child
        ImportOutcome::Crashed { signal: SIGKILL } if limit_of(task).is_some() => {
            limit_of(task).into_iter().collect()
        }
        ImportOutcome::Crashed { signal } => {
            let from = task
                .last_effects()
                .rev()
                .find(|e| cause::output(&e.effect).contains("Fatal Python error"));
            let said = from.map(|e| cause::output(&e.effect)).unwrap_or_default();
            let mut reason = cause::crash_reason(*signal, &said);
            reason.detail = format!("{name}: {}", reason.detail.lossy()).into();
            reason.evidence.extend(from.map(|e| e.seq));
            vec![reason]
        }
        ImportOutcome::Killed => {
            let late = || Reason::new(ReasonCode::TimeLimit, module.module.clone());
            vec![limit_of(task).unwrap_or_else(late)]
        }
        ImportOutcome::Raised { error } => raised(job, &name, error),
    }
}

/// The limit that a command of the task ran into.
fn limit_of(task: &TaskRecord) -> Option<Reason> {
    task.last_effects()
        .filter(|e| e.effect.limit.is_some())
        .find_map(cause::death)
}

fn raised(job: &JobRecord, module: &str, error: &PythonError) -> Vec<Reason> {
    let text = cause::error_text(error);
    let blame = cause::blamed(job, &error.traceback.lossy()).unwrap_or(Blame::Package);
    let own = Reason::new(
        ReasonCode::ImportError,
        format!("{module}: {}", cause::error_line(error)).as_str(),
    );
    let mut reasons = Vec::new();
    if error.message.lossy().starts_with("[Errno 28]") {
        // The probe caught the exception, so the command itself ended well.
        reasons.push(Reason::new(ReasonCode::DiskLimit, module));
    }
    if let Some(missing) = cause::missing_in(error) {
        reasons.push(cause::missing_module(job, &missing, Place::IMPORT, None));
    }
    let refined = cause::texts(&text, Place::IMPORT);
    // Python 2 in a dependency says nothing about this package.
    merge(
        &mut reasons,
        refined
            .into_iter()
            .filter(|r| r.code != ReasonCode::Python2Only || blame == Blame::Package),
    );
    merge(&mut reasons, [own]);
    for reason in &mut reasons {
        if reason.blame == Blame::Package {
            reason.blame = blame;
        }
    }
    reasons
}

/// A failed task whose modules do not say why.
fn without_modules(dead: Vec<Reason>) -> Finding {
    let end = End::Failed(first_status(&dead));
    Finding {
        end,
        ..Finding::failed(dead, Reason::new(ReasonCode::ImportError, ""))
    }
}
