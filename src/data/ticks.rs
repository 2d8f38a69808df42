//! Ticks, the unit of all deadlines.
//!
//! A deadline may be noticed a tick or two late, never early. Short ones, as that of a single try,
//! are what the length of a tick is for: ten milliseconds late is a fifth of 50. Those of a second
//! and more are gathered at every tenth tick, so that thousands of idle connections wake a worker
//! ten times a second and not a hundred times.

use std::time::Duration;

/// Length of a tick.
pub(super) const TICK_MILLIS: u64 = 10;

/// Deadlines that far away are gathered.
const FAR: u64 = 1000 / TICK_MILLIS;

/// Ticks at which they are.
const GATHERED: u64 = 10;

/// A duration in ticks, rounded up, at least one.
pub(super) fn ticks(duration: Duration) -> u64 {
    let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2);
    millis.div_ceil(TICK_MILLIS) + 1
}

/// The same, where many of them are kept: 497 days at most.
pub(super) fn few_ticks(duration: Duration) -> u32 {
    u32::try_from(ticks(duration)).unwrap_or(u32::MAX)
}

/// The tick at which a deadline is noticed that was set for `tick` at tick `now`.
pub(super) fn noticed_at(tick: u64, now: u64) -> u64 {
    match tick.saturating_sub(now) {
        0..FAR => tick,
        _ => tick.checked_next_multiple_of(GATHERED).unwrap_or(tick),
    }
}

/// How long it is from `micros`, the time since ticks began, until a tick begins.
pub(super) fn until(tick: u64, micros: u64) -> Duration {
    let due = tick.saturating_mul(TICK_MILLIS * 1000);
    Duration::from_micros(due.saturating_sub(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early_and_a_short_one_hardly_late() {
        for millis in [0, 1, 9, 10, 11, 50, 990, 1000, 60_000] {
            let wanted = Duration::from_millis(millis);
            for begun in 0..2 * TICK_MILLIS * 1000 {
                let now = begun / (TICK_MILLIS * 1000);
                let at = noticed_at(now + ticks(wanted), now);
                let waited = until(at, begun);
                assert!(waited >= wanted, "{waited:?} for {wanted:?}");
                let late = if millis < 950 { 20 } else { 120 };
                assert!(waited <= wanted + Duration::from_millis(late));
            }
        }
    }

    #[test]
    fn far_deadlines_meet() {
        let now = 12_345;
        let noticed: std::collections::BTreeSet<u64> = (0..1000)
            .map(|tick| noticed_at(now + 5000 + tick, now))
            .collect();
        assert!(noticed.len() <= 101, "{}", noticed.len());
        assert_eq!(noticed_at(u64::MAX, now), u64::MAX);
    }
}
