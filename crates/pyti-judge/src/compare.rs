//! Two runs side by side: what changed, and what cannot be known.

use std::collections::{BTreeMap, BTreeSet};

use pyti_model::effect::Change;
use pyti_model::outcome::{Reason, Status, TaskResult};
use pyti_model::raw::{Test, TestCounts, TestOutcome};
use pyti_model::{FileKind, Foreign};
use serde::{Deserialize, Serialize};

use crate::judge::Judgement;
use crate::record::{JobRecord, TaskRecord};

mod safety;

pub use safety::{FindingLine, SafetyCompared, safety};

/// Entries of one list; what is beyond is counted.
const MOST_LISTED: usize = 1000;
/// Seconds below which a ratio of times is noise.
const NOISE_S: f64 = 0.05;
/// Bytes below which a ratio of memory is noise.
const NOISE_BYTES: f64 = 4_194_304.0;

/// What came of a file in one run, against the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// It was good and is no more, or its claim became weaker, or tests fail that did not.
    Regressed,
    /// It is good and was not, or its claim became stronger, or tests pass that did not.
    Fixed,
    /// It is as bad as it was, in another way; or tests got both better and worse.
    Changed,
    /// The same status, and the same tests fail.
    Same,
    /// Only the second run has it.
    New,
    /// Only the first run has it.
    Gone,
    /// One of the two ended in an error of ours, or was not attempted: nothing is known.
    Unknown,
}

/// Two runs, file by file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Each file, in the order of the second run; those that are gone follow.
    pub files: Vec<FileComparison>,
}

impl Comparison {
    /// How many files are in each class.
    pub fn counts(&self) -> BTreeMap<Class, usize> {
        let mut counts = BTreeMap::new();
        for file in &self.files {
            *counts.entry(file.class).or_default() += 1;
        }
        counts
    }
}

/// One file in two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileComparison {
    /// Its name in the first run.
    pub before: Option<String>,
    /// Its name in the second run; another one when another version was compared.
    pub after: Option<String>,
    /// Wheel, sdist or folder.
    pub kind: FileKind,
    /// What came of it.
    pub class: Class,
    /// Status in the first and in the second run.
    pub status: (Option<Status>, Option<Status>),
    /// Reasons that only the first run has.
    pub reasons_gone: Vec<Reason>,
    /// Reasons that only the second run has.
    pub reasons_new: Vec<Reason>,
    /// Tests.
    pub tests: TestsCompared,
    /// Tasks, in order.
    pub tasks: Vec<TaskCompared>,
    /// Paths that the tasks changed.
    pub changes: ChangesCompared,
    /// Whether it is safe; absent where nobody judged that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub safety: Option<SafetyCompared>,
}

/// Tests in two runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TestsCompared {
    /// Counts of the first run.
    pub before: TestCounts,
    /// Counts of the second run.
    pub after: TestCounts,
    /// Failed or in error now, and not before.
    pub newly_failing: Vec<Foreign>,
    /// Passed now (or failed as expected), and failed before.
    pub newly_passing: Vec<Foreign>,
    /// Only in the first run.
    pub gone: Vec<Foreign>,
    /// Only in the second run.
    pub new: Vec<Foreign>,
    /// Otherwise another outcome: skipped now, for one.
    pub other: Vec<(Foreign, TestOutcome, TestOutcome)>,
    /// Entries beyond the cap of 1,000 for each list.
    pub dropped: u64,
}

/// A task in two runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskCompared {
    /// Its name.
    pub task: String,
    /// Its results.
    pub result: (Option<TaskResult>, Option<TaskResult>),
    /// Wall-clock seconds.
    pub wall_s: Measure,
    /// CPU seconds.
    pub cpu_s: Measure,
    /// Most memory at once, bytes.
    pub peak_memory_bytes: Measure,
}

/// A quantity in two runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// In the first run.
    pub before: f64,
    /// In the second run.
    pub after: f64,
    /// The second by the first; absent when either is too small for a ratio to mean anything.
    pub ratio: Option<f64>,
}

impl Measure {
    fn new(before: f64, after: f64, noise: f64) -> Self {
        let ratio = (before >= noise && after >= noise).then(|| after / before);
        Self { before, after, ratio }
    }
}

/// Paths that tasks changed, in two runs: pairs of task and path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangesCompared {
    /// Changed in the first run only.
    pub only_before: Vec<(String, Foreign)>,
    /// Changed in the second run only.
    pub only_after: Vec<(String, Foreign)>,
    /// Changed in both, and not to the same kind, size and mode.
    pub different: Vec<(String, Foreign)>,
    /// Entries beyond the cap of 1,000 for each list.
    pub dropped: u64,
}

type Job = (JobRecord, Judgement);

