//! Single values of a scenario file, with their bounds.

use std::ops::RangeInclusive;

use crate::config::problem::Problems;
use crate::config::reader::Section;

/// Times may be shorter than those of a configuration, and may have a fraction: "0.5ms", "250us".
const UNITS: [(&str, f64); 5] = [
    ("us", 1e-6),
    ("ms", 1e-3),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
];

/// Seconds, of a number and a unit.
fn seconds_of(text: &str) -> Option<f64> {
    let end = text.find(|letter: char| letter.is_ascii_alphabetic())?;
    let (number, unit) = text.split_at(end);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    let number: f64 = number.parse().ok()?;
    (number >= 0.0 && number.is_finite()).then_some(number * factor)
}

/// A time in seconds, if it is written.
pub(super) fn time_if(
    section: &mut Section<'_, '_>,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Option<f64> {
    let written = section.text(key, "\"20ms\"", problems)?;
    let seconds = seconds_of(&written.value);
    if seconds.is_none() {
        let what = format!("{:?} is no time", written.value);
        let fix = "write a number and a unit: \"250us\", \"0.5ms\", \"20s\", \"5m\"";
        problems.error(&written.at, what, fix);
    }
    seconds
}

/// A time in seconds.
pub(super) fn time(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: f64,
    problems: &mut Problems<'_>,
) -> f64 {
    time_if(section, key, problems).unwrap_or(default)
}

/// A number within bounds, if it is written.
pub(super) fn number_if(
    section: &mut Section<'_, '_>,
    key: &'static str,
    bounds: RangeInclusive<f64>,
    problems: &mut Problems<'_>,
) -> Option<f64> {
    let written = section.number(key, &bounds.start().to_string(), problems)?;
    if bounds.contains(&written.value) {
        return Some(written.value);
    }
    let what = format!("{} is out of bounds", written.value);
    let fix = format!("write {} to {}", bounds.start(), bounds.end());
    problems.error(&written.at, what, fix);
    None
}

/// A number within bounds.
pub(super) fn number(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: f64,
    bounds: RangeInclusive<f64>,
    problems: &mut Problems<'_>,
) -> f64 {
    number_if(section, key, bounds, problems).unwrap_or(default)
}

/// A whole number within bounds.
pub(super) fn count(
    section: &mut Section<'_, '_>,
    key: &'static str,
    default: usize,
    bounds: RangeInclusive<i64>,
    problems: &mut Problems<'_>,
) -> usize {
    let Some(written) = section.integer(key, &bounds.start().to_string(), problems) else {
        return default;
    };
    if !bounds.contains(&written.value) {
        let what = format!("{} is out of bounds", written.value);
        let fix = format!("write {} to {}", bounds.start(), bounds.end());
        problems.error(&written.at, what, fix);
    }
    usize::try_from(written.value).unwrap_or(default)
}

/// One of some words, if it is written.
pub(super) fn word<T: Copy>(
    section: &mut Section<'_, '_>,
    key: &'static str,
    words: &[(&'static str, T)],
    problems: &mut Problems<'_>,
) -> Option<T> {
    let first = words.first().map_or("", |(word, _)| word);
    let written = section.text(key, &format!("\"{first}\""), problems)?;
    let found = words.iter().find(|(word, _)| *word == written.value);
    if found.is_none() {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let what = format!("{:?} is not known", written.value);
        problems.error(
            &written.at,
            what,
            format!("write one of {}", known.join(", ")),
        );
    }
    found.map(|(_, value)| *value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit_and_may_have_a_fraction() {
        assert_eq!(seconds_of("0.5ms"), Some(0.0005));
        assert_eq!(seconds_of("20s"), Some(20.0));
        assert_eq!(seconds_of("2m"), Some(120.0));
        for wrong in ["20", "s", "-1s", "1 day", "", "infs", "1h30m"] {
            assert_eq!(seconds_of(wrong), None, "{wrong}");
        }
    }
}
