//! What one task came to, seen for itself.

use pyti_model::outcome::{Blame, Reason, ReasonCode, Status, TaskResult};
use pyti_model::raw::{ImportOutcome, ModuleImport, PythonError, RawData, Test, TestOutcome};
use pyti_model::{FileKind, Foreign};

use crate::catalog::status_of;
use crate::cause;
use crate::patterns::{Place, shorten};
use crate::record::{JobRecord, TaskRecord};

/// What a task stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Unpack,
    Inspect,
    Resolve,
    Environment,
    Hook,
    Build,
    Metadata,
    Install,
    Start,
    Import,
    Test,
    /// What tests need beside the distribution itself: without it there are no tests, and no more than that.
    TestSide,
    /// A task that no claim rests on.
    Beside,
}

impl Role {
    pub(crate) fn of(task: &str) -> Self {
        match task {
            "unpack" => Self::Unpack,
            "inspect" => Self::Inspect,
            "lock-build" | "lock-build-2" | "lock-runtime" => Self::Resolve,
            "env-build" | "env-build-2" | "env-runtime" => Self::Environment,
            "requires" => Self::Hook,
            "build" => Self::Build,
            "metadata" => Self::Metadata,
            "install" => Self::Install,
            "start" => Self::Start,
            "import" => Self::Import,
            "test" => Self::Test,
            "unpack-sdist" | "inspect-sdist" | "lock-test" | "env-test" => Self::TestSide,
            _ => Self::Beside,
        }
    }
}

/// How a task ended, for the claims that rest on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Its claim holds.
    Held,
    /// It ran, and there was nothing to claim: no tests, nothing importable.
    Empty,
    /// It failed, and by itself would give this status.
    Failed(Status),
    /// It could not be run properly.
    Ours,
    /// It was left out.
    NotRun,
    /// Somebody stopped it.
    Cancelled,
    /// Its end was never recorded.
    Unfinished,
}

/// A task, judged.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) role: Role,
    pub(crate) end: End,
    pub(crate) reasons: Vec<Reason>,
}

impl Step {
    pub(crate) fn result(&self) -> TaskResult {
        match self.end {
            End::Failed(_) => TaskResult::Failure,
            End::Held if self.reasons.is_empty() => TaskResult::Success,
            End::Held | End::Empty => TaskResult::Warnings,
            End::Ours | End::Unfinished => TaskResult::Exception,
            End::NotRun => TaskResult::Skipped,
            End::Cancelled => TaskResult::Cancelled,
        }
    }
}

/// What was found: whether it failed, why (most telling first), and what to say when nothing tells.
struct Finding {
    end: End,
    reasons: Vec<Reason>,
    fallback: Option<Reason>,
}

impl Finding {
    fn held() -> Self {
        Self {
            end: End::Held,
            reasons: Vec::new(),
            fallback: None,
        }
    }

    fn failed(reasons: Vec<Reason>, fallback: Reason) -> Self {
        Self {
            end: End::Failed(Status::Fail),
            reasons,
            fallback: Some(fallback),
        }
    }
}

