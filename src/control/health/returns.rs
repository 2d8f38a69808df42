//! Backends that come back: when that may be, which clients are told, and what is forgotten then.

use std::time::Duration;

use crate::control::health::member::Member;
use crate::engine::judging::Totals;
use crate::health::Moment;
use crate::health::breaker::Breaker;

impl Member {
    /// When it may be up again, if that is known: when its ejection is over, or its next check is
    /// due.
    pub(super) fn returns(&self) -> Option<Moment> {
        if self.is_up() || !self.counts() {
            return None;
        }
        match self.rotation.breaker() {
            Breaker::Open => self.rotation.ejection().until(),
            Breaker::Closed | Breaker::HalfOpen { .. } => {
                self.probe.as_ref().map(|probe| probe.due())
            }
        }
    }

    /// It is another than the one that failed or was worked on: nothing it did before counts.
    pub(super) fn begin_anew(&mut self, now: Moment) {
        self.load.latency().forget();
        self.standing.forget_rows();
        self.totals = Totals::of(&self.stats);
        self.counted = Totals::of(&self.stats);
        self.window.clear();
        self.tried_lately = self.window.sums(now.as_secs());
    }
}

/// A time since 1970 in milliseconds, as cores are told it.
pub(super) fn unix_millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}
