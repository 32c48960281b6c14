//! The lines that tell most about a failure, out of all that was said.

use pyti_judge::TaskRecord;
use pyti_model::effect::Effect;
use pyti_model::raw::{Build, Import, ImportOutcome, PythonError, RawData, Test, TestCase, TestOutcome};

use crate::sentences::{not_imported, shown, shown_str};

/// Lines shown for one failure.
pub(crate) const MOST: usize = 3;
/// Lines of output that are looked at, from the end.
const LOOKED_AT: usize = 400;

/// What lines of output look like when they say what went wrong, most telling first.
const MARKS: [&str; 8] = [
    "fatal error:",
    "error:",
    "Error:",
    "Exception:",
    "undefined reference",
    "not found",
    "FAILED",
    "Killed",
];

/// At most [`MOST`] lines, safe to show, each without a line break.
pub(crate) fn lines(task: &TaskRecord) -> Vec<String> {
    let mut lines = match &task.raw {
        Some(RawData::Test(x)) => test(x),
        Some(RawData::Import(x)) => import(x),
        Some(RawData::Build(x)) => build(x),
        Some(RawData::Hook(x)) => x.error.as_ref().map(place).unwrap_or_default(),
        Some(RawData::Resolve(x)) => x
            .explanation
            .as_ref()
            .map(|text| first_lines(&text.visible_lines()))
            .unwrap_or_default(),
        Some(RawData::Unpack(x)) => x
            .refused
            .iter()
            .map(|r| format!("{}: {}", shown(&r.name), shown_str(&r.why)))
            .collect(),
        _ => Vec::new(),
    };
    if lines.is_empty()
        && let Some(last) = task.last_effects().last()
    {
        lines = output(&last.effect);
    }
    lines.truncate(MOST);
    lines
}

fn first_lines(text: &str) -> Vec<String> {
    text.lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .take(MOST)
        .map(shown_str)
        .collect()
}

fn test(x: &Test) -> Vec<String> {
    let mut lines: Vec<String> = x
        .collection_errors
        .iter()
        .take(MOST)
        .map(|(place, text)| format!("{}: {}", shown(place), core(&text.visible_lines())))
        .collect();
    let bad = x
        .cases
        .iter()
        .filter(|c| matches!(c.outcome, TestOutcome::Failed | TestOutcome::Error));
    lines.extend(bad.take(MOST).map(case));
    lines
}

/// One failed test with the core of its message.
pub(crate) fn case(case: &TestCase) -> String {
    let core = core(&case.message.visible_lines());
    if core.is_empty() {
        shown(&case.id)
    } else {
        format!("{}: {core}", shown(&case.id))
    }
}

/// The line of a traceback or report that says what went wrong: pytest's first `E` line, else the last line.
pub(crate) fn core(text: &str) -> String {
    let marked = text
        .lines()
        .find_map(|line| line.strip_prefix("E "))
        .map(str::trim)
        .filter(|l| !l.is_empty());
    let last = || text.lines().map(str::trim).rfind(|l| !l.is_empty()).unwrap_or("");
    shown_str(marked.unwrap_or_else(last))
}

fn import(x: &Import) -> Vec<String> {
    let bad = x.modules.iter().filter(|m| m.outcome != ImportOutcome::Imported);
    let mut lines = Vec::new();
    for module in bad.take(MOST) {
        lines.push(format!(
            "{} {}",
            shown(&module.module),
            not_imported(&module.outcome)
        ));
        if let ImportOutcome::Raised { error } = &module.outcome {
            lines.extend(place(error));
        }
    }
    // the first is in the sentence already
    if !lines.is_empty() {
        lines.remove(0);
    }
    lines
}

/// The last place of a traceback.
fn place(error: &PythonError) -> Vec<String> {
    let text = error.traceback.visible_lines();
    let mut lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines
        .iter()
        .rposition(|line| line.trim_start().starts_with("File \""))
    else {
        return Vec::new();
    };
    let mut lines = lines.split_off(at);
    lines.truncate(2);
    lines.into_iter().map(|line| shown_str(line.trim())).collect()
}

fn build(x: &Build) -> Vec<String> {
    let mut lines = Vec::new();
    for call in x.compiler_calls.iter().filter(|call| call.exit != 0) {
        let said = call.said.visible_lines();
        let best = said
            .lines()
            .find(|l| MARKS.iter().any(|mark| l.contains(mark)))
            .or_else(|| said.lines().next());
        if let Some(line) = best {
            lines.push(shown_str(line.trim()));
        }
    }
    if lines.is_empty()
        && let Some(error) = &x.error
    {
        lines = place(error);
    }
    lines
}

/// The most telling lines of a command's output.
pub(crate) fn output(effect: &Effect) -> Vec<String> {
    for captured in [&effect.stderr, &effect.stdout] {
        let bytes = if captured.tail.is_empty() {
            &captured.head
        } else {
            &captured.tail
        };
        let text = bytes.visible_lines();
        let all: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        if all.is_empty() {
            continue;
        }
        let late = &all[all.len().saturating_sub(LOOKED_AT)..];
        let marked: Vec<&&str> = late
            .iter()
            .filter(|l| MARKS.iter().any(|mark| l.contains(mark)))
            .collect();
        if marked.is_empty() {
            return late[late.len().saturating_sub(MOST)..]
                .iter()
                .map(|l| shown_str(l))
                .collect();
        }
        return marked.iter().take(MOST).map(|l| shown_str(l)).collect();
    }
    Vec::new()
}