/// Judges one task by itself.
pub(crate) fn step(job: &JobRecord, task: &TaskRecord) -> Step {
    let role = Role::of(&task.name);
    let mut finding = match task.result {
        None if job.interrupted => Finding {
            end: End::Cancelled,
            ..Finding::held()
        },
        None => Finding {
            end: End::Unfinished,
            ..Finding::held()
        },
        Some(TaskResult::Skipped) => Finding {
            end: End::NotRun,
            ..Finding::held()
        },
        Some(TaskResult::Cancelled) => Finding {
            end: End::Cancelled,
            ..Finding::held()
        },
        Some(TaskResult::Exception | TaskResult::Retry) => {
            let fallback = Some(Reason::new(ReasonCode::Testbed, ""));
            Finding {
                end: End::Ours,
                reasons: Vec::new(),
                fallback,
            }
        }
        Some(TaskResult::Success | TaskResult::Warnings) => find(job, task, role, false),
        Some(TaskResult::Failure) => find(job, task, role, true),
    };
    if matches!(finding.end, End::Failed(_)) {
        let stated = !task.reasons.is_empty() && !matches!(role, Role::Import | Role::Test);
        let first = finding.reasons.first();
        // What only the agent can know (a download, a budget, a hash) comes before what texts suggest.
        if stated && first.is_none_or(|r| !settles(r.code)) && task.reasons.iter().any(|r| settles(r.code)) {
            let (mut told, rest): (Vec<_>, Vec<_>) =
                task.reasons.iter().cloned().partition(|r| settles(r.code));
            told.append(&mut finding.reasons);
            merge(&mut told, rest);
            finding.reasons = told;
        }
        merge(&mut finding.reasons, cause::denials(task));
    }
    merge(&mut finding.reasons, task.reasons.iter().cloned());
    if finding.reasons.is_empty() {
        finding.reasons.extend(finding.fallback);
    }
    if !matches!(finding.end, End::NotRun) {
        merge(&mut finding.reasons, cause::survivors(task));
    }
    let end = match finding.end {
        End::Failed(status) => End::Failed(settled(role, status, &finding.reasons)),
        other => other,
    };
    let at = task.deciding().map(|e| e.seq).or(task.ended_seq);
    for reason in &mut finding.reasons {
        reason.task.get_or_insert_with(|| task.name.clone());
        if reason.evidence.is_empty() {
            reason.evidence.extend(at);
        }
    }
    Step {
        name: task.name.clone(),
        role,
        end,
        reasons: finding.reasons,
    }
}

/// Whether a code, said by the agent, says by itself what happened.
fn settles(code: ReasonCode) -> bool {
    matches!(
        status_of(code),
        Some(Status::Error | Status::Broken | Status::Na | Status::Skip)
    )
}

/// The status of a failed step: of its first reason, where the role leaves a choice.
fn settled(role: Role, status: Status, reasons: &[Reason]) -> Status {
    let first = reasons.iter().find_map(|r| status_of(r.code));
    match role {
        // Text of a suite says why tests fail, never that they do not count.
        Role::Test | Role::Import | Role::Beside => status,
        Role::Unpack | Role::Inspect | Role::Metadata => {
            first.filter(|s| settling(*s)).unwrap_or(Status::Broken)
        }
        // A resolver or installer of dependencies that crashes or hits a limit says nothing about the distribution.
        Role::Resolve => first.filter(|s| !dies(*s)).unwrap_or(if first.is_some() {
            Status::Error
        } else {
            Status::Broken
        }),
        Role::Environment => first.filter(|s| !dies(*s)).unwrap_or(Status::Error),
        _ => first.unwrap_or(status),
    }
}

fn dies(status: Status) -> bool {
    matches!(status, Status::Killed | Status::Crash)
}

fn settling(status: Status) -> bool {
    matches!(
        status,
        Status::Broken | Status::Error | Status::Na | Status::Skip | Status::Killed | Status::Crash
    )
}

/// Adds reasons whose code is not there yet; the same code with the same task's other detail counts as there.
pub(crate) fn merge(into: &mut Vec<Reason>, more: impl IntoIterator<Item = Reason>) {
    let before = into.len();
    for reason in more {
        let known = into[..before].iter().position(|r| r.code == reason.code);
        match known {
            Some(known) => {
                let known = &mut into[known];
                if known.detail.is_empty() {
                    known.detail = reason.detail;
                }
                for seq in reason.evidence {
                    if !known.evidence.contains(&seq) {
                        known.evidence.push(seq);
                    }
                }
            }
            None if into.contains(&reason) => {}
            None => into.push(reason),
        }
    }
}

fn find(job: &JobRecord, task: &TaskRecord, role: Role, failed: bool) -> Finding {
    match role {
        Role::Unpack => unpack(task, failed),
        Role::Inspect => plain(task, failed, ReasonCode::BadMetadata),
        Role::Metadata => metadata(job, task, failed),
        Role::Resolve | Role::TestSide => resolve(task, failed),
        Role::Environment => plain(task, failed, ReasonCode::Testbed),
        Role::Hook | Role::Build => build(job, task, failed),
        Role::Install => install(task, failed),
        Role::Start => start(task, failed),
        Role::Import => import(job, task, failed),
        Role::Test => test(job, task, failed),
        Role::Beside if failed => Finding::failed(Vec::new(), Reason::new(ReasonCode::RunnerError, "")),
        Role::Beside => Finding::held(),
    }
}

