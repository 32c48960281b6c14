//! Two runs side by side.

use askama::Template;
use pyti_judge::compare::{Class, Comparison, FileComparison, FindingLine, Measure};
use pyti_model::Foreign;
use pyti_model::outcome::{Reason, Status, Verdict};

use crate::Look;
use crate::page::{Frame, or_apology};
use crate::paint::Ink;
use crate::sentences::{self, shown, shown_str};
use crate::words::{bytes, count, number, seconds};

/// Entries of one list that are shown; the rest is counted.
const MOST: usize = 10;
/// By what factor time or memory must differ to be worth a line.
const WORTH: f64 = 1.25;

/// The word of a class.
fn word(class: Class) -> (&'static str, Ink) {
    match class {
        Class::Regressed => ("regressed", Ink::Bad),
        Class::Fixed => ("fixed", Ink::Good),
        Class::Changed => ("changed", Ink::Notice),
        Class::Same => ("same", Ink::Quiet),
        Class::New => ("new", Ink::Notice),
        Class::Gone => ("gone", Ink::Notice),
        Class::Unknown => ("unknown", Ink::Notice),
    }
}

/// What a class means, for people.
fn meaning(class: Class) -> &'static str {
    match class {
        Class::Regressed => "it got worse",
        Class::Fixed => "it got better",
        Class::Changed => "as bad as before in another way, or better and worse",
        Class::Same => "nothing changed that counts",
        Class::New => "only the second run has it",
        Class::Gone => "only the first run has it",
        Class::Unknown => "one side ended in an error of PyTI or was not attempted: nothing is known",
    }
}

/// One list of differences: what it is, its first entries, how many there are.
struct List {
    title: &'static str,
    items: Vec<String>,
    more: u64,
}

impl List {
    fn new(title: &'static str, all: impl ExactSizeIterator<Item = String>) -> Option<Self> {
        let total = all.len();
        let items: Vec<String> = all.take(MOST).collect();
        (total > 0).then(|| Self {
            title,
            more: (total - items.len()) as u64,
            items,
        })
    }
}

