//! The times of an export: `M/D/YY H:MM` and RFC 3339, read as instants in UTC.
//!
//! Only reading and writing; no time zone but a numeric offset is known here.

use std::fmt;

const SECONDS_PER_DAY: i64 = 86_400;

/// An instant in UTC within the years 1 to 9999. Displays as RFC 3339 with `Z`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instant {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub epoch_secs: i64,
    /// The fraction's digits without trailing zeros, at most nine.
    fraction: String,
}

impl Instant {
    /// Reads a time: `M/D/YY H:MM` (20YY, UTC) or RFC 3339, where a missing zone
    /// means UTC. `None` for anything else, a leap second included.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (epoch_secs, fraction) = if bytes.get(4) == Some(&b'-') {
            rfc3339(bytes)?
        } else {
            (short(text)?, String::new())
        };
        let (year, ..) = civil_from_days(epoch_secs.div_euclid(SECONDS_PER_DAY));
        (1..=9999).contains(&year).then_some(Self {
            epoch_secs,
            fraction,
        })
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil_from_days(self.epoch_secs.div_euclid(SECONDS_PER_DAY));
        let second = self.epoch_secs.rem_euclid(SECONDS_PER_DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"
        )?;
        if !self.fraction.is_empty() {
            write!(f, ".{}", self.fraction)?;
        }
        f.write_str("Z")
    }
}

/// `M/D/YY H:MM`
fn short(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(' ')?;
    let mut date = date.split('/');
    let (month, day, year) = (date.next()?, date.next()?, date.next()?);
    let (hour, minute) = time.split_once(':')?;
    if date.next().is_some() || year.len() != 2 || minute.len() != 2 {
        return None;
    }
    let year = 2000 + digits(year.as_bytes())?;
    let (month, day) = (one_or_two(month)?, one_or_two(day)?);
    seconds(
        year,
        month,
        day,
        one_or_two(hour)?,
        digits(minute.as_bytes())?,
        0,
    )
}

fn one_or_two(text: &str) -> Option<i64> {
    if text.len() > 2 {
        return None;
    }
    digits(text.as_bytes())
}

/// `YYYY-MM-DDTHH:MM:SS[.fraction][Z|±HH:MM]`, with `T` or a space (RFC 3339, 5.6).
fn rfc3339(bytes: &[u8]) -> Option<(i64, String)> {
    let (date_time, rest) = bytes.split_at_checked(19)?;
    let shape = [
        (4, b"-" as &[u8]),
        (7, b"-"),
        (10, b"Tt "),
        (13, b":"),
        (16, b":"),
    ];
    if shape.iter().any(|(at, any)| !any.contains(&date_time[*at])) {
        return None;
    }
    let number = |from: usize, to: usize| digits(&date_time[from..to]);
    let year = number(0, 4).filter(|year| *year >= 1)?;
    let local = seconds(
        year,
        number(5, 7)?,
        number(8, 10)?,
        number(11, 13)?,
        number(14, 16)?,
        number(17, 19)?,
    )?;

    let (fraction, zone) = match rest.split_first() {
        Some((b'.', after)) => {
            let length = after
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            if length == 0 {
                return None;
            }
            after.split_at(length)
        }
        _ => (&[] as &[u8], rest),
    };
    let fraction: String = fraction
        .iter()
        .take(9)
        .map(|digit| char::from(*digit))
        .collect();
    Some((
        local - offset(zone)?,
        fraction.trim_end_matches('0').to_owned(),
    ))
}

/// The seconds that a zone is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        [] | [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let hours = digits(&[*h1, *h2]).filter(|hours| *hours <= 23)?;
            let minutes = digits(&[*m1, *m2]).filter(|minutes| *minutes <= 59)?;
            let seconds = hours * 3600 + minutes * 60;
            Some(if *sign == b'+' { seconds } else { -seconds })
        }
        _ => None,
    }
}

