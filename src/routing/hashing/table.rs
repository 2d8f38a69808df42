//! Rendezvous settled in advance: who wins each row of a table.
//!
//! Asking ten thousand members for each of 2^18 rows would be 2.6 thousand million bids. So they
//! are made in the order of their times: a member visits the rows in an order of its own, a
//! permutation that depends on its key alone, and the `k`-th row it visits gets the `k`-th of
//! equally spaced exponential times. The first to visit a row owns it. That is rendezvous, because
//! the time at which a member visits a row depends on nobody else, and it ends when every row was
//! visited once: about `rows * ln(rows)` visits, however many members there are.
//!
//! Members visit up to a common horizon, which moves on while rows are left. Everything before the
//! horizon is settled by comparing times, so its position decides nothing.

use super::key::mix;
use super::members::{Entry, indices};
use super::rendezvous::{inverse, time_of};
use super::rows::Rows;

/// Bounds of the number of rows, as powers of two: 128 KiB and 512 KiB.
const ROWS_LOG_MIN: u32 = 16;
const ROWS_LOG_MAX: u32 = 18;

/// Members for which the least number of rows is enough, as a power of two.
const MEMBERS_LOG: u32 = 10;

/// Time in which a row is visited with probability 1/2, for members of weight 1 altogether.
const HALF_LIFE: u64 = 1 << 57;

const ORDER_SALT: u64 = 0x6872_772e_726f_7731;
const FREE: u32 = u32::MAX;

/// The number of rows that suits `members`, as a power of two.
pub(super) fn rows_log_for(members: usize) -> u32 {
    let doublings = members
        .next_power_of_two()
        .ilog2()
        .saturating_sub(MEMBERS_LOG);
    (ROWS_LOG_MIN + doublings).min(ROWS_LOG_MAX)
}

/// The table of `1 << rows_log` rows.
pub(super) fn settle(entries: &[Entry], rows_log: u32) -> Rows {
    let mut contest = Contest::new(rows_log);
    let mut visitors: Vec<Visitor> = entries
        .iter()
        .map(|entry| Visitor::new(entry, rows_log))
        .collect();
    let total: u64 = entries.iter().map(|entry| u64::from(entry.weight)).sum();
    let step = HALF_LIFE / total.max(1);
    let mut horizon = step.saturating_mul(u64::from(rows_log));
    // Ends at the latest when the first member has visited every row.
    while contest.left > 0 && !visitors.is_empty() {
        for (member, visitor) in (0..).zip(&mut visitors) {
            visitor.visit_until(horizon, member, &mut contest);
        }
        horizon = horizon.saturating_add(step);
    }
    let owners = if entries.is_empty() {
        Vec::new()
    } else {
        contest.owners
    };
    Rows::new(&owners, indices(entries))
}

/// The earliest visit of each row so far.
struct Contest {
    times: Vec<u64>,
    owners: Vec<u32>,
    /// Rows nobody has visited.
    left: usize,
}

impl Contest {
    fn new(rows_log: u32) -> Self {
        let rows = 1 << rows_log;
        Contest {
            times: vec![u64::MAX; rows],
            owners: vec![FREE; rows],
            left: rows,
        }
    }

    /// Members come by key within one horizon, so of equal times the lower key keeps the row.
    #[inline]
    fn visit(&mut self, row: u32, time: u64, member: u32) {
        let row = row as usize;
        if time < self.times[row] {
            self.left -= usize::from(self.owners[row] == FREE);
            self.times[row] = time;
            self.owners[row] = member;
        }
    }
}

/// A member on its way through the rows.
struct Visitor {
    order: Order,
    inverse: u64,
    visited: u32,
    /// When it visits the next row.
    time: u64,
}

impl Visitor {
    fn new(entry: &Entry, rows_log: u32) -> Self {
        let mut visitor = Visitor {
            order: Order::new(entry.key, rows_log),
            inverse: inverse(entry.weight),
            visited: 0,
            time: 0,
        };
        visitor.time = visitor.time_of_visit();
        visitor
    }

    fn visit_until(&mut self, horizon: u64, member: u32, contest: &mut Contest) {
        while self.time < horizon && self.visited < self.order.rows() {
            contest.visit(self.order.row(self.visited), self.time, member);
            self.visited += 1;
            self.time = self.time_of_visit();
        }
    }

    /// The time that `(visited + 1/2) / rows` of all visits come before; never if all rows were
    /// visited.
    #[inline]
    fn time_of_visit(&self) -> u64 {
        if self.visited == self.order.rows() {
            return u64::MAX;
        }
        let before = (2 * u64::from(self.visited) + 1) << (63 - self.order.rows_log);
        time_of(!before, self.inverse)
    }
}

/// A permutation of the rows: two rounds of multiplying by an odd number and folding the upper
/// bits into the lower, between two additions. Every step can be undone, so no row comes twice.
struct Order {
    rows_log: u32,
    first: u32,
    factors: [u32; 2],
    last: u32,
}

impl Order {
    fn new(key: u64, rows_log: u32) -> Self {
        let ends = mix(key ^ ORDER_SALT);
        let factors = mix(ends ^ ORDER_SALT);
        Order {
            rows_log,
            // The halves of two random numbers.
            first: ends as u32,
            last: (ends >> 32) as u32,
            factors: [factors as u32 | 1, (factors >> 32) as u32 | 1],
        }
    }

    fn rows(&self) -> u32 {
        1 << self.rows_log
    }

    #[inline]
    fn row(&self, visit: u32) -> u32 {
        let mask = self.rows() - 1;
        let fold = self.rows_log.div_ceil(2);
        let mut row = visit.wrapping_add(self.first) & mask;
        for factor in self.factors {
            row ^= row >> fold;
            row = row.wrapping_mul(factor) & mask;
        }
        row ^= row >> fold;
        row.wrapping_add(self.last) & mask
    }
}
