//! Answers by the route that took the request, at the place where they are counted.
//!
//! Which backend answered for which route with which code is one number for each combination, but
//! few combinations exist: most backends serve one route. So a backend has room for one route
//! beside its other counters, makes room for more when a second one comes, and counts what comes
//! by still others together. The number of a route is never given to another one, so a count can
//! not change hands, and it ends with its backend.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use crate::base::id::RouteSerial;
use crate::telemetry::stats::StatusCounts;

/// No route has this number; its place is free.
const FREE: u32 = 0;

/// Routes of one backend told apart beyond the first. A power of two.
const MORE: usize = 64;

/// Places looked at for a route beyond the first.
const PROBES: usize = 8;

/// Answers of one backend on one core, by route.
#[derive(Default)]
pub struct RouteCounts {
    first: Entry,
    more: OnceLock<Box<More>>,
}

#[derive(Default)]
struct Entry {
    route: AtomicU32,
    counts: StatusCounts,
}

struct More {
    entries: [Entry; MORE],
    /// Of routes there was no place for.
    rest: StatusCounts,
}

impl Entry {
    /// Whether the place is this route's, which it becomes if it is free.
    #[inline]
    fn is_of(&self, route: RouteSerial) -> bool {
        match self.route.load(Relaxed) {
            FREE => {
                self.route.store(route.0, Relaxed);
                true
            }
            taken => taken == route.0,
        }
    }
}

impl RouteCounts {
    /// Counts one answer. Only the owning core may call it.
    #[inline]
    pub fn inc(&self, route: RouteSerial, status: u16) {
        if self.first.is_of(route) {
            return self.first.counts.inc(status);
        }
        self.place(route).inc(status);
    }

    /// Sets what another process has counted; `None` are all it had no place for. Only the owner
    /// may call it.
    pub fn set(&self, route: Option<RouteSerial>, status: u16, count: u64) {
        match route {
            Some(route) if self.first.is_of(route) => self.first.counts.set(status, count),
            Some(route) => self.place(route).set(status, count),
            None => self.more().rest.set(status, count),
        }
    }

    #[cold]
    fn place(&self, route: RouteSerial) -> &StatusCounts {
        let more = self.more();
        let places = (route.0 as usize..).map(|at| &more.entries[at % MORE]);
        let found = places.take(PROBES).find(|entry| entry.is_of(route));
        found.map_or(&more.rest, |entry| &entry.counts)
    }

    fn more(&self) -> &More {
        self.more.get_or_init(|| {
            Box::new(More {
                entries: std::array::from_fn(|_| Entry::default()),
                rest: StatusCounts::default(),
            })
        })
    }

    /// Every route that was counted, with its counts; `None` are all there was no place for.
    pub fn visit<'a>(&'a self, mut visit: impl FnMut(Option<RouteSerial>, &'a StatusCounts)) {
        let more = self.more.get();
        let entries = more.map_or(&[][..], |more| &more.entries[..]);
        for entry in std::iter::once(&self.first).chain(entries) {
            let route = entry.route.load(Relaxed);
            if route != FREE {
                visit(Some(RouteSerial(route)), &entry.counts);
            }
        }
        if let Some(more) = more {
            visit(None, &more.rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(counts: &RouteCounts) -> BTreeMap<(Option<RouteSerial>, u16), u64> {
        let mut all = BTreeMap::new();
        counts.visit(|route, counts| {
            for (code, count) in counts.iter() {
                all.insert((route, code), count);
            }
        });
        all
    }

    #[test]
    fn each_route_is_counted_by_itself() {
        let counts = RouteCounts::default();
        for (route, status, times) in [(7, 200, 3), (9, 200, 2), (7, 503, 1), (9 + 64, 404, 4)] {
            (0..times).for_each(|_| counts.inc(RouteSerial(route), status));
        }
        let of = |route| Some(RouteSerial(route));
        let wanted = [
            ((of(7), 200), 3),
            ((of(7), 503), 1),
            ((of(9), 200), 2),
            ((of(73), 404), 4),
        ];
        assert_eq!(read(&counts), BTreeMap::from(wanted));
    }

    #[test]
    fn nothing_is_lost_where_there_are_too_many_routes() {
        let counts = RouteCounts::default();
        for route in 1..=500 {
            counts.inc(RouteSerial(route), 200);
        }
        let all = read(&counts);
        assert_eq!(all.values().sum::<u64>(), 500);
        assert!(all[&(None, 200)] >= 500 - 65);
        assert_eq!(all.len(), 66, "as many as there is room for, and the rest");
    }
}
