//! Findings of a whole run, numbered as they are shown.

use pyti_model::finding::{Finding, RuleState, Severity};
use pyti_model::outcome::Verdict;

use crate::paint::Ink;
use crate::sentences::shown_str;
use crate::view;
use crate::{Job, Run};

/// A finding with the number that people name it by.
#[derive(Debug, Clone)]
pub struct Found<'a> {
    /// From 1, heaviest first over all files.
    pub number: usize,
    /// The finding.
    pub finding: &'a Finding,
    /// Place in [`Run::jobs`] of the job whose events prove it.
    pub job: usize,
    /// Other jobs in which the same was found.
    pub also: Vec<usize>,
}

impl Found<'_> {
    /// Whether it counts for the verdict: its rule is active, and nobody suppressed it.
    pub fn counts(&self) -> bool {
        counts(self.finding)
    }
}

/// Whether a finding counts for the verdict.
pub(crate) fn counts(finding: &Finding) -> bool {
    finding.state == RuleState::Active && finding.suppressed.is_none()
}

/// All findings of a run: those that count first, heaviest first; what was found the same way in several files
/// (the wheel and the sdist) comes once.
pub fn findings<'a>(run: &Run<'a>) -> Vec<Found<'a>> {
    let mut all: Vec<Found<'a>> = Vec::new();
    for (job, found) in run
        .jobs
        .iter()
        .enumerate()
        .filter_map(|(n, job)| job.found.map(|found| (n, found)))
    {
        for finding in &found.findings {
            let same = all.iter_mut().find(|other| {
                other.job != job
                    && other.finding.rule == finding.rule
                    && other.finding.phase == finding.phase
                    && other.finding.sentence == finding.sentence
                    && other.counts() == counts(finding)
            });
            match same {
                Some(same) if same.also.last() != Some(&job) => same.also.push(job),
                Some(_) => {}
                None => all.push(Found {
                    number: 0,
                    finding,
                    job,
                    also: Vec::new(),
                }),
            }
        }
    }
    all.sort_by(|a, b| {
        b.counts()
            .cmp(&a.counts())
            .then(b.finding.severity.cmp(&a.finding.severity))
            .then(a.job.cmp(&b.job))
    });
    for (n, found) in all.iter_mut().enumerate() {
        found.number = n + 1;
    }
    all
}

/// A job's verdict: of who judged its behaviour, else of who judged the rest.
pub(crate) fn verdict(job: &Job<'_>) -> Verdict {
    job.found.map_or(job.judgement.verdict, |found| found.verdict)
}

/// What is missing for a better verdict, over all jobs, each once.
pub(crate) fn missing(run: &Run<'_>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let several = run.jobs.len() > 1;
    for job in &run.jobs {
        for text in job.found.iter().flat_map(|found| &found.missing) {
            let text = shown_str(text);
            let text = if several {
                format!("{}: {text}", view::kind_word(view::kind(*job)))
            } else {
                text
            };
            if !all.contains(&text) {
                all.push(text);
            }
        }
    }
    all
}

/// Colour of a severity.
pub(crate) fn ink(severity: Severity) -> Ink {
    match severity {
        Severity::Critical | Severity::High => Ink::Bad,
        Severity::Medium => Ink::Notice,
        Severity::Low | Severity::Info => Ink::Quiet,
    }
}

/// Colour of a verdict.
pub fn verdict_ink(verdict: Verdict) -> Ink {
    match verdict {
        Verdict::Clean => Ink::Good,
        Verdict::Notable | Verdict::Inconclusive => Ink::Notice,
        Verdict::Suspicious | Verdict::Harmful => Ink::Bad,
        Verdict::NotJudged => Ink::Quiet,
    }
}

/// Why a finding does not count, where it does not.
pub(crate) fn why_not(finding: &Finding) -> Option<String> {
    match (&finding.suppressed, finding.state) {
        (Some(why), _) => Some(format!("suppressed: {}", shown_str(why))),
        (None, RuleState::Shadow) => Some("its rule is on trial and does not count".to_owned()),
        (None, RuleState::Retired) => Some("its rule is retired and does not count".to_owned()),
        (None, RuleState::Active) => None,
    }
}

/// A finding's sentence, made visible once more: a recording from elsewhere may say anything.
pub(crate) fn sentence(finding: &Finding) -> String {
    const LONGEST: usize = 600;
    let text = pyti_model::Foreign::from(finding.sentence.as_str()).visible();
    let all = text.chars().count();
    if all <= LONGEST {
        return text;
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head}… ({} more characters)", all - LONGEST)
}
