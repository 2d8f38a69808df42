//! The circuit breaker of a group: how much it may have under way before what comes more is
//! refused at once, and at which share of failures it is left alone.
//!
//! Words and figures are Envoy's where it has them: requests, connections and retries at one time,
//! all cores of the node together. The requests that wait are bounded by the queue. Only a group
//! with a limit has its requests agree on a shared word, as backends with hard limits do. Failures
//! are judged by the control thread, from what the cores have counted, in exact windows.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use super::limit::{Full, Gate, Limited, Permit};
use super::standing::{BreakerState, GroupStanding, GroupTrial};

/// The limits of a group, and its accounts. A group without any has none of the first three.
#[derive(Clone, Debug, Default)]
pub struct Breaker {
    /// Requests under way.
    pub requests_max: Option<u32>,
    /// Connections open, idle ones included.
    pub connections_max: Option<u32>,
    /// Exchanges that are being tried again, beside the budget of retries.
    pub retries_max: Option<u32>,
    /// When failures open it; `None` for never.
    pub errors: Option<Errors>,
    /// What is under way; it outlives every table.
    pub gate: Arc<Gate>,
    /// What was refused.
    pub overflows: Arc<Overflows>,
}

/// When failures open a breaker, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errors {
    /// Failures of ten seconds that open the breaker of a backend, in percent of its tries.
    pub backend_percent: u32,
    /// The same for the whole group; 0 for never.
    pub group_percent: u32,
    /// Tries of ten seconds before anything is judged.
    pub volume: u32,
    /// How long it stays open the first time; each further time twice as long.
    pub open_time: Duration,
    /// The longest.
    pub open_max: Duration,
    /// Exchanges that must end well before it closes.
    pub trials: u32,
}

/// What a breaker refuses because of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Overflow {
    /// As many connections are open as may be.
    Connections,
    /// It is open because of failures.
    Errors,
    /// As many requests wait as may.
    Pending,
    /// As many requests are under way as may be.
    Requests,
    /// As many exchanges are tried again as may be.
    Retries,
}

impl Overflow {
    /// All of them, in order.
    pub const ALL: [Overflow; 5] = [
        Overflow::Connections,
        Overflow::Errors,
        Overflow::Pending,
        Overflow::Requests,
        Overflow::Retries,
    ];

    /// Its word in metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Overflow::Connections => "connections",
            Overflow::Errors => "errors",
            Overflow::Pending => "pending",
            Overflow::Requests => "requests",
            Overflow::Retries => "retries",
        }
    }
}

/// How often each limit of a group was met. One line for all cores: it is written when something
/// is refused, which costs the client far more.
#[derive(Debug, Default)]
pub struct Overflows([AtomicU64; Overflow::ALL.len()]);

impl Overflows {
    /// Counts one.
    pub fn inc(&self, what: Overflow) {
        self.0[what as usize].fetch_add(1, Relaxed);
    }

    /// How often it was.
    #[must_use]
    pub fn read(&self, what: Overflow) -> u64 {
        self.0[what as usize].load(Relaxed)
    }
}

/// What an exchange holds of its group until its end.
#[derive(Debug, Default)]
pub struct Rights {
    /// The right to be under way, where requests are limited.
    pub request: Option<Permit>,
    /// The right to be tried again, where that is limited.
    pub retry: Option<Permit>,
    /// It goes through an open breaker as a trial.
    pub trial: Option<GroupTrial>,
}

impl Rights {
    /// Whether an exchange with these rights may be tried again, as far as that is limited.
    pub fn may_retry(&mut self, breaker: &Breaker) -> bool {
        if self.retry.is_none() {
            match breaker.take_retry() {
                Ok(retry) => self.retry = retry,
                Err(Full) => return false,
            }
        }
        true
    }
}

impl Breaker {
    /// What an exchange must have before it is handed over.
    ///
    /// # Errors
    /// What it is refused because of.
    #[inline]
    pub fn admit(&self, standing: &GroupStanding) -> Result<Rights, Overflow> {
        if self.requests_max.is_none() && self.errors.is_none() {
            return Ok(Rights::default());
        }
        let mut rights = Rights::default();
        if self.errors.is_some() && standing.breaker() != BreakerState::Closed {
            rights.trial = standing.take_trial();
            if rights.trial.is_none() {
                self.overflows.inc(Overflow::Errors);
                return Err(Overflow::Errors);
            }
        }
        rights.request = self.take(Limited::Requests, self.requests_max, Overflow::Requests)?;
        Ok(rights)
    }

