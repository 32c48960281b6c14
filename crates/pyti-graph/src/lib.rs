//! An execution manager: runs tasks that depend on each other, and says for
//! every one of them how it ended and why.
//!
//! A task can wait for other tasks and for *data* that other tasks make. What
//! cannot work is refused before anything runs. What fails takes only those
//! down that need it, and each of these can say which chain of failures it
//! was. All that happens can be watched as a stream of events.
//!
//! The crate knows nothing of what the tasks do. It has no clock, no random
//! numbers and no files of its own, and uses plain threads.
//!
//! # A first graph
//!
//! ```
//! use pyti_graph::{CancelToken, Effect, GraphBuilder, Key, Outcome, Runner, TaskResult};
//!
//! // What all tasks share.
//! struct Bakery {
//!     guests: usize,
//! }
//!
//! // What tasks exchange: a name with a type.
//! const DOUGH: Key<Vec<&'static str>> = Key::new("dough");
//! const LOAVES: Key<usize> = Key::new("loaves");
//!
//! let mut b = GraphBuilder::<Bakery>::new();
//! b.task("knead").produces(&DOUGH).run(|cx| {
//!     cx.put(&DOUGH, vec!["flour", "water", "salt"])?;
//!     Ok(Outcome::success())
//! });
//! b.task("heat the oven");
//! b.task("bake")
//!     .needs(&DOUGH)
//!     .needs_task("heat the oven")
//!     .produces(&LOAVES)
//!     .weight(2)
//!     .run(|cx| {
//!         let dough = cx.get(&DOUGH)?;
//!         cx.progress(format!("baking {}", dough.join(", ")));
//!         cx.put(&LOAVES, cx.context().guests * 2)?;
//!         Ok(Outcome::success())
//!     });
//! b.task("decorate").needs(&LOAVES).on_failure(Effect::Warn).run(|_| Ok(Outcome::failure("no sugar")));
//! b.task("photograph").needs_task("decorate").run(|_| Ok(Outcome::success()));
//! b.task("clean").after("bake").always_run().run(|_| Ok(Outcome::success()));
//! let graph = b.build()?;
//!
//! let token = CancelToken::new(); // `token.cancel(…)` from any thread stops the run
//! let mut log = Vec::new();
//! let run = Runner::new().capacity(4).cancel_by(&token).run(&graph, &Bakery { guests: 3 }, |event| {
//!     log.push(event.clone());
//! });
//!
//! assert_eq!(run.report.result, TaskResult::Warnings);
//! assert_eq!(run.data.get(&LOAVES).as_deref(), Some(&6));
//! let photograph = run.report.task("photograph").expect("each task has its entry");
//! assert_eq!(photograph.outcome.to_string(), "skipped: decorate failed");
//! assert_eq!(log.last().map(|event| event.seq), Some(log.len() as u64 - 1));
//! # Ok::<(), pyti_graph::GraphError>(())
//! ```
//!
//! # Waiting
//!
//! | a task says | it waits for | and then runs |
//! |---|---|---|
//! | [`needs`](TaskSpec::needs) a key | the task that produces it | if that task ended well |
//! | [`wants`](TaskSpec::wants) a key | the task that produces it, if there is one | in any case |
//! | [`needs_task`](TaskSpec::needs_task) | that task | if it ended well |
//! | [`after`](TaskSpec::after) | that task | in any case |
//!
//! Well means [`Success`](TaskResult::Success) or
//! [`Warnings`](TaskResult::Warnings). A task that does not get what it needs
//! is skipped, and so in turn are those that need it; the
//! [`SkipReason`] leads back to the first cause. "After" holds along any way
//! through the graph, also through tasks that were skipped.
//!
//! The same data may have several producers, which
//! [`applies`](TaskSpec::applies) and
//! [`produces_ranked`](TaskSpec::produces_ranked) put in order: the first
//! that applies to the platform is used. Data can also be
//! [given](GraphBuilder::give) from outside.
//!
//! # What is refused
//!
//! [`GraphBuilder::build`] finds everything that could not work, and its
//! message names the way through the graph on which the fault lies:
//!
//! ```
//! use pyti_graph::{GraphBuilder, Key};
//!
//! const WHEEL: Key<String> = Key::new("wheel");
//!
//! let mut b = GraphBuilder::<()>::new();
//! b.task("test").needs_task("install");
//! b.task("install").needs(&WHEEL);
//! assert_eq!(
//!     b.build().unwrap_err().to_string(),
//!     "nobody produces `wheel` (test needs install, install reads `wheel`); \
//!      add a producer, give the data, or read it with `wants`"
//! );
//! ```
//!
//! # How it ends
//!
//! A task ends with one of seven [results](TaskResult). Errors and panics of
//! a task are an [`Exception`](TaskResult::Exception) of that task and
//! nothing more. Each task's [`FailurePolicy`] says what its result makes of
//! the whole, whether it halts the graph, and whether it runs in spite of
//! everything; [`RetryPolicy`] whether it gets another attempt. The names in
//! Buildbot, from which these settings come:
//!
//! | Buildbot | here |
//! |---|---|
//! | `haltOnFailure` | [`halt_on_failure`](TaskSpec::halt_on_failure) |
//! | `flunkOnFailure`, `warnOnFailure` | [`on_failure`](TaskSpec::on_failure)([`Effect`]) |
//! | `flunkOnWarnings`, `warnOnWarnings` | [`on_warnings`](TaskSpec::on_warnings)([`Effect`]) |
//! | `alwaysRun` | [`always_run`](TaskSpec::always_run) |
//! | `doStepIf` | [`only_if`](TaskSpec::only_if) |
//! | `hideStepIf` | [`hide_if`](TaskSpec::hide_if) |
//!
//! # Resources
//!
//! The [weights](TaskSpec::weight) of the tasks that run at once never exceed
//! the [capacity](Runner::capacity) of the runner. [`Limits`] (memory, time
//! and so on) are handed to the task's body, which alone can enforce them.
//!
//! # Stopping
//!
//! A [`CancelToken`] stops a run from any thread, in an orderly way (what
//! [always runs](TaskSpec::always_run) still does) or at once. Threads cannot
//! be killed, so a body that takes long looks at
//! [`cancelled`](TaskContext::cancelled) or passes
//! [`checkpoint`](TaskContext::checkpoint); the run ends when all bodies have
//! returned.
//!
//! # Without threads
//!
//! [`Runner`] is a thin layer over [`Schedule`], a pure state machine that can
//! be driven by anything: an event loop, a pool, other machines.
//!
//! # Features
//!
//! `serde`: results, events, reports and settings can be serialized.

mod cancel;
mod context;
mod data;
mod error;
mod event;
mod graph;
mod limits;
mod name;
mod plan;
mod reason;
mod report;
mod resolve;
mod result;
mod retry;
mod run;
mod schedule;
mod settings;

pub use cancel::{Cancel, CancelToken};
pub use context::{Inputs, Stopped, TaskContext, TaskError};
pub use data::{DataError, Key, Store};
pub use error::{GraphError, Path, Step};
pub use event::{Event, EventKind};
pub use graph::{Graph, GraphBuilder, TaskSpec};
pub use limits::Limits;
pub use name::{KeyName, TaskName};
pub use plan::{Dependency, Plan, PlannedTask, TaskId};
pub use reason::{Link, SkipReason};
pub use report::{Report, TaskReport};
pub use result::{Outcome, TaskResult, UnknownResult};
pub use retry::{Backoff, RetryPolicy};
pub use run::{Run, Runner};
pub use schedule::{Next, Schedule, ScheduleError, Start};
pub use settings::{Effect, FailurePolicy};
