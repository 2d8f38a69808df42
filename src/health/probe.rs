//! Active checks of one backend: when the next is due, and what the results come to.
//!
//! Rise and fall are counts of results in a row, so results that alternate change nothing. The
//! first result decides at once: a node that starts should neither send clients to a dead
//! backend three times nor keep a living one waiting. The pace adapts: an edge, a suspicion from
//! traffic, or an answer that takes much longer than this backend's answers do is looked into at
//! the fast pace; a backend that stays down is asked ever more rarely; one that has long been
//! steady may be asked more rarely too. Rejected: one fixed interval, which is either too slow
//! for the first failure or too much for ten thousand backends that are well.
//!
//! Due times are spread by the backend's identity and waver, so neither a start nor a change of the
//! configuration makes a burst, and nodes that started together drift apart. A wait only ever
//! becomes shorter by it: what is promised of how soon a failure is found holds to the letter.

use std::time::Duration;

use super::{Moment, scattered, share};

/// How often to ask, and how many answers count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two checks of a backend that is well.
    pub interval: Duration,
    /// Between two checks while something is being found out.
    pub fast: Duration,
    /// Between two checks of one that has been steady for [`STEADY_AFTER`] checks.
    pub stable: Duration,
    /// The longest between two checks of one that is down.
    pub down_max: Duration,
    /// By how much of it a wait may be shorter, in percent.
    pub jitter_percent: u32,
    /// Passes in a row that bring one back.
    pub rise: u32,
    /// Failures in a row that take one out.
    pub fall: u32,
}

/// What the results say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It does not serve.
    Down,
    /// Nothing was found out yet.
    Unknown,
    /// It serves.
    Up,
}

/// Passes in a row, at usual times, after which a backend is steady.
pub const STEADY_AFTER: u32 = 10;

/// The first check of a backend that another node has checked comes within this time.
pub const TAKE_OVER_WITHIN: Duration = Duration::from_secs(1);

/// Answer times known before one of them can depart from the rest.
const TIMES_MIN: u32 = 8;

/// Doublings of the interval of a backend that is down; more would overflow before the cap.
const DOUBLINGS_MAX: u32 = 16;

/// The machine of one backend.
#[derive(Clone, Debug)]
pub struct Probe {
    seed: u64,
    opinion: Found,
    /// Results in a row that speak against the opinion, and those that speak for it.
    against: u32,
    agreeing: u32,
    checks: u64,
    due: Moment,
    suspect: bool,
    times: Times,
}

impl Probe {
    /// A machine whose first check lies somewhere in the first interval, by `identity`.
    #[must_use]
    pub fn new(identity: u64, pace: &Pace, now: Moment) -> Probe {
        let seed = scattered(identity, 0);
        Probe {
            seed,
            opinion: Found::Unknown,
            against: 0,
            agreeing: 0,
            checks: 0,
            due: now + pace.interval.mul_f64(share(seed, 0)),
            suspect: false,
            times: Times::default(),
        }
    }

    /// As [`Probe::new`], of a backend that another process has found down: it takes as many passes
    /// to bring it back as there.
    #[must_use]
    pub fn of_one_down(identity: u64, pace: &Pace, now: Moment) -> Probe {
        Probe {
            opinion: Found::Down,
            agreeing: 1,
            ..Probe::new(identity, pace, now)
        }
    }

    /// A machine that goes on where another node's ended: what was found is believed until as many
    /// results as usual say otherwise, and the first check comes soon.
    #[must_use]
    pub fn taken_over(identity: u64, found: Found, pace: &Pace, now: Moment) -> Probe {
        let fresh = Probe::new(identity, pace, now);
        match found {
            Found::Unknown => fresh,
            Found::Down | Found::Up => Probe {
                opinion: found,
                agreeing: 1,
                due: now
                    + pace
                        .interval
                        .min(TAKE_OVER_WITHIN)
                        .mul_f64(share(fresh.seed, 0)),
                ..fresh
            },
        }
    }

    /// What the results so far say.
    #[must_use]
    pub fn opinion(&self) -> Found {
        self.opinion
    }

    /// When the next check is due.
    #[must_use]
    pub fn due(&self) -> Moment {
        self.due
    }

