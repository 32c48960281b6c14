//! The rules of resolving that need boxes: how locks become environments, and how sdists are built. The rules' numbers
//! are those of docs/resolution.md. Everything runs through the real program, over a local index.

#![expect(clippy::print_stderr, reason = "what a failure needs to be understood")]

mod support;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use pyti_fixtures::{Fault, Faults, LocalIndex};
use pyti_model::event::{Envelope, Event};
use pyti_model::outcome::{Blame, Outcome, Reason, ReasonCode, Status, TaskResult};
use pyti_model::raw::RawData;
use serde_json::Value;
use support::{Place, fixtures, skipped, tools};

/// A folder with wheels of these exact versions from outside, fetched once by pip; `None`, loudly, when it cannot.
fn outside(wanted: &[&str]) -> Option<PathBuf> {
    static LOCK: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _one_at_a_time = LOCK.lock().unwrap();
    let name: String = wanted
        .join("+")
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("outside-{name}"));
    if !folder.join("complete").exists() {
        for one in wanted {
            let fetched = Command::new("python3")
                .args([
                    "-m",
                    "pip",
                    "download",
                    "--quiet",
                    "--no-deps",
                    "--only-binary",
                    ":all:",
                    "--dest",
                ])
                .arg(&folder)
                .arg(one)
                .status();
            if !fetched.is_ok_and(|status| status.success()) {
                skipped("a build with setuptools", &format!("pip could not fetch {one}"));
                return None;
            }
        }
        std::fs::write(folder.join("complete"), "").unwrap();
    }
    Some(folder)
}

/// Whether this interpreter is there; loudly when it is not.
fn has_python(version: &str) -> bool {
    let found = pyti_resolve::interpreters::find(&|name| std::env::var(name).ok());
    let there = pyti_resolve::interpreters::choose(&found, Some(version)).is_ok();
    if !there {
        skipped("a build", &format!("no CPython {version} on this machine"));
    }
    there
}

/// A local index, and the folders of one user.
struct World {
    place: Place,
    index: LocalIndex,
}

impl World {
    /// `None`, loudly, where no box can be opened.
    fn new(what: &str, names: &[&str]) -> Option<Self> {
        let place = Place::new(what)?;
        let index = LocalIndex::start(fixtures(names), Faults::none()).unwrap();
        Some(Self { place, index })
    }

    fn with_folder(self, folder: &Path) -> Self {
        Self {
            index: self.index.with_folder(folder).unwrap(),
            ..self
        }
    }

    /// With pytest and the newest setuptools.
    fn with_tools(self, what: &str) -> Option<Self> {
        match tools::wheels() {
            Ok(wheels) => Some(self.with_folder(&wheels)),
            Err(why) => {
                skipped(what, &why);
                None
            }
        }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let ended = self.place.run(&self.index, arguments);
        let summary = ended.object();
        let folder = PathBuf::from(
            summary["recording"]
                .as_str()
                .unwrap_or_else(|| panic!("{}", ended.story())),
        );
        let mut jobs = BTreeMap::new();
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(name) = name.strip_suffix(".jsonl.zst") {
                jobs.insert(name.to_owned(), pyti_worker::recording::read(&path).unwrap());
            }
        }
        let run = Run { summary, jobs };
        if run.status() == "error" {
            eprintln!("{}", ended.stderr);
        }
        // an error of our own says what it is
        for envelope in run.jobs.values().flatten() {
            if let Event::Ended {
                task,
                result: TaskResult::Exception,
                chain,
                ..
            } = &envelope.event
            {
                eprintln!("{task} ended with an exception: {chain:?}");
            }
        }
        run
    }
}

/// What a run came to.
struct Run {
    summary: Value,
    jobs: BTreeMap<String, Vec<Envelope>>,
}

/// How a task ended.
struct Ended<'a> {
    result: TaskResult,
    reasons: &'a [Reason],
    chain: &'a [String],
    raw: Option<&'a RawData>,
}

impl Run {
    fn status(&self) -> &str {
        self.summary["status"].as_str().unwrap()
    }

