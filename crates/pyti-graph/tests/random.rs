//! Random graphs, with random ends, retries, settings and cancellations,
//! driven by the pure schedule in a random order and by the real runner.
//! What is checked is said at [`Watch`], which sees only the event stream.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use proptest::sample::Index;

use pyti_graph::{
    Cancel, CancelToken, Effect, Event, EventKind, FailurePolicy, Graph, GraphBuilder, GraphError, Key, Next,
    Outcome, Plan, Report, RetryPolicy, Runner, Schedule, SkipReason, TaskId, TaskName, TaskResult,
};

/// One task of a random graph.
#[derive(Clone, Debug)]
struct Node {
    /// Earlier tasks (by index), and in which of the four ways it waits.
    waits: Vec<(Index, Way)>,
    policy: FailurePolicy,
    weight: u32,
    attempts: u32,
    /// How its attempts end; the last one stands for all further ones.
    ends: Vec<TaskResult>,
    skips_itself: bool,
}

#[derive(Clone, Copy, Debug)]
enum Way {
    NeedsTask,
    After,
    NeedsData,
    WantsData,
}

impl Way {
    const fn needs(self) -> bool {
        matches!(self, Self::NeedsTask | Self::NeedsData)
    }
}

fn any_result() -> impl Strategy<Value = TaskResult> {
    // Mostly good, or hardly anything would run.
    prop_oneof![12 => Just(TaskResult::Success), 6 => proptest::sample::select(&TaskResult::ALL[..])]
}

fn any_node() -> impl Strategy<Value = Node> {
    let way = prop_oneof![
        Just(Way::NeedsTask),
        Just(Way::After),
        Just(Way::NeedsData),
        Just(Way::WantsData)
    ];
    let effect = || prop_oneof![Just(Effect::Ignore), Just(Effect::Warn), Just(Effect::Flunk)];
    let policy = (
        effect(),
        effect(),
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.15),
    )
        .prop_map(
            |(on_failure, on_warnings, halt_on_failure, always_run)| FailurePolicy {
                on_failure,
                on_warnings,
                halt_on_failure,
                always_run,
            },
        );
    (
        prop::collection::vec((any::<Index>(), way), 0..4),
        policy,
        0..5u32,
        1..4u32,
        prop::collection::vec(any_result(), 1..4),
        prop::bool::weighted(0.05),
    )
        .prop_map(|(waits, policy, weight, attempts, ends, skips_itself)| Node {
            waits,
            policy,
            weight,
            attempts,
            ends,
            skips_itself,
        })
}

fn any_nodes() -> impl Strategy<Value = Vec<Node>> {
    prop::collection::vec(any_node(), 0..24)
}

fn name_of(i: usize) -> String {
    format!("t{i}")
}

fn key_of(i: usize) -> Key<u32> {
    Key::named(format!("k{i}"))
}

fn retried() -> [TaskResult; 3] {
    [TaskResult::Retry, TaskResult::Failure, TaskResult::Exception]
}

/// What the task's body says in its given attempt.
fn end_of(node: &Node, attempt: u32) -> TaskResult {
    let at = (attempt as usize - 1).min(node.ends.len() - 1);
    node.ends[at]
}

/// The load that tasks put on the machine, as their bodies see it.
#[derive(Default)]
struct Meter {
    now: AtomicU32,
    most: AtomicU32,
}

