//! One finding with its proof, for a terminal.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::trace::{Deed, Process, Written};
use unicode_width::UnicodeWidthStr as _;

use crate::deeds;
use crate::findings::{self, Found};
use crate::paint::Ink;
use crate::seen::{Proof, Seen, Traced};
use crate::sentences::{shown, shown_str};
use crate::talk::{self, Piece};
use crate::tree::Row;
use crate::view;
use crate::words::count;
use crate::{Look, Run};

/// Pieces of evidence shown; the rest is counted.
const EVIDENCE: usize = 30;
/// Lines of what is known of a rule.
const ABOUT: usize = 30;
/// Lines of one body.
const BODY: usize = 12;
/// Column where the parts of a piece of evidence begin.
const INDENT: usize = 7;

/// A finding that a run does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoFinding {
    /// Nobody judged what it did.
    #[error("what {run} did was not judged")]
    NotJudged {
        /// The run.
        run: String,
    },
    /// It has others, or none.
    #[error("{run} has no finding {which}: it has {has}")]
    Missing {
        /// The run.
        run: String,
        /// What was asked for.
        which: String,
        /// What there is: `none`, `3: reads-decoy, …`.
        has: String,
    },
}

/// One finding: what it says, its rule, its evidence in order, and the tree of processes with the path marked.
/// `which`: its number as shown, or the name of a rule, which explains all findings of that rule. `about`: what is
/// known of a rule, by its name. The text ends with a line break.
pub fn explain(
    run: &Run<'_>,
    which: &str,
    about: &dyn Fn(&str) -> Option<String>,
    look: &Look,
) -> Result<String, NoFinding> {
    if run.jobs.iter().all(|job| job.found.is_none()) {
        return Err(NoFinding::NotJudged {
            run: shown_str(run.id),
        });
    }
    let all = findings::findings(run);
    let wanted: Vec<&Found<'_>> = match which.parse::<usize>() {
        Ok(number) => all.iter().filter(|found| found.number == number).collect(),
        Err(_) => all.iter().filter(|found| found.finding.rule == which).collect(),
    };
    if wanted.is_empty() {
        let rules: BTreeSet<String> = all.iter().map(|found| shown_str(&found.finding.rule)).collect();
        let has = if all.is_empty() {
            "none".to_owned()
        } else {
            let rules: Vec<String> = rules.into_iter().collect();
            format!("{}: {}", all.len(), crate::words::some(&rules, 6))
        };
        return Err(NoFinding::Missing {
            run: shown_str(run.id),
            which: shown_str(which),
            has,
        });
    }
    let mut text = String::new();
    for found in wanted {
        if !text.is_empty() {
            text.push('\n');
        }
        for line in one(run, found, all.len(), about, look) {
            text.push_str(line.trim_end());
            text.push('\n');
        }
    }
    text.push_str(&look.plain(&format!(" page: pyti report {} --html\n", shown_str(run.id))));
    Ok(text)
}

