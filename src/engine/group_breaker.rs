//! The breaker of a group as a whole: opened by a share of failures of all backends together,
//! tried after a while, closed by trials that end well.
//!
//! It joins windows, rates and the rotation machine; the control plane has one for each group, the
//! simulator one for each group of each node.

use crate::health::Moment;
use crate::health::breaker::{ErrorRate, Step};
use crate::health::ejection::{EjectionTimes, Growth};
use crate::health::rotation::Rotation;
use crate::routing::breaker::Errors;
use crate::routing::standing::BreakerState;
use crate::routing::table::Group;

/// The breaker of one group.
#[derive(Debug)]
pub struct GroupBreaker {
    /// When failures open it.
    pub errors: Errors,
    /// For how long.
    pub times: EjectionTimes,
    /// Where it stands.
    pub rotation: Rotation,
}

impl GroupBreaker {
    /// Of a group whose failures open breakers.
    #[must_use]
    pub fn of(group: &Group) -> Option<GroupBreaker> {
        let errors = group.breaker.errors.clone()?;
        Some(GroupBreaker {
            times: EjectionTimes {
                base: errors.open_time,
                max: errors.open_max,
                interval: group.outlier.interval,
                growth: Growth::Doubling,
            },
            errors,
            rotation: Rotation::default(),
        })
    }

    /// The share of failures, in percent, that is too much of enough tries.
    #[must_use]
    pub fn rate(&self, percent: u32) -> ErrorRate {
        ErrorRate {
            percent,
            volume: self.errors.volume,
        }
    }

    /// There were so many tries and failures in the last ten seconds.
    pub fn judge(&mut self, group: &Group, [tries, failures]: [u64; 2], now: Moment) -> Step {
        let (patience, left) = (self.times.interval, group.standing.has_trials());
        let step = self.rotation.tick(self.errors.trials, patience, left, now);
        let rate = self.rate(self.errors.group_percent);
        match !self.rotation.is_out() && rate.trips(tries, failures) {
            true => self.rotation.eject(&self.times, now),
            false => step,
        }
    }

    /// A trial has ended.
    pub fn tried(&mut self, passed: bool, now: Moment) -> Step {
        self.rotation.tried(passed, &self.times, now)
    }
}

/// What a step comes to for the cores: the state, and how many requests may try it; `None` where
/// all is as it was.
#[must_use]
pub fn state_after(step: Step) -> Option<(BreakerState, u32)> {
    match step {
        Step::Nothing => None,
        Step::Close => Some((BreakerState::Closed, 0)),
        Step::Try(count) => Some((BreakerState::HalfOpen, count)),
        Step::Open(_) => Some((BreakerState::Open, 0)),
    }
}
