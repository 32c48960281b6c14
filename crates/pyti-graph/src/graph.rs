//! Writing a graph down: tasks, what they wait for and what they do.

use std::fmt;

use crate::context::{Body, Condition, Inputs, TaskContext, TaskError, Work};
use crate::data::{AnyKey, Key, Store};
use crate::error::GraphError;
use crate::limits::Limits;
use crate::name::TaskName;
use crate::plan::{Hide, Plan};
use crate::resolve::resolve;
use crate::result::Outcome;
use crate::retry::RetryPolicy;
use crate::settings::{Effect, FailurePolicy};

/// Collects tasks and makes a [`Graph`] of them.
///
/// `C` is what all tasks share while they run; `P` is what
/// [`applies`](TaskSpec::applies) looks at, a platform for instance.
///
/// ```
/// use pyti_graph::{GraphBuilder, Key, Outcome, Runner, TaskResult};
///
/// const SOURCE: Key<String> = Key::new("source");
/// const WORDS: Key<usize> = Key::new("words");
///
/// let mut b = GraphBuilder::<()>::new();
/// b.task("read").produces(&SOURCE).run(|cx| {
///     cx.put(&SOURCE, "one two three".to_owned())?;
///     Ok(Outcome::success())
/// });
/// b.task("count").needs(&SOURCE).produces(&WORDS).run(|cx| {
///     cx.put(&WORDS, cx.get(&SOURCE)?.split(' ').count())?;
///     Ok(Outcome::success())
/// });
/// let graph = b.build()?;
///
/// let run = Runner::new().run(&graph, &(), |_event| ());
/// assert_eq!(run.report.result, TaskResult::Success);
/// assert_eq!(run.data.get(&WORDS).as_deref(), Some(&3));
/// # Ok::<(), pyti_graph::GraphError>(())
/// ```
pub struct GraphBuilder<C, P = ()> {
    tasks: Vec<TaskSpec<C, P>>,
    given: Store,
    given_keys: Vec<AnyKey>,
    limits: Limits,
}

impl<C, P> Default for GraphBuilder<C, P> {
    fn default() -> Self {
        Self {
            tasks: Vec::new(),
            given: Store::default(),
            given_keys: Vec::new(),
            limits: Limits::NONE,
        }
    }
}

impl<C, P> GraphBuilder<C, P> {
    /// A graph without tasks.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a task and hands it out to be described.
    ///
    /// Without further words it waits for nothing, does nothing and succeeds:
    /// such a task is a milestone that others can wait for.
    pub fn task(&mut self, name: impl Into<TaskName>) -> &mut TaskSpec<C, P> {
        self.tasks.push(TaskSpec::new(name.into()));
        let last = self.tasks.len() - 1;
        &mut self.tasks[last]
    }

    /// Gives data that is there before anything runs.
    ///
    /// It comes before what any task produces under this key: a task whose
    /// products are all given is left out.
    pub fn give<T: Send + Sync + 'static>(&mut self, key: &Key<T>, value: T) -> &mut Self {
        self.given.insert(key, value);
        self.given_keys.push(key.erased());
        self
    }

    /// Limits for all tasks, where a task has none of its own.
    pub fn limits(&mut self, limits: Limits) -> &mut Self {
        self.limits = limits;
        self
    }

    /// Checks the graph for this platform and freezes it.
    ///
    /// # Errors
    ///
    /// When tasks wait for each other, for tasks or data that do not exist,
    /// or when it is open who produces some data.
    pub fn build_for(self, platform: &P) -> Result<Graph<C>, GraphError> {
        let mut declarations = Vec::with_capacity(self.tasks.len());
        let mut work = Vec::with_capacity(self.tasks.len());
        for task in self.tasks {
            let mut declaration = task.declaration;
            declaration.applies = task.applies.is_none_or(|applies| applies(platform));
            declaration.limits = declaration.limits.or(self.limits);
            declarations.push(declaration);
            work.push(task.work);
        }
        let plan = resolve(declarations, &self.given_keys)?;
        Ok(Graph {
            plan,
            work,
            given: self.given,
        })
    }
}

impl<C> GraphBuilder<C> {
    /// Checks the graph and freezes it, where platforms play no part.
    ///
    /// # Errors
    ///
    /// As [`build_for`](Self::build_for).
    pub fn build(self) -> Result<Graph<C>, GraphError> {
        self.build_for(&())
    }
}