fn lists(file: &FileComparison) -> Vec<List> {
    let ids = |list: &[Foreign]| list.iter().map(shown).collect::<Vec<_>>().into_iter();
    let why = |list: &[Reason]| list.iter().map(sentences::reason).collect::<Vec<_>>().into_iter();
    let paths = |list: &[(String, Foreign)]| {
        list.iter()
            .map(|(task, path)| format!("{} ({})", shown(path), shown_str(task)))
            .collect::<Vec<_>>()
            .into_iter()
    };
    let findings = |list: &[FindingLine]| {
        list.iter()
            .map(|line| format!("{} ({})", shown_str(&line.sentence), shown_str(&line.phase)))
            .collect::<Vec<_>>()
            .into_iter()
    };
    let safe = file.safety.as_ref();
    let tests = &file.tests;
    let other: Vec<String> = tests
        .other
        .iter()
        .map(|(id, a, b)| format!("{}: {} → {}", shown(id), a.word(), b.word()))
        .collect();
    let costs: Vec<String> = file
        .tasks
        .iter()
        .flat_map(|task| {
            let name = shown_str(&task.task);
            let time = measure(&name, "time", &task.wall_s, seconds);
            let memory = measure(&name, "memory", &task.peak_memory_bytes, |n| bytes(whole(n)));
            [time, memory].into_iter().flatten()
        })
        .collect();
    let results: Vec<String> = file
        .tasks
        .iter()
        .filter(|task| task.result.0 != task.result.1)
        .map(|task| {
            let say = |r: Option<pyti_model::outcome::TaskResult>| {
                r.map_or_else(|| "not there".to_owned(), |r| r.to_string())
            };
            format!(
                "{}: {} → {}",
                shown_str(&task.task),
                say(task.result.0),
                say(task.result.1)
            )
        })
        .collect();
    [
        safe.and_then(|safe| List::new("new findings", findings(&safe.new))),
        safe.and_then(|safe| List::new("findings gone", findings(&safe.gone))),
        List::new("new reasons", why(&file.reasons_new)),
        List::new("reasons gone", why(&file.reasons_gone)),
        List::new("tests that fail now", ids(&tests.newly_failing)),
        List::new("tests that pass now", ids(&tests.newly_passing)),
        List::new("tests with another outcome", other.into_iter()),
        List::new("tests gone", ids(&tests.gone)),
        List::new("new tests", ids(&tests.new)),
        List::new("steps", results.into_iter()),
        List::new("cost", costs.into_iter()),
        List::new("changed only before", paths(&file.changes.only_before)),
        List::new("changed only now", paths(&file.changes.only_after)),
        List::new("changed in another way", paths(&file.changes.different)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "casts saturate, and it is only shown"
)]
fn whole(n: f64) -> u64 {
    n as u64
}

fn measure(task: &str, what: &str, measure: &Measure, show: impl Fn(f64) -> String) -> Option<String> {
    let ratio = measure.ratio.filter(|r| *r >= WORTH || *r <= 1.0 / WORTH)?;
    Some(format!(
        "{task} {what}: {} → {} ({ratio:.2}×)",
        show(measure.before),
        show(measure.after)
    ))
}

fn name(file: &FileComparison) -> String {
    match (&file.before, &file.after) {
        (Some(a), Some(b)) if a != b => format!("{} → {}", shown_str(a), shown_str(b)),
        (_, Some(one)) | (Some(one), None) => shown_str(one),
        (None, None) => file.kind.to_string(),
    }
}

fn statuses(file: &FileComparison) -> String {
    let say = |s: Option<Status>| s.map_or("not there", Status::word);
    match file.status {
        (a, b) if a == b => say(a).to_owned(),
        (a, b) => format!("{} → {}", say(a), say(b)),
    }
}

/// The verdicts, where somebody judged.
fn verdicts(file: &FileComparison) -> Option<String> {
    let say = |verdict: Option<Verdict>| verdict.map_or("not there", Verdict::word);
    let (before, after) = file.safety.as_ref()?.verdict;
    Some(if before == after {
        format!("safety: {}", say(before))
    } else {
        format!("safety: {} → {}", say(before), say(after))
    })
}

fn tests_line(file: &FileComparison) -> Option<String> {
    let (a, b) = (
        sentences::counts(&file.tests.before),
        sentences::counts(&file.tests.after),
    );
    if file.tests.before.executed() == 0 && file.tests.after.executed() == 0 {
        return None;
    }
    Some(if a == b {
        format!("tests: {a}")
    } else {
        format!("tests: {a} → {b}")
    })
}

fn headline(comparison: &Comparison) -> String {
    let parts: Vec<String> = comparison
        .counts()
        .iter()
        .map(|(class, n)| format!("{} {}", number(*n as u64), word(*class).0))
        .collect();
    if parts.is_empty() {
        "nothing to compare".to_owned()
    } else {
        parts.join(", ")
    }
}

/// A comparison on a terminal. It ends with a line break.
pub fn diff_terminal(comparison: &Comparison, look: &Look) -> String {
    let columns = look.columns();
    let mut lines = vec![format!(
        " {}: {}",
        look.ink(Ink::Strong, &count(comparison.files.len() as u64, "file")),
        headline(comparison)
    )];
    for file in &comparison.files {
        let (word, ink) = word(file.class);
        lines.push(format!(
            "   {}",
            look.ink(Ink::Quiet, &look.cut(&look.plain(&name(file)), columns - 3))
        ));
        let word = word.to_uppercase();
        let text = format!("{} · {}", statuses(file), meaning(file.class));
        lines.push(format!(
            " {} {}",
            look.ink(ink, &word),
            look.cut(&look.plain(&text), columns - 2 - word.len())
        ));
        if let Some(verdicts) = verdicts(file) {
            lines.push(look.cut(&look.plain(&format!("   {verdicts}")), columns));
        }
        if let Some(tests) = tests_line(file) {
            lines.push(look.cut(&look.plain(&format!("   {tests}")), columns));
        }
        for list in lists(file) {
            lines.push(format!("   {}", list.title));
            for item in &list.items {
                lines.push(look.cut(&look.plain(&format!("     {item}")), columns));
            }
            if list.more > 0 {
                lines.push(format!("     and {} more", number(list.more)));
            }
        }
        let dropped = file.tests.dropped + file.changes.dropped;
        if dropped > 0 {
            lines.push(format!("   {} not kept", count(dropped, "further difference")));
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// A comparison for other programs.
pub fn diff_json(comparison: &Comparison) -> Result<String, serde_json::Error> {
    serde_json::to_string(comparison)
}

#[derive(Template)]
#[template(path = "diff.html", blocks = ["compared"])]
struct DiffPage {
    frame: Frame,
    headline: String,
    files: Vec<DiffFile>,
}

struct DiffFile {
    name: String,
    class: &'static str,
    meaning: &'static str,
    statuses: String,
    safety: Option<String>,
    tests: Option<String>,
    lists: Vec<List>,
    dropped: u64,
}

/// A comparison as one self-contained page.
pub fn diff_html(comparison: &Comparison) -> String {
    or_apology(page(comparison).render())
}

/// The same for a page of somebody else: HTML, without a frame.
pub fn diff_fragment(comparison: &Comparison) -> String {
    or_apology(page(comparison).as_compared().render())
}

fn page(comparison: &Comparison) -> DiffPage {
    DiffPage {
        frame: Frame::new("Two runs compared".to_owned(), "{}".to_owned()),
        headline: headline(comparison),
        files: comparison
            .files
            .iter()
            .map(|file| DiffFile {
                name: name(file),
                class: word(file.class).0,
                meaning: meaning(file.class),
                statuses: statuses(file),
                safety: verdicts(file),
                tests: tests_line(file),
                lists: lists(file),
                dropped: file.tests.dropped + file.changes.dropped,
            })
            .collect(),
    }
}
