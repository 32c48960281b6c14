//! From what was written down to a plan: who produces what, who waits for
//! whom, and whether that can work.

use std::any::TypeId;
use std::collections::{BTreeMap, HashMap};

use crate::data::AnyKey;
use crate::error::{GraphError, Path, Step};
use crate::graph::{Declaration, On};
use crate::name::{KeyName, TaskName};
use crate::plan::{Dependency, Plan, PlannedTask, Product, TaskId};
use crate::reason::SkipReason;

/// Where data comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Given,
    Task(TaskId),
}

type Sources = HashMap<KeyName, Source>;

pub(crate) fn resolve(tasks: Vec<Declaration>, given: &[AnyKey]) -> Result<Plan, GraphError> {
    let ids = number(&tasks)?;
    check_types(&tasks, given)?;
    let (sources, doubles) = choose_sources(&tasks, given);
    let left_out: Vec<_> = tasks
        .iter()
        .enumerate()
        .map(|(i, task)| left_out(TaskId(i), task, &sources, &tasks))
        .collect();
    let edges = tasks
        .iter()
        .map(|task| edges(task, &ids, &sources))
        .collect::<Result<Vec<_>, _>>()?;
    let map = Map {
        tasks: &tasks,
        edges: &edges,
    };

    if let Some(double) = doubles.into_iter().next() {
        return Err(map.double_producer(double));
    }
    for (reader, why) in left_out.iter().enumerate() {
        if why.is_none()
            && let Some(key) = missing(&tasks[reader], &sources)
        {
            return Err(map.missing_producer(TaskId(reader), key));
        }
    }
    if let Some(path) = map.cycle() {
        return Err(GraphError::Cycle { path });
    }
    Ok(assemble(tasks, edges, left_out, &sources))
}

fn number(tasks: &[Declaration]) -> Result<HashMap<TaskName, TaskId>, GraphError> {
    let mut ids = HashMap::with_capacity(tasks.len());
    for (i, task) in tasks.iter().enumerate() {
        if ids.insert(task.name.clone(), TaskId(i)).is_some() {
            return Err(GraphError::DuplicateTask {
                task: task.name.clone(),
            });
        }
    }
    Ok(ids)
}

fn keys(task: &Declaration) -> impl Iterator<Item = &AnyKey> {
    let read = task.waits.iter().filter_map(|wait| match &wait.on {
        On::Data(key) => Some(key),
        On::Task(_) => None,
    });
    read.chain(task.products.iter().map(|offer| &offer.key))
}

