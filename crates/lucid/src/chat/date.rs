//! The date and time that `strftime_now` writes, by Python's directives.

use super::zone::Zone;
use std::{
    fmt::Write as _,
    time::{SystemTime, UNIX_EPOCH},
};

/// A moment, taken apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    year: i64,
    /// 1 to 12.
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    microsecond: i64,
    /// 0 is Sunday.
    weekday: i64,
    /// 0 is the first of January.
    day_of_year: i64,
    /// Since 1970 in UTC.
    seconds: i64,
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// Days from 0000-03-01 to 1970-01-01, and in 400 years of the calendar.
const EPOCH: i64 = 719_468;
const ERA: i64 = 146_097;
/// The last second of the year 9999.
const LAST: u64 = 253_402_300_799;

/// The year of a time that is not before 1970, in seconds since then.
pub(super) fn year(seconds: i64) -> i64 {
    Now::of(seconds, 0).year
}

/// The days from 1970 to a day.
pub(super) fn days(year: i64, month: i64, day: i64) -> i64 {
    // the year begins with March here too
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - EPOCH
}

impl Now {
    /// Takes a time apart, as clocks show it where the zone is. One before 1970 or after the year 9999 counts as the nearest
    /// within.
    pub(super) fn at(time: SystemTime, zone: &Zone) -> Now {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = since.as_secs().min(LAST) as i64;
        let shown = (seconds + zone.offset(seconds)).clamp(0, LAST as i64);
        Now { seconds, ..Now::of(shown, i64::from(since.subsec_micros())) }
    }

