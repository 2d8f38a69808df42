//! When the node is overloaded, and what it does then.

use std::time::Duration;

use super::super::checked::{Overload, RefuseWith};
use super::super::problem::Problems;
use super::super::raw;
use super::super::raw::Size;
use super::super::reader::Scalar;
use super::values::{choice, duration, number, number_or_none, out_of_range, size_or_none};

/// Below this an idle node would shed what it needs for itself.
const THRESHOLD_MIN: u32 = 10;
/// A node needs a few megabytes before anybody connects.
const MEMORY_MIN: u64 = 32 * 1024 * 1024;

pub(super) fn check(raw: &raw::Overload, problems: &mut Problems<'_>) -> Overload {
    let stop_keep_alive = threshold(&raw.stop_keep_alive, 85, problems);
    let close_idle = threshold(&raw.close_idle, 90, problems);
    let refuse = threshold(&raw.refuse, 95, problems);
    let refuse_with = choice(
        &raw.refuse_with,
        RefuseWith::Unavailable,
        &[
            ("503", RefuseWith::Unavailable),
            ("reset", RefuseWith::Reset),
        ],
        problems,
    );
    Overload {
        connections_max: number_or_none(&raw.connections_max, 1..=100_000_000, problems),
        memory_max: memory_max(&raw.memory_max, problems),
        stall_max: number_or_none(&raw.stall_max, 1..=100, problems),
        stop_keep_alive,
        close_idle,
        refuse,
        hysteresis: number(&raw.hysteresis, 5, 0..=THRESHOLD_MIN - 1, problems),
        idle_min: duration(
            &raw.idle_min,
            Duration::from_secs(1),
            Duration::ZERO,
            problems,
        ),
        refuse_with,
    }
}

/// Percent, or "never".
fn threshold(written: &Size, default: u32, problems: &mut Problems<'_>) -> Option<u32> {
    let Some(written) = written else {
        return Some(default);
    };
    match &written.value {
        Scalar::Text(text) if text == "never" => return None,
        Scalar::Integer(number) => match u32::try_from(*number) {
            Ok(percent) if (THRESHOLD_MIN..=100).contains(&percent) => return Some(percent),
            _ => out_of_range(&written.at, number, THRESHOLD_MIN, 100, problems),
        },
        Scalar::Text(text) => {
            let fix = "write percent as a number without quotes, or \"never\"";
            problems.error(&written.at, format!("{text:?} is no threshold"), fix);
        }
    }
    Some(default)
}

fn memory_max(written: &Size, problems: &mut Problems<'_>) -> Option<u64> {
    let bytes = size_or_none(written, problems)?;
    if let (true, Some(written)) = (bytes < MEMORY_MIN, written) {
        let what = "a node needs more memory than that before anybody connects";
        problems.error(&written.at, what, "write at least \"32MiB\", or \"none\"");
    }
    Some(bytes)
}
