//! Whether a recording is of what was ordered, and what of it is kept beside the result. Pure.

use pyti_command::order::Spec;
use pyti_model::Digest;

use super::{Judged, More};

/// Most characters of a reason's detail that are kept.
const DETAIL: usize = 512;
/// Most lines of what is missing that are kept, and their length in characters.
const MISSING: (usize, usize) = (8, 160);

/// Compares with the order; what differs is told.
pub(super) fn check(judged: &Judged, spec: &Spec, file: &Digest) -> Result<(), String> {
    if !judged.complete {
        return Err("the recording is cut off".to_owned());
    }
    if judged.interrupted {
        return Err("the recording was interrupted".to_owned());
    }
    match &judged.file {
        Some(recorded) if recorded == file => {}
        Some(recorded) => {
            return Err(format!(
                "the recording is of {}, and the job of {}",
                recorded.short(),
                file.short()
            ));
        }
        // a box that could not be opened is told without its file, and is nobody's result
        None if judged.plan.is_none() => return Err("the recording names no file".to_owned()),
        None => {}
    }
    let Some(plan) = &judged.plan else {
        return Ok(());
    };
    let differs = |what: &str, is: &dyn std::fmt::Debug, ordered: &dyn std::fmt::Debug| {
        Err(format!("{what}: recorded {is:?}, ordered {ordered:?}"))
    };
    let wanted = &spec.environment;
    if plan.interpreter != wanted.interpreter.as_str() {
        return differs("interpreter", &plan.interpreter, &wanted.interpreter.as_str());
    }
    if plan.isolation != wanted.isolation.as_str() {
        return differs("isolation", &plan.isolation, &wanted.isolation.as_str());
    }
    let options = &spec.options;
    if plan.watched == options.no_watch {
        return differs("watched", &plan.watched, &!options.no_watch);
    }
    if plan.run_tests != spec.run_tests {
        return differs("tests", &plan.run_tests, &spec.run_tests);
    }
    if plan.extras != options.extras {
        return differs("extras", &plan.extras, &options.extras);
    }
    if plan.skip != options.skip {
        return differs("tasks left out", &plan.skip, &options.skip);
    }
    if plan.env != options.env {
        return differs("variables", &plan.env, &options.env);
    }
    if plan.allow != options.allow {
        return differs("hosts", &plan.allow, &options.allow);
    }
    Ok(())
}

/// What is kept for the result's page, as JSON of at most 4 KiB.
pub(super) fn more(judged: &Judged, baseline: Option<Digest>, worker: &str) -> Option<String> {
    let first = judged.outcome.reasons.first();
    let cut = |text: &str, most: usize| text.chars().take(most).collect::<String>();
    let mut more = More {
        detail: first
            .map(|reason| cut(&reason.detail.visible(), DETAIL))
            .unwrap_or_default(),
        task: first
            .and_then(|reason| reason.task.as_deref())
            .map(|task| cut(task, 64)),
        baseline,
        missing: judged
            .missing
            .iter()
            .take(MISSING.0)
            .map(|line| cut(line, MISSING.1))
            .collect(),
        wall_s: judged.wall_s,
        worker: worker.to_owned(),
        rules: cut(&judged.rules, 16),
    };
    let text = serde_json::to_string(&more).ok()?;
    if text.len() <= 4096 {
        return Some(text);
    }
    // characters of many bytes
    more.detail = cut(&more.detail, DETAIL / 4);
    more.missing.clear();
    serde_json::to_string(&more)
        .ok()
        .filter(|text| text.len() <= 4096)
}

