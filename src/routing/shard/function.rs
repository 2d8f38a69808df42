//! From a key to the group that owns it.
//!
//! **Integers** are read in decimal: an optional minus, then digits. Leading zeros count for
//! nothing, so `007` and `7` are one key, as they are for whoever reads them as a number. A range
//! rule refuses any other key as malformed; `modulo` takes an integer of any length, and hashes
//! what is none, so that identifiers of both kinds may share a rule.
//!
//! Texts are compared byte by byte. Every function is a pure one of the rule and the key, and the
//! cost of a look-up follows the key's length and the logarithm of the number of entries.

mod contents;

use crate::base::id::GroupIndex;
use crate::routing::hashing::{Algorithm, Member, Placement, bounded, hash_key};
use crate::routing::radix::{NONE, Tree};

/// How a key chooses a group.
#[derive(Debug)]
pub enum Function {
    /// A consistent hash over groups.
    Hash(Hashed),
    /// Ranges of integers.
    Integers(Box<[IntegerRange]>),
    /// Single keys.
    Map(Keys),
    /// The remainder of an integer; of the hash for any other key.
    Modulo(Modulo),
    /// Beginnings of keys, of which the longest counts.
    Prefix(Keys),
    /// Ranges of texts.
    Texts(Box<[TextRange]>),
}

/// Integers that belong to a group, both ends included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntegerRange {
    /// The least.
    pub from: i64,
    /// The greatest.
    pub to: i64,
    /// Where they belong.
    pub group: GroupIndex,
}

/// Texts that belong to a group, in the order of their bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextRange {
    /// The least.
    pub from: Box<[u8]>,
    /// The least that is not included; `None` for no end.
    pub to: Option<Box<[u8]>>,
    /// Where they belong.
    pub group: GroupIndex,
}

/// Groups keys are spread over, in proportion to weights.
#[derive(Debug)]
pub struct Hashed {
    placement: Placement,
    /// Of the keys it places.
    seed: u64,
    groups: Box<[(GroupIndex, u32)]>,
    bounded_load: Option<u32>,
}

/// Groups that take turns with the integers.
#[derive(Debug)]
pub struct Modulo {
    groups: Box<[GroupIndex]>,
    /// Of the keys that are no integers.
    seed: u64,
}

/// Keys, or beginnings of keys, with their groups.
#[derive(Debug, Default)]
pub struct Keys(Tree);

/// What a function says of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// It belongs there.
    Group(GroupIndex),
    /// It is not of the type the function is about.
    Malformed,
    /// It belongs nowhere.
    Nowhere,
}

/// Separates this level of placement from the others (see `hashing`), the same for every rule:
/// rules with the same groups agree.
const LEVEL: &[u8] = b"shard";

impl Function {
    /// A hash over groups given by name and weight. With `bounded_load` a group that has more
    /// than so many percent of its share of the load is passed over. All nodes of a cluster have
    /// the same `seed`.
    #[must_use]
    pub fn hash(
        algorithm: Algorithm,
        groups: &[(&str, GroupIndex, u32)],
        bounded_load: Option<u32>,
        seed: u64,
    ) -> Self {
        let seed = hash_key(seed, LEVEL);
        let members = (0_u64..)
            .zip(groups)
            .map(|(ordinal, (name, _, weight))| Member {
                key: match algorithm {
                    Algorithm::Jump => ordinal,
                    _ => hash_key(seed, name.as_bytes()),
                },
                weight: *weight,
            });
        let members: Vec<Member> = members.collect();
        let pairs = groups.iter().map(|(_, group, weight)| (*group, *weight));
        Function::Hash(Hashed {
            placement: Placement::new(algorithm, &members),
            seed,
            groups: pairs.collect(),
            bounded_load,
        })
    }

    /// Ranges of integers; they must not overlap.
    #[must_use]
    pub fn integers(mut ranges: Vec<IntegerRange>) -> Self {
        ranges.sort_unstable_by_key(|range| range.from);
        Function::Integers(ranges.into())
    }

    /// Ranges of texts; they must not overlap.
    #[must_use]
    pub fn texts(mut ranges: Vec<TextRange>) -> Self {
        ranges.sort_unstable_by(|left, right| left.from.cmp(&right.from));
        Function::Texts(ranges.into())
    }

    /// The remainder of an integer by the number of groups.
    #[must_use]
    pub fn modulo(groups: Box<[GroupIndex]>, seed: u64) -> Self {
        Function::Modulo(Modulo {
            groups,
            seed: hash_key(seed, LEVEL),
        })
    }