fn plain(task: &TaskRecord, failed: bool, code: ReasonCode) -> Finding {
    if failed {
        Finding::failed(dead(task), Reason::new(code, ""))
    } else {
        Finding::held()
    }
}

fn dead(task: &TaskRecord) -> Vec<Reason> {
    task.deciding().and_then(cause::death).into_iter().collect()
}

/// Output of the command that decides.
fn said(task: &TaskRecord) -> String {
    task.deciding()
        .map(|e| cause::output(&e.effect))
        .unwrap_or_default()
}

fn unpack(task: &TaskRecord, failed: bool) -> Finding {
    let Some(RawData::Unpack(raw)) = &task.raw else {
        return plain(task, failed, ReasonCode::BadArchive);
    };
    if let Some(fatal) = &raw.fatal {
        return Finding::failed(dead(task), Reason::new(ReasonCode::BadArchive, fatal.clone()));
    }
    // Somebody who writes outside of the archive's folder does not do so by accident.
    let climbs = |why: &str| {
        ["climbs out", "path is absolute", "traversal"]
            .iter()
            .any(|word| why.contains(word))
    };
    if let Some(entry) = raw.refused.iter().find(|entry| climbs(&entry.why)) {
        let detail = format!("{}: {}", shorten(&entry.name.lossy(), 200), entry.why);
        let reason = Reason::new(ReasonCode::BadArchive, detail.as_str());
        return Finding::failed(vec![reason.clone()], reason);
    }
    if failed {
        return plain(task, failed, ReasonCode::BadArchive);
    }
    let mut finding = Finding::held();
    if let Some(entry) = raw.refused.first() {
        let detail = format!(
            "{} entries left out, first: {}",
            raw.refused_total.max(1),
            entry.why
        );
        finding
            .reasons
            .push(Reason::new(ReasonCode::BadArchive, detail.as_str()));
    }
    finding
}

fn metadata(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
    let target = job
        .file
        .as_ref()
        .filter(|file| file.kind != FileKind::Folder && !file.project.is_empty());
    if let (Some(RawData::Metadata(raw)), Some(target)) = (&task.raw, target) {
        let name = normal(&raw.name.lossy());
        if !name.is_empty() && name != normal(&target.project) {
            let detail = format!("it calls itself {}", shorten(&raw.name.lossy(), 100));
            let reason = Reason::new(ReasonCode::BadMetadata, detail.as_str());
            return Finding::failed(vec![reason.clone()], reason);
        }
    }
    plain(task, failed, ReasonCode::BadMetadata)
}

/// A name as PEP 503 normalises it.
fn normal(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.trim().chars() {
        match c {
            '-' | '_' | '.' if out.ends_with('-') => {}
            '-' | '_' | '.' => out.push('-'),
            c => out.push(c.to_ascii_lowercase()),
        }
    }
    out
}

fn resolve(task: &TaskRecord, failed: bool) -> Finding {
    if !failed {
        return Finding::held();
    }
    let explanation = match &task.raw {
        Some(RawData::Resolve(raw)) => raw.explanation.clone(),
        Some(RawData::Unpack(raw)) => {
            let detail = raw.fatal.clone().unwrap_or_default();
            return Finding::failed(dead(task), Reason::new(ReasonCode::BadArchive, detail));
        }
        _ => None,
    };
    let code = match task.name.as_str() {
        "unpack-sdist" => ReasonCode::BadArchive,
        "inspect-sdist" => ReasonCode::BadMetadata,
        "env-test" => ReasonCode::TestEnvDiffers,
        _ => ReasonCode::Unresolvable,
    };
    let detail = explanation
        .map(|text| shorten(&text.lossy(), 1000).to_owned())
        .unwrap_or_default();
    Finding::failed(dead(task), Reason::new(code, detail.as_str()))
}

