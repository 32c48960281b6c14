//! The tree of a command's processes as a picture: names to the left, time to the right, what findings name lit.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::trace::{Act, DecoyUse, Deed, Result};

use crate::deeds::{self, Kind};
use crate::page::lit::{self, Lit};
use crate::seen::Traced;
use crate::sentences::{shown, shown_str};
use crate::tree::Row;
use crate::words::{counted, float};

/// Height of a line, in pixels.
const LINE: usize = 26;
/// Room above the first line, for the scale of time.
const HEAD: usize = 26;
/// How far a child stands to the right of its parent.
const STEP: usize = 20;
/// Deepest level that is set apart.
const DEEPEST: usize = 14;
/// Acts shown below one process.
const LEAVES: usize = 6;
/// Acts shown below processes that no finding names.
const FEW_LEAVES: usize = 3;
/// Marks on one process' bar.
const TICKS: usize = 40;
/// Width of the time scale in its own units.
const WIDE: f64 = 1000.0;

/// A picture. Numbers are pixels, but for those of bars, which are thousandths of the time scale.
pub(crate) struct Picture {
    pub(crate) height: usize,
    pub(crate) span: String,
    pub(crate) lines: Vec<Line>,
    /// Lines from parents, class and path: those that matter most come last, over the others.
    pub(crate) edges: Vec<(String, String)>,
}

/// One line of the picture.
pub(crate) struct Line {
    /// `process`, `leaf` or `folded`.
    pub(crate) kind: &'static str,
    pub(crate) class: String,
    pub(crate) x: usize,
    pub(crate) text_x: usize,
    pub(crate) y: usize,
    pub(crate) text_y: usize,
    /// The line from its parent; empty for a root.
    edge: String,
    pub(crate) name: String,
    pub(crate) rest: String,
    /// All of it in words.
    pub(crate) title: String,
    pub(crate) href: Option<String>,
    pub(crate) numbers: String,
    /// Width and left end of the mark around the numbers.
    pub(crate) mark_w: usize,
    pub(crate) mark_x: usize,
    pub(crate) bar: Option<Bar>,
}

/// Text cut so that it mostly fits beside the time scale of a wide page.
fn cut(text: &str, depth: usize) -> String {
    let most = 80_usize.saturating_sub(depth.min(DEEPEST) * 3);
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let head: String = text.chars().take(most).collect();
    format!("{head}…")
}

impl Line {
    /// Makes room for the numbers of findings.
    fn mark(&mut self) {
        let letters = self.numbers.chars().count();
        if letters > 0 {
            self.mark_w = 10 + 7 * letters;
            self.mark_x = self.x - 8;
            self.text_x = self.mark_x + self.mark_w + 6;
        }
    }

    /// Middle of the mark.
    pub(crate) fn mark_middle(&self) -> usize {
        self.mark_x + self.mark_w / 2
    }
}

/// When a process lived, and when it did what matters.
pub(crate) struct Bar {
    pub(crate) x: String,
    pub(crate) width: String,
    pub(crate) y: usize,
    pub(crate) ticks: Vec<String>,
    pub(crate) tick_y: usize,
}

