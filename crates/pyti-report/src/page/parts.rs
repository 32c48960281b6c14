//! The parts of a page that belong to one file.

use pyti_judge::TaskRecord;
use pyti_model::effect::{Captured, Contact, Effect, Exit, Loss, Meter};
use pyti_model::outcome::TaskResult;
use pyti_model::raw::{Test, TestCase, TestOutcome};
use serde::Serialize;

use super::changes::{Known, PlacePart, by_place};
use super::costs::{self, CostsPart};
use super::coverage::{self, CoveragePart};
use super::lit::Lit;
use super::network::{self, NetworkPart};
use super::plan::{PlanPart, plan};
use super::processes::{self, CommandTree};
use super::quality::QualityPart;
use super::safe::process_anchor;
use super::tone;
use crate::seen::Seen;
use crate::sentences::{self, shown, shown_str};
use crate::timeline::{Lane, lanes};
use crate::view::{self, FileView, Row};
use crate::words::{bytes, count, number, seconds};

/// Tests that are in the page itself; the others come from its data, by script.
const TESTS_IN_PAGE: usize = 300;
/// Bytes of one stream's beginning, and of its end, that the page shows.
const SHOWN_OUTPUT: usize = 6 * 1024;
/// Bytes of one test's message or output.
const SHOWN_MESSAGE: usize = 4 * 1024;
/// Entries of the other lists.
pub(crate) const MOST: usize = 100;

/// One file.
pub(crate) struct FilePart {
    pub(crate) anchor: String,
    pub(crate) kind: &'static str,
    pub(crate) filename: String,
    pub(crate) sha256: String,
    pub(crate) size: String,
    pub(crate) index: Option<String>,
    pub(crate) tone: &'static str,
    pub(crate) status: &'static str,
    pub(crate) answer: String,
    pub(crate) rows: Vec<RowPart>,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) tests: Option<TestsPart>,
    pub(crate) quality: Option<QualityPart>,
    /// Tests beyond those in the page, for its script.
    pub(crate) more_tests: Vec<MoreTest>,
    pub(crate) commands: Vec<CommandTree>,
    /// Kinds of acts that the commands have, for a filter.
    pub(crate) kinds: Vec<&'static str>,
    pub(crate) network: NetworkPart,
    pub(crate) changes: Vec<ChangesPart>,
    pub(crate) contacts: Vec<ContactPart>,
    pub(crate) refused: Vec<String>,
    pub(crate) survivors: Vec<String>,
    pub(crate) compilers: Vec<CompilerPart>,
    pub(crate) logs: Vec<LogPart>,
    pub(crate) plan: Option<PlanPart>,
    pub(crate) coverage: Option<CoveragePart>,
    pub(crate) costs: Option<CostsPart>,
}

/// A line of the summary.
pub(crate) struct RowPart {
    pub(crate) name: String,
    pub(crate) result: TaskResult,
    pub(crate) sentence: String,
    pub(crate) lines: Vec<String>,
    pub(crate) time: String,
    pub(crate) anchor: Option<String>,
}

