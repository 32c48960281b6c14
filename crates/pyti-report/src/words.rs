//! Numbers with units, and plurals.

use pyti_model::effect::Limit;

/// Seconds for people: `3 ms`, `0.1 s`, `1.4 s`, `2 min 5 s`.
pub fn seconds(s: f64) -> String {
    if !s.is_finite() || s < 0.0 {
        return "unknown time".to_owned();
    }
    if s < 0.0005 {
        return "0 ms".to_owned();
    }
    if s < 0.0995 {
        return format!("{:.0} ms", s * 1000.0);
    }
    if s < 59.95 {
        return format!("{s:.1} s");
    }
    let all = whole(s);
    if all < 3600 {
        return format!("{} min {} s", all / 60, all % 60);
    }
    format!("{} h {} min", all / 3600, all % 3600 / 60)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be finite and positive; the cast saturates"
)]
fn whole(s: f64) -> u64 {
    s.round() as u64
}

/// Bytes for people, decimal: `412 B`, `41 kB`, `1.3 MB`.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if n < 1000 {
        return format!("{n} B");
    }
    let mut value = float(n) / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    if value < 9.95 {
        format!("{value:.1} {}", UNITS[unit])
    } else {
        format!("{value:.0} {}", UNITS[unit])
    }
}

/// A number as a float; beyond 2^53 the last digits don't matter to people.
#[expect(clippy::cast_precision_loss, reason = "only for showing")]
pub(crate) fn float(n: u64) -> f64 {
    n as f64
}

/// A number with thin groups: `21,194`.
pub(crate) fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A count with its noun: `1 file`, `3 files`.
pub(crate) fn count(n: u64, one: &str) -> String {
    counted(n, one, &format!("{one}s"))
}

/// A count with its noun, where the plural is irregular: `2 entries`.
pub(crate) fn counted(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(n), if n == 1 { one } else { many })
}

/// Length of a list as a number for showing.
pub(crate) fn len<T>(list: &[T]) -> u64 {
    list.len() as u64
}

/// What a limit is of.
pub(crate) fn limit(limit: Limit) -> &'static str {
    match limit {
        Limit::Wall => "wall-clock time",
        Limit::Cpu => "CPU time",
        Limit::Inactivity => "time without activity",
        Limit::Memory => "memory",
        Limit::Processes => "processes",
        Limit::Disk => "disk",
        Limit::Output => "output",
    }
}

/// The first `most` of some words, and how many are left: `a, b and 3 more`.
pub(crate) fn some(words: &[String], most: usize) -> String {
    let shown = words.iter().take(most).cloned().collect::<Vec<_>>().join(", ");
    let left = words.len().saturating_sub(most);
    if left == 0 {
        shown
    } else {
        format!("{shown} and {left} more")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_have_the_unit_that_reads_best() {
        let cases = [
            (0.0, "0 ms"),
            (0.012, "12 ms"),
            (0.0994, "99 ms"),
            (0.1, "0.1 s"),
            (1.44, "1.4 s"),
            (59.94, "59.9 s"),
            (59.99, "1 min 0 s"),
            (125.0, "2 min 5 s"),
            (7260.0, "2 h 1 min"),
            (f64::NAN, "unknown time"),
        ];
        for (s, text) in cases {
            assert_eq!(seconds(s), text, "{s}");
        }
    }

    #[test]
    fn bytes_are_short() {
        for (n, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (41_000, "41 kB"),
            (1_340_000, "1.3 MB"),
            (999_900, "1.0 MB"),
        ] {
            assert_eq!(bytes(n), text, "{n}");
        }
        assert!(bytes(u64::MAX).ends_with("PB"));
    }

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        assert_eq!(number(21_194), "21,194");
        assert_eq!(number(1_000_000), "1,000,000");
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(0, "file"), "0 files");
        assert_eq!(some(&["a".into(), "b".into(), "c".into()], 2), "a, b and 1 more");
    }
}
