//! Follows the names of backends while the node runs: asks each again when its answer ends.
//!
//! Questions are asked beside each other, a bounded number at a time, so that a name whose server
//! is slow delays no other. Answers that are there together are handed over together, because
//! each hand-over may become an epoch.

use std::future::pending;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::schedule::Schedule;
use super::{Answered, Asker, LOOKUPS_MAX, Question, Round, questions};
use crate::config::Config;
use crate::config::checked::Dns;
use crate::engine::facts::Resolved;

/// How long the first of several answers waits for the others.
const COMPANY: Duration = Duration::from_millis(5);

/// Asks again and again.
pub struct Follower {
    dns: Dns,
    asker: Asker,
    schedule: Schedule,
    running: JoinSet<Answered>,
    /// Answers that wait for company, and until when.
    gathered: Vec<Answered>,
    until: Option<Instant>,
}

impl Follower {
    /// A follower of nothing yet.
    #[must_use]
    pub fn new(dns: &Dns) -> Self {
        Follower {
            dns: dns.clone(),
            asker: Asker::new(dns),
            schedule: Schedule::new(dns),
            running: JoinSet::new(),
            gathered: Vec::new(),
            until: None,
        }
    }

    /// Who answers questions asked beside the schedule.
    #[must_use]
    pub fn asker(&self) -> Asker {
        self.asker.clone()
    }

    /// Follows the names of this configuration, in its way, and no others.
    pub fn follow(&mut self, config: &Config) {
        if self.dns != config.dns {
            self.dns = config.dns.clone();
            self.asker = Asker::new(&self.dns);
        }
        self.schedule
            .follow(&questions(config), &self.dns, Instant::now());
    }

    /// Takes note of a round that was asked beside the schedule.
    pub fn note(&mut self, round: &Round) {
        for (question, answer) in &round.answers {
            self.note_answer(
                question,
                answer.as_ref().map(|answer| answer.ttl).map_err(|_| ()),
            );
        }
    }

    /// The next answers; waits for ever while there is nothing to ask. What is known is for
    /// answers that are only partly there. Dropping it loses nothing.
    pub async fn next(&mut self, known: &Resolved) -> Round {
        loop {
            let room = LOOKUPS_MAX - self.running.len();
            for question in self.schedule.take_due(room, Instant::now()) {
                let asking = self.asker.ask(&question, known);
                self.running.spawn(async move { (question, asking.await) });
            }
            let due = (self.running.len() < LOOKUPS_MAX).then(|| self.schedule.next_due());
            tokio::select! {
                Some(answered) = self.running.join_next() => match answered {
                    Ok(answered) => self.gather(answered),
                    // Due again by itself.
                    Err(error) => tracing::error!(%error, "lookup ended early"),
                },
                () = at(due.flatten()) => {}
                () = at(self.until) => {
                    self.until = None;
                    return Round::of(std::mem::take(&mut self.gathered));
                }
            }
        }
    }

    fn gather(&mut self, (question, answer): Answered) {
        let ttl = answer.as_ref().map(|answer| answer.ttl).map_err(|_| ());
        if self.note_answer(&question, ttl) {
            self.gathered.push((question, answer));
            self.until.get_or_insert(Instant::now() + COMPANY);
        }
    }

    fn note_answer(&mut self, question: &Question, ttl: Result<Option<Duration>, ()>) -> bool {
        self.schedule.answered(question, ttl, Instant::now())
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}
