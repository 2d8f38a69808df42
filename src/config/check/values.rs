//! Single values: what a key means, within its range, or its default.
//!
//! Each of these notes a mistake and returns the default, so that the caller can go on.

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use super::super::problem::{At, Problems, nearest};
use super::super::raw::{Boolean, Integer, Size, Text};
use super::super::reader::{Scalar, Written};
use super::super::units;

/// Timeouts and intervals. A day is longer than any of them makes sense, and keeps every
/// deadline far from overflow.
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);

pub(super) fn number(
    written: &Integer,
    default: u32,
    range: RangeInclusive<u32>,
    problems: &mut Problems<'_>,
) -> u32 {
    let Some(written) = written else {
        return default;
    };
    match u32::try_from(written.value) {
        Ok(value) if range.contains(&value) => value,
        _ => {
            out_of_range(
                &written.at,
                written.value,
                range.start(),
                range.end(),
                problems,
            );
            default
        }
    }
}

pub(super) fn flag(written: &Boolean, default: bool) -> bool {
    written.as_ref().map_or(default, |written| written.value)
}

/// A duration from `least` to a day.
pub(super) fn duration(
    written: &Text,
    default: Duration,
    least: Duration,
    problems: &mut Problems<'_>,
) -> Duration {
    let Some(written) = written else {
        return default;
    };
    match units::duration(&written.value) {
        Ok(value) if (least..=DAY).contains(&value) => value,
        Ok(_) => {
            let (least, most) = (units::duration_text(least), units::duration_text(DAY));
            out_of_range(&written.at, &written.value, least, most, problems);
            default
        }
        Err((what, fix)) => {
            problems.error(&written.at, what, fix);
            default
        }
    }
}

/// A duration from nothing to a day, or "none" for no end.
pub(super) fn duration_or_none(
    written: &Text,
    default: Duration,
    problems: &mut Problems<'_>,
) -> Option<Duration> {
    match written {
        Some(written) if written.value == "none" => None,
        _ => Some(duration(written, default, Duration::ZERO, problems)),
    }
}

/// A size in bytes, as a text with a unit or a plain number of bytes.
pub(super) fn size(
    written: &Size,
    default: usize,
    range: RangeInclusive<usize>,
    problems: &mut Problems<'_>,
) -> usize {
    let Some(written) = written else {
        return default;
    };
    let Some(bytes) = bytes_of(&written.value, &written.at, problems) else {
        return default;
    };
    match usize::try_from(bytes) {
        Ok(value) if range.contains(&value) => value,
        _ => {
            let text = |size: usize| units::size_text(u64::try_from(size).unwrap_or(u64::MAX));
            let (least, most) = (text(*range.start()), text(*range.end()));
            out_of_range(&written.at, units::size_text(bytes), least, most, problems);
            default
        }
    }
}

/// A size, or "none" for no limit, which is the default.
pub(super) fn size_or_none(written: &Size, problems: &mut Problems<'_>) -> Option<u64> {
    /// What an integer of TOML can hold.
    const MOST: u64 = i64::MAX as u64;
    let written = written.as_ref()?;
    if is_none(&written.value) {
        return None;
    }
    let bytes = bytes_of(&written.value, &written.at, problems)?;
    if bytes > MOST {
        out_of_range(&written.at, bytes, 0, MOST, problems);
        return None;
    }
    Some(bytes)
}

/// A number, or "none" for no limit, which is the default.
pub(super) fn number_or_none(
    written: &Size,
    range: RangeInclusive<u32>,
    problems: &mut Problems<'_>,
) -> Option<u32> {
    let written = written.as_ref()?;
    match &written.value {
        value if is_none(value) => None,
        Scalar::Integer(number) => match u32::try_from(*number) {
            Ok(number) if range.contains(&number) => Some(number),
            _ => {
                out_of_range(&written.at, number, range.start(), range.end(), problems);
                None
            }
        },
        Scalar::Text(text) => {
            let fix = "write a number without quotes, or \"none\"";
            problems.error(&written.at, format!("{text:?} is not a number"), fix);
            None
        }
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(
    written: &Text,
    default: T,
    words: &[(&str, T)],
    problems: &mut Problems<'_>,
) -> T {
    let Some(written) = written else {
        return default;
    };
    let found = words.iter().find(|(word, _)| *word == written.value);
    match found {
        Some((_, value)) => *value,
        None => {
            let names = words.iter().map(|(word, _)| *word);
            let fix = match nearest(&written.value, names.clone()) {
                Some(word) => format!("write {word:?}"),
                None => {
                    let quoted: Vec<String> = names.map(|word| format!("{word:?}")).collect();
                    format!("write one of {}", quoted.join(", "))
                }
            };
            problems.error(
                &written.at,
                format!("unknown value {:?}", written.value),
                fix,
            );
            default
        }
    }
}

/// The path of a file.
pub(super) fn path(
    written: &Written<String>,
    fix: &str,
    problems: &mut Problems<'_>,
) -> Option<PathBuf> {
    let value = &written.value;
    if value.is_empty() || value.contains('\0') {
        problems.error(&written.at, format!("{value:?} is not a path"), fix);
        return None;
    }
    Some(PathBuf::from(value))
}

/// Notes that a key must be there.
pub(in super::super) fn missing(
    section: &At,
    key: &str,
    example: &str,
    problems: &mut Problems<'_>,
) {
    let at = section.key(key);
    if !problems.noted(&at) {
        problems.error(&at, "is missing", format!("add {key} = {example}"));
    }
}

pub(super) fn out_of_range(
    at: &At,
    value: impl Display,
    least: impl Display,
    most: impl Display,
    problems: &mut Problems<'_>,
) {
    problems.error(
        at,
        format!("{value} is out of range"),
        format!("write a value from {least} to {most}"),
    );
}

/// Where a key stands, if it is there.
pub(super) fn place<T>(written: &Option<Written<T>>) -> Option<&At> {
    written.as_ref().map(|written| &written.at)
}

fn is_none(value: &Scalar) -> bool {
    matches!(value, Scalar::Text(text) if text == "none")
}

fn bytes_of(value: &Scalar, at: &At, problems: &mut Problems<'_>) -> Option<u64> {
    let bytes = match value {
        Scalar::Integer(number) => u64::try_from(*number).map_err(|_| {
            let what = format!("{number} is not a size");
            (what, "write \"16KiB\" or a number of bytes".to_owned())
        }),
        Scalar::Text(text) => units::size(text),
    };
    bytes
        .map_err(|(what, fix)| problems.error(at, what, fix))
        .ok()
}
