//! Builds: which cause of several is the telling one.

use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::raw::RawData;

use super::{Finding, dead, merge, said};
use crate::cause;
use crate::patterns::{Place, shorten};
use crate::record::{JobRecord, TaskRecord};

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

pub(super) fn build(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
    let (error, backend) = match &task.raw {
        Some(RawData::Hook(hook)) => (hook.error.as_ref(), Some(hook.backend.as_str())),
        Some(RawData::Build(build)) => (build.error.as_ref(), None),
        _ => (None, None),
    };
    let declared = job
        .inspection()
        .map(|inspection| inspection.build.backend.as_str());
    let backend = backend.or(declared).filter(|name| !name.is_empty());
    let no_wheel = matches!(&task.raw, Some(RawData::Build(build)) if build.wheel.is_none());
    // After a build that gave a wheel only readers of ours run.
    let built_well = matches!(&task.raw, Some(RawData::Build(build)) if build.wheel.is_some());
    let dead = if built_well && !failed {
        Vec::new()
    } else {
        dead(task)
    };
    if !failed && error.is_none() && !no_wheel && dead.is_empty() {
        return with_wheel(task);
    }
    let last = match error {
        Some(error) => cause::error_line(error),
        None => shorten(cause::last_line(&said(task)), 300).to_owned(),
    };
    let fallback = if no_wheel && error.is_none() && !failed {
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
    // the probe's own word for a backend that cannot be imported at all
    if let Some(error) = error.filter(|error| error.class.lossy() == "BackendMissing") {
        merge(
            &mut reasons,
            [Reason::new(
                ReasonCode::BuildBackendMissing,
                error.message.clone(),
            )],
        );
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
fn with_wheel(task: &TaskRecord) -> Finding {
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
fn tail(text: &str, bytes: usize) -> &str {
    let from = text.len().saturating_sub(bytes);
    let from = (from..=text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    &text[from..]
}