fn one(
    run: &Run<'_>,
    found: &Found<'_>,
    all: usize,
    about: &dyn Fn(&str) -> Option<String>,
    look: &Look,
) -> Vec<String> {
    let finding = found.finding;
    let Some(job) = run.jobs.get(found.job) else {
        return Vec::new();
    };
    let columns = look.columns();
    let mut lines = vec![format!(
        " {} {} of {all} in {}",
        look.ink(
            findings::ink(finding.severity),
            &finding.severity.word().to_uppercase()
        ),
        look.plain(&format!("· finding {}", found.number)),
        look.plain(&format!(
            "{} {}",
            shown_str(run.name),
            shown_str(run.version.unwrap_or(""))
        )),
    )];
    for part in look.wrap(&look.plain(&findings::sentence(finding)), columns - 1) {
        lines.push(format!(" {}", look.ink(Ink::Strong, &part)));
    }
    let mut files = vec![view::filename(*job)];
    files.extend(
        found
            .also
            .iter()
            .filter_map(|n| run.jobs.get(*n))
            .map(|job| view::filename(*job)),
    );
    let mut facts = vec![
        (
            "rule",
            format!("{}: {}", shown_str(&finding.rule), shown_str(&finding.title)),
        ),
        (
            "phase",
            format!("{} of {}", shown_str(&finding.phase), files.join(" and of ")),
        ),
        ("family", finding.family.word().to_owned()),
    ];
    if !finding.mitre.is_empty() {
        facts.push((
            "ATT&CK",
            finding
                .mitre
                .iter()
                .map(|id| shown_str(id))
                .collect::<Vec<_>>()
                .join(", "),
        ));
    }
    if let Some(why) = findings::why_not(finding) {
        facts.push(("counts", format!("no, {why}")));
    }
    lines.push(String::new());
    for (name, value) in facts {
        for (n, part) in look
            .wrap(&look.plain(&value), columns - 11)
            .into_iter()
            .enumerate()
        {
            let name = if n == 0 { name } else { "" };
            lines.push(format!(
                "   {}{part}",
                look.ink(Ink::Quiet, &format!("{name:<8}"))
            ));
        }
    }
    if let Some(text) = about(&finding.rule) {
        let text = pyti_model::Foreign::from(text).visible_lines();
        lines.push(String::new());
        for part in text
            .lines()
            .take(ABOUT)
            .flat_map(|line| look.wrap(&look.plain(line), columns - 3))
        {
            lines.push(format!("   {part}").trim_end().to_owned());
        }
    }
    let seen = Seen::of(job);
    lines.push(String::new());
    lines.push(format!(" {}", look.ink(Ink::Strong, "evidence")));
    if finding.events.is_empty() {
        lines.push("   the rule names no event".to_owned());
    }
    let mut marked: BTreeMap<u64, BTreeMap<usize, Vec<usize>>> = BTreeMap::new();
    for (n, place) in finding.events.iter().enumerate() {
        let proof = seen.at(*place);
        if let Proof::Act(traced, _, act) = &proof
            && let Some(process) = act.process.and_then(|p| usize::try_from(p).ok())
            && process < traced.trace.processes.len()
        {
            marked
                .entry(traced.seq)
                .or_default()
                .entry(process)
                .or_default()
                .push(n + 1);
        }
        if n < EVIDENCE {
            lines.extend(evidence(n + 1, &place.to_string(), &proof, &seen, look));
        }
    }
    if finding.events.len() > EVIDENCE {
        lines.push(format!("   and {} more", finding.events.len() - EVIDENCE));
    }
    for (seq, processes) in &marked {
        if let Some(traced) = seen.traced(*seq) {
            lines.push(String::new());
            lines.push(look.plain(&format!(
                " {} of {}",
                look.ink(Ink::Strong, "processes"),
                shown_str(traced.task)
            )));
            lines.extend(tree(traced, processes, look));
        }
    }
    lines.push(String::new());
    lines
}

/// What there is to say of one piece of evidence.
#[derive(Default)]
struct Told {
    said: String,
    more: Vec<String>,
    /// When, by whom; what is known of it.
    about: Vec<String>,
}

/// One piece of evidence.
fn evidence(n: usize, place: &str, proof: &Proof<'_, '_>, seen: &Seen<'_>, look: &Look) -> Vec<String> {
    let room = look.columns() - INDENT;
    let mut told = match proof {
        Proof::Act(traced, item, act) => {
            let said = deeds::say(act, traced);
            let (said, more) = match &act.deed {
                Deed::Converse(talk) if !talk.exchanges.is_empty() || talk.sent.total > 0 => (
                    format!("{} {}", said.verb, said.object),
                    conversed(talk, seen, traced, *item, look),
                ),
                _ => (said.line(), Vec::new()),
            };
            let who = act.process.map_or_else(
                || "by a process that is not known".to_owned(),
                |process| ancestry(traced, process),
            );
            Told {
                said,
                more,
                about: vec![deeds::at(act.at_us), who],
            }
        }
        Proof::Command(traced) => Told {
            said: format!("the whole command of {}", shown_str(traced.task)),
            ..Told::default()
        },
        Proof::Change(task, change) => Told {
            said: crate::page::change_sentence(change),
            more: seen
                .content(task, &change.path)
                .map(|file| content(file, look))
                .unwrap_or_default(),
            about: vec![format!("in {}", shown_str(task))],
        },
        Proof::Written(task, file) => Told {
            said: format!("wrote {} ({})", shown(&file.path), crate::words::bytes(file.size)),
            more: content(file, look),
            about: vec![format!("in {}", shown_str(task))],
        },
        Proof::Ran(task, effect) => Told {
            said: deeds::ran(effect),
            about: vec![format!("in {}", shown_str(task))],
            ..Told::default()
        },
        Proof::Other => Told {
            said: "an event that tells no more".to_owned(),
            ..Told::default()
        },
    };
    told.about.push(format!("event {place}"));
    let mut lines = Vec::new();
    for (i, part) in look.wrap(&look.plain(&told.said), room).into_iter().enumerate() {
        let head = if i == 0 { format!("{n:>5}") } else { " ".repeat(5) };
        lines.push(format!("{head}  {part}"));
    }
    let indent = " ".repeat(INDENT);
    for line in told.more {
        lines.push(format!("{indent}  {line}"));
    }
    for part in look.wrap(&look.plain(&told.about.join(" · ")), room) {
        lines.push(format!("{indent}{}", look.ink(Ink::Quiet, &part)));
    }
    lines
}

