//! How fast one node may write: a bucket of tokens. Time is an argument.

use std::time::{Duration, Instant};

/// Writes at once after a pause.
const BURST: u32 = 50;

/// Time one write is worth: 25 a second for as long as it takes.
const ONE: Duration = Duration::from_millis(40);

/// Writes that may still be made.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the bucket is full again.
    full: Instant,
}

impl Pace {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Pace {
        Pace { full: now }
    }

    /// Takes one token; answers how long to wait before it counts.
    pub(super) fn wait_for_one(&mut self, now: Instant) -> Duration {
        self.full = self.full.max(now) + ONE;
        (self.full - now).saturating_sub(BURST * ONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_free_and_then_each_write_waits_for_its_turn() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..BURST {
            assert_eq!(pace.wait_for_one(start), Duration::ZERO);
        }
        for turn in 1..=10 {
            assert_eq!(pace.wait_for_one(start), turn * ONE);
        }
        // All of it is paid back by time, and no more than a burst is saved up.
        let later = start + 1000 * ONE;
        for _ in 0..BURST {
            assert_eq!(pace.wait_for_one(later), Duration::ZERO);
        }
        assert_eq!(pace.wait_for_one(later), ONE);
    }

    #[test]
    fn whoever_asks_when_told_never_exceeds_the_rate() {
        let start = Instant::now();
        let (mut pace, mut now) = (Pace::new(start), start);
        for _ in 0..500 {
            now += pace.wait_for_one(now);
        }
        assert!(
            now - start >= (500 - BURST) * ONE - ONE,
            "{:?}",
            now - start
        );
    }
}