/// The tests.
pub(crate) struct TestsPart {
    pub(crate) summary: String,
    pub(crate) filters: Vec<(&'static str, String)>,
    pub(crate) cases: Vec<CasePart>,
    pub(crate) more: usize,
    pub(crate) not_listed: Option<String>,
    pub(crate) collection_errors: Vec<(String, String)>,
    pub(crate) proof: Vec<(String, String)>,
}

/// One test.
pub(crate) struct CasePart {
    pub(crate) id: String,
    pub(crate) outcome: &'static str,
    pub(crate) time: String,
    pub(crate) ms: String,
    pub(crate) message: String,
    pub(crate) output: String,
}

/// One test that the script adds.
#[derive(Serialize)]
pub(crate) struct MoreTest {
    id: String,
    outcome: &'static str,
    time: String,
    ms: String,
}

/// What one task changed.
pub(crate) struct ChangesPart {
    pub(crate) task: String,
    pub(crate) places: Vec<PlacePart>,
}

/// What was tried on the network.
pub(crate) struct ContactPart {
    pub(crate) task: String,
    pub(crate) what: String,
    pub(crate) answer: &'static str,
    pub(crate) times: String,
}

/// One call of a compiler.
pub(crate) struct CompilerPart {
    pub(crate) program: String,
    pub(crate) arguments: String,
    pub(crate) time: String,
    pub(crate) result: String,
    pub(crate) bad: bool,
    pub(crate) said: String,
}

/// All output of one task.
pub(crate) struct LogPart {
    pub(crate) anchor: String,
    pub(crate) task: String,
    pub(crate) result: TaskResult,
    pub(crate) sentence: String,
    pub(crate) open: bool,
    pub(crate) commands: Vec<CommandPart>,
}

/// One command.
pub(crate) struct CommandPart {
    pub(crate) argv: String,
    pub(crate) ended: String,
    pub(crate) streams: Vec<StreamPart>,
}

/// One stream of output.
pub(crate) struct StreamPart {
    pub(crate) name: &'static str,
    pub(crate) size: String,
    pub(crate) head: String,
    pub(crate) left_out: String,
    pub(crate) tail: String,
}

impl FilePart {
    /// The parts of the `n`th file.
    pub(crate) fn new(n: usize, file: FileView<'_>, seen: &Seen<'_>, lit: &Lit) -> Self {
        let job = file.job;
        let anchor = format!("f{n}");
        let record = job.record;
        let outcome = &job.judgement.outcome;
        let (tests, more_tests) = record.test().map_or((None, Vec::new()), |test| {
            let (part, more) = tests(test);
            (Some(part), more)
        });
        let mut part = Self {
            kind: view::kind_word(view::kind(job)),
            filename: file.filename.clone(),
            sha256: record
                .file
                .as_ref()
                .map_or_else(String::new, |f| f.sha256.to_string()),
            size: record.file.as_ref().map_or_else(String::new, |f| bytes(f.size)),
            index: record
                .file
                .as_ref()
                .and_then(|f| f.index.as_deref())
                .map(shown_str),
            tone: tone(outcome.status),
            status: outcome.status.word(),
            answer: sentences::answer(outcome.status, &outcome.reasons, view::tests(job)),
            rows: Vec::new(),
            lanes: lanes(job),
            tests,
            quality: None,
            more_tests,
            commands: processes::parts(n, seen, lit),
            kinds: Vec::new(),
            network: NetworkPart::default(),
            changes: Vec::new(),
            contacts: Vec::new(),
            refused: Vec::new(),
            survivors: Vec::new(),
            compilers: record
                .build()
                .map(|build| build.compiler_calls.iter().take(MOST).map(compiler).collect())
                .unwrap_or_default(),
            logs: Vec::new(),
            plan: plan(&file),
            coverage: coverage::part(record),
            costs: costs::part(record),
            anchor,
        };
        part.kinds = processes::kinds(&part.commands);
        let anchors: std::collections::HashSet<String> = part
            .commands
            .iter()
            .flat_map(|command| command.processes.iter().map(|process| process.anchor.clone()))
            .collect();
        part.network = network::part(n, seen, lit, &|anchor| anchors.contains(anchor));
        let anchor = |seq: u64, process: usize| {
            let anchor = process_anchor(n, seq, process);
            anchors.contains(&anchor).then_some(anchor)
        };
        for task in &record.tasks {
            part.add(
                task,
                view::judged(job, task),
                &Known::of(n, task, seen, lit, &anchor),
            );
        }
        part.forget_what_the_traces_tell(seen);
        part.keep_links_that_lead_somewhere();
        part.rows = file.rows.iter().map(|row| part.row(row)).collect();
        part
    }

    fn add(
        &mut self,
        task: &TaskRecord,
        (result, reasons): (TaskResult, &[pyti_model::outcome::Reason]),
        known: &Known<'_>,
    ) {
        let name = shown_str(&task.name);
        if !task.preparation && !task.changes.is_empty() {
            self.changes.push(ChangesPart {
                task: name.clone(),
                places: by_place(&task.changes, known),
            });
        }
        let mut commands = Vec::new();
        for recorded in task.last_effects() {
            let effect = &recorded.effect;
            commands.push(command(effect));
            self.contacts.extend(
                effect
                    .contacts
                    .iter()
                    .take(MOST)
                    .map(|contact| contact_part(&name, contact)),
            );
            self.refused
                .extend(effect.denials.iter().take(MOST).map(|denial| {
                    let by = denial
                        .executable
                        .as_ref()
                        .map(|e| format!(" by {}", shown(e)))
                        .unwrap_or_default();
                    let times = count(denial.times, "time");
                    format!(
                        "{name}: {}{by}, {times}, answered {}",
                        shown_str(&denial.call),
                        shown_str(&denial.answer)
                    )
                }));
            self.survivors
                .extend(effect.survivors.iter().take(MOST).map(|survivor| {
                    let argv = survivor.argv.iter().map(shown).collect::<Vec<_>>().join(" ");
                    let end = if survivor.ended_by_itself {
                        "ended by itself while it was watched"
                    } else {
                        "was ended by PyTI"
                    };
                    format!("{name}: {} (process {}), {end}", shown_str(&argv), survivor.pid)
                }));
        }
        if commands.is_empty() && result == TaskResult::Success {
            return;
        }
        self.logs.push(LogPart {
            anchor: format!("{}-t{}", self.anchor, self.logs.len()),
            sentence: sentences::task(task, result, reasons),
            open: matches!(result, TaskResult::Failure | TaskResult::Exception),
            task: name,
            result,
            commands,
        });
    }