/// Seconds as whole milliseconds; what is no number is none.
pub(super) fn milliseconds(seconds: f64) -> u64 {
    if !seconds.is_finite() || seconds <= 0.0 {
        return 0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "positive, and saturating"
    )]
    let ms = (seconds * 1000.0) as u64;
    ms.min(u64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use pyti_command::order::{Environment, Options};
    use pyti_model::outcome::{Outcome, Reason, ReasonCode, Status, Verdict};

    use super::super::Planned;
    use super::*;

    fn digest(byte: u8) -> Digest {
        Digest::from([byte; 32])
    }

    fn ordered() -> Spec {
        Spec {
            version: 1,
            environment: Environment {
                platform: "linux/x86_64".parse().unwrap(),
                interpreter: "cpython-3.13".parse().unwrap(),
                isolation: "sandbox".parse().unwrap(),
            },
            options: Options::default(),
            run_tests: true,
            policy: 0,
        }
    }

    fn recorded() -> Judged {
        Judged {
            outcome: Outcome {
                status: Status::Pass,
                reasons: Vec::new(),
            },
            verdict: Verdict::Clean,
            findings: Vec::new(),
            missing: Vec::new(),
            rules: "r".to_owned(),
            file: Some(digest(1)),
            plan: Some(Planned {
                interpreter: "cpython-3.13".to_owned(),
                isolation: "sandbox".to_owned(),
                run_tests: true,
                watched: true,
                extras: Vec::new(),
                skip: Vec::new(),
                env: std::collections::BTreeMap::new(),
                allow: Vec::new(),
            }),
            complete: true,
            interrupted: false,
            cpu_s: 1.0,
            wall_s: 2.0,
            tests: (3, 0),
            pyti: "0.1.0".to_owned(),
        }
    }

    #[test]
    fn what_was_ordered_is_taken_and_nothing_else() {
        let check = |judged: &Judged| check(judged, &ordered(), &digest(1));
        assert_eq!(check(&recorded()), Ok(()));
        let lie = |change: &dyn Fn(&mut Judged)| {
            let mut judged = recorded();
            change(&mut judged);
            check(&judged).unwrap_err()
        };
        let plan =
            |change: &dyn Fn(&mut Planned)| lie(&|judged: &mut Judged| change(judged.plan.as_mut().unwrap()));
        assert!(lie(&|j| j.complete = false).contains("cut off"));
        assert!(lie(&|j| j.interrupted = true).contains("interrupted"));
        assert!(lie(&|j| j.file = Some(digest(2))).contains("is of"));
        assert!(plan(&|p| p.interpreter = "cpython-3.12".into()).contains("interpreter"));
        assert!(plan(&|p| p.isolation = "vm".into()).contains("isolation"));
        assert!(plan(&|p| p.watched = false).contains("watched"));
        assert!(plan(&|p| p.run_tests = false).contains("tests"));
        assert!(plan(&|p| p.skip = vec!["test".into()]).contains("left out"));
        assert!(plan(&|p| p.allow = vec!["x.example:1".into()]).contains("hosts"));
        assert!(plan(&|p| p.extras = vec!["x".into()]).contains("extras"));
        assert!(plan(&|p| drop(p.env.insert("A".into(), "b".into()))).contains("variables"));
        let nothing = lie(&|j| {
            j.file = None;
            j.plan = None;
        });
        assert!(nothing.contains("no file"));
    }

    #[test]
    fn what_is_kept_beside_is_short_whatever_the_package_says() {
        let mut judged = recorded();
        judged.outcome.reasons = vec![Reason::new(ReasonCode::Build, "\u{1f40d}".repeat(100_000))];
        judged.missing = vec!["\u{1f40d}".repeat(10_000); 1_000];
        let text = more(&judged, Some(digest(3)), "w1").unwrap();
        assert!(text.len() <= 4096, "{}", text.len());
        let read: More = serde_json::from_str(&text).unwrap();
        assert_eq!((read.baseline, read.worker.as_str()), (Some(digest(3)), "w1"));
    }

    #[test]
    fn seconds_that_are_no_numbers_cost_nothing() {
        assert_eq!(milliseconds(1.5), 1500);
        for none in [f64::NAN, -1.0, f64::NEG_INFINITY] {
            assert_eq!(milliseconds(none), 0);
        }
        assert_eq!(milliseconds(1e300), u64::from(u32::MAX));
    }
}
