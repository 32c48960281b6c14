//! Colour, glyphs and columns of a terminal.

use pyti_model::outcome::{Status, TaskResult};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::Look;

/// What a piece of text is, so that a colour can stand beside the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ink {
    /// As it should be.
    Good,
    /// To be looked at.
    Notice,
    /// Not as it should be.
    Bad,
    /// Less important.
    Quiet,
    /// More important.
    Strong,
}

impl Look {
    /// Paints text, when colour is wanted.
    pub fn ink(&self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Good => "32",
            Ink::Notice => "33",
            Ink::Bad => "31",
            Ink::Quiet => "2",
            Ink::Strong => "1",
        };
        format!("\u{1b}[{code}m{text}\u{1b}[0m")
    }

    /// Text for this terminal: with `--ascii` what is no ASCII becomes an escape (our own signs a like letter).
    pub fn plain(&self, text: &str) -> String {
        if !self.ascii || text.is_ascii() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '·' | '–' => out.push('-'),
                '…' => out.push_str("..."),
                '→' => out.push_str("->"),
                '←' => out.push_str("<-"),
                '×' => out.push('x'),
                c if c.is_ascii() => out.push(c),
                c => out.extend(c.escape_unicode()),
            }
        }
        out
    }

    /// Cuts a line to `columns`, with a mark and never in the middle of a character.
    pub fn cut(&self, text: &str, columns: usize) -> String {
        if text.width() <= columns {
            return text.to_owned();
        }
        let mark = if self.ascii { "..." } else { "…" };
        let room = columns.saturating_sub(mark.width());
        let mut out = String::new();
        let mut used = 0;
        for c in text.chars() {
            let wide = c.width().unwrap_or(0);
            if used + wide > room {
                break;
            }
            used += wide;
            out.push(c);
        }
        out.push_str(mark);
        out
    }

    /// Breaks text between words into lines of at most `columns`.
    pub fn wrap(&self, text: &str, columns: usize) -> Vec<String> {
        let columns = columns.max(16);
        let mut lines = vec![String::new()];
        for word in text.split(' ') {
            let line = lines.last().map_or(0, |line| line.width());
            if line > 0 && line + 1 + word.width() > columns {
                lines.push(String::new());
            }
            if let Some(last) = lines.last_mut() {
                if !last.is_empty() {
                    last.push(' ');
                }
                last.push_str(word);
            }
        }
        lines.iter().map(|line| self.cut(line, columns)).collect()
    }

    /// The columns that a block takes: the terminal's, within what reads well.
    pub fn columns(&self) -> usize {
        self.width.clamp(32, 100)
    }
}

/// Glyph, its ASCII twin and ink of a result. The word beside it says the same.
pub(crate) fn glyph(result: TaskResult, look: &Look) -> (&'static str, Ink) {
    let (glyph, ascii, ink) = match result {
        TaskResult::Success => ("✔", "+", Ink::Good),
        TaskResult::Warnings => ("▲", "!", Ink::Notice),
        TaskResult::Failure => ("✘", "x", Ink::Bad),
        TaskResult::Skipped => ("○", "o", Ink::Quiet),
        TaskResult::Exception => ("■", "E", Ink::Notice),
        TaskResult::Retry => ("↻", "r", Ink::Notice),
        TaskResult::Cancelled => ("◌", "c", Ink::Quiet),
    };
    (if look.ascii { ascii } else { glyph }, ink)
}

/// Ink of a status.
pub fn status_ink(status: Status) -> Ink {
    match status {
        Status::Pass | Status::Load | Status::Install => Ink::Good,
        Status::Fail | Status::Crash | Status::Killed | Status::Broken => Ink::Bad,
        Status::Skip | Status::Na => Ink::Quiet,
        Status::Error => Ink::Notice,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Look = Look {
        colour: false,
        width: 80,
        ascii: false,
    };

    #[test]
    fn long_lines_are_cut_by_columns() {
        assert_eq!(PLAIN.cut("abcdef", 4), "abc…");
        assert_eq!(PLAIN.cut("日本語です", 5), "日本…");
        assert_eq!(PLAIN.cut("short", 5), "short");
        assert_eq!(Look { ascii: true, ..PLAIN }.cut("abcdefgh", 6), "abc...");
    }

    #[test]
    fn wrapping_keeps_words() {
        assert_eq!(
            PLAIN.wrap("the quick brown fox jumps", 16),
            ["the quick brown", "fox jumps"]
        );
        assert_eq!(PLAIN.wrap("", 16), [""]);
    }

    #[test]
    fn ascii_means_ascii() {
        let look = Look { ascii: true, ..PLAIN };
        assert_eq!(look.plain("a · b → é"), "a - b -> \\u{e9}");
        assert_eq!(PLAIN.plain("a · é"), "a · é");
    }
}
