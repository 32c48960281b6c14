//! Markdown, for a comment or an issue.

use crate::Run;
use crate::sentences::reason;
use crate::view::{headline, rows};
use crate::words::seconds;

/// The run as Markdown.
pub fn markdown(run: &Run<'_>) -> String {
    let mut out = format!("## {} on {}\n\n", escape(&run.title()), escape(run.interpreter));
    if let Some(job) = headline(run) {
        let outcome = &job.judgement.outcome;
        let reasons: Vec<String> = outcome
            .reasons
            .iter()
            .map(|r| format!("{} (`{}`)", escape(&reason(r)), r.code))
            .collect();
        let said = if reasons.is_empty() {
            String::new()
        } else {
            format!(": {}", reasons.join("; "))
        };
        out.push_str(&format!("**{}**{said}\n\n", outcome.status.word()));
    }
    for job in &run.jobs {
        if let Some(file) = &job.record.file {
            out.push_str(&format!("### {}\n\n", escape(&file.filename)));
        }
        let rows = rows(*job, true);
        if rows.is_empty() {
            continue;
        }
        out.push_str("| task | result | what | time |\n|---|---|---|---:|\n");
        for row in rows {
            out.push_str(&format!(
                "| {} | {} | {} | {} |\n",
                row.name,
                row.result,
                escape(&row.sentence),
                seconds(row.wall_s)
            ));
            for detail in row.lines {
                out.push_str(&format!("| | | {} | |\n", escape(&detail)));
            }
        }
        out.push('\n');
    }
    out.push_str(&format!("`pyti report {}`\n", run.id));
    out
}

/// Nothing of a package becomes a heading, a link, a mention, a table's border or HTML.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '@' => out.push_str("@\u{200b}"),
            '\n' | '\r' => out.push(' '),
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '#' | '|' | '!' | '~' => {
                out.push('\\');
                out.push(c);
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn nothing_of_a_package_is_markup() {
        assert_eq!(escape("a|b"), "a\\|b");
        assert_eq!(escape("[x](y)<script>"), "\\[x\\]\\(y\\)&lt;script&gt;");
    }
}
