//! When traffic itself shows that a backend has failed, and how many may be out at one time.
//!
//! The words and figures are Envoy's, but for the largest share. The cores judge rows of failures,
//! because these need no history; what needs one (success rate, time in ejection) is judged by the
//! control thread, by the same limits. The largest share holds for both: who would exceed it goes
//! on being used. By default half may be out, so that the rest is never below the panic threshold.

use std::time::Duration;

use super::standing::{Cause, Outcome, Thresholds};
use super::table::Group;
use crate::base::id::BackendIndex;

/// How outliers of a group are found and treated. Factors are in thousandths; 0 turns a judgement
/// off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outlier {
    /// Failures in a row that are too many.
    pub thresholds: Thresholds,
    /// Backends that may be out at one time, in percent of all.
    pub ejected_max_percent: u32,
    /// One may be out whatever the percentage, unless it is the only one.
    pub always_eject_one: bool,
    /// How long the first ejection lasts; each further one lasts this much longer.
    pub base_ejection: Duration,
    /// The longest ejection.
    pub ejection_max: Duration,
    /// How often the control thread judges.
    pub interval: Duration,
    /// Success rate: so many standard deviations below the mean are too far.
    pub success_rate_stdev_factor: u32,
    /// Backends with enough requests that make a mean.
    pub success_rate_minimum_hosts: u32,
    /// Requests of one interval that are enough.
    pub success_rate_request_volume: u32,
    /// Failures in percent of its requests that are too many.
    pub failure_percentage: u32,
    /// Backends with enough requests before that is judged.
    pub failure_percentage_minimum_hosts: u32,
    /// Requests of one interval that are enough.
    pub failure_percentage_request_volume: u32,
    /// Response time: so many standard deviations above the mean are too far.
    pub latency_stdev_factor: u32,
    /// Exchanges one that was ejected must pass before it is readmitted; 0 readmits by time alone.
    pub trials: u32,
    /// With less than this percentage available all are used; 0 never does that.
    pub panic_threshold: u32,
}

impl Default for Outlier {
    /// As Envoy has it, but for failed connects, which it counts with the rest, and for the share,
    /// which there is 10 percent: none of fewer than ten.
    fn default() -> Self {
        Outlier {
            thresholds: Thresholds {
                server: 5,
                gateway: 0,
                connect: 3,
                broken: 5,
            },
            ejected_max_percent: 50,
            always_eject_one: false,
            base_ejection: Duration::from_secs(30),
            ejection_max: Duration::from_secs(300),
            interval: Duration::from_secs(10),
            success_rate_stdev_factor: 1900,
            success_rate_minimum_hosts: 5,
            success_rate_request_volume: 100,
            failure_percentage: 0,
            failure_percentage_minimum_hosts: 5,
            failure_percentage_request_volume: 50,
            latency_stdev_factor: 0,
            trials: 0,
            panic_threshold: 50,
        }
    }
}

impl Outlier {
    /// How many of `backends` may be out at one time.
    #[must_use]
    pub fn ejected_max(&self, backends: usize) -> usize {
        let share = backends * self.ejected_max_percent as usize / 100;
        let least = usize::from(self.always_eject_one && backends > 1);
        share.max(least)
    }
}

/// What came of suspending a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspension {
    /// It was suspended before.
    Already,
    /// This caller has suspended it.
    Done,
    /// As many are out as may be.
    Refused,
}

impl Group {
    /// Backends that are suspended now.
    #[must_use]
    pub fn suspended(&self) -> usize {
        let out = |backend: &&super::table::Backend| backend.standing.is_suspended();
        self.backends.iter().filter(out).count()
    }

    /// Suspends a backend if one more may be out. Of callers who exceed the share together none
    /// may win, never too many.
    pub fn suspend(&self, index: BackendIndex) -> Suspension {
        let Some(backend) = self.backends.get(index.index()) else {
            return Suspension::Refused;
        };
        if !backend.standing.suspend() {
            return Suspension::Already;
        }
        if self.suspended() > self.outlier.ejected_max(self.backends.len()) {
            backend.standing.undo_suspend();
            return Suspension::Refused;
        }
        Suspension::Done
    }

    /// Notes what an exchange showed of a backend, and suspends it if that was one failure too
    /// many; the cause if this caller has done it, who then tells the control thread.
    #[inline]
    pub fn observe(&self, index: BackendIndex, outcome: Outcome) -> Option<Cause> {
        let backend = self.backends.get(index.index())?;
        let cause = backend.standing.note(outcome, &self.outlier.thresholds)?;
        (self.suspend(index) == Suspension::Done).then_some(cause)
    }
}

#[cfg(test)]
mod tests;
