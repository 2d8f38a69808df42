//! Maglev: a table that members fill in turns, each in an order of its own.
//!
//! The order of a member is `offset + k * skip` modulo the number of rows, which is a prime, so it
//! passes every row. In each turn a member claims the first row of its order that is still free;
//! the shares of equal members therefore differ by at most one row. The price is disruption: when
//! one of `n` leaves, rows change hands between those who stay, from 0.02/n at 10 members of 65537
//! rows to 6/n at 1000. Where keys must stay where they are, rendezvous is the better choice.
//!
//! Weights scale the turns, as in Envoy and Katran: the heaviest claims in every turn, one of
//! weight `w` its `k`-th row in turn `(k + 1/2) * heaviest / w`. The half rounds shares to the
//! nearest row instead of up. The first row comes by the middle of the table at the latest, so
//! that nobody is left without one. Members wait in a bucket for the turn of their next claim;
//! looking at all of them in every turn would take 10^10 steps for ten thousand light members and
//! a heavy one.
//!
//! The number of rows comes from a short list of primes, not from the exact `100 * n`: all keys
//! move when it changes, and it should not change with every member. It is bounded by the last of
//! them.

use super::key::{mix, scale};
use super::members::{Entry, Member, indices, weighted};
use super::rows::Rows;
use super::walk::Walk;

/// Numbers of rows, primes, each about twice the one before or more.
const SIZES: [u32; 9] = [
    1_009, 5_003, 65_537, 131_101, 262_147, 524_309, 1_000_003, 2_000_003, 5_000_011,
];

/// Rows for each member, for shares that differ by a hundredth.
const ROWS_PER_MEMBER: u64 = 100;

/// Members up to which a table may be smaller than [`SIZE_USUAL`].
const SMALL_MAX: usize = 50;
const SIZE_USUAL: u32 = 65_537;

const OFFSET_SALT: u64 = 0x6d61_676c_6576_2e6f;
const SKIP_SALT: u64 = 0x6d61_676c_6576_2e73;
const FREE: u32 = u32::MAX;

/// A maglev table.
#[derive(Debug)]
pub struct Maglev {
    rows: Rows,
}

impl Maglev {
    /// A table of the size that suits the number of members.
    #[must_use]
    pub fn new(members: &[Member]) -> Self {
        let entries = weighted(members);
        let size = size_for(entries.len());
        Maglev::of(&entries, size)
    }

    /// A table of `size` rows, which must be a prime.
    #[must_use]
    pub fn with_size(members: &[Member], size: u32) -> Self {
        Maglev::of(&weighted(members), size)
    }

    fn of(entries: &[Entry], size: u32) -> Self {
        let owners = match entries.is_empty() {
            true => Vec::new(),
            false => fill(entries, size),
        };
        Maglev {
            rows: Rows::new(&owners, indices(entries)),
        }
    }

    /// The member `hash` is placed on; `None` if no member has a weight.
    #[inline]
    #[must_use]
    pub fn lookup(&self, hash: u64) -> Option<u32> {
        self.rows.lookup(hash)
    }

    /// Every member with a weight once, the one of [`lookup`](Self::lookup) first.
    #[inline]
    pub fn candidates(&self, hash: u64) -> impl Iterator<Item = u32> + '_ {
        self.walk(hash)
    }

    #[inline]
    pub(super) fn walk(&self, hash: u64) -> Walk<'_, Rows> {
        Walk::new(&self.rows, hash)
    }

    /// How many rows the table has.
    #[must_use]
    pub fn size(&self) -> u32 {
        self.rows.len()
    }

    /// What the table occupies.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.rows.memory_bytes()
    }
}

/// The least of [`SIZES`] with [`ROWS_PER_MEMBER`], and at least [`SIZE_USUAL`] for more than
/// [`SMALL_MAX`] members; the last one if none is.
pub(super) fn size_for(members: usize) -> u32 {
    let least = ROWS_PER_MEMBER * members as u64;
    let least = match members > SMALL_MAX {
        true => least.max(u64::from(SIZE_USUAL)),
        false => least,
    };
    let size = SIZES.iter().find(|size| u64::from(**size) >= least);
    size.copied().unwrap_or(SIZES[SIZES.len() - 1])
}

