//! What a run did and what was found in it, in the forms of other tools.

mod coverage;
mod csv;
mod package_analysis;
mod quality;
mod sarif;
mod stix;

pub use coverage::{NoCoverage, cobertura, coverage_json, lcov};
pub use csv::events_csv;
pub use package_analysis::package_analysis;
pub use sarif::sarif;
pub use stix::indicators;

/// JSON as text. Values are made of strings and numbers only, which cannot fail to be written.
fn text(value: &serde_json::Value) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}

/// When a recording began, as RFC 3339 in UTC that others can rely on; a recording from elsewhere may say anything.
fn moment(when: &str) -> Option<&str> {
    let raw = when.as_bytes();
    let digit = |at: &[usize]| at.iter().all(|at| raw.get(*at).is_some_and(u8::is_ascii_digit));
    let shape = raw.len() >= 20
        && raw.len() <= 30
        && digit(&[0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18])
        && (raw[4], raw[7], raw[10], raw[13], raw[16]) == (b'-', b'-', b'T', b':', b':')
        && raw.last() == Some(&b'Z')
        && raw[19..raw.len() - 1].iter().enumerate().all(|(n, byte)| {
            if n == 0 {
                *byte == b'.'
            } else {
                byte.is_ascii_digit()
            }
        });
    shape.then_some(when)
}

/// Seconds since 1970 of such a moment.
fn unix_seconds(when: &str) -> Option<i64> {
    let when = moment(when)?;
    let part = |from: usize, to: usize| when.get(from..to).and_then(|text| text.parse::<i64>().ok());
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // days since 1970, by counting years from March so that the leap day is the last of its year
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_those_that_others_can_read() {
        for good in ["2026-01-02T03:04:05Z", "2026-01-02T03:04:05.123Z"] {
            assert_eq!(moment(good), Some(good));
        }
        for bad in [
            "",
            "today",
            "2026-01-02T03:04:05",
            "2026-01-02 03:04:05Z",
            "2026-01-02T03:04:05.x1Z",
            "2026-01-02T03:04:05,1Z",
        ] {
            assert_eq!(moment(bad), None, "{bad}");
        }
    }

    #[test]
    fn moments_are_seconds() {
        for (when, seconds) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:00:00Z", 951_825_600),
            ("2026-01-02T03:04:05Z", 1_767_323_045),
        ] {
            assert_eq!(unix_seconds(when), Some(seconds), "{when}");
        }
        assert_eq!(unix_seconds("2026-13-02T03:04:05Z"), None);
    }
}
