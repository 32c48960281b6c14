//! What holds of every recording.

use proptest::prelude::*;
use pyti_judge::{exit_code, fold, judge};
use pyti_model::effect::{Exit, Limit, Loss};
use pyti_model::event::{Envelope, Event, PlannedTask};
use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, TaskResult, Verdict};
use pyti_model::raw::{ImportOutcome, ModuleImport, RawData, TestCounts, Unpack};

use crate::support::*;

const RESULTS: [TaskResult; 7] = [
    TaskResult::Success,
    TaskResult::Warnings,
    TaskResult::Failure,
    TaskResult::Skipped,
    TaskResult::Exception,
    TaskResult::Retry,
    TaskResult::Cancelled,
];

fn any_task() -> impl Strategy<Value = String> {
    let names: Vec<&str> = SDIST_TASKS
        .iter()
        .chain(WHEEL_TASKS)
        .copied()
        .chain(["", "other", "\u{202e}x"])
        .collect();
    prop::sample::select(names).prop_map(str::to_owned)
}

fn any_effect() -> impl Strategy<Value = pyti_model::effect::Effect> {
    let exit = prop_oneof![
        any::<i32>().prop_map(Exit::Code),
        any::<i32>().prop_map(Exit::Signal),
        Just(Exit::Code(0))
    ];
    let text = prop_oneof![
        Just(String::new()),
        any::<String>(),
        Just("Fatal Python error: \u{e9}\nNo module named '".to_owned()),
        Just("refused :99999999999 port 5432 fatal error: a.h: No such file".to_owned()),
    ];
    (exit, text, any::<bool>()).prop_map(|(exit, text, limited)| {
        let mut effect = saying(exit, &text);
        effect.limit = limited.then_some(Limit::Cpu);
        effect.cost.wall_s = f64::NAN;
        effect
    })
}

fn any_raw() -> impl Strategy<Value = Option<RawData>> {
    let crashed = ModuleImport {
        outcome: ImportOutcome::Crashed { signal: -4 },
        ..imported("thing")
    };
    let killed = ModuleImport {
        outcome: ImportOutcome::Killed,
        ..imported("")
    };
    let all = vec![
        None,
        Some(RawData::Unpack(Unpack::default())),
        Some(RawData::Inspect(Box::new(inspection()))),
        Some(hook(Some(error("", "No module named ")))),
        Some(hook(None)),
        Some(RawData::Build(build_data(Some(error("X", "\u{e9}"))))),
        Some(RawData::Build(build_data(None))),
        Some(install_of(&[])),
        Some(install_of(&["thing"])),
        Some(import_of(&[])),
        Some(import_of(&[imported("thing")])),
        Some(import_of(&[
            crashed,
            killed,
            raised(".", error("ModuleNotFoundError", "No module named '.'")),
        ])),
        Some(RawData::Test(Box::new(test_data(passed(3))))),
        Some(RawData::Test(Box::new(test_data(TestCounts {
            failed: 1,
            ..passed(0)
        })))),
    ];
    prop::sample::select(all)
}

fn any_event() -> impl Strategy<Value = Event> {
    let reasons = || {
        prop::collection::vec(
            prop::sample::select(ReasonCode::ALL.to_vec()).prop_map(|c| Reason::new(c, "x")),
            0..3,
        )
    };
    prop_oneof![
        Just(Job::wheel().events().remove(0).event),
        Just(Job::sdist().events().remove(0).event),
        prop::collection::vec(any_task(), 0..6).prop_map(|names| Event::Planned {
            tasks: names
                .into_iter()
                .map(|name| PlannedTask {
                    name,
                    needs: Vec::new(),
                    preparation: false
                })
                .collect()
        }),
        (any_task(), any::<u32>()).prop_map(|(task, attempt)| Event::Started { task, attempt }),
        (any_task(), any_effect()).prop_map(|(task, effect)| Event::Ran {
            task,
            effect: Box::new(effect)
        }),
        (
            any_task(),
            prop::sample::select(RESULTS.to_vec()),
            reasons(),
            any_raw(),
            any::<f64>()
        )
            .prop_map(|(task, result, reasons, raw, wall_s)| Event::Ended {
                task,
                result,
                reasons,
                chain: Vec::new(),
                raw,
                wall_s,
                cpu_s: wall_s,
                peak_memory_bytes: u64::MAX,
            }),
        any_task().prop_map(|task| Event::Lost {
            task: Some(task),
            what: Loss::Results { bytes: 1 }
        }),
        reasons().prop_map(|reasons| Event::Decided {
            file: None,
            outcome: Outcome {
                status: Status::Skip,
                reasons
            }
        }),
        any::<bool>().prop_map(|interrupted| Event::Finished { interrupted }),
        Just(Event::Unknown),
    ]
}