/// What a file holds, as far as it was kept.
fn content(file: &Written, look: &Look) -> Vec<String> {
    const LINES: usize = 8;
    let room = look.columns().saturating_sub(INDENT + 2);
    let text = talk::readable(file.preview.as_bytes());
    let mut lines: Vec<String> = text
        .lines()
        .take(LINES)
        .map(|line| look.cut(&look.plain(line), room))
        .collect();
    if text.lines().count() > LINES {
        lines.push(format!("{} more lines", text.lines().count() - LINES));
    }
    lines.push(look.cut(&look.plain(&format!("sha256 {}", file.sha256)), room));
    lines
}

/// A process with those above it: `python3.13 … › sh -c … › curl`.
fn ancestry(traced: &Traced<'_>, process: u32) -> String {
    let Ok(process) = usize::try_from(process) else {
        return String::new();
    };
    let shown = deeds::ancestry(traced, process).join(" › ");
    let number = traced
        .trace
        .processes
        .get(process)
        .map_or(0, |process| process.pid);
    format!("by {shown} (process {number})")
}

/// What was said, with secrets of decoys marked.
fn conversed(
    conversation: &pyti_model::trace::Conversation,
    seen: &Seen<'_>,
    traced: &Traced<'_>,
    item: u32,
    look: &Look,
) -> Vec<String> {
    let needles = talk::needles(seen, traced, item);
    let room = look.columns().saturating_sub(INDENT + 2);
    let mut lines = Vec::new();
    let (talks, more) = talk::talks(conversation, &needles);
    for talk in talks.iter().take(4) {
        let answer = if talk.answer.is_empty() {
            String::new()
        } else {
            format!(" → {}", talk.answer)
        };
        lines.extend(wrapped(&format!("{}{answer}", joined(&talk.line)), room, look));
        for (name, value) in &talk.headers {
            lines.extend(wrapped(&format!("  {name}: {}", joined(value)), room, look));
        }
        if let Some(body) = &talk.body {
            lines.extend(body_lines(body, room, look));
        }
    }
    let more = more + talks.len().saturating_sub(4);
    if more > 0 {
        lines.push(format!("and {}", count(more as u64, "more exchange")));
    }
    if conversation.exchanges.is_empty()
        && let Some(body) = talk::body(&conversation.sent, &needles)
    {
        lines.extend(body_lines(&body, room, look));
    }
    for one in talk::hidden(traced, item) {
        lines.push(look.ink(Ink::Bad, &look.cut(&look.plain(&format!("carried {one}")), room)));
    }
    lines
}

fn body_lines(body: &talk::Body, room: usize, look: &Look) -> Vec<String> {
    let mut lines = vec![format!("  body, {}:", body.size)];
    let text = joined(&talk::around_decoys(body.pieces.clone()));
    for line in text.lines().take(BODY) {
        lines.extend(wrapped(&format!("    {line}"), room, look));
    }
    if text.lines().count() > BODY {
        lines.push(format!("    {} more lines", text.lines().count() - BODY));
    }
    if let Some((how, pieces)) = body.decoded.as_ref().filter(|(how, _)| *how != "JSON") {
        lines.push(format!("  decoded from {how}:"));
        for line in joined(pieces).lines().take(BODY) {
            lines.extend(wrapped(&format!("    {line}"), room, look));
        }
    }
    if !body.left_out.is_empty() {
        lines.push(format!("  {}", body.left_out));
    }
    lines
}

