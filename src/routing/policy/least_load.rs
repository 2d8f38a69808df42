//! The backend with the fewest requests in flight.
//!
//! In flight is summed over all cores of the node, because independent views of load are what
//! ruins the tail: with one view per core each sends its own burst to the same idle backend. The
//! gauges are read relaxed, each written by one core, so the sum may be a request or two old; a
//! lock would cost more than that error. Ties go to the first one from the cursor on, which makes
//! an idle group behave like round robin. Nothing is below zero, so the search ends at the first
//! backend that is idle: at low load the cost does not depend on the size of the group.

use super::{PickState, Tried, around, count};
use crate::base::id::BackendIndex;
use crate::routing::table::{Backend, Group};

pub(super) fn pick(group: &Group, state: &mut PickState, tried: &Tried) -> Option<BackendIndex> {
    let count = count(group);
    let start = state.start(count);
    let mut best: Option<(u64, u32)> = None;
    for index in around(start, count) {
        if tried.contains(BackendIndex(index)) {
            continue;
        }
        let load = in_flight(&group.backends[index as usize]);
        if best.is_none_or(|(least, _)| load < least) {
            best = Some((load, index));
        }
        if load == 0 {
            break;
        }
    }
    let (_, chosen) = best?;
    state.advance(chosen, count);
    Some(BackendIndex(chosen))
}

fn in_flight(backend: &Backend) -> u64 {
    let cores = backend.stats.iter();
    cores.map(|core| u64::from(core.in_flight.read())).sum()
}
