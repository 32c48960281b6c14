//! What was to be done with a file, and why so.

use pyti_model::raw::{Attempt, RawData, Recipe, Test};

use super::parts::{MOST, cut};
use crate::sentences::shown_str;
use crate::view::FileView;
use crate::words::{bytes, counted, seconds};

/// Bytes of a lock that are shown.
const SHOWN_LOCK: usize = 16 * 1024;

/// What was to be done, and why so.
pub(crate) struct PlanPart {
    pub(crate) facts: Vec<(&'static str, String)>,
    pub(crate) locks: Vec<LockPart>,
    pub(crate) recipes: Vec<RecipePart>,
    pub(crate) rejected: Vec<String>,
    pub(crate) adjustments: Vec<String>,
    pub(crate) services: Vec<String>,
    pub(crate) machine: Vec<(String, String)>,
}

/// One lock.
pub(crate) struct LockPart {
    pub(crate) purpose: &'static str,
    pub(crate) requirements: String,
    pub(crate) packages: String,
    pub(crate) text: String,
}

/// One way to run the tests.
pub(crate) struct RecipePart {
    pub(crate) taken: bool,
    pub(crate) command: String,
    pub(crate) requirements: String,
    pub(crate) why: Vec<String>,
}

/// The plan of a file, where the recording has one.
pub(crate) fn plan(file: &FileView<'_>) -> Option<PlanPart> {
    let record = file.job.record;
    let plan = record.plan.as_ref()?;
    let limits = &plan.limits;
    let mut facts = vec![
        (
            "interpreter",
            format!(
                "{} ({})",
                plan.interpreter.title(),
                shown_str(&plan.interpreter.version)
            ),
        ),
        ("platform", shown_str(&plan.interpreter.platform)),
        ("isolation", plan.isolation.word().to_owned()),
        (
            "limits of each command",
            format!(
                "{} wall, {} CPU, {} without activity, {} memory, {} disk, {}",
                seconds(limits.wall_s.into()),
                seconds(limits.cpu_s.into()),
                seconds(limits.inactivity_s.into()),
                bytes(limits.memory_bytes),
                bytes(limits.disk_bytes),
                counted(limits.processes.into(), "process", "processes")
            ),
        ),
        ("hash seed", plan.hash_seed.to_string()),
    ];
    if let Some(moment) = &plan.exclude_newer {
        facts.push(("only uploads before", shown_str(moment)));
    }
    if plan.pre {
        facts.push(("pre-releases", "allowed".to_owned()));
    }
    if !plan.skip.is_empty() {
        facts.push((
            "left out",
            plan.skip
                .iter()
                .map(|s| shown_str(s))
                .collect::<Vec<_>>()
                .join(", "),
        ));
    }
    if !plan.extras.is_empty() {
        facts.push((
            "extras",
            plan.extras
                .iter()
                .map(|s| shown_str(s))
                .collect::<Vec<_>>()
                .join(", "),
        ));
    }
    for (name, value) in plan.env.iter().take(MOST) {
        facts.push(("variable", format!("{}={}", shown_str(name), shown_str(value))));
    }
    let inspection = record.inspection();
    let used = record.test();
    let recipes = inspection
        .map(|x| {
            x.recipes
                .iter()
                .take(20)
                .map(|r| recipe(r, used.is_some_and(|t| t.recipe == *r)))
                .collect()
        })
        .unwrap_or_default();
    let strings = |list: &[String]| list.iter().take(MOST).map(|s| shown_str(s)).collect::<Vec<_>>();
    Some(PlanPart {
        facts,
        locks: plan
            .locks
            .iter()
            .map(|(purpose, lock)| lock_part(file, *purpose, lock))
            .collect(),
        recipes,
        rejected: inspection.map(|x| strings(&x.rejected)).unwrap_or_default(),
        adjustments: used
            .map(|t| {
                let attempts: Vec<String> = t.attempts.iter().map(Attempt::sentence).collect();
                [strings(&t.adjustments), strings(&attempts)].concat()
            })
            .unwrap_or_default(),
        services: used.map(services).unwrap_or_default(),
        machine: record
            .machine
            .iter()
            .take(MOST)
            .map(|(k, v)| (shown_str(k), shown_str(v)))
            .collect(),
    })
}

/// Services beside the tests, each with why.
fn services(test: &Test) -> Vec<String> {
    test.services
        .iter()
        .take(MOST)
        .map(|service| {
            let because = if service.because.is_empty() {
                String::new()
            } else {
                format!(", because {}", shown_str(&service.because))
            };
            format!("{}{because}", shown_str(&service.sentence()))
        })
        .collect()
}

fn lock_part(
    file: &FileView<'_>,
    purpose: pyti_model::plan::Purpose,
    lock: &pyti_model::plan::Lock,
) -> LockPart {
    let locked = file
        .job
        .record
        .tasks
        .iter()
        .rev()
        .find_map(|task| match &task.raw {
            Some(RawData::Resolve(x)) if x.purpose == purpose => Some(&x.locked),
            _ => None,
        });
    let packages: Vec<String> = locked
        .map(|list| {
            list.iter()
                .take(200)
                .map(|(name, version)| format!("{} {}", shown_str(name), shown_str(version)))
                .collect()
        })
        .unwrap_or_default();
    LockPart {
        purpose: purpose.word(),
        requirements: lock
            .requirements
            .iter()
            .take(MOST)
            .map(|r| shown_str(r))
            .collect::<Vec<_>>()
            .join(", "),
        packages: if packages.is_empty() {
            "nothing".to_owned()
        } else {
            packages.join(", ")
        },
        text: cut(
            &pyti_model::Foreign::from(lock.index_lock.as_str()).visible_lines(),
            SHOWN_LOCK,
        ),
    }
}

fn recipe(recipe: &Recipe, taken: bool) -> RecipePart {
    let arguments = recipe
        .arguments
        .iter()
        .map(|a| shown_str(a))
        .collect::<Vec<_>>()
        .join(" ");
    RecipePart {
        taken,
        command: format!("{} {arguments}", recipe.runner.word())
            .trim_end()
            .to_owned(),
        requirements: recipe
            .requirements
            .iter()
            .map(|r| shown_str(r))
            .collect::<Vec<_>>()
            .join(", "),
        why: recipe.why.iter().map(|w| shown_str(w)).collect(),
    }
}
