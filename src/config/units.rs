//! Durations and sizes with units, read and printed.
//!
//! A number without a unit is refused for durations: other proxies read it as seconds or as
//! milliseconds, and whoever moves between them finds out in production. "64k" is refused for
//! the same reason; KiB is 1024 bytes, KB is 1000.

use std::time::Duration;

/// What is wrong with a text, and what to write.
pub(super) type Refusal = (String, String);

const DURATION_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

const SIZE_UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
];

/// Units people write and we do not read, with ours.
const DURATION_SLIPS: [(&str, &str); 12] = [
    ("hour", "h"),
    ("hours", "h"),
    ("hr", "h"),
    ("min", "m"),
    ("mins", "m"),
    ("minute", "m"),
    ("minutes", "m"),
    ("msec", "ms"),
    ("sec", "s"),
    ("second", "s"),
    ("seconds", "s"),
    ("secs", "s"),
];

/// One number and one unit, or several from the largest unit on: "500ms", "10s", "1h30m".
pub(super) fn duration(text: &str) -> Result<Duration, Refusal> {
    let mut rest = text;
    let mut millis = 0_u64;
    let mut units = DURATION_UNITS.iter();
    while !rest.is_empty() {
        let (number, unit, after) = split(rest);
        let factor = units
            .find(|(name, _)| *name == unit)
            .map(|(_, factor)| *factor);
        let (Ok(number), Some(factor)) = (number.parse::<u64>(), factor) else {
            return Err(duration_refusal(text, number, unit));
        };
        millis = number
            .checked_mul(factor)
            .and_then(|part| millis.checked_add(part))
            .ok_or_else(|| {
                (
                    format!("{text:?} is out of all bounds"),
                    "write less".to_owned(),
                )
            })?;
        rest = after;
    }
    if text.is_empty() {
        return Err(duration_refusal(text, "", ""));
    }
    Ok(Duration::from_millis(millis))
}

/// A duration in the largest unit that holds it exactly.
pub(super) fn duration_text(duration: Duration) -> String {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    for (unit, factor) in DURATION_UNITS {
        if millis >= factor && millis % factor == 0 {
            return format!("{}{unit}", millis / factor);
        }
    }
    "0s".to_owned()
}

/// A number and a unit: "16KiB", "10MB".
pub(super) fn size(text: &str) -> Result<u64, Refusal> {
    let (number, unit, after) = split(text);
    let factor = SIZE_UNITS
        .iter()
        .find(|(name, _)| *name == unit && after.is_empty());
    match (number.parse::<u64>(), factor) {
        (Ok(number), Some((_, factor))) => number.checked_mul(*factor).ok_or_else(|| {
            (
                format!("{text:?} is out of all bounds"),
                "write less".to_owned(),
            )
        }),
        _ => Err(size_refusal(text, number, unit)),
    }
}

/// A size in the largest binary unit that holds it exactly.
pub(super) fn size_text(bytes: u64) -> String {
    for (unit, factor) in &SIZE_UNITS[..4] {
        if bytes >= *factor && bytes.is_multiple_of(*factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    "0B".to_owned()
}

/// Leading digits, the letters after them, and the rest.
fn split(text: &str) -> (&str, &str, &str) {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(letters);
    (number, unit, rest)
}

fn duration_refusal(text: &str, number: &str, unit: &str) -> Refusal {
    let what = format!("{text:?} is not a duration");
    let word = unit.trim().to_ascii_lowercase();
    let known = DURATION_SLIPS
        .iter()
        .chain(&[("h", "h"), ("m", "m"), ("s", "s"), ("ms", "ms")])
        .find(|(slip, _)| *slip == word);
    let whole = text.trim() == format!("{number}{unit}").trim();
    let fix = match known {
        Some((_, unit)) if whole && !number.is_empty() => format!("write \"{number}{unit}\""),
        _ if unit.is_empty() && whole && !number.is_empty() => {
            format!("add the unit: \"{number}s\" or \"{number}ms\"")
        }
        _ => "write whole numbers with units, largest first: \"500ms\", \"10s\", \"1h30m\"".into(),
    };
    (what, fix)
}

fn size_refusal(text: &str, number: &str, unit: &str) -> Refusal {
    let what = format!("{text:?} is not a clear size");
    let whole = text.trim() == format!("{number}{unit}").trim() && !number.is_empty();
    let letter = unit
        .trim()
        .chars()
        .next()
        .map(|letter| letter.to_ascii_uppercase());
    let fix = match letter {
        Some(letter @ ('G' | 'K' | 'M')) if whole => {
            let bytes = |unit: &str| match size(&format!("{number}{unit}")) {
                Ok(bytes) => bytes.to_string(),
                Err(_) => "far too many".to_owned(),
            };
            let (binary, decimal) = (format!("{letter}iB"), format!("{letter}B"));
            format!(
                "write \"{number}{binary}\" ({} bytes) or \"{number}{decimal}\" ({} bytes)",
                bytes(&binary),
                bytes(&decimal)
            )
        }
        Some('B') if whole => format!("write \"{number}B\""),
        None if whole => format!("add the unit: \"{number}B\" or \"{number}KiB\""),
        _ => "write a whole number with a unit: \"512B\", \"16KiB\", \"10MB\"".to_owned(),
    };
    (what, fix)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h30m"), Ok(Duration::from_secs(5400)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for (text, fix) in [
            ("30", "add the unit: \"30s\" or \"30ms\""),
            ("30 s", "write \"30s\""),
            ("5min", "write \"5m\""),
            ("5S", "write \"5s\""),
        ] {
            assert_eq!(
                duration(text).map_err(|refusal| refusal.1),
                Err(fix.to_owned())
            );
        }
        for text in [
            "",
            "s",
            "1.5s",
            "-1s",
            "1m1h",
            "1s1s",
            "5s ",
            "99999999999999999999s",
        ] {
            assert!(duration(text).is_err(), "{text:?}");
        }
        assert!(duration("18446744073709551615h").is_err());
    }

    #[test]
    fn sizes_are_clear() {
        assert_eq!(size("16KiB"), Ok(16384));
        assert_eq!(size("10MB"), Ok(10_000_000));
        assert_eq!(size("7B"), Ok(7));
        let fix = size("64k").unwrap_err().1;
        assert_eq!(
            fix,
            "write \"64KiB\" (65536 bytes) or \"64KB\" (64000 bytes)"
        );
        assert_eq!(size("9").unwrap_err().1, "add the unit: \"9B\" or \"9KiB\"");
        for text in [
            "",
            "KiB",
            "1.5KiB",
            "-1B",
            "1KiB1B",
            "1 KiB",
            "99999999999999999999B",
        ] {
            assert!(size(text).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(number in 0_u64..=1 << 40) {
            let time = Duration::from_millis(number);
            prop_assert_eq!(duration(&duration_text(time)), Ok(time));
            prop_assert_eq!(size(&size_text(number)), Ok(number));
        }

        #[test]
        fn no_text_upsets_the_readers(text in ".*") {
            let _ = (duration(&text), size(&text));
        }
    }
}
