//! The ring of ketama: each member owns the arcs that end at its points.
//!
//! A hash belongs to the next point on the ring. Members have 160 points for each unit of weight,
//! as in nginx, at places that depend on nothing but their key: one that leaves gives its arcs to
//! whoever comes next, and no key moves between those who stay. Shares are uneven, about 8 % from
//! the mean at 160 points, which is what a bound on loads is for. It is offered for those who come
//! from other rings; the hash is our own, so the places are not the same as there.
//!
//! [`Ring::new`] takes the greatest common divisor of the weights as the unit, so that members of
//! weight 100 each do not have 16,000 points. A change that changes the divisor changes the number
//! of points of everybody, and then keys do move between those who stay. Where that may happen and
//! points are no matter, [`Ring::with_points`] takes weights as they are. Either is bounded:
//! points are halved for everybody until all fit [`POINTS_MAX`].
//!
//! A point is a place of 32 bits and a member in eight bytes. Where two members have a point at
//! one place the one with the lower key owns it. An index of the ring, an entry for about eight
//! points, leaves a search of three steps and two cache lines of twenty.

use super::key::STEP;
use super::key::mix;
use super::members::{Entry, Member, indices, unit, weighted};
use super::walk::{Course, Walk, count};

/// Points of a member for each unit of weight.
const POINTS: u32 = 160;

/// Points altogether: 16 MiB, enough for 13,000 equal members.
const POINTS_MAX: u64 = 1 << 21;

/// Points for each entry of the index, as a power of two.
const INDEX_SHIFT: u32 = 3;

const SALT: u64 = 0x7269_6e67_2e70_7431;

/// A ring of points.
#[derive(Debug)]
pub struct Ring {
    /// Place in the upper half, member in the lower, by place; each place once.
    points: Box<[u64]>,
    /// The first point at or behind the beginning of each equal part of the ring, and the end.
    starts: Box<[u32]>,
    /// The shift from a place to its part.
    part_shift: u32,
    members: Box<[u32]>,
}

impl Ring {
    /// A ring of 160 points for the greatest common divisor of the weights.
    #[must_use]
    pub fn new(members: &[Member]) -> Self {
        let entries = weighted(members);
        let unit = unit(&entries);
        Ring::of(&entries, POINTS, unit)
    }

    /// A ring of `points` for a weight of 1.
    #[must_use]
    pub fn with_points(members: &[Member], points: u32) -> Self {
        Ring::of(&weighted(members), points, 1)
    }

    fn of(entries: &[Entry], points: u32, unit: u32) -> Self {
        let points = place(entries, points, unit);
        let parts_log = points.len().max(1).ilog2().saturating_sub(INDEX_SHIFT);
        let part_shift = u32::BITS - parts_log;
        let begins = (0..=1_u64 << parts_log).map(|part| part << part_shift);
        let start = |begin: u64| points.partition_point(|point| point >> 32 < begin);
        let starts = begins.map(|begin| count(&points[..start(begin)])).collect();
        Ring {
            points,
            starts,
            part_shift,
            members: indices(entries),
        }
    }

    /// The member `hash` is placed on; `None` if no member has a weight.
    #[inline]
    #[must_use]
    pub fn lookup(&self, hash: u64) -> Option<u32> {
        self.owner(self.begin(hash))
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

    /// What the ring occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let points = size_of_val::<[u64]>(&self.points);
        let index = size_of_val::<[u32]>(&self.starts);
        size_of::<Self>() + points + index + size_of_val::<[u32]>(&self.members)
    }

    /// What [`lookup`](Self::lookup) answers, found without the index.
    #[cfg(test)]
    pub(super) fn slow_lookup(&self, hash: u64) -> Option<u32> {
        let next = self.points.iter().find(|point| *point >> 32 >= hash >> 32);
        next.or(self.points.first()).map(|point| *point as u32)
    }

    /// How much of 2^32 each of `members` owns.
    #[cfg(test)]
    pub(super) fn arcs(&self, members: usize) -> Vec<u64> {
        let mut arcs = vec![0; members];
        let last = self.points.last().map_or(0, |point| point >> 32);
        let mut before = last.wrapping_sub(1 << 32);
        for point in &self.points {
            arcs[*point as u32 as usize] += (point >> 32).wrapping_sub(before);
            before = point >> 32;
        }
        arcs
    }
}

impl Course for Ring {
    type Place = u32;

    #[inline]
    fn begin(&self, hash: u64) -> u32 {
        let place = hash >> 32;
        let part = (place >> self.part_shift) as usize;
        let (from, to) = (self.starts[part], self.starts[part + 1]);
        let points = &self.points[from as usize..to as usize];
        let at = from + points.partition_point(|point| point >> 32 < place) as u32;
        if at < count(&self.points) { at } else { 0 }
    }

    #[inline]
    fn next(&self, place: u32) -> u32 {
        if place + 1 < count(&self.points) {
            place + 1
        } else {
            0
        }
    }

    #[inline]
    fn owner(&self, place: u32) -> Option<u32> {
        // The lower half.
        self.points.get(place as usize).map(|point| *point as u32)
    }

    fn members(&self) -> &[u32] {
        &self.members
    }
}

/// The points of all members, sorted.
fn place(entries: &[Entry], points: u32, unit: u32) -> Box<[u64]> {
    let of = |entry: &Entry, halvings: u32| {
        let wanted = u64::from(points) * u64::from(entry.weight / unit);
        (wanted >> halvings).max(1)
    };
    let fits = |halvings: &u32| {
        let sum: u64 = entries.iter().map(|entry| of(entry, *halvings)).sum();
        sum <= POINTS_MAX
    };
    let halvings = (0..u64::BITS).find(fits).unwrap_or(u64::BITS - 1);
    let mut placed = Vec::new();
    for (ordinal, entry) in (0_u64..).zip(entries) {
        let mut state = mix(entry.key ^ SALT);
        for _ in 0..of(entry, halvings) {
            state = state.wrapping_add(STEP);
            placed.push(mix(state) >> 32 << 32 | ordinal);
        }
    }
    placed.sort_unstable();
    placed.dedup_by_key(|point| *point >> 32);
    for point in &mut placed {
        let ordinal = *point as u32 as usize;
        *point = *point >> 32 << 32 | u64::from(entries[ordinal].index);
    }
    placed.into_boxed_slice()
}
