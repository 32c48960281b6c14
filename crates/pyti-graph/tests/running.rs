//! What tasks, their settings and the runner do, one rule a test.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::time::Duration;

use pyti_graph::{
    Backoff, Cancel, CancelToken, Effect, EventKind, Graph, GraphBuilder, Key, Limits, Outcome, RetryPolicy,
    Run, Runner, SkipReason, TaskName, TaskResult,
};

const N: Key<u32> = Key::new("n");

fn built(describe: impl FnOnce(&mut GraphBuilder<()>)) -> Graph<()> {
    let mut b = GraphBuilder::new();
    describe(&mut b);
    b.build().unwrap()
}

fn ran(describe: impl FnOnce(&mut GraphBuilder<()>)) -> Run {
    Runner::new().run(&built(describe), &(), |_| ())
}

fn outcome(run: &Run, task: &str) -> String {
    run.report.task(task).unwrap().outcome.to_string()
}

#[test]
fn an_error_is_told_with_its_sources_and_a_panic_with_its_words() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot build")]
    struct Build(#[source] std::io::Error);

    let run = ran(|b| {
        b.task("errs")
            .run(|_| Err(Build(std::io::Error::other("no disk")).into()));
        b.task("panics").run(|_| panic!("lost {}", "count"));
        b.task("panics oddly").run(|_| std::panic::panic_any(7));
        b.task("its condition panics")
            .only_if(|_| panic!("who knows"), "");
        b.task("works").run(|_| Ok(Outcome::success()));
        b.task("lacks").needs_task("panics");
    });
    assert_eq!(outcome(&run, "errs"), "exception: cannot build: no disk");
    assert_eq!(outcome(&run, "panics"), "exception: panicked: lost count");
    assert_eq!(
        outcome(&run, "panics oddly"),
        "exception: panicked: without words"
    );
    assert_eq!(
        outcome(&run, "its condition panics"),
        "exception: its condition panicked: who knows"
    );
    assert_eq!(outcome(&run, "works"), "success");
    assert_eq!(outcome(&run, "lacks"), "skipped: panics ended with an exception");
    assert_eq!(run.report.result, TaskResult::Exception);
}

#[test]
fn a_promise_that_is_not_kept_is_an_exception_unless_the_task_failed() {
    let run = ran(|b| {
        b.task("forgets").produces(&N).run(|_| Ok(Outcome::success()));
        b.task("reads").needs(&N);
    });
    assert!(
        outcome(&run, "forgets").starts_with("exception: forgets ended with success without publishing `n`")
    );
    assert_eq!(outcome(&run, "reads"), "skipped: forgets ended with an exception");
    let run = ran(|b| {
        b.task("fails").produces(&N).run(|_| Ok(Outcome::failure("no n")));
    });
    assert_eq!(outcome(&run, "fails"), "failure: no n");
}

#[test]
fn data_is_used_as_declared_or_not_at_all() {
    let run = ran(|b| {
        b.task("makes").produces(&N).run(|cx| {
            cx.put(&N, 1)?;
            Ok(Outcome::success())
        });
        b.task("peeks")
            .after("makes")
            .run(|cx| Ok(Outcome::success().and(cx.get(&N)?.to_string())));
        b.task("reads")
            .needs(&N)
            .run(|cx| Ok(Outcome::success().and(cx.get(&N)?.to_string())));
        b.task("misreads").needs(&N).run(|cx| {
            cx.get(&Key::<String>::new("n"))?;
            Ok(Outcome::success())
        });
        b.task("smuggles").run(|cx| {
            cx.put(&Key::<u32>::new("m"), 1)?;
            Ok(Outcome::success())
        });
        b.task("repeats").produces(&Key::<u32>::new("r")).run(|cx| {
            cx.put(&Key::<u32>::new("r"), 1)?;
            cx.put(&Key::<u32>::new("r"), 2)?;
            Ok(Outcome::success())
        });
    });
    assert!(outcome(&run, "peeks").contains("without waiting for it"));
    assert_eq!(outcome(&run, "reads"), "success: 1");
    assert!(outcome(&run, "misreads").contains("not the type the graph declared"));
    assert!(outcome(&run, "smuggles").contains("without producing it"));
    assert!(outcome(&run, "repeats").contains("twice"));
}

#[test]
fn wanted_data_is_there_or_not() {
    for fails in [false, true] {
        let run = ran(|b| {
            b.task("makes").produces(&N).run(move |cx| {
                if fails {
                    return Ok(Outcome::failure("none"));
                }
                cx.put(&N, 1)?;
                Ok(Outcome::success())
            });
            b.task("wants")
                .wants(&N)
                .run(|cx| Ok(Outcome::success().and(format!("{:?}", cx.try_get(&N)?))));
        });
        let expected = if fails {
            "success: None"
        } else {
            "success: Some(1)"
        };
        assert_eq!(outcome(&run, "wants"), expected);
    }
}