    fn reasons(&self) -> Vec<&str> {
        self.summary["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["code"].as_str().unwrap())
            .collect()
    }

    /// The events of a job: of the only one, or of the wheel's or sdist's by the beginning of its name.
    fn events(&self, job: &str) -> &[Envelope] {
        self.jobs
            .iter()
            .find(|(name, _)| name.starts_with(job))
            .map(|(_, events)| events.as_slice())
            .unwrap()
    }

    /// What a job came to.
    fn outcome(&self, job: &str) -> Outcome {
        pyti_judge::judge(&pyti_judge::fold(self.events(job).iter().cloned())).outcome
    }

    fn ended(&self, job: &str, wanted: &str) -> Ended<'_> {
        self.events(job)
            .iter()
            .find_map(|envelope| match &envelope.event {
                Event::Ended {
                    task,
                    result,
                    reasons,
                    chain,
                    raw,
                    ..
                } if task == wanted => Some(Ended {
                    result: *result,
                    reasons,
                    chain,
                    raw: raw.as_ref(),
                }),
                _ => None,
            })
            .unwrap_or_else(|| panic!("no task {wanted} in {:?}", self.jobs.keys()))
    }

    /// The commands that a task ran.
    fn commands(&self, job: &str, wanted: &str) -> Vec<String> {
        let line = |envelope: &Envelope| match &envelope.event {
            Event::Ran { task, effect } if task == wanted => Some(
                effect
                    .argv
                    .iter()
                    .map(|word| word.lossy().into_owned())
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            _ => None,
        };
        self.events(job).iter().filter_map(line).collect()
    }
}

/// Writes a wheel with one module.
fn write_wheel(folder: &Path, name: &str, version: &str, requires: &[&str]) {
    let file = std::fs::File::create(folder.join(format!("{name}-{version}-py3-none-any.whl"))).unwrap();
    let mut zip = zip::ZipWriter::new(file);
    let info = format!("{name}-{version}.dist-info");
    let requires: String = requires
        .iter()
        .map(|line| format!("Requires-Dist: {line}\n"))
        .collect();
    for (path, text) in [
        (format!("{name}.py"), format!("VERSION = '{version}'\n")),
        (
            format!("{info}/METADATA"),
            format!("Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requires}"),
        ),
        (
            format!("{info}/WHEEL"),
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n".to_owned(),
        ),
        (
            format!("{info}/RECORD"),
            format!("{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n"),
        ),
    ] {
        zip.start_file(path, zip::write::SimpleFileOptions::default())
            .unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap();
}

/// A project whose users get `helper` from 2 on, and whose tests want `wanted`.
fn write_project(folder: &Path, wanted: &str) {
    std::fs::create_dir_all(folder.join("tests")).unwrap();
    let project = format!(
        "[build-system]\nrequires = ['plain-backend']\nbuild-backend = 'plain_backend'\n\
         [project]\nname = 'subject'\nversion = '1.0'\ndependencies = ['helper>=1']\n\
         [dependency-groups]\ntest = ['{wanted}']\n"
    );
    for (path, text) in [
        ("pyproject.toml", project.as_str()),
        (
            "PKG-INFO",
            "Metadata-Version: 2.1\nName: subject\nVersion: 1.0\nRequires-Dist: helper>=1\n",
        ),
        ("subject.py", "import helper\nVERSION = helper.VERSION\n"),
        ("tests/__init__.py", ""),
        (
            "tests/test_it.py",
            "import unittest\nimport subject\n\nclass It(unittest.TestCase):\n    def test_it(self):\n        \
             self.assertTrue(subject.VERSION)\n",
        ),
    ] {
        std::fs::write(folder.join(path), text).unwrap();
    }
}

#[test]
fn rule_10_the_tests_keep_the_runtime_s_versions() {
    let (wheels, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_wheel(wheels.path(), "helper", "1.0", &[]);
    write_wheel(wheels.path(), "helper", "2.0", &[]);
    let Some(world) = World::new(
        "rule_10_the_tests_keep_the_runtime_s_versions",
        &["plain-backend"],
    ) else {
        return;
    };
    let Some(world) = world.with_tools("rule_10_the_tests_keep_the_runtime_s_versions") else {
        return;
    };
    let world = world.with_folder(wheels.path());
    write_project(project.path(), "helper");
    let run = world.run(&[project.path().to_str().unwrap()]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    assert!(!run.reasons().contains(&"test_env_differs"), "{}", run.summary);
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-test").raw else {
        panic!("no lock")
    };
    assert!(
        locked.locked.contains(&("helper".into(), "2.0".into())),
        "{locked:?}"
    );
}

#[test]
fn rule_10_tests_that_exclude_the_runtime_s_versions_are_locked_again_and_that_is_said() {
    let (wheels, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_wheel(wheels.path(), "helper", "1.0", &[]);
    write_wheel(wheels.path(), "helper", "2.0", &[]);
    let Some(world) = World::new(
        "rule_10_tests_that_exclude_the_runtime_s_versions_are_locked_again_and_that_is_said",
        &["plain-backend"],
    ) else {
        return;
    };
    let Some(world) = world
        .with_tools("rule_10_tests_that_exclude_the_runtime_s_versions_are_locked_again_and_that_is_said")
    else {
        return;
    };
    let world = world.with_folder(wheels.path());
    write_project(project.path(), "helper<2");
    let run = world.run(&[project.path().to_str().unwrap()]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    assert!(run.reasons().contains(&"test_env_differs"), "{}", run.summary);
    let Some(RawData::Resolve(runtime)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert!(
        runtime.locked.contains(&("helper".into(), "2.0".into())),
        "{runtime:?}"
    );
    let Some(RawData::Resolve(test)) = run.ended("", "lock-test").raw else {
        panic!("no lock")
    };
    assert!(test.locked.contains(&("helper".into(), "1.0".into())), "{test:?}");
}

#[test]
fn rule_11_a_dependency_that_is_only_an_sdist_is_built_once_and_named_in_the_box_lock() {
    let Some(world) = World::new(
        "rule_11_a_dependency_that_is_only_an_sdist_is_built_once_and_named_in_the_box_lock",
        &[
            "sdist-only-dependency",
            "only-an-sdist",
            "plain-backend",
            "pure-passes",
        ],
    ) else {
        return;
    };
    let Some(world) = world
        .with_tools("rule_11_a_dependency_that_is_only_an_sdist_is_built_once_and_named_in_the_box_lock")
    else {
        return;
    };
    let run = world.run(&["sdist-only-dependency", "--only", "wheel"]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    let lock = run
        .events("")
        .iter()
        .find_map(|envelope| match &envelope.event {
            Event::Locked {
                purpose: pyti_model::plan::Purpose::Runtime,
                lock,
            } => Some(lock),
            _ => None,
        })
        .unwrap();
    assert!(
        lock.index_lock
            .contains("only_an_sdist-1.0.0-0sdist-py30-none-any.whl"),
        "{}",
        lock.index_lock
    );
    let sdist = fixtures(&["only-an-sdist"])[0].file(".tar.gz").unwrap().1.clone();
    let sha256 = digest(&sdist);
    let wheels = pyti_resolve::lock::parse_box_lock(&lock.box_lock).unwrap();
    let built = wheels.iter().find(|wheel| wheel.name == "only-an-sdist").unwrap();
    assert_eq!(
        built.built_from.as_ref().map(pyti_model::Digest::as_str),
        Some(sha256.as_str())
    );
    assert_eq!(built.filename, "only_an_sdist-1.0.0-py3-none-any.whl");
    assert_ne!(built.sha256.as_str(), sha256);
    let Some(RawData::Resolve(first)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert_eq!(first.built, 1, "{first:?}");
    // built once
    let again = world.run(&["sdist-only-dependency", "--only", "wheel"]);
    let Some(RawData::Resolve(second)) = again.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert_eq!((second.built, again.status()), (0, "pass"), "{second:?}");
}

fn digest(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let store = pyti_index::FileStore::open(folder.path()).unwrap();
    store.insert_bytes(bytes, "file").unwrap().0.as_str().to_owned()
}

#[test]
fn rule_12_an_environment_is_made_once_with_its_byte_code() {
    let (wheels, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write_wheel(wheels.path(), "helper", "2.0", &[]);
    let Some(world) = World::new(
        "rule_12_an_environment_is_made_once_with_its_byte_code",
        &["plain-backend"],
    ) else {
        return;
    };
    let Some(world) = world.with_tools("rule_12_an_environment_is_made_once_with_its_byte_code") else {
        return;
    };
    let world = world.with_folder(wheels.path());
    write_project(project.path(), "helper");
    let cached = |run: &Run| match run.ended("", "env-runtime").raw {
        Some(RawData::Provide(provide)) => (provide.cached, provide.environment.clone(), provide.packages),
        other => panic!("{other:?}"),
    };
    let first = world.run(&[project.path().to_str().unwrap()]);
    let second = world.run(&[project.path().to_str().unwrap()]);
    let ((was, one, packages), (is, two, _)) = (cached(&first), cached(&second));
    assert_eq!((was, is, packages), (false, true, 1));
    assert_eq!(one, two);
    assert_eq!(second.commands("", "env-runtime"), [""; 0]);
    // the dependency's byte code is in the layer below, so no task writes it again
    for run in [&first, &second] {
        for task in ["import", "test"] {
            let rewritten = run.events("").iter().any(|envelope| match &envelope.event {
                Event::Changed { task: of, changes } if of == task => changes
                    .iter()
                    .any(|change| change.path.lossy().contains("__pycache__/helper.")),
                _ => false,
            });
            assert!(!rewritten, "{task}");
        }
    }
    let mut folders = vec![world.place.path().join("cache")];
    let mut byte_code = 0;
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else if entry.path().to_string_lossy().contains("/__pycache__/helper.") {
                byte_code += 1;
            }
        }
    }
    assert!(byte_code >= 1, "no byte code in the cached environment");
}

#[test]
fn rule_13_what_the_installer_adds_is_not_the_package_s_doing() {
    let Some(world) = World::new(
        "rule_13_what_the_installer_adds_is_not_the_package_s_doing",
        &["build-helper"],
    ) else {
        return;
    };
    let run = world.run(&["build-helper", "--only", "wheel"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let Some(RawData::Install(install)) = run.ended("", "install").raw else {
        panic!("no install")
    };
    let told = serde_json::to_string(install).unwrap();
    assert!(
        !told.contains("uv_cache.json") && !told.contains("REQUESTED"),
        "{told}"
    );
    assert!(install.outside.is_empty(), "{told}");
    // the module, METADATA, WHEEL and RECORD
    assert_eq!(run.ended("", "install").result, TaskResult::Success);
}

#[test]
fn rule_15_a_hook_that_fails_before_any_lock_is_the_build_s_failure_and_the_wheel_goes_on() {
    let Some(setuptools) = outside(&["setuptools==80.9.0"]) else {
        return;
    };
    if !has_python("3.13") {
        return;
    }
    let wheels = tempfile::tempdir().unwrap();
    write_wheel(wheels.path(), "use_2to3", "1.0.0", &[]);
    let Some(world) = World::new(
        "rule_15_a_hook_that_fails_before_any_lock_is_the_build_s_failure_and_the_wheel_goes_on",
        &["use-2to3"],
    ) else {
        return;
    };
    let world = world.with_folder(&setuptools).with_folder(wheels.path());
    let run = world.run(&["use-2to3", "--python", "3.13"]);
    assert_eq!(run.ended("sdist", "requires").result, TaskResult::Failure);
    let sdist = run.outcome("sdist");
    assert_eq!(sdist.status, Status::Fail, "{sdist:?}");
    assert_eq!(
        (sdist.reasons[0].code, sdist.reasons[0].blame),
        (ReasonCode::BuildUse2to3, Blame::Package)
    );
    // the wheel of the same release
    assert_eq!(run.ended("wheel", "import").result, TaskResult::Success);
    assert_eq!(run.status(), "load", "{}", run.summary);
}

#[test]
fn rule_16_each_hook_is_called_in_a_process_of_its_own() {
    let Some(world) = World::new(
        "rule_16_each_hook_is_called_in_a_process_of_its_own",
        &["dynamic-requires", "build-helper"],
    ) else {
        return;
    };
    let run = world.run(&["dynamic-requires"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let calls = |task: &str, hook: &str| {
        run.commands("", task)
            .iter()
            .filter(|line| line.contains(hook))
            .count()
    };
    assert_eq!(
        (
            calls("requires", "get_requires_for_build_wheel"),
            calls("requires", "build_wheel\\\"")
        ),
        (1, 0)
    );
    assert_eq!(
        (
            calls("build", "get_requires_for_build_wheel"),
            calls("build", "build_wheel")
        ),
        (0, 1)
    );
    let Some(RawData::Hook(hook)) = run.ended("", "requires").raw else {
        panic!("no hook")
    };
    assert_eq!(
        hook.requires
            .iter()
            .map(|r| r.lossy().into_owned())
            .collect::<Vec<_>>(),
        ["build-helper>=1"]
    );
    // what it asked for was locked for the build
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-build-2").raw else {
        panic!("no lock")
    };
    assert_eq!(locked.locked, [("build-helper".to_owned(), "1.0.0".to_owned())]);
}

#[test]
fn rule_17_a_legacy_sdist_is_built_with_the_newest_setuptools() {
    let Some(setuptools) = outside(&["setuptools==80.9.0", "setuptools==57.5.0", "wheel==0.45.1"]) else {
        return;
    };
    if !has_python("3.13") {
        return;
    }
    let Some(world) = World::new(
        "rule_17_a_legacy_sdist_is_built_with_the_newest_setuptools",
        &["legacy-setup", "use-2to3"],
    ) else {
        return;
    };
    let world = world.with_folder(&setuptools);
    let run = world.run(&["legacy-setup", "--python", "3.13"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-build").raw else {
        panic!("no lock")
    };
    assert!(
        locked.locked.contains(&("setuptools".into(), "80.9.0".into())),
        "{locked:?}"
    );
    // from 3.12 on there is no second attempt
    let run = world.run(&["use-2to3", "--python", "3.13"]);
    assert_eq!(run.status(), "fail", "{}", run.summary);
    assert!(run.reasons().contains(&"build.use_2to3"), "{}", run.summary);
}

#[test]
fn rule_17_before_3_12_there_is_a_second_attempt_with_an_older_setuptools() {
    let Some(setuptools) = outside(&["setuptools==80.9.0", "setuptools==57.5.0", "wheel==0.45.1"]) else {
        return;
    };
    if !has_python("3.11") {
        return;
    }
    let Some(world) = World::new(
        "rule_17_before_3_12_there_is_a_second_attempt_with_an_older_setuptools",
        &["legacy-setup", "use-2to3"],
    ) else {
        return;
    };
    let world = world.with_folder(&setuptools);
    let run = world.run(&["use-2to3", "--python", "3.11"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    let build = run.ended("", "build");
    assert_eq!(build.result, TaskResult::Warnings, "{:?}", build.reasons);
    assert_eq!(
        build.chain,
        ["setuptools 57.5.0, because it fails with the newest"]
    );
    let Some(RawData::Resolve(locked)) = run.ended("", "lock-build-2").raw else {
        panic!("no lock")
    };
    assert!(
        locked.locked.contains(&("setuptools".into(), "57.5.0".into())),
        "{locked:?}"
    );
    // the first attempt is enough for what does not need the second
    let run = world.run(&["legacy-setup", "--python", "3.11"]);
    assert_eq!(run.status(), "load", "{}", run.summary);
    assert_eq!(run.ended("", "build").result, TaskResult::Success);
}

#[test]
fn rule_18_a_build_that_silently_drops_an_extension_is_warned_of() {
    if Command::new("cc").arg("--version").output().is_err() {
        eprintln!("SKIPPED: no C compiler on this machine");
        return;
    }
    let Some(world) = World::new(
        "rule_18_a_build_that_silently_drops_an_extension_is_warned_of",
        &["drops-extension", "builds-c-extension"],
    ) else {
        return;
    };
    let Some(world) = world.with_tools("rule_18_a_build_that_silently_drops_an_extension_is_warned_of")
    else {
        return;
    };
    let run = world.run(&["drops-extension"]);
    assert_eq!(run.status(), "pass", "{}", run.summary);
    assert!(
        run.reasons().contains(&"build.extension_dropped"),
        "{}",
        run.summary
    );
    let Some(RawData::Build(build)) = run.ended("", "build").raw else {
        panic!("no build")
    };
    assert!(
        build.compiler_calls.iter().any(|call| call.exit != 0),
        "{build:?}"
    );
    // an extension that compiles is no reason for a warning
    let run = world.run(&["builds-c-extension"]);
    assert!(
        !run.reasons().contains(&"build.extension_dropped"),
        "{}",
        run.summary
    );
    let Some(RawData::Build(build)) = run.ended("", "build").raw else {
        panic!("no build")
    };
    assert!(
        !build.compiler_calls.is_empty() && build.compiler_calls.iter().all(|call| call.exit == 0),
        "{build:?}"
    );
}

#[test]
fn a_requirement_that_nobody_meets_is_named_in_one_sentence_with_uv_s_words() {
    let Some(world) = World::new(
        "a_requirement_that_nobody_meets_is_named_in_one_sentence_with_uv_s_words",
        &["unresolvable", "build-helper", "plain-backend"],
    ) else {
        return;
    };
    let run = world.run(&["unresolvable", "--only", "wheel"]);
    assert_eq!(run.status(), "broken", "{}", run.summary);
    let reason = run.summary["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .find(|r| r["code"] == "unresolvable")
        .unwrap();
    assert!(
        reason["detail"]
            .as_str()
            .unwrap()
            .contains("nobody-has-this-project"),
        "{reason}"
    );
    let Some(RawData::Resolve(raw)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    let words = raw.explanation.as_ref().unwrap().lossy().into_owned();
    assert!(words.contains("nobody-has-this-project was not found"), "{words}");
    // a person sees both
    let report = world.place.ends(["report", "last"]);
    let text = report.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        text.contains("the index has no project nobody-has-this-project"),
        "{text}"
    );
    assert!(text.contains("was not found in the package registry"), "{text}");
}

#[test]
fn an_index_that_fails_halfway_is_no_finding_about_the_distribution() {
    let Some(place) = Place::new("an_index_that_fails_halfway_is_no_finding_about_the_distribution") else {
        return;
    };
    let names = ["sdist-only-dependency", "only-an-sdist", "plain-backend"];
    let faults = Faults::none().on(
        "/simple/only-an-sdist/",
        Fault::Status {
            code: 500,
            times: 1000,
        },
    );
    let world = World {
        place,
        index: LocalIndex::start(fixtures(&names), faults).unwrap(),
    };
    let run = world.run(&["sdist-only-dependency", "--only", "wheel"]);
    assert_eq!(run.status(), "error", "{}", run.summary);
    assert_eq!(run.reasons(), ["download"], "{}", run.summary);
    let Some(RawData::Resolve(raw)) = run.ended("", "lock-runtime").raw else {
        panic!("no lock")
    };
    assert!(
        raw.left_out
            .iter()
            .any(|line| line.starts_with("only-an-sdist: ")),
        "{raw:?}"
    );
}

/// Runs `pyti` in a mount namespace where its caches lie on a disk of that size; the exit code and the objects.
fn run_on_small_disk(world: &World, size: &str, arguments: &[&str]) -> Option<(i32, Value)> {
    let cache = world.place.path().join("cache");
    std::fs::create_dir_all(&cache).unwrap();
    let command = world.place.pyti(support::run_arguments(&world.index, arguments));
    let script = "mount -t tmpfs -o size=$1,mode=0700 tmpfs \"$2\" || exit 77; shift 2; exec \"$@\"";
    let mut wrapped = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        wrapped.args(["--user", "--map-root-user"]);
    }
    wrapped
        .args(["--mount", "sh", "-c", script, "sh", size])
        .arg(&cache);
    wrapped.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => wrapped.env(name, value),
            None => wrapped.env_remove(name),
        };
    }
    wrapped
        .current_dir(world.place.work())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let child = support::leftovers::spawn(&mut wrapped);
    let ended = world.place.wait(child, arguments);
    if ended.code == 77 || ended.stderr.contains("unshare:") {
        skipped("a full disk", &format!("no tmpfs can be mounted in a namespace here: {}", ended.stderr));
        return None;
    }
    Some((ended.code, ended.object()))
}

#[test]
fn a_full_disk_is_our_trouble_and_with_room_it_goes_on() {
    let what = "a_full_disk_is_our_trouble_and_with_room_it_goes_on";
    let Some(world) = World::new(what, &["sdist-only-dependency", "only-an-sdist", "plain-backend"]) else {
        return;
    };
    // pytest and what it needs do not fit: the wheel itself and its dependency do
    let Some(world) = world.with_tools(what) else {
        return;
    };
    let arguments = ["sdist-only-dependency", "--only", "wheel"];
    let Some((_, object)) = run_on_small_disk(&world, "160k", &arguments) else {
        return;
    };
    let told = object["reasons"].as_array().unwrap();
    assert!(
        told.iter()
            .any(|reason| reason["code"] == "storage" && reason["blame"] == "us"),
        "{object}"
    );
    // nothing is said of the distribution
    assert!(told.iter().all(|reason| reason["blame"] == "us"), "{object}");
    // the recording is whole, and the twin with room passes
    let folder = PathBuf::from(object["recording"].as_str().unwrap());
    assert!(std::fs::read_dir(folder).unwrap().count() > 0);
    let Some((code, object)) = run_on_small_disk(&world, "64m", &arguments) else {
        return;
    };
    assert_eq!((code, object["status"].as_str()), (0, Some("pass")), "{object}");
}
