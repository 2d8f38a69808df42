//! The other nodes, as far as they are known: who they are, how they stand, what they said last.
//!
//! SWIM decides who is there; this adds what was heard. A node that was heard and is not known to
//! SWIM yet is remembered, because its numbers count, and not shown.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use foca::State as Known;

use super::member::Member;
use super::state::{Phase, State};
use super::swim::REMEMBER_FOR;
use super::window::Window;
use super::{Moment, NODES_MAX, Rejection};

/// Nodes remembered, with those that are gone.
const REMEMBERED_MAX: usize = 2 * NODES_MAX;

/// How often one sender is told that it has a later life.
const TELL_STALE_EVERY: Duration = Duration::from_secs(1);

/// How another node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It answers.
    Alive,
    /// It has not answered anybody for long enough.
    Dead,
    /// It has ended on purpose.
    Left,
    /// It has not answered somebody; it may refute.
    Suspect,
}

impl Standing {
    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Standing::Alive => "alive",
            Standing::Dead => "dead",
            Standing::Left => "left",
            Standing::Suspect => "suspect",
        }
    }

    /// All of them.
    pub const ALL: [Standing; 4] = [
        Standing::Alive,
        Standing::Dead,
        Standing::Left,
        Standing::Suspect,
    ];

    /// Whether it is to be reckoned with.
    #[must_use]
    pub const fn is_there(self) -> bool {
        matches!(self, Standing::Alive | Standing::Suspect)
    }
}

/// Another node.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The newest life that is known of it.
    pub member: Member,
    /// How it stands, and since when.
    pub standing: Standing,
    /// When that began.
    pub since: Moment,
    /// When it was last heard.
    pub heard: Option<Moment>,
    /// What it last said of itself in this life.
    pub state: Option<State>,
    /// SWIM knows this life.
    known: bool,
    window: Window,
    state_number: u64,
    told_stale: Option<Moment>,
}

/// All of them, by name.
#[derive(Default)]
pub(super) struct Peers {
    peers: BTreeMap<Arc<str>, Peer>,
}

impl Peer {
    fn new(member: Member, now: Moment) -> Peer {
        Peer {
            member,
            standing: Standing::Alive,
            since: now,
            heard: None,
            state: None,
            known: false,
            window: Window::default(),
            state_number: 0,
            told_stale: None,
        }
    }

    /// Another life of it, of which nothing is known yet.
    fn begin(&mut self, member: Member, now: Moment) {
        *self = Peer::new(member, now);
    }

    /// Whether it has come by that.
    fn stands(&mut self, known: Known, now: Moment) -> bool {
        let left = self.state.as_ref().map(|state| state.phase) == Some(Phase::Left);
        let standing = match known {
            _ if left => Standing::Left,
            Known::Alive => Standing::Alive,
            Known::Down => Standing::Dead,
            Known::Suspect => Standing::Suspect,
        };
        let was_there = self.known && self.standing.is_there();
        self.known = true;
        if self.standing != standing {
            self.standing = standing;
            self.since = now;
        }
        standing.is_there() && !was_there
    }
}

impl Peers {
    /// Those SWIM knows, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values().filter(|peer| peer.known)
    }

    /// Those who are there.
    pub(super) fn there(&self) -> impl Iterator<Item = &Peer> {
        self.iter().filter(|peer| peer.standing.is_there())
    }

    pub(super) fn is_there(&self, member: &Member) -> bool {
        self.there().any(|peer| peer.member == *member)
    }

    /// Takes note that a datagram of this sender and number has come.
    pub(super) fn admit(
        &mut self,
        sender: &Member,
        number: u64,
        now: Moment,
    ) -> Result<(), Rejection> {
        if !self.peers.contains_key(&sender.name) && !self.make_room() {
            return Err(Rejection::Crowded);
        }
        let peer = self.peers.entry(Arc::clone(&sender.name));
        let peer = peer.or_insert_with(|| Peer::new(sender.clone(), now));
        if sender.generation < peer.member.generation {
            return Err(Rejection::Stale);
        }
        if sender.generation > peer.member.generation {
            peer.begin(sender.clone(), now);
        }
        if !peer.window.take(number) {
            return Err(Rejection::Replayed);
        }
        peer.heard = Some(now);
        Ok(())
    }

    /// Which life is known of a name, if its earlier one is to be told of it now.
    pub(super) fn later_life(&mut self, name: &str, now: Moment) -> Option<u64> {
        let peer = self.peers.get_mut(name)?;
        let before = peer.told_stale;
        if before.is_some_and(|at| now < at + TELL_STALE_EVERY) {
            return None;
        }
        peer.told_stale = Some(now);
        Some(peer.member.generation)
    }

    /// Takes in what a node says of itself, unless something newer has come before.
    pub(super) fn heard_state(&mut self, sender: &Member, number: u64, state: State, now: Moment) {
        let Some(peer) = self.peers.get_mut(&sender.name) else {
            return;
        };
        if number <= peer.state_number {
            return;
        }
        peer.state_number = number;
        peer.state = Some(state);
        if peer.known && peer.standing.is_there() {
            let standing = match peer.standing {
                Standing::Suspect => Known::Suspect,
                Standing::Alive | Standing::Dead | Standing::Left => Known::Alive,
            };
            peer.stands(standing, now);
        }
    }

    /// Follows what SWIM knows; answers whether somebody has come.
    pub(super) fn settle<'a>(
        &mut self,
        known: impl Iterator<Item = (&'a Member, Known)>,
        now: Moment,
    ) -> bool {
        let mut come = false;
        for (member, state) in known {
            if !self.peers.contains_key(&member.name) && !self.make_room() {
                continue;
            }
            let peer = self.peers.entry(Arc::clone(&member.name));
            let peer = peer.or_insert_with(|| Peer::new(member.clone(), now));
            if member.generation > peer.member.generation {
                peer.begin(member.clone(), now);
            }
            if member.generation == peer.member.generation {
                come |= peer.stands(state, now);
            }
        }
        let keep = |peer: &Peer| peer.standing.is_there() || now < peer.since + REMEMBER_FOR;
        self.peers.retain(|_, peer| keep(peer));
        come
    }

    /// Forgets whoever is gone longest, if there is no room for another.
    fn make_room(&mut self) -> bool {
        if self.peers.len() < REMEMBERED_MAX {
            return true;
        }
        let gone = self.peers.values().filter(|peer| !peer.standing.is_there());
        let longest = gone.min_by_key(|peer| peer.since);
        let Some(name) = longest.map(|peer| Arc::clone(&peer.member.name)) else {
            return false;
        };
        self.peers.remove(&name).is_some()
    }

    pub(super) fn check(&self) {
        assert!(self.peers.len() <= REMEMBERED_MAX);
        for (name, peer) in &self.peers {
            assert_eq!(*name, peer.member.name);
        }
    }
}
