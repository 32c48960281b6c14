//! Plain words for what each kind of task found out: one function each.

use pyti_judge::TaskRecord;
use pyti_model::Foreign;
use pyti_model::outcome::{Blame, Reason, ReasonCode, Status, TaskResult};
use pyti_model::raw::{
    Build, Costs, Coverage, CoverageResult, Exercise, Hook, Import, ImportOutcome, Inspection, Install,
    Metadata, ModuleImport, Provide, PythonError, RawData, Resolve, Scripts, ServiceState, Start, Test,
    TestCounts, Unpack, WheelComparison,
};

use crate::words::{bytes, count, counted, len, number, seconds, some};

/// Longest piece of foreign text inside a sentence, in characters.
const LONGEST: usize = 160;

/// Foreign text inside a sentence: visible, one line, folded with its length when it is long.
pub(crate) fn shown(text: &Foreign) -> String {
    fold(&text.visible())
}

/// Text of a recording that is not typed as foreign, which does not make it trusted.
pub(crate) fn shown_str(text: &str) -> String {
    fold(&Foreign::from(text).visible())
}

fn fold(text: &str) -> String {
    let all = text.chars().count();
    if all <= LONGEST {
        return text.to_owned();
    }
    let head: String = text.chars().take(LONGEST).collect();
    format!("{head}… ({} more characters)", number((all - LONGEST) as u64))
}

/// Words of foreign text.
fn words(list: &[Foreign]) -> Vec<String> {
    list.iter().map(shown).collect()
}

/// What a task came to, in one sentence without a full stop.
pub(crate) fn task(task: &TaskRecord, result: TaskResult, reasons: &[Reason]) -> String {
    match result {
        TaskResult::Skipped => return skipped(task, reasons),
        TaskResult::Cancelled => return "stopped before it ended".to_owned(),
        TaskResult::Exception | TaskResult::Retry if task.raw.is_none() => {
            return if reasons.is_empty() {
                "it did not end; nothing is known of it".to_owned()
            } else {
                because(reasons)
            };
        }
        _ => {}
    }
    let Some(raw) = &task.raw else {
        return match result {
            TaskResult::Success => "nothing to do".to_owned(),
            _ if reasons.is_empty() => "it failed, and nothing says why".to_owned(),
            _ => because(reasons),
        };
    };
    let said = match raw {
        RawData::Unpack(x) => unpack(x),
        RawData::Inspect(x) => inspect(x),
        RawData::Resolve(x) => resolve(x),
        RawData::Provide(x) => provide(x),
        RawData::Hook(x) => hook(x),
        RawData::Build(x) => build(x),
        RawData::Metadata(x) => metadata(x),
        RawData::Install(x) => install(x),
        RawData::Start(x) => start(x),
        RawData::Import(x) => import(x),
        RawData::Scripts(x) => scripts(x),
        RawData::Exercise(x) => exercise(x),
        RawData::Test(x) => test(x),
        RawData::Coverage(x) => coverage(x),
        RawData::Costs(x) => costs(x),
        RawData::Quality(x) => crate::quality::sentence(x),
    };
    let more = reasons
        .iter()
        .filter(|r| !says(raw, r.code))
        .map(reason)
        .collect::<Vec<_>>();
    match (result, more.is_empty()) {
        (_, true) | (TaskResult::Success, _) => said,
        (TaskResult::Warnings, false) => format!("{said} · {}", some_parts(&more)),
        (_, false) => format!("{} · {said}", some_parts(&more)),
    }
}

fn scripts(x: &Scripts) -> String {
    let good = x.calls.iter().filter(|call| call.exit.is_success()).count();
    let mut names: Vec<_> = x.calls.iter().map(|call| &call.script).collect();
    names.dedup();
    let left_out = match x.left_out {
        0 => String::new(),
        left => format!(", {left} not called"),
    };
    format!(
        "{}, {good} of {} calls ended well{left_out}",
        count(names.len() as u64, "console script"),
        x.calls.len()
    )
}

