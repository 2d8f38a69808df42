//! One node among others: datagrams in, datagrams out, and who is there.
//!
//! What it is given is opened, counted once and parted: SWIM's, or what a node says of itself. What
//! it wants sent is numbered and sealed. A node that changes says so at once to everybody, again
//! after 50 ms, and then at doubling pauses up to a second: that is also its sign of life beside
//! SWIM's, and what a lost datagram said is said again.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng as _;

use super::capacity::Words;
use super::figures::Figures;
use super::member::Member;
use super::observers;
use super::peers::{Peer, Peers};
use super::seal::{Keys, Nonce};
use super::state::{Phase, State};
use super::swim::Swim;
use super::wire::{Malformed, Reader, put_member};
use super::{DATAGRAM_BYTES_MAX, Moment, NODES_MAX, Rejection};

/// Pauses between two reports of the same.
const TELL_FIRST: Duration = Duration::from_millis(50);
const TELL_LAST: Duration = Duration::from_secs(1);

/// How often given addresses are asked who is there, while nobody is known and later.
const ASK_ALONE: Duration = Duration::from_secs(1);
const ASK_LATER: Duration = Duration::from_secs(5);

/// What was heard of slots, of findings, or measured by others, and is not taken in yet.
const HEARD_MAX: usize = 256;

/// Addresses that are asked.
const SEEDS_MAX: usize = 2 * NODES_MAX;

/// What a node begins with.
pub struct Setting {
    /// Itself.
    pub me: Member,
    /// The keys of its cluster.
    pub keys: Keys,
    /// What no other process draws: the first bytes of its nonces.
    pub nonce: [u8; 16],
    /// What its choices come from.
    pub seed: [u8; 32],
}

/// What a datagram is for, and its number there.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// What is said of findings.
    Findings = 6,
    /// Who is there? I am.
    Hello = 0,
    /// What is said of slots.
    Slots = 1,
    /// What the sender says of itself.
    State = 2,
    /// There is a later life of you.
    Stale = 3,
    /// A message of SWIM.
    Swim = 4,
    /// I am here.
    Welcome = 5,
    /// What the sender measures.
    Figures = 7,
}

/// One node among others.
pub struct Circle {
    me: Member,
    keys: Keys,
    nonce: [u8; 16],
    /// Of the last datagram.
    number: u64,
    swim: Swim,
    peers: Peers,
    seeds: Vec<SocketAddr>,
    ask_at: Moment,
    state: State,
    tell_at: Moment,
    tell_pause: Duration,
    output: VecDeque<(SocketAddr, Vec<u8>)>,
    /// What was heard of slots.
    heard: VecDeque<(Member, Words)>,
    /// What was heard of findings.
    heard_findings: VecDeque<(Member, observers::Words)>,
    /// What others have measured.
    measured: VecDeque<(Member, Figures)>,
}

impl Circle {
    /// A node that knows nobody.
    #[must_use]
    pub fn new(setting: Setting, now: Moment) -> Circle {
        let Setting {
            me,
            keys,
            nonce,
            seed,
        } = setting;
        Circle {
            swim: Swim::new(me.clone(), Xoshiro256PlusPlus::from_seed(seed)),
            me,
            keys,
            nonce,
            number: 0,
            peers: Peers::default(),
            seeds: Vec::new(),
            ask_at: now,
            state: State::default(),
            tell_at: now + TELL_LAST,
            tell_pause: TELL_LAST,
            output: VecDeque::new(),
            heard: VecDeque::new(),
            heard_findings: VecDeque::new(),
            measured: VecDeque::new(),
        }
    }

    /// The node itself, in the life it has now.
    #[must_use]
    pub fn me(&self) -> &Member {
        &self.me
    }

