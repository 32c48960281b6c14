//! The words of the two answers, each with a glyph and a colour. The word says it; glyph and colour only help. *Works?* has round
//! signs and marks, *safe?* has diamonds, so that nobody takes one for the other.

use pyti_model::outcome::{Status, Verdict};

use crate::hostile::Markup;

/// Class for a colour.
pub(crate) fn tone(status: Status) -> &'static str {
    match status {
        Status::Pass | Status::Load | Status::Install => "good",
        Status::Fail | Status::Crash | Status::Killed | Status::Broken => "bad",
        Status::Skip | Status::Na => "none",
        Status::Error => "mild",
    }
}

fn glyph(status: Status) -> &'static str {
    match status {
        Status::Pass => "✔",
        Status::Load => "◕",
        Status::Install => "◑",
        Status::Fail => "✘",
        Status::Crash => "✖",
        Status::Killed => "◼",
        Status::Skip => "○",
        Status::Na => "–",
        Status::Broken => "⊘",
        Status::Error => "▲",
    }
}

/// What a status claims, in a few words.
pub(crate) fn works_words(status: Status) -> &'static str {
    match status {
        Status::Pass => "its tests pass",
        Status::Load => "it imports; no tests were run",
        Status::Install => "it installs; there was nothing to import",
        Status::Fail => "a step failed",
        Status::Crash => "the interpreter crashed",
        Status::Killed => "a limit ended it",
        Status::Skip => "it was not attempted",
        Status::Na => "not for this interpreter or platform",
        Status::Broken => "the upload itself is unusable",
        Status::Error => "our own machine failed; this says nothing about it",
    }
}

/// Class for a colour.
pub(crate) fn verdict_tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "none",
        Verdict::Clean => "good",
        Verdict::Notable | Verdict::Inconclusive => "mild",
        Verdict::Suspicious | Verdict::Harmful => "bad",
    }
}

fn verdict_glyph(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "◌",
        Verdict::Clean => "◇",
        Verdict::Notable | Verdict::Inconclusive => "◈",
        Verdict::Suspicious | Verdict::Harmful => "◆",
    }
}

/// A verdict for people.
pub(crate) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "not judged",
        other => other.word(),
    }
}

/// What a verdict says, in a few words.
pub(crate) fn safe_words(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::NotJudged => "nobody looked",
        Verdict::Clean => "nothing beyond what an empty package does",
        Verdict::Notable => "something worth knowing",
        Verdict::Suspicious => "look at it before use",
        Verdict::Harmful => "harm was attempted",
        Verdict::Inconclusive => "the recording cannot tell",
    }
}

/// `asked` is for who hears the page: a colour and a column say it to who sees it.
fn tag(class: &str, asked: &str, tone: &str, glyph: &str, word: &str) -> Markup {
    Markup::ours(format!(
        "<span class=\"tag {class} tone-{tone}\"><span aria-hidden=\"true\">{glyph}</span> \
         <span class=\"hear\">{asked}</span>{word}</span>"
    ))
}

/// The first answer as a tag.
pub(crate) fn works(status: Status) -> Markup {
    tag("works", "works? ", tone(status), glyph(status), status.word())
}

/// The second answer as a tag.
pub(crate) fn safe(verdict: Verdict) -> Markup {
    tag(
        "safe",
        "safe? ",
        verdict_tone(verdict),
        verdict_glyph(verdict),
        verdict_word(verdict),
    )
}

/// The verdict of this word.
pub(crate) fn verdict_of(word: &str) -> Option<Verdict> {
    [
        Verdict::NotJudged,
        Verdict::Clean,
        Verdict::Notable,
        Verdict::Suspicious,
        Verdict::Harmful,
        Verdict::Inconclusive,
    ]
    .into_iter()
    .find(|verdict| verdict.word() == word)
}

/// Words of severities; a severity's number is its place.
pub(crate) const SEVERITIES: [&str; 5] = ["info", "low", "medium", "high", "critical"];

/// A severity's word.
pub(crate) fn severity_word(severity: u8) -> &'static str {
    SEVERITIES
        .get(usize::from(severity))
        .copied()
        .unwrap_or("critical")
}

/// A severity as a tag.
pub(crate) fn severity(severity: u8) -> Markup {
    let (tone, glyph) = match severity {
        0 => ("none", "▁"),
        1 => ("none", "▂"),
        2 => ("mild", "▄"),
        3 => ("bad", "▆"),
        _ => ("bad", "█"),
    };
    tag("severity", "", tone, glyph, severity_word(severity))
}

/// `cpython-3.13` for people.
pub(crate) fn interpreter(label: &str) -> String {
    match label.split_once('-') {
        Some(("cpython", version)) => format!("CPython {version}"),
        Some(("pypy", version)) => format!("PyPy {version}"),
        Some(("graalpy", version)) => format!("GraalPy {version}"),
        _ => label.to_owned(),
    }
}

/// `12,443`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + 4);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 job`, `12 jobs`.
pub(crate) fn count(n: u64, noun: &str) -> String {
    format!("{} {noun}{}", number(n), if n == 1 { "" } else { "s" })
}

/// `11.1 kB`.
pub(crate) fn bytes(n: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if n < 1000 {
        return format!("{n} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mut value = n as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_a_word_beside_its_colour() {
        for status in Status::ALL {
            assert!(works(status).to_string().contains(status.word()));
            assert!(!works_words(status).is_empty());
        }
        for word in [
            "not_judged",
            "clean",
            "notable",
            "suspicious",
            "harmful",
            "inconclusive",
        ] {
            let verdict = verdict_of(word).unwrap();
            assert!(safe(verdict).to_string().contains(verdict_word(verdict)));
        }
        assert_eq!(verdict_of("good"), None);
    }

    #[test]
    fn numbers_are_for_people() {
        assert_eq!((number(12_443), number(999)), ("12,443".into(), "999".into()));
        assert_eq!(bytes(11_053), "11.1 kB");
        assert_eq!(count(1, "job"), "1 job");
        assert_eq!(interpreter("cpython-3.13t"), "CPython 3.13t");
    }
}