    /// The right to open a connection.
    ///
    /// # Errors
    /// When there are as many as there may be; those who keep idle ones are told.
    pub fn take_connection(&self) -> Result<Option<Permit>, Full> {
        let what = Limited::Connections;
        let taken = self.take(what, self.connections_max, Overflow::Connections);
        taken.map_err(|_| {
            self.gate.set_starved();
            Full
        })
    }

    /// Whether some core found no connection since this was last asked: others should give back
    /// what they keep idle.
    #[inline]
    #[must_use]
    pub fn is_starved(&self) -> bool {
        self.connections_max.is_some() && self.gate.take_starved()
    }

    /// The right to try an exchange again.
    ///
    /// # Errors
    /// When there are as many as there may be.
    fn take_retry(&self) -> Result<Option<Permit>, Full> {
        let taken = self.take(Limited::Retries, self.retries_max, Overflow::Retries);
        taken.map_err(|_| Full)
    }

    fn take(
        &self,
        what: Limited,
        max: Option<u32>,
        overflow: Overflow,
    ) -> Result<Option<Permit>, Overflow> {
        let Some(max) = max else {
            return Ok(None);
        };
        self.gate.take(what, max).map(Some).map_err(|Full| {
            self.overflows.inc(overflow);
            overflow
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn errors() -> Errors {
        Errors {
            backend_percent: 50,
            group_percent: 90,
            volume: 20,
            open_time: Duration::from_secs(5),
            open_max: Duration::from_secs(300),
            trials: 3,
        }
    }

    #[test]
    fn a_limit_refuses_and_what_is_dropped_is_free_again() {
        let breaker = Breaker {
            requests_max: Some(2),
            connections_max: Some(1),
            retries_max: Some(1),
            ..Breaker::default()
        };
        let standing = GroupStanding::default();
        let first = breaker.admit(&standing).unwrap();
        let _second = breaker.admit(&standing).unwrap();
        assert_eq!(breaker.admit(&standing).unwrap_err(), Overflow::Requests);
        drop(first);
        assert!(breaker.admit(&standing).is_ok());
        let _connection = breaker.take_connection().unwrap().unwrap();
        assert!(breaker.take_connection().is_err() && breaker.gate.take_starved());
        let retry = breaker.take_retry().unwrap();
        assert!(retry.is_some() && breaker.take_retry().is_err());
        let counts = Overflow::ALL.map(|what| breaker.overflows.read(what));
        assert_eq!(counts, [1, 0, 0, 1, 1]);
    }

    #[test]
    fn an_open_one_lets_trials_through_and_those_refused_elsewhere_come_back() {
        let breaker = Breaker {
            requests_max: Some(1),
            errors: Some(errors()),
            ..Breaker::default()
        };
        let standing = GroupStanding::default();
        let under_way = breaker.admit(&standing).unwrap();
        standing.set_breaker(BreakerState::Open, 0);
        assert_eq!(breaker.admit(&standing).unwrap_err(), Overflow::Errors);
        standing.set_breaker(BreakerState::HalfOpen, 1);
        assert_eq!(breaker.admit(&standing).unwrap_err(), Overflow::Requests);
        drop(under_way);
        let trial = breaker.admit(&standing).unwrap();
        assert!(trial.trial.is_some());
        assert_eq!(breaker.admit(&standing).unwrap_err(), Overflow::Errors);
        drop(trial);
        assert!(standing.has_trials(), "it has shown nothing");
    }

    #[test]
    fn without_limits_nothing_is_asked() {
        let breaker = Breaker::default();
        let standing = GroupStanding::default();
        standing.set_breaker(BreakerState::Open, 0);
        let rights = breaker.admit(&standing).unwrap();
        assert!(rights.request.is_none() && rights.trial.is_none());
        assert!(breaker.take_connection().unwrap().is_none());
    }
}