fn check_types(tasks: &[Declaration], given: &[AnyKey]) -> Result<(), GraphError> {
    let mut seen: HashMap<KeyName, (TypeId, &'static str)> = given
        .iter()
        .map(|key| (key.name.clone(), (key.type_id, key.type_name)))
        .collect();
    for task in tasks {
        for key in keys(task) {
            let (type_id, one) = *seen
                .entry(key.name.clone())
                .or_insert((key.type_id, key.type_name));
            if type_id != key.type_id {
                return Err(GraphError::TypeClash {
                    key: key.name.clone(),
                    one,
                    other: key.type_name,
                    task: task.name.clone(),
                });
            }
        }
    }
    Ok(())
}

/// Two tasks that both produce a key, neither of them first.
struct Double {
    key: KeyName,
    one: TaskId,
    other: TaskId,
}

/// What is given comes first, then the applying producer of the lowest rank.
fn choose_sources(tasks: &[Declaration], given: &[AnyKey]) -> (Sources, Vec<Double>) {
    let mut sources: Sources = given
        .iter()
        .map(|key| (key.name.clone(), Source::Given))
        .collect();
    // By name, so that of several doubles always the same is reported.
    let mut offers: BTreeMap<&KeyName, Vec<(Option<u32>, TaskId)>> = BTreeMap::new();
    for (i, task) in tasks.iter().enumerate().filter(|(_, task)| task.applies) {
        for offer in &task.products {
            let of_key = offers.entry(&offer.key.name).or_default();
            if of_key.iter().all(|(_, id)| *id != TaskId(i)) {
                of_key.push((offer.rank, TaskId(i)));
            }
        }
    }
    let mut doubles = Vec::new();
    for (key, mut of_key) in offers {
        of_key.sort();
        sources.entry(key.clone()).or_insert(Source::Task(of_key[0].1));
        // Sorted, a missing rank comes first and equal ranks are neighbours.
        let open = of_key
            .windows(2)
            .find(|pair| pair[0].0.is_none() || pair[0].0 == pair[1].0);
        doubles.extend(open.map(|pair| Double {
            key: key.clone(),
            one: pair[0].1,
            other: pair[1].1,
        }));
    }
    (sources, doubles)
}

fn left_out(id: TaskId, task: &Declaration, sources: &Sources, tasks: &[Declaration]) -> Option<SkipReason> {
    if !task.applies {
        return Some(SkipReason::NotForPlatform);
    }
    let elsewhere = |key: &KeyName| match sources.get(key) {
        Some(Source::Task(source)) if *source == id => None,
        Some(Source::Task(source)) => Some(Some(tasks[source.0].name.clone())),
        Some(Source::Given) | None => Some(None),
    };
    let first = task.products.first()?;
    let by = elsewhere(&first.key.name)?;
    let none_used = task
        .products
        .iter()
        .all(|offer| elsewhere(&offer.key.name).is_some());
    none_used.then(|| SkipReason::Superseded {
        key: first.key.name.clone(),
        by,
    })
}

/// The tasks this one waits for, each once; needed if it is so in any way.
fn edges(
    task: &Declaration,
    ids: &HashMap<TaskName, TaskId>,
    sources: &Sources,
) -> Result<Vec<Dependency>, GraphError> {
    let mut edges: Vec<Dependency> = Vec::new();
    for wait in &task.waits {
        let (on, key) = match &wait.on {
            On::Task(name) => match ids.get(name) {
                Some(on) => (*on, None),
                None => return Err(unknown_task(task, name, wait.needed)),
            },
            On::Data(key) => match sources.get(&key.name) {
                Some(Source::Task(on)) => (*on, Some(key.name.clone())),
                Some(Source::Given) | None => continue,
            },
        };
        match edges.iter_mut().find(|edge| edge.task == on) {
            Some(edge) => edge.needed |= wait.needed,
            None => edges.push(Dependency {
                task: on,
                needed: wait.needed,
                key,
            }),
        }
    }
    Ok(edges)
}

fn unknown_task(task: &Declaration, missing: &TaskName, needed: bool) -> GraphError {
    let (task, on) = (task.name.clone(), missing.clone());
    let step = if needed {
        Step::Needs { task, on }
    } else {
        Step::After { task, on }
    };
    GraphError::UnknownTask {
        missing: missing.clone(),
        path: Path { steps: vec![step] },
    }
}

/// Data that the task needs and nobody produces.
fn missing(task: &Declaration, sources: &Sources) -> Option<KeyName> {
    task.waits
        .iter()
        .filter(|wait| wait.needed)
        .find_map(|wait| match &wait.on {
            On::Data(key) if !sources.contains_key(&key.name) => Some(key.name.clone()),
            _ => None,
        })
}

fn assemble(
    tasks: Vec<Declaration>,
    edges: Vec<Vec<Dependency>>,
    left_out: Vec<Option<SkipReason>>,
    sources: &Sources,
) -> Plan {
    let mut dependents = vec![Vec::new(); tasks.len()];
    for (i, edges) in edges.iter().enumerate() {
        for edge in edges {
            dependents[edge.task.0].push(TaskId(i));
        }
    }
    let parts = tasks
        .into_iter()
        .zip(edges)
        .zip(left_out)
        .zip(dependents)
        .enumerate();
    let tasks = parts.map(
        |(i, (((task, dependencies), left_out), dependents))| PlannedTask {
            reads: task
                .waits
                .iter()
                .filter_map(|wait| match &wait.on {
                    On::Data(key) => Some(key.name.clone()),
                    On::Task(_) => None,
                })
                .collect(),
            products: task
                .products
                .into_iter()
                .map(|offer| Product {
                    used: sources.get(&offer.key.name) == Some(&Source::Task(TaskId(i))),
                    key: offer.key,
                })
                .collect(),
            name: task.name,
            dependencies,
            dependents,
            left_out,
            policy: task.policy,
            weight: task.weight,
            limits: task.limits,
            retry: task.retry,
            hide: task.hide,
        },
    );
    Plan {
        tasks: tasks.collect(),
    }
}

/// The tasks and who waits for whom, to find paths in.
struct Map<'a> {
    tasks: &'a [Declaration],
    edges: &'a [Vec<Dependency>],
}