/// How telling a cause of a failed build is; smaller is more.
fn build_rank(code: ReasonCode) -> u8 {
    use ReasonCode as R;
    match code {
        R::Python2Only | R::WindowsOnly => 0,
        R::BuildUse2to3 => 1,
        R::BuildBackendMissing => 2,
        R::BuildCythonIncompatible => 3,
        R::MissingSystemLibrary => 4,
        R::UndeclaredDependency => 5,
        R::NetworkNeeded => 6,
        R::BuildCompilerError => 7,
        _ => 8,
    }
}

fn build(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
    let (error, backend, present) = match &task.raw {
        Some(RawData::Hook(hook)) => (hook.error.as_ref(), Some(hook.backend.as_str()), hook.present),
        Some(RawData::Build(build)) => (build.error.as_ref(), None, true),
        _ => (None, None, true),
    };
    let declared = job
        .inspection()
        .map(|inspection| inspection.build.backend.as_str());
    let backend = backend.or(declared).filter(|name| !name.is_empty());
    let no_wheel = matches!(&task.raw, Some(RawData::Build(build)) if build.wheel.is_none());
    let dead = dead(task);
    if !failed && error.is_none() && !no_wheel && dead.is_empty() {
        return built(task);
    }
    let last = match error {
        Some(error) => cause::error_line(error),
        None => shorten(cause::last_line(&said(task)), 300).to_owned(),
    };
    let fallback = if !present {
        Reason::new(
            ReasonCode::BuildBackendMissing,
            format!("{} has no such hook", backend.unwrap_or("it")).as_str(),
        )
    } else if no_wheel && error.is_none() && !failed {
        Reason::new(ReasonCode::BuildNoWheel, last.as_str())
    } else {
        Reason::new(ReasonCode::BuildBackendError, last.as_str())
    };
    if !dead.is_empty() {
        return Finding::failed(dead, fallback);
    }
    if let Some(advice) = job.inspection().and_then(|inspection| inspection.advice.as_ref()) {
        let advice = shorten(&advice.lossy(), 1000).to_owned();
        let reason = Reason::new(ReasonCode::DeliberateError, advice.as_str());
        return Finding::failed(vec![reason.clone()], reason);
    }
    let said = said(task);
    let exact = error.map_or_else(|| tail(&said, 4096).to_owned(), cause::error_text);
    // Byte compilers print syntax errors of files that nobody runs: only the exception itself tells of Python 2.
    let mut reasons: Vec<Reason> = cause::texts(&exact, Place::BUILD);
    let noise = |r: &Reason| r.code == ReasonCode::Python2Only;
    merge(
        &mut reasons,
        cause::texts(&said, Place::BUILD)
            .into_iter()
            .filter(|r| !noise(r)),
    );
    if let Some(RawData::Build(build)) = &task.raw {
        let failed: Vec<_> = build
            .compiler_calls
            .iter()
            .filter(|call| cause::failed_call(call))
            .collect();
        for call in &failed {
            let of_call = cause::texts(&call.said.lossy(), Place::BUILD);
            merge(&mut reasons, of_call.into_iter().filter(|r| !noise(r)));
        }
        if let Some(call) = failed.last() {
            merge(
                &mut reasons,
                [Reason::new(
                    ReasonCode::BuildCompilerError,
                    cause::call_subject(call).as_str(),
                )],
            );
        }
    }
    let missing = match error {
        Some(error) => cause::missing_in(error),
        None => cause::missing_modules(&exact).pop(),
    };
    if let Some(module) = missing {
        merge(
            &mut reasons,
            [cause::missing_module(job, &module, Place::BUILD, backend)],
        );
    }
    let called = cause::contacts(task)
        .into_iter()
        .filter(|r| r.code == ReasonCode::NetworkNeeded);
    let unnamed = |r: &Reason| r.code == ReasonCode::NetworkNeeded && r.detail.is_empty();
    let called: Vec<_> = called.collect();
    if !called.is_empty() {
        reasons.retain(|r| !unnamed(r));
    }
    merge(&mut reasons, called);
    reasons.sort_by_key(|r| build_rank(r.code));
    if reasons.iter().all(|r| build_rank(r.code) > 7) {
        reasons.insert(0, fallback.clone());
    }
    Finding::failed(reasons, fallback)
}

