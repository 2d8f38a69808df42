//! Rendezvous (highest random weight): every member bids for every key, and the best bid wins.
//!
//! The bid of a member depends on the key and on itself alone, so one that leaves, joins or
//! changes its weight moves keys from or to itself and no others. Bids are times of arrival,
//! `-log2(u) / weight`, the earliest wins; that makes shares proportional to weights. The time is
//! computed in integers ([`log2`](super::log2)).
//!
//! Up to [`DIRECT_MAX`] members each key is put to all of them. For more, a table of rows is
//! settled in advance ([`table`](super::table)), and a key takes the winner of its row: constant
//! time, shares a little less even. A key has one winner there and another one here, so all keys
//! move once when a group grows past the bound, and again at 1024 and 2048 members, where the
//! number of rows doubles.
//!
//! With all weights equal the earliest time is the greatest hash, which needs no logarithm. Ties
//! between times, which are rounded, go to the greater hash as well, so that the first different
//! weight moves nothing else.

use super::key::mix;
use super::log2::minus_log2;
use super::members::{Entry, Member, indices, weighted};
use super::rows::Rows;
use super::table;
use super::walk::Walk;

/// Members up to which every key is put to all of them.
const DIRECT_MAX: usize = 64;

const SALT: u64 = 0x6872_772e_6269_6431;

/// Rendezvous over a few members, or over rows.
#[derive(Debug)]
pub struct Rendezvous {
    form: Form,
}

#[derive(Debug)]
enum Form {
    Direct(Direct),
    Table(Rows),
}

impl Rendezvous {
    /// The form that suits the number of members.
    #[must_use]
    pub fn new(members: &[Member]) -> Self {
        let entries = weighted(members);
        let form = match entries.len() <= DIRECT_MAX {
            true => Form::Direct(Direct::new(&entries)),
            false => Form::Table(table::settle(&entries, table::rows_log_for(entries.len()))),
        };
        Rendezvous { form }
    }

    /// A table of `1 << rows_log` rows, for 8 to 24, whatever the number of members.
    #[must_use]
    pub fn with_rows(members: &[Member], rows_log: u32) -> Self {
        let rows = table::settle(&weighted(members), rows_log);
        Rendezvous {
            form: Form::Table(rows),
        }
    }

    /// The member `hash` is placed on; `None` if no member has a weight.
    #[inline]
    #[must_use]
    pub fn lookup(&self, hash: u64) -> Option<u32> {
        match &self.form {
            Form::Direct(direct) => direct.lookup(hash),
            Form::Table(rows) => rows.lookup(hash),
        }
    }

    /// Every member with a weight once, the one of [`lookup`](Self::lookup) first. Up to 64
    /// members each next one is the one that would win without those before.
    #[inline]
    pub fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        self.order(hash)
    }

    #[inline]
    pub(super) fn order(&self, hash: u64) -> Order<'_> {
        match &self.form {
            Form::Direct(direct) => Order::Direct(Ranking {
                direct,
                hash,
                last: None,
            }),
            Form::Table(rows) => Order::Table(Walk::new(rows, hash)),
        }
    }

    /// What it occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        let form = match &self.form {
            Form::Direct(direct) => direct.memory_bytes(),
            Form::Table(rows) => rows.memory_bytes(),
        };
        size_of::<Self>() + form
    }
}

/// The members in the order of their bids.
#[derive(Debug)]
pub(super) enum Order<'a> {
    Direct(Ranking<'a>),
    Table(Walk<'a, Rows>),
}

impl Iterator for Order<'_> {
    type Item = u32;

    #[inline]
    fn next(&mut self) -> Option<u32> {
        match self {
            Order::Direct(ranking) => ranking.next(),
            Order::Table(walk) => walk.next(),
        }
    }
}

/// The time at which a variate arrives, for a member with this [`inverse`] of its weight.
#[inline]
pub(super) fn time_of(variate: u64, inverse: u64) -> u64 {
    // Less than 65 * 2^48 * 2^64 / 2^55, which fits.
    ((u128::from(minus_log2(variate)) * u128::from(inverse)) >> 55) as u64
}

/// What a logarithm is multiplied with to be divided by the weight.
pub(super) fn inverse(weight: u32) -> u64 {
    u64::MAX / u64::from(weight)
}

/// A few members, all asked for every key.
#[derive(Debug)]
struct Direct {
    keys: Box<[u64]>,
    /// Empty if all weights are equal.
    inverses: Box<[u64]>,
    members: Box<[u32]>,
}

/// A bid: time, what the hash lacks, position. The least wins; no two are equal.
type Bid = (u64, u64, u32);

impl Direct {
    fn new(entries: &[Entry]) -> Self {
        let equal = entries
            .windows(2)
            .all(|pair| pair[0].weight == pair[1].weight);
        let inverses = entries.iter().filter(|_| !equal);
        Direct {
            keys: entries.iter().map(|entry| mix(entry.key ^ SALT)).collect(),
            inverses: inverses.map(|entry| inverse(entry.weight)).collect(),
            members: indices(entries),
        }
    }

    #[inline]
    fn lookup(&self, hash: u64) -> Option<u32> {
        let best = match self.inverses.is_empty() {
            true => self.greatest(hash),
            false => self.bids(hash).min().map(|(.., position)| position),
        };
        best.map(|position| self.members[position as usize])
    }

    /// The position with the greatest hash, the first one of equals.
    #[inline]
    fn greatest(&self, hash: u64) -> Option<u32> {
        let lacks = self.keys.iter().map(|key| !mix(hash ^ key));
        let (_, position) = lacks.zip(0..).min()?;
        Some(position)
    }

    #[inline]
    fn bids(&self, hash: u64) -> impl Iterator<Item = Bid> {
        let bid = move |(position, key): (u32, &u64)| {
            let variate = mix(hash ^ key);
            let inverse = self.inverses.get(position as usize);
            let time = inverse.map_or(0, |inverse| time_of(variate, *inverse));
            (time, !variate, position)
        };
        (0..).zip(&self.keys).map(bid)
    }

    fn memory_bytes(&self) -> usize {
        let numbers = size_of_val::<[u64]>(&self.keys) + size_of_val::<[u64]>(&self.inverses);
        numbers + size_of_val::<[u32]>(&self.members)
    }
}

/// The members by their bids; each next one is looked for when it is asked for.
#[derive(Debug)]
pub(super) struct Ranking<'a> {
    direct: &'a Direct,
    hash: u64,
    last: Option<Bid>,
}

impl Iterator for Ranking<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        let last = self.last;
        let later = self.direct.bids(self.hash).filter(|bid| Some(*bid) > last);
        let bid = later.min()?;
        self.last = Some(bid);
        Some(self.direct.members[bid.2 as usize])
    }
}
