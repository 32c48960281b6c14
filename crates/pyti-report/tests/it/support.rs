//! Builds recordings as an agent would send them: six by default, bent by each test.

use std::collections::BTreeMap;

use pyti_judge::{JobRecord, Judgement, fold, judge};
use pyti_model::effect::{Captured, Change, Changed, Contact, Cost, Effect, Entry, Exit, Limit, Limits};
use pyti_model::event::{Envelope, Event, PlannedTask, RECORDING_VERSION};
use pyti_model::outcome::{Outcome, TaskResult};
use pyti_model::plan::{Installer, Interpreter, Isolation, Lock, PLAN_VERSION, Plan, Purpose, Watch};
use pyti_model::raw::{
    Build, BuiltWheel, CompilerCall, Import, ImportOutcome, Inspection, Install, Metadata, ModuleImport,
    Provide, PythonError, RawData, Recipe, Resolve, Runner, Start, Test, TestCase, TestCounts, TestOutcome,
    Unpack, WheelComparison,
};
use pyti_model::{Distribution, FileKind, Foreign};
use pyti_report::{Job, Look, Run};

pub(crate) const PLAIN: Look = Look {
    colour: false,
    width: 80,
    ascii: false,
};

pub(crate) type Judged = (JobRecord, Judgement);

fn distribution(kind: FileKind) -> Distribution {
    let (filename, digit) = match kind {
        FileKind::Wheel => ("six-1.17.0-py2.py3-none-any.whl", "4"),
        FileKind::Sdist | FileKind::Folder => ("six-1.17.0.tar.gz", "f"),
    };
    Distribution {
        project: "six".into(),
        version: "1.17.0".into(),
        filename: filename.into(),
        kind,
        sha256: digit.repeat(64).parse().unwrap(),
        size: 34_031,
        yanked: None,
        uploaded: None,
        index: Some("https://index.example.invalid/simple/".into()),
    }
}

fn plan(file: &Distribution) -> Plan {
    let lock = Lock {
        requirements: vec!["six==1.17.0".into(), "pytest".into()],
        index_lock: "lock-version = \"1.0\"\n".into(),
        ..Lock::default()
    };
    let wheel = file.kind == FileKind::Wheel;
    Plan {
        version: PLAN_VERSION,
        target: file.clone(),
        companion: wheel.then(|| distribution(FileKind::Sdist)),
        companion_lost: None,
        published: (!wheel).then(|| distribution(FileKind::Wheel)),
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
        installer: Installer::Uv,
        skip: Vec::new(),
        run_tests: wheel,
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
        locks: BTreeMap::from([(Purpose::Test, lock)]),
    }
}

pub(crate) fn effect(exit: Exit, stderr: &str) -> Effect {
    Effect {
        argv: vec!["/home/dev/venv/bin/python".into(), "-m".into(), "thing".into()],
        exit,
        limit: None,
        cost: Cost {
            wall_s: 0.4,
            user_s: 0.3,
            peak_memory_bytes: 30_000_000,
            peak_processes: 1,
            ..Cost::default()
        },
        stdout: Captured::default(),
        stderr: Captured {
            head: stderr.into(),
            tail: Foreign::default(),
            total: stderr.len() as u64,
        },
        survivors: Vec::new(),
        denials: Vec::new(),
        contacts: Vec::new(),
        losses: Vec::new(),
    }
}

pub(crate) fn over(limit: Limit, stderr: &str) -> Effect {
    Effect {
        limit: Some(limit),
        ..effect(Exit::Signal(9), stderr)
    }
}

pub(crate) fn error(class: &str, message: &str) -> PythonError {
    PythonError {
        class: class.into(),
        message: message.into(),
        module: None,
        traceback:
            "Traceback (most recent call last):\n  File \"setup.py\", line 3, in <module>\n    boom()\n"
                .into(),
    }
}

/// One task of a job that is being built.
#[derive(Clone)]
pub(crate) struct Task {
    pub(crate) name: &'static str,
    pub(crate) result: TaskResult,
    pub(crate) chain: Vec<String>,
    pub(crate) raw: Option<RawData>,
    pub(crate) effects: Vec<Effect>,
    pub(crate) changes: Vec<Change>,
    pub(crate) wall_s: f64,
}