    /// What clocks show so many seconds after 1970 began on them.
    fn of(seconds: i64, microsecond: i64) -> Now {
        let (days, of_day) = (seconds / 86_400, seconds % 86_400);
        // The year begins with March here, so that the leap day is its last.
        let shifted = days + EPOCH;
        let (era, of_era) = (shifted / ERA, shifted % ERA);
        let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * of_year + 2) / 153;
        let day = of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        let leap = i64::from(year % 4 == 0 && (year % 100 != 0 || year % 400 == 0));
        // March 1st is day 59 or 60 of a year that begins with January
        let day_of_year = if month > 2 { of_year + 59 + leap } else { of_year - 306 };
        Now {
            year,
            month: month as usize,
            day,
            hour: of_day / 3_600,
            minute: of_day / 60 % 60,
            second: of_day % 60,
            microsecond,
            weekday: (days + 4) % 7,
            day_of_year,
            seconds,
        }
    }

    /// What Python's `strftime` makes of a format, in the C locale. A directive that it does not know stays as it is.
    pub(super) fn format(&self, format: &str) -> String {
        let mut out = String::new();
        let mut chars = format.chars();
        while let Some(c) = chars.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            match chars.next() {
                Some('-') => match chars.next() {
                    // without leading zeros, as glibc has it
                    Some(d) => {
                        let mut text = String::new();
                        self.directive(d, &mut text);
                        let bare = text.trim_start_matches(['0', ' ']);
                        let all_zeros = bare.is_empty() && !text.is_empty();
                        out.push_str(if all_zeros { "0" } else { bare });
                    }
                    None => out.push_str("%-"),
                },
                Some(d) => self.directive(d, &mut out),
                None => out.push('%'),
            }
        }
        out
    }

    fn directive(&self, directive: char, out: &mut String) {
        let (day_name, month_name) = (DAYS[self.weekday as usize], MONTHS[self.month - 1]);
        let hour12 = (self.hour + 11) % 12 + 1;
        let monday = (self.weekday + 6) % 7;
        let all = |format: &str| self.format(format);
        // writing to a String does not fail
        let _ = match directive {
            'Y' => write!(out, "{}", self.year),
            'G' => write!(out, "{}", self.iso_week().0),
            'C' => write!(out, "{:02}", self.year / 100),
            'y' => write!(out, "{:02}", self.year % 100),
            'm' => write!(out, "{:02}", self.month),
            'd' => write!(out, "{:02}", self.day),
            'e' => write!(out, "{:>2}", self.day),
            'H' => write!(out, "{:02}", self.hour),
            'k' => write!(out, "{:>2}", self.hour),
            'I' => write!(out, "{hour12:02}"),
            'l' => write!(out, "{hour12:>2}"),
            'M' => write!(out, "{:02}", self.minute),
            'S' => write!(out, "{:02}", self.second),
            'f' => write!(out, "{:06}", self.microsecond),
            'j' => write!(out, "{:03}", self.day_of_year + 1),
            's' => write!(out, "{}", self.seconds),
            'p' => write!(out, "{}", if self.hour < 12 { "AM" } else { "PM" }),
            'P' => write!(out, "{}", if self.hour < 12 { "am" } else { "pm" }),
            'a' => write!(out, "{}", &day_name[..3]),
            'A' => write!(out, "{day_name}"),
            'b' | 'h' => write!(out, "{}", &month_name[..3]),
            'B' => write!(out, "{month_name}"),
            'u' => write!(out, "{}", monday + 1),
            'w' => write!(out, "{}", self.weekday),
            'U' => write!(out, "{:02}", (self.day_of_year + 7 - self.weekday) / 7),
            'W' => write!(out, "{:02}", (self.day_of_year + 7 - monday) / 7),
            'V' => write!(out, "{:02}", self.iso_week().1),
            'F' => write!(out, "{}", all("%Y-%m-%d")),
            'D' | 'x' => write!(out, "{}", all("%m/%d/%y")),
            'T' | 'X' => write!(out, "{}", all("%H:%M:%S")),
            'R' => write!(out, "{}", all("%H:%M")),
            'r' => write!(out, "{}", all("%I:%M:%S %p")),
            'c' => write!(out, "{}", all("%a %b %e %H:%M:%S %Y")),
            'n' => writeln!(out),
            't' => write!(out, "\t"),
            '%' => write!(out, "%"),
            'z' | 'Z' => Ok(()), // Python's now() knows no zone
            other => write!(out, "%{other}"),
        };
    }

    /// The year and week of ISO 8601: weeks begin on Monday, and the first is that of the first Thursday.
    fn iso_week(&self) -> (i64, i64) {
        let monday = (self.weekday + 6) % 7;
        let week = (self.day_of_year - monday + 10) / 7;
        let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = |year: i64| if leap(year) { 366 } else { 365 };
        if week < 1 {
            let before = self.day_of_year + days(self.year - 1);
            return (self.year - 1, (before - monday + 10) / 7);
        }
        // the Thursday of this week may be of the next year
        if self.day_of_year - monday + 3 >= days(self.year) {
            return (self.year + 1, 1);
        }
        (self.year, week)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, format: &str) -> String {
        Now::at(UNIX_EPOCH + Duration::from_secs(seconds), &Zone::default()).format(format)
    }

    #[test]
    fn dates_are_those_of_python() {
        // datetime.fromtimestamp(…, timezone.utc).strftime(…) of Python 3.11
        assert_eq!(at(0, "%Y-%m-%d %H:%M:%S %a %j"), "1970-01-01 00:00:00 Thu 001");
        assert_eq!(at(951_782_400, "%d %b %Y|%A|%j|%U|%W|%V|%G"), "29 Feb 2000|Tuesday|060|09|09|09|2000");
        assert_eq!(at(1_700_000_000, "%B %d, %Y %I:%M %p"), "November 14, 2023 10:13 PM");
        assert_eq!(at(1_704_067_199, "%D %T %u %w %y"), "12/31/23 23:59:59 7 0 23");
        assert_eq!(at(1_609_459_200, "%G-W%V %-d %-m %e"), "2020-W53 1 1  1");
        assert_eq!(at(1_735_516_800, "%G-W%V %%"), "2025-W01 %");
        assert_eq!(at(4_102_444_800, "%c"), "Fri Jan  1 00:00:00 2100");
        assert_eq!(at(1_000, "%-H %-M %Q %"), "0 16 %Q %");
    }

    #[test]
    fn times_outside_of_the_calendar_are_clamped() {
        assert_eq!(Now::at(UNIX_EPOCH - Duration::from_secs(5), &Zone::default()).format("%Y"), "1970");
        assert_eq!(at(u64::MAX >> 2, "%Y-%m-%d"), "9999-12-31");
    }

    #[test]
    fn days_are_counted_as_they_are_taken_apart() {
        for day in 0..days(2101, 1, 1) {
            let now = Now::of(day * 86_400 + 86_399, 0);
            assert_eq!(days(now.year, now.month as i64, now.day), day);
            assert_eq!(year(day * 86_400), now.year);
        }
    }
}