fn graph_of(nodes: &[Node], capacity: u32) -> Graph<Meter> {
    let mut b = GraphBuilder::<Meter>::new();
    for (i, node) in nodes.iter().enumerate() {
        let task = b.task(name_of(i));
        for (on, way) in node.waits.iter().filter(|_| i > 0) {
            let on = on.index(i);
            match way {
                Way::NeedsTask => task.needs_task(name_of(on)),
                Way::After => task.after(name_of(on)),
                Way::NeedsData => task.needs(&key_of(on)),
                Way::WantsData => task.wants(&key_of(on)),
            };
        }
        if node.skips_itself {
            task.only_if(|_| false, "it would rather not");
        }
        let body = node.clone();
        task.policy(node.policy)
            .weight(node.weight)
            .retry(RetryPolicy::attempts(node.attempts).on(retried()))
            .produces(&key_of(i))
            .run(move |cx| {
                let share = body.weight.min(capacity);
                let now = cx.context().now.fetch_add(share, Ordering::SeqCst) + share;
                cx.context().most.fetch_max(now, Ordering::SeqCst);
                std::thread::yield_now();
                cx.context().now.fetch_sub(share, Ordering::SeqCst);
                cx.put(&key_of(i), cx.attempt())?;
                let end = end_of(&body, cx.attempt());
                assert!(end != TaskResult::Exception, "as asked for");
                Ok(end.into())
            });
    }
    b.build().expect("tasks wait only for earlier ones")
}

/// Reads the event stream as a stranger would and checks, by it alone:
///
/// * numbers without a gap, `GraphEnded` once and last;
/// * every task is planned first, and ends exactly once;
/// * nothing starts before all it waits for has ended;
/// * nothing that needs a task starts unless that ended well, and nothing
///   starts after a halt or cancellation, unless it always runs;
/// * weights of what runs never exceed the capacity;
/// * attempts count 1, 2, 3 and never exceed the policy's.
struct Watch<'a> {
    plan: &'a Plan,
    capacity: u32,
    seq: u64,
    running: HashMap<TaskName, u32>,
    ended: HashMap<TaskName, TaskResult>,
    attempts: HashMap<TaskName, u32>,
    skipped: HashSet<TaskName>,
    stopped: bool,
    cancelled: bool,
    at_once: bool,
    over: Option<TaskResult>,
}

impl<'a> Watch<'a> {
    fn new(plan: &'a Plan, capacity: u32) -> Self {
        Self {
            plan,
            capacity,
            seq: 0,
            running: HashMap::new(),
            ended: HashMap::new(),
            attempts: HashMap::new(),
            skipped: HashSet::new(),
            stopped: false,
            cancelled: false,
            at_once: false,
            over: None,
        }
    }

    fn id(&self, task: &TaskName) -> TaskId {
        self.plan
            .id(task.as_str())
            .expect("events are about tasks of the plan")
    }

    fn see(&mut self, event: &Event) {
        assert_eq!(event.seq, self.seq, "a gap before {event:?}");
        self.seq += 1;
        assert_eq!(self.over, None, "{event:?} after the end");
        match &event.kind {
            EventKind::Planned { task, .. } => {
                assert!(
                    self.ended.is_empty() && self.running.is_empty(),
                    "{task} is planned late"
                );
            }
            EventKind::Started { task, attempt } => self.started(task, *attempt),
            EventKind::RetryScheduled { task, attempt, .. } => {
                assert!(
                    self.running.remove(task).is_some(),
                    "{task} rests without having run"
                );
                assert_eq!(*attempt, self.attempts[task] + 1);
            }
            EventKind::Published { task, .. } | EventKind::Progress { task, .. } => {
                assert!(self.running.contains_key(task), "{task} speaks without running");
            }
            EventKind::Skipped { task, .. } => {
                assert!(self.skipped.insert(task.clone()), "{task} is skipped twice");
            }
            EventKind::Ended {
                task,
                outcome,
                attempts,
                ..
            } => {
                self.running.remove(task);
                assert_eq!(
                    *attempts,
                    self.attempts.get(task).copied().unwrap_or(0),
                    "attempts of {task}"
                );
                assert_eq!(
                    self.ended.insert(task.clone(), outcome.result),
                    None,
                    "{task} ends twice"
                );
                assert_eq!(
                    self.skipped.contains(task),
                    outcome.result == TaskResult::Skipped,
                    "{task}"
                );
            }
            EventKind::Halted { .. } => self.stopped = true,
            EventKind::Cancelled { at_once } => {
                self.stopped = true;
                self.cancelled = true;
                self.at_once |= at_once;
            }
            EventKind::GraphEnded { result } => self.over = Some(*result),
            _ => (),
        }
    }

