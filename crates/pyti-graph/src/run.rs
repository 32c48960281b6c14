//! Runs a graph on threads: one for each task that runs, and the caller's
//! own, which alone leads the schedule, keeps the data and tells the events.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::Duration;

use crate::cancel::{Cancel, CancelToken};
use crate::context::{Inputs, Stopped, Switch, TaskContext, TaskError};
use crate::data::Store;
use crate::event::Event;
use crate::graph::Graph;
use crate::name::KeyName;
use crate::plan::TaskId;
use crate::report::Report;
use crate::result::Outcome;
use crate::schedule::{Next, Schedule, Start};

/// Runs graphs on threads of this process.
///
/// ```
/// use pyti_graph::{EventKind, GraphBuilder, Outcome, Runner};
///
/// let mut b = GraphBuilder::<()>::new();
/// b.task("left").run(|_| Ok(Outcome::success()));
/// b.task("right").run(|_| Err("out of luck".into()));
///
/// let mut ended = Vec::new();
/// let run = Runner::new().capacity(2).run(&b.build()?, &(), |event| {
///     if let EventKind::Ended { task, .. } = &event.kind {
///         ended.push(task.clone());
///     }
/// });
/// assert_eq!(ended.len(), 2);
/// assert_eq!(run.report.task("right").unwrap().outcome.to_string(), "exception: out of luck");
/// # Ok::<(), pyti_graph::GraphError>(())
/// ```
pub struct Runner {
    capacity: u32,
    cancel: CancelToken,
    sleep: Option<Sleep>,
}

type Sleep = Box<dyn Fn(Duration) + Send + Sync>;

/// What a run of a graph came to.
#[derive(Debug)]
pub struct Run {
    /// The results.
    pub report: Report,
    /// What was given, and what the tasks published.
    pub data: Store,
}

impl Default for Runner {
    fn default() -> Self {
        Self {
            capacity: 1,
            cancel: CancelToken::new(),
            sleep: None,
        }
    }
}

impl Runner {
    /// A runner that runs one task of weight 1 at a time.
    pub fn new() -> Self {
        Self::default()
    }

    /// How much weight may run at once; 0 counts as 1.
    #[must_use]
    pub fn capacity(mut self, capacity: u32) -> Self {
        self.capacity = capacity;
        self
    }

    /// The token by which the run can be cancelled from elsewhere.
    #[must_use]
    pub fn cancel_by(mut self, token: &CancelToken) -> Self {
        self.cancel = token.clone();
        self
    }

    /// How to wait between attempts, instead of in real time.
    ///
    /// Called on a thread of its own. The run cannot end before it returns.
    #[must_use]
    pub fn sleep_by(mut self, sleep: impl Fn(Duration) + Send + Sync + 'static) -> Self {
        self.sleep = Some(Box::new(sleep));
        self
    }

    /// Runs the graph to its end.
    ///
    /// `observe` gets all events in order, on the calling thread, while
    /// other tasks run. When it panics, running tasks are told to stop, and
    /// the panic goes on once they have.
    pub fn run<C: Sync>(&self, graph: &Graph<C>, context: &C, observe: impl FnMut(&Event)) -> Run {
        let (post, mailbox) = channel();
        let closing = CancelToken::new();
        let site = Site {
            runner: self,
            graph,
            context,
            post,
            closing: &closing,
        };
        // The subscription outlives the scope; a letter after the end is lost.
        let for_cancel = site.post.clone();
        let _subscription = self.cancel.subscribe(move |how| {
            let _ = for_cancel.send(Message::Cancel(how));
        });
        thread::scope(|scope| {
            let _closes = CloseOnDrop(&closing);
            site.lead(scope, &mailbox, observe)
        })
    }
}

impl fmt::Debug for Runner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runner")
            .field("capacity", &self.capacity)
            .field("cancel", &self.cancel)
            .finish_non_exhaustive()
    }
}

/// Lets tasks and sleepers know that nobody waits for them any more, also
/// when the leading thread panics: the scope would wait for them forever.
struct CloseOnDrop<'a>(&'a CancelToken);

impl Drop for CloseOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel(Cancel::AtOnce);
    }
}

/// What other threads tell the leading one.
enum Message {
    Progress(TaskId, String),
    Finished(TaskId, Outcome, Store),
    RetryDue(TaskId),
    Cancel(Cancel),
}

/// All that the threads of one run share.
struct Site<'a, C> {
    runner: &'a Runner,
    graph: &'a Graph<C>,
    context: &'a C,
    post: Sender<Message>,
    closing: &'a CancelToken,
}

