//! How long a worker waits for company before it wakes.
//!
//! A turn that handles many completions costs the kernel and us less for each of them than many
//! turns that handle one. Under load the next completions are microseconds away, so it pays to
//! wait for as many as the last turns brought, but only that many and only for a moment. On a
//! quiet worker nothing waits: the first completion wakes it, and no latency is added. Pure.

/// Average below which the first completion wakes the worker.
const ALONE_BELOW: u32 = 3;

/// Average from which a turn is large and the longer grace pays.
const CROWD_FROM: u32 = 8;

/// Completions waited for at most.
const WANT_MAX: u32 = 32;

/// Microseconds of grace for small and for large turns.
const GRACE_SMALL: u32 = 20;
const GRACE_LARGE: u32 = 50;

/// The average is kept in units of 1/16 completion and moves by 1/8 of the difference a turn.
const UNIT: u32 = 16;
const SMOOTHING: u32 = 8;

/// The smoothed number of completions a turn brings.
pub(super) struct Pace {
    average: u32,
    /// The kernel knows a minimum wait (6.12 or newer).
    supported: bool,
}

impl Pace {
    /// A worker that has seen nothing yet.
    pub(super) fn new(supported: bool) -> Pace {
        Pace {
            average: 0,
            supported,
        }
    }

    /// A turn brought `count` completions.
    pub(super) fn turn_brought(&mut self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX).min(4 * WANT_MAX) * UNIT;
        self.average = self.average - self.average / SMOOTHING + count / SMOOTHING;
    }

    /// How many completions to wait for, and for how many microseconds; after that the first
    /// one is enough.
    pub(super) fn patience(&self) -> (usize, u32) {
        let average = self.average / UNIT;
        if !self.supported || average < ALONE_BELOW {
            return (1, 0);
        }
        let grace = if average < CROWD_FROM {
            GRACE_SMALL
        } else {
            GRACE_LARGE
        };
        (average.min(WANT_MAX) as usize, grace)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(turns: usize, count: usize) -> (usize, u32) {
        let mut pace = Pace::new(true);
        (0..turns).for_each(|_| pace.turn_brought(count));
        pace.patience()
    }

    #[test]
    fn a_quiet_worker_never_waits_for_company() {
        assert_eq!(after(0, 0), (1, 0));
        assert_eq!(after(100, 1), (1, 0));
        assert_eq!(after(100, 2), (1, 0));
    }

    #[test]
    fn under_load_it_waits_for_what_turns_bring_and_not_for_more() {
        let (want, grace) = after(100, 6);
        assert!((4..=6).contains(&want), "{want}");
        assert_eq!(grace, GRACE_SMALL);
        assert_eq!(after(100, 1000), (WANT_MAX as usize, GRACE_LARGE));
    }

    #[test]
    fn it_forgets_a_burst_within_a_few_turns() {
        let mut pace = Pace::new(true);
        (0..100).for_each(|_| pace.turn_brought(100));
        (0..40).for_each(|_| pace.turn_brought(1));
        assert_eq!(pace.patience(), (1, 0));
    }

    #[test]
    fn without_support_nothing_changes() {
        let mut pace = Pace::new(false);
        (0..100).for_each(|_| pace.turn_brought(100));
        assert_eq!(pace.patience(), (1, 0));
    }
}
