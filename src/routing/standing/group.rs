//! What holds for a whole group at this moment: panic, and its circuit breaker.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64};

/// Where a circuit breaker stands, as cores and metrics see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum BreakerState {
    /// Everything goes through.
    Closed = 0,
    /// A few exchanges go through.
    HalfOpen = 1,
    /// Nothing goes through.
    Open = 2,
}

impl BreakerState {
    /// Its word in pages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::HalfOpen => "half_open",
            BreakerState::Open => "open",
        }
    }
}

/// What holds for a whole group, by group slot. A clone is the same one.
#[derive(Clone, Debug, Default)]
pub struct GroupStanding(Arc<Cell>);

#[derive(Debug, Default)]
struct Cell {
    panicking: AtomicBool,
    breaker: AtomicU8,
    /// Exchanges that may go through although the breaker is not closed.
    trials: AtomicU32,
    /// When its breaker is tried, and when the first of its backends comes back, in milliseconds
    /// since 1970; 0 where that is not known.
    returns: [AtomicU64; 2],
}

/// What clients of a group that is closed wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// The first backend that comes back.
    Backend,
    /// The next trial of its breaker.
    Breaker,
}

impl GroupStanding {
    /// When that is to be, in milliseconds since 1970; 0 where it is not known, or past.
    #[must_use]
    pub fn returns(&self, what: Return) -> u64 {
        self.0.returns[what as usize].load(Relaxed)
    }

    /// Says when that is to be. Only the control thread may call it.
    pub fn set_returns(&self, what: Return, unix_millis: u64) {
        self.0.returns[what as usize].store(unix_millis, Relaxed);
    }

    /// Whether so many are out that all are used: a pick then looks at no availability.
    #[inline]
    #[must_use]
    pub fn is_panicking(&self) -> bool {
        self.0.panicking.load(Relaxed)
    }

    /// Begins or ends panic. Only the control thread may call it.
    pub fn set_panicking(&self, panicking: bool) {
        self.0.panicking.store(panicking, Relaxed);
    }

    /// Where its breaker stands.
    #[inline]
    #[must_use]
    pub fn breaker(&self) -> BreakerState {
        match self.0.breaker.load(Acquire) {
            0 => BreakerState::Closed,
            1 => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        }
    }

    /// Says where its breaker stands, and how many exchanges may go through where that is counted.
    /// Only the control thread may call it.
    pub fn set_breaker(&self, state: BreakerState, trials: u32) {
        self.0.trials.store(trials, Relaxed);
        self.0.breaker.store(state as u8, Release);
    }

    /// Whether a trial is left.
    #[must_use]
    pub fn has_trials(&self) -> bool {
        self.0.trials.load(Relaxed) > 0
    }

    /// Takes a trial if one is left.
    #[must_use]
    pub fn take_trial(&self) -> Option<GroupTrial> {
        let one_less = |left: u32| left.checked_sub(1);
        let taken = self.0.trials.fetch_update(AcqRel, Acquire, one_less);
        taken.ok().map(|_| GroupTrial(Some(self.clone())))
    }
}

/// The right of one exchange to go through; dropping it gives it back, unless it was spent.
#[derive(Debug)]
pub struct GroupTrial(Option<GroupStanding>);

impl GroupTrial {
    /// It has shown something, so nobody else needs it.
    pub fn spend(mut self) {
        self.0 = None;
    }
}

impl Drop for GroupTrial {
    fn drop(&mut self) {
        if let Some(standing) = &self.0 {
            standing.0.trials.fetch_add(1, AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trials_are_counted_for_all_and_come_back_unless_they_are_spent() {
        let standing = GroupStanding::default();
        assert_eq!(standing.breaker(), BreakerState::Closed);
        assert!(standing.take_trial().is_none());
        standing.set_breaker(BreakerState::HalfOpen, 2);
        let clone = standing.clone();
        let (first, second) = (standing.take_trial().unwrap(), clone.take_trial().unwrap());
        assert!(standing.take_trial().is_none() && !standing.has_trials());
        first.spend();
        assert!(!standing.has_trials());
        drop(second);
        assert!(clone.take_trial().is_some());
        standing.set_breaker(BreakerState::Open, 0);
        assert_eq!(clone.breaker(), BreakerState::Open);
    }

    #[test]
    fn of_all_threads_no_more_go_through_than_there_are_trials() {
        let standing = GroupStanding::default();
        standing.set_breaker(BreakerState::HalfOpen, 5);
        let through = AtomicU32::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        if let Some(trial) = standing.take_trial() {
                            through.fetch_add(1, Relaxed);
                            trial.spend();
                        }
                    }
                });
            }
        });
        assert_eq!(through.into_inner(), 5);
    }
}
