//! Tests: whether they count, and what made them fail.

use pyti_model::Foreign;
use pyti_model::outcome::{Blame, Reason, ReasonCode, Status};
use pyti_model::raw::{RawData, ServiceState, Test, TestOutcome};

use super::{End, Finding, dead, first_status, merge, said};
use crate::cause;
use crate::patterns::{Place, shorten};
use crate::record::{JobRecord, TaskRecord};

pub(super) fn test(job: &JobRecord, task: &TaskRecord, failed: bool) -> Finding {
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
    for reason in &mut reasons {
        tell_service(reason, raw);
    }
    let fallback = Reason::new(ReasonCode::RunnerError, "");
    Finding {
        end: End::Failed(status),
        reasons,
        fallback: Some(fallback),
    }
}

/// Says beside a service that is needed what came of it here, and how it is had.
fn tell_service(reason: &mut Reason, raw: &Test) {
    let wanted = match reason.code {
        ReasonCode::ServiceNeeded => reason.detail.lossy().into_owned(),
        ReasonCode::DisplayNeeded => "xvfb".to_owned(),
        _ => return,
    };
    if let Some(service) = raw.services.iter().find(|service| service.name == wanted) {
        reason.detail = Foreign::from(match service.state {
            ServiceState::Ready => format!("{wanted}, which was there"),
            _ => service.sentence(),
        });
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
        if reasons.is_empty() && text.contains("onnection refused") {
            let lacking = raw.services.iter().filter(|s| s.state != ServiceState::Ready);
            reasons.extend(lacking.map(|s| Reason::new(ReasonCode::ServiceNeeded, s.name.as_str())));
        }
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