/// A build that gave a wheel, and what is to be said of it.
fn built(task: &TaskRecord) -> Finding {
    let mut finding = Finding::held();
    let Some(RawData::Build(build)) = &task.raw else {
        return finding;
    };
    let dropped: Vec<_> = build
        .compiler_calls
        .iter()
        .filter(|call| cause::failed_call(call))
        .collect();
    if let Some(first) = dropped.first() {
        let detail = cause::call_subject(first);
        finding
            .reasons
            .push(Reason::new(ReasonCode::BuildExtensionDropped, detail.as_str()));
    }
    if let Some(published) = build.published.as_ref().filter(|published| !published.is_same()) {
        let (built, there, differ) = (
            published.only_built.len(),
            published.only_published.len(),
            published.different.len(),
        );
        let detail = format!("{differ} files differ, {built} only built, {there} only published");
        finding
            .reasons
            .push(Reason::new(ReasonCode::WheelDiffers, detail.as_str()));
    }
    finding
}

fn install(task: &TaskRecord, failed: bool) -> Finding {
    let dead = dead(task);
    if !failed && dead.is_empty() {
        return Finding::held();
    }
    let said = said(task);
    let line = shorten(cause::last_line(&said), 300).to_owned();
    let mut reasons = dead;
    if reasons.is_empty() {
        reasons.push(Reason::new(ReasonCode::Install, line.as_str()));
    }
    merge(
        &mut reasons,
        cause::texts(&said, Place::BUILD)
            .into_iter()
            .filter(|r| r.code == ReasonCode::FilePermission),
    );
    Finding::failed(reasons, Reason::new(ReasonCode::Install, line.as_str()))
}

fn start(task: &TaskRecord, failed: bool) -> Finding {
    let changed = match &task.raw {
        Some(RawData::Start(raw)) if !raw.is_unchanged() => {
            let mut parts = Vec::new();
            for (count, what) in [
                (raw.new_modules.len(), "modules"),
                (raw.new_paths.len(), "paths"),
                (raw.new_events.len(), "events"),
            ] {
                if count > 0 {
                    parts.push(format!("{count} new {what}"));
                }
            }
            if raw.spoke {
                parts.push("it prints".to_owned());
            }
            if raw.changed_files > 0 {
                parts.push(format!("{} files changed", raw.changed_files));
            }
            vec![Reason::new(ReasonCode::StartChanged, parts.join(", ").as_str())]
        }
        _ => Vec::new(),
    };
    let mut reasons = dead(task);
    let failed = failed || !reasons.is_empty();
    merge(&mut reasons, changed);
    if failed {
        let line = shorten(cause::last_line(&said(task)), 300).to_owned();
        return Finding::failed(reasons, Reason::new(ReasonCode::StartChanged, line.as_str()));
    }
    Finding {
        end: End::Held,
        reasons,
        fallback: None,
    }
}

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

