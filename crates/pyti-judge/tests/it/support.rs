//! Builds recordings from the model's own types, as an agent would send them.

use std::collections::BTreeMap;

use pyti_judge::{JobRecord, Judgement, fold, judge};
use pyti_model::effect::{Captured, Cost, Effect, Exit, Limit, Limits};
use pyti_model::event::{Envelope, Event, PlannedTask, RECORDING_VERSION};
use pyti_model::outcome::{Reason, ReasonCode, Status, TaskResult};
use pyti_model::plan::{Interpreter, Isolation, PLAN_VERSION, Plan, Watch};
use pyti_model::raw::{
    Build, BuiltWheel, Hook, Import, ImportOutcome, Inspection, Install, ModuleImport, PythonError, RawData,
    Recipe, Start, Test, TestCase, TestCounts, TestOutcome, Unpack,
};
use pyti_model::{Distribution, FileKind, Foreign};

pub(crate) fn distribution(project: &str, kind: FileKind) -> Distribution {
    let end = if kind == FileKind::Wheel {
        "-py3-none-any.whl"
    } else {
        ".tar.gz"
    };
    Distribution {
        project: project.into(),
        version: "1.0".into(),
        filename: format!("{project}-1.0{end}"),
        kind,
        sha256: "a".repeat(64).parse().unwrap(),
        size: 1000,
        yanked: None,
        uploaded: None,
        index: None,
    }
}

pub(crate) fn plan(kind: FileKind) -> Plan {
    Plan {
        version: PLAN_VERSION,
        target: distribution("thing", kind),
        companion: (kind == FileKind::Wheel).then(|| distribution("thing", FileKind::Sdist)),
        companion_lost: None,
        published: None,
        extras: Vec::new(),
        interpreter: Interpreter {
            implementation: "cpython".into(),
            version: "3.13.0".into(),
            free_threaded: false,
            executable: "/opt/python/bin/python3.13".into(),
            prefix: "/opt/python".into(),
            platform: "linux_x86_64".into(),
            has_headers: true,
            image: None,
        },
        isolation: Isolation::Sandbox,
        installer: pyti_model::plan::Installer::Uv,
        skip: Vec::new(),
        run_tests: true,
        env: BTreeMap::new(),
        limits: Limits::default(),
        pre: false,
        exclude_newer: None,
        hash_seed: 0,
        watch: Watch::Off,
        guise: 0,
        exercise: false,
        allow: Vec::new(),
        repeat: 0,
        services: Vec::new(),
        overriding: None,
        coverage: false,
        quality: false,
        pylint: false,
        recipe: None,
        locks: BTreeMap::new(),
    }
}

pub(crate) fn effect(exit: Exit) -> Effect {
    Effect {
        argv: vec!["python".into()],
        exit,
        limit: None,
        cost: Cost {
            wall_s: 1.0,
            user_s: 0.5,
            ..Cost::default()
        },
        stdout: Captured::default(),
        stderr: Captured::default(),
        survivors: Vec::new(),
        denials: Vec::new(),
        contacts: Vec::new(),
        losses: Vec::new(),
    }
}

pub(crate) fn saying(exit: Exit, text: &str) -> Effect {
    let stderr = Captured {
        head: text.into(),
        tail: Foreign::default(),
        total: text.len() as u64,
    };
    Effect {
        stderr,
        ..effect(exit)
    }
}

pub(crate) fn limited(limit: Limit) -> Effect {
    Effect {
        limit: Some(limit),
        ..effect(Exit::Signal(9))
    }
}

pub(crate) fn error(class: &str, message: &str) -> PythonError {
    PythonError {
        class: class.into(),
        message: message.into(),
        module: None,
        traceback: Foreign::default(),
    }
}

pub(crate) fn imported(name: &str) -> ModuleImport {
    let top_level = !name.contains('.');
    ModuleImport {
        module: name.into(),
        top_level,
        outcome: ImportOutcome::Imported,
        wall_s: 0.01,
        file: None,
    }
}

pub(crate) fn raised(name: &str, error: PythonError) -> ModuleImport {
    ModuleImport {
        outcome: ImportOutcome::Raised { error },
        ..imported(name)
    }
}

pub(crate) fn import_of(modules: &[ModuleImport]) -> RawData {
    RawData::Import(Import {
        modules: modules.to_vec(),
    })
}

pub(crate) fn install_of(modules: &[&str]) -> RawData {
    RawData::Install(Install {
        installer: "uv 0.13.9".into(),
        files: 3,
        top_level: modules
            .iter()
            .filter(|m| !m.contains('.'))
            .map(|m| (*m).to_owned())
            .collect(),
        modules: modules.iter().map(|m| (*m).to_owned()).collect(),
        ..Install::default()
    })
}