fn task(name: &'static str, raw: RawData, wall_s: f64) -> Task {
    Task {
        name,
        result: TaskResult::Success,
        chain: Vec::new(),
        raw: Some(raw),
        effects: Vec::new(),
        changes: Vec::new(),
        wall_s,
    }
}

impl Task {
    /// It failed, with this data, after this command.
    pub(crate) fn fails(&mut self, raw: RawData, effect: Effect) {
        self.result = TaskResult::Failure;
        self.raw = Some(raw);
        self.effects = vec![effect];
    }
}

/// A job that is being built.
#[derive(Clone)]
pub(crate) struct Script {
    pub(crate) file: Distribution,
    pub(crate) tasks: Vec<Task>,
    /// How many of the tasks were run before the recording ends; the plan has them all.
    pub(crate) ran: usize,
    /// Whether the recording has its end, and whether that says that it was interrupted.
    pub(crate) finished: Option<bool>,
    pub(crate) decided: Option<Outcome>,
}

fn script(kind: FileKind, tasks: Vec<Task>) -> Script {
    Script {
        ran: tasks.len(),
        file: distribution(kind),
        tasks,
        finished: Some(false),
        decided: None,
    }
}

fn recipe() -> Recipe {
    Recipe {
        runner: Runner::Pytest,
        arguments: vec!["test_six.py".into()],
        requirements: vec!["pytest".into()],
        extras: Vec::new(),
        why: vec!["requirements: tests_require".into()],
        ..Recipe::default()
    }
}

pub(crate) fn case(id: &str, outcome: TestOutcome, message: &str) -> TestCase {
    TestCase {
        id: id.into(),
        outcome,
        wall_s: 0.002,
        cpu_s: None,
        peak_bytes: None,
        message: message.into(),
        output: Foreign::default(),
    }
}

pub(crate) fn tests(counts: TestCounts, cases: Vec<TestCase>) -> Test {
    Test {
        recipe: recipe(),
        runner_version: Some("9.2.0".into()),
        source: "six-1.17.0.tar.gz".into(),
        counts,
        cases,
        cases_dropped: 0,
        finished: true,
        exit: Some(i32::from(counts.failed + counts.errors > 0)),
        proof: BTreeMap::from([(
            "six".to_owned(),
            "/home/dev/venv/lib/python3.13/site-packages/six.py".into(),
        )]),
        against_installed: true,
        adjustments: Vec::new(),
        collection_errors: Vec::new(),
        attempts: Vec::new(),
        flaky: Vec::new(),
        services: Vec::new(),
    }
}

fn resolve(purpose: Purpose, packages: &[(&str, &str)]) -> RawData {
    RawData::Resolve(Resolve {
        purpose,
        requirements: vec!["six==1.17.0".into()],
        refused: Vec::new(),
        locked: packages
            .iter()
            .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
            .collect(),
        fetched: 0,
        cached: packages.len().try_into().unwrap(),
        built: 0,
        explanation: None,
        left_out: Vec::new(),
    })
}

fn provide(purpose: Purpose, packages: u32) -> RawData {
    RawData::Provide(Provide {
        purpose,
        environment: "e".repeat(64),
        cached: true,
        packages,
    })
}

fn metadata() -> RawData {
    RawData::Metadata(Metadata {
        name: "six".into(),
        version: "1.17.0".into(),
        ..Metadata::default()
    })
}

fn inspection() -> RawData {
    RawData::Inspect(Box::new(Inspection {
        recipes: vec![recipe()],
        rejected: vec!["tox.ini: no command that we know".into()],
        ..Inspection::default()
    }))
}

fn unpack(name: &'static str) -> Task {
    task(
        name,
        RawData::Unpack(Unpack {
            files: 34,
            bytes: 134_390,
            ..Unpack::default()
        }),
        0.02,
    )
}

pub(crate) fn imported(module: &str, outcome: ImportOutcome) -> ModuleImport {
    ModuleImport {
        module: module.into(),
        top_level: !module.contains('.'),
        outcome,
        wall_s: 0.012,
        file: None,
    }
}

pub(crate) fn added(path: &str) -> Change {
    Change {
        path: path.into(),
        what: Changed::Added,
        entry: Some(Entry::File),
        size: Some(34_703),
        mode: Some(0o644),
    }
}