/// Draws the folded tree of a trace. `anchor` says where on the page a process is told.
pub(crate) fn picture(
    traced: &Traced<'_>,
    rows: &[Row],
    lit: &Lit,
    anchor: &dyn Fn(usize) -> Option<String>,
) -> Picture {
    let trace = traced.trace;
    let last = trace
        .processes
        .iter()
        .map(|process| process.ended.map_or(process.began_us, |end| end.at_us))
        .chain(trace.acts.iter().map(|act| act.at_us))
        .max()
        .unwrap_or(0)
        .max(1);
    let mut lines: Vec<Line> = Vec::new();
    // where the line of the latest row of each depth is
    let mut at_depth: Vec<usize> = Vec::new();
    let mut leaves = leaves(traced, lit, rows);
    let ticks = ticks(traced, lit);
    for row in rows {
        match row {
            Row::Process { process, depth } => {
                let Some(one) = trace.processes.get(*process) else {
                    continue;
                };
                let path = lit.path(traced.seq, *process);
                let own = lit.process(traced.seq, *process);
                let (name, rest) = deeds::short_process(one);
                let mut line = new("process", lines.len(), *depth, &mut at_depth);
                line.class = lit::class(path);
                if own.is_some() {
                    line.class.push_str(" own");
                }
                line.numbers = lit::numbers(own);
                line.href = anchor(*process);
                let end = one.ended.map_or(last, |end| end.at_us).max(one.began_us);
                line.title = format!(
                    "{}: from {} to {}{}",
                    format!("{name} {rest}").trim_end(),
                    deeds::at(one.began_us),
                    deeds::at(end),
                    if own.is_some() {
                        format!(", proof of finding {}", line.numbers)
                    } else {
                        String::new()
                    }
                );
                line.bar = Some(bar(
                    one.began_us,
                    end,
                    last,
                    line.y,
                    ticks.get(process).map_or(&[][..], Vec::as_slice),
                ));
                line.name = name;
                line.rest = cut(&rest, *depth);
                line.mark();
                lines.push(line);
                for (act, at) in leaves.remove(process).unwrap_or_default() {
                    let mut line = new("leaf", lines.len(), *depth + 1, &mut at_depth);
                    let named = lit.place(traced.seq, at);
                    line.class = format!(" k-{}{}", Kind::of(act).word(), lit::class(named));
                    if named.is_some() {
                        line.class.push_str(" own");
                    }
                    line.numbers = lit::numbers(named);
                    line.title = deeds::say(act, traced).line();
                    (line.name, line.rest) = leaf_words(act, traced);
                    if matches!(act.result, Result::Failed(_)) {
                        line.rest.push_str(" (failed)");
                    }
                    line.rest = cut(&line.rest, *depth + 1);
                    line.href = anchor(*process);
                    line.mark();
                    lines.push(line);
                }
            }
            Row::Folded { depth, number, names } => {
                let mut line = new("folded", lines.len(), *depth, &mut at_depth);
                line.name = counted(*number as u64, "more process", "more processes");
                line.rest.clone_from(names);
                line.title = format!("{}: {names}", line.name);
                lines.push(line);
            }
        }
    }
    let mut edges: Vec<(String, String)> = lines
        .iter_mut()
        .filter(|line| !line.edge.is_empty())
        .map(|line| (line.class.clone(), std::mem::take(&mut line.edge)))
        .collect();
    edges.sort_by_key(|(class, _)| match class {
        class if class.contains(" weak") => 1,
        class if class.contains(" mild") => 2,
        class if class.contains(" lit") => 3,
        _ => 0,
    });
    Picture {
        edges,
        height: HEAD + lines.len() * LINE + 6,
        span: deeds::at(last),
        lines,
    }
}

fn new(kind: &'static str, n: usize, depth: usize, at_depth: &mut Vec<usize>) -> Line {
    let depth = depth.min(DEEPEST);
    let y = HEAD + n * LINE + LINE / 2;
    let x = 10 + depth * STEP;
    at_depth.truncate(depth);
    let edge = match at_depth.last() {
        Some(above) => format!("M{} {}V{y}H{}", x - STEP, above + 6, x - 6),
        None => String::new(),
    };
    at_depth.resize(depth, y);
    at_depth.push(y);
    Line {
        kind,
        class: String::new(),
        x,
        text_x: x + 12,
        y,
        text_y: y + 5,
        edge,
        name: String::new(),
        rest: String::new(),
        title: String::new(),
        href: None,
        numbers: String::new(),
        mark_w: 0,
        mark_x: x,
        bar: None,
    }
}

fn bar(began: u64, end: u64, last: u64, y: usize, ticks: &[u64]) -> Bar {
    let scale = |us: u64| float(us.min(last)) / float(last) * WIDE;
    let x = scale(began).min(WIDE - 4.0);
    Bar {
        x: format!("{x:.1}"),
        width: format!("{:.1}", (scale(end) - x).max(4.0).min(WIDE - x)),
        y: y - 4,
        ticks: ticks
            .iter()
            .map(|us| format!("{:.1}", scale(*us).min(WIDE - 4.0)))
            .collect(),
        tick_y: y - 9,
    }
}

/// When each process did what findings name.
fn ticks(traced: &Traced<'_>, lit: &Lit) -> BTreeMap<usize, Vec<u64>> {
    let mut ticks: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for (at, act) in lit.acts(traced) {
        let process = act.process.and_then(|n| usize::try_from(n).ok());
        if let Some(process) = process.filter(|_| lit.place(traced.seq, at).is_some()) {
            let own = ticks.entry(process).or_default();
            if own.len() < TICKS {
                own.push(act.at_us);
            }
        }
    }
    ticks
}

