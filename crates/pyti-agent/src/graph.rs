//! The graph of a job: which tasks there are, and what each needs and makes.
//!
//! ```text
//! sdist   unpack ▸ inspect ▸ lock-build ▸ env-build ▸ requires ▸ lock-build-2 ▸ env-build-2 ▸ build ┐
//! wheel   (given)                                                                                  ├▸ metadata
//!   metadata ▸ lock-runtime ▸ env-runtime ▸ install ▸ start, import, scripts, exercise, quality
//!   (wheel: unpack-sdist ▸ inspect-sdist) ▸ lock-test ▸ env-test ▸ test
//! ```

use pyti_graph::{Effect, Graph, GraphBuilder, GraphError, Inputs, TaskSpec};
use pyti_model::FileKind;
use pyti_model::foreign::Foreign;
use pyti_model::plan::{Plan, Purpose, Watch};

use crate::job::Job;
use crate::tasks::lock::{Wish, lock_and_put};
use crate::tasks::{
    BUILD_ENVIRONMENT, BUILD_LOCK, DYNAMIC_REQUIRES, FACTS, FIRST_BUILD_ENVIRONMENT, FIRST_BUILD_LOCK,
    INSPECTION, INSTALLED, RUNTIME_ENVIRONMENT, RUNTIME_LOCK, TAKEN, TEST_CHOICE, TEST_ENVIRONMENT,
    TEST_LOCK, TREE, WHEEL, Wheel, build, costs, coverage, environment, import, install, provoke, quality,
    source, start, test, wheel,
};

/// Tasks that prepare others: shown folded.
pub(crate) fn is_preparation(task: &str) -> bool {
    task.starts_with("lock-") || task.starts_with("env-") || task.ends_with("-sdist") || task == "requires"
}

/// What decides the shape of the graph.
pub(crate) struct Shape<'a> {
    pub(crate) job: &'a Job,
}

impl Shape<'_> {
    /// The graph of this job, up to the task where it shall end.
    pub(crate) fn graph(&self) -> Result<Graph<Job>, GraphError> {
        let order = &self.job.order;
        let plan = &order.plan;
        let mut b = Builder {
            graph: GraphBuilder::new(),
            until: order.until.clone(),
            ended: false,
            plan,
        };
        if plan.target.kind == FileKind::Wheel {
            b.graph.give(
                &WHEEL,
                Wheel {
                    path: order.target.clone(),
                    filename: plan.target.filename.clone(),
                    sha256: plan.target.sha256.clone(),
                },
            );
        } else {
            from_source(&mut b, order.target.clone());
        }
        from_wheel(&mut b);
        if plan.run_tests {
            match (plan.target.kind, &order.companion) {
                (FileKind::Wheel, Some(companion)) => {
                    let archive = companion.clone();
                    b.add("unpack-sdist", |t| {
                        t.produces(&TREE)
                            .on_failure(Effect::Warn)
                            .run(move |cx| source::unpack(cx, &archive));
                    });
                    b.add("inspect-sdist", |t| {
                        t.needs(&TREE)
                            .produces(&INSPECTION)
                            .on_failure(Effect::Warn)
                            .run(source::inspect);
                    });
                    tests(&mut b, companion.clone());
                }
                (FileKind::Wheel, None) => {}
                (FileKind::Sdist | FileKind::Folder, _) => tests(&mut b, order.target.clone()),
            }
        }
        if plan.quality && plan.run_tests {
            reading(&mut b);
        }
        b.graph.build()
    }
}

struct Builder<'a> {
    graph: GraphBuilder<Job>,
    until: Option<String>,
    ended: bool,
    plan: &'a Plan,
}

impl Builder<'_> {
    fn add(&mut self, name: &str, describe: impl FnOnce(&mut TaskSpec<Job, ()>)) {
        if self.ended {
            return;
        }
        let task = self.graph.task(name);
        describe(task);
        if self.plan.skip.iter().any(|skipped| skipped == name) {
            task.only_if(|_: &Inputs<'_, Job>| false, "it was left out by who asked");
        }
        self.ended = self.until.as_deref() == Some(name);
    }
}