/// What safety judges say of the jobs of two runs, in the order of the jobs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Safe<'a> {
    /// Of the first run.
    pub before: &'a [pyti_model::finding::Judgement],
    /// Of the second run.
    pub after: &'a [pyti_model::finding::Judgement],
}

/// Compares two runs. Files are matched by name; what is left over by kind, in order, for another version of the
/// same project.
pub fn compare(before: &[Job], after: &[Job], safe: Safe<'_>) -> Comparison {
    let name = |job: &Job| job.0.file.as_ref().map(|file| file.filename.clone());
    let mut partner: Vec<Option<usize>> = vec![None; after.len()];
    let mut taken = BTreeSet::new();
    for same_name in [true, false] {
        for (at, job) in after.iter().enumerate() {
            if partner[at].is_some() {
                continue;
            }
            let fits = |other: &Job| {
                if same_name {
                    name(other).is_some() && name(other) == name(job)
                } else {
                    kind(other) == kind(job)
                }
            };
            let found = before
                .iter()
                .enumerate()
                .find(|(from, other)| !taken.contains(from) && fits(other));
            if let Some((from, _)) = found {
                taken.insert(from);
                partner[at] = Some(from);
            }
        }
    }
    let pairs = after
        .iter()
        .zip(&partner)
        .enumerate()
        .map(|(at, (job, from))| FileComparison {
            safety: safety(from.and_then(|at| safe.before.get(at)), safe.after.get(at)),
            ..file(from.and_then(|at| before.get(at)), Some(job))
        });
    let gone = before
        .iter()
        .enumerate()
        .filter(|(at, _)| !taken.contains(at))
        .map(|(at, job)| FileComparison {
            safety: safety(safe.before.get(at), None),
            ..file(Some(job), None)
        });
    Comparison {
        files: pairs.chain(gone).collect(),
    }
}

fn kind(job: &Job) -> FileKind {
    job.0.file.as_ref().map_or(FileKind::Sdist, |file| file.kind)
}

fn file(before: Option<&Job>, after: Option<&Job>) -> FileComparison {
    let name = |job: Option<&Job>| {
        job.and_then(|job| job.0.file.as_ref())
            .map(|file| file.filename.clone())
    };
    let status = |job: Option<&Job>| job.map(|job| job.1.outcome.status);
    let reasons = |job: Option<&Job>| job.map(|job| job.1.outcome.reasons.clone()).unwrap_or_default();
    let (old, new) = (reasons(before), reasons(after));
    let only = |these: &[Reason], those: &[Reason]| -> Vec<Reason> {
        let same = |a: &Reason, b: &Reason| a.code == b.code && a.task == b.task && a.detail == b.detail;
        these
            .iter()
            .filter(|a| !those.iter().any(|b| same(a, b)))
            .cloned()
            .collect()
    };
    let tests = tests(
        before.and_then(|job| job.0.test()),
        after.and_then(|job| job.0.test()),
    );
    let status = (status(before), status(after));
    FileComparison {
        before: name(before),
        after: name(after),
        kind: after.or(before).map_or(FileKind::Sdist, kind),
        class: class(status, &tests),
        status,
        reasons_gone: only(&old, &new),
        reasons_new: only(&new, &old),
        tests,
        tasks: tasks(before, after),
        changes: changes(before, after),
        safety: None,
    }
}

/// How strong a claim is; more is stronger.
fn strength(status: Status) -> u8 {
    match status {
        Status::Pass => 3,
        Status::Load => 2,
        Status::Install => 1,
        _ => 0,
    }
}

fn class(status: (Option<Status>, Option<Status>), tests: &TestsCompared) -> Class {
    let (before, after) = match status {
        (None, Some(_)) => return Class::New,
        (Some(_), None) => return Class::Gone,
        (None, None) => return Class::Unknown,
        (Some(before), Some(after)) => (before, after),
    };
    let unknown = |status| matches!(status, Status::Error | Status::Skip);
    if before == after && unknown(before) && before == Status::Skip {
        return Class::Same;
    }
    if unknown(before) || unknown(after) {
        return Class::Unknown;
    }
    match strength(after).cmp(&strength(before)) {
        std::cmp::Ordering::Less => Class::Regressed,
        std::cmp::Ordering::Greater => Class::Fixed,
        std::cmp::Ordering::Equal if before != after => Class::Changed,
        std::cmp::Ordering::Equal => match (tests.newly_failing.is_empty(), tests.newly_passing.is_empty()) {
            (true, true) => Class::Same,
            (false, true) => Class::Regressed,
            (true, false) => Class::Fixed,
            (false, false) => Class::Changed,
        },
    }
}

fn listed(test: Option<&Test>) -> BTreeMap<&Foreign, TestOutcome> {
    test.map(|test| test.cases.iter().map(|case| (&case.id, case.outcome)).collect())
        .unwrap_or_default()
}

