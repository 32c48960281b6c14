//! Drives a schedule without a single thread: time is a number that jumps
//! from one end of a task to the next. So one can ask how long a graph would
//! take with more capacity, without running it.
#![expect(clippy::print_stdout, reason = "an example that talks")]

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::error::Error;

use pyti_graph::{Graph, GraphBuilder, Outcome, Schedule};

/// The tasks, how long each takes, and what it waits for.
const TASKS: [(&str, u64, &[&str]); 7] = [
    ("unpack", 2, &[]),
    ("compile", 9, &["unpack"]),
    ("lint", 4, &["unpack"]),
    ("document", 6, &["unpack"]),
    ("test", 8, &["compile"]),
    ("measure", 5, &["compile"]),
    ("publish", 1, &["test", "lint", "document"]),
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut b = GraphBuilder::<()>::new();
    for (name, _, waits_for) in TASKS {
        let task = b.task(name);
        for on in waits_for {
            task.needs_task(*on);
        }
    }
    let graph = b.build()?;
    for capacity in 1..=4 {
        println!("with capacity {capacity}: {} s", length(&graph, capacity)?);
    }
    Ok(())
}

fn length(graph: &Graph<()>, capacity: u32) -> Result<u64, Box<dyn Error>> {
    let plan = graph.plan();
    let mut schedule = Schedule::new(plan, capacity);
    let mut running = BinaryHeap::new();
    let mut now = 0;
    while !schedule.is_done() {
        for start in schedule.start_ready() {
            let name = plan.task(start.task).name();
            let takes = TASKS
                .iter()
                .find(|(task, ..)| name == task)
                .map_or(0, |(_, takes, _)| *takes);
            running.push(Reverse((now + takes, start.task)));
        }
        let Some(Reverse((end, task))) = running.pop() else {
            break;
        };
        now = end;
        schedule.finish(task, Outcome::success(), &[])?;
    }
    Ok(now)
}
