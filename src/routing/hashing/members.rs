//! The members of a placement in the one order that does not depend on how they were given.

/// Something keys are placed on: a backend of a group, or a group of a shard rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// The hash of its id, never its position. For [`Jump`](super::Jump) its ordinal.
    pub key: u64,
    /// Its share, in proportion to the others; 0 gets nothing.
    pub weight: u32,
}

/// A member with its place in the list it was given in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: u64,
    pub(super) weight: u32,
    pub(super) index: u32,
}

/// All members by key, each key once: of equal keys the first given stays, also if its weight is
/// 0. Only there does the order of the list matter, and only if the weights differ.
pub(super) fn by_key(members: &[Member]) -> Vec<Entry> {
    let entry = |(index, member): (u32, &Member)| Entry {
        key: member.key,
        weight: member.weight,
        index,
    };
    let mut entries: Vec<Entry> = (0..).zip(members).map(entry).collect();
    entries.sort_by_key(|entry| entry.key);
    entries.dedup_by_key(|entry| entry.key);
    entries
}

/// Those with a weight, by key.
pub(super) fn weighted(members: &[Member]) -> Vec<Entry> {
    let mut entries = by_key(members);
    entries.retain(|entry| entry.weight > 0);
    entries
}

/// The greatest common divisor of all weights above 0; 1 if there is none.
pub(super) fn unit(entries: &[Entry]) -> u32 {
    let divisor = |a: u32, entry: &Entry| {
        let (mut a, mut b) = (a, entry.weight);
        while b != 0 {
            (a, b) = (b, a % b);
        }
        a
    };
    entries.iter().fold(0, divisor).max(1)
}

/// The places of `entries` in the list they were given in.
pub(super) fn indices(entries: &[Entry]) -> Box<[u32]> {
    entries.iter().map(|entry| entry.index).collect()
}