/// At least one ASCII digit and nothing else. Callers pass at most four.
fn digits(bytes: &[u8]) -> Option<i64> {
    if bytes.is_empty() || bytes.len() > 4 || !bytes.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(
        bytes
            .iter()
            .fold(0, |value, digit| value * 10 + i64::from(digit - b'0')),
    )
}

fn seconds(year: i64, month: i64, day: i64, hour: i64, minute: i64, second: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_from_civil(year, month, day);
    // A day that the month does not have comes back as another one.
    if civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(days * SECONDS_PER_DAY + hour * 3600 + minute * 60 + second)
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar
/// (Hinnant, "chrono-Compatible Low-Level Date Algorithms").
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

/// The other way round: (year, month, day).
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let instant = Instant::parse(text).map(|instant| instant.to_string());
        assert_eq!(instant.as_deref(), expected, "{text:?}");
    }

    #[test]
    fn short_times() {
        check("10/2/17 12:41", Some("2017-10-02T12:41:00Z"));
        check("01/02/00 0:05", Some("2000-01-02T00:05:00Z"));
        check("2/29/16 23:59", Some("2016-02-29T23:59:00Z"));
        check("12/31/99 00:00", Some("2099-12-31T00:00:00Z"));
        for bad in [
            "",
            " ",
            "not-a-time",
            "2/29/17 1:00",
            "13/1/17 1:00",
            "0/1/17 1:00",
            "1/0/17 1:00",
            "4/31/17 1:00",
            "1/1/17 24:00",
            "1/1/17 1:60",
            "1/1/17 1:5",
            "1/1/17 1:005",
            "1/1/2017 1:05",
            "1/1/7 1:05",
            "001/1/17 1:05",
            "1/1/17  1:05",
            "1/1/17 1:05 ",
            " 1/1/17 1:05",
            "1/1/17 1:05:06",
            "1/1/17/1 1:05",
            "1/1/17",
            "+1/1/17 1:05",
            "1/1/17 -1:05",
            "١/1/17 1:05",
            "1/1/17\u{a0}1:05",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn rfc3339_times() {
        check("2017-10-02T12:41:00Z", Some("2017-10-02T12:41:00Z"));
        check("2017-10-02t12:41:09z", Some("2017-10-02T12:41:09Z"));
        check("2017-10-02 12:41:09", Some("2017-10-02T12:41:09Z"));
        check("2017-10-02T12:41:09+02:30", Some("2017-10-02T10:11:09Z"));
        check("2017-12-31T23:41:09-00:30", Some("2018-01-01T00:11:09Z"));
        check("2017-10-02T12:41:09.120Z", Some("2017-10-02T12:41:09.12Z"));
        check("2017-10-02T12:41:09.000", Some("2017-10-02T12:41:09Z"));
        check(
            "2017-10-02T12:41:09.1234567891Z",
            Some("2017-10-02T12:41:09.123456789Z"),
        );
        check("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00Z"));
        check("9999-12-31T23:59:59Z", Some("9999-12-31T23:59:59Z"));
        check("1900-02-28T00:00:00-24:00", None);
        for bad in [
            "2017-10-02",
            "2017-10-02T12:41",
            "2017-10-02T12:41Z",
            "2017-10-02T12:41:60Z",
            "2017-10-02T24:00:00Z",
            "2017-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "2017-10-02T12:41:09.Z",
            "2017-10-02T12:41:09+0230",
            "2017-10-02T12:41:09+02:60",
            "2017-10-02T12:41:09ZZ",
            "2017-10-02T12:41:09 Z",
            "2017-10-02_12:41:09Z",
            "2017-1-02T12:41:09Z",
            "02017-10-02T12:41:09Z",
            "2017-10-02T12:41:0éZ",
        ] {
            check(bad, None);
        }
    }

    #[test]
    fn every_day_there_and_back() {
        for days in days_from_civil(1, 1, 1)..=days_from_civil(9999, 12, 31) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days);
        }
    }
}