impl<C: Sync> Site<'_, C> {
    fn lead<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        mailbox: &Receiver<Message>,
        mut observe: impl FnMut(&Event),
    ) -> Run {
        let mut data = self.graph.given.clone();
        let mut schedule = Schedule::new(&self.graph.plan, self.runner.capacity);
        loop {
            // What is known already comes first, so that nothing starts
            // after a cancellation that was there before.
            for message in mailbox.try_iter() {
                self.heed(message, &mut schedule, &mut data, scope);
            }
            for start in schedule.start_ready_if(|id| self.gate(id, &data)) {
                self.start(start, &data, scope);
            }
            schedule.take_events().iter().for_each(&mut observe);
            if let Some(report) = schedule.report() {
                return Run { report, data };
            }
            // Never fails: the site itself keeps a sender.
            if let Ok(message) = mailbox.recv() {
                self.heed(message, &mut schedule, &mut data, scope);
            }
        }
    }

    fn heed<'scope>(
        &'scope self,
        message: Message,
        schedule: &mut Schedule<'_>,
        data: &mut Store,
        scope: &'scope Scope<'scope, '_>,
    ) {
        match message {
            Message::Progress(id, text) => {
                let _only_from_running = schedule.progress(id, text);
            }
            Message::Finished(id, outcome, published) => {
                let names: Vec<KeyName> = published.names().cloned().collect();
                match schedule.finish(id, outcome, &names) {
                    Ok(Next::Ended) => {
                        let task = self.graph.plan.task(id);
                        data.adopt(published, |key| task.uses_product(key));
                    }
                    Ok(Next::Retry { wait }) => self.rest(id, wait, scope),
                    Err(_only_from_running) => (),
                }
            }
            Message::RetryDue(id) => {
                let _only_from_resting = schedule.retry_due(id);
            }
            Message::Cancel(how) => schedule.cancel(how),
        }
    }

    fn inputs(&self, id: TaskId, data: &Store) -> Inputs<'_, C> {
        let task = self.graph.plan.task(id);
        Inputs {
            context: self.context,
            task,
            data: data.select(&task.reads),
        }
    }

    /// Asks a task's condition, if it has one.
    fn gate(&self, id: TaskId, data: &Store) -> Result<(), Outcome> {
        let Some(condition) = &self.graph.work[id.0].condition else {
            return Ok(());
        };
        let inputs = self.inputs(id, data);
        match catch_unwind(AssertUnwindSafe(|| (condition.holds)(&inputs))) {
            Ok(true) => Ok(()),
            Ok(false) => Err(Outcome::skipped(condition.otherwise.clone())),
            Err(panic) => Err(Outcome::exception(format!(
                "its condition panicked: {}",
                words_of(&*panic)
            ))),
        }
    }

    fn start<'scope>(&'scope self, start: Start, data: &Store, scope: &'scope Scope<'scope, '_>) {
        let Start { task: id, attempt } = start;
        let inputs = self.inputs(id, data);
        let name = inputs.task.name.to_string();
        let run = move || {
            let (outcome, published) = self.attempt(id, attempt, inputs);
            let _ = self.post.send(Message::Finished(id, outcome, published));
        };
        if let Err(error) = thread::Builder::new().name(name).spawn_scoped(scope, run) {
            let outcome = Outcome::exception(format!("could not start a thread for it: {error}"));
            let _ = self.post.send(Message::Finished(id, outcome, Store::default()));
        }
    }

    fn attempt(&self, id: TaskId, attempt: u32, inputs: Inputs<'_, C>) -> (Outcome, Store) {
        let cx = TaskContext {
            inputs,
            attempt,
            published: Mutex::default(),
            switch: Switch {
                cancel: self.runner.cancel.clone(),
                closing: self.closing.clone(),
            },
            progress: Box::new(move |text| {
                let _ = self.post.send(Message::Progress(id, text));
            }),
        };
        let outcome = match &self.graph.work[id.0].body {
            None => Outcome::success(),
            Some(body) => match catch_unwind(AssertUnwindSafe(|| body(&cx))) {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(error)) => outcome_of(&error),
                Err(panic) => Outcome::exception(format!("panicked: {}", words_of(&*panic))),
            },
        };
        (
            outcome,
            cx.published.into_inner().unwrap_or_else(PoisonError::into_inner),
        )
    }

    /// Sends a task to rest on a thread of its own.
    fn rest<'scope>(&'scope self, id: TaskId, wait: Duration, scope: &'scope Scope<'scope, '_>) {
        let rest = move || {
            match &self.runner.sleep {
                Some(sleep) => sleep(wait),
                None => {
                    self.closing.wait(wait);
                }
            }
            let _ = self.post.send(Message::RetryDue(id));
        };
        if thread::Builder::new().spawn_scoped(scope, rest).is_err() {
            // Better too early than never.
            let _ = self.post.send(Message::RetryDue(id));
        }
    }
}

/// How a task ends whose body returned this error.
fn outcome_of(error: &TaskError) -> Outcome {
    if error.is::<Stopped>() {
        return Outcome::cancelled(error.to_string());
    }
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    Outcome::exception(text)
}

fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("without words")
}