    fn row(&self, row: &Row) -> RowPart {
        RowPart {
            anchor: self.anchor_of(&row.name),
            name: row.name.clone(),
            result: row.result,
            sentence: row.sentence.clone(),
            lines: row.lines.clone(),
            time: if row.result == TaskResult::Skipped {
                String::new()
            } else {
                seconds(row.wall_s)
            },
        }
    }

    /// Whether some task's output should be seen at once.
    pub(crate) fn has_open_log(&self) -> bool {
        self.logs.iter().any(|log| log.open)
    }

    /// Where the output of a task is on the page.
    pub(crate) fn anchor_of(&self, task: &str) -> Option<String> {
        let task = shown_str(task);
        self.logs
            .iter()
            .find(|log| log.task == task)
            .map(|log| log.anchor.clone())
    }
}

/// Text of at most so many bytes, and how many are missing.
pub(crate) fn cut(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(most);
    format!("{}\n[… {} more]", &text[..end], bytes((text.len() - end) as u64))
}

fn tests(test: &Test) -> (TestsPart, Vec<MoreTest>) {
    let mut cases: Vec<&TestCase> = test.cases.iter().collect();
    // what went wrong first, then the slowest
    cases.sort_by(|a, b| {
        rank(a.outcome)
            .cmp(&rank(b.outcome))
            .then(b.wall_s.total_cmp(&a.wall_s))
    });
    let in_page = cases.len().min(TESTS_IN_PAGE);
    let (here, later) = cases.split_at(in_page);
    let mut filters = Vec::new();
    for outcome in [
        TestOutcome::Failed,
        TestOutcome::Error,
        TestOutcome::Xpassed,
        TestOutcome::Xfailed,
        TestOutcome::Skipped,
        TestOutcome::Passed,
    ] {
        let n = test.cases.iter().filter(|case| case.outcome == outcome).count();
        if n > 0 {
            filters.push((outcome.word(), number(n as u64)));
        }
    }
    let part = TestsPart {
        summary: sentences::test(test),
        filters,
        cases: here.iter().map(|case| case_part(case)).collect(),
        more: later.len(),
        not_listed: (test.cases_dropped > 0)
            .then(|| format!("{} counted and not listed", count(test.cases_dropped, "test"))),
        collection_errors: test
            .collection_errors
            .iter()
            .take(MOST)
            .map(|(place, text)| (shown(place), cut(&text.visible_lines(), SHOWN_MESSAGE)))
            .collect(),
        proof: test
            .proof
            .iter()
            .take(MOST)
            .map(|(module, file)| (shown_str(module), shown(file)))
            .collect(),
    };
    let more = later
        .iter()
        .map(|case| MoreTest {
            id: shown(&case.id),
            outcome: case.outcome.word(),
            time: seconds(case.wall_s),
            ms: ms(case.wall_s),
        })
        .collect();
    (part, more)
}

fn rank(outcome: TestOutcome) -> u8 {
    match outcome {
        TestOutcome::Failed => 0,
        TestOutcome::Error => 1,
        TestOutcome::Xpassed => 2,
        TestOutcome::Xfailed | TestOutcome::Skipped | TestOutcome::Passed => 3,
    }
}

fn ms(s: f64) -> String {
    format!("{:.3}", if s.is_finite() { s * 1000.0 } else { 0.0 })
}

fn case_part(case: &TestCase) -> CasePart {
    CasePart {
        id: shown(&case.id),
        outcome: case.outcome.word(),
        time: seconds(case.wall_s),
        ms: ms(case.wall_s),
        message: cut(&case.message.visible_lines(), SHOWN_MESSAGE),
        output: cut(&case.output.visible_lines(), SHOWN_MESSAGE),
    }
}

fn contact_part(task: &str, contact: &Contact) -> ContactPart {
    let (what, answer, times) = match contact {
        Contact::Name { name, record, times } => (
            format!("asked for the name {} ({})", shown(name), shown_str(record)),
            "no such name",
            *times,
        ),
        Contact::Address {
            protocol,
            address,
            port,
            times,
        } => {
            let port = port.map(|p| format!(" port {p}")).unwrap_or_default();
            (
                format!("{} to {}{port}", shown_str(protocol), shown_str(address)),
                "no answer: nobody is there",
                *times,
            )
        }
    };
    ContactPart {
        task: task.to_owned(),
        what,
        answer,
        times: number(times),
    }
}

fn compiler(call: &pyti_model::raw::CompilerCall) -> CompilerPart {
    let warnings = if call.warnings > 0 {
        format!(", {}", count(call.warnings.into(), "warning"))
    } else {
        String::new()
    };
    CompilerPart {
        program: shown(&call.program),
        arguments: cut(&call.argv.iter().map(shown).collect::<Vec<_>>().join(" "), 1024),
        time: seconds(call.wall_s),
        result: if call.exit == 0 {
            format!("done{warnings}")
        } else {
            format!("failed with code {}{warnings}", call.exit)
        },
        bad: call.exit != 0,
        said: cut(&call.said.visible_lines(), SHOWN_MESSAGE),
    }
}

fn command(effect: &Effect) -> CommandPart {
    let argv: Vec<String> = effect.argv.iter().map(shown).collect();
    let mut ended = match effect.exit {
        Exit::Code(0) => "ended well".to_owned(),
        Exit::Code(code) => format!("ended with code {code}"),
        Exit::Signal(signal) => format!("ended by signal {signal}"),
    };
    if let Some(limit) = effect.limit {
        ended = format!(
            "{ended}, because it was over its limit of {}",
            crate::words::limit(limit)
        );
    }
    let weak = if effect.cost.meter == Meter::Sampled {
        " (sampled)"
    } else {
        ""
    };
    ended.push_str(&format!(
        " · {} wall, {} CPU, {} of memory{weak}, {}",
        seconds(effect.cost.wall_s),
        seconds(effect.cost.cpu_s()),
        bytes(effect.cost.peak_memory_bytes),
        crate::words::counted(effect.cost.peak_processes.into(), "process", "processes"),
    ));
    let streams = [
        ("standard output", &effect.stdout),
        ("standard error", &effect.stderr),
    ]
    .into_iter()
    .filter(|(_, captured)| captured.total > 0 || !captured.head.is_empty())
    .map(|(name, captured)| stream(name, captured))
    .collect();
    CommandPart {
        argv: cut(&argv.join(" "), 1500),
        ended,
        streams,
    }
}

fn stream(name: &'static str, captured: &Captured) -> StreamPart {
    let head = captured.head.visible_lines();
    let tail = captured.tail.visible_lines();
    let (shown_head, rest, shown_tail) = if tail.is_empty() && head.len() > 2 * SHOWN_OUTPUT {
        let (a, b) = (
            head.floor_char_boundary(SHOWN_OUTPUT),
            head.ceil_char_boundary(head.len() - SHOWN_OUTPUT),
        );
        (head[..a].to_owned(), (b - a) as u64, head[b..].to_owned())
    } else {
        let a = head.floor_char_boundary(SHOWN_OUTPUT.min(head.len()));
        let b = tail.ceil_char_boundary(tail.len().saturating_sub(SHOWN_OUTPUT));
        // without a tail, everything fits into twice the length
        let a = if tail.is_empty() { head.len() } else { a };
        (
            head[..a].to_owned(),
            (head.len() - a + b) as u64,
            tail[b..].to_owned(),
        )
    };
    let mut left_out = Vec::new();
    if rest > 0 {
        left_out.push(format!("{} not shown here: pyti log has them", bytes(rest)));
    }
    if captured.dropped() > 0 {
        left_out.push(format!("{} not kept", bytes(captured.dropped())));
    }
    StreamPart {
        name,
        size: bytes(captured.total),
        head: shown_head,
        left_out: left_out.join(", "),
        tail: shown_tail,
    }
}

/// A loss, in words.
pub(crate) fn loss(loss: &Loss) -> String {
    match loss {
        Loss::Changes { dropped } => format!("{} not kept", count(*dropped, "file change")),
        Loss::Results { bytes: n } => format!("{} of results missing or unreadable", bytes(*n)),
        Loss::Contacts { dropped } => format!("{} not kept", count(*dropped, "network contact")),
        Loss::Notifications { why } => format!("refusals were not recorded, {}", shown_str(why)),
        Loss::Search { of } => format!("not searched for decoys: {}, too big", shown(of)),
        Loss::Channel { why } => format!("the channel broke, {}", shown_str(why)),
    }
}