impl Map<'_> {
    fn name(&self, id: TaskId) -> TaskName {
        self.tasks[id.0].name.clone()
    }

    fn step(&self, from: TaskId, edge: &Dependency) -> Step {
        let (task, on) = (self.name(from), self.name(edge.task));
        match &edge.key {
            Some(key) => Step::Reads {
                task,
                key: key.clone(),
                from: Some(on),
            },
            None if edge.needed => Step::Needs { task, on },
            None => Step::After { task, on },
        }
    }

    /// From a task that nobody waits for to the one that reads the key.
    fn path_to(&self, reader: TaskId, key: KeyName) -> Path {
        let mut steps = vec![Step::Reads {
            task: self.name(reader),
            key,
            from: None,
        }];
        let mut at = reader;
        let mut seen = vec![false; self.tasks.len()];
        seen[at.0] = true;
        let above = |at: TaskId| {
            self.edges.iter().enumerate().find_map(|(i, edges)| {
                let edge = edges.iter().find(|edge| edge.task == at)?;
                Some((TaskId(i), edge))
            })
        };
        // Cycles are looked for later, so this may run into one.
        while let Some((from, edge)) = above(at).filter(|(from, _)| !seen[from.0]) {
            steps.push(self.step(from, edge));
            seen[from.0] = true;
            at = from;
        }
        steps.reverse();
        Path { steps }
    }

    fn missing_producer(&self, reader: TaskId, key: KeyName) -> GraphError {
        let produces = |task: &&Declaration| task.products.iter().any(|offer| offer.key.name == key);
        let not_for_platform = self
            .tasks
            .iter()
            .filter(produces)
            .map(|task| task.name.clone())
            .collect();
        GraphError::MissingProducer {
            path: self.path_to(reader, key.clone()),
            key,
            not_for_platform,
        }
    }

    fn double_producer(&self, double: Double) -> GraphError {
        let Double { key, one, other } = double;
        let reads = |task: &Declaration| {
            task.waits
                .iter()
                .any(|wait| matches!(&wait.on, On::Data(read) if read.name == key))
        };
        let path = match self.tasks.iter().position(reads) {
            Some(reader) => self.path_to(TaskId(reader), key.clone()),
            None => Path::default(),
        };
        GraphError::DoubleProducer {
            key,
            one: self.name(one),
            other: self.name(other),
            path,
        }
    }

    /// A way that ends where it starts, if there is one.
    fn cycle(&self) -> Option<Path> {
        let caught = self.caught();
        // Each task that is caught waits for another such, so walking along
        // these must come back to a task already seen.
        let mut at = TaskId(caught.iter().position(|caught| *caught)?);
        let mut walked: Vec<(TaskId, &Dependency)> = Vec::new();
        loop {
            if let Some(start) = walked.iter().position(|(id, _)| *id == at) {
                let steps = walked[start..]
                    .iter()
                    .map(|(from, edge)| self.step(*from, edge))
                    .collect();
                return Some(Path { steps });
            }
            let edge = self.edges[at.0].iter().find(|edge| caught[edge.task.0])?;
            walked.push((at, edge));
            at = edge.task;
        }
    }

    /// Which tasks can never run because they wait, in the end, for a cycle.
    fn caught(&self) -> Vec<bool> {
        let mut waits: Vec<usize> = self.edges.iter().map(Vec::len).collect();
        let mut dependents = vec![Vec::new(); self.tasks.len()];
        for (i, edges) in self.edges.iter().enumerate() {
            for edge in edges {
                dependents[edge.task.0].push(i);
            }
        }
        let mut free: Vec<usize> = (0..waits.len()).filter(|i| waits[*i] == 0).collect();
        let mut caught = vec![true; waits.len()];
        while let Some(i) = free.pop() {
            caught[i] = false;
            for dependent in &dependents[i] {
                waits[*dependent] -= 1;
                if waits[*dependent] == 0 {
                    free.push(*dependent);
                }
            }
        }
        caught
    }
}