impl<C, P> fmt::Debug for GraphBuilder<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.tasks.iter().map(|task| &task.declaration.name))
            .finish()
    }
}

/// A graph that was found sound, with what its tasks do. Can run many times.
pub struct Graph<C> {
    pub(crate) plan: Plan,
    pub(crate) work: Vec<Work<C>>,
    pub(crate) given: Store,
}

impl<C> Graph<C> {
    /// Its tasks without what they do.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }
}

impl<C> fmt::Debug for Graph<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Graph")
            .field("plan", &self.plan)
            .field("given", &self.given)
            .finish_non_exhaustive()
    }
}

/// One task that is being described; see [`GraphBuilder::task`].
pub struct TaskSpec<C, P> {
    declaration: Declaration,
    applies: Option<Applies<P>>,
    work: Work<C>,
}

type Applies<P> = Box<dyn Fn(&P) -> bool>;

/// All of a task that does not depend on the types of context and platform.
pub(crate) struct Declaration {
    pub(crate) name: TaskName,
    pub(crate) applies: bool,
    pub(crate) waits: Vec<Wait>,
    pub(crate) products: Vec<Offer>,
    pub(crate) policy: FailurePolicy,
    pub(crate) weight: u32,
    pub(crate) limits: Limits,
    pub(crate) retry: RetryPolicy,
    pub(crate) hide: Option<Hide>,
}

/// Something a task waits for, as it was written.
pub(crate) struct Wait {
    pub(crate) on: On,
    pub(crate) needed: bool,
}

pub(crate) enum On {
    Task(TaskName),
    Data(AnyKey),
}

/// Data that a task can produce; ranks decide between several.
pub(crate) struct Offer {
    pub(crate) key: AnyKey,
    pub(crate) rank: Option<u32>,
}

impl<C, P> TaskSpec<C, P> {
    fn new(name: TaskName) -> Self {
        let declaration = Declaration {
            name,
            applies: true,
            waits: Vec::new(),
            products: Vec::new(),
            policy: FailurePolicy::default(),
            weight: 1,
            limits: Limits::NONE,
            retry: RetryPolicy::default(),
            hide: None,
        };
        Self {
            declaration,
            applies: None,
            work: Work {
                condition: None,
                body: None,
            },
        }
    }

