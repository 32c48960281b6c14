//! coverage: the recipe that gave the tests' result once more, in a pristine box, with coverage.py listening.
//!
//! The status is that of the run without: what listens may disturb. coverage.py lies in an environment of ours, made from a
//! lock that is part of PyTI, and is shown to the tests' interpreters in a folder beside everything else.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use pyti_box::protocol::{ProvideFiles, ProvideOrder, SOURCE};
use pyti_graph::{Outcome, TaskError};
use pyti_model::event::Event;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::ReasonCode;
use pyti_model::plan::{Lock, Purpose};
use pyti_model::raw::{Coverage, CoverageOff, CoverageResult, Measured, RawData, Runner, TestCounts};
use pyti_probes::cover;
use pyti_resolve::{lock, tools};
use pyti_sandbox::{Bind, Command, Lower, Network, RESULTS_FD};

use super::environment::{self, Made};
use super::lock::Locked;
use super::test::one::{self, Bench, Ran, Setting};
use super::{FACTS, INSPECTION, INSTALLED, RUNTIME_LOCK, TAKEN};
use crate::commands::{self, PROBES};
use crate::job::{Cx, Ended, Job};

/// Where coverage.py is shown.
const FOLDER: &str = "/.pyti/coverage";
/// What begins to measure reads.
const CONFIG: &str = "/.pyti/cover/config";
/// What puts together reads.
const REPORT: &str = "/.pyti/cover/report.json";
/// Where the processes of a command leave what they saw; the number of the command follows.
const DATA: &str = "/tmp/.pyti-coverage-";
/// Most files that are looked at.
const FILES: usize = 20_000;

/// What gave the tests' result, so that it can be run again.
pub(crate) struct Taken {
    pub(crate) setting: Setting,
    /// Recipes whose tests were counted besides.
    pub(crate) besides: Vec<Setting>,
    pub(crate) counts: TestCounts,
    pub(crate) finished: bool,
    /// Whether a limit ended it.
    pub(crate) limited: bool,
    pub(crate) wall_s: f64,
}

/// coverage.py as a command gets it.
pub(crate) struct Kit {
    version: String,
    /// Its files, in the agent's root.
    source: PathBuf,
    /// Keeps the layer that they lie in, when the cache could not take them.
    _lower: Lower,
}

impl Kit {
    /// Lets a command measure; its processes leave their data at `data`.
    pub(crate) fn equip(
        &self,
        job: &Job,
        command: &mut Command,
        data: &str,
        top_level: &[String],
    ) -> Result<(), TaskError> {
        let site = job.site_packages();
        command.binds.push(self.bind());
        let files = [
            (
                format!("{site}/{}", cover::PATH_FILE),
                cover::path_file(PROBES, CONFIG).into_bytes(),
            ),
            (
                CONFIG.to_owned(),
                cover::config(FOLDER, data, &site, top_level).into_bytes(),
            ),
        ];
        Ok(commands::add_files(job, command, &files)?)
    }

    fn bind(&self) -> Bind {
        Bind {
            source: self.source.clone(),
            target: PathBuf::from(FOLDER),
            writable: false,
        }
    }
}

