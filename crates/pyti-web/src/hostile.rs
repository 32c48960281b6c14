//! Text that came from a package, and the one place that makes something to show of it.

use std::fmt;

use pyti_model::Foreign;
use serde::{Serialize, Serializer};

/// Longest piece that is shown in one line, in characters.
const LONGEST: usize = 160;

/// Text that somebody else chose: a file's name, a version, a sentence with a path in it. It has no `Display`, so a template
/// cannot show it by accident; whoever wants to show it says for what. In JSON it is the text itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Hostile(String);

impl fmt::Debug for Hostile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.plain())
    }
}

impl Serialize for Hostile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl From<String> for Hostile {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Hostile {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// HTML, XML or SVG that is right as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// Markup that we wrote ourselves.
    pub(crate) fn ours(markup: String) -> Self {
        Self(markup)
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl askama::filters::HtmlSafe for Markup {}

impl Hostile {
    /// For HTML, Atom and SVG, between tags and in quoted attributes: one line, what is invisible or changes direction made
    /// visible, folded with its length when it is long, escaped.
    pub fn html(&self) -> Markup {
        Markup(escape(&self.plain()))
    }

    /// The same, not folded.
    pub fn html_whole(&self) -> Markup {
        Markup(escape(&visible(&self.0)))
    }

    /// For a header of a mail or of HTTP, and for places that are not markup: one line of visible text.
    pub fn plain(&self) -> String {
        let text = visible(&self.0);
        let all = text.chars().count();
        if all <= LONGEST {
            return text;
        }
        let head: String = text.chars().take(LONGEST).collect();
        format!("{head}… ({} more characters)", all - LONGEST)
    }

    /// For a cell of a table (RFC 4180), always in quotes, and never what a spreadsheet takes for a formula.
    pub fn csv(&self) -> String {
        let text = visible(&self.0).replace('"', "\"\"");
        let guard = if text.starts_with(['=', '+', '-', '@']) {
            "'"
        } else {
            ""
        };
        format!("\"{guard}{text}\"")
    }

    /// The text itself, to look something up with.
    pub(crate) fn raw(&self) -> &str {
        &self.0
    }
}

fn visible(text: &str) -> String {
    let mut text = Foreign::from(text).visible();
    // they may not stand in XML at all
    if text.contains(['\u{fffe}', '\u{ffff}']) {
        text = text
            .replace('\u{fffe}', "\\u{fffe}")
            .replace('\u{ffff}', "\\u{ffff}");
    }
    text
}

/// For markup: the five characters that mean something there.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_in_markup_is_escaped_and_plain_text_stays() {
        let bad = Hostile::from("<script>alert('x\" & y')</script>");
        assert_eq!(
            bad.html().to_string(),
            "&lt;script&gt;alert(&#39;x&quot; &amp; y&#39;)&lt;/script&gt;"
        );
        assert_eq!(
            Hostile::from("six-1.17.0.tar.gz").html().to_string(),
            "six-1.17.0.tar.gz"
        );
    }

    #[test]
    fn what_turns_or_hides_text_is_made_visible() {
        let text = Hostile::from("a\u{202e}b\u{200b}c\r\nd\u{0}\u{ffff}")
            .html()
            .to_string();
        assert_eq!(text, "a\\u{202e}b\\u{200b}c\\r\\nd\\u{0}\\u{ffff}");
    }

    #[test]
    fn long_text_is_folded_with_its_length() {
        let text = Hostile::from("x".repeat(1000)).plain();
        assert!(text.ends_with("… (840 more characters)"), "{text}");
        assert_eq!(
            Hostile::from("x".repeat(1000)).html_whole().to_string().len(),
            1000
        );
    }

    #[test]
    fn no_cell_is_a_formula() {
        assert_eq!(Hostile::from("=cmd|'/c'!A0").csv(), "\"'=cmd|'/c'!A0\"");
        assert_eq!(Hostile::from("a \"b\"").csv(), "\"a \"\"b\"\"\"");
    }

    #[test]
    fn in_json_it_is_itself() {
        let text = "a\u{202e}<b>";
        assert_eq!(
            serde_json::to_value(Hostile::from(text)).unwrap(),
            serde_json::json!(text)
        );
    }
}
