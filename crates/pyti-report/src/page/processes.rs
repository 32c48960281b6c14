//! What the processes of each command did: a picture of their tree, and a list that opens.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::Foreign;
use pyti_model::effect::Exit;
use pyti_model::trace::{Deed, Form, Process};

use super::lit::{self, Lit};
use super::safe::{command_anchor, event_anchor, process_anchor};
use crate::deeds::{self, Kind};
use crate::picture::{Picture, picture};
use crate::seen::{Seen, Traced};
use crate::sentences::{shown, shown_str};
use crate::tree::{Row, Tree};
use crate::words::{count, counted, number};

/// Processes of one command that open.
const PROCESSES: usize = 150;
/// Lines of one group of one process.
const LINES: usize = 40;
/// Bytes of text of all processes of one file's part of the page.
const TEXT: usize = 900_000;

/// One command's processes.
pub(crate) struct CommandTree {
    pub(crate) anchor: String,
    pub(crate) task: String,
    /// Its arguments, for tasks with several commands.
    pub(crate) argv: String,
    /// `5 processes, 31 acts; all kept calls were looked at`.
    pub(crate) summary: String,
    pub(crate) open: bool,
    /// Whether its list of processes is short enough to be open.
    pub(crate) few: bool,
    pub(crate) picture: Picture,
    pub(crate) processes: Vec<ProcessPart>,
    pub(crate) more: Option<String>,
    pub(crate) counts: Vec<String>,
    pub(crate) losses: Vec<String>,
}

/// One process.
pub(crate) struct ProcessPart {
    pub(crate) anchor: String,
    pub(crate) class: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
    pub(crate) numbers: String,
    pub(crate) badges: Vec<(&'static str, String)>,
    pub(crate) when: String,
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) groups: Vec<Group>,
}

/// Acts of one kind.
pub(crate) struct Group {
    pub(crate) kind: &'static str,
    pub(crate) lines: Vec<Line>,
    pub(crate) more: usize,
}

/// One act.
pub(crate) struct Line {
    pub(crate) anchor: Option<String>,
    pub(crate) class: String,
    pub(crate) when: String,
    pub(crate) verb: String,
    pub(crate) object: String,
    pub(crate) note: String,
    /// Where more of it is told.
    pub(crate) href: Option<String>,
}

/// All commands of a job that were traced.
pub(crate) fn parts(job: usize, seen: &Seen<'_>, lit: &Lit) -> Vec<CommandTree> {
    let mut budget = TEXT;
    // what findings point to is written first, so that the budget never runs out before it
    let mut order: Vec<usize> = (0..seen.traces.len()).collect();
    order.sort_by_key(|n| !lit.any(seen.traces[*n].seq));
    let mut parts: Vec<(usize, CommandTree)> = order
        .into_iter()
        .map(|n| (n, command(job, &seen.traces[n], lit, &mut budget)))
        .collect();
    parts.sort_by_key(|(n, _)| *n);
    parts.into_iter().map(|(_, part)| part).collect()
}

/// Kinds of acts that these commands have, in the order of the page.
pub(crate) fn kinds(commands: &[CommandTree]) -> Vec<&'static str> {
    Kind::ALL
        .iter()
        .map(|kind| kind.word())
        .filter(|kind| {
            commands
                .iter()
                .flat_map(|command| &command.processes)
                .flat_map(|process| &process.groups)
                .any(|group| group.kind == *kind)
        })
        .collect()
}

