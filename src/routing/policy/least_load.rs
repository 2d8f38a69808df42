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
//! is the least of the one whose turn it is and of one drawn from each of [`PARTS`] equal parts of
//! the others. So all are distinct and lie far apart: backends of one kind often stand together in
//! the list, and neighbours alone would now and then all be slow ones. The least of so many is
//! nearly as good as the least of all (DESIGN.md has the figures), and a full search of one shared
//! board by every core would send them all to the same backend.

use std::iter::once;

use super::alias::below;
use super::cycle::Cycle;
use super::{Choice, PickState, around, state};
use crate::routing::standing::RAMP_FULL;

/// Up to so many backends the choice is exact.
pub(super) const EXACT_MAX: usize = 16;

/// Parts of which one is looked at for one pick in a larger group.
const PARTS: u32 = 7;

/// Weights aside.
pub(super) fn pick(choice: &Choice<'_>, state: &mut PickState) -> Option<u32> {
    let ready = &choice.policy.ready;
    let count = ready.len() as u32;
    let start = state.start(count);
    let at = if ready.len() <= EXACT_MAX {
        guessed(choice, |view| least(choice, around(start, count), view))
    } else {
        let some = sample(start, count, state.random());
        let found = guessed(choice, |view| least(choice, some.clone(), view));
        found.or_else(|| choice.first_from(start).map(|(at, _)| at))
    }?;
    state.advance(at, count);
    Some(ready[at as usize])
}

/// By weight: the search begins with whose turn it is.
pub(super) fn pick_weighted(
    choice: &Choice<'_>,
    state: &mut PickState,
    cycle: &Cycle,
) -> Option<u32> {
    let ready = &choice.policy.ready;
    let count = ready.len() as u32;
    let turn = state.start(cycle.len());
    let start = cycle.at(turn);
    let at = if ready.len() <= EXACT_MAX {
        guessed(choice, |view| lightest(choice, around(start, count), view))
    } else {
        let some = sample(start, count, state.random());
        let found = guessed(choice, |view| lightest(choice, some.clone(), view));
        found.or_else(|| choice.first_from(start).map(|(at, _)| at))
    };
    state.advance(turn, cycle.len());
    at.map(|at| ready[at as usize])
}

/// The `start`-th of `count`, and one from each part of the others.
#[inline]
fn sample(start: u32, count: u32, random: u64) -> impl Iterator<Item = u32> + Clone {
    let from = move |part: u32| part * (count - 1) / PARTS;
    let drawn = (0..PARTS).map(move |part| {
        let width = (from(part + 1) - from(part)) as usize;
        let within = below(state::further(random, part), width) as u32;
        let at = start + 1 + from(part) + within;
        if at < count { at } else { at - count }
    });
    once(start).chain(drawn)
}

/// How a search looks at backends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    /// Only at what they have under way.
    Loads,
    /// At whether they can be chosen, and at their load as they feel it.
    Whole,
}

/// The position a search finds. It looks at loads first, and only at whom it finds so is looked at
/// whole: when he can be chosen and has his full share, nobody who can be chosen has less to do,
/// since nobody feels less than he has. Usually that spares a look at everybody else's standing.
#[inline]
fn guessed(choice: &Choice<'_>, search: impl Fn(View) -> Option<u32>) -> Option<u32> {
    let at = search(View::Loads)?;
    let index = choice.policy.ready[at as usize];
    let is_whole = choice.policy.word(index).ramp() == RAMP_FULL;
    match is_whole && choice.is_eligible(index) {
        true => Some(at),
        false => search(View::Whole),
    }
}

/// The first of the least loaded at these positions.
#[inline(always)]
fn least(choice: &Choice<'_>, places: impl Iterator<Item = u32>, view: View) -> Option<u32> {
    first_least(places, |at| {
        seen(choice, choice.policy.ready[at as usize], view)
    })
}

/// The first of those with the least for their weight at these positions.
#[inline(always)]
fn lightest(choice: &Choice<'_>, places: impl Iterator<Item = u32>, view: View) -> Option<u32> {
    first_least(places, |at| {
        let index = choice.policy.ready[at as usize];
        let load = seen(choice, index, view)?;
        // Equal quotients are the same number, and the bits of numbers that are not below 0 are
        // ordered as the numbers are. What differs by less than one in ten million is equal.
        let each = measure(load) as f32 / f32::from(choice.policy.weight(index));
        Some(each.to_bits())
    })
}

const _: () = assert!((PARTS as usize) < EXACT_MAX, "a sample has room");

/// The first of the positions, [`EXACT_MAX`] at most, of which the least is said. That and the
/// order make one number, so that finding the least is a minimum and no branch that nobody can
/// predict.
#[inline(always)]
fn first_least(
    places: impl Iterator<Item = u32>,
    said: impl Fn(u32) -> Option<u32>,
) -> Option<u32> {
    let mut met = [0; EXACT_MAX];
    let mut least = u64::MAX;
    for (order, (place, at)) in (0_u64..).zip(met.iter_mut().zip(places)) {
        *place = at;
        let Some(said) = said(at) else {
            continue;
        };
        least = least.min(u64::from(said) << 32 | order);
        if said == 0 {
            break;
        }
    }
    (least < u64::MAX).then_some(met[least as usize % EXACT_MAX])
}

/// What a backend has to do; nothing can be said of one that cannot be chosen.
#[inline(always)]
fn seen(choice: &Choice<'_>, index: u32, view: View) -> Option<u32> {
    match view {
        View::Loads => Some(choice.policy.in_flight(index)),
        View::Whole => choice.is_eligible(index).then(|| choice.policy.felt(index)),
    }
}

/// Whether one backend has less to do for its weight than another.
pub(super) fn is_less(choice: &Choice<'_>, left: u32, right: u32) -> bool {
    let policy = choice.policy;
    let load = |index| u64::from(measure(policy.felt(index)));
    let weight = |index| u64::from(policy.weight(index));
    load(left) * weight(right) < load(right) * weight(left)
}

/// What is under way, with the request that would come; nothing if it is idle.
#[inline]
fn measure(in_flight: u32) -> u32 {
    in_flight.saturating_add(u32::from(in_flight > 0))
}
