//! What jobs come to: each refusal with the harmless form beside it.

use pyti_model::effect::{Contact, Denial, Exit, Limit, Survivor};
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode as R, Status, TaskResult};
use pyti_model::raw::{ImportOutcome, RawData, Start, TestCounts, TestOutcome, Unpack};

use crate::support::*;

fn test_raw(change: impl FnOnce(&mut pyti_model::raw::Test)) -> RawData {
    let mut test = test_data(passed(10));
    change(&mut test);
    RawData::Test(Box::new(test))
}

fn name(name: &str) -> Contact {
    Contact::Name {
        name: name.into(),
        record: "A".into(),
        times: 1,
    }
}

fn port(port: u16) -> Contact {
    Contact::Address {
        protocol: "tcp".into(),
        address: "198.18.0.1".into(),
        port: Some(port),
        times: 1,
    }
}

#[test]
fn good_jobs_pass_without_a_reason() {
    for job in [Job::wheel(), Job::sdist()] {
        let judgement = expect(&job, Status::Pass, None);
        assert!(
            judgement
                .tasks
                .iter()
                .all(|(_, result, reasons)| *result == TaskResult::Success && reasons.is_empty())
        );
    }
}

#[test]
fn a_pass_needs_tests_that_ran_and_a_runner_that_finished() {
    let of = |change: fn(&mut pyti_model::raw::Test)| Job::wheel().raw("test", test_raw(change));
    expect(
        &of(|t| (t.counts, t.exit) = (passed(0), Some(0))),
        Status::Load,
        Some(R::NoTests),
    );
    expect(
        &of(|t| (t.counts, t.exit) = (passed(0), Some(5))),
        Status::Load,
        Some(R::NoTests),
    );
    let skipped = of(|t| {
        (t.counts, t.exit) = (
            TestCounts {
                skipped: 3,
                ..passed(0)
            },
            Some(0),
        );
    });
    let judgement = expect(&skipped, Status::Load, Some(R::NoTests));
    assert_eq!(detail(&judgement, R::NoTests), "all 3 skipped");
    expect(&of(|t| t.finished = false), Status::Fail, Some(R::RunnerError));
    expect(&of(|t| t.exit = Some(3)), Status::Fail, Some(R::RunnerError));
    expect(
        &of(|t| (t.counts, t.exit) = (passed(0), Some(4))),
        Status::Fail,
        Some(R::RunnerError),
    );
    expect(&of(|t| t.counts.xfailed = 2), Status::Pass, None);
}

#[test]
fn tests_that_saw_other_code_prove_nothing() {
    let elsewhere = |installed| {
        test_raw(|t| {
            t.against_installed = installed;
            t.proof
                .insert("thing".into(), "/home/dev/src/thing/__init__.py".into());
        })
    };
    let judgement = expect(
        &Job::wheel().raw("test", elsewhere(false)),
        Status::Load,
        Some(R::RunnerError),
    );
    assert_eq!(judgement.outcome.reasons[0].blame, Blame::Us);
    expect(&Job::wheel().raw("test", elsewhere(true)), Status::Pass, None);
}

#[test]
fn failing_tests_fail_with_counts() {
    let counts = TestCounts {
        failed: 2,
        errors: 1,
        ..passed(7)
    };
    let job = Job::wheel().fails(
        "test",
        Some(RawData::Test(Box::new(test_data(counts)))),
        effect(Exit::Code(1)),
    );
    let judgement = expect(&job, Status::Fail, Some(R::TestFailures));
    assert_eq!(detail(&judgement, R::TestFailures), "2 of 10");
    assert_eq!(detail(&judgement, R::TestErrors), "1 of 10");
    // The agent said success, the data say otherwise.
    let lied = Job::wheel().raw("test", RawData::Test(Box::new(test_data(counts))));
    expect(&lied, Status::Fail, Some(R::TestFailures));
}

