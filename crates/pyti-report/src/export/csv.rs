//! All events as a table, for a spreadsheet or a script.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::Foreign;
use pyti_model::trace::{EventRef, Result};

use crate::deeds::{self, Kind};
use crate::findings;
use crate::page::change_sentence;
use crate::seen::Seen;
use crate::view;
use crate::{Job, Run};

const COLUMNS: [&str; 14] = [
    "file",
    "task",
    "attempt",
    "event",
    "at_us",
    "kind",
    "process",
    "pid",
    "parent",
    "executable",
    "what",
    "result",
    "times",
    "findings",
];

/// Every act of every process and every changed file as comma-separated values (RFC 4180): one line each, with the
/// numbers of the findings that name it. No cell begins in a way that a spreadsheet takes for a formula.
pub fn events_csv(run: &Run<'_>) -> String {
    let mut out = String::new();
    line(&mut out, &COLUMNS.map(str::to_owned));
    let all = findings::findings(run);
    for (n, job) in run.jobs.iter().enumerate() {
        let mut named: BTreeMap<EventRef, BTreeSet<usize>> = BTreeMap::new();
        for found in all
            .iter()
            .filter(|found| found.job == n || found.also.contains(&n))
        {
            // the same finding of another file has events of its own
            let own = job
                .found
                .iter()
                .flat_map(|judgement| &judgement.findings)
                .find(|finding| {
                    finding.rule == found.finding.rule
                        && finding.phase == found.finding.phase
                        && finding.sentence == found.finding.sentence
                });
            for place in own.iter().flat_map(|finding| &finding.events) {
                named.entry(*place).or_default().insert(found.number);
            }
        }
        rows(&mut out, job, &named);
    }
    out
}

fn rows(out: &mut String, job: &Job<'_>, named: &BTreeMap<EventRef, BTreeSet<usize>>) {
    let seen = Seen::of(job);
    let filename = view::filename(*job);
    let findings = |place: EventRef| {
        named.get(&place).map_or_else(String::new, |numbers| {
            numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(" ")
        })
    };
    for traced in &seen.traces {
        for (at, act) in (0_u32..).zip(&traced.trace.acts) {
            let place = EventRef {
                seq: traced.seq,
                item: Some(at),
            };
            let number = act.process.and_then(|n| usize::try_from(n).ok());
            let process = number.and_then(|n| traced.trace.processes.get(n));
            line(
                out,
                &[
                    filename.clone(),
                    visible(traced.task),
                    traced.attempt.to_string(),
                    place.to_string(),
                    act.at_us.to_string(),
                    Kind::of(act).word().to_owned(),
                    number.map_or_else(String::new, |n| n.to_string()),
                    process.map_or_else(String::new, |process| process.pid.to_string()),
                    process
                        .and_then(|process| process.parent)
                        .map_or_else(String::new, |parent| parent.to_string()),
                    process.map_or_else(String::new, |process| process.executable.visible()),
                    deeds::say(act, traced).line(),
                    result(&act.result),
                    act.times.to_string(),
                    findings(place),
                ],
            );
        }
    }
    for task in &job.record.tasks {
        let places = task.change_places.iter().copied().zip(&task.changes).chain(
            task.earlier_changes
                .iter()
                .map(|(place, change)| (*place, change)),
        );
        for (place, change) in places {
            let mut cells = vec![String::new(); COLUMNS.len()];
            cells[0].clone_from(&filename);
            cells[1] = visible(&task.name);
            cells[3] = place.to_string();
            "changes".clone_into(&mut cells[5]);
            cells[10] = change_sentence(change);
            "done".clone_into(&mut cells[11]);
            "1".clone_into(&mut cells[12]);
            cells[13] = findings(place);
            line(out, &cells);
        }
    }
}

fn visible(text: &str) -> String {
    Foreign::from(text).visible()
}

fn result(result: &Result) -> String {
    match result {
        Result::Attempted => "attempted".to_owned(),
        Result::Done => "done".to_owned(),
        Result::Failed(error) => format!("failed {}", visible(error)),
        Result::Refused => "refused".to_owned(),
    }
}

fn line(out: &mut String, cells: &[String]) {
    for (n, cell) in cells.iter().enumerate() {
        if n > 0 {
            out.push(',');
        }
        out.push_str(&quoted(cell));
    }
    out.push_str("\r\n");
}

/// A cell: quoted where it must be, and with an apostrophe before what a spreadsheet would calculate.
fn quoted(cell: &str) -> String {
    let safe = if cell
        .trim_start()
        .starts_with(['=', '+', '-', '@', '\t', '\r', '|', '%'])
    {
        format!("'{cell}")
    } else {
        cell.to_owned()
    };
    if safe.contains(['"', ',', '\n', '\r', ';', '\'']) || safe != safe.trim() {
        format!("\"{}\"", safe.replace('"', "\"\""))
    } else {
        safe
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, text) in [
            ("plain text", "plain text"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "\"'=1+1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            (" =1", "\"' =1\""),
            ("-1", "\"'-1\""),
        ] {
            assert_eq!(quoted(cell), text);
        }
    }
}
