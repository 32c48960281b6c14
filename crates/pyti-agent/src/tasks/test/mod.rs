//! lock-runtime, lock-test and test: the distribution's own tests, against the installed distribution.
//!
//! The first recipe is not always the right one. What an attempt said about its end decides what is tried next
//! ([`pyti_discover::escalate`]); every attempt is kept, and the best honest one gives the result.

mod flaky;
pub(crate) mod one;
mod wanted;

use std::time::{SystemTime, UNIX_EPOCH};

use pyti_box::protocol::SOURCE;
use pyti_discover::escalate::{self, Came, Situation, Tried};
use pyti_graph::{Outcome, TaskError};
use pyti_model::event::Event;
use pyti_model::foreign::Foreign;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::plan::Purpose;
use pyti_model::raw::{Attempt, AttemptResult, AttemptUse, RawData, Recipe, Runner, Test, TestOutcome};

pub(crate) use wanted::{Choice, lock_runtime, lock_test};

use self::one::{Bench, Ran, Setting};
use super::coverage::Taken;
use super::environment::{self, Made};
use super::lock::Locked;
use super::{INSPECTION, INSTALLED, TAKEN, TEST_CHOICE, TEST_ENVIRONMENT, TEST_LOCK, TREE};
use crate::job::{Cx, Ended};
use crate::services;

/// Tests and errors that an attempt's notes name.
const NOTES: usize = 20;
/// Cases of recipes that are run besides, as far as they are listed.
const CASES: usize = 20_000;

/// Everything that was tried, side by side.
#[derive(Default)]
struct Story {
    tried: Vec<Tried>,
    attempts: Vec<Attempt>,
    /// What each was run with; nothing for those that were not.
    settings: Vec<Option<(Setting, Ran)>>,
}

/// Runs the tests, by one recipe after the other where it must be.
pub(crate) fn test(cx: &Cx<'_>, archive: &str) -> Ended {
    let inspection = cx.get(&INSPECTION)?;
    let tree = cx.get(&TREE)?;
    let installed = cx.get(&INSTALLED)?;
    let choice = cx.get(&TEST_CHOICE)?;
    let locked = cx.get(&TEST_LOCK)?;
    let environment = cx.get(&TEST_ENVIRONMENT)?;
    let below = one::below(&tree.path().join(SOURCE.trim_start_matches('/')));
    let bench = Bench {
        inspection: &inspection,
        installed: &installed,
        archive,
        files: &below.files,
        links: &below.links,
    };
    let mut story = Story {
        settings: choice.tried.iter().map(|_| None).collect(),
        tried: choice.tried.clone(),
        attempts: choice.attempts.clone(),
    };
    let first = Setting {
        recipe: choice.recipe.clone(),
        because: choice.because.clone(),
        lower: environment.lower.clone(),
        packages: names(&locked),
        lock: locked.frozen.clone(),
    };
    story.climb(cx, &bench, first)?;
    let Some(taken) = escalate::best(&story.tried) else {
        return Ok(Outcome::failure("no attempt could be made"));
    };
    story.attempts[taken].used = AttemptUse::Taken;
    story.repeat(cx, &bench, taken)?;
    let besides = story.besides(cx, &bench, taken)?;
    Ok(story.conclude(cx, taken, besides))
}

impl Story {
    /// Tries one recipe after the other, until a result stands.
    fn climb(&mut self, cx: &Cx<'_>, bench: &Bench<'_>, first: Setting) -> Result<(), TaskError> {
        let plan = &cx.context().order.plan;
        let absent = services::absent(plan);
        let mut setting = first;
        loop {
            let ran = one::run(cx, bench, &setting)?;
            self.keep(setting.clone(), ran);
            loop {
                let spent: f64 = self.attempts.iter().map(|a| a.wall_s).sum();
                if spent > f64::from(plan.limits.wall_s) {
                    return Ok(());
                }
                let hidden = self.last_ran().map_or(&[][..], |(_, ran)| &ran.hidden);
                let situation = Situation {
                    name: &plan.target.project,
                    tree: SOURCE,
                    files: bench.files,
                    hidden,
                    links: bench.links,
                    packages: &setting.packages,
                    uploaded: plan
                        .target
                        .uploaded
                        .as_deref()
                        .filter(|_| plan.exclude_newer.is_none()),
                    now_s: SystemTime::now()
                        .duration_since(UNIX_EPOCH)
                        .map_or(0, |since| since.as_secs()),
                    spent_s: spent,
                    absent: &absent,
                    frozen: plan.recipe.is_some(),
                };
                let Some(next) = escalate::next(bench.inspection, &self.tried, &situation) else {
                    return Ok(());
                };
                cx.progress(next.because.clone());
                if let Some(ready) = self.prepared(cx, &setting, next.recipe, next.because)? {
                    setting = ready;
                    break;
                }
            }
        }
    }

