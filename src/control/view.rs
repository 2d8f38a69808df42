//! What the admin interface and the logs know of the present plan: names and counters.
//!
//! It is made anew with each published table and swapped whole, so readers never wait and never
//! see half of a change. Things that left the configuration stay in it while any core may still
//! work for them. Nothing is collected before somebody asks for it: most views are never looked at.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::Xxh3;

use crate::base::id::{BackendIndex, BackendSlot, CoreId};
use crate::control::health::Health;
use crate::engine::registry::{BackendEntry, ListenerEntry, Registry, RouteEntry};
use crate::health::verdict::Status;
use crate::routing::breaker::Overflow;
use crate::routing::limit::Limited;
use crate::routing::policy::estimate;
use crate::routing::table::{BackendState, Table};
use crate::telemetry::exposition::{
    BackendFacts, EstimateFacts, GroupFacts, ListenerFacts, RouteFacts,
};

/// One plan as people see it.
pub struct View {
    /// The published table.
    pub table: Arc<Table>,
    registry: Registry,
    backends_hash: OnceLock<u64>,
    listeners: OnceLock<Vec<ListenerEntry>>,
    routes: OnceLock<Vec<RouteEntry>>,
    backends: OnceLock<Vec<BackendEntry>>,
}

impl View {
    /// The view of `table`, planned with `registry`.
    #[must_use]
    pub fn new(table: Arc<Table>, registry: Registry) -> Self {
        View {
            table,
            registry,
            backends_hash: OnceLock::new(),
            listeners: OnceLock::new(),
            routes: OnceLock::new(),
            backends: OnceLock::new(),
        }
    }

    /// A number two tables share only when they have the same backends: what a node found of
    /// them is in its table and not in its configuration.
    #[must_use]
    pub fn backends_hash(&self) -> u64 {
        *self.backends_hash.get_or_init(|| hash_of(&self.table))
    }

    /// Listeners that have counters.
    #[must_use]
    pub fn listeners(&self) -> &[ListenerEntry] {
        self.listeners
            .get_or_init(|| self.registry.listeners().collect())
    }

    /// Routes that have counters.
    #[must_use]
    pub fn routes(&self) -> &[RouteEntry] {
        self.routes.get_or_init(|| self.registry.routes().collect())
    }

    /// Backends that have counters.
    #[must_use]
    pub fn backends(&self) -> &[BackendEntry] {
        self.backends
            .get_or_init(|| self.registry.backends().collect())
    }

    /// The listeners for the metrics page.
    #[must_use]
    pub fn listener_facts(&self) -> Vec<ListenerFacts<'_>> {
        let facts = self.listeners().iter().map(|entry| ListenerFacts {
            name: &entry.name,
            address: entry.address.to_string(),
            slot: entry.slot,
            stats: &entry.stats,
        });
        facts.collect()
    }

    /// The routes for the metrics page.
    #[must_use]
    pub fn route_facts(&self) -> Vec<RouteFacts<'_>> {
        let facts = self.routes().iter().map(|entry| RouteFacts {
            listener: &entry.listener,
            route: &entry.name,
            serial: entry.account.serial,
            unplaced: &entry.account.unplaced,
        });
        facts.collect()
    }

    /// The backends for the metrics page.
    #[must_use]
    pub fn backend_facts(&self) -> Vec<BackendFacts<'_>> {
        let mut judged = self.judged();
        let mut facts_of = |entry: &BackendEntry| judged.remove(&entry.slot).unwrap_or_default();
        let facts = self.backends().iter().map(|entry| (entry, facts_of(entry)));
        let facts = facts.map(|(entry, (estimate, shadowed))| BackendFacts {
            group: &entry.group,
            name: &entry.id,
            address: entry.address.to_string(),
            up: entry.standing.word().is_up()
                && entry.standing.word().state() == BackendState::Ready,
            breaker: entry.standing.word().breaker() as u8,
            in_flight: entry.load.in_flight(),
            estimate,
            shadowed,
            stats: &entry.stats,
        });
        facts.collect()
    }

    /// The groups for the metrics page.
    #[must_use]
    pub fn group_facts(&self, health: &Health) -> Vec<GroupFacts<'_>> {
        let statuses = health.statuses();
        let facts = self.table.whole_groups().map(|group| {
            let breaker = &group.breaker;
            let limited = [
                ("connections", breaker.connections_max, Limited::Connections),
                ("requests", breaker.requests_max, Limited::Requests),
                ("retries", breaker.retries_max, Limited::Retries),
            ];
            let limited = limited.into_iter().filter(|(_, max, _)| max.is_some());
            let in_use = limited.map(|(name, _, what)| (name, breaker.gate.taken(what)));
            let pending = [("pending", group.queue.waiting())];
            let overflows = Overflow::ALL.map(|what| (what.name(), breaker.overflows.read(what)));
            let backends = group.backends.iter();
            let mine: Vec<Status> = backends
                .filter_map(|backend| statuses.get(&backend.slot).copied())
                .collect();
            let backends = Status::ALL.map(|status| {
                let count = mine.iter().filter(|mine| **mine == status).count();
                (status.name(), count as u64)
            });
            GroupFacts {
                name: &group.name,
                panics: health.is_panicking(group.slot),
                backends: backends.into(),
                breaker: group.standing.breaker() as u8,
                overflows: overflows.into(),
                in_use: pending.into_iter().chain(in_use).collect(),
            }
        });
        facts.collect()
    }

    /// What adaptive policies think of the backends they have, and who has a shadow.
    fn judged(&self) -> HashMap<BackendSlot, (Option<EstimateFacts>, bool)> {
        let unix = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let now_micros = u64::try_from(unix.as_micros()).unwrap_or(0);
        let groups = self.table.whole_groups();
        let groups = groups.filter(|group| group.adaptive().is_some() || group.shadow.is_some());
        let judged = groups.flat_map(|group| {
            (0_u32..).zip(&group.backends).map(move |(at, backend)| {
                let estimate = estimate(group, BackendIndex(at), CoreId(0), now_micros);
                let facts = estimate.map(|estimate| EstimateFacts {
                    latency_micros: estimate.latency_micros as u64,
                    pace_permille: (estimate.pace * 1000.0) as u64,
                });
                (backend.slot, (facts, group.shadow.is_some()))
            })
        });
        judged.collect()
    }
}

/// xxh3 of what a choice among backends goes by.
fn hash_of(table: &Table) -> u64 {
    let mut hasher = Xxh3::new();
    let mut feed = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for group in table.whole_groups() {
        feed(group.name.as_bytes());
        feed(&(group.backends.len() as u64).to_le_bytes());
        for backend in &group.backends {
            feed(backend.id.as_bytes());
            feed(backend.address.to_string().as_bytes());
            feed(&backend.weight.to_le_bytes());
            feed(&[backend.state as u8]);
            for label in &backend.labels {
                feed(label.as_bytes());
            }
        }
    }
    hasher.digest()
}
