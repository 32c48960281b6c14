//! The page of one run: one self-contained file.

mod changes;
mod costs;
mod coverage;
mod links;
pub(crate) mod lit;
mod network;
mod parts;
mod plan;
mod processes;
mod quality;
mod safe;

use askama::Template;
use base64::Engine as _;
use pyti_model::outcome::{Status, Verdict};
use sha2::{Digest as _, Sha256};

pub(crate) use self::changes::change_sentence;
use self::lit::Lit;
use self::parts::FilePart;
use self::quality::QualityPart;
use self::safe::FindingPart;
use crate::Run;
use crate::findings::{self, Found};
use crate::seen::Seen;
use crate::sentences::{self, shown_str};
use crate::view;

/// The style of a page.
pub const STYLE: &str = include_str!("../../templates/style.css");
/// The script of a page: it filters, folds and lights. It reads the JSON of the element `data`.
pub const SCRIPT: &str = include_str!("../../templates/script.js");

/// What every page of ours has around its content.
pub(crate) struct Frame {
    pub(crate) title: String,
    pub(crate) policy: String,
    pub(crate) style: &'static str,
    pub(crate) script: &'static str,
    /// JSON, in which nothing can end the element around it.
    pub(crate) data: String,
}

impl Frame {
    /// A frame with this title and JSON data.
    pub(crate) fn new(title: String, json: String) -> Self {
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
            digest(STYLE),
            digest(SCRIPT)
        );
        Self {
            title,
            policy,
            style: STYLE,
            script: SCRIPT,
            data: inert(&json),
        }
    }
}

fn digest(text: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(Sha256::digest(text.as_bytes()))
}

/// JSON inside of HTML: `<`, `>` and `&` only ever stand in its strings, where an escape means the same.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
}

/// A rendered page; or, when a template fails (it cannot, writing to memory), a page that says so.
pub(crate) fn or_apology(rendered: askama::Result<String>) -> String {
    rendered.unwrap_or_else(|error| {
        let error = error.to_string().replace('&', "&amp;").replace('<', "&lt;");
        format!("<!doctype html><title>no report</title><p>the report could not be rendered: {error}</p>")
    })
}

/// What a page of a run shows, in a frame of somebody else: the same templates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fragment {
    /// For the title of the page; text, not HTML.
    pub title: String,
    /// HTML, to stand in an element `main` with the id `main`.
    pub main: String,
    /// JSON for an element `<script type="application/json" id="data">`; nothing in it can end that element.
    pub data: String,
}

#[derive(Template)]
#[template(path = "run.html", blocks = ["answers"])]
struct RunPage {
    frame: Frame,
    /// Whether it is a file of its own, made by the command line.
    alone: bool,
    id: String,
    name: String,
    version: String,
    interpreter: String,
    isolation: String,
    when: String,
    works: Answer,
    safe: Answer,
    reasons: Vec<Why>,
    findings: Vec<FindingPart>,
    uncounted: Vec<FindingPart>,
    findings_more: usize,
    missing: Vec<String>,
    rules: Option<String>,
    judged: bool,
    notes: Vec<String>,
    files: Vec<FilePart>,
}

/// One of the two answers.
struct Answer {
    /// Class for its colour: `good`, `bad`, `mild`, `none`.
    tone: &'static str,
    word: String,
    sentence: String,
}

/// A reason with its proof.
struct Why {
    code: &'static str,
    text: String,
    blame: &'static str,
    task: Option<String>,
    anchor: Option<String>,
    evidence: String,
}

/// Class for the colour of a status.
pub(crate) fn tone(status: Status) -> &'static str {
    match status {
        Status::Pass | Status::Load | Status::Install => "good",
        Status::Fail | Status::Crash | Status::Killed | Status::Broken => "bad",
        Status::Skip | Status::Na => "none",
        Status::Error => "mild",
    }
}

fn verdict_tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "none",
        Verdict::Clean => "good",
        Verdict::Notable | Verdict::Inconclusive => "mild",
        Verdict::Suspicious | Verdict::Harmful => "bad",
    }
}

/// One run as one self-contained page: no request to anywhere, readable without script.
pub fn html(run: &Run<'_>) -> String {
    or_apology(page(run).render())
}

/// The same for a page of somebody else, who brings [`STYLE`] and [`SCRIPT`].
pub fn fragment(run: &Run<'_>) -> Fragment {
    let page = RunPage {
        alone: false,
        ..page(run)
    };
    let main = or_apology(page.as_answers().render());
    Fragment {
        title: page.frame.title,
        main,
        data: page.frame.data,
    }
}