/// The acts worth a line of their own, by process.
fn leaves<'a>(traced: &Traced<'a>, lit: &Lit, rows: &[Row]) -> BTreeMap<usize, Vec<(&'a Act, u32)>> {
    let shown: BTreeSet<usize> = rows
        .iter()
        .filter_map(|row| match row {
            Row::Process { process, .. } => Some(*process),
            Row::Folded { .. } => None,
        })
        .collect();
    let mut leaves: BTreeMap<usize, Vec<(&'a Act, u32)>> = BTreeMap::new();
    let mut said: BTreeSet<(usize, String, String)> = BTreeSet::new();
    // what findings name first
    for named in [true, false] {
        let acts: Vec<(u32, &Act)> = if named {
            lit.acts(traced)
        } else {
            (0..).zip(&traced.trace.acts).collect()
        };
        for (at, act) in acts {
            let Some(process) = act.process.and_then(|n| usize::try_from(n).ok()) else {
                continue;
            };
            let most = if named { LEAVES } else { FEW_LEAVES };
            if !shown.contains(&process)
                || !named && (!is_telling(act) || lit.place(traced.seq, at).is_some())
                || leaves.get(&process).map_or(0, Vec::len) >= most
            {
                continue;
            }
            if is_its_beginning(act, traced, process) {
                continue;
            }
            let (name, rest) = leaf_words(act, traced);
            if said.insert((process, name, rest)) {
                leaves.entry(process).or_default().push((act, at));
            }
        }
    }
    for list in leaves.values_mut() {
        list.sort_by_key(|(_, at)| *at);
    }
    leaves
}

/// Whether an act is that a process became what its own line already says.
fn is_its_beginning(act: &Act, traced: &Traced<'_>, process: usize) -> bool {
    let Deed::Execute { path, .. } = &act.deed else {
        return false;
    };
    traced
        .trace
        .processes
        .get(process)
        .is_some_and(|one| one.executable == *path)
}

/// Whether an act says something about its process without any finding.
fn is_telling(act: &Act) -> bool {
    matches!(
        act.deed,
        Deed::Converse(_) | Deed::Decoy { .. } | Deed::Forbidden { .. }
    ) || act.result == Result::Refused
}

/// An act in the fewest words: what, and to what.
fn leaf_words(act: &Act, traced: &Traced<'_>) -> (String, String) {
    let (name, rest) = match &act.deed {
        Deed::Decoy { decoy, used } => {
            let verb = match used {
                DecoyUse::Read { .. } => "reads decoy",
                DecoyUse::Sent { .. } => "sends decoy",
                DecoyUse::Argument { .. } => "passes on decoy",
                DecoyUse::Written { .. } => "writes decoy",
                DecoyUse::Printed { .. } => "prints decoy",
            };
            (verb, shown_str(decoy))
        }
        Deed::Converse(conversation) => {
            let what = conversation
                .exchanges
                .first()
                .map_or_else(|| deeds::language(conversation), |first| shown(&first.verb));
            let whom = deeds::host(conversation).unwrap_or_else(|| {
                std::net::SocketAddr::new(conversation.address, conversation.port).to_string()
            });
            return (what, whom);
        }
        Deed::Resolve { name, .. } => ("asks for", shown(name)),
        Deed::Connect { to, .. } => ("connects to", deeds::endpoint(to, traced)),
        Deed::Execute { path, argv, .. } => ("runs", deeds::command_line(path, argv)),
        Deed::Open { path, access } if deeds::writes(*access) => ("opens to write", shown(path)),
        Deed::Open { path, .. } => ("opens", shown(path)),
        Deed::Mode { path, mode } => {
            return (format!("sets mode {mode:o}"), shown(path));
        }
        Deed::Remove { path, .. } => ("removes", shown(path)),
        Deed::Rename { to, .. } => ("renames to", shown(to)),
        Deed::Forbidden { call } => ("is refused", shown_str(call)),
        _ => {
            let said = deeds::say(act, traced);
            return (said.verb, said.object);
        }
    };
    (name.to_owned(), rest)
}
