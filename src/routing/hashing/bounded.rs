//! Consistent hashing with bounded loads: nobody takes more than its share times a factor.
//!
//! A key goes to the first of its candidates that is below its capacity. What a placement leaves
//! uneven is cut off at the factor, and a key that is asked for too often spreads over several
//! members, always the same ones. While the loads and the total agree, the capacities add up to
//! more than the total, so somebody is below; where they do not (counters of several cores are
//! read one after the other) the first choice takes it, because the bound spreads load and
//! refuses none. Refusing is for hard limits, which belong to the caller's filter.

/// The percentage below which a bound could not hold everything.
pub const PERCENT_MIN: u32 = 100;

/// What one of the members may have at most, this request included: its share of the whole load
/// and of one more, times `percent`, rounded up. A percentage below [`PERCENT_MIN`] counts as
/// that. Without a weight it is 0.
#[must_use]
pub fn capacity(load_total: u64, weight: u32, weight_total: u64, percent: u32) -> u64 {
    if weight == 0 || weight_total == 0 {
        return 0;
    }
    let percent = u128::from(percent.max(PERCENT_MIN));
    // At most 2^32 * 2^32 * 2^64 = 2^128, and the first two are less than that.
    let share = percent * u128::from(weight) * (u128::from(load_total) + 1);
    let whole = u128::from(weight_total) * 100;
    u64::try_from(share.div_ceil(whole)).unwrap_or(u64::MAX)
}

/// A bound on the loads of the members a key may go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The load of all of them together.
    pub load_total: u64,
    /// Their weights together.
    pub weight_total: u64,
    /// What each may have of its share.
    pub percent: u32,
}

impl Bound {
    /// Whether a member of `weight` with `load` can take one more.
    #[inline]
    #[must_use]
    pub fn admits(&self, load: u64, weight: u32) -> bool {
        load < capacity(self.load_total, weight, self.weight_total, self.percent)
    }
}

/// The first of `candidates` that is below its capacity, the first of all if none is, `None` if
/// there are no candidates. `load_of` answers with the load and the weight of a member.
pub fn pick(
    candidates: impl Iterator<Item = u32>,
    bound: &Bound,
    load_of: impl Fn(u32) -> (u64, u32),
) -> Option<u32> {
    let mut first = None;
    for candidate in candidates {
        let (load, weight) = load_of(candidate);
        if bound.admits(load, weight) {
            return Some(candidate);
        }
        first = first.or(Some(candidate));
    }
    first
}
