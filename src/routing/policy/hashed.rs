//! Placing by a key: the same backend for the same key, on every core and node.
//!
//! A backend that drains or is in maintenance keeps its place among the others and is only passed
//! over, as one that is full or was tried: its keys go to those who stand in for it, everybody
//! else's stay, and when it comes back so do its keys. A change of weight does move keys.
//!
//! An exchange without a key is placed by a random one, which spreads by weight.
//!
//! With a bound on the load ([`bounded`]) a key goes on to the next candidate when the first has
//! more than its share of what the group has in flight.

use super::{Choice, PickState};
use crate::routing::hashing::bounded::{self, Bound};
use crate::routing::hashing::{Algorithm, Member, Placement};
use crate::routing::table::Backend;

/// Candidates that are asked for room: walking over a whole group that is full, or whose loads
/// disagree with their total, would cost more than the request.
const BOUNDED_MAX: usize = 128;

/// Where keys go.
pub(super) struct Places {
    placement: Placement,
    /// The weights of those that are ready.
    weight_total: u64,
    /// What each may have of its share of the load, in percent.
    bounded_load: Option<u32>,
}

impl Places {
    pub(super) fn new(
        algorithm: Algorithm,
        bounded_load: Option<u32>,
        backends: &[Backend],
        ready_weights: &[u16],
    ) -> Places {
        let members = backends.iter().map(|backend| Member {
            key: backend.identity,
            weight: u32::from(backend.weight),
        });
        let members: Vec<Member> = members.collect();
        Places {
            placement: Placement::new(algorithm, &members),
            weight_total: ready_weights.iter().map(|weight| u64::from(*weight)).sum(),
            bounded_load,
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.placement.memory_bytes()
    }
}

pub(super) fn pick(choice: &Choice<'_>, state: &mut PickState, places: &Places) -> Option<u32> {
    let policy = choice.policy;
    let hash = choice.ask.key.unwrap_or_else(|| state.random());
    let may_be_chosen =
        |index: &u32| policy.candidates[*index as usize].ready && choice.is_eligible(*index);
    let Some(percent) = places.bounded_load else {
        let first = places.placement.lookup(hash).filter(may_be_chosen);
        return first.or_else(|| places.placement.candidates(hash).find(may_be_chosen));
    };
    let bound = Bound {
        load_total: u64::from(choice.group.load.in_flight()),
        weight_total: places.weight_total,
        percent,
    };
    let candidates = places.placement.candidates(hash).filter(may_be_chosen);
    bounded::pick(candidates.take(BOUNDED_MAX), &bound, |index| {
        let weight = u32::from(policy.weight(index));
        (u64::from(policy.in_flight(index)), weight)
    })
}