fn tests(before: Option<&Test>, after: Option<&Test>) -> TestsCompared {
    let mut out = TestsCompared {
        before: before.map(|test| test.counts).unwrap_or_default(),
        after: after.map(|test| test.counts).unwrap_or_default(),
        ..TestsCompared::default()
    };
    // A run without tests has no tests that are gone or new: there is nothing to compare.
    let (Some(test_before), Some(test_after)) = (before, after) else {
        return out;
    };
    let (old, new) = (listed(before), listed(after));
    // Only passed tests are left out of a list, and only where some were.
    let unlisted = |test: &Test| (test.cases_dropped > 0).then_some(TestOutcome::Passed);
    let bad = |outcome| matches!(outcome, TestOutcome::Failed | TestOutcome::Error);
    let good = |outcome| {
        matches!(
            outcome,
            TestOutcome::Passed | TestOutcome::Xfailed | TestOutcome::Xpassed
        )
    };
    let ids: BTreeSet<&Foreign> = old.keys().chain(new.keys()).copied().collect();
    let mut dropped = 0;
    for id in ids {
        let was = old.get(id).copied().or_else(|| unlisted(test_before));
        let is = new.get(id).copied().or_else(|| unlisted(test_after));
        match (was, is) {
            (None, None) => {}
            (None, Some(is)) => {
                put(&mut out.new, id.clone(), &mut dropped);
                if bad(is) {
                    put(&mut out.newly_failing, id.clone(), &mut dropped);
                }
            }
            (Some(_), None) => put(&mut out.gone, id.clone(), &mut dropped),
            (Some(was), Some(is)) if was == is || bad(was) && bad(is) => {}
            (Some(_), Some(is)) if bad(is) => put(&mut out.newly_failing, id.clone(), &mut dropped),
            (Some(was), Some(is)) if bad(was) && good(is) => {
                put(&mut out.newly_passing, id.clone(), &mut dropped);
            }
            (Some(was), Some(is)) => put(&mut out.other, (id.clone(), was, is), &mut dropped),
        }
    }
    out.dropped = dropped;
    out
}

fn put<T>(list: &mut Vec<T>, entry: T, dropped: &mut u64) {
    if list.len() < MOST_LISTED {
        list.push(entry);
    } else {
        *dropped += 1;
    }
}

fn tasks(before: Option<&Job>, after: Option<&Job>) -> Vec<TaskCompared> {
    let names = [after, before]
        .into_iter()
        .flatten()
        .flat_map(|job| &job.0.tasks)
        .map(|task| &task.name);
    let mut seen = BTreeSet::new();
    names
        .filter(|name| seen.insert(name.as_str()))
        .map(|name| {
            let result = |job: Option<&Job>| job.and_then(|job| job.1.task(name)).map(|(result, _)| result);
            let of = |job: Option<&Job>, what: fn(&TaskRecord) -> f64| {
                job.and_then(|job| job.0.task(name)).map_or(0.0, what)
            };
            let both =
                |what: fn(&TaskRecord) -> f64, noise| Measure::new(of(before, what), of(after, what), noise);
            TaskCompared {
                task: name.clone(),
                result: (result(before), result(after)),
                wall_s: both(|task| task.wall_s, NOISE_S),
                cpu_s: both(|task| task.cpu_s, NOISE_S),
                peak_memory_bytes: both(memory, NOISE_BYTES),
            }
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 8 PiB")]
fn memory(task: &TaskRecord) -> f64 {
    task.peak_memory_bytes as f64
}

fn changed(job: Option<&Job>) -> BTreeMap<(&str, &Foreign), &Change> {
    let tasks = job.into_iter().flat_map(|job| &job.0.tasks);
    tasks
        // an environment that came from the cache was not made again: that is no difference
        .filter(|task| !task.preparation)
        .flat_map(|task| {
            task.changes
                .iter()
                .map(|change| ((task.name.as_str(), &change.path), change))
        })
        .collect()
}

fn changes(before: Option<&Job>, after: Option<&Job>) -> ChangesCompared {
    let mut out = ChangesCompared::default();
    if before.is_none() || after.is_none() {
        return out;
    }
    let (old, new) = (changed(before), changed(after));
    let owned = |key: &(&str, &Foreign)| (key.0.to_owned(), key.1.clone());
    let mut dropped = 0;
    for (key, was) in &old {
        match new.get(key) {
            None => put(&mut out.only_before, owned(key), &mut dropped),
            Some(is) if is != was => put(&mut out.different, owned(key), &mut dropped),
            Some(_) => {}
        }
    }
    for key in new.keys().filter(|key| !old.contains_key(*key)) {
        put(&mut out.only_after, owned(key), &mut dropped);
    }
    out.dropped = dropped;
    out
}