#[test]
fn causes_of_failing_tests_come_from_records_and_messages() {
    let failing = |message: &str, contacts: Vec<Contact>| {
        let mut test = test_data(TestCounts {
            failed: 1,
            ..passed(9)
        });
        test.cases.push(case("test_a", TestOutcome::Failed, message));
        let effect = pyti_model::effect::Effect {
            contacts,
            ..effect(Exit::Code(1))
        };
        Job::wheel()
            .fails("test", Some(RawData::Test(Box::new(test))), effect)
            .judged()
    };
    let called = failing(
        "AssertionError",
        vec![name("api.example.invalid"), name("localhost")],
    );
    assert_eq!(codes(&called), [R::TestFailures, R::NetworkNeeded]);
    assert_eq!(detail(&called, R::NetworkNeeded), "api.example.invalid");
    assert_eq!(called.outcome.reasons[1].blame, Blame::Environment);
    let service = failing("AssertionError", vec![port(5432)]);
    assert_eq!(detail(&service, R::ServiceNeeded), "postgresql");
    let refused = failing(
        "ConnectionError: Error 111 connecting to localhost:6379. Connection refused.",
        vec![],
    );
    assert_eq!(
        codes(&refused),
        [R::ServiceNeeded, R::TestFailures],
        "all of them say so, so it comes first"
    );
    let both = failing(
        "socket.gaierror: [Errno -2] Name or service not known",
        vec![name("api.example.invalid")],
    );
    assert_eq!(codes(&both), [R::NetworkNeeded, R::TestFailures]);
    assert_eq!(detail(&both, R::NetworkNeeded), "api.example.invalid");
    let missing = failing("ModuleNotFoundError: No module named 'trustme'", vec![]);
    assert_eq!(codes(&missing), [R::MissingTestDependency, R::TestFailures]);
    assert_eq!(
        codes(&failing("AssertionError: 1 == 2", vec![])),
        [R::TestFailures]
    );
    let display = failing(
        "_tkinter.TclError: no display name and no $DISPLAY environment variable",
        vec![],
    );
    assert_eq!(codes(&display)[0], R::DisplayNeeded);
    let locale = failing("locale.Error: unsupported locale setting", vec![]);
    assert_eq!(codes(&locale)[0], R::LocaleOrTimezone);
    let permission = failing("PermissionError: [Errno 13] Permission denied: '/etc/x'", vec![]);
    assert_eq!(detail(&permission, R::FilePermission), "/etc/x");
    // A suite that passes although it tried is a pass.
    let tried = pyti_model::effect::Effect {
        contacts: vec![name("api.example.invalid")],
        ..effect(Exit::Code(0))
    };
    expect(
        &Job::wheel().with("test", |t| t.effects = vec![tried]),
        Status::Pass,
        None,
    );
}

#[test]
fn collection_errors_name_what_is_missing() {
    let of = |text: &str| {
        let raw = test_raw(|t| {
            (t.counts, t.exit) = (passed(0), Some(2));
            t.collection_errors.push(("tests/test_a.py".into(), text.into()));
        });
        Job::wheel()
            .fails("test", Some(raw), effect(Exit::Code(2)))
            .judged()
    };
    let missing = of("ModuleNotFoundError: No module named 'httpbin'");
    assert_eq!(codes(&missing), [R::MissingTestDependency, R::CollectionError]);
    assert_eq!(detail(&missing, R::MissingTestDependency), "httpbin");
    let own = of("ModuleNotFoundError: No module named 'thing.gone'");
    assert!(!codes(&own).contains(&R::MissingTestDependency), "{own:?}");
    assert_eq!(codes(&of("SyntaxError: x")), [R::CollectionError]);
}

#[test]
fn what_tests_need_takes_away_the_claim_of_tests_only() {
    let unresolvable = Job::wheel().fails("lock-test", None, effect(Exit::Code(1)));
    let judgement = expect(&unresolvable, Status::Load, Some(R::Unresolvable));
    assert_eq!(judgement.outcome.reasons[0].task.as_deref(), Some("lock-test"));
    let lying = RawData::Unpack(Unpack {
        fatal: Some("truncated".into()),
        ..Unpack::default()
    });
    expect(
        &Job::wheel().fails("unpack-sdist", Some(lying), effect(Exit::Code(0))),
        Status::Load,
        Some(R::BadArchive),
    );
    expect(
        &Job::wheel().fails("env-test", None, effect(Exit::Code(1))),
        Status::Load,
        Some(R::TestEnvDiffers),
    );
}

#[test]
fn without_tests_it_loads_and_says_why() {
    let mut alone = Job::wheel().skipped("test");
    alone.plan.companion = None;
    expect(&alone, Status::Load, Some(R::NoSdist));
    expect(&Job::wheel().skipped("test"), Status::Load, Some(R::NoTests));
    expect(&Job::sdist().skipped("test"), Status::Load, Some(R::NoTests));
    let mut left_out = Job::wheel().skipped("test");
    left_out.plan.skip = vec!["test".into()];
    expect(&left_out, Status::Load, Some(R::Policy));
    let mut elsewhere = Job::sdist().skipped("test");
    elsewhere.plan.run_tests = false;
    expect(&elsewhere, Status::Load, Some(R::Policy));
}

