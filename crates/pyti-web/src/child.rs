//! The child that reads a hostile recording and renders it. It is shut off before it reads the first byte: it can open no file, reach no
//! network, start nothing, and use only so much memory and time. What it says is bytes of a page, or one line of what went wrong.

use std::io::{self, Read, Write};
use std::process::ExitCode;

use pyti_judge::safety::{Baseline, RuleSet, Suppression, judge_safety};
use serde::{Deserialize, Serialize};

use crate::recording::{Limits, read_recording};

/// Longest order, in bytes.
const ORDER: u32 = 8 << 20;

/// What is wanted of a child; on its standard input, after four bytes of length. The recordings follow.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) form: Wanted,
    /// Names the run in its reports.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) interpreter: String,
    pub(crate) python: String,
    pub(crate) isolation: String,
    /// Lengths of what follows: the recording, its baseline (0: none), the recording to compare with (0: none).
    pub(crate) lengths: [u64; 3],
    pub(crate) rules: Option<Vec<(String, String)>>,
    pub(crate) suppressions: Option<(String, String)>,
}

/// In which form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wanted {
    /// A [`Page`].
    Fragment,
    /// What `--json` prints.
    Summary,
    /// The page as a file of its own.
    Html,
    Junit,
    Sarif,
    Stix,
    PackageAnalysis,
    Markdown,
    Csv,
    /// Output of a task, or of all.
    Log(Option<String>),
    /// A [`Comparison`] of the third recording (before) with the first.
    Compare,
}

/// A rendered report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) main: String,
    pub(crate) data: String,
    /// Tasks that said something.
    pub(crate) tasks: Vec<String>,
}

/// The body of the hidden verb `__page`.
pub fn page_main() -> ExitCode {
    if let Err(error) = pyti_index::parse::shut_off() {
        return fail(&format!("cannot be shut off: {error}"));
    }
    match work() {
        Ok(bytes) => match io::stdout().lock().write_all(&bytes) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(why) => fail(&why),
    }
}

fn fail(why: &str) -> ExitCode {
    // whoever reads it may be gone
    let _ = writeln!(io::stderr(), "{why}");
    ExitCode::from(3)
}

fn work() -> Result<Vec<u8>, String> {
    let mut input = io::stdin().lock();
    let mut length = [0; 4];
    input.read_exact(&mut length).map_err(|e| e.to_string())?;
    let length = u32::from_le_bytes(length);
    if length > ORDER {
        return Err("an order that is too long".to_owned());
    }
    let mut text = vec![0; length as usize];
    input.read_exact(&mut text).map_err(|e| e.to_string())?;
    let order: Order = serde_json::from_slice(&text).map_err(|e| e.to_string())?;
    let mut part = |length: u64| -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        (&mut input)
            .take(length)
            .read_to_end(&mut bytes)
            .map_err(|e| e.to_string())?;
        Ok(bytes)
    };
    let (recording, baseline, other) = (
        part(order.lengths[0])?,
        part(order.lengths[1])?,
        part(order.lengths[2])?,
    );
    render(&order, &recording, &baseline, &other)
}

fn render(order: &Order, recording: &[u8], baseline: &[u8], other: &[u8]) -> Result<Vec<u8>, String> {
    let limits = Limits::default();
    let read = |bytes: &[u8]| read_recording(bytes, &limits).map_err(|e| e.to_string());
    let record = pyti_judge::fold(read(recording)?);
    let judgement = pyti_judge::judge(&record);
    if order.form == Wanted::Compare {
        let other = pyti_judge::fold(read(other)?);
        let judged = pyti_judge::judge(&other);
        return crate::pages::compare_recordings((other, judged), (record, judgement));
    }
    // one that cannot be read is as good as none: nothing is subtracted
    let baseline = if baseline.is_empty() {
        None
    } else {
        read(baseline).ok()
    };
    let baseline = baseline.map(|events| Baseline::from_record(&pyti_judge::fold(events)));
    let rules = match &order.rules {
        Some(files) => Some(RuleSet::load(files).map_err(|e| e.to_string())?),
        None => None,
    };
    let suppressions = match &order.suppressions {
        Some((name, text)) => Suppression::load(name, text).map_err(|e| e.to_string())?,
        None => Vec::new(),
    };
    let found = judge_safety(
        &record,
        rules.as_ref().unwrap_or_else(|| RuleSet::built_in()),
        &suppressions,
        baseline.as_ref(),
    );
    let run = pyti_report::Run {
        id: &order.id,
        name: &order.name,
        version: Some(&order.version),
        interpreter: &order.interpreter,
        python: &order.python,
        isolation: &order.isolation,
        jobs: vec![pyti_report::Job::new(&record, &judgement).with(Some(&found))],
    };
    Ok(match &order.form {
        Wanted::Fragment => {
            let fragment = pyti_report::fragment(&run);
            let page = Page {
                title: fragment.title,
                main: fragment.main,
                data: fragment.data,
                tasks: record
                    .tasks
                    .iter()
                    .filter(|task| !task.effects.is_empty())
                    .map(|task| task.name.clone())
                    .collect(),
            };
            serde_json::to_vec(&page).map_err(|e| e.to_string())?
        }
        Wanted::Summary => {
            serde_json::to_vec(&pyti_report::summary(&run, None)).map_err(|e| e.to_string())?
        }
        Wanted::Html => pyti_report::html(&run).into_bytes(),
        Wanted::Junit => pyti_report::junit(&run).map_err(|e| e.to_string())?.into_bytes(),
        Wanted::Sarif => pyti_report::sarif(&run).into_bytes(),
        Wanted::Stix => pyti_report::indicators(&run).into_bytes(),
        Wanted::PackageAnalysis => pyti_report::package_analysis(&run).into_bytes(),
        Wanted::Markdown => pyti_report::markdown(&run).into_bytes(),
        Wanted::Csv => pyti_report::events_csv(&run).into_bytes(),
        Wanted::Log(task) => log(&record, task.as_deref())?.into_bytes(),
        Wanted::Compare => Vec::new(),
    })
}

/// What the commands of a task were and said, or of all tasks, made harmless to show.
fn log(record: &pyti_judge::JobRecord, wanted: Option<&str>) -> Result<String, String> {
    use pyti_model::Foreign;
    let mut text = String::new();
    for task in &record.tasks {
        if wanted.is_some_and(|wanted| wanted != task.name) || task.effects.is_empty() {
            continue;
        }
        text.push_str(&format!("==== {}\n", Foreign::from(task.name.as_str()).visible()));
        for effect in &task.effects {
            let argv: Vec<_> = effect.effect.argv.iter().map(Foreign::visible).collect();
            text.push_str(&format!("$ {}\n", argv.join(" ")));
            for stream in [&effect.effect.stdout, &effect.effect.stderr] {
                let lines = Foreign::from(stream.text()).visible_lines();
                text.push_str(&lines);
                if !lines.is_empty() && !lines.ends_with('\n') {
                    text.push('\n');
                }
            }
        }
    }
    if text.is_empty() {
        return Err("no task of this name said anything".to_owned());
    }
    Ok(text)
}