    fn started(&mut self, task: &TaskName, attempt: u32) {
        let planned = self.plan.task(self.id(task));
        let always = planned.policy().always_run;
        assert!(!self.ended.contains_key(task), "{task} starts after its end");
        assert!(!self.at_once, "{task} starts after everything was stopped");
        assert!(!self.stopped || always, "{task} starts after a stop");
        for on in planned.dependencies() {
            let on_name = self.plan.task(on.task).name();
            let Some(result) = self.ended.get(on_name) else {
                panic!("{task} starts before {on_name} has ended")
            };
            assert!(
                always || !on.needed || result.is_good(),
                "{task} needs {on_name}, which ended with {result}"
            );
        }
        let before = self.attempts.insert(task.clone(), attempt).unwrap_or(0);
        assert_eq!(attempt, before + 1, "attempts of {task}");
        let share = planned.weight().min(self.capacity);
        assert_eq!(
            self.running.insert(task.clone(), share),
            None,
            "{task} runs twice at once"
        );
        let load: u32 = self.running.values().sum();
        assert!(load <= self.capacity, "{load} of {} with {task}", self.capacity);
    }

    fn ends_as(&self, nodes: &[Node], report: &Report) {
        assert_eq!(self.over, Some(report.result), "the last event is the end");
        assert!(self.running.is_empty());
        assert_eq!(self.ended.len(), nodes.len());
        assert_eq!(report.tasks.len(), nodes.len());
        let mut worst = if self.cancelled {
            TaskResult::Cancelled
        } else {
            TaskResult::Success
        };
        for (i, (task, node)) in report.tasks.iter().zip(nodes).enumerate() {
            assert_eq!(task.task, name_of(i).as_str());
            assert_eq!(self.ended.get(&task.task), Some(&task.outcome.result));
            assert!(task.attempts <= node.attempts);
            assert_eq!(task.skipped.is_some(), task.outcome.result == TaskResult::Skipped);
            worst = worst.worst(node.policy.weigh(task.outcome.result));
            if let Some(SkipReason::Needed { chain, .. }) = &task.skipped {
                // Each link but the last was skipped because of the next.
                for link in chain {
                    assert_eq!(self.ended.get(&link.task), Some(&link.result));
                    assert!(!link.result.is_good());
                }
                assert!(
                    chain[..chain.len() - 1]
                        .iter()
                        .all(|link| link.result == TaskResult::Skipped)
                );
            }
        }
        assert_eq!(report.result, worst);
    }
}

/// What a driver does next; the schedule must hold for any order of these.
#[derive(Clone, Debug)]
enum Move {
    Finish(Index),
    Wake(Index),
    Cancel(Cancel),
}

fn any_moves(cancels: u32) -> impl Strategy<Value = Vec<Move>> {
    let cancel = prop_oneof![Just(Cancel::Orderly), Just(Cancel::AtOnce)];
    prop::collection::vec(
        prop_oneof![
            20 => any::<Index>().prop_map(Move::Finish),
            10 => any::<Index>().prop_map(Move::Wake),
            cancels => cancel.prop_map(Move::Cancel),
        ],
        0..120,
    )
}

