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
//! The search is bounded twice. Nothing is below idle, so it ends at the first idle backend. And a
//! group of up to [`EXACT_MAX`] is searched whole, so that the choice is exact; in a larger one it
//! is the least of the next [`CANDIDATES_MAX`] from the cursor, which passes over the whole group
//! in time. The least of so many is as good as the least of all for the tail (theory: with d
//! choices the longest queue falls like ln ln n / ln d), and a full search of one shared board by
//! every core would send them all to the same backend.

use super::cycle::Cycle;
use super::{Choice, PickState};
use crate::routing::standing::RAMP_FULL;

/// Up to so many backends the choice is exact.
pub(super) const EXACT_MAX: usize = 16;

/// Backends looked at for one pick in a larger group.
const CANDIDATES_MAX: usize = 8;

/// Weights aside. Load and distance from the cursor make one number, so that finding the least is
/// a minimum and no branch that nobody can predict.
pub(super) fn pick(choice: &Choice<'_>, state: &mut PickState) -> Option<u32> {
    let policy = choice.policy;
    let count = policy.ready.len() as u32;
    let start = state.start(count);
    let at = guessed(choice, |view| {
        let mut least = u64::MAX;
        visit(choice, start, view, |distance, _, load| {
            least = least.min(u64::from(load) << 32 | u64::from(distance));
            load == 0
        });
        let distance = (least & u64::from(u32::MAX)) as u32;
        let at = match distance < count - start {
            true => start + distance,
            false => distance.wrapping_sub(count - start),
        };
        (least != u64::MAX).then(|| (at, policy.ready[at as usize]))
    })?;
    state.advance(at.0, count);
    Some(at.1)
}

/// By weight: the search begins with whose turn it is.
pub(super) fn pick_weighted(
    choice: &Choice<'_>,
    state: &mut PickState,
    cycle: &Cycle,
) -> Option<u32> {
    let policy = choice.policy;
    let turn = state.start(cycle.len());
    let start = cycle.at(turn);
    let found = guessed(choice, |view| {
        let (mut least, mut weight, mut found) = (u64::MAX >> 16, 1, None);
        visit(choice, start, view, |_, index, load| {
            let (load, its) = (measure(load), policy.weight(index));
            if load * weight < least * its {
                (least, weight, found) = (load, its, Some((turn, index)));
            }
            load == 0
        });
        found
    });
    state.advance(turn, cycle.len());
    found.map(|(_, index)| index)
}

/// How a search looks at backends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// Only at what they have under way.
    Loads,
    /// At whether they can be chosen, and at their load as they feel it.
    Whole,
}

/// What a search finds. It looks at loads first, and only at whom it finds so is looked at whole:
/// when he can be chosen and has his full share, nobody who can be chosen has less to do, since
/// nobody feels less than he has. Usually that spares a look at everybody else's standing.
#[inline]
fn guessed(choice: &Choice<'_>, search: impl Fn(View) -> Option<(u32, u32)>) -> Option<(u32, u32)> {
    let guess = search(View::Loads)?;
    let is_whole = choice.policy.word(guess.1).ramp() == RAMP_FULL;
    match is_whole && choice.is_eligible(guess.1) {
        true => Some(guess),
        false => search(View::Whole),
    }
}

/// Whether one backend has less to do for its weight than another.
pub(super) fn is_less(choice: &Choice<'_>, left: u32, right: u32) -> bool {
    let policy = choice.policy;
    let (left_load, right_load) = (measure(policy.felt(left)), measure(policy.felt(right)));
    left_load * policy.weight(right) < right_load * policy.weight(left)
}

/// What is under way, with the request that would come; nothing if it is idle.
fn measure(in_flight: u32) -> u64 {
    match in_flight {
        0 => 0,
        some => u64::from(some) + 1,
    }
}

/// Shows backends from the `start`-th on, each with its distance from there and its load, until
/// there were enough or `is_enough` says so.
#[inline(always)]
fn visit(
    choice: &Choice<'_>,
    start: u32,
    view: View,
    mut is_enough: impl FnMut(u32, u32, u32) -> bool,
) {
    let policy = choice.policy;
    let ready = &policy.ready;
    let (before, from) = ready.split_at(start as usize);
    let mut left = if ready.len() <= EXACT_MAX {
        EXACT_MAX
    } else {
        CANDIDATES_MAX
    };
    for (first, part) in [(0, from), (from.len() as u32, before)] {
        for (distance, index) in (first..).zip(part) {
            let load = match view {
                View::Loads => policy.in_flight(*index),
                View::Whole if choice.is_eligible(*index) => policy.felt(*index),
                View::Whole => continue,
            };
            left -= 1;
            if is_enough(distance, *index, load) || left == 0 {
                return;
            }
        }
    }
}
