//! Whether the description renders. Markdown always does: every text is `CommonMark`. reStructuredText is tried, by
//! docutils with the settings by which indexes show it, in a box.

use pyti_archive::metadata;
use pyti_archive::wheel::WheelFacts;
use pyti_graph::TaskError;
use pyti_model::outcome::Reason;
use pyti_model::quality::Quality;
use pyti_probes::readme;
use pyti_quality::readme::{Form, form};

use super::lacking;
use crate::commands::{self, INVOCATION, reading};
use crate::job::{Cx, bad_end};
use crate::tasks::tools;

/// Tries to render a description in reStructuredText.
pub(super) fn render(
    cx: &Cx<'_>,
    quality: &mut Quality,
    facts: &WheelFacts,
) -> Result<Vec<Reason>, TaskError> {
    if quality.wheel.description_bytes == 0 || form(&quality.wheel) != Form::Rst {
        return Ok(Vec::new());
    }
    if facts.metadata_cut {
        quality
            .missing
            .push("the description: it is too long to be tried".to_owned());
        return Ok(Vec::new());
    }
    let short = cx.context().order.plan.interpreter.short();
    if !pyti_quality::at_least(&short, (3, 9)) {
        quality.missing.push(format!(
            "the description: docutils does not run on Python {short}"
        ));
        return Ok(Vec::new());
    }
    cx.progress("fetching docutils");
    let docutils = match tools::environment(cx, include_str!("docutils.pylock.toml"))? {
        Ok(lower) => lower,
        Err(reasons) => return Ok(lacking(quality, "the description", reasons)),
    };
    cx.progress("rendering the description");
    let job = cx.context();
    let mut command = reading(job, readme::argv(&INVOCATION), &[]);
    command.lowers = vec![docutils];
    command.stdin = metadata::body(facts.metadata_bytes.as_bytes()).to_vec();
    commands::add_probes(job, &mut command)?;
    let done = job.run(cx, &mut command)?;
    match (readme::parse(&done.results), bad_end(&done.effect)) {
        (Some(rendered), None) => quality.rendered = Some(rendered),
        (_, how) => {
            let how = how.unwrap_or_else(|| "docutils said nothing".to_owned());
            quality.missing.push(format!("the description: {how}"));
        }
    }
    Ok(Vec::new())
}
