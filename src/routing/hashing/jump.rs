//! Jump consistent hash: no table, but only the last bucket can come and go.
//!
//! Lamping and Veach's function over buckets in the order of the members' keys, in integers where
//! the original divides in floating point. The keys must therefore be *ordinals*, numbers that
//! members keep for ever: one that joins gets the next, and takes over an equal part of every
//! other one's keys. With keys that are hashes of ids the function is still the same on every
//! node, but one that joins somewhere in the middle moves about half of all keys.
//!
//! One that leaves is not taken out of the list: it gets weight 0. Its bucket stays as a hole, and
//! a key that meets a hole draws again, so nobody else's keys move. Draws are bounded
//! ([`STEPS_MAX`](super::walk::STEPS_MAX)); behind them the members stand in for each other by
//! ordinal. While half of the ordinals are holes that is never reached, while nine of ten are,
//! one key in a million gets there.
//!
//! A member has as many buckets as its weight in units of the greatest common divisor, halved
//! until all fit [`BUCKETS_MAX`], and a hole is one. So the promises hold where all weights are
//! equal; with different ones they hold for who joins at the end without changing the divisor, but
//! a member of several buckets that becomes a hole shifts those behind it. Where weights differ
//! and members leave, rendezvous is the one to use.

use super::key::{STEP, mix};
use super::members::{Entry, Member, by_key, indices, unit};
use super::walk::{Course, Walk, count};

/// Buckets altogether: 4 MiB. Members beyond it would have none of their own.
const BUCKETS_MAX: u64 = 1 << 20;

/// A bucket without a member.
const HOLE: u32 = u32::MAX;

/// Members in buckets by ordinal.
#[derive(Debug)]
pub struct Jump {
    buckets: Box<[u32]>,
    members: Box<[u32]>,
}

impl Jump {
    /// Buckets for `members`, whose keys are their ordinals.
    #[must_use]
    pub fn new(members: &[Member]) -> Self {
        let mut entries = by_key(members);
        let buckets = buckets(&entries);
        entries.retain(|entry| entry.weight > 0);
        Jump {
            buckets,
            members: indices(&entries),
        }
    }

    /// The member `hash` is placed on; `None` if no member has a weight.
    #[inline]
    #[must_use]
    pub fn lookup(&self, hash: u64) -> Option<u32> {
        self.owner(hash).or_else(|| self.walk(hash).next())
    }

    /// Every member with a weight once, the one of [`lookup`](Self::lookup) first.
    #[inline]
    pub fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        self.walk(hash)
    }

    #[inline]
    pub(super) fn walk(&self, hash: u64) -> Walk<'_, Self> {
        Walk::new(self, hash)
    }

    /// What the buckets occupy.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let buckets = size_of_val::<[u32]>(&self.buckets);
        size_of::<Self>() + buckets + size_of_val::<[u32]>(&self.members)
    }
}

impl Course for Jump {
    type Place = u64;

    #[inline]
    fn begin(&self, hash: u64) -> u64 {
        hash
    }

    #[inline]
    fn next(&self, place: u64) -> u64 {
        mix(place.wrapping_add(STEP))
    }

    #[inline]
    fn owner(&self, place: u64) -> Option<u32> {
        let bucket = bucket_of(place, count(&self.buckets));
        let owner = self.buckets.get(bucket as usize).copied();
        owner.filter(|owner| *owner != HOLE)
    }

    fn members(&self) -> &[u32] {
        &self.members
    }
}

/// The bucket of a hash among `buckets`; 0 if there are none.
#[inline]
pub(super) fn bucket_of(mut hash: u64, buckets: u32) -> u32 {
    let mut chosen = 0;
    let mut next = 0;
    while next < u64::from(buckets) {
        chosen = next as u32;
        hash = hash.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        next = ((u64::from(chosen) + 1) << 31) / ((hash >> 33) + 1);
    }
    chosen
}

/// The place of each bucket's member in the list it was given in; a hole for each without weight.
fn buckets(entries: &[Entry]) -> Box<[u32]> {
    let unit = unit(entries);
    let of = |entry: &Entry, halvings: u32| match entry.weight {
        0 => 1,
        weight => ((weight / unit) >> halvings).max(1),
    };
    let fits = |halvings: &u32| {
        let sum: u64 = entries
            .iter()
            .map(|entry| u64::from(of(entry, *halvings)))
            .sum();
        sum <= BUCKETS_MAX
    };
    let halvings = (0..u32::BITS).find(fits).unwrap_or(u32::BITS - 1);
    let buckets = entries.iter().flat_map(|entry| {
        let owner = if entry.weight > 0 { entry.index } else { HOLE };
        std::iter::repeat_n(owner, of(entry, halvings) as usize)
    });
    buckets.collect()
}
