//! What a job came to.

use pyti_model::FileKind;
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode, Status, TaskResult, Verdict};
use serde::{Deserialize, Serialize};

use crate::record::{JobRecord, TaskRecord};
use crate::step::{self, End, Role, Step};

/// What a job and its tasks came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Judgement {
    /// Status and reasons of the job, most telling first.
    pub outcome: Outcome,
    /// Whether it is safe; nobody looked at that here.
    pub verdict: Verdict,
    /// Each task with its result and reasons, in the order of the record.
    pub tasks: Vec<(String, TaskResult, Vec<Reason>)>,
}

impl Judgement {
    /// Result and reasons of the task of that name.
    pub fn task(&self, name: &str) -> Option<(TaskResult, &[Reason])> {
        self.tasks
            .iter()
            .find(|(task, ..)| task == name)
            .map(|(_, result, reasons)| (*result, reasons.as_slice()))
    }
}

/// One task alone: for who shows it as soon as it ended.
pub fn judge_task(job: &JobRecord, task: &TaskRecord) -> (TaskResult, Vec<Reason>) {
    let step = step::step(job, task);
    (step.result(), step.reasons)
}

/// What a job came to. Total, and a function of the record alone.
///
/// The first step of the distribution itself that failed decides. Where none failed, the strongest claim that was
/// attempted and held does: tests pass, it loads, it installs. What only tests need (their requirements, the sdist
/// that carries them) can take away the claim of tests and nothing else.
pub fn judge(job: &JobRecord) -> Judgement {
    let steps: Vec<Step> = job.tasks.iter().map(|task| step::step(job, task)).collect();
    let outcome = outcome(job, &steps);
    let tasks = steps
        .into_iter()
        .map(|step| (step.name.clone(), step.result(), step.reasons))
        .collect();
    Judgement {
        outcome,
        verdict: Verdict::NotJudged,
        tasks,
    }
}

fn outcome(job: &JobRecord, steps: &[Step]) -> Outcome {
    if let Some(decided) = &job.decided {
        return decided.clone();
    }
    let failing: Vec<(&Step, Status)> = steps
        .iter()
        .filter(|step| !matches!(step.role, Role::TestSide | Role::Beside))
        .filter_map(|step| match step.end {
            End::Failed(status) => Some((step, status)),
            _ => None,
        })
        .collect();
    let broken_off = broken_off(job, steps);
    let mut reasons = Vec::new();
    let status = if let Some((first, status)) = failing.first() {
        reasons.extend(first.reasons.iter().cloned());
        for (step, _) in &failing[1..] {
            reasons.extend(step.reasons.first().cloned());
        }
        *status
    } else if broken_off.is_empty() {
        claim(job, steps, &mut reasons)
    } else {
        Status::Error
    };
    reasons.extend(broken_off);
    for step in steps {
        reasons.extend(
            step.reasons
                .iter()
                .filter(|reason| stands_beside(reason.code))
                .cloned(),
        );
    }
    if let Some(why) = job.plan.as_ref().and_then(|plan| plan.target.yanked.as_ref()) {
        reasons.push(Reason::new(ReasonCode::Yanked, why.as_str()));
    }
    Outcome {
        status,
        reasons: once(reasons),
    }
}

/// Why the job was not carried out to its end, if it was not.
fn broken_off(job: &JobRecord, steps: &[Step]) -> Vec<Reason> {
    let mut reasons = Vec::new();
    let cancelled = steps.iter().any(|step| step.end == End::Cancelled);
    if job.interrupted && (cancelled || steps.is_empty()) || cancelled && job.complete {
        reasons.push(Reason::new(ReasonCode::Interrupted, ""));
    } else if !job.complete {
        let last = steps
            .iter()
            .find(|step| step.end == End::Unfinished && was_begun(job, &step.name));
        let mut reason = Reason::new(ReasonCode::WorkerLost, "the recording has no end");
        reason.task = last.map(|step| step.name.clone());
        reasons.push(reason);
    } else if let Some(step) = steps.iter().find(|step| step.end == End::Unfinished) {
        let detail = "the recording ends, and this task does not";
        reasons.push(Reason::new(ReasonCode::WorkerLost, detail).in_task(&step.name));
    }
    for step in steps
        .iter()
        .filter(|step| step.end == End::Ours && step.role != Role::Beside)
    {
        reasons.extend(step.reasons.iter().cloned());
    }
    reasons
}

fn was_begun(job: &JobRecord, task: &str) -> bool {
    job.task(task).is_some_and(|task| task.started_us.is_some())
}