    /// What it says of itself.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// The other nodes, by name.
    pub fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.iter()
    }

    /// Where others may be.
    pub fn change_seeds(&mut self, mut seeds: Vec<SocketAddr>, now: Moment) {
        seeds.truncate(SEEDS_MAX);
        if self.seeds != seeds {
            self.seeds = seeds;
            self.ask_at = now;
        }
    }

    /// What it says of itself from now on; at once where that is news.
    pub fn tell(&mut self, state: State, now: Moment) {
        let news = state.is_news(&self.state);
        let findings = self.state.findings;
        self.state = State { findings, ..state };
        if news {
            self.tell_pause = TELL_FIRST;
            self.tell_all(now);
        }
    }

    /// Which version of its findings is the newest, to be named in its reports.
    pub fn found(&mut self, version: u64) {
        self.state.findings = version;
    }

    /// Says goodbye.
    pub fn leave(&mut self, now: Moment) {
        let state = State {
            phase: Phase::Left,
            ..self.state.clone()
        };
        self.tell(state, now);
        self.swim.leave(now);
        self.follow_swim(now);
    }

    /// Takes in a datagram.
    ///
    /// # Errors
    /// Why nothing became of it.
    pub fn handle(&mut self, datagram: &[u8], now: Moment) -> Result<(), Rejection> {
        let plain = self.keys.open(datagram).ok_or(Rejection::Foreign)?;
        self.handle_opened(&plain, now)
    }

    /// Takes in what was sealed.
    pub(super) fn handle_opened(&mut self, plain: &[u8], now: Moment) -> Result<(), Rejection> {
        let malformed = |_: Malformed| Rejection::Malformed;
        let mut from = Reader(plain);
        let sender = from.member().map_err(malformed)?;
        let number = from.u64().map_err(malformed)?;
        let kind = Kind::read(&mut from).map_err(malformed)?;
        if sender.name == self.me.name {
            return match sender.address == self.me.address {
                // It asked itself: its own address is among those that were given.
                true => Ok(()),
                false => Err(Rejection::Stale),
            };
        }
        if let Err(rejection) = self.peers.admit(&sender, number, now) {
            if rejection == Rejection::Stale {
                self.answer_stale(&sender, now);
            }
            return Err(rejection);
        }
        let result = self.handle_kind(kind, &sender, number, from, now);
        if !matches!(
            kind,
            Kind::Figures | Kind::Findings | Kind::Slots | Kind::State
        ) {
            self.follow_swim(now);
        }
        result.map_err(malformed)
    }

    fn handle_kind(
        &mut self,
        kind: Kind,
        sender: &Member,
        number: u64,
        mut from: Reader<'_>,
        now: Moment,
    ) -> Result<(), Malformed> {
        match kind {
            Kind::Figures => {
                let figures = Figures::read(&mut from)?;
                if self.measured.len() == HEARD_MAX {
                    self.measured.pop_front();
                }
                self.measured.push_back((sender.clone(), figures));
            }
            Kind::Hello | Kind::Welcome => {
                from.end()?;
                if kind == Kind::Hello {
                    self.send(sender.address, Kind::Welcome, &[]);
                }
                if !self.peers.is_there(sender) {
                    self.swim.announce(sender.clone(), now);
                }
            }
            Kind::Stale => {
                let known = from.u64()?;
                from.end()?;
                if known >= self.me.generation && known < u64::MAX {
                    let me = self.me.after(known);
                    self.swim.become_member(me.clone(), now);
                    self.me = me;
                    self.ask_at = now;
                }
            }
            Kind::Slots => {
                let words = Words::read(&mut from)?;
                keep(&mut self.heard, (sender.clone(), words));
            }
            Kind::Findings => {
                let words = observers::Words::read(&mut from)?;
                keep(&mut self.heard_findings, (sender.clone(), words));
            }
            Kind::State => {
                let state = State::read(&mut from)?;
                from.end()?;
                self.peers.heard_state(sender, number, state, now);
            }
            Kind::Swim => self.swim.handle(from.0, now)?,
        }
        Ok(())
    }

    /// When something is due.
    #[must_use]
    pub fn next_deadline(&self) -> Moment {
        let own = self.ask_at.min(self.tell_at);
        self.swim.next_deadline().map_or(own, |swim| swim.min(own))
    }

    /// Does what is due.
    pub fn handle_deadline(&mut self, now: Moment) {
        self.swim.handle_deadline(now);
        self.follow_swim(now);
        if self.ask_at <= now {
            self.ask(now);
        }
        if self.tell_at <= now {
            self.tell_all(now);
        }
    }

    /// A datagram to be sent, and where to.
    pub fn poll_output(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.output.pop_front()
    }

    /// What was heard of slots, and of whom.
    pub fn poll_heard(&mut self) -> Option<(Member, Words)> {
        self.heard.pop_front()
    }

    /// What was heard of findings, and of whom.
    pub fn poll_findings(&mut self) -> Option<(Member, observers::Words)> {
        self.heard_findings.pop_front()
    }

    /// What another node has measured.
    pub fn poll_measured(&mut self) -> Option<(Member, Figures)> {
        self.measured.pop_front()
    }

    /// Says what this node has measured to all that are there.
    pub fn say_figures(&mut self, figures: &Figures) {
        let mut body = Vec::new();
        figures.put(&mut body);
        self.say(None, Kind::Figures, &body);
    }

    /// Says something of slots to a node that is there.
    pub fn say_slots(&mut self, to: &str, words: &[u8]) {
        self.say(Some(to), Kind::Slots, words);
    }

    /// Says something of findings to a node that is there, or to all of them.
    pub fn say_findings(&mut self, to: Option<&str>, words: &[u8]) {
        self.say(to, Kind::Findings, words);
    }

    fn say(&mut self, to: Option<&str>, kind: Kind, words: &[u8]) {
        let there = self.peers.there();
        let there = there.filter(|peer| to.is_none_or(|to| *peer.member.name == *to));
        let addresses: Vec<SocketAddr> = there.map(|peer| peer.member.address).collect();
        for address in addresses {
            self.send(address, kind, words);
        }
    }

    /// That what it holds is sound.
    pub fn check(&self) {
        self.peers.check();
        assert!(self.peers().all(|peer| peer.member.name != self.me.name));
        assert!(self.seeds.len() <= SEEDS_MAX);
    }

    fn ask(&mut self, now: Moment) {
        let known: Vec<SocketAddr> = self.peers.there().map(|peer| peer.member.address).collect();
        let pause = match known.is_empty() {
            true => ASK_ALONE,
            false => ASK_LATER,
        };
        self.ask_at = now + pause;
        for seed in self.seeds.clone() {
            if seed != self.me.address && !known.contains(&seed) {
                self.send(seed, Kind::Hello, &[]);
            }
        }
    }

    fn tell_all(&mut self, now: Moment) {
        self.tell_at = now + self.tell_pause;
        self.tell_pause = (self.tell_pause * 2).min(TELL_LAST);
        let to: Vec<SocketAddr> = self.peers.there().map(|peer| peer.member.address).collect();
        let mut body = Vec::new();
        self.state.put(&mut body);
        for address in to.into_iter().take(NODES_MAX) {
            self.send(address, Kind::State, &body);
        }
    }

    fn answer_stale(&mut self, sender: &Member, now: Moment) {
        if let Some(generation) = self.peers.later_life(&sender.name, now) {
            self.send(sender.address, Kind::Stale, &generation.to_be_bytes());
        }
    }

    /// Sends what SWIM wants sent, and tells whoever has come what this node is.
    fn follow_swim(&mut self, now: Moment) {
        if let Some(me) = self.swim.take_rejoined() {
            self.me = me;
        }
        while let Some((to, message)) = self.swim.poll_message() {
            self.send(to.address, Kind::Swim, &message);
        }
        if self.peers.settle(self.swim.known(), now) {
            self.tell_pause = TELL_FIRST;
            self.tell_at = self.tell_at.min(now);
        }
    }

    fn send(&mut self, to: SocketAddr, kind: Kind, body: &[u8]) {
        self.number += 1;
        let mut nonce = Nonce::default();
        nonce[..16].copy_from_slice(&self.nonce);
        nonce[16..].copy_from_slice(&self.number.to_be_bytes());
        let mut plain = Vec::with_capacity(DATAGRAM_BYTES_MAX);
        put_member(&self.me, &mut plain);
        plain.extend_from_slice(&self.number.to_be_bytes());
        plain.push(kind as u8);
        plain.extend_from_slice(body);
        let datagram = self.keys.seal(&nonce, plain);
        debug_assert!(datagram.len() <= DATAGRAM_BYTES_MAX);
        self.output.push_back((to, datagram));
    }
}

/// Whoever does not take in what was heard hears nothing of it; what is lost is said again.
fn keep<T>(heard: &mut VecDeque<T>, words: T) {
    if heard.len() == HEARD_MAX {
        heard.pop_front();
    }
    heard.push_back(words);
}

impl Kind {
    fn read(from: &mut Reader<'_>) -> Result<Kind, Malformed> {
        let kinds = [
            Kind::Findings,
            Kind::Hello,
            Kind::Slots,
            Kind::State,
            Kind::Stale,
            Kind::Swim,
            Kind::Welcome,
            Kind::Figures,
        ];
        let kind = from.u8()?;
        let found = kinds.into_iter().find(|found| *found as u8 == kind);
        found.ok_or(Malformed)
    }
}
