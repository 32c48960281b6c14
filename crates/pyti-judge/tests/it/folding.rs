//! Folding: what is odd is noted, and nothing is lost or made up.

use pyti_judge::{JobRecord, fold};
use pyti_model::effect::{Changed, Exit, Loss};
use pyti_model::event::{Envelope, Event};
use pyti_model::outcome::TaskResult;

use crate::support::*;

fn whys(record: &JobRecord) -> Vec<String> {
    let why = |loss: &Loss| match loss {
        Loss::Channel { why } => why.clone(),
        other => format!("{other:?}"),
    };
    record.losses.iter().map(why).collect()
}

#[test]
fn a_good_recording_folds_without_a_loss() {
    let record = Job::wheel().record();
    assert_eq!(record.losses, []);
    assert!(record.complete && !record.interrupted);
    assert_eq!(record.tasks.len(), WHEEL_TASKS.len());
    assert_eq!(record.when, "2026-01-01T00:00:00Z");
    let test = record.task("test").unwrap();
    assert_eq!(
        (test.attempts, test.effects.len(), test.result),
        (1, 1, Some(TaskResult::Success))
    );
    assert!(test.started_us < test.ended_us);
    assert!(record.task("lock-test").unwrap().preparation);
    assert_eq!(record.test().unwrap().counts.passed, 10);
}

#[test]
fn gaps_doubles_and_what_follows_the_end_are_noted() {
    let mut events = Job::wheel().events();
    let doubled = events[5].clone();
    events.remove(4);
    events.push(doubled);
    let whys = whys(&fold(events));
    assert_eq!(whys.len(), 5, "{whys:?}");
    assert!(whys[0].contains("events 4 to 4 are missing"));
    assert!(whys.iter().any(|why| why.contains("came late or twice")));
    assert!(whys.iter().any(|why| why.contains("came after the last one")));
}

#[test]
fn a_second_attempt_starts_afresh() {
    let task = || "test".to_owned();
    let change = pyti_model::effect::Change {
        path: "/a".into(),
        what: Changed::Added,
        entry: None,
        size: None,
        mode: None,
    };
    let ended = |result| Event::Ended {
        task: task(),
        result,
        reasons: Vec::new(),
        chain: Vec::new(),
        raw: None,
        wall_s: f64::NAN,
        cpu_s: -1.0,
        peak_memory_bytes: 0,
    };
    let events = vec![
        Event::Planned {
            tasks: vec![pyti_model::event::PlannedTask {
                name: task(),
                needs: Vec::new(),
                preparation: false,
            }],
        },
        Event::Started {
            task: task(),
            attempt: 1,
        },
        Event::Ran {
            task: task(),
            effect: Box::new(effect(Exit::Code(1))),
        },
        Event::Changed {
            task: task(),
            changes: vec![change],
        },
        ended(TaskResult::Retry),
        Event::Started {
            task: task(),
            attempt: 2,
        },
        Event::Ran {
            task: task(),
            effect: Box::new(effect(Exit::Code(0))),
        },
        ended(TaskResult::Success),
        ended(TaskResult::Failure),
    ];
    let record = fold(numbered(events));
    let test = record.task("test").unwrap();
    assert_eq!((test.attempts, test.effects.len(), test.changes.len()), (2, 2, 0));
    assert_eq!(test.last_effects().count(), 1);
    assert_eq!(test.result, Some(TaskResult::Success));
    assert_eq!(
        (test.wall_s.to_bits(), test.cpu_s.to_bits()),
        (0, 0),
        "no number is no time"
    );
    assert_eq!(whys(&record), ["task test ended twice"]);
}

#[test]
fn unplanned_tasks_are_kept_and_noted() {
    let events = vec![
        Event::Started {
            task: "x".into(),
            attempt: 1,
        },
        Event::Unknown,
    ];
    let record = fold(numbered(events));
    assert_eq!(record.tasks.len(), 1);
    assert!(whys(&record)[0].contains("was not planned"));
}

#[test]
fn losses_are_capped_and_counted() {
    let event = || Event::Lost {
        task: None,
        what: Loss::Channel { why: "x".into() },
    };
    let record = fold(numbered((0..1000).map(|_| event()).collect()));
    assert_eq!(record.losses.len(), 257);
    assert!(whys(&record)[256].contains("744 more"));
}

#[test]
fn numbers_at_the_edge_do_not_overflow() {
    let at_the_end = Envelope {
        seq: u64::MAX,
        at_us: u64::MAX,
        event: Event::Unknown,
    };
    let record = fold([at_the_end.clone(), at_the_end]);
    assert!(record.wall_s.is_finite());
}