/// Drives a schedule by the moves, then to its end.
fn drive(nodes: &[Node], capacity: u32, moves: Vec<Move>) -> Report {
    let graph = graph_of(nodes, capacity);
    let plan = graph.plan();
    let mut watch = Watch::new(plan, capacity);
    let mut schedule = Schedule::new(plan, capacity);
    let (mut running, mut resting) = (Vec::new(), Vec::new());
    let gate = |id: TaskId| {
        let at = plan
            .tasks()
            .position(|(other, _)| other == id)
            .expect("it is in the plan");
        if nodes[at].skips_itself {
            Err(Outcome::skipped("it would rather not"))
        } else {
            Ok(())
        }
    };
    let to_the_end = std::iter::repeat_with(|| [Move::Finish(first()), Move::Wake(first())]).flatten();
    let mut patience = moves.len() + nodes.len() * 16 + 8;
    let mut moves = moves.into_iter().chain(to_the_end);
    loop {
        running.extend(schedule.start_ready_if(gate));
        assert!(schedule.load() <= capacity);
        schedule.take_events().iter().for_each(|event| watch.see(event));
        if schedule.is_done() {
            break;
        }
        patience = patience.checked_sub(1).expect("the schedule is stuck");
        match moves.next().expect("there is no end of moves") {
            Move::Finish(which) if !running.is_empty() => {
                let start: pyti_graph::Start = running.remove(which.index(running.len()));
                let at = plan
                    .tasks()
                    .position(|(id, _)| id == start.task)
                    .expect("it is in the plan");
                let outcome = Outcome::from(end_of(&nodes[at], start.attempt));
                match schedule
                    .finish(start.task, outcome, &[key_of(at).name()])
                    .expect("it runs")
                {
                    Next::Ended => assert!(schedule.finish(start.task, Outcome::success(), &[]).is_err()),
                    Next::Retry { .. } => resting.push(start.task),
                }
            }
            Move::Wake(which) if !resting.is_empty() => {
                let id = resting.remove(which.index(resting.len()));
                schedule.retry_due(id).expect("it rests");
            }
            Move::Cancel(how) => schedule.cancel(how),
            Move::Finish(_) | Move::Wake(_) => (),
        }
    }
    let report = schedule.report().expect("it is done");
    watch.ends_as(nodes, &report);
    report
}

fn first() -> Index {
    // The index whose place in any list is the first.
    use proptest::strategy::ValueTree;
    use proptest::test_runner::TestRunner;
    let mut tree = any::<Index>()
        .new_tree(&mut TestRunner::deterministic())
        .expect("any index will do");
    while tree.simplify() {}
    tree.current()
}

/// The end of each task when nothing stops the graph: a second, simpler
/// opinion, task by task from the first to the last.
fn expected(nodes: &[Node]) -> Vec<TaskResult> {
    let mut ends: Vec<TaskResult> = Vec::new();
    for (i, node) in nodes.iter().enumerate() {
        let lacks = |(on, way): &(Index, Way)| i > 0 && way.needs() && !ends[on.index(i)].is_good();
        let end = if (node.waits.iter().any(lacks) && !node.policy.always_run) || node.skips_itself {
            TaskResult::Skipped
        } else {
            let last = (1..node.attempts).find(|attempt| !retried().contains(&end_of(node, *attempt)));
            end_of(node, last.unwrap_or(node.attempts))
        };
        ends.push(end);
    }
    ends
}

