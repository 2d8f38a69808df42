//! Time of day for log lines, in UTC. Both forms are made once per second and then copied.

use crate::base::date::date_of;

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// The texts of one second.
pub struct Stamp {
    second: u64,
    combined: String,
    rfc3339: [u8; RFC3339_BYTES],
}

/// A copy of so many bytes is no call where their number is known.
const RFC3339_BYTES: usize = 19;

impl Default for Stamp {
    fn default() -> Self {
        let mut stamp = Stamp {
            second: 0,
            combined: String::new(),
            rfc3339: [b'0'; RFC3339_BYTES],
        };
        stamp.render(0);
        stamp
    }
}

impl Stamp {
    /// `10/Oct/2000:13:55:36 +0000`, as in the combined format.
    #[inline]
    pub fn combined(&mut self, unix_micros: u64) -> &[u8] {
        self.turn_to(unix_micros);
        self.combined.as_bytes()
    }

    /// `2000-10-10T13:55:36`, without a fraction and without a zone.
    #[inline]
    pub fn rfc3339(&mut self, unix_micros: u64) -> &[u8; RFC3339_BYTES] {
        self.turn_to(unix_micros);
        &self.rfc3339
    }

    #[inline]
    fn turn_to(&mut self, unix_micros: u64) {
        let second = unix_micros / 1_000_000;
        if second != self.second {
            self.render(second);
        }
    }

    #[cold]
    fn render(&mut self, second: u64) {
        self.second = second;
        let (year, month, day) = date_of(second / 86_400);
        let (hour, minute, sec) = (second / 3600 % 24, second / 60 % 60, second % 60);
        let name = MONTHS[month - 1];
        self.combined = format!("{day:02}/{name}/{year}:{hour:02}:{minute:02}:{sec:02} +0000");
        let text = format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{sec:02}");
        // A year of five digits has no place in the format, and is far away.
        if let Ok(text) = text.as_bytes().try_into() {
            self.rfc3339 = text;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    #[test]
    fn dates_agree_with_httpdate_over_two_centuries() {
        let mut stamp = Stamp::default();
        for step in 0..80_000_u64 {
            let second = step * 86_399;
            let expected = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            // "Sun, 06 Nov 1994 08:49:37 GMT"
            let (day, month, year) = (&expected[5..7], &expected[8..11], &expected[12..16]);
            let wanted = format!("{day}/{month}/{year}:{} +0000", &expected[17..25]);
            assert_eq!(
                stamp.combined(second * 1_000_000 + 999_999),
                wanted.as_bytes()
            );
        }
    }

    #[test]
    fn both_forms_follow_the_second() {
        let mut stamp = Stamp::default();
        assert_eq!(stamp.rfc3339(0), b"1970-01-01T00:00:00");
        assert_eq!(stamp.rfc3339(1_709_251_199_000_000), b"2024-02-29T23:59:59");
        assert_eq!(
            stamp.combined(1_709_251_200_000_000),
            b"01/Mar/2024:00:00:00 +0000"
        );
    }
}
