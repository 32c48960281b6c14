//! lock-runtime and lock-test: what the distribution needs to be used, and what its tests need besides.

use pyti_archive::wheel::WheelFacts;
use pyti_box::protocol::Offered;
use pyti_discover::escalate::{self, Came, Situation, Tried};
use pyti_graph::{Outcome, TaskError};
use pyti_model::FileKind;
use pyti_model::outcome::{Reason, ReasonCode};
use pyti_model::plan::Purpose;
use pyti_model::raw::{Attempt, AttemptResult, AttemptUse, RawData, Recipe, Resolve, TestCounts};
use pyti_resolve::lock::{IndexLock, LockedPackage};
use pyti_resolve::requirements;

use super::super::lock::{Locked, Unlocked, Wish, conclude, lock, lock_and_put};
use super::super::wheel::normal;
use super::super::{FACTS, INSPECTION, RUNTIME_LOCK, TEST_CHOICE, TEST_LOCK, WHEEL, Wheel};
use crate::job::{Cx, Ended};

/// The recipe whose requirements could be locked, and what was tried before.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    pub(crate) recipe: Recipe,
    /// Why this one.
    pub(crate) because: String,
    pub(crate) tried: Vec<Tried>,
    pub(crate) attempts: Vec<Attempt>,
}

/// Requirements of a recipe that were locked.
pub(crate) struct Had {
    pub(crate) locked: Locked,
    pub(crate) raw: Resolve,
    /// They are other versions than the runtime's.
    pub(crate) differs: bool,
}

/// Locks what the distribution needs to be used.
pub(crate) fn lock_runtime(cx: &Cx<'_>) -> Ended {
    let plan = &cx.context().order.plan;
    let (offered, without) = subject(cx)?;
    let wish = Wish {
        purpose: Purpose::Runtime,
        requirements: requirements::runtime_set(&offered.name, &offered.version, &plan.extras),
        constraints: Vec::new(),
        offered: vec![offered],
        without,
        exclude_newer: None,
    };
    lock_and_put(cx, &wish, &RUNTIME_LOCK)
}

/// Locks what its tests need, by the first recipe for which that can be done.
pub(crate) fn lock_test(cx: &Cx<'_>) -> Ended {
    let job = cx.context();
    let plan = &job.order.plan;
    let inspection = cx.get(&INSPECTION)?;
    if let Some(why) = plan.overriding.as_ref().and_then(|entry| entry.skip.as_ref()) {
        job.because(
            cx,
            Reason::new(
                ReasonCode::Policy,
                format!("an override leaves the tests out: {why}"),
            ),
        );
        return Ok(Outcome::skipped("an override leaves the tests out"));
    }
    let frozen = plan.recipe.as_ref();
    let first = frozen.or_else(|| escalate::main_recipes(&inspection).into_iter().next());
    let Some(first) = first else {
        job.because(cx, Reason::new(ReasonCode::NoTests, ""));
        return Ok(Outcome::skipped("there are no tests"));
    };
    let mut choice = Choice {
        recipe: first.clone(),
        because: if frozen.is_some() {
            "the recipe of the plan".to_owned()
        } else {
            "the first recipe".to_owned()
        },
        tried: Vec::new(),
        attempts: Vec::new(),
    };
    let mut failed = None;
    loop {
        let (unlocked, raw) = match had(cx, &choice.recipe)? {
            Ok(had) => {
                job.keep(cx, RawData::Resolve(had.raw));
                cx.put(&TEST_LOCK, had.locked)?;
                let told = if had.differs {
                    job.because(cx, Reason::new(ReasonCode::TestEnvDiffers, ""));
                    Outcome::warnings("its tests need other versions than its users get")
                } else if choice.tried.is_empty() {
                    Outcome::success()
                } else {
                    Outcome::warnings(choice.because.clone())
                };
                cx.put(&TEST_CHOICE, choice)?;
                return Ok(told);
            }
            Err(unmet) => unmet,
        };
        let reasons = reasons(&unlocked);
        let ours = reasons.iter().any(|r| is_ours(r.code));
        choice.attempts.push(not_had(
            &choice.recipe,
            &choice.because,
            AttemptResult::NotLocked,
            reasons.clone(),
        ));
        choice.tried.push(Tried {
            recipe: choice.recipe.clone(),
            came: Came::NotHad {
                why: words(&reasons, &raw),
            },
        });
        let (unlocked, raw) = failed.get_or_insert((unlocked, raw));
        let situation = Situation {
            name: &plan.target.project,
            frozen: frozen.is_some(),
            ..Situation::default()
        };
        // what could not be had because of us would not be had another time either
        let next = (!ours)
            .then(|| escalate::next(&inspection, &choice.tried, &situation))
            .flatten();
        let Some(next) = next else {
            return Ok(conclude(cx, raw.clone(), unlocked.clone()));
        };
        cx.progress(next.because.clone());
        (choice.recipe, choice.because) = (next.recipe, next.because);
    }
}