#[test]
fn of_several_producers_the_first_that_applies_is_used() {
    let graph = |here: &'static str| {
        let mut b = GraphBuilder::<(), &'static str>::new();
        for (rank, (name, on)) in
            (0..).zip([("by hand", "any"), ("fast", "linux"), ("wide", "any but plan9")])
        {
            b.task(name)
                .applies(move |os| on == *os || (on == "any but plan9" && *os != "plan9"))
                .produces_ranked(&N, rank)
                .run(move |cx| {
                    cx.put(&N, rank)?;
                    Ok(Outcome::success())
                });
        }
        b.task("reads").wants(&N);
        b.build_for(&here).unwrap()
    };
    let run = Runner::new().run(&graph("linux"), &(), |_| ());
    assert_eq!(run.data.get(&N).as_deref(), Some(&1));
    assert_eq!(outcome(&run, "by hand"), "skipped: it is not for this platform");
    assert_eq!(outcome(&run, "wide"), "skipped: `n` comes from fast first");
    let run = Runner::new().run(&graph("bsd"), &(), |_| ());
    assert_eq!(run.data.get(&N).as_deref(), Some(&2));
    let run = Runner::new().run(&graph("plan9"), &(), |_| ());
    assert_eq!(run.data.get(&N), None);
    assert_eq!(outcome(&run, "reads"), "success");
}

#[test]
fn what_is_given_comes_before_what_is_made() {
    let m: Key<u32> = Key::new("m");
    let run = ran(|b| {
        b.give(&N, 10);
        b.task("makes n")
            .produces(&N)
            .run(|_| Ok(Outcome::failure("never asked")));
        b.task("makes both")
            .produces(&m)
            .produces_ranked(&Key::<u32>::new("k"), 1)
            .run({
                let m = m.clone();
                move |cx| {
                    cx.put(&m, 1)?;
                    cx.put(&Key::new("k"), 1u32)?;
                    Ok(Outcome::success())
                }
            });
        b.task("reads")
            .needs(&N)
            .run(|cx| Ok(Outcome::success().and(cx.get(&N)?.to_string())));
    });
    assert_eq!(outcome(&run, "makes n"), "skipped: `n` was given");
    assert_eq!(outcome(&run, "reads"), "success: 10");
    assert_eq!(run.data.get(&m).as_deref(), Some(&1));
}

#[test]
fn the_reason_leads_back_to_the_first_cause() {
    let run = ran(|b| {
        b.task("docs").only_if(|_| false, "docs were not asked for");
        b.task("build").run(|_| Ok(Outcome::failure("no compiler")));
        b.task("install").needs_task("build");
        b.task("test").needs_task("install").needs_task("docs");
    });
    assert_eq!(
        outcome(&run, "test"),
        "skipped: install was skipped because build failed; it also lacks docs"
    );
    let Some(SkipReason::Needed {
        chain,
        also,
        origin: None,
    }) = &run.report.task("test").unwrap().skipped
    else {
        panic!("{:?}", run.report.task("test"));
    };
    assert_eq!(
        chain.iter().map(|link| link.task.as_str()).collect::<Vec<_>>(),
        ["install", "build"]
    );
    assert_eq!(also.iter().map(TaskName::as_str).collect::<Vec<_>>(), ["docs"]);
}

#[test]
fn effects_decide_what_the_whole_is() {
    let of = |on_failure, on_warnings, outcome: Outcome| {
        ran(|b| {
            b.task("t")
                .on_failure(on_failure)
                .on_warnings(on_warnings)
                .run(move |_| Ok(outcome.clone()));
        })
        .report
        .result
    };
    let failure = || Outcome::failure("f");
    let warnings = || Outcome::warnings("w");
    assert_eq!(of(Effect::Flunk, Effect::Ignore, failure()), TaskResult::Failure);
    assert_eq!(of(Effect::Warn, Effect::Ignore, failure()), TaskResult::Warnings);
    assert_eq!(of(Effect::Ignore, Effect::Ignore, failure()), TaskResult::Success);
    assert_eq!(of(Effect::Flunk, Effect::Ignore, warnings()), TaskResult::Success);
    assert_eq!(of(Effect::Flunk, Effect::Warn, warnings()), TaskResult::Warnings);
    assert_eq!(of(Effect::Flunk, Effect::Flunk, warnings()), TaskResult::Failure);
    assert_eq!(
        of(Effect::Ignore, Effect::Ignore, Outcome::retry("r")),
        TaskResult::Retry
    );
}

