//! One run on a terminal.

use pyti_judge::TaskRecord;
use pyti_model::outcome::{Reason, Status, TaskResult, Verdict};
use pyti_model::{Distribution, FileKind};
use unicode_width::UnicodeWidthStr as _;

use crate::findings::Found;
use crate::paint::{Ink, glyph, status_ink};
use crate::sentences::{self, shown_str};
use crate::view::{self, FileView, Row};
use crate::words::{count, number, seconds};
use crate::{Look, Run, findings};

/// Column where sentences begin.
const INDENT: usize = 14;
/// Columns for the time at the end of a line.
const TIME: usize = 12;
/// Column where what belongs to the second answer begins.
const SAFE_INDENT: usize = 8;
/// Findings that are told.
const FINDINGS: usize = 3;
/// Lines of one of them.
const SENTENCE_LINES: usize = 3;
/// What is missing that is told.
const MISSING: usize = 3;

/// The whole block of a run. It ends with a line break; the last line is the next command to type.
pub fn terminal(run: &Run<'_>, look: &Look) -> String {
    let mut lines = vec![header_line(run, look)];
    for file in view::files(run) {
        lines.push(file_name_line(&file.filename, look));
        for row in &file.rows {
            lines.extend(row_lines(row, look));
        }
        if file.rows.is_empty() {
            lines.extend(nothing_ran(&file, look));
        }
    }
    let mut text = lines.join("\n");
    text.push('\n');
    text.push_str(&verdict_lines(run, look));
    text
}

/// The first line: what is tested, on what, how it is shut in. Without a line break at its end.
pub fn header_line(run: &Run<'_>, look: &Look) -> String {
    let what = match run.version {
        Some(version) => format!("{} {}", shown_str(run.name), shown_str(version)),
        None => shown_str(run.name),
    };
    let rest = format!(
        " · {} · {} · no network",
        shown_str(run.interpreter),
        shown_str(run.isolation)
    );
    let room = look.columns().saturating_sub(1 + what.width());
    let what = look.plain(&look.cut(&what, look.columns().saturating_sub(1)));
    format!(
        " {}{}",
        look.ink(Ink::Strong, &what),
        look.plain(&look.cut(&rest, room))
    )
}

/// The line of a file. Without a line break at its end.
pub fn file_line(file: &Distribution, look: &Look) -> String {
    file_name_line(&shown_str(&file.filename), look)
}

fn file_name_line(name: &str, look: &Look) -> String {
    let name = look.plain(&look.cut(name, look.columns().saturating_sub(3)));
    format!("   {}", look.ink(Ink::Quiet, &name))
}

/// One task as soon as it ended, for a live display; lines of a failure follow on lines of their own. `None` for
/// preparation that went well: the whole block folds it. `judged`: from [`pyti_judge::judge_task`] or a judgement.
pub fn task_line(
    kind: FileKind,
    task: &TaskRecord,
    judged: (TaskResult, &[Reason]),
    look: &Look,
) -> Option<String> {
    let calm = matches!(
        judged.0,
        TaskResult::Success | TaskResult::Skipped | TaskResult::Cancelled
    );
    if view::is_quiet(task) && calm {
        return None;
    }
    let mut row = view::row(task, judged);
    if kind != FileKind::Wheel
        && row.name == "install"
        && row.result == TaskResult::Success
        && row.sentence.is_empty()
    {
        "done".clone_into(&mut row.sentence);
    }
    Some(row_lines(&row, look).join("\n"))
}

fn row_lines(row: &Row, look: &Look) -> Vec<String> {
    let (sign, ink) = glyph(row.result, look);
    let columns = look.columns();
    let time = if matches!(row.result, TaskResult::Skipped) {
        String::new()
    } else {
        seconds(row.wall_s)
    };
    let name = look.cut(&row.name, INDENT - 4);
    let head = format!(" {} {name}", look.ink(ink, sign));
    let used = 3 + name.width();
    let sentence = look.plain(&row.sentence);
    let room = columns.saturating_sub(INDENT + TIME);
    let mut out = Vec::new();
    for (i, part) in look.wrap(&sentence, room).into_iter().enumerate() {
        if i == 0 {
            let gap = INDENT.saturating_sub(used);
            let end = columns.saturating_sub(INDENT + part.width() + time.width());
            let pad = if time.is_empty() { 0 } else { end };
            out.push(format!(
                "{head}{}{part}{}{}",
                " ".repeat(gap),
                " ".repeat(pad),
                look.ink(Ink::Quiet, &time)
            ));
        } else {
            out.push(format!("{}{part}", " ".repeat(INDENT)));
        }
    }
    for line in &row.lines {
        let line = look.cut(&look.plain(line), columns.saturating_sub(INDENT));
        out.push(format!("{}{}", " ".repeat(INDENT), look.ink(ink, &line)));
    }
    out
}