fn import(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
    let Some(RawData::Import(raw)) = &task.raw else {
        let dead = dead(task);
        if failed || !dead.is_empty() {
            let mut finding = Finding::failed(dead, Reason::new(ReasonCode::ImportError, ""));
            finding.end = End::Failed(first_status(&finding.reasons));
            return finding;
        }
        return Finding {
            end: End::Empty,
            ..Finding::held()
        };
    };
    if raw.modules.is_empty() {
        let dead = dead(task);
        if !dead.is_empty() || failed {
            let status = first_status(&dead);
            let mut finding = Finding::failed(dead, Reason::new(ReasonCode::ImportError, ""));
            finding.end = End::Failed(status);
            return finding;
        }
        return Finding {
            end: End::Empty,
            ..Finding::held()
        };
    }
    let good = |module: &&ModuleImport| matches!(module.outcome, ImportOutcome::Imported);
    let tops: Vec<_> = raw.modules.iter().filter(|module| module.top_level).collect();
    let all_optional = tops.iter().all(|module| is_optional(&module.module.lossy()));
    let needed =
        |module: &ModuleImport| module.top_level && (all_optional || !is_optional(&module.module.lossy()));
    let bad: Vec<_> = raw.modules.iter().filter(|m| needed(m) && !good(m)).collect();
    if bad.is_empty() {
        let mut finding = Finding::held();
        let other: Vec<_> = raw.modules.iter().filter(|m| !good(m)).collect();
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

fn first_status(reasons: &[Reason]) -> Status {
    let status = reasons.first().and_then(|r| status_of(r.code));
    status
        .filter(|s| matches!(s, Status::Crash | Status::Killed | Status::Na))
        .unwrap_or(Status::Fail)
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
            let limit = task
                .last_effects()
                .filter(|e| e.effect.limit.is_some())
                .find_map(cause::death);
            vec![limit.unwrap_or_else(|| Reason::new(ReasonCode::TimeLimit, module.module.clone()))]
        }
        ImportOutcome::Raised { error } => raised(job, &name, error),
    }
}