fn page(run: &Run<'_>) -> RunPage {
    let (status, reasons) = view::outcome(run);
    let verdict = view::verdict(run);
    let all: Vec<Found<'_>> = findings::findings(run);
    let seen: Vec<Seen<'_>> = run.jobs.iter().map(Seen::of).collect();
    let mut assessed = crate::quality::of_run(run);
    let mut files: Vec<FilePart> = view::files(run)
        .into_iter()
        .zip(&seen)
        .enumerate()
        .map(|(n, (file, seen))| FilePart::new(n, file, seen, &Lit::of(n, &all, seen)))
        .collect();
    for (n, file) in files.iter_mut().enumerate() {
        let facts = run.jobs.get(n).and_then(crate::quality::facts);
        file.quality = assessed
            .remove(&n)
            .zip(facts)
            .map(|(assessed, facts)| QualityPart::new(&assessed, facts));
    }
    let anchors: std::collections::HashSet<&str> = files.iter().flat_map(FilePart::anchors).collect();
    let (counted, uncounted, findings_more) =
        safe::parts(run, &all, &seen, &|anchor| anchors.contains(anchor));
    let headline = view::headline(run);
    let head = headline.map_or("", |job| view::kind_word(view::kind(job)));
    let title = format!(
        "{} {} {}",
        shown_str(run.name),
        shown_str(run.version.unwrap_or("")),
        status.word()
    );
    let data = serde_json::json!({ "tests": files.iter().map(|file| &file.more_tests).collect::<Vec<_>>() });
    let safe = view::verdict_words(verdict);
    let word = safe.split_once(": ").map_or(safe, |(word, _)| word);
    RunPage {
        frame: Frame::new(title, data.to_string()),
        alone: true,
        id: shown_str(run.id),
        name: shown_str(run.name),
        version: shown_str(run.version.unwrap_or("")),
        interpreter: shown_str(run.interpreter),
        isolation: shown_str(run.isolation),
        when: headline.map_or_else(String::new, |job| shown_str(&job.record.when)),
        works: Answer {
            tone: tone(status),
            word: status.word().to_owned(),
            sentence: sentences::answer(status, reasons, headline.and_then(view::tests)),
        },
        safe: Answer {
            tone: verdict_tone(verdict),
            word: word.to_owned(),
            sentence: safe::sentence(run, &all),
        },
        reasons: reasons.iter().map(|reason| why(reason, head, &files)).collect(),
        findings: counted,
        uncounted,
        findings_more,
        missing: findings::missing(run),
        rules: safe::rules(run),
        judged: run.jobs.iter().any(|job| job.found.is_some()),
        notes: notes(run),
        files,
    }
}

fn why(reason: &pyti_model::outcome::Reason, kind: &str, files: &[FilePart]) -> Why {
    let task = reason.task.as_deref().map(shown_str);
    let anchor = reason.task.as_deref().and_then(|task| {
        files
            .iter()
            .find(|file| file.kind == kind)
            .and_then(|file| file.anchor_of(task))
    });
    let mut evidence: Vec<String> = reason.evidence.iter().take(5).map(u64::to_string).collect();
    if reason.evidence.len() > 5 {
        evidence.push(format!("{} more", reason.evidence.len() - 5));
    }
    Why {
        code: reason.code.word(),
        text: sentences::reason(reason),
        blame: match reason.blame {
            pyti_model::outcome::Blame::Package => "the package's doing",
            other => sentences::blame(other).unwrap_or(""),
        },
        task,
        anchor,
        evidence: evidence.join(", "),
    }
}

/// What makes an answer weaker than it looks.
fn notes(run: &Run<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    for job in &run.jobs {
        let kind = view::kind_word(view::kind(*job));
        if job.record.interrupted {
            notes.push(format!(
                "The {kind}'s job was interrupted. What ended before is kept."
            ));
        } else if !job.record.complete && job.record.decided.is_none() {
            notes.push(format!(
                "The {kind}'s recording breaks off. What was recorded before is kept."
            ));
        }
        for loss in view::losses(*job).take(20) {
            notes.push(format!(
                "The {kind}'s recording has a loss: {}.",
                parts::loss(loss)
            ));
        }
        if let Some(why) = job.record.file.as_ref().and_then(|file| file.yanked.as_deref()) {
            let why = shown_str(why);
            let why = if why.is_empty() {
                String::new()
            } else {
                format!(": {why}")
            };
            notes.push(format!("The {kind} was yanked from the index{why}."));
        }
    }
    if !run.jobs.iter().any(|job| job.record.test().is_some()) && !run.jobs.is_empty() {
        notes.push("Not tested: no tests were run.".to_owned());
    }
    notes
}
