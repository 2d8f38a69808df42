//! Passive ejection of one backend: for how long, and when that is forgotten.
//!
//! As Envoy has it: the n-th ejection lasts n times the base (or, for breakers, twice as long as
//! the one before), up to a maximum, and every interval in which the backend was in rotation takes
//! one off the count, so that a backend that was bad once is not punished for ever.

use std::time::Duration;

use super::Moment;

/// How long ejections last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionTimes {
    /// The first one.
    pub base: Duration,
    /// The longest.
    pub max: Duration,
    /// In rotation for so long, the count falls by one.
    pub interval: Duration,
    /// How they grow.
    pub growth: Growth,
}

/// How ejections grow with their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// Each lasts twice as long as the one before.
    Doubling,
    /// Each lasts the base longer.
    Linear,
}

/// Doublings that count; more would overflow before the longest cuts them.
const DOUBLINGS_MAX: u32 = 20;

/// The machine of one backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejection {
    until: Option<Moment>,
    times: u32,
    /// Since when it has been in rotation, less the intervals already credited.
    credited: Moment,
}

impl Ejection {
    /// Whether it is out now.
    #[must_use]
    pub fn is_ejected(&self) -> bool {
        self.until.is_some()
    }

    /// Until when it is out.
    #[must_use]
    pub fn until(&self) -> Option<Moment> {
        self.until
    }

    /// How often it was ejected, as far as that is remembered.
    #[must_use]
    pub fn times(&self) -> u32 {
        self.times
    }

    /// The machine of one that another process has taken out `times` times, the last time until
    /// `until`.
    #[must_use]
    pub fn after(times: u32, until: Option<Moment>, now: Moment) -> Ejection {
        Ejection {
            until,
            times,
            credited: now,
        }
    }

    /// Takes it out; answers until when. One that is out already stays as it is.
    pub fn eject(&mut self, times: &EjectionTimes, now: Moment) -> Moment {
        if let Some(until) = self.until {
            return until;
        }
        self.forget(times, now);
        self.times = self.times.saturating_add(1);
        let factor = match times.growth {
            Growth::Doubling => 1 << (self.times - 1).min(DOUBLINGS_MAX),
            Growth::Linear => self.times,
        };
        let lasts = times.base.saturating_mul(factor);
        let until = now + lasts.min(times.max.max(times.base));
        self.until = Some(until);
        until
    }

    /// Whether its time is over by `now`; then it is back in rotation.
    pub fn expire(&mut self, now: Moment) -> bool {
        let over = self.until.is_some_and(|until| until <= now);
        if over {
            self.lift(now);
        }
        over
    }

    /// Back in rotation before its time; answers whether it was out.
    pub fn lift(&mut self, now: Moment) -> bool {
        self.credited = now;
        self.until.take().is_some()
    }

    /// Credits the time it was in rotation.
    pub fn forget(&mut self, times: &EjectionTimes, now: Moment) {
        if self.until.is_some() || times.interval.is_zero() || self.times == 0 {
            return;
        }
        let well = now.saturating_sub(self.credited);
        let intervals = well.as_nanos() / times.interval.as_nanos();
        let taken = u32::try_from(intervals).unwrap_or(u32::MAX).min(self.times);
        self.times -= taken;
        self.credited = match self.times {
            0 => now,
            _ => self.credited + times.interval * taken,
        };
    }
}

/// What tests of ejections, breakers and rotation go by.
#[cfg(test)]
pub(super) const TIMES: EjectionTimes = EjectionTimes {
    base: Duration::from_secs(30),
    max: Duration::from_secs(300),
    interval: Duration::from_secs(10),
    growth: Growth::Linear,
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn doubled_ejections_are_cut_at_the_longest() {
        let times = EjectionTimes {
            base: Duration::from_secs(5),
            growth: Growth::Doubling,
            ..TIMES
        };
        let mut ejection = Ejection::default();
        let mut now = Duration::ZERO;
        let mut lasted = Vec::new();
        for _ in 0..40 {
            let until = ejection.eject(&times, now);
            lasted.push((until - now).as_secs());
            now = until;
            assert!(ejection.expire(now));
        }
        assert_eq!(lasted[..8], [5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(lasted.last(), Some(&300));
    }

    #[test]
    fn ejections_last_longer_each_time_up_to_the_maximum() {
        let mut ejection = Ejection::default();
        let mut now = Duration::ZERO;
        let mut lasted = Vec::new();
        for _ in 0..12 {
            let until = ejection.eject(&TIMES, now);
            lasted.push((until - now).as_secs());
            assert_eq!(ejection.eject(&TIMES, now), until, "out is out");
            assert!(!ejection.expire(until - Duration::from_millis(1)));
            assert!(ejection.expire(until));
            now = until + Duration::from_secs(1);
        }
        assert_eq!(
            lasted,
            [30, 60, 90, 120, 150, 180, 210, 240, 270, 300, 300, 300]
        );
    }

    #[test]
    fn time_in_rotation_takes_it_back_one_by_one() {
        let mut ejection = Ejection::default();
        for _ in 0..3 {
            ejection.eject(&TIMES, Duration::ZERO);
            ejection.lift(Duration::ZERO);
        }
        ejection.forget(&TIMES, Duration::from_secs(9));
        assert_eq!(ejection.times(), 3);
        ejection.forget(&TIMES, Duration::from_secs(15));
        assert_eq!(ejection.times(), 2);
        ejection.forget(&TIMES, Duration::from_secs(20));
        assert_eq!(ejection.times(), 1);
        ejection.forget(&TIMES, Duration::from_secs(1000));
        assert_eq!(ejection.times(), 0);
        let until = ejection.eject(&TIMES, Duration::from_secs(1000));
        assert_eq!(until, Duration::from_secs(1030));
    }

    proptest! {
        #[test]
        fn an_ejection_lasts_from_base_to_max(steps in prop::collection::vec(0_u64..600, 1..60)) {
            let mut ejection = Ejection::default();
            let mut now = Duration::ZERO;
            for step in steps {
                now += Duration::from_secs(step);
                ejection.expire(now);
                let was_out = ejection.is_ejected();
                let until = ejection.eject(&TIMES, now);
                prop_assert!(until > now && until <= now + TIMES.max);
                prop_assert!(was_out || until >= now + TIMES.base);
            }
        }
    }
}
