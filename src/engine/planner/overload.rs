//! What is done when the node runs out of something.

use crate::config::checked::{Overload, RefuseWith};
use crate::routing::overload::Terms;

/// Percent become thousandths.
pub(super) fn terms(overload: &Overload) -> Terms {
    let thousandths = |percent: u32| percent * 10;
    let thresholds = [
        overload.stop_keep_alive,
        overload.close_idle,
        overload.refuse,
    ];
    Terms {
        connections_max: overload.connections_max,
        memory_max: overload.memory_max,
        stall_max: overload.stall_max.map(thousandths),
        thresholds: thresholds.map(|percent| percent.map(thousandths)),
        hysteresis: thousandths(overload.hysteresis),
        idle_min: overload.idle_min,
        resets: overload.refuse_with == RefuseWith::Reset,
    }
}