fn from_source(b: &mut Builder<'_>, archive: String) {
    let again = archive.clone();
    let build_archive = archive.clone();
    b.add("unpack", |t| {
        t.produces(&TREE).run(move |cx| source::unpack(cx, &archive));
    });
    b.add("inspect", |t| {
        t.needs(&TREE).produces(&INSPECTION).run(source::inspect);
    });
    b.add("lock-build", |t| {
        t.needs(&INSPECTION).produces(&FIRST_BUILD_LOCK).run(|cx| {
            let inspection = cx.get(&INSPECTION)?;
            lock_and_put(cx, &build_wish(&inspection.build, &[]), &FIRST_BUILD_LOCK)
        });
    });
    b.add("env-build", |t| {
        t.needs(&FIRST_BUILD_LOCK)
            .produces(&FIRST_BUILD_ENVIRONMENT)
            .run(|cx| {
                environment::environment(cx, Purpose::Build, &FIRST_BUILD_LOCK, &FIRST_BUILD_ENVIRONMENT)
            });
    });
    b.add("requires", |t| {
        t.needs(&INSPECTION)
            .needs(&FIRST_BUILD_ENVIRONMENT)
            .produces(&DYNAMIC_REQUIRES)
            .run(move |cx| build::requires(cx, &again));
    });
    b.add("lock-build-2", |t| {
        t.needs(&INSPECTION)
            .needs(&DYNAMIC_REQUIRES)
            .needs(&FIRST_BUILD_LOCK)
            .produces(&BUILD_LOCK)
            .run(|cx| {
                let asked = cx.get(&DYNAMIC_REQUIRES)?;
                let inspection = cx.get(&INSPECTION)?;
                let first = build_wish(&inspection.build, &[]);
                let mut all = build_wish(&inspection.build, &asked.requires);
                if let Some((instead, _)) = &asked.instead {
                    // only an older setuptools could be asked: it builds, too
                    all.requirements = older_set(instead, &asked.requires);
                }
                if all.requirements == first.requirements {
                    // the backend asks for nothing new
                    cx.put(&BUILD_LOCK, (*cx.get(&FIRST_BUILD_LOCK)?).clone())?;
                    return Ok(pyti_graph::Outcome::success());
                }
                lock_and_put(cx, &all, &BUILD_LOCK)
            });
    });
    b.add("env-build-2", |t| {
        t.needs(&BUILD_LOCK)
            .needs(&FIRST_BUILD_LOCK)
            .needs(&FIRST_BUILD_ENVIRONMENT)
            .produces(&BUILD_ENVIRONMENT)
            .run(|cx| {
                if cx.get(&BUILD_LOCK)?.environment == cx.get(&FIRST_BUILD_LOCK)?.environment {
                    let first = cx.get(&FIRST_BUILD_ENVIRONMENT)?;
                    environment::put(cx, &BUILD_ENVIRONMENT, first.lower.clone())?;
                    return Ok(pyti_graph::Outcome::success());
                }
                environment::environment(cx, Purpose::Build, &BUILD_LOCK, &BUILD_ENVIRONMENT)
            });
    });
    b.add("build", |t| {
        t.needs(&INSPECTION)
            .needs(&BUILD_ENVIRONMENT)
            .needs(&DYNAMIC_REQUIRES)
            .produces(&WHEEL)
            .weight(2)
            .run(move |cx| build::build(cx, &build_archive));
    });
}

/// The files are read once for each release: in the job whose tests are run.
fn reading(b: &mut Builder<'_>) {
    b.add("quality", |t| {
        t.needs(&WHEEL)
            .needs(&FACTS)
            .wants(&RUNTIME_ENVIRONMENT)
            .wants(&TREE)
            .on_failure(Effect::Warn)
            .run(quality::quality);
    });
}

