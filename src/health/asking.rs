//! Probes of load: how many are due, and whom they ask.
//!
//! As many probes as requests, or some other part of them, so that what they cost follows what
//! they are for; a floor, so that somebody is known when requests come after a silence; and a
//! ceiling, because they are made by one thread. All backends are asked in turn, in an order that
//! is drawn anew for each round: that is drawing without repetition, and keeps the oldest answer
//! as young as it can be. Prequal draws for each probe, and so leaves some unasked by chance.

use super::Moment;

/// Probes in a second at least.
const RATE_LEAST: f64 = 10.0;

/// What was not asked when it was due is not made up for beyond this, in seconds.
const LATE_MAX: f64 = 0.1;

/// Whom to ask, and when.
#[derive(Clone, Debug)]
pub struct Asking {
    per_request: f64,
    rate_max: f64,
    /// Probes that are due, and a part of the next.
    credit: f64,
    /// Requests there were until then, and when.
    looked: Option<(u64, Moment)>,
    order: Vec<u32>,
    at: usize,
}

impl Asking {
    /// So many probes for each request, and in a second at most.
    #[must_use]
    pub fn new(per_request: f64, rate_max: f64) -> Asking {
        Asking {
            per_request,
            rate_max: rate_max.max(RATE_LEAST),
            credit: 0.0,
            looked: None,
            order: Vec::new(),
            at: 0,
        }
    }

    /// How many are due, if there were so many requests until now in all.
    pub fn due(&mut self, requests: u64, now: Moment) -> u32 {
        let Some((before, then)) = self.looked.replace((requests, now)) else {
            return 0;
        };
        let passed = now.saturating_sub(then).as_secs_f64();
        let more = requests.wrapping_sub(before) as f64 * self.per_request;
        self.credit += more.clamp(passed * RATE_LEAST, passed * self.rate_max);
        self.credit = self.credit.min((self.rate_max * LATE_MAX).max(1.0));
        let due = self.credit.floor();
        self.credit -= due;
        due as u32
    }

    /// Whom to ask next, of so many; `draw` gives 64 bits by chance.
    pub fn next(&mut self, count: usize, mut draw: impl FnMut() -> u64) -> Option<u32> {
        if self.order.len() != count || self.at >= self.order.len() {
            self.order.clear();
            self.order.extend((0_u32..).take(count));
            for left in (1..count).rev() {
                let other = (u128::from(draw()) * (left as u128 + 1)) >> 64;
                self.order.swap(left, other as usize);
            }
            self.at = 0;
        }
        let next = self.order.get(self.at).copied();
        self.at += 1;
        next
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    fn asked(asking: &mut Asking, rate: u64, seconds: u64) -> u32 {
        let mut due = 0;
        let begun = asking.looked.map_or((0, Moment::ZERO), |looked| looked);
        for step in 0..=seconds * 100 {
            let now = begun.1 + Duration::from_millis(10 * step);
            due += asking.due(begun.0 + rate * step / 100, now);
        }
        due
    }

    #[test]
    fn probes_follow_requests_between_a_floor_and_a_ceiling() {
        for (per_request, rate, expected) in [
            (1.0, 300, 600),
            (0.5, 300, 300),
            (3.0, 300, 1000),
            (1.0, 0, 20),
        ] {
            let mut asking = Asking::new(per_request, 500.0);
            let due = asked(&mut asking, rate, 2);
            let near = due.abs_diff(expected) <= 2;
            assert!(near, "{per_request} of {rate}: {due}, not {expected}");
        }
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let mut asking = Asking::new(1.0, 1000.0);
        asking.due(0, Moment::ZERO);
        assert_eq!(asking.due(1_000_000, Duration::from_secs(60)), 100);
        assert_eq!(asking.due(1_000_001, Duration::from_secs(60)), 0);
    }

    #[test]
    fn each_is_asked_once_in_a_round_and_rounds_differ() {
        let mut asking = Asking::new(1.0, 100.0);
        let mut state = 7_u64;
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state
        };
        let mut round = |asking: &mut Asking| -> Vec<u32> {
            (0..20).filter_map(|_| asking.next(20, &mut draw)).collect()
        };
        let (first, second) = (round(&mut asking), round(&mut asking));
        for one in [&first, &second] {
            assert_eq!(one.iter().collect::<BTreeSet<_>>().len(), 20, "{one:?}");
        }
        assert_ne!(first, second);
        // Another number of backends begins another round.
        let smaller: BTreeSet<u32> = (0..3).filter_map(|_| asking.next(3, || 1)).collect();
        assert_eq!(smaller, BTreeSet::from([0, 1, 2]));
        assert_eq!(asking.next(0, || 1), None);
    }
}
