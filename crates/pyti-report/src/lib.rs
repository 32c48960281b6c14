//! Recordings and judgements become something to read: terminal text, a page, JSON, JUnit, Markdown.
//!
//! Pure: what is shown depends on what is given, on nothing else. Whatever a package wrote is shown only by
//! [`pyti_model::Foreign::visible`] and escaped again where the form needs it.

mod deeds;
mod diff;
mod explain;
mod export;
mod findings;
mod junit;
mod markdown;
mod page;
mod paint;
mod picture;
mod quality;
mod seen;
mod sentences;
mod several;
mod summary;
mod talk;
mod telling;
mod terminal;
mod timeline;
mod tree;
mod view;
mod words;

use pyti_judge::{JobRecord, Judgement};

pub use diff::{diff_fragment, diff_html, diff_json, diff_terminal};
pub use explain::{NoFinding, explain};
pub use export::{NoCoverage, cobertura, coverage_json, lcov};
pub use export::{events_csv, indicators, package_analysis, sarif};
pub use findings::{Found, findings, verdict_ink};
pub use junit::{JUnitError, junit};
pub use markdown::markdown;
pub use page::{Fragment, SCRIPT, STYLE, fragment, html};
pub use paint::{Ink, status_ink};
pub use several::several;
pub use summary::summary;
pub use terminal::{file_line, header_line, task_line, terminal, verdict_lines};
pub use words::{bytes, seconds};

/// One target on one interpreter: the job of its wheel, of its sdist, or both.
pub struct Run<'a> {
    /// Name of the run: a few hexadecimal digits.
    pub id: &'a str,
    /// Project name, normalised.
    pub name: &'a str,
    /// Version, where one could be chosen.
    pub version: Option<&'a str>,
    /// For people: `CPython 3.13`.
    pub interpreter: &'a str,
    /// `3.13`.
    pub python: &'a str,
    /// `sandbox`.
    pub isolation: &'a str,
    /// The wheel's first.
    pub jobs: Vec<Job<'a>>,
}

/// One file's job, judged.
#[derive(Debug, Clone, Copy)]
pub struct Job<'a> {
    /// What happened.
    pub record: &'a JobRecord,
    /// What it came to.
    pub judgement: &'a Judgement,
    /// What a judge of its behaviour found, where one looked.
    pub found: Option<&'a pyti_model::finding::Judgement>,
}

impl<'a> Job<'a> {
    /// A job of which only *works?* is known.
    pub fn new(record: &'a JobRecord, judgement: &'a Judgement) -> Self {
        Self {
            record,
            judgement,
            found: None,
        }
    }

    /// The same job with what a judge found in what it did.
    #[must_use]
    pub fn with(self, found: Option<&'a pyti_model::finding::Judgement>) -> Self {
        Self { found, ..self }
    }
}

/// How terminal text may look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Colour may be used.
    pub colour: bool,
    /// Columns.
    pub width: usize,
    /// Only ASCII.
    pub ascii: bool,
}
