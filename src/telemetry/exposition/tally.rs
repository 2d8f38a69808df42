//! Adds counts of cores and backends up by route and status, without an allocation for each line:
//! one list is filled, sorted and read again and again.

use crate::base::id::RouteSerial;
use crate::telemetry::stats::StatusCounts;

/// Counts that are being added up.
#[derive(Default)]
pub(super) struct Tally(Vec<(Option<RouteSerial>, u16, u64)>);

impl Tally {
    /// Adds counts of one route, or of all there was no place for.
    pub(super) fn add(&mut self, route: Option<RouteSerial>, counts: &StatusCounts) {
        let counts = counts.iter();
        self.0
            .extend(counts.map(|(code, count)| (route, code, count)));
    }

    /// The sums in order of route and status; afterwards nothing is left.
    pub(super) fn take(&mut self, mut each: impl FnMut(Option<RouteSerial>, u16, u64)) {
        self.0.sort_unstable();
        let same =
            |left: &(_, u16, u64), right: &(_, u16, u64)| (left.0, left.1) == (right.0, right.1);
        for group in self.0.chunk_by(same) {
            let (route, code, _) = group[0];
            each(route, code, group.iter().map(|(.., count)| count).sum());
        }
        self.0.clear();
    }
}