fn after_wheel() -> Vec<Task> {
    let data = Install {
        installer: "uv 0.13.9".into(),
        files: 3,
        bytes: 41_000,
        top_level: vec!["six".into()],
        modules: vec!["six".into()],
        ..Install::default()
    };
    let mut install = task("install", RawData::Install(data), 0.07);
    install.effects.push(effect(
        Exit::Code(0),
        "Installed 1 package in 1ms\n + six==1.17.0\n",
    ));
    install.changes = vec![
        added("/home/dev/venv/lib/python3.13/site-packages/six.py"),
        added("/home/dev/venv/lib/python3.13/site-packages/six-1.17.0.dist-info/METADATA"),
    ];
    let import = Import {
        modules: vec![imported("six", ImportOutcome::Imported)],
    };
    vec![
        task("lock-runtime", resolve(Purpose::Runtime, &[]), 0.05),
        task("env-runtime", provide(Purpose::Runtime, 0), 0.001),
        install,
        task("start", RawData::Start(Start::default()), 0.09),
        task("import", RawData::Import(import), 0.06),
    ]
}

/// The wheel of six, as it really goes.
pub(crate) fn wheel() -> Script {
    let mut tasks = vec![task("metadata", metadata(), 0.01)];
    tasks.extend(after_wheel());
    tasks.push(unpack("unpack-sdist"));
    tasks.push(task("inspect-sdist", inspection(), 0.01));
    let packages = [
        ("iniconfig", "2.3.1"),
        ("packaging", "26.3"),
        ("pluggy", "1.7.0"),
        ("pytest", "9.2.0"),
    ];
    tasks.push(task("lock-test", resolve(Purpose::Test, &packages), 0.05));
    tasks.push(task("env-test", provide(Purpose::Test, 4), 0.001));
    let passed = (0..197).map(|n| case(&format!("test_six.py::test_{n}"), TestOutcome::Passed, ""));
    let skipped = (0..3).map(|n| {
        case(
            &format!("test_six.py::test_gone_{n}"),
            TestOutcome::Skipped,
            "no tkinter",
        )
    });
    let counts = TestCounts {
        passed: 197,
        skipped: 3,
        ..TestCounts::default()
    };
    let mut test = task(
        "test",
        RawData::Test(Box::new(tests(counts, passed.chain(skipped).collect()))),
        1.4,
    );
    test.effects.push(effect(Exit::Code(0), ""));
    tasks.push(test);
    script(FileKind::Wheel, tasks)
}

/// The sdist of six; its tests are left to the wheel's job.
pub(crate) fn sdist() -> Script {
    let mut tasks = vec![
        unpack("unpack"),
        task("inspect", inspection(), 0.01),
        task(
            "lock-build",
            resolve(Purpose::Build, &[("setuptools", "80.9.0")]),
            0.05,
        ),
        task("env-build", provide(Purpose::Build, 1), 0.001),
        task("build", RawData::Build(build()), 0.9),
        task("metadata", metadata(), 0.01),
    ];
    tasks.extend(after_wheel());
    script(FileKind::Sdist, tasks)
}

pub(crate) fn build() -> Build {
    let with = "six-1.17.0-py2.py3-none-any.whl";
    Build {
        backend: "setuptools 80.9.0".into(),
        wheel: Some(BuiltWheel {
            filename: with.into(),
            sha256: "b".repeat(64).parse().unwrap(),
            size: 11_050,
            files: 3,
            extensions: Vec::new(),
        }),
        error: None,
        compiler_calls: Vec::new(),
        published: Some(WheelComparison {
            with: with.into(),
            same: 3,
            ..WheelComparison::default()
        }),
    }
}

/// A call of gcc that failed and said this.
pub(crate) fn compiler_call(said: &str) -> CompilerCall {
    CompilerCall {
        program: "gcc".into(),
        argv: vec!["gcc".into(), "-c".into(), "speedups.c".into()],
        wall_s: 0.2,
        cpu_s: 0.2,
        exit: 1,
        warnings: 1,
        said: said.into(),
    }
}

pub(crate) fn contact(name: &str) -> Contact {
    Contact::Name {
        name: name.into(),
        record: "A".into(),
        times: 2,
    }
}

impl Script {
    fn at(&self, name: &str) -> usize {
        self.tasks
            .iter()
            .position(|task| task.name == name)
            .expect("the script has that task")
    }

    /// Bends the task of that name.
    pub(crate) fn with(mut self, name: &str, bend: impl FnOnce(&mut Task)) -> Self {
        let at = self.at(name);
        bend(&mut self.tasks[at]);
        self
    }

