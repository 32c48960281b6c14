//! Markdown, for an issue or a comment.

use pyti_model::outcome::TaskResult;
use pyti_model::quality::Assessment;

use crate::Run;
use crate::findings;
use crate::sentences::{self, shown_str};
use crate::view;
use crate::words::seconds;

/// Remarks that are listed.
const REMARKS: usize = 20;
/// Findings that are listed.
const FINDINGS: usize = 20;

/// One run as Markdown. What came from a package is inside code, where nothing of it is markup.
pub fn markdown(run: &Run<'_>) -> String {
    let (status, reasons) = view::outcome(run);
    let answer = sentences::answer(status, reasons, view::headline(run).and_then(view::tests));
    let mut out = format!(
        "## {} {}: {}\n\n{}\n\n",
        escape(&shown_str(run.name)),
        escape(&shown_str(run.version.unwrap_or(""))),
        status.word().to_uppercase(),
        escape(&answer)
    );
    out.push_str(&format!(
        "- Works? **{}**\n- Safe? **{}**\n- On: {}, {}, no network\n",
        escape(sentences::status(status)),
        escape(view::verdict_words(view::verdict(run))),
        escape(&shown_str(run.interpreter)),
        escape(&shown_str(run.isolation)),
    ));
    for reason in reasons.iter().take(8) {
        let who = sentences::blame(reason.blame)
            .map(|who| format!(" ({who})"))
            .unwrap_or_default();
        out.push_str(&format!(
            "- {}: {}{who}\n",
            code(reason.code.word()),
            escape(&sentences::reason(reason))
        ));
    }
    out.push_str(&safety(run));
    for file in view::files(run) {
        out.push_str(&format!("\n### {}\n\n", code(&file.filename)));
        if file.rows.is_empty() {
            let outcome = &file.job.judgement.outcome;
            out.push_str(&format!(
                "{}\n",
                escape(&sentences::answer(outcome.status, &outcome.reasons, None))
            ));
            continue;
        }
        out.push_str("| Step | Result | What | Time |\n|---|---|---|---:|\n");
        for row in &file.rows {
            let time = if row.result == TaskResult::Skipped {
                String::new()
            } else {
                seconds(row.wall_s)
            };
            let (name, what) = (escape(&row.name), escape(&row.sentence));
            out.push_str(&format!("| {name} | {} | {what} | {time} |\n", row.result));
        }
        for row in file.rows.iter().filter(|row| !row.lines.is_empty()) {
            out.push_str(&format!(
                "\n{}:\n\n{}\n",
                escape(&row.name),
                block(&row.lines.join("\n"))
            ));
        }
    }
    for (n, assessed) in crate::quality::of_run(run) {
        out.push_str(&quality(&view::filename(run.jobs[n]), &assessed));
    }
    out.push_str(&format!(
        "\nReport: {}\n",
        code(&format!("pyti report {}", shown_str(run.id)))
    ));
    out
}

/// The score with its parts, and the heaviest remarks.
fn quality(filename: &str, assessed: &Assessment) -> String {
    let mut out = format!(
        "\n### Quality of {}\n\n{}\n\n",
        code(filename),
        escape(&crate::quality::score(assessed))
    );
    if !assessed.remarks.is_empty() {
        out.push_str("| Weight | Rule | Remark |\n|---|---|---|\n");
    }
    for remark in assessed.remarks.iter().take(REMARKS) {
        let sentence = escape(&shown_str(&remark.sentence));
        let more = if remark.more > 0 {
            format!(" (and {} more)", remark.more)
        } else {
            String::new()
        };
        out.push_str(&format!(
            "| {} | {} | {sentence}{more} |\n",
            remark.grade.word(),
            code(&shown_str(&remark.rule))
        ));
    }
    if assessed.remarks.len() > REMARKS {
        out.push_str(&format!("\nand {} more\n", assessed.remarks.len() - REMARKS));
    }
    out
}

/// Findings that count, and what is missing.
fn safety(run: &Run<'_>) -> String {
    let missing = findings::missing(run);
    let all = findings::findings(run);
    let counted: Vec<_> = all.iter().filter(|found| found.counts()).collect();
    let mut out = String::new();
    if missing.is_empty() && counted.is_empty() {
        return out;
    }
    out.push_str("\n### Findings\n\n");
    for text in missing.iter().take(FINDINGS) {
        out.push_str(&format!("- missing: {}\n", escape(text)));
    }
    for found in counted.iter().take(FINDINGS) {
        out.push_str(&format!(
            "- **{}** {} ({})\n",
            found.finding.severity.word(),
            escape(&findings::sentence(found.finding)),
            code(&shown_str(&found.finding.rule))
        ));
    }
    if counted.len() > FINDINGS {
        out.push_str(&format!("- and {} more\n", counted.len() - FINDINGS));
    }
    out
}

/// Text in which nothing is markup, not even a link that a site would make by itself.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            // mentions and addresses are made into links by some sites
            '@' => out.push_str("&#64;"),
            ':' => out.push_str("&#58;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A code span that the text cannot end.
fn code(text: &str) -> String {
    let fence = "`".repeat(longest_run(text) + 1);
    let text = text.replace('\n', " ").replace('|', "\\|");
    let pad = if text.starts_with('`') || text.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{pad}{text}{pad}{fence}")
}

/// A code block that the text cannot end.
fn block(text: &str) -> String {
    let fence = "`".repeat(longest_run(text).max(2) + 1);
    format!("{fence}text\n{text}\n{fence}")
}

fn longest_run(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn code_cannot_be_left() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a``b"), "```a``b```");
        assert_eq!(code("`x"), "`` `x ``");
        assert_eq!(block("a\n````\nb"), "`````text\na\n````\nb\n`````");
    }

    #[test]
    fn markup_is_only_text() {
        assert_eq!(escape("<b>*x*</b> @me"), "&lt;b&gt;\\*x\\*&lt;/b&gt; &#64;me");
        assert_eq!(escape("plain text, 3 files"), "plain text, 3 files");
    }
}
