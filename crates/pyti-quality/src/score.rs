//! The score: a function of the facts and remarks, and of nothing else.

use std::collections::BTreeSet;

use pyti_model::quality::{Grade, Profile, Quality, Remark, Score, ScorePart, Side};

use crate::ruff;

/// Grows when the same facts give another score.
pub const VERSION: u32 = 1;

/// Sides and their weights; together 100.
const WEIGHTS: &[(Side, f64)] = &[
    (Side::Packaging, 25.0),
    (Side::Metadata, 15.0),
    (Side::Dependencies, 15.0),
    (Side::Code, 30.0),
    (Side::Typing, 15.0),
];
/// What one broken rule takes away, however often it is broken.
fn penalty(grade: Grade) -> f64 {
    match grade {
        Grade::Error => 25.0,
        Grade::Warning => 10.0,
        Grade::Note => 2.0,
    }
}
/// Weighted cases in a thousand lines that halve the points of the code.
const HALVES: f64 = 50.0;
/// Points for annotations, and for telling checkers of them.
const ANNOTATED: f64 = 80.0;
const MARKED: f64 = 20.0;

/// Makes the score.
pub(crate) fn score(quality: &Quality, remarks: &[Remark]) -> Score {
    let (mut parts, mut left_out) = (Vec::new(), Vec::new());
    for (side, weight) in WEIGHTS {
        let made = match side {
            Side::Code => code(quality),
            Side::Typing => typing(quality),
            side => Ok(by_rules(*side, remarks)),
        };
        match made {
            Ok((points, why)) => parts.push(ScorePart {
                side: *side,
                points: round(points),
                weight: *weight,
                why,
            }),
            Err(why) => left_out.push(format!("{}: {why}", side.word())),
        }
    }
    let weight: f64 = parts.iter().map(|part| part.weight).sum();
    let points: f64 = parts.iter().map(|part| part.points * part.weight).sum();
    Score {
        version: VERSION,
        points: if weight > 0.0 { round(points / weight) } else { 0.0 },
        parts,
        left_out,
    }
}

fn round(points: f64) -> f64 {
    (points * 10.0).round() / 10.0
}

fn by_rules(side: Side, remarks: &[Remark]) -> (f64, String) {
    let broken: BTreeSet<(Grade, &str)> = remarks
        .iter()
        .filter(|remark| remark.side == side)
        .map(|remark| (remark.grade, remark.rule.as_str()))
        .collect();
    let lost: f64 = broken.iter().map(|(grade, _)| penalty(*grade)).sum();
    let count = |wanted: Grade| broken.iter().filter(|(grade, _)| *grade == wanted).count();
    let why = if broken.is_empty() {
        "no rule is broken".to_owned()
    } else {
        let said: Vec<String> = [Grade::Error, Grade::Warning, Grade::Note]
            .into_iter()
            .filter(|grade| count(*grade) > 0)
            .map(|grade| plural(count(grade) as u64, grade.word()))
            .collect();
        format!("rules broken: {}", said.join(", "))
    };
    ((100.0 - lost).max(0.0), why)
}

fn code(quality: &Quality) -> Result<(f64, String), String> {
    if quality.code_lines == 0 {
        return Err("it has no lines of Python".to_owned());
    }
    let lint = quality
        .lints
        .iter()
        .find(|lint| lint.profile == Profile::Neutral && lint.tool.starts_with("ruff"))
        .ok_or("ruff was not asked")?;
    if let Some(error) = &lint.error {
        return Err(format!("ruff: {}", error.visible()));
    }
    let (mut errors, mut warnings, mut notes) = (0, 0, 0);
    for rule in &lint.rules {
        match ruff::grade(&rule.rule) {
            Grade::Error => errors += rule.times,
            Grade::Warning => warnings += rule.times,
            Grade::Note => notes += rule.times,
        }
    }
    let weighted = 10.0 * float(errors) + 3.0 * float(warnings) + float(notes);
    let density = weighted * 1000.0 / float(quality.code_lines);
    let why = format!(
        "{} of ruff in {} lines: {}, {}, {}",
        plural(errors + warnings + notes, "remark"),
        quality.code_lines,
        plural(errors, "error"),
        plural(warnings, "warning"),
        plural(notes, "note"),
    );
    Ok((100.0 * HALVES / (HALVES + density), why))
}

fn typing(quality: &Quality) -> Result<(f64, String), String> {
    let types = &quality.types;
    if types.functions == 0 {
        return Err("it has no public functions in Python".to_owned());
    }
    let share = float(types.annotated) / float(types.functions);
    let marked = types.unmarked.is_empty() && !types.marked.is_empty();
    let why = format!(
        "{} of {} annotated, {}",
        types.annotated,
        plural(types.functions, "public function"),
        match (marked, types.marked.is_empty(), types.unmarked.first()) {
            (true, _, _) => "py.typed is there".to_owned(),
            (_, false, Some(package)) => format!("no py.typed in {package}"),
            _ => "no py.typed".to_owned(),
        }
    );
    Ok((share * ANNOTATED + if marked { MARKED } else { 0.0 }, why))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of a distribution are far below 2^52"
)]
fn float(count: u64) -> f64 {
    count as f64
}

fn plural(count: u64, word: &str) -> String {
    if count == 1 {
        format!("1 {word}")
    } else {
        format!("{count} {word}s")
    }
}

#[cfg(test)]
mod tests {
    use pyti_model::quality::{Lint, RuleCount};

    use super::*;

    fn remark(rule: &str, grade: Grade, side: Side) -> Remark {
        Remark {
            rule: rule.into(),
            grade,
            side,
            place: None,
            sentence: String::new(),
            advice: String::new(),
            more: 0,
        }
    }

    fn quality(notes: u64) -> Quality {
        let mut quality = Quality {
            code_lines: 1000,
            lints: vec![Lint {
                tool: "ruff".into(),
                rules: vec![RuleCount {
                    rule: "UP006".into(),
                    times: notes,
                }],
                ..Lint::default()
            }],
            ..Quality::default()
        };
        quality.types.functions = 10;
        quality.types.annotated = 5;
        quality
    }

    fn points(score: &Score, side: Side) -> f64 {
        score
            .parts
            .iter()
            .find(|part| part.side == side)
            .map_or(-1.0, |part| part.points)
    }

    #[test]
    fn the_whole_is_the_mean_of_its_parts_by_weight() {
        let score = score(&quality(0), &[]);
        let sum: f64 = score.parts.iter().map(|part| part.weight * part.points).sum();
        assert!((score.points - (sum / 100.0)).abs() < 0.05, "{score:?}");
        assert_eq!(
            WEIGHTS.iter().map(|(_, weight)| *weight).sum::<f64>().to_string(),
            "100"
        );
        assert!((points(&score, Side::Typing) - 40.0).abs() < 0.1);
        assert!((points(&score, Side::Code) - 100.0).abs() < 0.1);
    }

    #[test]
    fn a_rule_counts_once_and_density_halves() {
        let twice = [
            remark("a", Grade::Warning, Side::Packaging),
            remark("a", Grade::Warning, Side::Packaging),
            remark("b", Grade::Error, Side::Packaging),
        ];
        let score = score(&quality(50), &twice);
        assert!((points(&score, Side::Packaging) - 65.0).abs() < 0.1);
        assert!((points(&score, Side::Code) - 50.0).abs() < 0.1);
    }

    #[test]
    fn what_cannot_be_measured_is_left_out_and_said() {
        let score = score(&Quality::default(), &[]);
        assert_eq!(score.left_out.len(), 2);
        assert!((score.points - 100.0).abs() < 0.1);
    }
}