fn nothing_ran(file: &FileView<'_>, look: &Look) -> Vec<String> {
    let outcome = &file.job.judgement.outcome;
    let row = Row {
        name: outcome.status.word().to_owned(),
        result: TaskResult::Skipped,
        sentence: sentences::answer(outcome.status, &outcome.reasons, None),
        lines: Vec::new(),
        wall_s: 0.0,
    };
    row_lines(&row, look)
}

/// The end of the block: both answers, what else there is to say, the next command. It ends with a line break.
pub fn verdict_lines(run: &Run<'_>, look: &Look) -> String {
    let (status, reasons) = view::outcome(run);
    let job = view::headline(run);
    let columns = look.columns();
    let word = status.word().to_uppercase();
    let answer = sentences::answer(status, reasons, job.and_then(view::tests));
    let mut lines = Vec::new();
    let indent = word.len() + 3;
    for (i, part) in look
        .wrap(&look.plain(&answer), columns.saturating_sub(indent))
        .into_iter()
        .enumerate()
    {
        let head = if i == 0 {
            format!(" {}  ", look.ink(status_ink(status), &word))
        } else {
            " ".repeat(indent)
        };
        lines.push(format!("{head}{part}"));
    }
    for reason in reasons.iter().skip(1).take(3) {
        let who = sentences::blame(reason.blame)
            .map(|who| format!(" ({who})"))
            .unwrap_or_default();
        let text = format!("also: {}{who}", sentences::reason(reason));
        lines.push(format!(
            "{}{}",
            " ".repeat(indent),
            look.cut(&look.plain(&text), columns.saturating_sub(indent))
        ));
    }
    lines.extend(others(run, look));
    lines.extend(caveats(run, look));
    lines.extend(safe(run, look));
    lines.push(look.plain(&format!(" {}", next(run))));
    let mut text = lines.join("\n");
    text.push('\n');
    text
}

