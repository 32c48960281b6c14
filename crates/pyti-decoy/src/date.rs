//! Days and times of the calendar, from seconds since 1970 (UTC).

/// A moment of the calendar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Date {
    pub(crate) year: i64,
    pub(crate) month: i64,
    pub(crate) day: i64,
    hour: i64,
    minute: i64,
    second: i64,
}

impl Date {
    /// Of seconds since 1970.
    pub(crate) fn of(seconds: i64) -> Self {
        let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
        // years that begin in March, in eras of 400 years: leap days come last
        let days = days + 719_468;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let month = if march_month < 10 {
            march_month + 3
        } else {
            march_month - 9
        };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month,
            day: day_of_year - (153 * march_month + 2) / 5 + 1,
            hour: rest / 3600,
            minute: rest / 60 % 60,
            second: rest % 60,
        }
    }

    /// `2026-11-25`
    pub(crate) fn day(self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `2026-11-25T08:36:11Z`
    pub(crate) fn iso(self) -> String {
        format!(
            "{}T{:02}:{:02}:{:02}Z",
            self.day(),
            self.hour,
            self.minute,
            self.second
        )
    }

    /// `261125083611Z`, as certificates have it.
    pub(crate) fn utc_time(self) -> String {
        format!(
            "{:02}{:02}{:02}{:02}{:02}{:02}Z",
            self.year % 100,
            self.month,
            self.day,
            self.hour,
            self.minute,
            self.second
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_date_says() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_595_771, "2026-11-25T08:36:11Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(Date::of(seconds).iso(), text);
        }
        assert_eq!(Date::of(1_795_595_771).utc_time(), "261125083611Z");
    }
}
