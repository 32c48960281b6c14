//! What is said of a file's quality: the score with its parts, and every remark.

use pyti_model::Foreign;
use pyti_model::quality::{Assessment, Grade, Quality, Remark};

use crate::quality as said;
use crate::sentences::{shown, shown_str};
use crate::words::number;

/// Remarks in the page.
const MOST: usize = 200;

/// The section of one file.
pub(crate) struct QualityPart {
    pub(crate) summary: String,
    pub(crate) points: String,
    pub(crate) parts: Vec<PointsPart>,
    pub(crate) remarks: Vec<RemarkPart>,
    pub(crate) more: usize,
    /// What is not part of the score: the project's own rules, what is missing.
    pub(crate) notes: Vec<String>,
}

/// One part of the score.
pub(crate) struct PointsPart {
    pub(crate) side: &'static str,
    pub(crate) points: String,
    /// Of a bar of 100.
    pub(crate) bar: String,
    pub(crate) weight: String,
    pub(crate) why: String,
}

/// One remark.
pub(crate) struct RemarkPart {
    pub(crate) grade: &'static str,
    pub(crate) tone: &'static str,
    pub(crate) rule: String,
    pub(crate) side: &'static str,
    pub(crate) place: String,
    pub(crate) sentence: String,
    pub(crate) advice: String,
    pub(crate) more: String,
}

impl QualityPart {
    pub(crate) fn new(assessed: &Assessment, facts: &Quality) -> Self {
        let mut notes: Vec<String> = assessed
            .score
            .left_out
            .iter()
            .map(|left_out| format!("not in the score: {}", shown_str(left_out)))
            .collect();
        notes.extend(
            assessed
                .missing
                .iter()
                .map(|missing| format!("not looked at: {}", shown_str(missing))),
        );
        for lint in &facts.lints {
            notes.push(said::lint(lint));
        }
        Self {
            summary: format!("{} · {}", said::points(assessed), said::remarks(assessed)),
            points: format!("{:.1}", assessed.score.points),
            parts: assessed
                .score
                .parts
                .iter()
                .map(|part| PointsPart {
                    side: part.side.word(),
                    points: format!("{:.1}", part.points),
                    bar: format!("{:.1}", part.points.clamp(0.0, 100.0)),
                    weight: format!("{:.0}", part.weight),
                    why: shown_str(&part.why),
                })
                .collect(),
            remarks: assessed.remarks.iter().take(MOST).map(remark).collect(),
            more: assessed.remarks.len().saturating_sub(MOST),
            notes,
        }
    }
}

fn remark(remark: &Remark) -> RemarkPart {
    let place = remark.place.as_ref().map_or_else(String::new, |place| {
        let mut text = shown(&place.path);
        if let Some(line) = place.line {
            text.push_str(&format!(":{line}"));
        }
        text
    });
    RemarkPart {
        grade: remark.grade.word(),
        tone: match remark.grade {
            Grade::Error => "bad",
            Grade::Warning => "mild",
            Grade::Note => "none",
        },
        rule: shown_str(&remark.rule),
        side: remark.side.word(),
        place,
        // capped where it was made
        sentence: Foreign::from(remark.sentence.as_str()).visible(),
        advice: shown_str(&remark.advice),
        more: if remark.more == 0 {
            String::new()
        } else {
            format!("and {} more", number(remark.more))
        },
    }
}
