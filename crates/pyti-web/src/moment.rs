//! Moments and lengths of time, in words.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Milliseconds since 1970 as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(ms: u64) -> String {
    let seconds = ms / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // days since 0000-03-01, in eras of 400 years
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

/// The same for people: `2026-03-01 12:30 UTC`.
pub(crate) fn for_people(ms: u64) -> String {
    let text = rfc3339(ms);
    format!("{} {} UTC", &text[..10], &text[11..16])
}

/// How long: `3 s`, `5 min`, `2 h 10 min`, `4 days`.
pub(crate) fn length(ms: u64) -> String {
    let s = ms / 1000;
    match s {
        0 => format!("{ms} ms"),
        1..=119 => format!("{s} s"),
        120..=7199 => format!("{} min", s / 60),
        7200..=172_799 => {
            let (hours, minutes) = (s / 3600, s / 60 % 60);
            if minutes == 0 || hours >= 10 {
                format!("{hours} h")
            } else {
                format!("{hours} h {minutes} min")
            }
        }
        _ => format!("{} days", s / 86_400),
    }
}

/// How long ago.
pub(crate) fn ago(ms: u64, now_ms: u64) -> String {
    let passed = now_ms.saturating_sub(ms);
    if passed < 1000 {
        "just now".to_owned()
    } else {
        format!("{} ago", length(passed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400_000, "2000-02-29T00:00:00Z"),
            (1_709_251_199_999, "2024-02-29T23:59:59Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00Z"),
            (1_764_547_200_000, "2025-12-01T00:00:00Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(ms), text);
        }
        assert_eq!(for_people(1_709_251_199_999), "2024-02-29 23:59 UTC");
    }

    #[test]
    fn lengths_have_the_unit_that_suits() {
        let texts: Vec<_> = [12, 59_000, 130_000, 7_260_000, 50_000_000, 400_000_000]
            .map(length)
            .into();
        assert_eq!(texts, ["12 ms", "59 s", "2 min", "2 h 1 min", "13 h", "4 days"]);
        assert_eq!(ago(5000, 4000), "just now");
    }
}