    /// What the next attempt runs with; nothing when it cannot be had, which is an attempt too.
    fn prepared(
        &mut self,
        cx: &Cx<'_>,
        before: &Setting,
        recipe: Recipe,
        because: String,
    ) -> Result<Option<Setting>, TaskError> {
        let wants = |r: &Recipe| {
            (
                r.requirements.clone(),
                r.extras.clone(),
                r.exclude_newer.clone(),
                r.runner,
            )
        };
        if wants(&recipe) == wants(&before.recipe) {
            return Ok(Some(Setting {
                recipe,
                because,
                ..before.clone()
            }));
        }
        let (result, reasons, why) = match wanted::had(cx, &recipe)? {
            Ok(had) => match environment::make(cx, &had.locked)? {
                Made::Kept(lower) | Made::Lost(lower, _) => {
                    return Ok(Some(Setting {
                        recipe,
                        because,
                        lower,
                        packages: names(&had.locked),
                        lock: had.locked.frozen,
                    }));
                }
                Made::Failed(reason) => {
                    let why = reason.detail.lossy().into_owned();
                    (AttemptResult::NotInstalled, vec![reason], why)
                }
            },
            Err((unlocked, raw)) => {
                let reasons = wanted::reasons(&unlocked);
                let why = wanted::words(&reasons, &raw);
                (AttemptResult::NotLocked, reasons, why)
            }
        };
        self.attempts
            .push(wanted::not_had(&recipe, &because, result, reasons));
        self.settings.push(None);
        self.tried.push(Tried {
            recipe,
            came: Came::NotHad { why },
        });
        Ok(None)
    }

    fn last_ran(&self) -> Option<&(Setting, Ran)> {
        self.settings.iter().rev().flatten().next()
    }

    fn keep(&mut self, setting: Setting, ran: Ran) {
        self.attempts
            .push(attempt(&setting, &ran, AttemptUse::PassedOver));
        self.tried.push(Tried {
            recipe: setting.recipe.clone(),
            came: Came::Ran {
                test: Box::new(ran.raw.clone()),
                death: ran.death,
                said: ran.said.clone(),
                ports: ran.ports.clone(),
            },
        });
        self.settings.push(Some((setting, ran)));
    }

    /// Runs the chosen recipe as often as was asked for.
    fn repeat(&mut self, cx: &Cx<'_>, bench: &Bench<'_>, taken: usize) -> Result<(), TaskError> {
        let wanted = cx.context().order.plan.repeat;
        let Some((setting, _)) = &self.settings[taken] else {
            return Ok(());
        };
        let mut setting = setting.clone();
        let done = self.tried.iter().filter(|t| t.recipe == setting.recipe).count();
        for number in u32::try_from(done).unwrap_or(u32::MAX).saturating_add(1)..=wanted {
            setting.because = format!("run {number} of {wanted}");
            cx.progress(setting.because.clone());
            let ran = one::run(cx, bench, &setting)?;
            self.keep(setting.clone(), ran);
        }
        Ok(())
    }

    /// Runs the recipes whose tests are counted besides, with what the chosen one was run with.
    fn besides(
        &mut self,
        cx: &Cx<'_>,
        bench: &Bench<'_>,
        taken: usize,
    ) -> Result<Vec<(Setting, Ran)>, TaskError> {
        let mut ran = Vec::new();
        let Some((chosen, first)) = &self.settings[taken] else {
            return Ok(ran);
        };
        // another runner than pytest runs them by itself: their authors' tests load them
        if chosen.recipe.runner != Runner::Pytest || first.limit.is_some() || first.raw.counts.executed() == 0
        {
            return Ok(ran);
        }
        for recipe in bench.inspection.recipes.iter().filter(|r| r.besides) {
            let setting = Setting {
                recipe: recipe.clone(),
                because: "besides".to_owned(),
                ..chosen.clone()
            };
            let came = one::run(cx, bench, &setting)?;
            ran.push((setting, came));
        }
        for (setting, came) in &ran {
            self.attempts.push(attempt(setting, came, AttemptUse::Added));
        }
        Ok(ran)
    }