#[test]
fn a_halt_starts_nothing_more_but_what_always_runs() {
    let of = |outcome: Outcome| {
        ran(|b| {
            b.task("first")
                .halt_on_failure()
                .run(move |_| Ok(outcome.clone()));
            b.task("next");
            b.task("tidy").needs_task("next").always_run();
        })
    };
    let run = of(Outcome::failure("bad"));
    assert_eq!(
        outcome(&run, "next"),
        "skipped: first ended badly and halts the graph"
    );
    assert_eq!(outcome(&run, "tidy"), "success");
    let run = of(Outcome::warnings("so so"));
    assert_eq!(outcome(&run, "next"), "success");
}

#[test]
fn a_condition_sees_the_data_and_hidden_is_only_a_mark() {
    let run = ran(|b| {
        b.give(&N, 3);
        b.task("odd")
            .needs(&N)
            .only_if(|inputs| inputs.get(&N).is_ok_and(|n| *n % 2 == 1), "n is even");
        b.task("even")
            .needs(&N)
            .only_if(|inputs| inputs.get(&N).is_ok_and(|n| *n % 2 == 0), "n is odd")
            .hide_if(|outcome| outcome.result == TaskResult::Skipped);
    });
    assert_eq!(outcome(&run, "odd"), "success");
    assert_eq!(outcome(&run, "even"), "skipped: n is odd");
    let hidden: Vec<bool> = run.report.tasks.iter().map(|task| task.hidden).collect();
    assert_eq!(hidden, [false, true]);
}

#[test]
fn attempts_are_counted_waited_for_and_only_the_last_one_publishes() {
    let slept = Arc::new(Mutex::new(Vec::new()));
    let sleeps = Arc::clone(&slept);
    let graph = built(|b| {
        let backoff = Backoff {
            first: Duration::from_secs(10),
            factor: 2,
            most: Duration::from_mins(1),
        };
        b.task("flaky")
            .produces(&N)
            .retry(RetryPolicy::attempts(4).backoff(backoff))
            .run(|cx| {
                cx.put(&N, cx.attempt())?;
                Ok(if cx.attempt() < 3 {
                    Outcome::retry("busy")
                } else {
                    Outcome::success()
                })
            });
        b.task("hopeless")
            .retry(RetryPolicy::attempts(2))
            .run(|_| Ok(Outcome::retry("busy")));
        b.task("honest")
            .retry(RetryPolicy::attempts(5))
            .run(|_| Ok(Outcome::failure("no")));
    });
    let run = Runner::new()
        .sleep_by(move |wait| sleeps.lock().unwrap().push(wait.as_secs()))
        .run(&graph, &(), |_| ());
    let attempts: Vec<u32> = run.report.tasks.iter().map(|task| task.attempts).collect();
    assert_eq!(attempts, [3, 2, 1]);
    assert_eq!(run.data.get(&N).as_deref(), Some(&3));
    assert_eq!(outcome(&run, "hopeless"), "retry: busy");
    let mut slept = slept.lock().unwrap().clone();
    slept.sort_unstable();
    assert_eq!(slept, [0, 10, 20]);
}

#[test]
fn what_an_earlier_attempt_published_is_forgotten() {
    for puts_in in [1, 2] {
        let run = ran(|b| {
            b.task("flaky")
                .produces(&N)
                .retry(RetryPolicy::attempts(2))
                .run(move |cx| {
                    if cx.attempt() == puts_in {
                        cx.put(&N, puts_in)?;
                    }
                    Ok(Outcome::retry("busy"))
                });
            b.task("wants")
                .wants(&N)
                .run(|cx| Ok(Outcome::success().and(format!("{:?}", cx.try_get(&N)?))));
        });
        let expected = if puts_in == 2 {
            "success: Some(2)"
        } else {
            "success: None"
        };
        assert_eq!(outcome(&run, "wants"), expected);
    }
}

#[test]
fn limits_reach_the_body() {
    let run = ran(|b| {
        b.limits(Limits {
            memory: Some(2048),
            processes: Some(9),
            ..Limits::NONE
        });
        b.task("small")
            .limits(Limits {
                memory: Some(1024),
                ..Limits::NONE
            })
            .run(|cx| {
                let limits = cx.limits();
                Ok(Outcome::success().and(format!(
                    "{:?} {:?} {:?}",
                    limits.memory, limits.processes, limits.wall
                )))
            });
    });
    assert_eq!(outcome(&run, "small"), "success: Some(1024) Some(9) None");
}