#[test]
fn metapackages_install() {
    let meta = Job::wheel()
        .raw("install", install_of(&[]))
        .raw("import", import_of(&[]))
        .skipped("test");
    expect(&meta, Status::Install, Some(R::NoTests));
    let meta = Job::wheel()
        .raw("install", install_of(&[]))
        .skipped("import")
        .skipped("test");
    expect(&meta, Status::Install, Some(R::NoTests));
}

#[test]
fn a_module_that_only_an_extra_makes_usable_is_no_promise() {
    let missing = error("ModuleNotFoundError", "No module named 'aiohttp'");
    let of = |modules: &[pyti_model::raw::ModuleImport], requires: &str| {
        let metadata = pyti_model::raw::Metadata {
            name: "thing".into(),
            version: "1.0".into(),
            requires_dist: vec![requires.into()],
            ..pyti_model::raw::Metadata::default()
        };
        Job::wheel()
            .raw("metadata", RawData::Metadata(metadata))
            .raw("import", import_of(modules))
            .judged()
    };
    let both = [imported("thing"), raised("thingd", missing.clone())];
    let extra = of(&both, "aiohttp>=3; extra == \"d\"");
    assert!(
        !codes(&extra).contains(&R::UndeclaredDependency),
        "{:?}",
        extra.outcome
    );
    assert_eq!(extra.outcome.status, Status::Pass);
    // nobody declares it, or nothing else can be used
    assert_eq!(of(&both, "other; extra == 'd'").outcome.status, Status::Fail);
    let alone = [raised("thingd", missing)];
    assert_eq!(of(&alone, "aiohttp; extra == 'd'").outcome.status, Status::Fail);
}

#[test]
fn modules_that_cannot_be_imported() {
    let of = |modules: &[pyti_model::raw::ModuleImport]| {
        Job::wheel().fails("import", Some(import_of(modules)), effect(Exit::Code(1)))
    };
    let no = |module: &str| error("ModuleNotFoundError", &format!("No module named '{module}'"));
    let undeclared = expect(
        &of(&[raised("thing", no("numpy"))]),
        Status::Fail,
        Some(R::UndeclaredDependency),
    );
    assert_eq!(detail(&undeclared, R::UndeclaredDependency), "numpy");
    let nose = expect(
        &of(&[raised("thing", no("imp"))]),
        Status::Fail,
        Some(R::ImportError),
    );
    assert!(!codes(&nose).contains(&R::UndeclaredDependency));
    expect(
        &of(&[raised("thing", no("thing.gone"))]),
        Status::Fail,
        Some(R::ImportError),
    );
    expect(
        &of(&[raised("thing", no("urllib2"))]),
        Status::Na,
        Some(R::Python2Only),
    );
    expect(
        &of(&[raised("thing", no("winreg"))]),
        Status::Na,
        Some(R::WindowsOnly),
    );
    let print = error(
        "SyntaxError",
        "Missing parentheses in call to 'print'. Did you mean print(...)?",
    );
    expect(
        &of(&[raised("thing", print.clone())]),
        Status::Na,
        Some(R::Python2Only),
    );
    expect(
        &of(&[raised("thing", print), raised("other", error("ValueError", "x"))]),
        Status::Fail,
        Some(R::ImportError),
    );
    let crash = |signal| pyti_model::raw::ModuleImport {
        outcome: ImportOutcome::Crashed { signal },
        ..imported("thing")
    };
    expect(&of(&[crash(11)]), Status::Crash, Some(R::Segfault));
    let killed = pyti_model::raw::ModuleImport {
        outcome: ImportOutcome::Killed,
        ..imported("thing")
    };
    let hangs =
        of(std::slice::from_ref(&killed)).with("import", |t| t.effects = vec![limited(Limit::Inactivity)]);
    expect(&hangs, Status::Killed, Some(R::Inactivity));
}

#[test]
fn submodules_and_what_is_optional_by_look_only_warn() {
    let gone = || error("ModuleNotFoundError", "No module named 'numpy'");
    for module in ["thing.sub", "_private", "tests"] {
        let job = Job::wheel().raw("import", import_of(&[imported("thing"), raised(module, gone())]));
        let mut of_module = job.clone();
        // Even where the agent calls it a failure.
        of_module.task("import").result = Some(TaskResult::Failure);
        for job in [job, of_module] {
            let judgement = expect(&job, Status::Pass, None);
            let (result, reasons) = judgement.task("import").unwrap();
            assert_eq!(
                (result, reasons[0].code),
                (TaskResult::Warnings, R::ImportError),
                "{module}"
            );
        }
    }
    let alone = Job::wheel().raw("import", import_of(&[raised("_cffi", gone())]));
    expect(&alone, Status::Fail, Some(R::UndeclaredDependency));
}