pub(crate) fn hook(error: Option<PythonError>) -> RawData {
    RawData::Hook(Hook {
        name: "get_requires_for_build_wheel".into(),
        backend: "setuptools.build_meta".into(),
        requires: Vec::new(),
        present: true,
        error,
    })
}

pub(crate) fn build_data(error: Option<PythonError>) -> Build {
    let wheel = error.is_none().then(|| BuiltWheel {
        filename: "thing-1.0-py3-none-any.whl".into(),
        sha256: "b".repeat(64).parse().unwrap(),
        size: 100,
        files: 3,
        extensions: Vec::new(),
    });
    Build {
        backend: "setuptools 80.9.0".into(),
        wheel,
        error,
        compiler_calls: Vec::new(),
        published: None,
    }
}

pub(crate) fn inspection() -> Inspection {
    Inspection {
        recipes: vec![recipe()],
        ..Inspection::default()
    }
}

pub(crate) fn recipe() -> Recipe {
    Recipe::default()
}

pub(crate) fn test_data(counts: TestCounts) -> Test {
    let bad = counts.failed + counts.errors > 0;
    let none = counts.executed() == 0;
    Test {
        recipe: recipe(),
        runner_version: Some("9.2.0".into()),
        source: "thing-1.0.tar.gz".into(),
        counts,
        cases: Vec::new(),
        cases_dropped: 0,
        finished: true,
        exit: Some(if none { 5 } else { i32::from(bad) }),
        proof: BTreeMap::new(),
        against_installed: true,
        adjustments: Vec::new(),
        collection_errors: Vec::new(),
        attempts: Vec::new(),
        flaky: Vec::new(),
        services: Vec::new(),
    }
}

pub(crate) fn passed(count: u64) -> TestCounts {
    TestCounts {
        passed: count,
        ..TestCounts::default()
    }
}

pub(crate) fn case(id: &str, outcome: TestOutcome, message: &str) -> TestCase {
    TestCase {
        id: id.into(),
        outcome,
        wall_s: 0.01,
        cpu_s: None,
        peak_bytes: None,
        message: message.into(),
        output: Foreign::default(),
    }
}

/// One task of a job to be recorded.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) result: Option<TaskResult>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) raw: Option<RawData>,
    pub(crate) reasons: Vec<Reason>,
}

/// A job to be recorded; good until told otherwise.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) plan: Plan,
    pub(crate) tasks: Vec<Task>,
    pub(crate) finished: bool,
    pub(crate) interrupted: bool,
}

pub(crate) const WHEEL_TASKS: &[&str] = &[
    "metadata",
    "unpack-sdist",
    "inspect-sdist",
    "lock-runtime",
    "env-runtime",
    "install",
    "start",
    "import",
    "lock-test",
    "env-test",
    "test",
];
pub(crate) const SDIST_TASKS: &[&str] = &[
    "unpack",
    "inspect",
    "lock-build",
    "env-build",
    "requires",
    "lock-build-2",
    "env-build-2",
    "build",
    "metadata",
    "lock-runtime",
    "env-runtime",
    "install",
    "start",
    "import",
    "lock-test",
    "env-test",
    "test",
];

fn good(name: &'static str) -> Task {
    let runs = ["requires", "build", "install", "start", "import", "test"].contains(&name);
    let raw = match name {
        "unpack" | "unpack-sdist" => Some(RawData::Unpack(Unpack {
            files: 10,
            ..Unpack::default()
        })),
        "inspect" | "inspect-sdist" => Some(RawData::Inspect(Box::new(inspection()))),
        "requires" => Some(hook(None)),
        "build" => Some(RawData::Build(build_data(None))),
        "install" => Some(install_of(&["thing", "thing.sub"])),
        "start" => Some(RawData::Start(Start::default())),
        "import" => Some(import_of(&[imported("thing"), imported("thing.sub")])),
        "test" => Some(RawData::Test(Box::new(test_data(passed(10))))),
        _ => None,
    };
    let effects = if runs {
        vec![effect(Exit::Code(0))]
    } else {
        Vec::new()
    };
    Task {
        name,
        result: Some(TaskResult::Success),
        effects,
        raw,
        reasons: Vec::new(),
    }
}

impl Job {
    pub(crate) fn wheel() -> Self {
        Self::of(FileKind::Wheel, WHEEL_TASKS)
    }

    pub(crate) fn sdist() -> Self {
        Self::of(FileKind::Sdist, SDIST_TASKS)
    }