fn raised(job: &JobRecord, module: &str, error: &PythonError) -> Vec<Reason> {
    let text = cause::error_text(error);
    let blame = cause::blamed(job, &error.traceback.lossy()).unwrap_or(Blame::Package);
    let own = Reason::new(
        ReasonCode::ImportError,
        format!("{module}: {}", cause::error_line(error)).as_str(),
    );
    let mut reasons = Vec::new();
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

fn test(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
    let dead = dead(task);
    let Some(RawData::Test(raw)) = &task.raw else {
        if failed || !dead.is_empty() {
            let mut finding = Finding::failed(dead, Reason::new(ReasonCode::RunnerError, ""));
            finding.end = End::Failed(first_status(&finding.reasons));
            return finding;
        }
        let none = Reason::new(ReasonCode::NoTests, "");
        return Finding {
            end: End::Empty,
            reasons: vec![none],
            fallback: None,
        };
    };
    let counts = raw.counts;
    let mut reasons = dead;
    let status = first_status(&reasons);
    if counts.failed > 0 {
        let detail = format!("{} of {}", counts.failed, counts.executed());
        reasons.push(Reason::new(ReasonCode::TestFailures, detail.as_str()));
    }
    if counts.errors > 0 {
        let detail = format!("{} of {}", counts.errors, counts.executed());
        reasons.push(Reason::new(ReasonCode::TestErrors, detail.as_str()));
    }
    if let Some((place, text)) = raw.collection_errors.first() {
        let line = cause::last_line(&text.lossy()).to_owned();
        let detail = format!(
            "{} places, first {}: {}",
            raw.collection_errors.len(),
            place.lossy(),
            shorten(&line, 200)
        );
        reasons.push(Reason::new(ReasonCode::CollectionError, shorten(&detail, 500)));
    }
    let no_tests = counts.executed() == 0
        && (raw.exit == Some(5) || raw.finished && raw.exit.is_none_or(|code| code == 0));
    if reasons.is_empty() && no_tests {
        let detail = match counts.skipped {
            0 => String::new(),
            skipped => format!("all {skipped} skipped"),
        };
        return Finding {
            end: End::Empty,
            reasons: vec![Reason::new(ReasonCode::NoTests, detail.as_str())],
            fallback: None,
        };
    }
    let ended_well = raw.finished && raw.exit.is_none_or(|code| code == 0);
    if reasons.is_empty() && !failed && ended_well {
        // A proof that lies elsewhere: what passed was not what is installed.
        let elsewhere = raw
            .proof
            .iter()
            .find(|(_, file)| !file.lossy().contains("/site-packages/"));
        if !raw.against_installed
            && let Some((module, file)) = elsewhere.or_else(|| raw.proof.iter().next())
        {
            let detail = format!("the tests saw {module} at {}", shorten(&file.lossy(), 200));
            let reason = Reason::new(ReasonCode::RunnerError, detail.as_str()).blaming(Blame::Us);
            return Finding {
                end: End::Empty,
                reasons: vec![reason],
                fallback: None,
            };
        }
        return Finding::held();
    }
    if reasons.is_empty() {
        let exit = raw
            .exit
            .map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
        let detail = if raw.finished {
            exit
        } else {
            format!("{exit}, and the runner never said that it had finished")
        };
        reasons.push(Reason::new(ReasonCode::RunnerError, detail.as_str()));
    }
    let causes = test_causes(job, task, raw);
    // A cause that every failing test shows is more telling than their number.
    let explains = !causes.first.is_empty() && status == Status::Fail;
    if explains {
        let mut first = causes.first;
        merge(&mut first, reasons);
        reasons = first;
    }
    merge(&mut reasons, causes.beside);
    let fallback = Reason::new(ReasonCode::RunnerError, "");
    Finding {
        end: End::Failed(status),
        reasons,
        fallback: Some(fallback),
    }
}

struct Causes {
    first: Vec<Reason>,
    beside: Vec<Reason>,
}

fn test_causes(job: &JobRecord, task: &TaskRecord, raw: &Test) -> Causes {
    const MOST_CASES: usize = 300;
    let failing = raw
        .cases
        .iter()
        .filter(|c| matches!(c.outcome, TestOutcome::Failed | TestOutcome::Error));
    let messages: Vec<_> = failing
        .take(MOST_CASES)
        .map(|case| case.message.lossy())
        .collect();
    let collected: Vec<_> = raw
        .collection_errors
        .iter()
        .take(MOST_CASES)
        .map(|(_, text)| text.lossy())
        .collect();
    let of_text = |text: &str| {
        let mut reasons: Vec<Reason> = Vec::new();
        for module in cause::missing_modules(text) {
            reasons.push(cause::missing_module(job, &module, Place::TEST, None));
        }
        reasons.extend(cause::texts(text, Place::TEST));
        reasons.extend(cause::refused_services(text));
        reasons
    };
    let mut first: Vec<Reason> = Vec::new();
    let mut beside: Vec<Reason> = Vec::new();
    let each: Vec<Vec<Reason>> = messages
        .iter()
        .chain(&collected)
        .map(|text| of_text(text))
        .collect();
    let all_explained = !each.is_empty() && each.iter().all(|reasons| !reasons.is_empty());
    for reason in each.into_iter().flatten() {
        let into = if all_explained { &mut first } else { &mut beside };
        let same = into.iter().filter(|r| r.code == reason.code);
        if same.count() < 5 && !into.contains(&reason) {
            into.push(reason);
        }
    }
    merge(&mut beside, cause::contacts(task));
    if raw.cases.is_empty() && raw.collection_errors.is_empty() {
        // Nothing but the runner's own words is left to go by.
        merge(&mut beside, of_text(&said(task)));
    }
    // Whom a name was asked for is more than that one was.
    let (named, _): (Vec<_>, Vec<_>) = beside.iter().partition(|r| !r.detail.is_empty());
    let named: Vec<_> = named.iter().map(|r| (r.code, r.detail.clone())).collect();
    for reason in &mut first {
        if reason.detail.is_empty()
            && let Some((_, detail)) = named.iter().find(|(code, _)| *code == reason.code)
        {
            reason.detail = detail.clone();
        }
    }
    let told = |r: &Reason| !r.detail.is_empty() || !named.iter().any(|(code, _)| *code == r.code);
    beside.retain(told);
    let codes: Vec<_> = first.iter().map(|r| (r.code, r.detail.clone())).collect();
    beside.retain(|r| !codes.contains(&(r.code, r.detail.clone())));
    Causes { first, beside }
}

fn tail(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    &text[from..]
}

/// Whether nothing importable was installed: stubs, metapackages.
pub(crate) fn nothing_importable(job: &JobRecord) -> bool {
    job.install()
        .is_some_and(|raw| raw.modules.is_empty() && raw.top_level.is_empty())
}

/// The first few of several texts, for a sentence.
pub(crate) fn some_of(texts: &[String]) -> Foreign {
    shorten(
        &texts
            .iter()
            .take(3)
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("; "),
        300,
    )
    .into()
}