#[test]
fn a_dependency_that_breaks_an_import_is_blamed() {
    let mut broken = error("TypeError", "boom");
    broken.traceback = "  File \"/home/dev/venv/lib/python3.13/site-packages/thing/__init__.py\", line 1\n  \
        File \"/home/dev/venv/lib/python3.13/site-packages/helper/core.py\", line 9, in f\n"
        .into();
    let of = |error| {
        Job::wheel()
            .raw("import", import_of(&[raised("thing", error)]))
            .judged()
            .outcome
            .reasons[0]
            .blame
    };
    assert_eq!(of(broken.clone()), Blame::Dependency);
    broken.traceback =
        "  File \"/home/dev/venv/lib/python3.13/site-packages/thing/__init__.py\", line 1\n".into();
    assert_eq!(of(broken), Blame::Package);
}

#[test]
fn what_only_the_agent_knows_is_believed() {
    let of = |task: &str, code: R| {
        let job = Job::wheel().fails(task, None, effect(Exit::Code(1)));
        job.with(task, |t| t.reasons = vec![Reason::new(code, "x")])
    };
    expect(
        &of("lock-runtime", R::ResolutionBudget),
        Status::Broken,
        Some(R::ResolutionBudget),
    );
    expect(&of("lock-runtime", R::Download), Status::Error, Some(R::Download));
    expect(
        &of("install", R::HashMismatch),
        Status::Broken,
        Some(R::HashMismatch),
    );
    expect(
        &Job::wheel().fails("lock-runtime", None, effect(Exit::Code(1))),
        Status::Broken,
        Some(R::Unresolvable),
    );
    expect(
        &Job::wheel().fails("install", None, effect(Exit::Code(1))),
        Status::Fail,
        Some(R::Install),
    );
    expect(
        &Job::wheel().fails("env-runtime", None, effect(Exit::Code(1))),
        Status::Error,
        Some(R::Testbed),
    );
    expect(
        &Job::wheel().fails("lock-runtime", None, limited(Limit::Memory)),
        Status::Error,
        Some(R::MemoryLimit),
    );
}

#[test]
fn limits_and_signals_of_tests() {
    for (limit, code) in [
        (Limit::Wall, R::TimeLimit),
        (Limit::Cpu, R::TimeLimit),
        (Limit::Inactivity, R::Inactivity),
        (Limit::Memory, R::MemoryLimit),
        (Limit::Processes, R::PidsLimit),
        (Limit::Disk, R::DiskLimit),
        (Limit::Output, R::LogLimit),
    ] {
        let partial = test_raw(|t| (t.finished, t.exit) = (false, None));
        let job = Job::wheel().fails("test", Some(partial), limited(limit));
        expect(&job, Status::Killed, Some(code));
    }
    for (signal, code) in [
        (11, R::Segfault),
        (6, R::Abort),
        (4, R::IllegalInstruction),
        (15, R::OtherSignal),
    ] {
        let job = Job::wheel().fails("test", None, effect(Exit::Signal(signal)));
        expect(&job, Status::Crash, Some(code));
    }
    expect(
        &Job::wheel().fails("test", None, effect(Exit::Code(139))),
        Status::Fail,
        Some(R::RunnerError),
    );
    let said = saying(Exit::Code(139), "Fatal Python error: Segmentation fault\n");
    expect(
        &Job::wheel().fails("test", None, said),
        Status::Crash,
        Some(R::Segfault),
    );
}

#[test]
fn labels_stand_beside_any_status() {
    let mut yanked = Job::wheel();
    yanked.plan.target.yanked = Some("broken on 3.13".into());
    expect(&yanked, Status::Pass, Some(R::Yanked));
    let start = Start {
        spoke: true,
        ..Start::default()
    };
    expect(
        &Job::wheel().raw("start", RawData::Start(start)),
        Status::Pass,
        Some(R::StartChanged),
    );
    let survivor = Survivor {
        pid: 7,
        argv: vec!["sleep".into()],
        ended_by_itself: false,
    };
    let survivors = Job::wheel().with("test", |t| t.effects[0].survivors.push(survivor));
    assert_eq!(
        detail(
            &expect(&survivors, Status::Pass, Some(R::Survivors)),
            R::Survivors
        ),
        "1: sleep"
    );
}