fn unhalted(mut nodes: Vec<Node>) -> Vec<Node> {
    for node in &mut nodes {
        node.policy.halt_on_failure = false;
    }
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_ends_and_cancellations_keeps_the_rules(
        nodes in any_nodes(), capacity in 1..6u32, moves in any_moves(1),
    ) {
        drive(&nodes, capacity, moves);
    }

    #[test]
    fn the_ends_do_not_depend_on_order_and_capacity(
        nodes in any_nodes().prop_map(unhalted), capacity in 1..6u32, moves in any_moves(0),
    ) {
        let moves: Vec<Move> = moves.into_iter().filter(|move_| !matches!(move_, Move::Cancel(_))).collect();
        let report = drive(&nodes, capacity, moves);
        let ends: Vec<TaskResult> = report.tasks.iter().map(|task| task.outcome.result).collect();
        prop_assert_eq!(ends, expected(&nodes));
    }

    #[test]
    fn after_a_cancellation_only_what_runs_can_still_end_well(
        nodes in any_nodes(), capacity in 1..6u32,
    ) {
        let report = drive(&nodes, capacity, vec![Move::Cancel(Cancel::AtOnce)]);
        let running: usize = report.tasks.iter().filter(|task| task.attempts > 0).count();
        let weightless = nodes.iter().filter(|node| node.weight == 0).count();
        prop_assert!(running <= capacity as usize + weightless);
    }

    #[test]
    fn a_circle_is_found_and_named_and_without_it_the_graph_is_sound(
        size in 2..20usize, from in any::<Index>(), to in any::<Index>(),
        extra in prop::collection::vec((any::<Index>(), any::<Index>()), 0..20),
    ) {
        let build = |closing: bool| {
            let mut b = GraphBuilder::<()>::new();
            for i in 0..size {
                let task = b.task(name_of(i));
                if i > 0 {
                    task.needs_task(name_of(i - 1));
                }
                for (later, earlier) in &extra {
                    if later.index(size) == i && i > 0 {
                        task.after(name_of(earlier.index(i)));
                    }
                }
                // A chain leads from each task to all before it, so this closes a circle.
                if closing && from.index(size) == i {
                    task.after(name_of(i + to.index(size - i)));
                }
            }
            b.build().map(|_| ())
        };
        prop_assert_eq!(build(false), Ok(()));
        let Err(GraphError::Cycle { path }) = build(true) else { panic!("the circle was not found") };
        let ends: Vec<(TaskName, TaskName)> = path.steps.iter().map(ends_of).collect();
        for (step, next) in ends.iter().zip(ends.iter().cycle().skip(1)) {
            prop_assert_eq!(&step.1, &next.0, "{} is no circle", path);
        }
        let distinct: HashSet<&TaskName> = ends.iter().map(|(from, _)| from).collect();
        prop_assert_eq!(distinct.len(), ends.len(), "{} visits a task twice", path);
    }
}

fn ends_of(step: &pyti_graph::Step) -> (TaskName, TaskName) {
    match step.clone() {
        pyti_graph::Step::Needs { task, on } | pyti_graph::Step::After { task, on } => (task, on),
        pyti_graph::Step::Reads {
            task,
            from: Some(from),
            ..
        } => (task, from),
        pyti_graph::Step::Reads { from: None, .. } => panic!("a step to nowhere is no part of a circle"),
    }
}

proptest! {
    // Fewer, because each starts threads.
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_runner_keeps_the_rules_and_comes_to_the_same_ends(
        nodes in any_nodes().prop_map(unhalted), capacity in 1..6u32,
    ) {
        let graph = graph_of(&nodes, capacity);
        let mut watch = Watch::new(graph.plan(), capacity);
        let meter = Meter::default();
        let run = Runner::new().capacity(capacity).run(&graph, &meter, |event| watch.see(event));
        watch.ends_as(&nodes, &run.report);
        prop_assert!(meter.most.into_inner() <= capacity);
        let ends: Vec<TaskResult> = run.report.tasks.iter().map(|task| task.outcome.result).collect();
        prop_assert_eq!(ends, expected(&nodes));
        for (i, task) in run.report.tasks.iter().enumerate() {
            // What the last attempt published is there, and nothing of the ones before.
            let published = (task.attempts > 0).then_some(task.attempts);
            prop_assert_eq!(run.data.get(&key_of(i)).as_deref().copied(), published);
        }
    }

    #[test]
    fn the_runner_ends_when_cancelled_at_any_moment(
        nodes in any_nodes(), capacity in 1..6u32, at in 0..80u64, orderly in any::<bool>(),
    ) {
        let graph = graph_of(&nodes, capacity);
        let mut watch = Watch::new(graph.plan(), capacity);
        let token = CancelToken::new();
        let how = if orderly { Cancel::Orderly } else { Cancel::AtOnce };
        let run = Runner::new().capacity(capacity).cancel_by(&token).run(&graph, &Meter::default(), |event| {
            watch.see(event);
            if event.seq == at {
                token.cancel(how);
            }
        });
        watch.ends_as(&nodes, &run.report);
    }
}