fn exercise(x: &Exercise) -> String {
    let mut said = format!(
        "{} called, {} returned",
        count(u64::from(x.called), "function"),
        x.returned
    );
    if !x.ended_badly.is_empty() {
        said.push_str(&format!(", {} ended badly", x.ended_badly.len()));
    }
    said
}

/// Coverage in one sentence: both parts, then together.
pub(crate) fn coverage(x: &Coverage) -> String {
    match &x.result {
        CoverageResult::Off { why, detail } => {
            let detail = if detail.is_empty() {
                String::new()
            } else {
                format!(" ({})", shown(detail))
            };
            format!("not measured: {}{detail}", why.meaning())
        }
        CoverageResult::Measured(measured) => {
            let counts = measured.counts();
            let branches = if counts.branches == 0 {
                "no branches".to_owned()
            } else {
                format!(
                    "{:.1} % of {}",
                    counts.branch_percent(),
                    counted(counts.branches, "branch", "branches")
                )
            };
            let slower = measured.factor().map_or_else(String::new, |factor| {
                format!(" · tests took {factor:.2} times as long")
            });
            let differs = measured
                .differs
                .as_ref()
                .map_or_else(String::new, |text| format!(" · {}", shown_str(text)));
            format!(
                "{:.1} % of {}, {branches}, {:.1} % in all{slower}{differs}",
                counts.line_percent(),
                count(counts.statements, "statement"),
                counts.percent(),
            )
        }
    }
}

/// Costs in one sentence.
pub(crate) fn costs(x: &Costs) -> String {
    let mut parts = Vec::new();
    if let Some(cost) = x.import_cost_s() {
        parts.push(format!(
            "import adds {} and {}",
            seconds(cost),
            count(x.modules.into(), "module")
        ));
    }
    if !x.sizes.is_empty() {
        parts.push(format!("{} installed", bytes(x.bytes())));
    }
    if parts.is_empty() {
        "nothing was measured".to_owned()
    } else {
        parts.join(", ")
    }
}

fn some_parts(parts: &[String]) -> String {
    let shown = parts.iter().take(2).cloned().collect::<Vec<_>>().join(" · ");
    match parts.len().saturating_sub(2) {
        0 => shown,
        left => format!("{shown} · {}", count(left as u64, "more reason")),
    }
}

/// Whether the sentence of this data already tells that reason.
fn says(raw: &RawData, code: ReasonCode) -> bool {
    use ReasonCode as C;
    match raw {
        RawData::Unpack(_) => code == C::BadArchive,
        RawData::Build(_) => matches!(code, C::WheelDiffers | C::Build),
        RawData::Start(_) => code == C::StartChanged,
        RawData::Import(_) => code == C::ImportError,
        RawData::Test(_) => matches!(
            code,
            C::TestFailures | C::TestErrors | C::CollectionError | C::NoTests
        ),
        RawData::Resolve(_) => code == C::Unresolvable,
        RawData::Install(_) => code == C::Install,
        _ => false,
    }
}

fn skipped(task: &TaskRecord, reasons: &[Reason]) -> String {
    if !task.chain.is_empty() {
        // the first cause says it; what lies between was only skipped too
        return format!(
            "not run: {}",
            task.chain
                .last()
                .map(|cause| shown_str(cause))
                .unwrap_or_default()
        );
    }
    if reasons.is_empty() {
        "not run".to_owned()
    } else {
        format!("not run: {}", because(reasons))
    }
}

/// The first reason, and how many follow.
pub(crate) fn because(reasons: &[Reason]) -> String {
    match reasons {
        [] => String::new(),
        [one] => reason(one),
        [first, rest @ ..] => format!("{} · {}", reason(first), count(len(rest), "more reason")),
    }
}

/// One reason: what it means, and about what.
pub(crate) fn reason(reason: &Reason) -> String {
    let meaning = reason.code.meaning();
    if reason.detail.is_empty() {
        meaning.to_owned()
    } else {
        format!("{meaning}: {}", shown(&reason.detail))
    }
}

/// Who is to blame, when it is not the package itself.
pub(crate) fn blame(blame: Blame) -> Option<&'static str> {
    match blame {
        Blame::Package => None,
        Blame::Dependency => Some("a dependency's doing"),
        Blame::Environment => Some("the environment's doing"),
        Blame::Us => Some("PyTI's own doing, says nothing about the package"),
    }
}