/// The owner of each row, as a position in `entries`, of which there is at least one.
fn fill(entries: &[Entry], size: u32) -> Vec<u32> {
    let mut owners = vec![FREE; size as usize];
    let mut free = Free::new(size);
    let mut orders: Vec<Order> = entries
        .iter()
        .map(|entry| Order::new(entry, size))
        .collect();
    let mut turns = Turns::new(entries, size);
    let mut due = Vec::new();
    let mut left = size;
    for turn in 0..turns.count() {
        turns.take(turn, &mut due);
        for member in due.drain(..) {
            let row = orders[member as usize].claim(&mut free, size);
            owners[row as usize] = member;
            left -= 1;
            if left == 0 {
                return owners;
            }
            turns.wait(member, &entries[member as usize]);
        }
    }
    owners
}

/// Which rows are free, a bit each: the whole of it stays in the nearest cache, where the probing
/// that fills a table spends its time.
struct Free {
    words: Vec<u64>,
}

impl Free {
    fn new(size: u32) -> Self {
        Free {
            words: vec![u64::MAX; size as usize / 64 + 1],
        }
    }

    fn is_free(&self, row: u32) -> bool {
        self.words[row as usize / 64] >> (row % 64) & 1 == 1
    }

    fn take(&mut self, row: u32) {
        self.words[row as usize / 64] &= !(1 << (row % 64));
    }
}

/// Where a member stands in its order of the rows.
struct Order {
    row: u32,
    skip: u32,
}

impl Order {
    fn new(entry: &Entry, size: u32) -> Self {
        Order {
            row: scale(mix(entry.key ^ OFFSET_SALT), size),
            skip: 1 + scale(mix(entry.key ^ SKIP_SALT), size - 1),
        }
    }

    /// The next free row of the order. There is one: the table is not full, and the order passes
    /// every row.
    fn claim(&mut self, free: &mut Free, size: u32) -> u32 {
        loop {
            let row = self.row;
            // Both are below the size, which is far below half of what fits.
            let next = row + self.skip;
            self.row = if next < size { next } else { next - size };
            if free.is_free(row) {
                free.take(row);
                return row;
            }
        }
    }
}

/// Who claims in which turn: a list of members for each turn, linked through `next`.
struct Turns {
    /// The last member that joined the list of each turn.
    heads: Vec<u32>,
    next: Vec<u32>,
    claims: Vec<u32>,
    heaviest: u64,
}

impl Turns {
    fn new(entries: &[Entry], size: u32) -> Self {
        let heaviest = entries.iter().map(|entry| u64::from(entry.weight)).max();
        let heaviest = heaviest.unwrap_or(1);
        let total: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
        // After `t` turns a member has at least `t * w / heaviest - 1/2` rows, so all together have
        // at least `t * total / heaviest - n / 2`: the table is full before the turns are over.
        let rows = u64::from(size) + entries.len() as u64;
        let turns = rows * heaviest / total.max(1) + 2;
        let mut turns = Turns {
            heads: vec![FREE; turns as usize],
            next: vec![FREE; entries.len()],
            claims: vec![0; entries.len()],
            heaviest,
        };
        let middle = turns.count() as u64 / 2;
        for (member, entry) in (0..).zip(entries) {
            let first = turns.turn_of_claim(entry, 0).min(middle);
            turns.join(member, first);
        }
        turns
    }

    fn count(&self) -> usize {
        self.heads.len()
    }

    /// The turn in which a member claims after `claims` earlier ones.
    fn turn_of_claim(&self, entry: &Entry, claims: u32) -> u64 {
        // At most 2 * 5,000,011 * 2^32, which fits.
        (2 * u64::from(claims) + 1) * self.heaviest / (2 * u64::from(entry.weight))
    }

    /// Puts a member that claimed a row on the list of its next turn.
    fn wait(&mut self, member: u32, entry: &Entry) {
        self.claims[member as usize] += 1;
        let turn = self.turn_of_claim(entry, self.claims[member as usize]);
        self.join(member, turn);
    }

    fn join(&mut self, member: u32, turn: u64) {
        if let Some(head) = self.heads.get_mut(turn as usize) {
            self.next[member as usize] = *head;
            *head = member;
        }
    }

    /// The members whose turn it is, in the order they joined.
    fn take(&self, turn: usize, due: &mut Vec<u32>) {
        let mut member = self.heads[turn];
        while member != FREE {
            due.push(member);
            member = self.next[member as usize];
        }
        due.reverse();
    }
}
