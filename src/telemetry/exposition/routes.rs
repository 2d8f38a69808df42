//! Who answered which route with what: the one family that joins listener, route, group and
//! backend.
//!
//! A request counts for the backend it was with last, also where the answer is weir's own because
//! that backend failed; those that came to none have no group and no backend. Without a route, the
//! default of the listener took it, or nothing.

use std::collections::HashMap;

use crate::base::id::RouteSerial;
use crate::telemetry::exposition::entities::Told;
use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::exposition::tally::Tally;
use crate::telemetry::exposition::{Detail, Facts};

/// What a backend's routes beyond those it has room for are called.
const OTHERS: &str = "route=\"*\"";

pub(super) fn requests(page: &mut Page, facts: &Facts<'_>, told: &[Told<'_>]) {
    page.family(
        "weir_requests_total",
        Kind::Counter,
        "Requests by route, by the backend that had them last, and by the status the client got.",
    );
    let names: HashMap<RouteSerial, String> = facts
        .routes
        .iter()
        .map(|route| {
            let pairs = [("listener", route.listener), ("route", route.route)];
            let named = if route.route.is_empty() { 1 } else { 2 };
            (route.serial, labels(&pairs[..named]))
        })
        .collect();
    let mut tally = Tally::default();
    let mut write = |tally: &mut Tally, backend: &str| {
        tally.take(|route, code, count| {
            // A route that is gone has no name any more.
            let name = route.map_or(Some(OTHERS), |route| names.get(&route).map(String::as_str));
            if let Some(name) = name {
                page.sample_of(&[name, backend], code, count);
            }
        });
    };
    for one in told {
        for core in one.stats.iter().flat_map(|stats| stats.all()) {
            core.answered
                .visit(|route, counts| tally.add(route, counts));
        }
        if facts.detail != Detail::Listener {
            write(&mut tally, &one.labels);
        }
    }
    for route in &facts.routes {
        for core in route.unplaced.all() {
            tally.add(Some(route.serial), core);
        }
    }
    write(&mut tally, "");
}