fn command(job: usize, traced: &Traced<'_>, lit: &Lit, budget: &mut usize) -> CommandTree {
    let trace = traced.trace;
    let tree = traced.tree();
    let wanted = lit.wanted(traced.seq);
    let mut acts: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
    for (n, act) in (0_u32..).zip(&trace.acts) {
        if let Some(process) = act.process.and_then(|p| usize::try_from(p).ok()) {
            acts.entry(process).or_default().push(n);
        }
    }
    // those of the folded tree first, then the others while there is room
    let rows = tree.folded(traced, &wanted);
    let mut chosen: Vec<usize> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Process { process, .. } => Some(*process),
            Row::Folded { .. } => None,
        })
        .collect();
    let already: BTreeSet<usize> = chosen.iter().copied().collect();
    let others: Vec<usize> = tree
        .order()
        .iter()
        .copied()
        .filter(|n| !already.contains(n))
        .take(PROCESSES.saturating_sub(chosen.len()))
        .collect();
    chosen.extend(others);
    let place: BTreeMap<usize, usize> = tree.order().iter().enumerate().map(|(at, n)| (*n, at)).collect();
    let mut processes: Vec<(usize, ProcessPart)> = Vec::new();
    let lit_first = |n: &usize| lit.path(traced.seq, *n).is_none();
    chosen.sort_by_key(lit_first);
    for n in chosen {
        let Some(process) = trace.processes.get(n) else {
            continue;
        };
        let own = acts.get(&n).map_or(&[][..], Vec::as_slice);
        let part = process_part(job, traced, tree, n, process, own, lit, *budget);
        let size = part.size();
        if size > *budget {
            *budget = 0;
            break;
        }
        *budget -= size;
        processes.push((place.get(&n).copied().unwrap_or_default(), part));
    }
    processes.sort_by_key(|(at, _)| *at);
    let processes: Vec<ProcessPart> = processes.into_iter().map(|(_, part)| part).collect();
    let left = trace.processes.len() - processes.len();
    let more = (left > 0).then(|| {
        format!(
            "{} not shown here: pyti report --csv has what they did",
            counted(left as u64, "process", "processes")
        )
    });
    let has = |n: usize| {
        let anchor = process_anchor(job, traced.seq, n);
        processes
            .iter()
            .any(|part| part.anchor == anchor)
            .then_some(anchor)
    };
    let attempt = if traced.attempt > 1 {
        format!(" (attempt {})", traced.attempt)
    } else {
        String::new()
    };
    CommandTree {
        anchor: command_anchor(job, traced.seq),
        task: format!("{}{attempt}", shown_str(traced.task)),
        argv: trace
            .processes
            .first()
            .map_or_else(String::new, |process| short_argv(&process.argv)),
        summary: summary(traced),
        open: lit.any(traced.seq),
        few: trace.processes.len() <= 14,
        picture: picture(traced, &rows, lit, &has),
        more,
        counts: trace
            .counts
            .iter()
            .take(20)
            .map(|count| format!("{}: {}", counted_words(&count.what), number(count.times)))
            .collect(),
        losses: trace.losses.iter().take(20).map(super::parts::loss).collect(),
        processes,
    }
}