#[test]
fn a_denial_counts_in_a_failing_task_only() {
    let denial = Denial {
        call: "mount".into(),
        times: 1,
        executable: None,
        answer: "EPERM".into(),
    };
    let failing = RawData::Test(Box::new(test_data(TestCounts {
        failed: 1,
        ..passed(1)
    })));
    let job = Job::wheel().fails("test", Some(failing), effect(Exit::Code(1)));
    let denied = job.with("test", |t| t.effects[0].denials.push(denial.clone()));
    assert_eq!(codes(&denied.judged()), [R::TestFailures, R::LimitedByBox]);
    expect(
        &Job::wheel().with("test", |t| t.effects[0].denials.push(denial)),
        Status::Pass,
        None,
    );
}

#[test]
fn the_first_failed_step_decides_and_the_others_are_told() {
    let gone = import_of(&[raised("thing", error("ValueError", "x"))]);
    let failing = RawData::Test(Box::new(test_data(TestCounts {
        failed: 1,
        ..passed(1)
    })));
    let job = Job::wheel().fails("import", Some(gone), effect(Exit::Code(1)));
    let judgement = job.fails("test", Some(failing), effect(Exit::Code(1))).judged();
    assert_eq!(codes(&judgement), [R::ImportError, R::TestFailures]);
    assert_eq!(judgement.outcome.reasons[1].task.as_deref(), Some("test"));
    assert!(!judgement.outcome.reasons[0].evidence.is_empty());
}

#[test]
fn what_broke_off_is_our_error_unless_something_was_certain() {
    let mut died = Job::wheel();
    died.finished = false;
    died.task("test").result = None;
    let judgement = expect(&died, Status::Error, Some(R::WorkerLost));
    assert_eq!(judgement.outcome.reasons[0].task.as_deref(), Some("test"));
    assert_eq!(judgement.task("test").unwrap().0, TaskResult::Exception);
    let certain = died.fails("install", None, effect(Exit::Code(1)));
    let judgement = expect(&certain, Status::Fail, Some(R::Install));
    assert!(codes(&judgement).contains(&R::WorkerLost));
    let mut stopped = Job::wheel();
    stopped.interrupted = true;
    expect(&stopped, Status::Pass, None);
    stopped.task("test").result = None;
    let judgement = expect(&stopped, Status::Error, Some(R::Interrupted));
    assert_eq!(judgement.task("test").unwrap().0, TaskResult::Cancelled);
    let ours = Job::wheel().with("start", |t| t.result = Some(TaskResult::Exception));
    expect(&ours, Status::Error, Some(R::Testbed));
}

#[test]
fn decided_jobs_are_what_was_decided() {
    let outcome = Outcome::because(Status::Na, Reason::new(R::WindowsOnly, ""));
    let file = Some(Box::new(distribution("thing", pyti_model::FileKind::Wheel)));
    let event = pyti_model::event::Event::Decided {
        file,
        outcome: outcome.clone(),
    };
    let record = pyti_judge::fold(numbered(vec![event]));
    assert_eq!(record.file.as_ref().unwrap().project, "thing");
    assert_eq!(pyti_judge::judge(&record).outcome, outcome);
}

#[test]
fn the_wheel_stands_for_the_release() {
    let jobs = [Job::sdist().both(), Job::wheel().both()];
    assert_eq!(pyti_judge::headline(&jobs), 1);
    assert_eq!(pyti_judge::headline(&jobs[..1]), 0);
    assert_eq!(pyti_judge::headline(&[]), 0);
}

#[test]
fn what_the_agent_says_in_passing_is_kept() {
    // An import that is left out because nothing can be imported comes with empty raw data.
    let meta = Job::wheel()
        .raw("install", install_of(&[]))
        .skipped("import")
        .skipped("lock-test")
        .skipped("test");
    let meta = meta.raw("import", import_of(&[]));
    expect(&meta, Status::Install, Some(R::NoTests));
    let warned = Job::wheel().with("install", |t| t.result = Some(TaskResult::Warnings));
    let judgement = expect(&warned, Status::Pass, None);
    assert_eq!(judgement.task("install").unwrap().0, TaskResult::Warnings);
    // The agent warns of any compiler call that failed; a question of configure is none.
    let asked = Job::sdist().with("build", |t| t.result = Some(TaskResult::Warnings));
    assert_eq!(asked.judged().task("build").unwrap().0, TaskResult::Success);
}

#[test]
fn an_import_that_was_cut_off_does_not_load() {
    let cut = Job::wheel().fails(
        "import",
        Some(import_of(&[imported("thing")])),
        limited(Limit::Wall),
    );
    expect(&cut, Status::Killed, Some(R::TimeLimit));
    let odd = Job::wheel().fails(
        "import",
        Some(import_of(&[imported("thing")])),
        effect(Exit::Code(3)),
    );
    expect(&odd, Status::Fail, Some(R::ImportError));
}
