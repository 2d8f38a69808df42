//! The backend with the least under way.
//!
//! In flight is summed over all cores of the node, because independent views of load are what
//! ruins the tail: with one view per core each sends its own burst to the same idle backend. Ties
//! go to the first one from the cursor on, which makes an idle group behave like (weighted) round
//! robin.
//!
//! With weights the measure is (in flight + 1) / weight, and nothing for an idle backend, as in
//! HAProxy: if the first request counted too, a light backend would stay idle beside a heavy one
//! that has nothing to do either.
//!
//! The search is bounded twice. Nothing is below idle, so it ends at the first idle backend. And
//! it looks at [`CANDIDATES_MAX`] that can be chosen: up to that size of group the choice is
//! exact, in a larger one it is the least of the next so many from the cursor, which passes over
//! the whole group in time. The least of so many is as good as the least of all for the tail
//! (theory: with d choices the longest queue falls like ln ln n / ln d), and a full search of one
//! shared board by every core would send them all to the same backend.

use super::cycle::Cycle;
use super::{Choice, PickState};

/// Backends looked at for one pick.
pub(super) const CANDIDATES_MAX: usize = 16;

/// Weights aside.
pub(super) fn pick(choice: &Choice<'_>, state: &mut PickState) -> Option<u32> {
    let count = choice.policy.ready.len() as u32;
    let (at, index) = least(choice, state.start(count), |_| 1)?;
    state.advance(at, count);
    Some(index)
}

/// By weight: the search begins with whose turn it is.
pub(super) fn pick_weighted(
    choice: &Choice<'_>,
    state: &mut PickState,
    cycle: &Cycle,
) -> Option<u32> {
    let turn = state.start(cycle.len());
    let (_, index) = least(choice, cycle.at(turn), |index| choice.policy.weight(index))?;
    state.advance(turn, cycle.len());
    Some(index)
}

/// Whether one backend has less to do for its weight than another.
pub(super) fn is_less(choice: &Choice<'_>, left: u32, right: u32) -> bool {
    let policy = choice.policy;
    let (left_load, right_load) = (
        measure(policy.in_flight(left)),
        measure(policy.in_flight(right)),
    );
    left_load * policy.weight(right) < right_load * policy.weight(left)
}

/// What is under way, with the request that would come; nothing if it is idle.
fn measure(in_flight: u32) -> u64 {
    match in_flight {
        0 => 0,
        some => u64::from(some) + 1,
    }
}

/// The least of those from the `start`-th on, and its position among those that are ready.
#[inline]
fn least(choice: &Choice<'_>, start: u32, weight_of: impl Fn(u32) -> u64) -> Option<(u32, u32)> {
    let policy = choice.policy;
    let (before, from) = policy.ready.split_at(start as usize);
    let mut best = Best {
        load: u64::MAX >> 16,
        weight: 1,
        found: None,
    };
    let mut left = CANDIDATES_MAX;
    for (first, part) in [(start, from), (0, before)] {
        for (at, index) in (first..).zip(part) {
            if !choice.is_eligible(*index) {
                continue;
            }
            let (load, weight) = (measure(policy.in_flight(*index)), weight_of(*index));
            if load * best.weight < best.load * weight {
                best = Best {
                    load,
                    weight,
                    found: Some((at, *index)),
                };
            }
            left -= 1;
            if load == 0 || left == 0 {
                return best.found;
            }
        }
    }
    best.found
}

/// The least so far.
struct Best {
    load: u64,
    weight: u64,
    found: Option<(u32, u32)>,
}
