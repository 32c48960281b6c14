//! Runs of the real program over a local index, with their recordings; wheels and projects that tests write.

// every test file is a program of its own and uses a part of this
#![allow(
    dead_code,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::missing_panics_doc
)]
#![allow(clippy::print_stderr, reason = "what a failure needs to be understood")]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use pyti_fixtures::{Faults, LocalIndex};
use pyti_model::event::{Envelope, Event};
use pyti_model::outcome::{Outcome, Reason, TaskResult};
use pyti_model::raw::RawData;
use serde_json::Value;

use crate::support::{Place, fixtures, skipped, tools};

/// A folder with wheels of these exact versions from outside, fetched once by pip; `None`, loudly, when it cannot.
pub fn outside(wanted: &[&str]) -> Option<PathBuf> {
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
pub fn has_python(version: &str) -> bool {
    let found = pyti_resolve::interpreters::find(&|name| std::env::var(name).ok());
    let there = pyti_resolve::interpreters::choose(&found, Some(version)).is_ok();
    if !there {
        skipped("a build", &format!("no CPython {version} on this machine"));
    }
    there
}

/// A local index, and the folders of one user.
pub struct World {
    pub place: Place,
    pub index: LocalIndex,
}

impl World {
    /// `None`, loudly, where no box can be opened.
    pub fn new(what: &str, names: &[&str]) -> Option<Self> {
        let place = Place::new(what)?;
        let index = LocalIndex::start(fixtures(names), Faults::none()).unwrap();
        Some(Self { place, index })
    }

    pub fn with_folder(self, folder: &Path) -> Self {
        Self {
            index: self.index.with_folder(folder).unwrap(),
            ..self
        }
    }

    /// With pytest and the newest setuptools.
    pub fn with_tools(self, what: &str) -> Option<Self> {
        match tools::wheels() {
            Ok(wheels) => Some(self.with_folder(&wheels)),
            Err(why) => {
                skipped(what, &why);
                None
            }
        }
    }

    pub fn run(&self, arguments: &[&str]) -> Run {
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
            // what an empty package does is no job
            if let Some(name) = name
                .strip_suffix(".jsonl.zst")
                .filter(|name| !name.starts_with("baseline-"))
            {
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
pub struct Run {
    pub summary: Value,
    pub jobs: BTreeMap<String, Vec<Envelope>>,
}

/// How a task ended.
pub struct Ended<'a> {
    pub result: TaskResult,
    pub reasons: &'a [Reason],
    pub chain: &'a [String],
    pub raw: Option<&'a RawData>,
}

impl Run {
    pub fn status(&self) -> &str {
        self.summary["status"].as_str().unwrap()
    }

    pub fn reasons(&self) -> Vec<&str> {
        self.summary["reasons"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["code"].as_str().unwrap())
            .collect()
    }

    /// The events of a job: of the only one, or of the wheel's or sdist's by the beginning of its name.
    pub fn events(&self, job: &str) -> &[Envelope] {
        self.jobs
            .iter()
            .find(|(name, _)| name.starts_with(job))
            .map(|(_, events)| events.as_slice())
            .unwrap()
    }

    /// What a job came to.
    pub fn outcome(&self, job: &str) -> Outcome {
        pyti_judge::judge(&pyti_judge::fold(self.events(job).iter().cloned())).outcome
    }

    pub fn ended(&self, job: &str, wanted: &str) -> Ended<'_> {
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
    pub fn commands(&self, job: &str, wanted: &str) -> Vec<String> {
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
pub fn write_wheel(folder: &Path, name: &str, version: &str, requires: &[&str]) {
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
pub fn write_project(folder: &Path, wanted: &str) {
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