    /// Results in a row that speak against the opinion.
    #[must_use]
    pub fn against(&self) -> u32 {
        self.against
    }

    /// Notes a result: how long a pass took, or `None` for a failure. Answers whether the opinion
    /// changed.
    ///
    /// The wait counts from when this check was due and not from its end: one that hangs until its
    /// timeout takes nothing off the pace, so who hangs is out within `fall` intervals and a
    /// timeout.
    pub fn record(&mut self, passed: Option<Duration>, pace: &Pace, now: Moment) -> bool {
        let before = self.opinion;
        let departed = passed.is_some_and(|took| self.times.note(took));
        self.count(passed.is_some(), pace);
        self.checks += 1;
        self.suspect = departed;
        if departed {
            self.agreeing = self.agreeing.min(1);
        }
        let wait = self.wavering(self.wait(pace), pace);
        // After a standstill of the machine all of them are late at once; that is no beat to keep.
        let beat = match now.saturating_sub(self.due) <= pace.interval * 2 {
            true => self.due,
            false => now,
        };
        self.due = (beat + wait).clamp(now, now + wait);
        self.opinion != before
    }

    /// Traffic went well just now, which says as much as a check would: the next one can wait.
    pub fn relieve(&mut self, pace: &Pace, now: Moment) {
        if self.opinion == Found::Up && self.against == 0 && !self.suspect {
            self.due = self.due.max(now + self.wavering(pace.interval, pace));
        }
    }

    /// Traffic went wrong: look soon.
    pub fn suspect(&mut self, pace: &Pace, now: Moment) {
        self.suspect = true;
        self.due = self.due.min(now + self.wavering(pace.fast, pace));
    }

    /// Another pace counts from now on.
    pub fn change_pace(&mut self, pace: &Pace, now: Moment) {
        self.due = self.due.min(now + self.wavering(self.wait(pace), pace));
    }

    fn count(&mut self, passed: bool, pace: &Pace) {
        let (says, needed) = match passed {
            true => (Found::Up, pace.rise),
            false => (Found::Down, pace.fall),
        };
        if self.opinion == says {
            self.agreeing = self.agreeing.saturating_add(1);
            self.against = 0;
            return;
        }
        self.against += 1;
        self.agreeing = 0;
        if self.opinion == Found::Unknown || self.against >= needed {
            self.opinion = says;
            self.agreeing = 1;
            self.against = 0;
        }
    }

    fn wait(&self, pace: &Pace) -> Duration {
        if self.against > 0 || self.suspect {
            return pace.fast;
        }
        match self.opinion {
            Found::Down => {
                let doublings = self.agreeing.saturating_sub(1).min(DOUBLINGS_MAX);
                let wait = pace.interval.saturating_mul(1 << doublings);
                wait.min(pace.down_max.max(pace.interval))
            }
            Found::Up if self.agreeing >= STEADY_AFTER => pace.stable,
            Found::Unknown | Found::Up => pace.interval,
        }
    }

    /// It, or less by up to the jitter.
    fn wavering(&self, wait: Duration, pace: &Pace) -> Duration {
        let jitter = f64::from(pace.jitter_percent) / 100.0;
        wait.mul_f64(1.0 - jitter * share(self.seed, self.checks + 1))
    }
}

/// The times of one backend's answers: a mean and a mean deviation, as TCP estimates its round
/// trip (1/8 and 1/4 of each new one).
#[derive(Clone, Debug, Default)]
struct Times {
    seen: u32,
    mean: f64,
    deviation: f64,
}

impl Times {
    /// Whether this one departs from those before it: by four deviations, and by half, and by a
    /// millisecond, so that a steady backend on a quiet network is not suspect for a hiccup.
    fn note(&mut self, took: Duration) -> bool {
        let took = took.as_secs_f64();
        let error = took - self.mean;
        let expected = (4.0 * self.deviation).max(self.mean * 0.5).max(0.001);
        let departs = self.seen >= TIMES_MIN && error > expected;
        if self.seen == 0 {
            self.mean = took;
            self.deviation = took / 2.0;
        } else {
            self.mean += error / 8.0;
            self.deviation += (error.abs() - self.deviation) / 4.0;
        }
        self.seen = self.seen.saturating_add(1);
        departs
    }
}

#[cfg(test)]
mod tests;
