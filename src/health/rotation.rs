//! Whether a backend, or a group, is in rotation: its breaker, its ejections, the trials it was
//! given and the checks that may bring it back, as one machine.
//!
//! The control plane has one for each backend and for each group with a breaker, the simulator one
//! for each backend of each node. What a step asks for is done by whoever has it.

use std::time::Duration;

use super::Moment;
use super::breaker::{Breaker, Step};
use super::ejection::{Ejection, EjectionTimes};

/// The machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rotation {
    breaker: Breaker,
    ejection: Ejection,
    /// Checks passed in a row.
    passes: u32,
    /// When trials were last granted.
    granted: Moment,
}

impl Rotation {
    /// Of one that another process took out `times` times: until `until`, if it still is.
    #[must_use]
    pub fn after(times: u32, until: Option<Moment>, now: Moment) -> Rotation {
        Rotation {
            breaker: until.map_or(Breaker::Closed, |_| Breaker::Open),
            ejection: Ejection::after(times, until, now),
            ..Rotation::default()
        }
    }

    /// Whether it is out, or only tried.
    #[must_use]
    pub fn is_out(&self) -> bool {
        self.breaker != Breaker::Closed
    }

    /// Its breaker.
    #[must_use]
    pub fn breaker(&self) -> Breaker {
        self.breaker
    }

    /// Its ejections.
    #[must_use]
    pub fn ejection(&self) -> &Ejection {
        &self.ejection
    }

    /// Takes it out.
    pub fn eject(&mut self, times: &EjectionTimes, now: Moment) -> Step {
        self.passes = 0;
        self.breaker.open(&mut self.ejection, times, now)
    }

    /// Takes it in.
    pub fn readmit(&mut self, now: Moment) {
        self.breaker.close(&mut self.ejection, now);
    }

    /// A trial has ended.
    pub fn tried(&mut self, passed: bool, times: &EjectionTimes, now: Moment) -> Step {
        let ended = if passed { (1, 0) } else { (0, 1) };
        self.breaker.tried(ended, &mut self.ejection, times, now)
    }

    /// A check has ended; answers whether `rise` of them in a row speak against its being out.
    pub fn checked(&mut self, passed: bool, rise: u32) -> bool {
        self.passes = if passed {
            self.passes.saturating_add(1)
        } else {
            0
        };
        self.passes >= rise && self.is_out()
    }

    /// Time has passed: it is let in, or given `trials`. Trials that ended without an outcome are
    /// another's chance, so when `left` says that none is there they are given anew after
    /// `patience`.
    pub fn tick(&mut self, trials: u32, patience: Duration, left: bool, now: Moment) -> Step {
        let step = self.breaker.tick(&mut self.ejection, trials, now);
        let late = now.saturating_sub(self.granted) >= patience;
        let step = match (step, self.breaker) {
            (Step::Nothing, Breaker::HalfOpen { missing }) if !left && late => Step::Try(missing),
            (step, _) => step,
        };
        if matches!(step, Step::Try(_)) {
            self.granted = now;
        }
        step
    }
}

#[cfg(test)]
mod tests {
    use super::super::ejection::TIMES;
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn at(second: u64) -> Moment {
        Duration::from_secs(second)
    }

    #[test]
    fn trials_that_show_nothing_are_given_anew_after_a_while() {
        let mut rotation = Rotation::default();
        rotation.eject(&TIMES, at(0));
        let mut tick = |left, second| rotation.tick(2, PATIENCE, left, at(second));
        assert_eq!(tick(false, 29), Step::Nothing);
        assert_eq!(tick(false, 30), Step::Try(2));
        assert_eq!(tick(false, 39), Step::Nothing, "they may be under way");
        assert_eq!(tick(true, 41), Step::Nothing, "some are left");
        assert_eq!(tick(false, 41), Step::Try(2));
        assert_eq!(rotation.tried(true, &TIMES, at(42)), Step::Nothing);
        assert_eq!(rotation.tick(2, PATIENCE, false, at(60)), Step::Try(1));
        assert_eq!(rotation.tried(true, &TIMES, at(61)), Step::Close);
        assert!(!rotation.is_out());
    }

    #[test]
    fn checks_in_a_row_speak_for_one_that_is_out() {
        let mut rotation = Rotation::default();
        assert!(!rotation.checked(true, 1), "it is not out");
        rotation.eject(&TIMES, at(0));
        assert!(
            !rotation.checked(true, 2),
            "what passed before does not count"
        );
        assert!(!rotation.checked(false, 2) && !rotation.checked(true, 2));
        assert!(rotation.checked(true, 2));
        rotation.readmit(at(5));
        assert!(!rotation.is_out() && rotation.ejection().until().is_none());
    }

    #[test]
    fn one_that_was_known_is_out_until_its_time_is_over() {
        let mut known = Rotation::after(2, Some(at(50)), at(20));
        assert!(known.is_out() && known.ejection().times() == 2);
        assert_eq!(known.tick(0, PATIENCE, false, at(49)), Step::Nothing);
        assert_eq!(known.tick(0, PATIENCE, false, at(50)), Step::Close);
        assert!(!Rotation::after(2, None, at(20)).is_out());
    }
}
