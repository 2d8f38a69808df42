//! The Gregorian calendar in UTC: days since 1970-01-01 as dates, and back.
//!
//! Years are counted from March, so that the leap day is the last of its year.

use std::time::Duration;

/// Days from 0000-03-01 to 1970-01-01.
const SHIFT: u64 = 719_468;

/// Year, month (1 to 12) and day of a number of days since 1970-01-01.
#[must_use]
pub fn date_of(days: u64) -> (u64, usize, u64) {
    let shifted = days + SHIFT;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month as usize, day)
}

/// Days since 1970-01-01 of a date of the years 1970 to 9999, if there is such a date.
#[must_use]
pub fn days_of((year, month, day): (u64, u64, u64)) -> Option<u64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || day == 0 {
        return None;
    }
    let year_from_march = year - u64::from(month <= 2);
    let month_from_march = (month + 9) % 12;
    let (era, year_of_era) = (year_from_march / 400, year_from_march % 400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = 365 * year_of_era + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = (era * 146_097 + day_of_era).checked_sub(SHIFT)?;
    // A day the month has not leads to another month.
    (date_of(days) == (year, usize::try_from(month).ok()?, day)).then_some(days)
}

/// `2000-10-10T13:55:36Z`: a time since 1970 to whole seconds.
#[must_use]
pub fn time_text(since_1970: Duration) -> String {
    let second = since_1970.as_secs();
    let (year, month, day) = date_of(second / 86_400);
    let (hour, minute, second) = (second / 3600 % 24, second / 60 % 60, second % 60);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// The time since 1970 of such a text; nothing else is read.
#[must_use]
pub fn time_of(text: &str) -> Option<Duration> {
    const SHAPE: &[u8] = b"dddd-dd-ddTdd:dd:ddZ";
    let fits = |(byte, shape): (&u8, &u8)| match shape {
        b'd' => byte.is_ascii_digit(),
        other => byte == other,
    };
    let bytes = text.as_bytes();
    if bytes.len() != SHAPE.len() || !bytes.iter().zip(SHAPE).all(fits) {
        return None;
    }
    let number = |from: usize, to: usize| text[from..to].parse::<u64>().ok();
    let days = days_of((number(0, 4)?, number(5, 7)?, number(8, 10)?))?;
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let exists = hour < 24 && minute < 60 && second < 60;
    exists.then(|| Duration::from_secs(days * 86_400 + hour * 3600 + minute * 60 + second))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_of_four_centuries_has_a_date_and_comes_back() {
        for days in 0..146_097 {
            let (year, month, day) = date_of(days);
            assert_eq!(days_of((year, month as u64, day)), Some(days));
        }
    }

    #[test]
    fn times_are_read_as_they_are_written() {
        for second in [
            0,
            951_782_399,
            1_709_251_199,
            1_796_000_000,
            253_402_300_799,
        ] {
            let time = Duration::from_secs(second);
            assert_eq!(time_of(&time_text(time)), Some(time));
        }
        assert_eq!(
            time_text(Duration::from_millis(1_709_251_199_999)),
            "2024-02-29T23:59:59Z"
        );
    }

    #[test]
    fn what_is_no_time_is_not_read() {
        for text in [
            "",
            "2023-02-29T00:00:00Z",
            "2024-13-01T00:00:00Z",
            "2024-01-00T00:00:00Z",
            "2024-01-01T24:00:00Z",
            "2024-01-01T00:00:60Z",
            "1969-12-31T23:59:59Z",
            "2024-01-01T00:00:00",
            "2024-01-01T00:00:00+01:00",
            "2024-01-01 00:00:00Z",
            "+024-01-01T00:00:00Z",
            "2024-01-01T00:00:00.5Z",
        ] {
            assert_eq!(time_of(text), None, "{text}");
        }
    }
}
