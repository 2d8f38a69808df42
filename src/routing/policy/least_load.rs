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

use super::alias::below;
use super::cycle::Cycle;
use super::state::Draws;
use super::{Choice, PickState, around};
use crate::routing::standing::RAMP_FULL;
use crate::routing::table::Backend;

/// Up to so many backends the choice is exact.
pub(super) const EXACT_MAX: usize = 16;

/// Parts of which one is looked at for one pick in a larger group.
const PARTS: u32 = 7;

/// How many are looked at there.
const SAMPLE: usize = PARTS as usize + 1;

/// What a search looks at of one that is ready: eight of them on a line of the cache.
pub(super) struct Seat {
    slot: u32,
    weight: f32,
}

/// Those that are ready, by their positions.
pub(super) struct Seats(Box<[Seat]>);

impl Seats {
    pub(super) fn new(backends: &[Backend], ready: &[u32]) -> Seats {
        let seat = |index: &u32| {
            let backend = &backends[*index as usize];
            Seat {
                slot: backend.slot.0,
                weight: f32::from(backend.weight),
            }
        };
        Seats(ready.iter().map(seat).collect())
    }

    pub(super) fn memory_bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}

/// Weights aside.
pub(super) fn pick(choice: &Choice<'_>, state: &mut PickState, seats: &Seats) -> Option<u32> {
    let count = choice.policy.ready.len() as u32;
    let start = state.start(count);
    let measure = |in_flight, _: &Seat| in_flight;
    let at = find(choice, state, seats, start, measure)?;
    state.advance(at, count);
    Some(choice.policy.ready[at as usize])
}

/// By weight: the search begins with whose turn it is.
pub(super) fn pick_weighted(
    choice: &Choice<'_>,
    state: &mut PickState,
    (cycle, seats): (&Cycle, &Seats),
) -> Option<u32> {
    let turn = state.start(cycle.len());
    // Equal quotients are the same number, and the bits of numbers that are not below 0 are
    // ordered as the numbers are. What differs by less than one in ten million is equal.
    let measure = |in_flight, seat: &Seat| (measure(in_flight) as f32 / seat.weight).to_bits();
    let at = find(choice, state, seats, cycle.at(turn), measure);
    state.advance(turn, cycle.len());
    at.map(|at| choice.policy.ready[at as usize])
}

/// The position, from `start` on, of whom the least is said by `measure`.
#[inline(always)]
fn find(
    choice: &Choice<'_>,
    state: &mut PickState,
    seats: &Seats,
    start: u32,
    measure: impl Fn(u32, &Seat) -> u32,
) -> Option<u32> {
    let count = choice.policy.ready.len();
    let search = |places: &[u32]| {
        guessed(choice, |view| {
            first_least(places, |at| {
                let seat = &seats.0[at as usize];
                Some(measure(seen(choice, at, seat, view)?, seat))
            })
        })
    };
    if count <= EXACT_MAX {
        let mut places = [0; EXACT_MAX];
        let all = places.iter_mut().zip(around(start, count as u32));
        all.for_each(|(place, at)| *place = at);
        return search(&places[..count]);
    }
    let found = search(&sample(start, count as u32, state.random()));
    found.or_else(|| choice.first_from(start).map(|(at, _)| at))
}

/// The `start`-th of `count`, and one from each part of the others.
#[inline]
fn sample(start: u32, count: u32, random: u64) -> [u32; SAMPLE] {
    let (width, longer) = ((count - 1) / PARTS, (count - 1) % PARTS);
    let mut draws = Draws::new(random);
    let mut from = start + 1;
    let mut places = [start; SAMPLE];
    for (part, place) in (0..PARTS).zip(&mut places[1..]) {
        let width = width + u32::from(part < longer);
        let at = from + below(draws.draw(), width as usize) as u32;
        *place = if at < count { at } else { at - count };
        from += width;
    }
    places
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

/// The first of these positions of which the least is said. That and the order make one number, so
/// that finding the least is a minimum and no branch that nobody can predict.
#[inline(always)]
fn first_least(places: &[u32], said: impl Fn(u32) -> Option<u32>) -> Option<u32> {
    let mut least = u64::MAX;
    for (order, at) in (0_u64..).zip(places) {
        let Some(said) = said(*at) else {
            continue;
        };
        least = least.min(u64::from(said) << 32 | order);
        if said == 0 {
            break;
        }
    }
    places.get(least as u32 as usize).copied()
}

/// What a backend has to do; nothing can be said of one that cannot be chosen.
#[inline(always)]
fn seen(choice: &Choice<'_>, at: u32, seat: &Seat, view: View) -> Option<u32> {
    match view {
        View::Loads => Some(choice.policy.board.in_flight(seat.slot)),
        View::Whole => {
            let index = choice.policy.ready[at as usize];
            choice.is_eligible(index).then(|| choice.policy.felt(index))
        }
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