    /// Single keys; of a key that is there twice the first one counts.
    #[must_use]
    pub fn map<'k>(keys: impl Iterator<Item = (&'k str, GroupIndex)>) -> Self {
        let mut tree = Tree::default();
        for (key, group) in keys {
            tree.insert_exact(key.bytes(), group.0);
        }
        Function::Map(Keys(tree))
    }

    /// Beginnings of keys; of one that is there twice the first one counts.
    #[must_use]
    pub fn prefix<'k>(keys: impl Iterator<Item = (&'k str, GroupIndex)>) -> Self {
        let mut tree = Tree::default();
        for (key, group) in keys {
            tree.insert_prefix(key.bytes(), group.0);
        }
        Function::Prefix(Keys(tree))
    }

    /// The group of `key`; `load_of` tells how many requests a group has in flight and is asked
    /// only where a bound depends on it.
    #[inline]
    #[must_use]
    pub fn place(&self, key: &[u8], load_of: impl Fn(GroupIndex) -> u64) -> Placed {
        match self {
            Function::Hash(hashed) => hashed.place(key, load_of),
            Function::Integers(ranges) => match Integer::of(key) {
                Integer::Fits(key) => place_integer(ranges, key),
                Integer::None => Placed::Malformed,
                Integer::TooLong => Placed::Nowhere,
            },
            Function::Map(keys) | Function::Prefix(keys) => keys.place(key),
            Function::Modulo(modulo) => modulo.place(key),
            Function::Texts(ranges) => place_text(ranges, key),
        }
    }
}

impl Hashed {
    fn place(&self, key: &[u8], load_of: impl Fn(GroupIndex) -> u64) -> Placed {
        let hash = hash_key(self.seed, key);
        let found = match self.bounded_load {
            None => self.placement.lookup(hash),
            Some(percent) => self.place_bounded(hash, percent, load_of),
        };
        found
            .and_then(|index| self.groups.get(index as usize))
            .map_or(Placed::Nowhere, |(group, _)| Placed::Group(*group))
    }

    fn place_bounded(
        &self,
        hash: u64,
        percent: u32,
        load_of: impl Fn(GroupIndex) -> u64,
    ) -> Option<u32> {
        let open = self.groups.iter().filter(|(_, weight)| *weight > 0);
        let (load_total, weight_total) = open.fold((0, 0), |(load, weight), (group, own)| {
            (load + load_of(*group), weight + u64::from(*own))
        });
        let bound = bounded::Bound {
            load_total,
            weight_total,
            percent,
        };
        bounded::pick(self.placement.candidates(hash), &bound, |index| {
            let (group, weight) = self.groups[index as usize];
            (load_of(group), weight)
        })
    }
}

impl Modulo {
    fn place(&self, key: &[u8]) -> Placed {
        let count = self.groups.len() as u64;
        if count == 0 {
            return Placed::Nowhere;
        }
        let remainder = remainder(key, count).unwrap_or_else(|| hash_key(self.seed, key) % count);
        self.groups
            .get(usize::try_from(remainder).unwrap_or(usize::MAX))
            .map_or(Placed::Nowhere, |group| Placed::Group(*group))
    }
}

impl Keys {
    fn place(&self, key: &[u8]) -> Placed {
        let mut longest = NONE;
        self.0.walk(key.iter().copied(), |group| longest = group);
        match longest {
            NONE => Placed::Nowhere,
            group => Placed::Group(GroupIndex(group)),
        }
    }
}

fn place_integer(ranges: &[IntegerRange], key: i64) -> Placed {
    let after = ranges.partition_point(|range| range.from <= key);
    match ranges[..after].last() {
        Some(range) if key <= range.to => Placed::Group(range.group),
        _ => Placed::Nowhere,
    }
}

fn place_text(ranges: &[TextRange], key: &[u8]) -> Placed {
    let after = ranges.partition_point(|range| *range.from <= *key);
    match ranges[..after].last() {
        Some(range) if range.to.as_ref().is_none_or(|to| *key < **to) => Placed::Group(range.group),
        _ => Placed::Nowhere,
    }
}

/// The digits of a decimal integer and whether a minus stands before them.
fn digits_of(key: &[u8]) -> Option<(&[u8], bool)> {
    let (digits, negative) = match key {
        [b'-', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    let sound = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    sound.then_some((digits, negative))
}

/// What is left of an integer of any length, never negative; `None` if the key is none.
fn remainder(key: &[u8], divisor: u64) -> Option<u64> {
    let (digits, negative) = digits_of(key)?;
    let next =
        |rest: u128, digit: &u8| (rest * 10 + u128::from(digit - b'0')) % u128::from(divisor);
    let rest = u64::try_from(digits.iter().fold(0, next)).ok()?;
    Some(if negative && rest > 0 {
        divisor - rest
    } else {
        rest
    })
}

/// A key read as an integer.
enum Integer {
    Fits(i64),
    None,
    /// It is one that no range can contain.
    TooLong,
}

impl Integer {
    fn of(key: &[u8]) -> Integer {
        let Some((digits, negative)) = digits_of(key) else {
            return Integer::None;
        };
        let next = |value: i64, digit: &u8| {
            let digit = i64::from(digit - b'0');
            let value = value.checked_mul(10)?;
            if negative {
                value.checked_sub(digit)
            } else {
                value.checked_add(digit)
            }
        };
        digits
            .iter()
            .try_fold(0, next)
            .map_or(Integer::TooLong, Integer::Fits)
    }
}

#[cfg(test)]
mod tests;
