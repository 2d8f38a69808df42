//! The breaker of the group, as one node has it: opened by a share of failures of all backends
//! together, tried after a while, closed by trials that end well.
//!
//! The windows, the rates and the machine are the product's; what joins them is as in
//! `control::health::breakers`.

use crate::health::Moment;
use crate::health::breaker::{ErrorRate, Step};
use crate::health::ejection::{EjectionTimes, Growth};
use crate::health::rotation::Rotation;
use crate::routing::breaker::Errors;
use crate::routing::standing::BreakerState;
use crate::routing::table::Group;

/// The breaker of one node's group.
pub(super) struct GroupBreaker {
    errors: Errors,
    times: EjectionTimes,
    rotation: Rotation,
}

impl GroupBreaker {
    /// Of a group whose failures open breakers.
    pub(super) fn of(group: &Group) -> Option<GroupBreaker> {
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

    /// There were so many tries and failures in the last ten seconds; true when it closes by that.
    pub(super) fn judge(&mut self, group: &Group, sums: [u64; 2], now: Moment) -> bool {
        let (patience, left) = (self.times.interval, group.standing.has_trials());
        let mut step = self.rotation.tick(self.errors.trials, patience, left, now);
        let rate = ErrorRate {
            percent: self.errors.group_percent,
            volume: self.errors.volume,
        };
        if !self.rotation.is_out() && rate.trips(sums[0], sums[1]) {
            step = self.rotation.eject(&self.times, now);
        }
        follow(group, step)
    }

    /// A trial has ended; true when it closes by that.
    pub(super) fn tried(&mut self, group: &Group, passed: bool, now: Moment) -> bool {
        let step = self.rotation.tried(passed, &self.times, now);
        follow(group, step)
    }
}

fn follow(group: &Group, step: Step) -> bool {
    let (state, trials) = match step {
        Step::Nothing => return false,
        Step::Close => (BreakerState::Closed, 0),
        Step::Try(count) => (BreakerState::HalfOpen, count),
        Step::Open(_) => (BreakerState::Open, 0),
    };
    group.standing.set_breaker(state, trials);
    state == BreakerState::Closed
}
