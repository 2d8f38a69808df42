//! Shared checks at their edge: the task that talks with other nodes and the keeper of health, who
//! makes the checks, share one machine.
//!
//! Both run on the control thread, so the lock is never waited for. Each wakes the other: what was
//! found is to be said, what was heard is to be judged by.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::name_of;
use crate::config::checked;
use crate::gossip::observers::{
    Case, Finding, Observer, Observers, Present, Subject, Sums, Word, Words,
};
use crate::gossip::{Circle, Member, Moment, Phase};

/// The observers as this node knows them; clones are the same.
#[derive(Clone)]
pub(in crate::control) struct Observing(Arc<Shared>);

struct Shared {
    observers: Mutex<Observers>,
    origin: Instant,
    salt: u64,
    /// There is something to be said.
    found: Notify,
    /// There is something to be judged by.
    heard: Notify,
}

impl Observing {
    /// Of a node with these settings.
    pub(in crate::control) fn of(settings: &checked::Cluster) -> Observing {
        Observing::new(&name_of(Some(settings)), settings.observers as usize)
    }

    /// Of the node of this name, where each backend has so many observers.
    pub(in crate::control) fn new(me: &Arc<str>, seats: usize) -> Observing {
        Observing(Arc::new(Shared {
            observers: Mutex::new(Observers::new(Arc::clone(me), seats)),
            origin: Instant::now(),
            salt: xxh3_64(me.as_bytes()),
            found: Notify::new(),
            heard: Notify::new(),
        }))
    }

    /// When its moments began; those of the other nodes are told by the same clock.
    pub(super) fn origin(&self) -> Instant {
        self.0.origin
    }

    /// Spreads the checks of one backend by several nodes over its interval.
    pub(in crate::control) fn salt(&self) -> u64 {
        self.0.salt
    }

    /// What is looked after.
    pub(in crate::control) fn adopt(&self, subjects: &BTreeMap<u64, Subject>) {
        let now = self.now();
        self.observers().adopt(subjects, now);
        self.0.found.notify_one();
    }

    /// What another process of this node knew.
    pub(in crate::control) fn recall(&self, key: u64, verdict: Finding) {
        let now = self.now();
        self.observers().recall(key, verdict, now);
    }

    /// What the own checks of a backend come to, or what its agent has said here.
    pub(in crate::control) fn found(&self, key: u64, finding: Finding) {
        let now = self.now();
        self.observers().found(key, finding, now);
        self.0.found.notify_one();
    }

    /// What the own checks of a backend came to.
    pub(in crate::control) fn own(&self, key: u64) -> Finding {
        self.observers().own(key)
    }

    /// The newest that is known of what an agent has said.
    pub(in crate::control) fn word(&self, key: u64) -> Arc<Word> {
        let verdict = self.case(key).map(|case| case.verdict);
        let word = verdict.as_ref().and_then(Finding::word);
        word.map_or_else(Arc::default, Arc::clone)
    }

    pub(in crate::control) fn case(&self, key: u64) -> Option<Case> {
        self.observers().case(key)
    }

    /// A backend of which something is new.
    pub(in crate::control) fn poll_change(&self) -> Option<(u64, Case)> {
        self.observers().poll_change()
    }

    /// The observers of a backend, and how long each has found something else than the others.
    pub(in crate::control) fn seats(&self, key: u64) -> Vec<(Observer, Option<Duration>)> {
        let now = self.now();
        let seats = self.observers().observers(key, now).into_iter();
        let age = |seat: &Observer| seat.against_since.map(|since| now.saturating_sub(since));
        seats
            .map(|seat| {
                let age = age(&seat);
                (seat, age)
            })
            .collect()
    }

    pub(super) fn sums(&self) -> Sums {
        let now = self.now();
        self.observers().sums(now)
    }

    /// Until there is something to be said.
    pub(super) async fn found_something(&self) {
        self.0.found.notified().await;
    }

    /// Until there is something to be judged by.
    pub(in crate::control) async fn heard_something(&self) {
        self.0.heard.notified().await;
    }

    /// Takes in who is there, and whether this node serves itself.
    pub(super) fn look_around(&self, circle: &Circle, now: Moment) {
        let there = circle.peers().filter(|peer| peer.standing.is_there());
        let there: Vec<Present<'_>> = there
            .map(|peer| Present {
                member: &peer.member,
                heard: peer.heard,
                serves: peer
                    .state
                    .as_ref()
                    .is_some_and(|state| state.phase == Phase::Serving),
                version: peer.state.as_ref().map_or(0, |state| state.findings),
            })
            .collect();
        let serves = circle.state().phase == Phase::Serving;
        self.observers().look_around(&there, serves, now);
    }

    /// Takes in what others have said.
    pub(super) fn handle(&self, from: &Member, words: Words, now: Moment) {
        self.observers().handle(from, words, now);
    }

    /// Does what is due, and says what is to be said.
    pub(super) fn step(&self, circle: &mut Circle, now: Moment) {
        let mut observers = self.observers();
        observers.step(now);
        while let Some((to, words)) = observers.poll_output() {
            circle.say_findings(to.as_deref(), &words);
        }
        circle.found(observers.version());
        if observers.has_changed() {
            self.0.heard.notify_one();
        }
    }

    /// Takes in that these nodes are there and serve, and what each has said.
    #[cfg(test)]
    pub(in crate::control) fn hear_in_test(&self, nodes: &[Member], words: &[Words]) {
        let now = self.now();
        let there = nodes.iter().map(|member| Present {
            member,
            heard: Some(now),
            serves: true,
            version: 0,
        });
        let mut observers = self.observers();
        observers.look_around(&there.collect::<Vec<_>>(), true, now);
        for (from, words) in nodes.iter().zip(words) {
            observers.handle(from, words.clone(), now);
        }
    }

    fn now(&self) -> Moment {
        self.0.origin.elapsed()
    }

    fn observers(&self) -> MutexGuard<'_, Observers> {
        let observers = self.0.observers.lock();
        observers.unwrap_or_else(PoisonError::into_inner)
    }
}
