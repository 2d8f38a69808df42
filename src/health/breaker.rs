//! The circuit breaker of one backend: closed, open, half-open.
//!
//! Open is a suspension for the time [`Ejection`](super::ejection::Ejection) says. When that is
//! over a few requests of live traffic are let through, counted for the whole node and not for
//! each core; all of them well closes it, one of them bad opens it again, for longer. Rejected:
//! full traffic at once after the time (Envoy), which a backend that is still ill answers with a
//! burst of errors as large as the one that opened it.

use super::Moment;
use super::ejection::{Ejection, EjectionTimes};

/// A share of failures that opens one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRate {
    /// Failures in percent of tries; 0 for never.
    pub percent: u32,
    /// Tries before anything is judged.
    pub volume: u32,
}

impl ErrorRate {
    /// Whether so many failures of so many tries are too many.
    #[must_use]
    pub fn trips(&self, tries: u64, failures: u64) -> bool {
        let enough = tries > 0 && tries >= u64::from(self.volume);
        self.percent > 0 && enough && failures * 100 >= tries * u64::from(self.percent)
    }
}

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Breaker {
    /// Everything goes through.
    #[default]
    Closed,
    /// A few requests go through.
    HalfOpen {
        /// Those that must still end well.
        missing: u32,
    },
    /// Nothing goes through.
    Open,
}

/// What the passing of time or an outcome asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// All as it was.
    Nothing,
    /// Let everything through.
    Close,
    /// Let so many requests through.
    Try(u32),
    /// Let nothing through, until this moment.
    Open(Moment),
}

impl Breaker {
    /// Opens it, from whichever state.
    pub fn open(&mut self, ejection: &mut Ejection, times: &EjectionTimes, now: Moment) -> Step {
        *self = Breaker::Open;
        Step::Open(ejection.eject(times, now))
    }

    /// Closes it, from whichever state; answers whether it was not closed.
    pub fn close(&mut self, ejection: &mut Ejection, now: Moment) -> bool {
        ejection.lift(now);
        std::mem::take(self) != Breaker::Closed
    }

    /// Time has passed: an open one whose time is over lets `trials` through, or everything when
    /// there are to be none.
    pub fn tick(&mut self, ejection: &mut Ejection, trials: u32, now: Moment) -> Step {
        if *self != Breaker::Open || !ejection.expire(now) {
            return Step::Nothing;
        }
        if trials == 0 {
            *self = Breaker::Closed;
            return Step::Close;
        }
        *self = Breaker::HalfOpen { missing: trials };
        Step::Try(trials)
    }

    /// Trials have ended: `well` of them well and `badly` of them not. Before it is half-open, and
    /// after, outcomes mean nothing: they are of requests that had begun earlier.
    pub fn tried(
        &mut self,
        (well, badly): (u32, u32),
        ejection: &mut Ejection,
        times: &EjectionTimes,
        now: Moment,
    ) -> Step {
        let Breaker::HalfOpen { missing } = self else {
            return Step::Nothing;
        };
        if badly > 0 {
            return self.open(ejection, times, now);
        }
        *missing = missing.saturating_sub(well);
        if *missing > 0 {
            return Step::Nothing;
        }
        *self = Breaker::Closed;
        Step::Close
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::ejection::TIMES;
    use super::*;

    #[test]
    fn it_opens_tries_and_closes() {
        let (mut breaker, mut ejection) = (Breaker::default(), Ejection::default());
        let at = Duration::from_secs;
        let opened = breaker.open(&mut ejection, &TIMES, at(0));
        assert_eq!(opened, Step::Open(at(30)));
        assert_eq!(breaker.tick(&mut ejection, 3, at(29)), Step::Nothing);
        assert_eq!(breaker.tick(&mut ejection, 3, at(30)), Step::Try(3));
        let tried = breaker.tried((2, 0), &mut ejection, &TIMES, at(31));
        assert_eq!(tried, Step::Nothing);
        let tried = breaker.tried((1, 0), &mut ejection, &TIMES, at(32));
        assert_eq!((tried, breaker), (Step::Close, Breaker::Closed));
    }

    #[test]
    fn a_trial_that_fails_opens_it_for_longer() {
        let (mut breaker, mut ejection) = (Breaker::default(), Ejection::default());
        let at = Duration::from_secs;
        breaker.open(&mut ejection, &TIMES, at(0));
        breaker.tick(&mut ejection, 3, at(30));
        let tried = breaker.tried((2, 1), &mut ejection, &TIMES, at(31));
        assert_eq!(tried, Step::Open(at(91)));
        assert_eq!(breaker.tick(&mut ejection, 0, at(91)), Step::Close);
        assert!(!breaker.close(&mut ejection, at(92)), "it was closed");
    }

    #[test]
    fn a_share_is_judged_once_there_is_enough_to_judge() {
        let rate = ErrorRate {
            percent: 50,
            volume: 20,
        };
        assert!(!rate.trips(19, 19) && rate.trips(20, 10) && !rate.trips(21, 10));
        let all = ErrorRate {
            percent: 100,
            ..rate
        };
        assert!(all.trips(20, 20) && !all.trips(1000, 999));
        let never = ErrorRate { percent: 0, ..rate };
        assert!(!never.trips(1000, 1000) && !rate.trips(0, 0));
    }

    proptest! {
        #[test]
        fn it_is_open_exactly_while_its_ejection_lasts(
            steps in prop::collection::vec((0_u8..4, 0_u64..100), 1..100),
        ) {
            let (mut breaker, mut ejection) = (Breaker::default(), Ejection::default());
            let mut now = Duration::ZERO;
            for (what, seconds) in steps {
                now += Duration::from_secs(seconds);
                match what {
                    0 => { breaker.open(&mut ejection, &TIMES, now); }
                    1 => { breaker.close(&mut ejection, now); }
                    2 => { breaker.tick(&mut ejection, 2, now); }
                    _ => {
                        let ended = (1, u32::from(seconds % 7 == 0));
                        breaker.tried(ended, &mut ejection, &TIMES, now);
                    }
                }
                prop_assert_eq!(breaker == Breaker::Open, ejection.is_ejected());
            }
        }
    }
}