/// The second answer: the verdict, a sentence for each of the heaviest findings, and where to look.
fn safe(run: &Run<'_>, look: &Look) -> Vec<String> {
    let columns = look.columns();
    let verdict = view::verdict(run);
    let words = view::verdict_words(verdict);
    let (word, rest) = words.split_once(": ").unwrap_or((words, ""));
    let ink = findings::verdict_ink(verdict);
    let mut head = format!(" safe?  {}", look.ink(ink, word));
    if !rest.is_empty() {
        head.push_str(&look.plain(&format!(": {rest}")));
    }
    let mut lines = vec![head];
    let room = columns.saturating_sub(SAFE_INDENT);
    let mut say = |head: &str, ink: Ink, text: &str| {
        let width = head.width();
        let mut parts = look.wrap(&look.plain(text), room.saturating_sub(width));
        if parts.len() > SENTENCE_LINES {
            parts.truncate(SENTENCE_LINES);
            if let Some(last) = parts.last_mut() {
                let long = format!("{last} {}", "…".repeat(columns));
                *last = look.cut(
                    &look.plain(&long),
                    (last.width() + 4).min(room.saturating_sub(width)),
                );
            }
        }
        for (n, part) in parts.into_iter().enumerate() {
            let lead = if n == 0 {
                look.ink(ink, head)
            } else {
                " ".repeat(width)
            };
            lines.push(format!("{}{lead}{part}", " ".repeat(SAFE_INDENT)));
        }
    };
    if verdict == Verdict::Inconclusive {
        let missing = findings::missing(run);
        for text in missing.iter().take(MISSING) {
            say("missing  ", Ink::Notice, text);
        }
        if missing.len() > MISSING {
            say("", Ink::Quiet, &format!("and {} more", missing.len() - MISSING));
        }
    }
    let all = findings::findings(run);
    let counted = all.iter().filter(|found| found.counts()).count();
    let remarks = if matches!(verdict, Verdict::Clean | Verdict::NotJudged) {
        0
    } else {
        FINDINGS
    };
    // one of each kind is told, so that what was found often does not hide what was found once
    let mut groups: Vec<(&Found<'_>, usize)> = Vec::new();
    for found in all.iter().filter(|found| found.counts()) {
        let same = groups.iter_mut().find(|(first, _)| {
            first.finding.rule == found.finding.rule && first.finding.phase == found.finding.phase
        });
        match same {
            Some((_, times)) => *times += 1,
            None => groups.push((found, 1)),
        }
    }
    let digits = groups
        .iter()
        .take(remarks)
        .map(|(found, _)| found.number.to_string().len())
        .max()
        .unwrap_or(1);
    for (found, times) in groups.iter().take(remarks) {
        let severity = found.finding.severity;
        let head = format!("{:>digits$} {:<9}", found.number, severity.word());
        say(&head, findings::ink(severity), &findings::sentence(found.finding));
        if *times > 1 {
            let text = format!("and {} more like this", number(*times as u64 - 1));
            say(&" ".repeat(head.width()), Ink::Quiet, &text);
        }
    }
    let more: usize = groups.iter().skip(remarks).map(|(_, times)| times).sum();
    let others = all.len() - counted;
    let mut rest = Vec::new();
    if more > 0 && remarks > 0 {
        rest.push(format!("and {more} more"));
    } else if more > 0 {
        rest.push(count(more as u64, "remark"));
    }
    if others > 0 {
        rest.push(format!(
            "{} that {} not count",
            count(others as u64, "finding"),
            if others == 1 { "does" } else { "do" }
        ));
    }
    if !rest.is_empty() {
        say("", Ink::Quiet, &rest.join(", "));
    }
    if !all.is_empty() && !is_bad(verdict) {
        let id = shown_str(run.id);
        say(
            "",
            Ink::Quiet,
            &format!("look: pyti explain {id} 1, pyti report {id} --html"),
        );
    }
    lines
}

/// Jobs beside the headline's that came to something else.
fn others(run: &Run<'_>, look: &Look) -> Vec<String> {
    let (status, _) = view::outcome(run);
    let first = view::headline(run);
    let mut lines = Vec::new();
    for job in &run.jobs {
        if first.is_some_and(|first| std::ptr::eq(first.record, job.record)) {
            continue;
        }
        let outcome = &job.judgement.outcome;
        if outcome.status.is_good() && status.is_good() {
            continue;
        }
        if outcome.status == status && status.is_untestable() {
            continue;
        }
        let kind = view::kind_word(view::kind(*job));
        let word = outcome.status.word().to_uppercase();
        let text = format!(
            "{kind}: {word}, {}",
            sentences::answer(outcome.status, &outcome.reasons, view::tests(*job))
        );
        let text = look.cut(&look.plain(&text), look.columns().saturating_sub(1));
        lines.push(format!(" {}", look.ink(status_ink(outcome.status), &text)));
    }
    lines
}

/// What makes the answer weaker than it looks.
fn caveats(run: &Run<'_>, look: &Look) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |text: &str| {
        lines.push(look.ink(
            Ink::Notice,
            &look.cut(&look.plain(&format!(" note: {text}")), look.columns()),
        ));
    };
    if run.jobs.iter().any(|job| job.record.interrupted) {
        say("it was interrupted; what ended before is kept");
    } else if run
        .jobs
        .iter()
        .any(|job| !job.record.complete && job.record.decided.is_none())
    {
        say("the recording breaks off; what was recorded before is kept");
    }
    let losses: usize = run.jobs.iter().map(|job| view::losses(*job).count()).sum();
    if losses > 0 {
        say(&format!(
            "the recording has {}",
            crate::words::counted(losses as u64, "loss", "losses")
        ));
    }
    lines
}

/// Whether a verdict asks for a look before anything else.
fn is_bad(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Suspicious | Verdict::Harmful)
}

/// The next command to type.
pub(crate) fn next(run: &Run<'_>) -> String {
    let id = shown_str(run.id);
    if is_bad(view::verdict(run))
        && run
            .jobs
            .iter()
            .any(|job| job.found.is_some_and(|found| !found.findings.is_empty()))
    {
        return format!("why: pyti explain {id} 1 · page: pyti report {id} --html");
    }
    for job in &run.jobs {
        if !matches!(
            job.judgement.outcome.status,
            Status::Fail | Status::Crash | Status::Killed | Status::Broken
        ) {
            continue;
        }
        let failed = job.record.tasks.iter().find(|task| {
            view::judged(*job, task).0 == TaskResult::Failure && task.last_effects().next().is_some()
        });
        if let Some(task) = failed {
            let kind = view::kind_word(view::kind(*job));
            return format!("output: pyti log {id} {kind}/{}", shown_str(&task.name));
        }
    }
    format!("report: pyti report {id}")
}
