//! Shared checks of backends: which nodes check which backend, and what they find together.
//!
//! Each backend has so many seats, given by rendezvous over the nodes that serve (`choice`): who
//! sits there checks it and is one of its observers, so that a backend is asked by as many nodes
//! whether there are three or fifty. What observers find travels to all nodes, and each comes to
//! the verdict by the same rule (`quorum`). Nothing is agreed on: a node that sees others, because
//! the network has parted, gives the seats to those it sees.
//!
//! **A seat is never empty for long.** A node that was not heard for [`SILENT_AFTER`] loses its
//! seats, whatever SWIM thinks of it yet, and so does one that has left or drains. Who was given a
//! seat and has not taken it within [`TAKE_WITHIN`], because it does not know the backend, is
//! passed over. So the checks of a node that dies are taken over [`SILENT_AFTER`] after it was last
//! heard; the verdict stays meanwhile. A node that was stopped itself, and therefore has heard
//! nobody, waits once more as long before it thinks that it is alone.
//!
//! **Who contradicts is flagged**: an observer whose finding is another one than the verdict for
//! longer than the checks of that backend take to find out. What it says counts all the same.
//!
//! **Agents have seats too.** Who sits there asks the agent of a backend, and what an agent has
//! said (`word`) is found like the outcome of checks; but nothing is voted on: each answer says
//! what is so, and the newest counts, whoever heard it. Who has a seat has noted the newest word it
//! knows, so that it outlives whoever heard it and is told to who comes.
//!
//! What a node has found are versions (`ledger`): news goes to everybody at once, at most every
//! [`PUSH_EVERY`], every report of a node names its newest version, and who lacks something asks
//! for it. Pure: findings, words and moments in; verdicts, duties and words out.

mod backend;
mod choice;
mod finding;
mod heard;
mod ledger;
mod quorum;
#[cfg(test)]
mod tests;
mod word;
mod words;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::Moment;
use super::member::Member;
use backend::Backend;
use choice::{Bidders, bidder, ranked};
use finding::newest;
pub use finding::{Finding, Subject};
use heard::Told;
use ledger::Ledger;
pub use quorum::{judge, quorum};
pub use word::{TOPICS, Word};
pub use words::Words;

/// A node that was not heard for so long has no seats: three reports.
pub const SILENT_AFTER: Duration = Duration::from_secs(3);

/// How long a node may take to take a seat.
pub const TAKE_WITHIN: Duration = Duration::from_secs(3);

/// How often news goes to everybody.
const PUSH_EVERY: Duration = Duration::from_millis(50);

/// How long the rest of what another node has found may take before it is asked for again.
const PULL_AGAIN: Duration = Duration::from_millis(250);

/// How often it is looked for what can be forgotten.
const FORGET_EVERY: Duration = Duration::from_secs(1);

/// A node that has not looked for so long was stopped.
const STOPPED_AFTER: Duration = Duration::from_secs(1);

/// Backends of which another node may say something.
const KEYS_MAX: usize = 65_536;

/// Another node that is there.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    /// Which.
    pub member: &'a Member,
    /// When it was last heard.
    pub heard: Option<Moment>,
    /// It serves, so that it can have seats.
    pub serves: bool,
    /// The newest version of its findings, as it has reported.
    pub version: u64,
}

/// What this node has to do with a backend, and what is thought of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    /// It is checked here.
    pub mine: bool,
    /// What the observers have found together.
    pub verdict: Finding,
    /// Another observer found what this one did not: it is worth a look now.
    pub look: bool,
}

/// An observer of a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observer {
    /// Which node.
    pub node: Arc<str>,
    /// What it has found.
    pub finding: Finding,
    /// Since when that is not the verdict.
    pub against_since: Option<Moment>,
    /// That has lasted for longer than it takes to find out.
    pub contradicts: bool,
}

/// Seats, all backends together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Agents this node asks.
    pub asked: u64,
    /// Backends this node checks.
    pub held: u64,
    /// How often each observer contradicts the others.
    pub contradicting: BTreeMap<Arc<str>, u64>,
}

