//! When a client that found nobody to serve it should ask again.
//!
//! That is when something may have changed: when the breaker of its group is tried, or the first of
//! its backends comes back. A little chance is added, because all who were refused would otherwise
//! come back in the same second, onto the first backend that is there again.

/// The longest wait a client is told. What is out for an hour may be back by a check before.
pub const SECONDS_MAX: u32 = 60;

/// The share of a wait that chance may add.
const SPREAD: u32 = 4;

/// Seconds to wait for something at `returns`, in milliseconds as `now` is; 0 where no time is
/// known.
#[must_use]
pub fn retry_after(returns: u64, now: u64, chance: u64) -> u32 {
    let left = returns.saturating_sub(now).div_ceil(1000);
    let longest = SECONDS_MAX - SECONDS_MAX.div_ceil(SPREAD + 1);
    let wait = u32::try_from(left).unwrap_or(u32::MAX).clamp(1, longest);
    let spread = u64::from(wait.div_ceil(SPREAD));
    wait + u32::try_from(chance % (spread + 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn clients_are_spread_over_a_part_of_the_wait() {
        let waits = |returns: u64| {
            let mut waits: Vec<u32> = (0..100)
                .map(|chance| retry_after(returns, 10_000, chance))
                .collect();
            waits.sort_unstable();
            waits.dedup();
            waits
        };
        assert_eq!(waits(0), [1, 2], "nothing is known");
        assert_eq!(waits(9_000), [1, 2], "it is over");
        assert_eq!(waits(17_001), [8, 9, 10]);
        assert_eq!(waits(u64::MAX), (48..=60).collect::<Vec<u32>>());
    }

    proptest! {
        #[test]
        fn nobody_comes_too_early_or_waits_for_ever(
            left in 0_u64..200_000,
            now in any::<u32>(),
            chance in any::<u64>(),
        ) {
            let now = u64::from(now);
            let wait = retry_after(now + left, now, chance);
            prop_assert!((1..=SECONDS_MAX).contains(&wait));
            prop_assert!(u64::from(wait) * 1000 >= left.min(48_000));
            prop_assert!(u64::from(wait) <= 2 + left.div_ceil(1000) * 5 / 4 + 1);
        }
    }
}
