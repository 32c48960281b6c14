//! What archives, hooks and builds come to.

use pyti_model::Foreign;
use pyti_model::effect::{Contact, Exit, Limit};
use pyti_model::outcome::{Blame, Reason, ReasonCode as R, Status};
use pyti_model::raw::{CompilerCall, Inspection, Metadata, RawData, RefusedEntry, Unpack, WheelComparison};

use crate::support::*;

fn name(name: &str) -> Contact {
    Contact::Name {
        name: name.into(),
        record: "A".into(),
        times: 1,
    }
}

#[test]
fn builds_fail_for_reasons() {
    let of = |error, said: &str| {
        Job::sdist().fails(
            "build",
            Some(RawData::Build(build_data(Some(error)))),
            saying(Exit::Code(1), said),
        )
    };
    let exit = || {
        error(
            "SystemExit",
            "error: command '/usr/bin/gcc' failed with exit code 1",
        )
    };
    let header = "a.c:1:10: fatal error: ffi.h: No such file or directory\n";
    let judgement = expect(&of(exit(), header), Status::Fail, Some(R::MissingSystemLibrary));
    assert_eq!(
        detail(&judgement, R::MissingSystemLibrary),
        "ffi.h (Debian: libffi-dev)"
    );
    assert_eq!(judgement.outcome.reasons[0].blame, Blame::Environment);
    expect(
        &of(exit(), "a.c:1:2: error: unknown type name 'x'\n"),
        Status::Fail,
        Some(R::BuildCompilerError),
    );
    expect(
        &of(error("AttributeError", "cython_sources"), ""),
        Status::Fail,
        Some(R::BuildCythonIncompatible),
    );
    expect(
        &of(error("ValueError", "x"), ""),
        Status::Fail,
        Some(R::BuildBackendError),
    );
    expect(
        &of(error("ModuleNotFoundError", "No module named 'numpy'"), ""),
        Status::Fail,
        Some(R::UndeclaredDependency),
    );
    expect(
        &of(error("ModuleNotFoundError", "No module named 'ConfigParser'"), ""),
        Status::Na,
        Some(R::Python2Only),
    );
    let noise = "SyntaxError: Missing parentheses in call to 'print'\n";
    expect(
        &of(error("ValueError", "x"), noise),
        Status::Fail,
        Some(R::BuildBackendError),
    );
    let cargo = of(exit(), "").with("build", |t| {
        t.effects[0].contacts = vec![name("crates.example.invalid")];
    });
    let judgement = cargo.judged();
    assert!(codes(&judgement).contains(&R::NetworkNeeded), "{judgement:?}");
    let no_wheel = pyti_model::raw::Build {
        wheel: None,
        ..build_data(None)
    };
    expect(
        &Job::sdist().raw("build", RawData::Build(no_wheel)),
        Status::Fail,
        Some(R::BuildNoWheel),
    );
    let limit = Job::sdist().fails("build", None, limited(Limit::Memory));
    expect(&limit, Status::Killed, Some(R::MemoryLimit));
}

#[test]
fn hooks_fail_for_reasons() {
    let of = |error| Job::sdist().fails("requires", Some(hook(Some(error))), effect(Exit::Code(1)));
    let use_2to3 = error(
        "SystemExit",
        "error in demjson setup command: use_2to3 is invalid.",
    );
    expect(&of(use_2to3), Status::Fail, Some(R::BuildUse2to3));
    let unavailable = error("BackendUnavailable", "Cannot import 'foo.build'");
    expect(&of(unavailable), Status::Broken, Some(R::BuildBackendMissing));
    let setuptools = error("ModuleNotFoundError", "No module named 'setuptools'");
    expect(&of(setuptools), Status::Broken, Some(R::BuildBackendMissing));
    let advice = Inspection {
        advice: Some("use the other name".into()),
        ..inspection()
    };
    let deliberate = of(error("SystemExit", "1")).raw("inspect", RawData::Inspect(Box::new(advice.clone())));
    let judgement = expect(&deliberate, Status::Broken, Some(R::DeliberateError));
    assert_eq!(detail(&judgement, R::DeliberateError), "use the other name");
    // Advice that was not acted on is no failure.
    expect(
        &Job::sdist().raw("inspect", RawData::Inspect(Box::new(advice))),
        Status::Pass,
        None,
    );
}