/// Measures coverage.
pub(crate) fn coverage(cx: &Cx<'_>, archive: &str) -> Ended {
    let off = |why: CoverageOff, detail: String| {
        let result = CoverageResult::Off {
            why,
            detail: Foreign::from(detail),
        };
        cx.context()
            .keep(cx, RawData::Coverage(Box::new(Coverage { result })));
        Ok(match why {
            CoverageOff::NotHad | CoverageOff::NoData => Outcome::warnings(why.meaning()),
            _ => Outcome::skipped(why.meaning()),
        })
    };
    let job = cx.context();
    let Some(taken) = cx.try_get(&TAKEN)? else {
        return off(CoverageOff::NoTests, String::new());
    };
    if taken.limited {
        return off(CoverageOff::Limit, String::new());
    }
    if taken.counts.executed() == 0 {
        return off(CoverageOff::NoTests, String::new());
    }
    let installed = cx.get(&INSTALLED)?;
    let site = installed
        .layer
        .path()
        .join(installed.site_packages.trim_start_matches('/'));
    let files = python_files(&site);
    if files.is_empty() {
        return off(CoverageOff::NothingToMeasure, String::new());
    }
    if is_coverage_itself(cx)? {
        return off(CoverageOff::Subject, String::new());
    }
    let kit = match kit(cx)? {
        Ok(kit) => kit,
        Err((why, detail)) => return off(why, detail),
    };
    let inspection = cx.get(&INSPECTION)?;
    let below = one::below(&unpacked(cx)?);
    let bench = Bench {
        inspection: &inspection,
        installed: &installed,
        archive,
        files: &below.files,
        links: &below.links,
    };
    let (mut lowers, mut data, mut runs) = (Vec::new(), Vec::new(), Vec::new());
    for (number, setting) in std::iter::once(&taken.setting).chain(&taken.besides).enumerate() {
        let place = format!("{DATA}{number}/data");
        cx.progress("running the tests with coverage".to_owned());
        let (ran, layers) = one::run_measured(cx, &bench, setting, &kit, &place)?;
        lowers.splice(0..0, layers);
        data.push(place);
        runs.push(ran);
    }
    cx.progress("putting together what was measured".to_owned());
    let request = cover::Request {
        coverage: FOLDER,
        data: &data,
        tree: SOURCE,
        site_packages: &installed.site_packages,
        files: &files,
        importable: &inspection.importable,
    };
    let report = put_together(cx, &kit, &request, lowers)?;
    if report.measured.processes == 0 || report.measured.files.is_empty() {
        let first = report.measured.notes.first();
        return off(
            CoverageOff::NoData,
            first.map_or_else(String::new, |note| note.lossy().into_owned()),
        );
    }
    for (path, text) in report.sources {
        job.events.send(Event::Source {
            task: cx.task().to_string(),
            path,
            text,
        });
    }
    let mut measured = report.measured;
    fill(&mut measured, &taken, &runs, &kit);
    measured.compiled.clone_from(&installed.facts.extensions);
    let warned = measured.differs.is_some() || !report.finished;
    let result = CoverageResult::Measured(Box::new(measured));
    job.keep(cx, RawData::Coverage(Box::new(Coverage { result })));
    Ok(if warned {
        Outcome::warnings("the tests came to something else while they were measured")
    } else {
        Outcome::success()
    })
}

/// What the runs came to, beside what was measured.
fn fill(measured: &mut Measured, taken: &Taken, runs: &[Ran], kit: &Kit) {
    measured.version.clone_from(&kit.version);
    measured.counts = runs
        .iter()
        .fold(TestCounts::default(), |sum, ran| sum.plus(ran.raw.counts));
    measured.finished = runs.iter().all(|ran| ran.raw.finished);
    measured.wall_s = runs.iter().map(|ran| ran.wall_s).sum();
    measured.plain_wall_s = taken.wall_s;
    if measured.counts != taken.counts || measured.finished != taken.finished {
        measured.differs = Some(format!(
            "with coverage the tests came to something else ({}{}); the status is that of the run without",
            measured.counts.sentence(),
            if measured.finished {
                ""
            } else {
                ", and did not finish"
            }
        ));
    }
    if switches_off(&taken.setting) {
        measured.disregarded.push(Foreign::from(
            "pytest-cov: switched off, two coverage.py disturb each other",
        ));
    }
}

/// Whether the recipe has a plugin that measures itself, which is switched off meanwhile.
pub(crate) fn switches_off(setting: &Setting) -> bool {
    setting.recipe.runner == Runner::Pytest && setting.packages.iter().any(|name| name == "pytest-cov")
}

