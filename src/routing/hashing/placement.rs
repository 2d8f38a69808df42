//! The placements behind one type, for groups and shard rules that name theirs in configuration.

use super::jump::Jump;
use super::maglev::Maglev;
use super::members::Member;
use super::rendezvous::{Order, Rendezvous};
use super::ring::Ring;
use super::rows::Rows;
use super::walk::Walk;

/// Which function places keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// No table; members come and go at the end of their ordinals only.
    Jump,
    /// The most even shares; some keys move between members that stay.
    Maglev,
    /// No key moves between members that stay; proportional to weights.
    Rendezvous,
    /// Ketama: no key moves between members that stay; uneven.
    Ring,
}

/// One of the placements.
#[derive(Debug)]
pub enum Placement {
    /// See [`Jump`].
    Jump(Jump),
    /// See [`Maglev`].
    Maglev(Maglev),
    /// See [`Rendezvous`].
    Rendezvous(Rendezvous),
    /// See [`Ring`].
    Ring(Ring),
}

impl Placement {
    /// The placement of `members` by `algorithm`.
    #[must_use]
    pub fn new(algorithm: Algorithm, members: &[Member]) -> Self {
        match algorithm {
            Algorithm::Jump => Placement::Jump(Jump::new(members)),
            Algorithm::Maglev => Placement::Maglev(Maglev::new(members)),
            Algorithm::Rendezvous => Placement::Rendezvous(Rendezvous::new(members)),
            Algorithm::Ring => Placement::Ring(Ring::new(members)),
        }
    }

    /// The algorithm it was made by.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self {
            Placement::Jump(_) => Algorithm::Jump,
            Placement::Maglev(_) => Algorithm::Maglev,
            Placement::Rendezvous(_) => Algorithm::Rendezvous,
            Placement::Ring(_) => Algorithm::Ring,
        }
    }

    /// The member `hash` is placed on, as its place in the list given; `None` if no member has a
    /// weight.
    #[inline]
    #[must_use]
    pub fn lookup(&self, hash: u64) -> Option<u32> {
        match self {
            Placement::Jump(jump) => jump.lookup(hash),
            Placement::Maglev(maglev) => maglev.lookup(hash),
            Placement::Rendezvous(rendezvous) => rendezvous.lookup(hash),
            Placement::Ring(ring) => ring.lookup(hash),
        }
    }

    /// Every member with a weight once, the one of [`lookup`](Self::lookup) first.
    #[inline]
    #[must_use]
    pub fn candidates(&self, hash: u64) -> Candidates<'_> {
        let course = match self {
            Placement::Jump(jump) => Courses::Jump(jump.walk(hash)),
            Placement::Maglev(maglev) => Courses::Maglev(maglev.walk(hash)),
            Placement::Rendezvous(rendezvous) => Courses::Rendezvous(rendezvous.order(hash)),
            Placement::Ring(ring) => Courses::Ring(ring.walk(hash)),
        };
        Candidates { course }
    }

    /// What it occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        match self {
            Placement::Jump(jump) => jump.memory_bytes(),
            Placement::Maglev(maglev) => maglev.memory_bytes(),
            Placement::Rendezvous(rendezvous) => rendezvous.memory_bytes(),
            Placement::Ring(ring) => ring.memory_bytes(),
        }
    }
}

/// The members for one hash, first choice first.
#[derive(Debug)]
pub struct Candidates<'a> {
    course: Courses<'a>,
}

#[derive(Debug)]
enum Courses<'a> {
    Jump(Walk<'a, Jump>),
    Maglev(Walk<'a, Rows>),
    Rendezvous(Order<'a>),
    Ring(Walk<'a, Ring>),
}

impl Iterator for Candidates<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match &mut self.course {
            Courses::Jump(walk) => walk.next(),
            Courses::Maglev(walk) => walk.next(),
            Courses::Rendezvous(order) => order.next(),
            Courses::Ring(walk) => walk.next(),
        }
    }
}