fn strength(status: Status) -> u8 {
    match status {
        Status::Pass => 3,
        Status::Load => 2,
        Status::Install => 1,
        _ => 0,
    }
}

fn any_job() -> impl Strategy<Value = Job> {
    let change = (0..17_usize, 0..6_u8);
    (any::<bool>(), prop::collection::vec(change, 0..4), any::<bool>()).prop_map(
        |(wheel, changes, finished)| {
            let mut job = if wheel { Job::wheel() } else { Job::sdist() };
            job.finished = finished;
            for (at, how) in changes {
                let count = job.tasks.len();
                let task = &mut job.tasks[at % count];
                match how {
                    0 => task.result = Some(TaskResult::Failure),
                    1 => task.result = Some(TaskResult::Skipped),
                    2 => task.result = None,
                    3 => task.result = Some(TaskResult::Exception),
                    4 => task.raw = None,
                    _ => task.effects = vec![limited(Limit::Wall)],
                }
            }
            job
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_sequence_is_folded_and_judged(
        events in prop::collection::vec((prop_oneof![any::<u64>(), 0..50_u64], any::<u64>(), any_event()), 0..40),
    ) {
        let events = events.into_iter().map(|(seq, at_us, event)| Envelope { seq, at_us, event });
        let record = fold(events);
        let judgement = judge(&record);
        prop_assert_eq!(judgement.tasks.len(), record.tasks.len());
        if record.decided.is_none() && !record.complete {
            prop_assert!(!judgement.outcome.status.is_good());
            prop_assert!(!judgement.outcome.reasons.is_empty());
        }
        if !judgement.outcome.status.is_good() && record.decided.is_none() {
            prop_assert!(!judgement.outcome.reasons.is_empty(), "{:?} without a reason", judgement.outcome.status);
        }
    }

    #[test]
    fn one_more_failure_never_makes_it_better(job in any_job(), at in 0..17_usize, emptied in any::<bool>()) {
        let before = job.judged().outcome.status;
        // An error of ours says nothing; that the tests' side failed instead may well let it load.
        if before == Status::Error {
            return Ok(());
        }
        let mut worse = job;
        let count = worse.tasks.len();
        let task = &mut worse.tasks[at % count];
        task.result = Some(TaskResult::Failure);
        if emptied {
            task.raw = None;
        }
        let after = worse.judged().outcome.status;
        prop_assert!(strength(after) <= strength(before), "{} made {before} {after}", worse.tasks[at % count].name);
    }

    #[test]
    fn a_beginning_says_nothing_that_the_whole_takes_back(job in any_job(), cut in 0..200_usize) {
        let events = job.events();
        let cut = cut % (events.len() + 1);
        let (part, whole) = (fold(events[..cut].to_vec()), fold(events.clone()));
        let finished = part.complete;
        prop_assert_eq!(finished, cut == events.len() && whole.complete);
        prop_assert!(part.tasks.iter().map(|t| &t.name).eq(whole.tasks.iter().take(part.tasks.len()).map(|t| &t.name)));
        for task in &part.tasks {
            if task.result.is_some() {
                prop_assert_eq!(Some(task), whole.task(&task.name));
            }
        }
        if !finished {
            prop_assert!(!judge(&part).outcome.status.is_good());
        }
    }

    #[test]
    fn folding_live_is_folding_at_once(job in any_job()) {
        let mut fold_live = pyti_judge::Fold::new();
        for event in job.events() {
            fold_live.push(event);
        }
        prop_assert_eq!(fold_live.record().clone(), job.record());
        prop_assert_eq!(fold_live.finish(), job.record());
    }

    #[test]
    fn one_more_bad_job_never_gives_exit_code_0(
        jobs in prop::collection::vec(prop::sample::select(Status::ALL.to_vec()), 0..6),
    ) {
        let mut jobs: Vec<_> = jobs.into_iter().map(|status| (status, Verdict::NotJudged)).collect();
        jobs.push((Status::Fail, Verdict::NotJudged));
        prop_assert!(matches!(exit_code(&jobs, false, false), 1 | 5));
    }
}