/// An archive was unpacked.
pub(crate) fn unpack(x: &Unpack) -> String {
    if let Some(why) = &x.fatal {
        return format!("cannot be unpacked: {}", shown(why));
    }
    let files = format!("{}, {}", count(x.files, "file"), bytes(x.bytes));
    if x.refused_total == 0 {
        files
    } else {
        format!(
            "{files} · {} refused",
            counted(x.refused_total, "entry", "entries")
        )
    }
}

/// A tree was read.
pub(crate) fn inspect(x: &Inspection) -> String {
    let build = if x.build.declared {
        format!("built by {}", shown_str(&x.build.backend))
    } else {
        "setup.py only, so setuptools".to_owned()
    };
    let tests = match x.recipes.first() {
        Some(recipe) => format!("tests for {}", recipe.runner.word()),
        None => "no tests found".to_owned(),
    };
    match &x.advice {
        Some(advice) => format!("{build} · {tests} · fails on purpose: {}", shown(advice)),
        None => format!("{build} · {tests}"),
    }
}

/// Requirements were locked.
pub(crate) fn resolve(x: &Resolve) -> String {
    let purpose = x.purpose.word();
    if x.explanation.is_some() {
        return format!("the {purpose} requirements cannot be met");
    }
    let mut parts = vec![format!("{purpose}: {}", count(len(&x.locked), "package"))];
    if x.fetched > 0 {
        parts.push(format!("{} fetched", number(x.fetched.into())));
    }
    if x.built > 0 {
        parts.push(format!("{} built from source", number(x.built.into())));
    }
    if !x.refused.is_empty() {
        parts.push(format!(
            "{} refused or rewritten",
            count(len(&x.refused), "requirement line")
        ));
    }
    parts.join(" · ")
}

/// An environment was made.
pub(crate) fn provide(x: &Provide) -> String {
    let how = if x.cached { "from the cache" } else { "made now" };
    format!(
        "{} environment, {}, {how}",
        x.purpose.word(),
        count(x.packages.into(), "package")
    )
}

/// A hook was called.
pub(crate) fn hook(x: &Hook) -> String {
    let name = shown_str(&x.name);
    if let Some(e) = &x.error {
        return format!("{name} raised {}", error(e));
    }
    match (x.present, x.requires.is_empty()) {
        (false, _) => format!("the backend has no {name}"),
        (true, true) => "the backend asks for nothing more".to_owned(),
        (true, false) => format!("the backend asks for {}", some(&words(&x.requires), 3)),
    }
}

/// An exception: class and first line.
pub(crate) fn error(e: &PythonError) -> String {
    let class = shown(&e.class);
    let text = e.message.visible_lines();
    let first = text
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("");
    if first.is_empty() {
        class
    } else {
        format!("{class}: {}", fold(first))
    }
}

/// A wheel was built.
pub(crate) fn build(x: &Build) -> String {
    let backend = backend(&x.backend);
    let mut parts = Vec::new();
    if !backend.is_empty() {
        parts.push(backend);
    }
    if let Some(e) = &x.error {
        parts.push(format!("raised {}", error(e)));
    } else if x.wheel.is_none() {
        parts.push("made no wheel".to_owned());
    }
    if x.compiler_calls.is_empty() {
        match &x.wheel {
            Some(wheel) if !wheel.extensions.is_empty() => {
                parts.push(format!(
                    "{} ready-made",
                    count(len(&wheel.extensions), "extension module")
                ));
            }
            Some(_) => parts.push("no native code".to_owned()),
            None => {}
        }
    } else {
        if let Some(wheel) = &x.wheel {
            parts.push(count(len(&wheel.extensions), "extension module"));
        }
        parts.push(compilers(x));
    }
    if let Some(published) = &x.published {
        parts.push(published_wheel(published));
    }
    parts.join(" · ")
}

/// `setuptools 80.9.0` without the last part of its version, `0` or not, which tells people little.
fn backend(text: &str) -> String {
    let text = shown_str(text);
    match text.rsplit_once('.') {
        Some((head, "0")) if head.contains('.') => head.to_owned(),
        _ => text,
    }
}