    fn of(kind: FileKind, names: &[&'static str]) -> Self {
        let tasks = names.iter().map(|name| good(name)).collect();
        Self {
            plan: plan(kind),
            tasks,
            finished: true,
            interrupted: false,
        }
    }

    pub(crate) fn task(&mut self, name: &str) -> &mut Task {
        self.tasks.iter_mut().find(|task| task.name == name).unwrap()
    }

    pub(crate) fn with(mut self, name: &str, change: impl FnOnce(&mut Task)) -> Self {
        change(self.task(name));
        self
    }

    pub(crate) fn raw(self, name: &str, raw: RawData) -> Self {
        self.with(name, |task| task.raw = Some(raw))
    }

    /// The task fails, and everything from it on that needs it is skipped, as the agent does.
    pub(crate) fn fails(self, name: &str, raw: Option<RawData>, effect: Effect) -> Self {
        let mut job = self.with(name, |task| {
            task.result = Some(TaskResult::Failure);
            task.raw = raw;
            task.effects = vec![effect];
        });
        if !matches!(
            name,
            "start" | "import" | "test" | "unpack-sdist" | "inspect-sdist"
        ) {
            let after = job.tasks.iter().position(|task| task.name == name).unwrap() + 1;
            for task in &mut job.tasks[after..] {
                skip(task);
            }
        } else if name.ends_with("-sdist") {
            for name in ["inspect-sdist", "lock-test", "env-test", "test"] {
                if job.task(name).result == Some(TaskResult::Success) {
                    skip(job.task(name));
                }
            }
        }
        job
    }

    pub(crate) fn skipped(self, name: &str) -> Self {
        self.with(name, skip)
    }

    pub(crate) fn events(&self) -> Vec<Envelope> {
        let mut events = vec![Event::Began {
            recording: RECORDING_VERSION,
            pyti: "0.1.0".into(),
            when: "2026-01-01T00:00:00Z".into(),
            plan: Box::new(self.plan.clone()),
            machine: BTreeMap::new(),
        }];
        let tasks = self.tasks.iter();
        let preparation = |name: &str| name.starts_with("lock-") || name.starts_with("env-");
        let planned = |task: &Task| PlannedTask {
            name: task.name.into(),
            needs: Vec::new(),
            preparation: preparation(task.name),
        };
        events.push(Event::Planned {
            tasks: tasks.map(planned).collect(),
        });
        for task in &self.tasks {
            let name = || task.name.to_owned();
            if !matches!(task.result, Some(TaskResult::Skipped)) {
                events.push(Event::Started {
                    task: name(),
                    attempt: 1,
                });
            }
            for effect in &task.effects {
                events.push(Event::Ran {
                    task: name(),
                    effect: Box::new(effect.clone()),
                });
            }
            if let Some(result) = task.result {
                events.push(Event::Ended {
                    task: name(),
                    result,
                    reasons: task.reasons.clone(),
                    chain: Vec::new(),
                    raw: task.raw.clone(),
                    wall_s: 1.0,
                    cpu_s: 0.5,
                    peak_memory_bytes: 64 << 20,
                });
            }
        }
        if self.finished {
            events.push(Event::Finished {
                interrupted: self.interrupted,
            });
        }
        numbered(events)
    }

    pub(crate) fn record(&self) -> JobRecord {
        fold(self.events())
    }

    pub(crate) fn judged(&self) -> Judgement {
        judge(&self.record())
    }

    pub(crate) fn both(&self) -> (JobRecord, Judgement) {
        let record = self.record();
        let judgement = judge(&record);
        (record, judgement)
    }
}

fn skip(task: &mut Task) {
    *task = Task {
        name: task.name,
        result: Some(TaskResult::Skipped),
        effects: Vec::new(),
        raw: None,
        reasons: Vec::new(),
    };
}

pub(crate) fn numbered(events: Vec<Event>) -> Vec<Envelope> {
    (0..)
        .zip(events)
        .map(|(seq, event)| Envelope {
            seq,
            at_us: seq * 1000,
            event,
        })
        .collect()
}

pub(crate) fn codes(judgement: &Judgement) -> Vec<ReasonCode> {
    judgement
        .outcome
        .reasons
        .iter()
        .map(|reason| reason.code)
        .collect()
}

pub(crate) fn detail(judgement: &Judgement, code: ReasonCode) -> String {
    let reason = judgement
        .outcome
        .reasons
        .iter()
        .find(|reason| reason.code == code);
    reason
        .unwrap_or_else(|| panic!("no {code} in {:?}", judgement.outcome))
        .detail
        .lossy()
        .into_owned()
}

#[track_caller]
pub(crate) fn expect(job: &Job, status: Status, first: Option<ReasonCode>) -> Judgement {
    let judgement = job.judged();
    assert_eq!(judgement.outcome.status, status, "{:?}", judgement.outcome);
    assert_eq!(
        codes(&judgement).first().copied(),
        first,
        "{:?}",
        judgement.outcome
    );
    judgement
}