/// Pieces as one text, secrets between marks.
fn joined(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match &piece.decoy {
            Some(decoy) => format!("«{}: {}»", decoy, piece.text),
            None => piece.text.clone(),
        })
        .collect()
}

/// A line cut so that it takes no more than some.
fn wrapped(text: &str, room: usize, look: &Look) -> Vec<String> {
    const LINES: usize = 6;
    let text = look.plain(text);
    let indent: String = text.chars().take_while(|c| *c == ' ').collect();
    let mut rest = look.cut(text.trim_start(), LINES * room.saturating_sub(indent.len()));
    let mut lines = Vec::new();
    while !rest.is_empty() {
        let mut used = indent.width();
        let end = rest
            .char_indices()
            .find(|(_, c)| {
                used += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
                used > room
            })
            .map_or(rest.len(), |(at, _)| at)
            .max(rest.chars().next().map_or(1, char::len_utf8));
        let tail = rest.split_off(end);
        lines.push(format!("{indent}{rest}"));
        rest = tail;
    }
    lines
}

/// The tree of a command's processes; those that the evidence names are marked.
fn tree(traced: &Traced<'_>, marked: &BTreeMap<usize, Vec<usize>>, look: &Look) -> Vec<String> {
    let tree = traced.tree();
    let wanted: BTreeSet<usize> = marked.keys().copied().collect();
    let path = tree.ways(&wanted);
    let columns = look.columns();
    let rows = tree.folded(traced, &wanted);
    let depths: Vec<usize> = rows
        .iter()
        .map(|row| match row {
            Row::Process { depth, .. } | Row::Folded { depth, .. } => *depth,
        })
        .collect();
    let mut lines = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        let lead = branches(&depths, at, look);
        match row {
            Row::Process { process, .. } => {
                let Some(one) = traced.trace.processes.get(*process) else {
                    continue;
                };
                lines.push(process_line(one, &lead, *process, &path, marked, columns, look));
            }
            Row::Folded { number, names, .. } => {
                let text = format!(
                    "   {lead}  {}: {names}",
                    crate::words::counted(*number as u64, "more process", "more processes")
                );
                lines.push(look.ink(Ink::Quiet, &look.cut(&look.plain(&text), columns)));
            }
        }
    }
    lines
}

fn process_line(
    process: &Process,
    lead: &str,
    number: usize,
    path: &BTreeSet<usize>,
    marked: &BTreeMap<usize, Vec<usize>>,
    columns: usize,
    look: &Look,
) -> String {
    let on_path = path.contains(&number);
    let sign = match (on_path, look.ascii) {
        (true, false) => "●",
        (true, true) => "*",
        (false, false) => "○",
        (false, true) => "o",
    };
    let proofs = marked.get(&number).map_or_else(String::new, |proofs| {
        let proofs: Vec<String> = proofs.iter().map(usize::to_string).collect();
        format!("  ← {}", crate::words::some(&proofs, 6))
    });
    let (name, arguments) = deeds::short_process(process);
    let proofs = look.plain(&proofs);
    let room = columns.saturating_sub(5 + lead.width() + proofs.width());
    let text = look.cut(&look.plain(format!("{name} {arguments}").trim_end()), room);
    let ink = if on_path { Ink::Bad } else { Ink::Quiet };
    format!(
        "   {lead}{} {}{}",
        look.ink(ink, sign),
        if on_path {
            text
        } else {
            look.ink(Ink::Quiet, &text)
        },
        look.ink(Ink::Bad, &proofs)
    )
}

/// The lines that lead to a row: `│  └─ `.
fn branches(depths: &[usize], at: usize, look: &Look) -> String {
    const DEEPEST: usize = 16;
    let (bar, tee, corner) = if look.ascii {
        ("|  ", "|- ", "`- ")
    } else {
        ("│  ", "├─ ", "└─ ")
    };
    let depth = depths[at].min(DEEPEST);
    let follows = |level: usize| {
        depths[at + 1..]
            .iter()
            .take_while(|depth| **depth >= level)
            .any(|depth| *depth == level)
    };
    (1..=depth)
        .map(|level| match (level == depth, follows(level)) {
            (true, true) => tee,
            (true, false) => corner,
            (false, true) => bar,
            (false, false) => "   ",
        })
        .collect()
}
