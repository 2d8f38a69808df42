//! Routes compared: which of them lead elsewhere.
//!
//! Keys that a route takes with it have no share: how many requests match a route is known to
//! nobody but the traffic. So what changes is listed, and not measured. A route is the same if it
//! has the same name in a listener of the same name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::routing::matcher::Destination;
use crate::routing::table::{Group, Table};

/// A route that leads elsewhere, comes or goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteChange {
    /// Name of its listener.
    pub listener: Arc<str>,
    /// Its name; `None` for where everything goes that no route takes.
    pub route: Option<Arc<str>>,
    /// Where it led; `None` where it was not there.
    pub before: Option<Target>,
    /// Where it leads; `None` where it is gone.
    pub after: Option<Target>,
}

/// Where a route leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// To a group, or the part of it with these labels.
    Group {
        /// Its name.
        name: Arc<str>,
        /// What is required of its backends.
        required: Arc<[Arc<str>]>,
    },
    /// Where the rule of this name says.
    Shard(Arc<str>),
}

impl Target {
    fn of(table: &Table, destination: Destination) -> Target {
        match destination {
            Destination::Group(index) => {
                let Group { name, required, .. } = table.group(index);
                Target::Group {
                    name: Arc::clone(name),
                    required: Arc::clone(required),
                }
            }
            Destination::Shard(index) => Target::Shard(Arc::clone(&table.shard(index).name)),
        }
    }
}

type Place = (Arc<str>, Option<Arc<str>>);

pub(super) fn compare(before: &Table, after: &Table) -> Vec<RouteChange> {
    let (old, new) = (targets(before), targets(after));
    let places: BTreeSet<&Place> = old.keys().chain(new.keys()).collect();
    let changed = places
        .into_iter()
        .filter(|place| old.get(place) != new.get(place));
    changed
        .map(|place| RouteChange {
            listener: Arc::clone(&place.0),
            route: place.1.clone(),
            before: old.get(place).cloned(),
            after: new.get(place).cloned(),
        })
        .collect()
}

fn targets(table: &Table) -> BTreeMap<Place, Target> {
    let mut targets = BTreeMap::new();
    for listener in table.listeners.iter().flatten() {
        let mut add = |route, destination| {
            let place = (Arc::clone(&listener.name), route);
            targets.insert(place, Target::of(table, destination));
        };
        for (name, destination) in listener.route_names.iter().zip(listener.routes.of_routes()) {
            add(Some(Arc::clone(name)), destination);
        }
        if let Some(destination) = listener.routes.default {
            add(None, destination);
        }
    }
    targets
}