    /// Puts the result together, and says what it came to.
    fn conclude(mut self, cx: &Cx<'_>, taken: usize, besides: Vec<(Setting, Ran)>) -> Outcome {
        let job = cx.context();
        let same: Vec<&Test> = self
            .settings
            .iter()
            .flatten()
            .filter(|(setting, _)| setting.recipe == self.tried[taken].recipe)
            .map(|(_, ran)| &ran.raw)
            .collect();
        let flaky = flaky::between(&same);
        let last_lock = self.last_ran().map(|(setting, _)| setting.lock.clone());
        let Some((setting, ran)) = self.settings.swap_remove(taken) else {
            return Outcome::failure("no attempt could be made");
        };
        if last_lock.is_some_and(|last| last != setting.lock) {
            // the last lock of a recording is the one that its plan is repeated with
            job.events.send(Event::Locked {
                purpose: Purpose::Test,
                lock: Box::new(setting.lock.clone()),
            });
        }
        let mut raw = ran.raw;
        let missed = escalate::unserved(&raw, &ran.said, &ran.ports);
        services::add_missed(&mut raw.services, &job.order.plan, &missed);
        let mut bad_end = ran.bad_end;
        let (mut more_settings, mut more_s) = (Vec::new(), 0.0);
        for (with, more) in besides {
            more_settings.push(with);
            more_s += more.wall_s;
            add(&mut raw, more.raw);
            bad_end = bad_end.or(more.bad_end);
        }
        if self.attempts.len() > 1 {
            raw.attempts = self.attempts;
        }
        if let Some(moment) = &setting.recipe.exclude_newer {
            let detail = format!("everything as of {}", moment.get(..10).unwrap_or(moment));
            job.because(cx, Reason::new(ReasonCode::TestEnvDiffers, detail));
        }
        if !flaky.is_empty() {
            job.because(cx, Reason::new(ReasonCode::FlakyTests, flaky::sentence(&flaky)));
        }
        raw.flaky = flaky;
        let again = Taken {
            besides: more_settings,
            counts: raw.counts,
            finished: raw.finished,
            limited: ran.limit.is_some(),
            wall_s: ran.wall_s + more_s,
            setting: setting.clone(),
        };
        let (counts, finished, warned) = (raw.counts, raw.finished, !raw.flaky.is_empty());
        job.keep(cx, RawData::Test(Box::new(raw)));
        if cx.put(&TAKEN, again).is_err() {
            return Outcome::failure("what gave the result cannot be passed on");
        }
        if let Some(limit) = ran.limit {
            return Outcome::failure(format!("ended by a limit: {limit:?}").to_lowercase());
        }
        if counts.failed + counts.errors > 0 {
            return Outcome::failure(format!("{} failed, {} errors", counts.failed, counts.errors));
        }
        if !finished {
            let how = bad_end.unwrap_or_else(|| "it ended before it had finished".to_owned());
            return Outcome::failure(how);
        }
        if counts.executed() == 0 {
            job.because(cx, Reason::new(ReasonCode::NoTests, "the runner found none"));
            return Outcome::warnings("no test was run");
        }
        if bad_end.is_some() {
            return Outcome::failure("the runner says that it failed");
        }
        if warned {
            return Outcome::warnings("some tests changed their mind");
        }
        Outcome::success()
    }
}

fn names(locked: &Locked) -> Vec<String> {
    locked.packages.iter().map(|(name, _)| name.clone()).collect()
}

/// Adds what was run besides.
fn add(raw: &mut Test, more: Test) {
    raw.counts = raw.counts.plus(more.counts);
    raw.finished &= more.finished;
    // none found is no failure of what is run besides
    if more.exit.is_some_and(|code| code != 0 && code != 5) && raw.exit.is_none_or(|code| code == 0) {
        raw.exit = more.exit;
    }
    for case in more.cases {
        if case.outcome != TestOutcome::Passed || raw.cases.len() < CASES {
            raw.cases.push(case);
        } else {
            raw.cases_dropped += 1;
        }
    }
    raw.cases_dropped += more.cases_dropped;
    raw.collection_errors.extend(more.collection_errors);
    raw.adjustments.extend(more.adjustments);
}

fn attempt(setting: &Setting, ran: &Ran, used: AttemptUse) -> Attempt {
    let raw = &ran.raw;
    let last_line = |text: &Foreign| {
        let text = text.lossy();
        let line = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        line.unwrap_or_default().chars().take(300).collect::<String>()
    };
    let errors = raw
        .collection_errors
        .iter()
        .map(|(place, text)| format!("{}: {}", place.lossy(), last_line(text)));
    let cases = raw
        .cases
        .iter()
        .filter(|case| matches!(case.outcome, TestOutcome::Failed | TestOutcome::Error))
        .map(|case| format!("{}: {}", case.id.lossy(), last_line(&case.message)));
    Attempt {
        recipe: setting.recipe.clone(),
        because: setting.because.clone(),
        used,
        result: AttemptResult::Ran,
        reasons: Vec::new(),
        counts: raw.counts,
        finished: raw.finished,
        exit: raw.exit,
        against_installed: raw.against_installed,
        wall_s: ran.wall_s,
        command: Some(ran.command),
        notes: errors.chain(cases).take(NOTES).map(Foreign::from).collect(),
    }
}
