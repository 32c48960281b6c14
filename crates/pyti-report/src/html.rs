//! One self-contained page: no request to anywhere, readable without script, no inline handler or style.
//!
//! The template gets plain values only and escapes every one; what came from a package was made visible before. The
//! page names the hashes of its one style and one script in its own content security policy, so that the same template
//! can be served under a strict one.

mod job;

use askama::Template;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pyti_model::outcome::{Status, TaskResult};
use sha2::{Digest as _, Sha256};

use crate::sentences;
use crate::view;
use crate::{Run, words};

const STYLE: &str = include_str!("../templates/style.css");
const SCRIPT: &str = include_str!("../templates/script.js");

#[derive(Template)]
#[template(path = "page.html")]
struct Page<'a> {
    title: String,
    id: &'a str,
    interpreter: &'a str,
    isolation: &'a str,
    when: String,
    status: &'static str,
    status_class: &'static str,
    answer: String,
    verdict: &'static str,
    verdict_words: &'static str,
    reasons: Vec<(&'static str, String)>,
    jobs: Vec<job::JobPage>,
    style: &'static str,
    script: &'static str,
    style_hash: String,
    script_hash: String,
}

/// The page of a run.
pub fn html(run: &Run<'_>) -> String {
    let (status, reasons) = view::outcome(run);
    let tests = view::headline(run).and_then(view::tests);
    let verdict = view::verdict(run);
    let page = Page {
        title: run.title(),
        id: run.id,
        interpreter: run.interpreter,
        isolation: run.isolation,
        when: run
            .jobs
            .first()
            .map(|job| job.record.when.clone())
            .unwrap_or_default(),
        status: status.word(),
        status_class: class_of_status(status),
        answer: sentences::answer(status, reasons, tests),
        verdict: if verdict == pyti_model::outcome::Verdict::NotJudged {
            "not judged"
        } else {
            verdict.word()
        },
        verdict_words: view::verdict_words(verdict),
        reasons: reasons
            .iter()
            .map(|reason| (reason.code.word(), sentences::reason(reason)))
            .collect(),
        jobs: run
            .jobs
            .iter()
            .enumerate()
            .map(|(number, job)| job::page(*job, number))
            .collect(),
        style: STYLE,
        script: SCRIPT,
        style_hash: hash(STYLE),
        script_hash: hash(SCRIPT),
    };
    // the template holds no expression that can fail
    page.render()
        .unwrap_or_else(|error| format!("<!DOCTYPE html><title>pyti</title><p>{error}"))
}

/// A hash as a content security policy names it.
fn hash(text: &str) -> String {
    format!("sha256-{}", STANDARD.encode(Sha256::digest(text.as_bytes())))
}

fn class_of_status(status: Status) -> &'static str {
    match status {
        Status::Pass => "good",
        Status::Load | Status::Install | Status::Skip | Status::Na => "mild",
        Status::Fail | Status::Crash | Status::Killed | Status::Broken | Status::Error => "bad",
    }
}

fn class_of_result(result: TaskResult) -> &'static str {
    match result {
        TaskResult::Success => "good",
        TaskResult::Warnings | TaskResult::Retry => "mild",
        TaskResult::Failure | TaskResult::Exception => "bad",
        TaskResult::Skipped | TaskResult::Cancelled => "skipped",
    }
}

fn seconds(s: f64) -> String {
    if s > 0.0 { words::seconds(s) } else { String::new() }
}