/// Whether the distribution is coverage.py, or needs it.
fn is_coverage_itself(cx: &Cx<'_>) -> Result<bool, TaskError> {
    let facts = cx.get(&FACTS)?;
    let runtime = cx.get(&RUNTIME_LOCK)?;
    let name = super::wheel::normal(&facts.metadata.name.lossy());
    Ok(name == "coverage" || runtime.packages.iter().any(|(name, _)| name == "coverage"))
}

/// The sources as they were unpacked.
fn unpacked(cx: &Cx<'_>) -> Result<PathBuf, TaskError> {
    let tree = cx.get(&super::TREE)?;
    Ok(tree.path().join(SOURCE.trim_start_matches('/')))
}

/// Python files that the installation put below site-packages, relative.
fn python_files(site: &Path) -> Vec<String> {
    let (mut found, mut folders) = (BTreeSet::new(), vec![site.to_owned()]);
    while let Some(folder) = folders.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file()
                && path.extension().is_some_and(|e| e == "py")
                && let Some(relative) = path.strip_prefix(site).ok().and_then(Path::to_str)
                && found.len() < FILES
            {
                found.insert(relative.to_owned());
            }
        }
    }
    found.into_iter().collect()
}

/// coverage.py for this interpreter, from the cache or made now.
fn kit(cx: &Cx<'_>) -> Result<Result<Kit, (CoverageOff, String)>, TaskError> {
    let job = cx.context();
    let Some(tool) = tools::coverage(&job.order.plan.interpreter)? else {
        return Ok(Err((
            CoverageOff::Interpreter,
            job.order.plan.interpreter.title(),
        )));
    };
    let provided = job.peer.call::<ProvideFiles>(&ProvideOrder {
        purpose: Purpose::Test,
        requirements: Vec::new(),
        index_lock: tool.index_lock.clone(),
        view: None,
        without: Vec::new(),
    })?;
    if let Some(problem) = provided.problems.first() {
        return Ok(Err((CoverageOff::NotHad, problem.detail.lossy().into_owned())));
    }
    let got = lock::parse_box_lock(&provided.box_lock)?;
    let expected = |wheel: &lock::BoxWheel| {
        tool.wheels
            .iter()
            .any(|(name, sha256)| *name == wheel.filename && *sha256 == wheel.sha256)
    };
    if got.len() != tool.wheels.len() || !got.iter().all(expected) {
        let why = format!("{}: the index has other bytes", ReasonCode::HashMismatch.word());
        return Ok(Err((CoverageOff::NotHad, why)));
    }
    let locked = Locked {
        frozen: Lock::default(),
        box_lock: provided.box_lock,
        environment: provided.environment,
        ready: provided.ready,
        packages: provided.packages,
    };
    let lower = match environment::make(cx, &locked)? {
        Made::Kept(lower) | Made::Lost(lower, _) => lower,
        Made::Failed(reason) => {
            return Ok(Err((CoverageOff::NotHad, reason.detail.lossy().into_owned())));
        }
    };
    let folder = match &lower {
        Lower::Folder(folder) => folder.clone(),
        Lower::Layer(layer) => layer.path(),
    };
    Ok(Ok(Kit {
        version: tool.version,
        source: folder.join(job.site_packages().trim_start_matches('/')),
        _lower: lower,
    }))
}

/// Runs what puts together the data of all processes, on what the tests left behind.
fn put_together(
    cx: &Cx<'_>,
    kit: &Kit,
    request: &cover::Request<'_>,
    lowers: Vec<Lower>,
) -> Result<cover::Report, TaskError> {
    let job = cx.context();
    let argv = cover::argv(&job.order.plan.interpreter.executable, PROBES, RESULTS_FD, REPORT);
    let mut command = commands::reading(job, argv, &[]);
    command.lowers = lowers;
    command.network = Network::None;
    command.binds.push(kit.bind());
    commands::add_probes(job, &mut command)?;
    commands::add_files(
        job,
        &mut command,
        &[(REPORT.to_owned(), request.config().into_bytes())],
    )?;
    let done = job.run(cx, &mut command)?;
    let (report, loss) = cover::parse(&done.results);
    job.lost(cx, loss);
    Ok(report)
}
