//! What is said of a distribution's quality, in every form.

use std::collections::BTreeMap;

use pyti_model::quality::{Assessment, Grade, Lint, Profile, Quality};
use pyti_model::raw::RawData;
use pyti_quality::{Beside, assess, count};

use crate::sentences::{shown, shown_str};
use crate::words;
use crate::{Job, Run};

/// Assessments of a run, by the number of the job.
pub(crate) fn of_run(run: &Run<'_>) -> BTreeMap<usize, Assessment> {
    let comparison = run.jobs.iter().find_map(|job| match job.record.raw("build") {
        Some(RawData::Build(build)) => build.published.as_ref(),
        _ => None,
    });
    let jobs = run.jobs.iter().enumerate();
    jobs.filter_map(|(n, job)| {
        let quality = facts(job)?;
        let beside = Beside {
            comparison,
            today: job.record.when.get(..10),
        };
        Some((n, assess(quality, &beside)))
    })
    .collect()
}

/// What was read of a job's file.
pub(crate) fn facts<'a>(job: &Job<'a>) -> Option<&'a Quality> {
    match job.record.raw("quality") {
        Some(RawData::Quality(quality)) => Some(quality),
        _ => None,
    }
}

/// One line: the score with its parts, and how much there is to be said.
pub(crate) fn sentence(quality: &Quality) -> String {
    let assessed = assess(quality, &Beside::default());
    format!("{} · {}", score(&assessed), remarks(&assessed))
}

/// The score alone.
pub(crate) fn points(assessed: &Assessment) -> String {
    format!("{:.0} of 100", assessed.score.points)
}

/// What a linter said, in all.
pub(crate) fn lint(lint: &Lint) -> String {
    let tool = shown_str(&lint.tool);
    let whose = match (lint.profile, &lint.config) {
        (Profile::Neutral, _) => "with the same rules for every project".to_owned(),
        (Profile::Project, Some(config)) => format!(
            "with the project's own {} on its sources, not in the score",
            shown(config)
        ),
        (Profile::Project, None) => {
            "with the project's own rules on its sources, not in the score".to_owned()
        }
    };
    let said = match &lint.error {
        Some(error) => format!("no whole answer: {}", shown(error)),
        None => words::count(lint.total, "case"),
    };
    format!("{tool} {whose}: {said}")
}

/// The score with its parts.
pub(crate) fn score(assessed: &Assessment) -> String {
    let parts: Vec<String> = assessed
        .score
        .parts
        .iter()
        .map(|part| format!("{} {:.0}", part.side.word(), part.points))
        .collect();
    format!("{} ({})", points(assessed), parts.join(", "))
}

/// How many remarks there are, by weight.
pub(crate) fn remarks(assessed: &Assessment) -> String {
    let said: Vec<String> = [Grade::Error, Grade::Warning, Grade::Note]
        .into_iter()
        .map(|grade| (grade, count(assessed, grade)))
        .filter(|(_, times)| *times > 0)
        .map(|(grade, times)| words::count(times as u64, grade.word()))
        .collect();
    if said.is_empty() {
        "nothing to remark".to_owned()
    } else {
        said.join(", ")
    }
}