    /// Waits for this data and can read it; is skipped without it.
    pub fn needs<T: 'static>(&mut self, key: &Key<T>) -> &mut Self {
        self.wait(On::Data(key.erased()), true)
    }

    /// Waits for this data, if anybody produces it, and reads it if it is
    /// there; runs without it too.
    pub fn wants<T: 'static>(&mut self, key: &Key<T>) -> &mut Self {
        self.wait(On::Data(key.erased()), false)
    }

    /// Waits for this task; is skipped unless that ends well.
    pub fn needs_task(&mut self, task: impl Into<TaskName>) -> &mut Self {
        self.wait(On::Task(task.into()), true)
    }

    /// Waits until this task has ended, however it did.
    pub fn after(&mut self, task: impl Into<TaskName>) -> &mut Self {
        self.wait(On::Task(task.into()), false)
    }

    /// Promises this data. To succeed without publishing it is an exception.
    ///
    /// Only one task that applies may produce the data in this way; where
    /// there are several, see [`produces_ranked`](Self::produces_ranked).
    pub fn produces<T: 'static>(&mut self, key: &Key<T>) -> &mut Self {
        self.offer(key.erased(), None)
    }

    /// Promises this data, unless a task of a lower rank applies and does.
    pub fn produces_ranked<T: 'static>(&mut self, key: &Key<T>, rank: u32) -> &mut Self {
        self.offer(key.erased(), Some(rank))
    }

    /// Leaves the task out where this does not hold.
    ///
    /// ```
    /// use pyti_graph::{GraphBuilder, Key, Outcome, Runner};
    ///
    /// enum Os { Linux, Windows }
    /// const SEPARATOR: Key<char> = Key::new("separator");
    ///
    /// let mut b = GraphBuilder::<(), Os>::new();
    /// b.task("windows")
    ///     .applies(|os| matches!(os, Os::Windows))
    ///     .produces_ranked(&SEPARATOR, 0)
    ///     .run(|cx| {
    ///         cx.put(&SEPARATOR, '\\')?;
    ///         Ok(Outcome::success())
    ///     });
    /// b.task("anywhere").produces_ranked(&SEPARATOR, 1).run(|cx| {
    ///     cx.put(&SEPARATOR, '/')?;
    ///     Ok(Outcome::success())
    /// });
    /// let graph = b.build_for(&Os::Linux)?;
    /// let run = Runner::new().run(&graph, &(), |_event| ());
    /// assert_eq!(run.data.get(&SEPARATOR).as_deref(), Some(&'/'));
    /// # let _ = Os::Windows;
    /// # Ok::<(), pyti_graph::GraphError>(())
    /// ```
    pub fn applies(&mut self, applies: impl Fn(&P) -> bool + 'static) -> &mut Self {
        self.applies = Some(Box::new(applies));
        self
    }

    /// Skips the task, when its turn comes, where this does not hold
    /// (Buildbot's `doStepIf`). `otherwise` completes "skipped because ...".
    pub fn only_if(
        &mut self,
        holds: impl Fn(&Inputs<'_, C>) -> bool + Send + Sync + 'static,
        otherwise: impl Into<String>,
    ) -> &mut Self {
        self.work.condition = Some(Condition {
            holds: Box::new(holds),
            otherwise: otherwise.into(),
        });
        self
    }

    /// Marks the task as hidden when it ended so (Buildbot's `hideStepIf`).
    /// Called while the graph is being scheduled, so it must not panic.
    pub fn hide_if(&mut self, hide: impl Fn(&Outcome) -> bool + Send + Sync + 'static) -> &mut Self {
        self.declaration.hide = Some(Box::new(hide));
        self
    }

    /// What a failure makes of the graph; [`Effect::Flunk`] unless said.
    pub fn on_failure(&mut self, effect: Effect) -> &mut Self {
        self.declaration.policy.on_failure = effect;
        self
    }

    /// What warnings make of the graph; [`Effect::Ignore`] unless said.
    pub fn on_warnings(&mut self, effect: Effect) -> &mut Self {
        self.declaration.policy.on_warnings = effect;
        self
    }

    /// A bad end of this task starts nothing more.
    pub fn halt_on_failure(&mut self) -> &mut Self {
        self.declaration.policy.halt_on_failure = true;
        self
    }

    /// Runs once all it waits for has ended, whatever happened: what it
    /// needs failed, the graph halted or was cancelled in an orderly way.
    pub fn always_run(&mut self) -> &mut Self {
        self.declaration.policy.always_run = true;
        self
    }

    /// All failure settings at once.
    pub fn policy(&mut self, policy: FailurePolicy) -> &mut Self {
        self.declaration.policy = policy;
        self
    }

    /// Its share of the runner's capacity; 1 unless said.
    ///
    /// A task of weight 0 never waits for capacity. One that is heavier than
    /// the capacity takes all of it.
    pub fn weight(&mut self, weight: u32) -> &mut Self {
        self.declaration.weight = weight;
        self
    }

    /// What it may use; the body enforces it.
    pub fn limits(&mut self, limits: Limits) -> &mut Self {
        self.declaration.limits = limits;
        self
    }

    /// When it is run again.
    pub fn retry(&mut self, retry: RetryPolicy) -> &mut Self {
        self.declaration.retry = retry;
        self
    }

    /// What it does. May be called once an attempt, on any thread.
    ///
    /// An error or a panic ends the task with an exception; an error that is
    /// [`Stopped`](crate::Stopped) ends it as cancelled.
    pub fn run(
        &mut self,
        body: impl Fn(&TaskContext<'_, C>) -> Result<Outcome, TaskError> + Send + Sync + 'static,
    ) -> &mut Self {
        let body: Body<C> = Box::new(body);
        self.work.body = Some(body);
        self
    }

    fn wait(&mut self, on: On, needed: bool) -> &mut Self {
        self.declaration.waits.push(Wait { on, needed });
        self
    }

    fn offer(&mut self, key: AnyKey, rank: Option<u32>) -> &mut Self {
        self.declaration.products.push(Offer { key, rank });
        self
    }
}

impl<C, P> fmt::Debug for TaskSpec<C, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TaskSpec").field(&self.declaration.name).finish()
    }
}