/// A command in the width of a line: its program without folders, and its first arguments.
fn short_argv(argv: &[Foreign]) -> String {
    const LONGEST: usize = 70;
    let Some((program, arguments)) = argv.split_first() else {
        return String::new();
    };
    let program = program.visible();
    let mut text = program.rsplit('/').next().unwrap_or_default().to_owned();
    for argument in arguments.iter().take(12) {
        text.push(' ');
        text.push_str(&shown(argument));
    }
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

fn summary(traced: &Traced<'_>) -> String {
    let trace = traced.trace;
    let form = match trace.form {
        Form::None => "only refused calls were looked at",
        Form::Light => "files that were only read were not looked at",
        Form::Opens => "files that were only asked about were not looked at",
        Form::Full => "all kept calls were looked at",
    };
    format!(
        "{}, {} listed; {form}",
        counted(trace.processes.len() as u64, "process", "processes"),
        count(trace.acts.len() as u64, "act")
    )
}

fn counted_words(what: &str) -> String {
    match what {
        "open_system" => "files of the machine that were read",
        "open_environment" => "files of the environment that were read",
        "open_device" => "devices that were opened",
        "open_missing" => "files that were looked for and not there",
        "execute_missing" => "programs that were looked for and not there",
        "bytecode" => "byte code that was written",
        "look" => "looks at files",
        "list" => "folders that were listed",
        "toolchain" => "acts of compilers and build tools",
        "again" => "the same again",
        "signal_own" => "signals to itself",
        "not_listed" => "acts beyond what is kept",
        other => return shown_str(other),
    }
    .to_owned()
}

#[expect(clippy::too_many_arguments, reason = "all of it is one line of the page")]
fn process_part(
    job: usize,
    traced: &Traced<'_>,
    tree: &Tree,
    n: usize,
    process: &Process,
    acts: &[u32],
    lit: &Lit,
    budget: usize,
) -> ProcessPart {
    let (name, arguments) = deeds::short_process(process);
    let mut groups = Vec::new();
    let mut badges = Vec::new();
    for kind in Kind::ALL {
        let own: Vec<u32> = acts
            .iter()
            .copied()
            .filter(|at| {
                usize::try_from(*at)
                    .ok()
                    .and_then(|at| traced.trace.acts.get(at))
                    .is_some_and(|act| Kind::of(act) == kind)
            })
            .collect();
        if own.is_empty() {
            continue;
        }
        badges.push((kind.word(), number(own.len() as u64)));
        groups.push(group(job, traced, kind, &own, lit, budget));
    }
    ProcessPart {
        anchor: process_anchor(job, traced.seq, n),
        class: format!(
            "d{}{}",
            tree.depth(n).min(12),
            lit::class(lit.path(traced.seq, n))
        ),
        numbers: lit::numbers(lit.process(traced.seq, n)),
        when: when(process),
        facts: facts(traced, n, process),
        name,
        arguments,
        badges,
        groups,
    }
}

fn group(job: usize, traced: &Traced<'_>, kind: Kind, own: &[u32], lit: &Lit, budget: usize) -> Group {
    let mut lines: Vec<(u32, Line)> = Vec::new();
    // evidence first, so that the cap never hides it; then in order of time
    let mut order = own.to_vec();
    order.sort_by_key(|at| (lit.place(traced.seq, *at).is_none(), *at));
    let most = if budget < TEXT / 8 { LINES / 4 } else { LINES };
    for at in order.iter().take(most) {
        let Some(act) = usize::try_from(*at).ok().and_then(|at| traced.trace.acts.get(at)) else {
            continue;
        };
        let named = lit.place(traced.seq, *at);
        let said = deeds::say(act, traced);
        let anchor = event_anchor(job, traced.seq, *at);
        let talk = matches!(act.deed, Deed::Converse(_));
        lines.push((
            *at,
            Line {
                // a conversation is told in the part about the network, and its anchor is there
                href: talk.then(|| format!("f{job}-c{}-{at}", traced.seq)),
                anchor: (named.is_some() && !talk).then_some(anchor),
                class: lit::class(named),
                when: deeds::at(act.at_us),
                verb: said.verb,
                object: said.object,
                note: said.note,
            },
        ));
    }
    lines.sort_by_key(|(at, _)| *at);
    Group {
        kind: kind.word(),
        more: own.len() - lines.len(),
        lines: lines.into_iter().map(|(_, line)| line).collect(),
    }
}

fn when(process: &Process) -> String {
    let began = deeds::at(process.began_us);
    match process.ended {
        Some(end) => format!("{began} to {}", deeds::at(end.at_us.max(process.began_us))),
        None => format!("from {began}, end not seen"),
    }
}

fn facts(traced: &Traced<'_>, n: usize, process: &Process) -> Vec<(&'static str, String)> {
    let mut facts = vec![
        ("executable", shown(&process.executable)),
        ("number in the box", process.pid.to_string()),
    ];
    if process.argv.len() > 1 {
        let argv: Vec<String> = process.argv.iter().take(60).map(shown).collect();
        let mut text = argv.join(" ");
        if process.argv.len() > 60 {
            text.push_str(&format!(" … ({} more)", process.argv.len() - 60));
        }
        facts.push(("arguments", text));
    }
    let path = deeds::ancestry(traced, n);
    if path.len() > 1 {
        facts.push(("started by", path[..path.len() - 1].join(" › ")));
    } else if process.parent.is_none() && n > 0 {
        facts.push(("started by", "not known".to_owned()));
    }
    facts.push(("time", when(process)));
    if let Some(exit) = process.ended.and_then(|end| end.exit) {
        facts.push((
            "ended by",
            match exit {
                Exit::Code(code) => format!("exit code {code}"),
                Exit::Signal(signal) => format!("signal {signal}"),
            },
        ));
    }
    facts
}

impl ProcessPart {
    /// Bytes of its text, and what the markup around it takes.
    fn size(&self) -> usize {
        let lines: usize = self
            .groups
            .iter()
            .flat_map(|group| &group.lines)
            .map(|line| 120 + line.verb.len() + line.object.len() + line.note.len())
            .sum();
        let facts: usize = self.facts.iter().map(|(_, value)| 40 + value.len()).sum();
        300 + self.arguments.len() + lines + facts
    }
}