/// An attempt whose requirements could not be had.
pub(crate) fn not_had(
    recipe: &Recipe,
    because: &str,
    result: AttemptResult,
    reasons: Vec<Reason>,
) -> Attempt {
    Attempt {
        recipe: recipe.clone(),
        because: because.to_owned(),
        used: AttemptUse::PassedOver,
        result,
        reasons,
        counts: TestCounts::default(),
        finished: false,
        exit: None,
        against_installed: false,
        wall_s: 0.0,
        command: None,
        notes: Vec::new(),
    }
}

/// Everything that was said about why there is no lock.
pub(crate) fn words(reasons: &[Reason], raw: &Resolve) -> String {
    // our own sentence begins with all that was asked for, which says nothing about what is to blame
    let cause = |text: &str| text.rsplit("cannot be met: ").next().unwrap_or(text).to_owned();
    let mut words: Vec<String> = reasons.iter().map(|r| cause(&r.detail.lossy())).collect();
    words.extend(raw.explanation.as_ref().map(|text| text.lossy().into_owned()));
    words.join("\n")
}

pub(crate) fn reasons(unlocked: &Unlocked) -> Vec<Reason> {
    match unlocked {
        Unlocked::Impossible(reason) => vec![reason.clone()],
        Unlocked::Problems(reasons) => reasons.clone(),
    }
}

/// Whether a reason says something about this machine or its network and not about the requirements.
fn is_ours(code: ReasonCode) -> bool {
    matches!(
        code,
        ReasonCode::Download | ReasonCode::Testbed | ReasonCode::Storage | ReasonCode::Sandbox
    )
}

/// Locks what a recipe wants, with the runtime's versions where that can be.
pub(crate) fn had(cx: &Cx<'_>, recipe: &Recipe) -> Result<Result<Had, (Unlocked, Resolve)>, TaskError> {
    let plan = &cx.context().order.plan;
    let runtime = cx.get(&RUNTIME_LOCK)?;
    let (offered, without) = subject(cx)?;
    let facts = cx.get(&FACTS)?;
    let mut with_extras = recipe.clone();
    with_extras.extras.extend(plan.extras.iter().cloned());
    let (wanted, constraints) =
        requirements::test_set(&facts.metadata, &with_extras, &index_lock(&runtime.packages));
    let mut wish = Wish {
        purpose: Purpose::Test,
        requirements: wanted,
        constraints,
        offered: vec![offered],
        without,
        exclude_newer: recipe.exclude_newer.clone(),
    };
    if recipe.exclude_newer.is_some() {
        // the runtime's versions are those of today
        wish.constraints.clear();
    }
    Ok(match lock(cx, &wish)? {
        (Ok(locked), raw) => Ok(Had {
            locked,
            raw,
            differs: false,
        }),
        (Err(Unlocked::Impossible(_)), _) if !wish.constraints.is_empty() => {
            // the tests want other versions than the runtime's: again, with only the subject pinned
            wish.constraints.clear();
            match lock(cx, &wish)? {
                (Ok(locked), raw) => Ok(Had {
                    locked,
                    raw,
                    differs: true,
                }),
                (Err(unlocked), raw) => Err((unlocked, raw)),
            }
        }
        (Err(unlocked), raw) => Err((unlocked, raw)),
    })
}

/// The runtime's packages as the constraints are made from.
fn index_lock(packages: &[(String, String)]) -> IndexLock {
    let package = |(name, version): &(String, String)| LockedPackage {
        name: name.clone(),
        version: version.clone(),
        filename: String::new(),
        url: None,
        sha256: None,
        is_placeholder: false,
        marker: None,
    };
    IndexLock {
        packages: packages.iter().map(package).collect(),
    }
}

/// The distribution under test as the lens shall show it, and its name.
fn subject(cx: &Cx<'_>) -> Result<(Offered, Vec<String>), TaskError> {
    let plan = &cx.context().order.plan;
    let wheel: std::sync::Arc<Wheel> = cx.get(&WHEEL)?;
    let facts: std::sync::Arc<WheelFacts> = cx.get(&FACTS)?;
    let target = &plan.target;
    let (name, version) = if target.kind == FileKind::Folder {
        // the name of a folder is no claim: it is called what its build says
        let metadata = &facts.metadata;
        (
            normal(&metadata.name.lossy()),
            metadata.version.lossy().trim().to_owned(),
        )
    } else {
        (target.project.clone(), target.version.clone())
    };
    let without = vec![name.clone()];
    let offered = Offered {
        name,
        version,
        filename: wheel.filename.clone(),
        metadata: facts.metadata_bytes.clone(),
        sha256: wheel.sha256.clone(),
    };
    Ok((offered, without))
}