/// The checks of one node among others.
pub struct Observers {
    me: Arc<str>,
    seats: usize,
    bidders: Bidders,
    backends: BTreeMap<u64, Backend>,
    ledger: Ledger,
    told: BTreeMap<Arc<str>, Told>,
    /// Backends to be looked at again, and when.
    waiting: BTreeSet<(Moment, u64)>,
    changed: BTreeSet<u64>,
    output: VecDeque<(Option<Arc<str>>, Vec<u8>)>,
    looked: Moment,
    /// Until then nobody is thought to be silent.
    lenient_until: Moment,
    push_at: Moment,
    forget_at: Moment,
}

impl Observers {
    /// Of a node that knows nobody, where each backend has so many seats.
    #[must_use]
    pub fn new(me: Arc<str>, seats: usize) -> Observers {
        Observers {
            bidders: [(Arc::clone(&me), bidder(&me))].into(),
            me,
            seats: seats.max(1),
            backends: BTreeMap::new(),
            ledger: Ledger::default(),
            told: BTreeMap::new(),
            waiting: BTreeSet::new(),
            changed: BTreeSet::new(),
            output: VecDeque::new(),
            looked: Moment::ZERO,
            lenient_until: Moment::ZERO,
            push_at: Moment::ZERO,
            forget_at: Moment::ZERO,
        }
    }

    /// What is looked after from now on.
    pub fn adopt(&mut self, subjects: &BTreeMap<u64, Subject>, now: Moment) {
        let gone: Vec<u64> = self.backends.keys().copied().collect();
        for key in gone.into_iter().filter(|key| !subjects.contains_key(key)) {
            self.backends.remove(&key);
            self.changed.remove(&key);
            if self.ledger.finding(key).is_some() {
                self.ledger.note(key, None, now);
            }
        }
        for (key, subject) in subjects.iter().take(KEYS_MAX) {
            let known = self.backends.contains_key(key);
            let backend = self.backends.entry(*key);
            backend.or_insert_with(|| Backend::new(*subject)).subject = *subject;
            if !known {
                self.changed.insert(*key);
                self.refresh(*key, now);
            }
        }
    }

    /// What another process of this node knew of a backend, or this one by another key.
    pub fn recall(&mut self, key: u64, verdict: Finding, now: Moment) {
        if let Some(backend) = self.backends.get_mut(&key) {
            backend.verdict = match backend.subject {
                Subject::Agent => newest([&backend.verdict, &verdict].into_iter()),
                Subject::Backend(_) => verdict,
            };
            self.changed.insert(key);
            self.refresh(key, now);
        }
    }