#[test]
fn tasks_run_side_by_side_where_there_is_room() {
    let together = Arc::new(Barrier::new(3));
    let graph = built(|b| {
        for name in ["a", "b", "c"] {
            let together = Arc::clone(&together);
            b.task(name).run(move |_| {
                together.wait();
                Ok(Outcome::success())
            });
        }
    });
    // It would wait forever if they ran one after the other.
    let run = Runner::new().capacity(3).run(&graph, &(), |_| ());
    assert_eq!(run.report.result, TaskResult::Success);
}

#[test]
fn a_task_heavier_than_the_capacity_runs_alone() {
    let most = Arc::new(AtomicU32::new(0));
    let now = Arc::new(AtomicU32::new(0));
    let graph = built(|b| {
        for (name, weight) in [("light", 1), ("heavy", 100), ("lighter", 1)] {
            let (most, now) = (Arc::clone(&most), Arc::clone(&now));
            b.task(name).weight(weight).run(move |_| {
                let load = weight.min(2) + now.fetch_add(weight.min(2), Ordering::SeqCst);
                most.fetch_max(load, Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(2));
                now.fetch_sub(weight.min(2), Ordering::SeqCst);
                Ok(Outcome::success())
            });
        }
    });
    let run = Runner::new().capacity(2).run(&graph, &(), |_| ());
    assert_eq!(run.report.result, TaskResult::Success);
    assert_eq!(most.load(Ordering::SeqCst), 2);
}

#[test]
fn an_orderly_end_still_tidies_and_one_at_once_does_not() {
    for (how, tidied) in [(Cancel::Orderly, "success"), (Cancel::AtOnce, "cancelled")] {
        let graph = built(|b| {
            b.task("long").run(|cx| {
                while !cx.cancelled() {
                    std::thread::yield_now();
                }
                cx.checkpoint()?;
                Ok(Outcome::success())
            });
            b.task("later").needs_task("long");
            b.task("tidy").after("later").always_run().run(|cx| {
                cx.checkpoint()?;
                Ok(Outcome::success())
            });
        });
        let token = CancelToken::new();
        let outside = token.clone();
        let run = Runner::new().cancel_by(&token).run(&graph, &(), |event| {
            if matches!(event.kind, EventKind::Started { .. }) {
                outside.cancel(how);
            }
        });
        assert_eq!(
            outcome(&run, "long"),
            "cancelled: stopped because the graph was cancelled"
        );
        assert_eq!(
            outcome(&run, "later"),
            "cancelled: the graph was cancelled before this started"
        );
        assert_eq!(run.report.task("tidy").unwrap().outcome.result.as_str(), tidied);
        assert_eq!(run.report.result, TaskResult::Cancelled);
    }
}

#[test]
fn a_cancellation_from_before_starts_nothing_and_ends_a_long_rest() {
    let token = CancelToken::new();
    token.cancel(Cancel::Orderly);
    let graph = built(|b| {
        b.task("never").run(|_| Ok(Outcome::success()));
    });
    let run = Runner::new().cancel_by(&token).run(&graph, &(), |_| ());
    assert_eq!(run.report.task("never").unwrap().attempts, 0);

    let graph = built(|b| {
        b.task("rests")
            .retry(RetryPolicy::attempts(2).backoff(Backoff::every(Duration::from_hours(1))))
            .run(|_| Ok(Outcome::retry("busy")));
    });
    let token = CancelToken::new();
    let run = Runner::new().cancel_by(&token).run(&graph, &(), |event| {
        if matches!(event.kind, EventKind::RetryScheduled { .. }) {
            token.cancel(Cancel::Orderly);
        }
    });
    assert_eq!(
        outcome(&run, "rests"),
        "cancelled: the graph was cancelled before attempt 2; the one before: retry: busy"
    );
}

#[test]
fn a_panicking_observer_ends_the_run_instead_of_hanging_it() {
    let graph = built(|b| {
        b.task("long").run(|cx| {
            while !cx.cancelled() {
                std::thread::yield_now();
            }
            Ok(Outcome::success())
        });
    });
    let watched = std::panic::catch_unwind(AssertUnwindSafe(|| {
        Runner::new().run(&graph, &(), |event| {
            assert!(!matches!(event.kind, EventKind::Started { .. }), "seen enough");
        })
    }));
    assert!(watched.is_err());
}

#[test]
fn tasks_may_borrow_the_context_and_a_graph_runs_again() {
    let words = ["a".to_owned(), "b".to_owned()];
    let mut b = GraphBuilder::<&[String]>::new();
    b.task("counts").produces(&N).run(|cx| {
        cx.put(&N, u32::try_from(cx.context().len())?)?;
        Ok(Outcome::success())
    });
    let graph = b.build().unwrap();
    for most in [2, 1] {
        let run = Runner::new().run(&graph, &&words[..most], |_| ());
        assert_eq!(run.data.get(&N).map(|n| *n as usize), Some(most));
    }
}
