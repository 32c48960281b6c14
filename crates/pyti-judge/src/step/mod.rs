//! What one task came to, seen for itself.

mod build;
mod import;
mod test;

use pyti_model::outcome::{Blame, Reason, ReasonCode, Status, TaskResult};
use pyti_model::raw::RawData;
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
    /// The agent saw something to look at that no reason names.
    pub(crate) warned: bool,
    pub(crate) reasons: Vec<Reason>,
}

impl Step {
    pub(crate) fn result(&self) -> TaskResult {
        match self.end {
            End::Failed(_) => TaskResult::Failure,
            End::Held if self.reasons.is_empty() && !self.warned => TaskResult::Success,
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
            // what happened is in the agent's own words
            let words = task.chain.join("; ");
            let fallback = Some(Reason::new(ReasonCode::Testbed, words.as_str()));
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
        // Dependencies that a limit kept from being locked or installed are not proven to be impossible.
        let stated = stated && !(tooling(role) && first.is_some_and(|r| status_of(r.code).is_some_and(dies)));
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
    if tooling(role) {
        for reason in finding
            .reasons
            .iter_mut()
            .filter(|r| status_of(r.code).is_some_and(dies))
        {
            reason.blame = Blame::Environment;
        }
    }
    let at = task.deciding().map(|e| e.seq).or(task.ended_seq);
    for reason in &mut finding.reasons {
        reason.task.get_or_insert_with(|| task.name.clone());
        if reason.evidence.is_empty() {
            reason.evidence.extend(at);
        }
    }
    // Of builds, imports and starts the raw data say more exactly what is worth a warning.
    let seen = matches!(role, Role::Build | Role::Import | Role::Start);
    let warned = task.result == Some(TaskResult::Warnings) && !seen;
    Step {
        name: task.name.clone(),
        role,
        end,
        warned,
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

/// Whether the commands of a role are ours: a resolver, an installer of dependencies.
fn tooling(role: Role) -> bool {
    matches!(role, Role::Resolve | Role::Environment)
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
        Role::Hook | Role::Build => build::build(job, task, failed),
        Role::Install => install(task, failed),
        Role::Start => start(task, failed),
        Role::Import => import::import(job, task, failed),
        Role::Test => test::test(job, task, failed),
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
        // Also when a limit ended the reader: the archive is what it fell over.
        let reason = Reason::new(ReasonCode::BadArchive, fatal.clone());
        let mut reasons = vec![reason.clone()];
        merge(&mut reasons, dead(task));
        return Finding::failed(reasons, reason);
    }
    // Somebody who writes outside of the archive's folder, or makes a device, does not do so by accident.
    let climbs = |why: &str| {
        ["climbs out", "path is absolute", "traversal", "a device"]
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

fn first_status(reasons: &[Reason]) -> Status {
    let status = reasons.first().and_then(|r| status_of(r.code));
    status
        .filter(|s| matches!(s, Status::Crash | Status::Killed | Status::Na))
        .unwrap_or(Status::Fail)
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
