//! What a release does that another does not; what a second run in another guise does that the first did not.

use std::sync::Arc;

use pyti_judge::compare::{FindingLine, SafetyCompared, safety};
use pyti_judge::safety::{ActLine, difference};
use pyti_model::finding::Family;
use pyti_model::outcome::Verdict;
use pyti_worker::runs::Run;
use serde_json::json;

use crate::output::print;
use crate::recorded::load;
use crate::session::{Finished, Piece, Session, Wanted};

/// Most lines of each kind that are printed.
const LINES: usize = 40;

/// Runs another release of what was run, and tells what is new. `wanted` is a version, or `previous`.
pub(crate) async fn release(
    session: &Arc<Session<'_>>,
    piece: &Piece,
    now: &Finished,
    wanted: &str,
    json: bool,
) -> anyhow::Result<()> {
    let (Some(version), Wanted::Target(..)) = (&now.run.file.release, &piece.target) else {
        return Ok(());
    };
    let text = if wanted == "previous" {
        format!("{}<{version}", now.run.file.name)
    } else {
        format!("{}=={wanted}", now.run.file.name)
    };
    let other = Piece {
        target: Wanted::Target(text.clone(), text.parse()?),
        request: piece.request.clone(),
    };
    match session.all(vec![other]).await?.first() {
        // that an older release fails is no news of this one
        Some(before) => tell("against", &now.run, &before.run, json),
        None => Ok(()),
    }
}

/// Runs the same once more in another guise, where a finding hints at evasion, and tells what differs.
pub(crate) async fn guise(
    session: &Arc<Session<'_>>,
    piece: &Piece,
    first: &Finished,
    json: bool,
) -> anyhow::Result<Option<Finished>> {
    let hinted = load(&first.run)?
        .found
        .iter()
        .flat_map(|found| &found.findings)
        .any(|finding| finding.family == Family::Evasion);
    if !hinted {
        return Ok(None);
    }
    let mut request = piece.request.clone();
    request.guise = 1;
    let again = Piece {
        target: piece.target.clone(),
        request,
    };
    let Some(second) = session.all(vec![again]).await?.into_iter().next() else {
        return Ok(None);
    };
    tell("in another guise", &second.run, &first.run, json)?;
    Ok(Some(second))
}

fn tell(how: &str, now: &Run, before: &Run, json: bool) -> anyhow::Result<()> {
    let (new, old) = (load(now)?, load(before)?);
    let mut files = Vec::new();
    for ((record, _), found) in new.jobs.iter().zip(&new.found) {
        let Some(kind) = record.file.as_ref().map(|file| file.kind) else {
            continue;
        };
        let same = old
            .jobs
            .iter()
            .zip(&old.found)
            .find(|((other, _), _)| other.file.as_ref().is_some_and(|file| file.kind == kind));
        if let Some(((other, _), found_before)) = same {
            let safe = safety(Some(found_before), Some(found));
            files.push((kind, difference(record, other), safe));
        }
    }
    let release = |run: &Run| run.file.release.clone().unwrap_or_default();
    if json {
        let files: Vec<_> = files
            .iter()
            .map(|(kind, found, safe)| json!({"kind": kind, "added": found.added, "gone": found.gone, "safety": safe}))
            .collect();
        let object = json!({
            "schema": "pyti.difference/1",
            "how": how,
            "name": now.file.name,
            "version": release(now),
            "run": now.id,
            "before": {"version": release(before), "run": before.id},
            "files": files,
        });
        print(&object.to_string())?;
        return Ok(());
    }
    let mut text = format!(
        "\n {} {} {how} {} {}\n",
        now.file.name,
        release(now),
        before.file.name,
        release(before)
    );
    if files.is_empty() {
        text.push_str("   there is no file of the same kind to compare with\n");
    }
    for (kind, found, safe) in &files {
        if let Some(safe) = safe {
            verdicts(&mut text, &kind.to_string(), safe);
        }
        if found.is_empty() {
            text.push_str(&format!("   {kind}: does the same\n"));
        }
        lines(&mut text, '+', &found.added);
        lines(&mut text, '-', &found.gone);
    }
    print(&text)?;
    Ok(())
}

/// Both verdicts, and the findings that only one of the two has.
fn verdicts(text: &mut String, kind: &str, safe: &SafetyCompared) {
    let word = |verdict: Option<Verdict>| verdict.map_or("not there", Verdict::word);
    let (before, now) = (word(safe.verdict.0), word(safe.verdict.1));
    if before == now {
        text.push_str(&format!("   {kind}: {now}, as before\n"));
    } else {
        text.push_str(&format!("   {kind}: {now}, and {before} before\n"));
    }
    let mut list = |sign: char, findings: &[FindingLine]| {
        for finding in findings.iter().take(LINES) {
            text.push_str(&format!(
                "   {sign} {:<9} {}\n",
                finding.severity.word(),
                finding.sentence
            ));
        }
    };
    list('+', &safe.new);
    list('-', &safe.gone);
}

fn lines(text: &mut String, sign: char, acts: &[ActLine]) {
    for act in acts.iter().take(LINES) {
        text.push_str(&format!("   {sign} {:<9} {}\n", act.phase.word(), act.text));
    }
    if acts.len() > LINES {
        text.push_str(&format!("   {sign} and {} more\n", acts.len() - LINES));
    }
}
