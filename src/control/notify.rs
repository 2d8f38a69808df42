//! What systemd is told (`Type=notify`): that the node serves, reloads, ends, is another process,
//! and that its cores are alive. Without `NOTIFY_SOCKET` nobody is told anything.
//!
//! Signs of life are sent only while every core makes turns. A core wakes at least ten times a
//! second, so one that made no turn between two signs is stuck, and the supervisor's limit is what
//! ends the process.

use std::time::Duration;

use sd_notify::NotifyState;
use tokio::time::Instant;

use crate::base::epoch::Epoch;

/// Signs of life within the time a supervisor waits for one.
const SIGNS: u32 = 3;

/// The supervisor, if there is one that listens.
pub(super) struct Notifier {
    listens: bool,
    watchdog: Option<Watchdog>,
}

/// When a sign of life is due, and what the cores had done at the last one.
#[derive(Debug)]
struct Watchdog {
    every: Duration,
    due: Instant,
    turns: Vec<u64>,
}

impl Notifier {
    /// The one this process was started by, if it is to be told at all.
    pub(super) fn new(wanted: bool) -> Notifier {
        let every = sd_notify::watchdog_enabled().filter(|_| wanted);
        Notifier {
            listens: wanted,
            watchdog: every.map(|limit| Watchdog::new(limit, Instant::now())),
        }
    }

    /// Every core serves.
    pub(super) fn ready(&self, epoch: Epoch) {
        let status = format!("serving, epoch {epoch}");
        self.tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// The configuration is read again; [`Notifier::ready`] follows.
    pub(super) fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.tell(&[NotifyState::Reloading, now]),
            Err(error) => tracing::warn!(%error, "no time for the supervisor"),
        }
    }

    /// What runs is finished, then the process ends.
    pub(super) fn stopping(&self) {
        self.tell(&[NotifyState::Stopping, NotifyState::Status("draining")]);
    }

    /// The service is another process now.
    pub(super) fn main_pid(&self, pid: u32) {
        self.tell(&[NotifyState::MainPid(pid)]);
    }

    /// Sends a sign of life if one is due and every core has made turns since the last.
    pub(super) fn alive(&mut self, now: Instant, turns: impl Iterator<Item = u64>) {
        let Some(watchdog) = &mut self.watchdog else {
            return;
        };
        if watchdog.is_alive(now, turns) {
            self.tell(&[NotifyState::Watchdog]);
        }
    }

    fn tell(&self, what: &[NotifyState<'_>]) {
        if !self.listens {
            return;
        }
        if let Err(error) = sd_notify::notify(what) {
            tracing::warn!(%error, "the supervisor is not told");
        }
    }
}

impl Watchdog {
    fn new(limit: Duration, now: Instant) -> Watchdog {
        Watchdog {
            every: limit / SIGNS,
            due: now,
            turns: Vec::new(),
        }
    }

    /// Whether a sign is to be sent now.
    fn is_alive(&mut self, now: Instant, turns: impl Iterator<Item = u64>) -> bool {
        if now < self.due {
            return false;
        }
        let turns: Vec<u64> = turns.collect();
        let mut pairs = turns.iter().zip(&self.turns);
        let stuck = pairs.any(|(now, before)| now == before);
        if stuck {
            // Looked at again at once; the turns to compare with stay.
            return false;
        }
        self.due = now + self.every;
        self.turns = turns;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_is_sent_when_due_and_only_while_every_core_makes_turns() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut watchdog = Watchdog::new(Duration::from_secs(3), start);
        let mut sign = |millis, turns: [u64; 2]| watchdog.is_alive(at(millis), turns.into_iter());
        assert!(sign(0, [0, 0]), "nothing to compare with yet");
        assert!(!sign(999, [5, 5]), "not due");
        assert!(sign(1000, [5, 5]));
        assert!(!sign(2000, [9, 5]), "core 1 is stuck");
        assert!(!sign(2200, [10, 5]), "still");
        assert!(sign(2400, [11, 6]), "it goes on");
        assert!(!sign(2600, [12, 7]), "not due");
        assert!(sign(3400, [13, 8]));
    }
}
