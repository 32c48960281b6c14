//! What the page shows of one job.

use pyti_judge::TaskRecord;
use pyti_model::effect::{Changed, Contact};
use pyti_model::foreign::Foreign;
use pyti_model::outcome::TaskResult;
use pyti_model::raw::{RawData, TestCase, TestOutcome};

use super::{class_of_result, class_of_status, seconds};
use crate::sentences;
use crate::view;
use crate::words::{bytes, count, number};
use crate::{Job, telling};

/// Most rows of a list, so that a page stays small; what is left out is said.
const TESTS: usize = 2_000;
const FILES: usize = 300;
/// Most characters of one output.
const OUTPUT: usize = 60_000;

pub(super) struct JobPage {
    pub(super) anchor: String,
    pub(super) filename: String,
    pub(super) facts: String,
    pub(super) status: &'static str,
    pub(super) status_class: &'static str,
    pub(super) answer: String,
    pub(super) bars: Vec<Bar>,
    pub(super) timeline_height: usize,
    pub(super) timeline_words: String,
    pub(super) rows: Vec<RowPage>,
    pub(super) counts: String,
    pub(super) tests: Vec<TestPage>,
    pub(super) tests_left_out: u64,
    pub(super) network: Vec<(String, String, u64)>,
    pub(super) denials: Vec<(String, String, u64)>,
    pub(super) compilers: Vec<CompilerPage>,
    pub(super) files: Vec<FilesPage>,
    pub(super) plan: Vec<(&'static str, String)>,
    pub(super) locks: Vec<(&'static str, String)>,
    pub(super) outputs: Vec<(String, String, String)>,
}

pub(super) struct Bar {
    pub(super) name: String,
    pub(super) x: String,
    pub(super) y: usize,
    pub(super) cpu_y: usize,
    pub(super) text_y: usize,
    pub(super) width: String,
    pub(super) cpu_width: String,
    pub(super) after_x: String,
    pub(super) class: &'static str,
    pub(super) words: String,
}

pub(super) struct RowPage {
    pub(super) name: String,
    pub(super) result: String,
    pub(super) class: &'static str,
    pub(super) sentence: String,
    pub(super) lines: Vec<String>,
    pub(super) wall: String,
    pub(super) cpu: String,
    pub(super) memory: String,
}

pub(super) struct TestPage {
    pub(super) id: String,
    pub(super) outcome: &'static str,
    pub(super) class: &'static str,
    pub(super) wall: String,
    pub(super) wall_raw: f64,
    pub(super) summary: String,
    pub(super) message: String,
}

pub(super) struct CompilerPage {
    pub(super) program: String,
    pub(super) short: String,
    pub(super) argv: String,
    pub(super) said: String,
    pub(super) wall: String,
    pub(super) warnings: u32,
    pub(super) exit: i32,
    pub(super) class: &'static str,
}

pub(super) struct FilesPage {
    pub(super) name: String,
    pub(super) words: String,
    pub(super) list: Vec<(String, &'static str, String)>,
    pub(super) left_out: usize,
}

pub(super) fn page(job: Job<'_>, number: usize) -> JobPage {
    let record = job.record;
    let outcome = &job.judgement.outcome;
    let ran: Vec<&TaskRecord> = record
        .tasks
        .iter()
        .filter(|task| task.started_us.is_some())
        .collect();
    let bars = bars(job, &ran);
    let (tests, tests_left_out) = tests(job);
    JobPage {
        anchor: format!("file-{number}"),
        filename: view::filename(job),
        facts: facts(job),
        status: outcome.status.word(),
        status_class: class_of_status(outcome.status),
        answer: sentences::answer(outcome.status, &outcome.reasons, view::tests(job)),
        timeline_height: bars.len() * 24 + 4,
        timeline_words: ran
            .iter()
            .map(|t| format!("{} {}", t.name, seconds(t.wall_s)))
            .collect::<Vec<_>>()
            .join(", "),
        bars,
        rows: record.tasks.iter().map(|task| row(job, task)).collect(),
        counts: view::tests(job).map(sentences::counts).unwrap_or_default(),
        tests,
        tests_left_out,
        network: network(job),
        denials: denials(job),
        compilers: compilers(job),
        files: record.tasks.iter().filter_map(files).collect(),
        plan: plan(job),
        locks: Vec::new(),
        outputs: outputs(job),
    }
}

fn facts(job: Job<'_>) -> String {
    let Some(file) = &job.record.file else {
        return String::new();
    };
    let mut parts = vec![
        file.kind.to_string(),
        bytes(file.size),
        format!("sha256 {}", file.sha256),
    ];
    if let Some(uploaded) = &file.uploaded {
        parts.push(format!("uploaded {uploaded}"));
    }
    if let Some(why) = &file.yanked {
        parts.push(format!("yanked {}", sentences::shown_str(why)));
    }
    parts.join(" · ")
}

/// Bars from the first start to the last end, wall over CPU.
fn bars(job: Job<'_>, ran: &[&TaskRecord]) -> Vec<Bar> {
    const LEFT: f64 = 130.0;
    const WIDTH: f64 = 700.0;
    let micro = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
    let begin = ran.iter().filter_map(|t| t.started_us).min().map_or(0.0, micro);
    let end = ran.iter().filter_map(|t| t.ended_us).max().map_or(begin, micro);
    let scale = if end > begin { WIDTH / (end - begin) } else { 0.0 };
    let bar = |(at, task): (usize, &&TaskRecord)| {
        let (result, _) = view::judged(job, task);
        let start = task.started_us.map_or(begin, micro);
        let x = LEFT + (start - begin) * scale;
        let width = (task.wall_s * scale).clamp(1.5, WIDTH);
        let y = at * 24 + 4;
        let class = match result {
            TaskResult::Success => "",
            other => class_of_result(other),
        };
        Bar {
            name: task.name.clone(),
            x: format!("{x:.1}"),
            y,
            cpu_y: y + 13,
            text_y: y + 11,
            width: format!("{width:.1}"),
            cpu_width: format!("{:.1}", (task.cpu_s * scale).clamp(0.0, WIDTH)),
            after_x: format!("{:.1}", x + width + 6.0),
            class,
            words: seconds(task.wall_s),
        }
    };
    ran.iter().enumerate().map(bar).collect()
}

fn row(job: Job<'_>, task: &TaskRecord) -> RowPage {
    let (result, reasons) = view::judged(job, task);
    RowPage {
        name: task.name.clone(),
        result: result.to_string(),
        class: class_of_result(result),
        sentence: sentences::task(task, result, reasons),
        lines: if matches!(result, TaskResult::Failure | TaskResult::Exception) {
            telling::lines(task)
        } else {
            Vec::new()
        },
        wall: seconds(task.wall_s),
        cpu: seconds(task.cpu_s),
        memory: if task.peak_memory_bytes > 0 {
            bytes(task.peak_memory_bytes)
        } else {
            String::new()
        },
    }
}

fn tests(job: Job<'_>) -> (Vec<TestPage>, u64) {
    let Some(test) = job.record.test() else {
        return (Vec::new(), 0);
    };
    let mut cases: Vec<&TestCase> = test.cases.iter().collect();
    // what is not plainly passed comes first, whatever its place
    cases.sort_by_key(|case| case.outcome);
    let left_out = cases.len().saturating_sub(TESTS) as u64 + test.cases_dropped;
    let mut pages: Vec<TestPage> = cases.into_iter().take(TESTS).map(test_page).collect();
    let errors = test.collection_errors.iter().map(|(place, text)| TestPage {
        id: format!("collecting {}", place.visible()),
        outcome: "error",
        class: "bad",
        wall: String::new(),
        wall_raw: 0.0,
        summary: "why".to_owned(),
        message: text.visible_lines(),
    });
    pages.splice(0..0, errors);
    (pages, left_out)
}

fn test_page(case: &TestCase) -> TestPage {
    let mut message = case.message.visible_lines();
    if !case.output.is_empty() {
        message.push_str("\n\n--- output ---\n");
        message.push_str(&case.output.visible_lines());
    }
    TestPage {
        id: case.id.visible(),
        outcome: case.outcome.word(),
        class: match case.outcome {
            TestOutcome::Passed => "good",
            TestOutcome::Failed | TestOutcome::Error => "bad",
            TestOutcome::Skipped | TestOutcome::Xfailed | TestOutcome::Xpassed => "mild",
        },
        wall: seconds(case.wall_s),
        wall_raw: case.wall_s,
        summary: if message.is_empty() {
            String::new()
        } else {
            telling::core(&message)
        },
        message,
    }
}

fn network(job: Job<'_>) -> Vec<(String, String, u64)> {
    let mut list = Vec::new();
    for task in &job.record.tasks {
        for contact in task.effects.iter().flat_map(|effect| &effect.effect.contacts) {
            let (what, times) = match contact {
                Contact::Name { name, record, times } => (format!("{} {record}", name.visible()), *times),
                Contact::Address {
                    protocol,
                    address,
                    port,
                    times,
                } => {
                    let port = port.map(|port| format!(":{port}")).unwrap_or_default();
                    (format!("{protocol} {address}{port}"), *times)
                }
            };
            list.push((task.name.clone(), what, times));
        }
    }
    list
}

fn denials(job: Job<'_>) -> Vec<(String, String, u64)> {
    let tasks = job.record.tasks.iter();
    tasks
        .flat_map(|task| task.effects.iter().map(move |effect| (task, effect)))
        .flat_map(|(task, effect)| {
            effect
                .effect
                .denials
                .iter()
                .map(move |d| (task.name.clone(), format!("{} ({})", d.call, d.answer), d.times))
        })
        .collect()
}

fn compilers(job: Job<'_>) -> Vec<CompilerPage> {
    let Some(build) = job.record.build() else {
        return Vec::new();
    };
    build
        .compiler_calls
        .iter()
        .map(|call| {
            let argv: Vec<String> = call.argv.iter().map(Foreign::visible).collect();
            let argv = argv.join(" ");
            CompilerPage {
                program: call.program.visible(),
                short: argv
                    .chars()
                    .rev()
                    .take(80)
                    .collect::<Vec<_>>()
                    .into_iter()
                    .rev()
                    .collect(),
                argv,
                said: call.said.visible_lines(),
                wall: seconds(call.wall_s),
                warnings: call.warnings,
                exit: call.exit,
                class: if call.exit == 0 { "good" } else { "bad" },
            }
        })
        .collect()
}

fn files(task: &TaskRecord) -> Option<FilesPage> {
    if task.changes.is_empty() || task.name.starts_with("env-") {
        return None;
    }
    let of = |what: Changed| task.changes.iter().filter(|change| change.what == what).count() as u64;
    let parts: Vec<String> = [
        (Changed::Added, "added"),
        (Changed::Modified, "changed"),
        (Changed::Deleted, "deleted"),
    ]
    .into_iter()
    .filter(|(what, _)| of(*what) > 0)
    .map(|(what, word)| format!("{} {word}", number(of(what))))
    .collect();
    let list = task.changes.iter().take(FILES).map(|change| {
        let what = match change.what {
            Changed::Added => "added",
            Changed::Modified => "changed",
            Changed::Deleted => "deleted",
        };
        (
            change.path.visible(),
            what,
            change.size.map(bytes).unwrap_or_default(),
        )
    });
    Some(FilesPage {
        name: task.name.clone(),
        words: parts.join(", "),
        list: list.collect(),
        left_out: task.changes.len().saturating_sub(FILES),
    })
}

fn plan(job: Job<'_>) -> Vec<(&'static str, String)> {
    let Some(plan) = &job.record.plan else {
        return Vec::new();
    };
    let mut list = vec![
        (
            "interpreter",
            format!("{} ({})", plan.interpreter.title(), plan.interpreter.version),
        ),
        (
            "limits of a command",
            format!(
                "{} of wall clock, {} of CPU, {} without activity, {} of memory, {} of disk, {}",
                seconds(f64::from(plan.limits.wall_s)),
                seconds(f64::from(plan.limits.cpu_s)),
                seconds(f64::from(plan.limits.inactivity_s)),
                bytes(plan.limits.memory_bytes),
                bytes(plan.limits.disk_bytes),
                count(u64::from(plan.limits.processes), "process"),
            ),
        ),
        ("hash seed", plan.hash_seed.to_string()),
    ];
    if let Some(inspection) = job.record.inspection() {
        list.push(("build backend", sentences::shown_str(&inspection.build.backend)));
        if let Some(recipe) = inspection.recipes.first() {
            let words = |list: &[String]| {
                list.iter()
                    .map(|w| sentences::shown_str(w))
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            list.push((
                "tests are run by",
                format!("{} {}", recipe.runner.word(), words(&recipe.arguments)),
            ));
            list.push(("because", words(&recipe.why)));
            list.push(("test requirements", words(&recipe.requirements)));
        }
        let rejected = inspection
            .rejected
            .iter()
            .take(20)
            .map(|w| sentences::shown_str(w))
            .collect::<Vec<_>>();
        if !rejected.is_empty() {
            list.push(("not taken", rejected.join("; ")));
        }
    }
    for task in &job.record.tasks {
        if let Some(RawData::Resolve(resolve)) = &task.raw {
            let packages: Vec<String> = resolve
                .locked
                .iter()
                .map(|(name, version)| {
                    format!("{} {}", sentences::shown_str(name), sentences::shown_str(version))
                })
                .collect();
            let packages = if packages.is_empty() {
                "nothing".to_owned()
            } else {
                packages.join(", ")
            };
            list.push(("locked", format!("{}: {packages}", task.name)));
        }
    }
    list
}

fn outputs(job: Job<'_>) -> Vec<(String, String, String)> {
    let mut list = Vec::new();
    for task in &job.record.tasks {
        for effect in &task.effects {
            let effect = &effect.effect;
            let text = format!("{}{}", effect.stdout.text(), effect.stderr.text());
            if text.trim().is_empty() {
                continue;
            }
            let visible = Foreign::from(text).visible_lines();
            let all = visible.chars().count();
            let shown: String = if all > OUTPUT {
                let head: String = visible.chars().take(OUTPUT / 2).collect();
                let tail: String = visible.chars().skip(all - OUTPUT / 2).collect();
                format!("{head}\n[… {} characters left out …]\n{tail}", all - OUTPUT)
            } else {
                visible
            };
            let program = effect.argv.first().map(Foreign::visible).unwrap_or_default();
            let size = bytes(effect.stdout.total + effect.stderr.total);
            list.push((task.name.clone(), format!("{program}, {size}"), shown));
        }
    }
    list
}