/// The strongest claim that held, where nothing failed.
fn claim(job: &JobRecord, steps: &[Step], reasons: &mut Vec<Reason>) -> Status {
    let end = |role: Role| {
        steps
            .iter()
            .find(|step| step.role == role)
            .map_or(End::NotRun, |step| step.end)
    };
    let own = |role: Role| {
        steps
            .iter()
            .filter(move |step| step.role == role)
            .flat_map(|step| &step.reasons)
    };
    if end(Role::Test) == End::Held {
        return Status::Pass;
    }
    let status = match (end(Role::Import), end(Role::Install)) {
        (End::Held, _) => Status::Load,
        (End::Empty, _) | (_, End::Held) => Status::Install,
        _ => {
            let left_out: Vec<String> = job
                .plan
                .as_ref()
                .map(|plan| plan.skip.clone())
                .unwrap_or_default();
            if left_out.is_empty() {
                reasons.push(Reason::new(
                    ReasonCode::Testbed,
                    "nothing was installed, and nothing says why",
                ));
                return Status::Error;
            }
            reasons.push(Reason::new(ReasonCode::Policy, step::some_of(&left_out)));
            return Status::Skip;
        }
    };
    let tested: Vec<Reason> = own(Role::Test).cloned().collect();
    let side: Vec<Reason> = steps
        .iter()
        .filter(|step| step.role == Role::TestSide && matches!(step.end, End::Failed(_)))
        .flat_map(|step| step.reasons.iter().cloned())
        .collect();
    let skipped = |task: &str| {
        job.plan
            .as_ref()
            .is_some_and(|plan| plan.skip.iter().any(|name| name == task))
    };
    let is_wheel = job.file.as_ref().is_some_and(|file| file.kind == FileKind::Wheel);
    let alone = job.plan.as_ref().is_some_and(|plan| plan.companion.is_none());
    if end(Role::Test) == End::NotRun && skipped("test") {
        reasons.push(Reason::new(ReasonCode::Policy, "the tests were left out by who asked").in_task("test"));
    } else if let Some(why) = overridden(job).filter(|_| end(Role::Test) == End::NotRun) {
        let detail = format!("an override leaves the tests out: {why}");
        reasons.push(Reason::new(ReasonCode::Policy, detail).in_task("test"));
    } else if end(Role::Test) == End::NotRun && job.plan.as_ref().is_some_and(|plan| !plan.run_tests) {
        reasons.push(Reason::new(ReasonCode::Policy, "the tests run in the wheel's job").in_task("test"));
    } else if end(Role::Test) == End::NotRun && !side.is_empty() {
        reasons.extend(side);
    } else if is_wheel && alone && tested.iter().all(|reason| reason.code == ReasonCode::NoTests) {
        let lost = job.plan.as_ref().and_then(|plan| plan.companion_lost.as_ref());
        reasons.push(match lost {
            Some(why) => Reason::new(ReasonCode::Download, why.as_str())
                .blaming(Blame::Environment)
                .in_task("test"),
            None => Reason::new(ReasonCode::NoSdist, "").in_task("test"),
        });
    } else if tested.is_empty() {
        let rejected = job
            .inspection()
            .map(|inspection| step::some_of(&inspection.rejected))
            .unwrap_or_default();
        reasons.push(Reason::new(ReasonCode::NoTests, rejected).in_task("test"));
    } else {
        reasons.extend(tested);
    }
    if status == Status::Install
        && end(Role::Import) == End::NotRun
        && !step::nothing_importable(job)
        && skipped("import")
    {
        reasons
            .push(Reason::new(ReasonCode::Policy, "the import was left out by who asked").in_task("import"));
    }
    status
}

/// Reasons of tasks that are worth telling of the job, whatever it came to.
fn stands_beside(code: ReasonCode) -> bool {
    use ReasonCode as R;
    matches!(
        code,
        R::BuildExtensionDropped
            | R::WheelDiffers
            | R::Survivors
            | R::FlakyTests
            | R::StartChanged
            | R::TestEnvDiffers
            | R::NoSdist
            | R::BadArchive
    )
}

/// Each reason once, the first of each code and detail; evidence is put together.
fn once(reasons: Vec<Reason>) -> Vec<Reason> {
    let mut out: Vec<Reason> = Vec::new();
    for reason in reasons {
        match out
            .iter_mut()
            .find(|known| known.code == reason.code && known.detail == reason.detail)
        {
            Some(known) => {
                for seq in reason.evidence {
                    if !known.evidence.contains(&seq) {
                        known.evidence.push(seq);
                    }
                }
            }
            None => out.push(reason),
        }
    }
    out
}
/// Why an override leaves the tests out, where one does.
fn overridden(job: &JobRecord) -> Option<&str> {
    let entry = job.plan.as_ref()?.overriding.as_ref()?;
    entry.skip.as_deref()
}
