//! A small release pipeline, told line by line while it runs.
//!
//! `cargo run -p pyti-graph --example pipeline` shows a run in which the
//! upload is flaky and the documentation does not build.
#![expect(clippy::print_stdout, reason = "an example that talks")]

use std::thread::sleep;
use std::time::Duration;

use pyti_graph::{
    Backoff, Effect, Event, EventKind, GraphBuilder, GraphError, Key, Limits, Outcome, RetryPolicy, Runner,
};

const SOURCES: Key<Vec<String>> = Key::new("sources");
const BINARY: Key<String> = Key::new("binary");
const PAGES: Key<usize> = Key::new("pages");

/// What all tasks share.
struct Release {
    version: &'static str,
    publish: bool,
}

fn main() -> Result<(), GraphError> {
    let mut b = GraphBuilder::<Release>::new();
    b.limits(Limits {
        wall: Some(Duration::from_mins(1)),
        ..Limits::NONE
    });

    b.task("fetch").produces(&SOURCES).run(|cx| {
        cx.put(&SOURCES, vec!["main.c".to_owned(), "list.c".to_owned()])?;
        Ok(Outcome::success())
    });
    b.task("compile")
        .needs(&SOURCES)
        .produces(&BINARY)
        .weight(2)
        .halt_on_failure()
        .run(|cx| {
            for file in cx.get(&SOURCES)?.iter() {
                cx.checkpoint()?;
                cx.progress(file.clone());
                sleep(Duration::from_millis(20));
            }
            cx.put(&BINARY, format!("program {}", cx.context().version))?;
            Ok(Outcome::warnings("2 warnings by the compiler"))
        });
    b.task("document")
        .needs(&SOURCES)
        .produces(&PAGES)
        .on_failure(Effect::Warn)
        .run(|_| Ok(Outcome::failure("list.c: an open comment")));
    b.task("check links")
        .needs(&PAGES)
        .run(|_| Ok(Outcome::success()));
    b.task("upload")
        .needs(&BINARY)
        .wants(&PAGES)
        .only_if(|inputs| inputs.context().publish, "this is a rehearsal")
        .retry(RetryPolicy::attempts(3).backoff(Backoff::every(Duration::from_millis(10))))
        .run(|cx| {
            if cx.attempt() < 2 {
                return Ok(Outcome::retry("the server is busy"));
            }
            let pages = cx.try_get(&PAGES)?.map_or(0, |pages| *pages);
            Ok(Outcome::success().and(format!("{} and {pages} pages", cx.get(&BINARY)?)))
        });
    b.task("tidy")
        .after("upload")
        .always_run()
        .hide_if(|outcome| outcome.result.is_good());

    let graph = b.build()?;
    let release = Release {
        version: "1.2",
        publish: true,
    };
    let run = Runner::new().capacity(2).run(&graph, &release, tell);
    println!("\nall in all: {}", run.report.result);
    for task in run.report.tasks.iter().filter(|task| !task.hidden) {
        println!("  {:<12}{}", task.task, task.outcome);
    }
    Ok(())
}

fn tell(event: &Event) {
    match &event.kind {
        EventKind::Started { task, attempt: 1 } => println!("{task} …"),
        EventKind::Started { task, attempt } => println!("{task} … (attempt {attempt})"),
        EventKind::Progress { task, text } => println!("{task}: {text}"),
        EventKind::RetryScheduled { task, outcome, .. } => println!("{task}: {outcome}, once more"),
        EventKind::Ended {
            task,
            outcome,
            hidden: false,
            ..
        } => println!("{task}: {outcome}"),
        _ => (),
    }
}