#[test]
fn builds_that_worked_may_still_warn() {
    let call = |source: &str| CompilerCall {
        program: "gcc".into(),
        argv: vec!["-c".into(), source.into()],
        wall_s: 0.1,
        cpu_s: 0.1,
        exit: 1,
        warnings: 0,
        said: Foreign::default(),
    };
    let with = |source: &str| {
        let build = pyti_model::raw::Build {
            compiler_calls: vec![call(source)],
            ..build_data(None)
        };
        Job::sdist().raw("build", RawData::Build(build))
    };
    expect(
        &with("src/speedups.c"),
        Status::Pass,
        Some(R::BuildExtensionDropped),
    );
    expect(&with("conftest.c"), Status::Pass, None);
    let differs = |different: Vec<Foreign>| {
        let published = Some(WheelComparison {
            with: "w".into(),
            same: 2,
            different,
            ..WheelComparison::default()
        });
        Job::sdist().raw(
            "build",
            RawData::Build(pyti_model::raw::Build {
                published,
                ..build_data(None)
            }),
        )
    };
    expect(
        &differs(vec!["thing/a.py".into()]),
        Status::Pass,
        Some(R::WheelDiffers),
    );
    expect(&differs(Vec::new()), Status::Pass, None);
}

#[test]
fn archives_that_climb_are_broken_and_odd_ones_warn() {
    let refused = |why: &str| {
        let entry = RefusedEntry {
            name: "../../etc/x".into(),
            why: why.into(),
        };
        RawData::Unpack(Unpack {
            refused: vec![entry],
            refused_total: 1,
            ..Unpack::default()
        })
    };
    expect(
        &Job::sdist().raw("unpack", refused("its path climbs out with `..`")),
        Status::Broken,
        Some(R::BadArchive),
    );
    expect(
        &Job::sdist().raw("unpack", refused("a device or a named pipe")),
        Status::Broken,
        Some(R::BadArchive),
    );
    expect(
        &Job::sdist().raw("unpack", refused("duplicate name")),
        Status::Pass,
        Some(R::BadArchive),
    );
    let fatal = RawData::Unpack(Unpack {
        fatal: Some("not gzip".into()),
        ..Unpack::default()
    });
    expect(
        &Job::sdist().fails("unpack", Some(fatal), effect(Exit::Code(0))),
        Status::Broken,
        Some(R::BadArchive),
    );
}

#[test]
fn metadata_that_lies_is_broken() {
    let called = |name: &str| {
        RawData::Metadata(Metadata {
            name: name.into(),
            ..Metadata::default()
        })
    };
    expect(
        &Job::wheel().raw("metadata", called("other")),
        Status::Broken,
        Some(R::BadMetadata),
    );
    expect(&Job::wheel().raw("metadata", called("Thing")), Status::Pass, None);
    expect(
        &Job::wheel().fails("metadata", None, effect(Exit::Code(1))),
        Status::Broken,
        Some(R::BadMetadata),
    );
}

#[test]
fn limits_on_our_own_readers_are_not_the_builds() {
    let after = Job::sdist().with("build", |t| t.effects.push(limited(Limit::Memory)));
    expect(&after, Status::Pass, None);
    let bomb = RawData::Unpack(Unpack {
        fatal: Some("reading it ended by a limit".into()),
        ..Unpack::default()
    });
    let judgement = expect(
        &Job::sdist().fails("unpack", Some(bomb), limited(Limit::Memory)),
        Status::Broken,
        Some(R::BadArchive),
    );
    assert!(codes(&judgement).contains(&R::MemoryLimit));
    let slow = Job::wheel().fails("env-runtime", None, limited(Limit::Disk));
    let slow = slow.with("env-runtime", |t| {
        t.reasons = vec![Reason::new(R::Unresolvable, "limit")];
    });
    let judgement = expect(&slow, Status::Error, Some(R::DiskLimit));
    assert_eq!(judgement.outcome.reasons[0].blame, Blame::Environment);
    let refused = Job::wheel().fails("env-runtime", None, effect(Exit::Code(1)));
    let refused = refused.with("env-runtime", |t| {
        t.reasons = vec![Reason::new(R::Unresolvable, "bad wheel")];
    });
    expect(&refused, Status::Broken, Some(R::Unresolvable));
}

#[test]
fn a_hook_that_died_without_an_answer_is_no_missing_backend() {
    let mut hook = hook(None);
    if let RawData::Hook(hook) = &mut hook {
        hook.present = false;
    }
    let job = Job::sdist().fails("requires", Some(hook), saying(Exit::Code(1), "boom\n"));
    let judgement = expect(&job, Status::Fail, Some(R::BuildBackendError));
    assert_eq!(detail(&judgement, R::BuildBackendError), "boom");
}
