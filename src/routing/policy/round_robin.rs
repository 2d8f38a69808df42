//! One after the other, in the order of the group.
//!
//! The cursor belongs to one core: a shared one would be exact over all cores and cost a
//! contended line per request. Each core is exact, so the node is off by at most one per core.
//! A backend that was tried is passed over and the cursor moves behind the one chosen.

use super::{PickState, Tried, around, count};
use crate::base::id::BackendIndex;
use crate::routing::table::Group;

pub(super) fn pick(group: &Group, state: &mut PickState, tried: &Tried) -> Option<BackendIndex> {
    let count = count(group);
    let start = state.start(count);
    let chosen = around(start, count).find(|index| !tried.contains(BackendIndex(*index)))?;
    state.advance(chosen, count);
    Some(BackendIndex(chosen))
}
