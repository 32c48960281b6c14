//! Recordings of real commands, and what is looked for in them.

use std::path::Path;

use pyti_model::foreign::Foreign;
use pyti_model::trace::{Act, Deed, Process, Trace};
use serde_json::{Value, json};

use crate::support::{Who, code, job, one, sh, with};

pub(crate) fn trace(answer: &Value) -> Trace {
    assert!(answer["error"].is_null(), "{answer}");
    serde_json::from_value(answer["trace"].clone()).unwrap_or_else(|error| panic!("{error}: {answer}"))
}

/// Runs a command in a form, with home watched.
pub(crate) fn recorded(who: Who, form: &str, run: Value) -> (Value, Trace) {
    let answer = one(who, with(run, json!({"trace": form, "watched": ["/home/dev"]})));
    let trace = trace(&answer);
    assert_eq!(trace.losses, [], "{answer}");
    (answer, trace)
}

pub(crate) fn full(run: Value) -> Trace {
    recorded(Who::Me, "full", run).1
}

pub(crate) fn light(run: Value) -> Trace {
    recorded(Who::Me, "light", run).1
}

pub(crate) fn find(trace: &Trace, wanted: impl Fn(&Deed) -> bool) -> Vec<&Act> {
    trace.acts.iter().filter(|act| wanted(&act.deed)).collect()
}

pub(crate) fn path(deed: &Deed) -> Option<&Foreign> {
    match deed {
        Deed::Open { path, .. }
        | Deed::Execute { path, .. }
        | Deed::MakeFolder { path }
        | Deed::Remove { path, .. }
        | Deed::Mode { path, .. }
        | Deed::Look { path } => Some(path),
        _ => None,
    }
}

/// Acts on a path.
pub(crate) fn on<'a>(trace: &'a Trace, wanted: &str) -> Vec<&'a Act> {
    find(trace, |deed| {
        path(deed).is_some_and(|path| *path == wanted.into())
    })
}

pub(crate) fn executions(trace: &Trace) -> Vec<&Act> {
    find(trace, |deed| matches!(deed, Deed::Execute { .. }))
}

pub(crate) fn process<'a>(trace: &'a Trace, act: &Act) -> &'a Process {
    &trace.processes[act.process.unwrap() as usize]
}

pub(crate) fn counted(trace: &Trace, what: &str) -> u64 {
    trace
        .counts
        .iter()
        .filter(|count| count.what == what)
        .map(|count| count.times)
        .sum()
}

/// A C program, compiled in a box of its own and run in the next; the answer of the second.
pub(crate) fn c(source: &str, flags: &str, more: Value) -> Option<Value> {
    if !Path::new("/usr/bin/cc").exists() {
        eprintln!("SKIPPED: /usr/bin/cc is missing");
        return None;
    }
    let compile = with(
        sh(&format!("cc {flags} -o /home/dev/program /home/dev/source.c")),
        json!({"given": [["/home/dev/source.c", source, 0o644]]}),
    );
    let run = with(
        json!({"argv": ["/home/dev/program"], "lowers": [0], "watched": ["/home/dev"]}),
        more,
    );
    let mut answers = job(Who::Me, &json!({"groups": [[compile], [run]]}));
    assert_eq!(code(&answers[0]), Some(0), "{}", answers[0]);
    Some(answers.remove(1))
}