    /// What follows that task is skipped because of it.
    pub(crate) fn skipped_after(mut self, name: &str) -> Self {
        let at = self.at(name);
        for task in &mut self.tasks[at + 1..] {
            let chain = vec![format!("{name}: failure")];
            *task = Task {
                name: task.name,
                result: TaskResult::Skipped,
                chain,
                raw: None,
                effects: Vec::new(),
                changes: Vec::new(),
                wall_s: 0.0,
            };
        }
        self
    }

    /// It ends while that task runs.
    pub(crate) fn until(mut self, name: &str) -> Self {
        let at = self.at(name);
        self.ran = at;
        self
    }

    pub(crate) fn events(&self) -> Vec<Envelope> {
        let mut events: Vec<Envelope> = Vec::new();
        let mut say = |at_us: u64, event: Event| {
            events.push(Envelope {
                seq: events.len() as u64,
                at_us,
                event,
            });
        };
        say(
            0,
            Event::Began {
                recording: RECORDING_VERSION,
                pyti: "0.1.0".into(),
                when: "2026-01-02T03:04:05Z".into(),
                plan: Box::new(plan(&self.file)),
                machine: BTreeMap::from([("kernel".to_owned(), "6.18.0".to_owned())]),
            },
        );
        if let Some(outcome) = &self.decided {
            say(
                1,
                Event::Decided {
                    file: Some(Box::new(self.file.clone())),
                    outcome: outcome.clone(),
                },
            );
        } else {
            let planned = |task: &Task| PlannedTask {
                name: task.name.to_owned(),
                needs: Vec::new(),
                preparation: ["lock-", "env-"].iter().any(|s| task.name.starts_with(s))
                    || task.name.ends_with("-sdist"),
            };
            say(
                1,
                Event::Planned {
                    tasks: self.tasks.iter().map(planned).collect(),
                },
            );
        }
        let mut clock = 2_u64;
        for task in self.tasks.iter().take(self.ran) {
            let name = || task.name.to_owned();
            if task.result != TaskResult::Skipped {
                say(
                    clock,
                    Event::Started {
                        task: name(),
                        attempt: 1,
                    },
                );
            }
            clock += u64::try_from(std::time::Duration::from_secs_f64(task.wall_s).as_micros()).unwrap();
            for effect in &task.effects {
                say(
                    clock,
                    Event::Ran {
                        task: name(),
                        effect: Box::new(effect.clone()),
                    },
                );
            }
            if !task.changes.is_empty() {
                say(
                    clock,
                    Event::Changed {
                        task: name(),
                        changes: task.changes.clone(),
                    },
                );
            }
            say(
                clock,
                Event::Ended {
                    task: name(),
                    result: task.result,
                    reasons: Vec::new(),
                    chain: task.chain.clone(),
                    raw: task.raw.clone(),
                    wall_s: task.wall_s,
                    cpu_s: task.wall_s * 0.8,
                    peak_memory_bytes: 20_000_000,
                },
            );
        }
        if let Some(task) = self.tasks.get(self.ran) {
            say(
                clock,
                Event::Started {
                    task: task.name.to_owned(),
                    attempt: 1,
                },
            );
        }
        if let Some(interrupted) = self.finished {
            say(clock, Event::Finished { interrupted });
        }
        events
    }

    pub(crate) fn judged(&self) -> Judged {
        let record = fold(self.events());
        let judgement = judge(&record);
        (record, judgement)
    }
}

/// A run of these jobs.
pub(crate) fn run(jobs: &[Judged]) -> Run<'_> {
    Run {
        id: "7f3a",
        name: "six",
        version: Some("1.17.0"),
        interpreter: "CPython 3.13",
        python: "3.13",
        isolation: "sandbox",
        jobs: jobs
            .iter()
            .map(|(record, judgement)| Job::new(record, judgement))
            .collect(),
    }
}

/// The recording in the data folder was written by this, when that version of the form was the newest: set the
/// variable to a path to write one for a new version.
#[test]
fn recordings_can_be_written_for_the_data_folder() {
    let lines = wheel()
        .events()
        .iter()
        .map(serde_json::to_string)
        .collect::<Result<Vec<_>, _>>()
        .unwrap();
    assert!(lines[0].contains("\"event\":\"began\""), "{}", lines[0]);
    if let Some(path) = std::env::var_os("PYTI_WRITE_RECORDING") {
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    }
}