/// The requirements of a second attempt, and what its hook asked.
fn older_set(base: &[String], asked: &[Foreign]) -> Vec<String> {
    let mut lines = base.to_vec();
    for line in asked {
        let line = line.lossy().trim().to_owned();
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    lines
}

fn build_wish(declaration: &pyti_model::raw::BuildDeclaration, dynamic: &[Foreign]) -> Wish {
    Wish {
        purpose: Purpose::Build,
        requirements: pyti_resolve::requirements::build_set(declaration, dynamic),
        constraints: Vec::new(),
        offered: Vec::new(),
        without: Vec::new(),
        exclude_newer: None,
    }
}

fn from_wheel(b: &mut Builder<'_>) {
    b.add("metadata", |t| {
        t.needs(&WHEEL).produces(&FACTS).run(wheel::metadata);
    });
    b.add("lock-runtime", |t| {
        t.needs(&WHEEL)
            .needs(&FACTS)
            .produces(&RUNTIME_LOCK)
            .run(test::lock_runtime);
    });
    b.add("env-runtime", |t| {
        t.needs(&RUNTIME_LOCK)
            .produces(&RUNTIME_ENVIRONMENT)
            .run(|cx| environment::environment(cx, Purpose::Runtime, &RUNTIME_LOCK, &RUNTIME_ENVIRONMENT));
    });
    b.add("install", |t| {
        t.needs(&WHEEL)
            .needs(&RUNTIME_ENVIRONMENT)
            .produces(&INSTALLED)
            .run(install::install);
    });
    b.add("start", |t| {
        t.needs(&INSTALLED).needs(&RUNTIME_ENVIRONMENT).run(start::start);
    });
    b.add("import", |t| {
        t.needs(&INSTALLED)
            .needs(&RUNTIME_ENVIRONMENT)
            .run(import::import);
    });
    if b.plan.run_tests {
        // what a release costs is told once: by the job that runs its tests
        b.add("cost", |t| {
            t.needs(&INSTALLED)
                .needs(&RUNTIME_ENVIRONMENT)
                .on_failure(Effect::Warn)
                .run(costs::cost);
        });
    }
    let plan = &b.plan;
    let (watched, exercised) = (plan.watch == Watch::On, plan.exercise);
    if watched {
        b.add("scripts", |t| {
            t.needs(&INSTALLED)
                .needs(&RUNTIME_ENVIRONMENT)
                .on_failure(Effect::Warn)
                .run(provoke::scripts);
        });
    }
    if exercised {
        b.add("exercise", |t| {
            t.needs(&INSTALLED)
                .needs(&RUNTIME_ENVIRONMENT)
                .on_failure(Effect::Warn)
                .run(provoke::exercise);
        });
    }
}

fn tests(b: &mut Builder<'_>, archive: String) {
    let again = archive.clone();
    b.add("lock-test", |t| {
        t.needs(&WHEEL)
            .needs(&FACTS)
            .needs(&INSPECTION)
            .needs(&RUNTIME_LOCK)
            .produces(&TEST_LOCK)
            .produces(&TEST_CHOICE)
            .on_failure(Effect::Warn)
            .run(test::lock_test);
    });
    b.add("env-test", |t| {
        t.needs(&TEST_LOCK)
            .produces(&TEST_ENVIRONMENT)
            .on_failure(Effect::Warn)
            .run(|cx| environment::environment(cx, Purpose::Test, &TEST_LOCK, &TEST_ENVIRONMENT));
    });
    b.add("test", |t| {
        t.needs(&INSPECTION)
            .needs(&TREE)
            .needs(&WHEEL)
            .needs(&FACTS)
            .needs(&RUNTIME_LOCK)
            .needs(&INSTALLED)
            .needs(&TEST_LOCK)
            .needs(&TEST_CHOICE)
            .needs(&TEST_ENVIRONMENT)
            .produces(&TAKEN)
            .weight(2)
            .run(move |cx| test::test(cx, &again));
    });
    if b.plan.coverage {
        b.add("coverage", |t| {
            t.after("test")
                .wants(&TAKEN)
                .needs(&INSPECTION)
                .needs(&TREE)
                .needs(&FACTS)
                .needs(&RUNTIME_LOCK)
                .needs(&INSTALLED)
                .on_failure(Effect::Warn)
                .weight(2)
                .run(move |cx| coverage::coverage(cx, &archive));
        });
    }
}
