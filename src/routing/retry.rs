//! When an exchange may be tried again, and how much of that a node affords.
//!
//! A retry is a second request that nobody asked for: when everything fails, retries multiply the
//! load of what is failing. So they are paid for by live requests: over the last ten seconds, in
//! exact seconds, a core starts no more retries of a group than so many percent of its requests of
//! the group and a floor that quiet groups live on. Each core has an account of its own and its
//! share of the floor, at least one retry, so no line is shared and no lock is taken; the bound of
//! a node is the sum of its cores.
//!
//! Rejected: a bucket that fills up to a cap, which either forgets the traffic of a busy second
//! before the failure that needs it, or affords a storm long after the traffic that paid for it.

use std::time::Duration;

use crate::base::window::{WINDOW_SECONDS, Window};

/// What a group tries again. That a connection which could not be had is looked for elsewhere goes
/// without saying; the rest is for whole idempotent requests that are still in our hands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retry {
    /// Answers that broke off before they began, or did not come within `per_try`.
    pub reset: bool,
    /// Answers with one of these.
    pub statuses: StatusSet,
    /// How long each try may wait for its answer, if that is less than the group's time.
    pub per_try: Option<Duration>,
    /// How long the first try may take before a second one is sent beside it.
    pub hedge_after: Option<Duration>,
    /// What it affords.
    pub allowance: Allowance,
}

impl Retry {
    /// Whether anything but a failed connect is a reason, so that requests have to be kept.
    #[inline]
    #[must_use]
    pub fn keeps_requests(&self) -> bool {
        self.reset || !self.statuses.is_empty()
    }
}

/// Statuses from 100 to 611.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatusSet([u64; 8]);

impl StatusSet {
    /// Adds a status.
    pub fn insert(&mut self, status: u16) {
        let at = usize::from(status).wrapping_sub(100);
        if let Some(word) = self.0.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }

    /// Whether a status is in it.
    #[inline]
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        let at = usize::from(status).wrapping_sub(100);
        let word = self.0.get(at / 64);
        word.is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Whether none is.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == [0; 8]
    }
}

/// What one core affords in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    /// Retries in percent of requests.
    pub percent: u32,
    /// Retries beside that.
    pub floor: u32,
}

impl Allowance {
    /// The share of one of `cores` cores of `floor` retries a second.
    #[must_use]
    pub fn of_node(percent: u32, floor: u32, cores: usize) -> Allowance {
        let cores = u32::try_from(cores).unwrap_or(u32::MAX).max(1);
        let floor = (floor * WINDOW_SECONDS as u32).div_ceil(cores);
        Allowance { percent, floor }
    }
}

/// The account of one group on one core.
#[derive(Clone, Debug, Default)]
pub struct Budget(Window);

/// What its window counts.
const REQUESTS: usize = 0;
const RETRIES: usize = 1;

impl Budget {
    /// Notes a request.
    #[inline]
    pub fn enter(&mut self, second: u64) {
        self.0.add(second, REQUESTS, 1);
    }

    /// Takes a retry; false if it cannot be afforded.
    #[must_use]
    pub fn take(&mut self, second: u64, allowance: Allowance) -> bool {
        let sums = self.0.sums(second);
        let paid = sums[REQUESTS] * u64::from(allowance.percent) / 100;
        let affordable = sums[RETRIES] < paid + u64::from(allowance.floor);
        if affordable {
            self.0.add(second, RETRIES, 1);
        }
        affordable
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ENVOY: Allowance = Allowance {
        percent: 20,
        floor: 100,
    };

    proptest! {
        #[test]
        fn any_ten_seconds_keep_to_their_allowance(
            // Seconds passed, requests, and retries wished for in each.
            seconds in proptest::collection::vec((0_u64..4, 0_u32..60, 0_u32..60), 1..60),
            percent in 0_u32..=100,
            floor in 0_u32..20,
        ) {
            let allowance = Allowance { percent, floor };
            let mut budget = Budget::default();
            let (mut now, mut seen) = (0, Vec::new());
            for (passed, requests, wishes) in seconds {
                now += passed;
                (0..requests).for_each(|_| budget.enter(now));
                let taken = (0..wishes).filter(|_| budget.take(now, allowance)).count() as u64;
                seen.push((now, u64::from(requests), taken));
                let window = seen.iter().filter(|(at, ..)| at + 10 > now);
                let sums = window.fold((0, 0), |sum, seen| (sum.0 + seen.1, sum.1 + seen.2));
                let most = sums.0 * u64::from(percent) / 100 + u64::from(floor);
                prop_assert!(sums.1 <= most.max(sums.1 - taken), "{sums:?} {most}");
                let more_wished = taken < u64::from(wishes);
                prop_assert!(!more_wished || sums.1 >= most, "given up too early");
            }
        }
    }

    #[test]
    fn in_a_total_outage_attempts_are_a_fifth_more_than_requests() {
        let mut budget = Budget::default();
        let (mut requests, mut attempts) = (0_u64, 0_u64);
        for second in 0..600 {
            for _ in 0..1000 {
                budget.enter(second);
                requests += 1;
                attempts += 1 + (0..2).filter(|_| budget.take(second, ENVOY)).count() as u64;
            }
        }
        let most = requests * 12 / 10 + 10 * 600 + 100;
        assert!(
            attempts <= most && attempts > requests * 11 / 10,
            "{attempts}"
        );
    }

    #[test]
    fn a_quiet_group_lives_on_the_floor_and_each_core_has_one() {
        let shares = [1, 2, 3, 256].map(|cores| Allowance::of_node(20, 10, cores).floor);
        assert_eq!(shares, [100, 50, 34, 1]);
        let mut budget = Budget::default();
        let taken =
            |budget: &mut Budget, now| (0..1000).filter(|_| budget.take(now, ENVOY)).count();
        assert_eq!(taken(&mut budget, 5), 100);
        assert_eq!(taken(&mut budget, 14), 0);
        assert_eq!(taken(&mut budget, 15), 100);
        assert_eq!(taken(&mut budget, 1_000_000), 100);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = StatusSet::default();
        assert!(set.is_empty());
        [500, 503, 599, 100]
            .into_iter()
            .for_each(|status| set.insert(status));
        let held: Vec<u16> = (0..1000).filter(|status| set.contains(*status)).collect();
        assert_eq!(held, [100, 500, 503, 599]);
        set.insert(99);
        set.insert(700);
        assert!(!set.contains(99) && !set.contains(700) && !set.is_empty());
    }
}