fn compilers(x: &Build) -> String {
    let failed = x.compiler_calls.iter().filter(|c| c.exit != 0).count() as u64;
    let warnings: u64 = x.compiler_calls.iter().map(|c| u64::from(c.warnings)).sum();
    let mut text = count(len(&x.compiler_calls), "compiler call");
    if failed > 0 {
        text.push_str(&format!(", {} failed", number(failed)));
    }
    if warnings > 0 {
        text.push_str(&format!(", {}", count(warnings, "warning")));
    }
    text
}

/// Built and published wheel side by side.
pub(crate) fn published_wheel(x: &WheelComparison) -> String {
    if x.is_same() {
        return "same files as the wheel".to_owned();
    }
    let mut parts = Vec::new();
    for (list, what) in [
        (&x.different, "differ"),
        (&x.only_built, "only here"),
        (&x.only_published, "only published"),
    ] {
        if !list.is_empty() {
            parts.push(format!("{} {what}", number(len(list))));
        }
    }
    format!("not the files of the wheel: {}", parts.join(", "))
}

/// Metadata was read.
pub(crate) fn metadata(x: &Metadata) -> String {
    let needs = if x.requires_dist.is_empty() {
        "needs nothing".to_owned()
    } else {
        count(len(&x.requires_dist), "requirement line")
    };
    format!("{} {} · {needs}", shown(&x.name), shown(&x.version))
}

/// It was installed.
pub(crate) fn install(x: &Install) -> String {
    let mut parts = vec![format!("{}, {}", count(x.files.into(), "file"), bytes(x.bytes))];
    if !x.scripts.is_empty() {
        parts.push(count(len(&x.scripts), "script"));
    }
    if !x.extensions.is_empty() {
        parts.push(count(len(&x.extensions), "extension module"));
    }
    if !x.executable_pth.is_empty() {
        parts.push(format!(
            "{} runs code at every start",
            some(&words(&x.executable_pth), 2)
        ));
    }
    if x.modules.is_empty() {
        parts.push("nothing to import".to_owned());
    }
    parts.push(if x.outside.is_empty() {
        "nothing outside site-packages".to_owned()
    } else {
        format!(
            "{} outside site-packages: {}",
            count(len(&x.outside), "path"),
            some(&words(&x.outside), 2)
        )
    });
    parts.join(" · ")
}

/// The interpreter was started.
pub(crate) fn start(x: &Start) -> String {
    if x.is_unchanged() {
        return "interpreter start-up unchanged".to_owned();
    }
    let mut parts = Vec::new();
    if !x.new_modules.is_empty() {
        parts.push(format!("loads {}", some(&words(&x.new_modules), 3)));
    }
    if !x.new_paths.is_empty() {
        parts.push(format!(
            "adds {} to sys.path",
            counted(len(&x.new_paths), "entry", "entries")
        ));
    }
    if !x.new_events.is_empty() {
        parts.push(format!(
            "{}: {}",
            count(len(&x.new_events), "new audit event"),
            some(&words(&x.new_events), 3)
        ));
    }
    if x.spoke {
        parts.push("prints something".to_owned());
    }
    if x.changed_files > 0 {
        parts.push(format!("changes {}", count(x.changed_files.into(), "file")));
    }
    format!("every start of the interpreter now {}", parts.join(", "))
}

/// Modules were imported.
pub(crate) fn import(x: &Import) -> String {
    let total = len(&x.modules);
    if total == 0 {
        return "nothing to import".to_owned();
    }
    let bad: Vec<&ModuleImport> = x
        .modules
        .iter()
        .filter(|m| m.outcome != ImportOutcome::Imported)
        .collect();
    let Some(first) = bad.first() else {
        return format!(
            "{} in {}",
            count(total, "module"),
            seconds(x.modules.iter().map(|m| m.wall_s).sum())
        );
    };
    let what = format!("{} {}", shown(&first.module), not_imported(&first.outcome));
    if total == 1 {
        return what;
    }
    format!(
        "{} of {} not imported: {what}",
        number(bad.len() as u64),
        count(total, "module")
    )
}