    /// Who is there, and whether this node serves itself.
    pub fn look_around(&mut self, there: &[Present<'_>], serves: bool, now: Moment) {
        if now > self.looked + STOPPED_AFTER {
            self.lenient_until = now + SILENT_AFTER;
        }
        self.looked = now;
        let mut bidders = Bidders::new();
        for present in there {
            let name = &present.member.name;
            self.hear_life(present.member, now);
            if let Some(told) = self.told.get_mut(name) {
                told.newest = told.newest.max(present.version);
            }
            let was_there = self.bidders.contains_key(name);
            let silent = present.heard.is_none_or(|at| now > at + SILENT_AFTER);
            let forgiven = was_there && now < self.lenient_until;
            if present.serves && (!silent || forgiven) {
                bidders.insert(Arc::clone(name), bidder(name));
            }
        }
        if serves || bidders.is_empty() {
            bidders.insert(Arc::clone(&self.me), bidder(&self.me));
        }
        self.told
            .retain(|name, _| there.iter().any(|present| present.member.name == *name));
        if self.bidders != bidders {
            self.bidders = bidders;
            let keys: Vec<u64> = self.backends.keys().copied().collect();
            keys.into_iter().for_each(|key| self.refresh(key, now));
        }
    }

    /// What this node's own checks come to. Of a backend it does not check that says nothing.
    pub fn found(&mut self, key: u64, finding: Finding, now: Moment) {
        if self.backends.get(&key).is_some_and(|backend| backend.mine) {
            self.ledger.note(key, Some(finding), now);
            self.refresh(key, now);
        }
    }

    /// What this node's own checks came to.
    #[must_use]
    pub fn own(&self, key: u64) -> Finding {
        self.ledger.finding(key).cloned().unwrap_or_default()
    }

    /// Takes in what another node has said.
    pub fn handle(&mut self, from: &Member, words: Words, now: Moment) {
        self.hear_life(from, now);
        let life = self.told.get(&from.name).map(|told| told.generation);
        if life != Some(from.generation) {
            return;
        }
        match words {
            Words::Pull { since } => {
                for page in self.ledger.since(since) {
                    let to = Some(Arc::clone(&from.name));
                    self.output.push_back((to, page.bytes()));
                }
            }
            page @ Words::Page { .. } => {
                let told = self.told.get_mut(&from.name);
                let changed = told.map(|told| told.take(page)).unwrap_or_default();
                for key in changed {
                    self.follow_news(&from.name, key);
                    self.refresh(key, now);
                }
            }
        }
    }

    /// Does what is due.
    pub fn step(&mut self, now: Moment) {
        while let Some((at, key)) = self.waiting.first().copied()
            && at <= now
        {
            self.waiting.remove(&(at, key));
            self.refresh(key, now);
        }
        if now >= self.push_at {
            let news = self.ledger.news();
            if !news.is_empty() {
                self.push_at = now + PUSH_EVERY;
            }
            let news = news.into_iter().map(|page| (None, page.bytes()));
            self.output.extend(news);
        }
        for (name, told) in &mut self.told {
            let waits = told.asked.is_some_and(|at| now < at + PULL_AGAIN);
            if told.have() < told.newest && !waits {
                told.asked = Some(now);
                let since = told.have();
                let pull = Words::Pull { since }.bytes();
                self.output.push_back((Some(Arc::clone(name)), pull));
            }
        }
        if now >= self.forget_at {
            self.forget_at = now + FORGET_EVERY;
            self.ledger.forget(now);
        }
    }

    /// What is to be said, and to whom; to everybody who is there without a name.
    pub fn poll_output(&mut self) -> Option<(Option<Arc<str>>, Vec<u8>)> {
        self.output.pop_front()
    }

    /// A backend of which something is new, and what is so now.
    pub fn poll_change(&mut self) -> Option<(u64, Case)> {
        let key = self.changed.pop_first()?;
        let case = self.case(key)?;
        if let Some(backend) = self.backends.get_mut(&key) {
            backend.look = false;
        }
        Some((key, case))
    }

    /// Whether something is new.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// How a backend stands.
    #[must_use]
    pub fn case(&self, key: u64) -> Option<Case> {
        let backend = self.backends.get(&key)?;
        Some(Case {
            mine: backend.mine,
            verdict: backend.verdict.clone(),
            look: backend.look,
        })
    }

    /// The observers of a backend, the best bid first.
    #[must_use]
    pub fn observers(&self, key: u64, now: Moment) -> Vec<Observer> {
        let Some(backend) = self.backends.get(&key) else {
            return Vec::new();
        };
        let seats = backend.seats.iter().map(|name| {
            let mut against = backend.against.iter().filter(|(node, _)| node == name);
            let since = against.next().map(|(_, since)| *since);
            Observer {
                node: Arc::clone(name),
                finding: self.finding(name, key).cloned().unwrap_or_default(),
                against_since: since,
                contradicts: since.is_some_and(|since| backend.is_late(since, now)),
            }
        });
        seats.collect()
    }

    /// The newest version of this node's findings.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.ledger.version()
    }

    /// Seats, all backends together.
    #[must_use]
    pub fn sums(&self, now: Moment) -> Sums {
        let mut sums = Sums::default();
        for backend in self.backends.values() {
            match backend.subject {
                Subject::Agent => sums.asked += u64::from(backend.mine),
                Subject::Backend(_) => sums.held += u64::from(backend.mine),
            }
            for (name, since) in &backend.against {
                let of_it = sums.contradicting.entry(Arc::clone(name));
                *of_it.or_default() += u64::from(backend.is_late(*since, now));
            }
        }
        sums
    }

