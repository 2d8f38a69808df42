//! Slow start: the share of its traffic a backend gets after it came back.
//!
//! Envoy's rule: the larger of a least share and (time / window)^(1 / aggression), where the time
//! counts as one second at least.

use std::time::Duration;

/// The least share, in percent (Envoy's default).
pub const LEAST_PERCENT: u8 = 10;

/// The share in percent after `since` of a `window`; 100 once it is over, or when there is none.
#[must_use]
pub fn percent(since: Duration, window: Duration, aggression: f64) -> u8 {
    if window.is_zero() || since >= window {
        return 100;
    }
    let time = since.max(Duration::from_secs(1)).as_secs_f64() / window.as_secs_f64();
    let share = time.min(1.0).powf(1.0 / aggression) * 100.0;
    // Rounded down, so that nobody has the whole before the window is over.
    (share as u8).clamp(LEAST_PERCENT, 99)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(30);

    #[test]
    fn it_grows_with_time_from_a_tenth() {
        let at = |seconds| percent(Duration::from_secs(seconds), WINDOW, 1.0);
        assert_eq!((at(0), at(3), at(15), at(29)), (10, 10, 50, 96));
        assert_eq!((at(30), at(31)), (100, 100));
        assert_eq!(percent(Duration::ZERO, Duration::ZERO, 1.0), 100);
        assert!(percent(Duration::from_secs(15), WINDOW, 2.0) == 70);
    }

    proptest! {
        #[test]
        fn it_never_falls(
            first in 0_u64..40_000,
            later in 0_u64..40_000,
            aggression in 0.2_f64..4.0,
        ) {
            let at = |millis| percent(Duration::from_millis(millis), WINDOW, aggression);
            prop_assert!(at(first) <= at(first + later));
            prop_assert!((LEAST_PERCENT..=100).contains(&at(first)));
        }
    }
}