/// What came of an import that is no success.
pub(crate) fn not_imported(outcome: &ImportOutcome) -> String {
    match outcome {
        ImportOutcome::Imported => "was imported".to_owned(),
        ImportOutcome::Raised { error: e } => format!("raised {}", error(e)),
        ImportOutcome::Exited { code } => format!("called exit with code {code}"),
        ImportOutcome::Crashed { signal } => format!("crashed the interpreter (signal {signal})"),
        ImportOutcome::Killed => "went over a limit and was ended".to_owned(),
    }
}

/// Tests were run.
pub(crate) fn test(x: &Test) -> String {
    let mut parts = vec![counts(&x.counts)];
    if !x.collection_errors.is_empty() {
        parts.push(count(len(&x.collection_errors), "collection error"));
    }
    if !x.finished {
        parts.push("the runner did not finish".to_owned());
    }
    parts.push(x.recipe.runner.word().to_owned());
    let kind = if x.source.to_ascii_lowercase().ends_with(".whl") {
        "wheel"
    } else {
        "sdist"
    };
    parts.push(format!("from the {kind}"));
    let beside: Vec<String> = x
        .services
        .iter()
        .filter(|service| service.state == ServiceState::Ready)
        .map(|service| shown_str(&service.title()))
        .collect();
    if !beside.is_empty() {
        parts.push(format!("with {}", beside.join(", ")));
    }
    if !x.against_installed && x.counts.executed() > 0 {
        parts.push("not proved to run against the installed package".to_owned());
    }
    parts.join(" · ")
}

/// Counts of tests: `197 passed, 3 skipped`.
pub(crate) fn counts(c: &TestCounts) -> String {
    let all = [
        (c.failed, "failed"),
        (c.errors, if c.errors == 1 { "error" } else { "errors" }),
        (c.passed, "passed"),
        (c.xpassed, "passed unexpectedly"),
        (c.skipped, "skipped"),
        (c.xfailed, "failed as expected"),
        (c.deselected, "deselected"),
        (c.subtests, if c.subtests == 1 { "subtest" } else { "subtests" }),
    ];
    let parts: Vec<String> = all
        .iter()
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{} {word}", number(*n)))
        .collect();
    if parts.is_empty() {
        "no tests ran".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What a status says, in words.
pub(crate) fn status(status: Status) -> &'static str {
    match status {
        Status::Pass => "tests pass",
        Status::Load => "it imports; no tests were run",
        Status::Install => "it installs; there is nothing to import",
        Status::Fail => "a step failed",
        Status::Crash => "the interpreter crashed",
        Status::Killed => "a limit ended it",
        Status::Skip => "it was not attempted",
        Status::Na => "it does not apply here",
        Status::Broken => "the upload is unusable",
        Status::Error => "PyTI or its machine failed; this says nothing about the package",
    }
}

/// Status and the most telling reason: `4 of 617 tests failed`.
pub(crate) fn answer(s: Status, reasons: &[Reason], tests: Option<&TestCounts>) -> String {
    let first = reasons.first();
    let mut text = match (s, first, tests) {
        (Status::Pass, _, Some(c)) => format!("tests pass: {}", counts(c)),
        (Status::Fail, Some(r), Some(c))
            if r.code == ReasonCode::TestFailures || r.code == ReasonCode::TestErrors =>
        {
            format!(
                "{} of {} failed",
                number(c.failed + c.errors),
                count(c.executed(), "test")
            )
        }
        (Status::Load | Status::Install, Some(r), _)
            if matches!(r.code, ReasonCode::NoTests | ReasonCode::NoSdist) =>
        {
            let what = if s == Status::Load {
                "it imports"
            } else {
                "it installs, nothing to import"
            };
            format!("{what}; {}", reason(r))
        }
        (s, _, _) if s.is_good() => status(s).to_owned(),
        (_, Some(r), _) => reason(r),
        (_, None, _) => status(s).to_owned(),
    };
    if !s.is_good()
        && let Some(who) = first.and_then(|r| blame(r.blame))
    {
        text.push_str(&format!(" ({who})"));
    }
    text
}