    /// That what it holds is sound.
    pub fn check(&self) {
        self.ledger.check();
        for (key, backend) in &self.backends {
            assert!(backend.seats.len() <= self.seats);
            assert_eq!(backend.mine, backend.seats.contains(&self.me));
            assert_eq!(backend.mine, self.ledger.finding(*key).is_some());
        }
    }

    fn finding(&self, name: &Arc<str>, key: u64) -> Option<&Finding> {
        match *name == self.me {
            true => self.ledger.finding(key),
            false => self.told.get(name)?.finding(key),
        }
    }

    /// What another life of a node has found says nothing of this one's.
    fn hear_life(&mut self, member: &Member, now: Moment) {
        let known = self.told.get(&member.name);
        if known.is_some_and(|told| told.generation >= member.generation) {
            return;
        }
        let fresh = Told::new(member.generation);
        let before = self.told.insert(Arc::clone(&member.name), fresh);
        let keys: Vec<u64> = before.iter().flat_map(Told::keys).collect();
        keys.into_iter().for_each(|key| self.refresh(key, now));
    }

    /// What another found and this node did not is worth a look.
    fn follow_news(&mut self, from: &Arc<str>, key: u64) {
        let finding = self.finding(from, key);
        let other = finding.is_some_and(|theirs| theirs.contradicts(&self.own(key)));
        if let Some(backend) = self.backends.get_mut(&key)
            && backend.mine
            && other
        {
            backend.look = true;
            self.changed.insert(key);
        }
    }

    /// Gives the seats of a backend, and comes to the verdict.
    fn refresh(&mut self, key: u64, now: Moment) {
        let Some(mut backend) = self.backends.remove(&key) else {
            return;
        };
        self.seat(key, &mut backend, now);
        let mine = backend.seats.contains(&self.me);
        if backend.mine != mine {
            backend.mine = mine;
            self.changed.insert(key);
            self.ledger.note(key, mine.then(Finding::default), now);
        }
        let verdict = self.verdict(key, &backend);
        if backend.verdict != verdict {
            backend.verdict = verdict;
            self.changed.insert(key);
        }
        if mine && backend.subject == Subject::Agent {
            self.ledger.note(key, Some(backend.verdict.clone()), now);
        }
        self.compare(key, &mut backend, now);
        self.backends.insert(key, backend);
    }

    /// What its observers have found together; of an agent, the newest that anybody has heard.
    fn verdict(&self, key: u64, backend: &Backend) -> Finding {
        match backend.subject {
            Subject::Agent => {
                let told = self.told.values().filter_map(|told| told.finding(key));
                let own = self.ledger.finding(key);
                newest([&backend.verdict].into_iter().chain(own).chain(told))
            }
            Subject::Backend(_) => {
                let unknown = Finding::Unknown;
                let findings = backend.seats.iter();
                let findings = findings.map(|name| self.finding(name, key).unwrap_or(&unknown));
                judge(&backend.verdict, &findings.collect::<Vec<_>>())
            }
        }
    }

    /// The best bids have the seats, but for those who were given one and have not taken it.
    fn seat(&mut self, key: u64, backend: &mut Backend, now: Moment) {
        let expected = std::mem::take(&mut backend.expected);
        backend.seats.clear();
        for name in ranked(key, &self.bidders) {
            if backend.seats.len() == self.seats {
                break;
            }
            let taken = *name == self.me || self.finding(name, key).is_some();
            if !taken {
                let before = expected.iter().find(|(node, _)| node == name);
                let since = before.map_or(now, |(_, since)| *since);
                backend.expected.push((Arc::clone(name), since));
                let until = since + TAKE_WITHIN;
                if now >= until {
                    continue;
                }
                self.waiting.insert((until, key));
            }
            backend.seats.push(Arc::clone(name));
        }
    }

    /// Notes who found something else than the verdict, and since when.
    fn compare(&mut self, key: u64, backend: &mut Backend, now: Moment) {
        let before = std::mem::take(&mut backend.against);
        for name in &backend.seats {
            let finding = self.finding(name, key);
            if finding.is_some_and(|finding| finding.contradicts(&backend.verdict)) {
                let known = before.iter().find(|(node, _)| node == name);
                let since = known.map_or(now, |(_, since)| *since);
                backend.against.push((Arc::clone(name), since));
            }
        }
    }
}
