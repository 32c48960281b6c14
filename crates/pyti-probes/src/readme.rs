//! Rendering a description in reStructuredText.

use pyti_model::foreign::Foreign;
use pyti_model::quality::{Complaint, Rendered};
use serde::Deserialize;

use crate::{Invocation, lines};

/// Complaints that are kept.
const LISTED: usize = 100;

/// The command; the description comes over standard input.
pub fn argv(invocation: &Invocation<'_>) -> Vec<String> {
    invocation.argv("readme.py", [])
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Complaint {
        severity: u8,
        line: Option<u32>,
        text: String,
    },
    Finished {
        by: String,
    },
}

/// Reads what it said; nothing when it did not come to its end.
pub fn parse(results: &[u8]) -> Option<Rendered> {
    let (lines, loss) = lines::read::<Line>(results);
    let mut rendered = Rendered::default();
    for line in lines {
        match line {
            Line::Complaint { severity, line, text } if rendered.complaints.len() < LISTED => {
                rendered.complaints.push(Complaint {
                    severity,
                    line,
                    text: Foreign::from(text),
                });
            }
            Line::Complaint { .. } => {}
            Line::Finished { by } => rendered.by = by,
        }
    }
    (loss.is_none() && !rendered.by.is_empty()).then_some(rendered)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_its_end_is_none() {
        let said = b"{\"severity\":3,\"line\":2,\"text\":\"Unknown directive\"}\n";
        assert_eq!(parse(said), None);
        let whole = [&said[..], b"{\"finished\":true,\"by\":\"docutils 0.23\"}\n"].concat();
        let rendered = parse(&whole).unwrap();
        assert_eq!(
            (rendered.complaints.len(), rendered.complaints[0].line),
            (1, Some(2))
        );
    }
}
