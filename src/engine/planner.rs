//! From a checked configuration and what DNS knows to the routing table of the next epoch.
//!
//! A function of its arguments, the registry of slots included: the same facts give the same
//! table. A name that does not resolve keeps the addresses it had last, because an outage of DNS
//! is not an outage of the backends; one that never resolved yields no backend, and the rest of
//! the group serves.

mod members;
mod overload;
mod policies;
mod routes;
mod views;

use std::collections::HashSet;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use self::views::Views;
pub use super::facts::{Resolved, Target};
use super::registry::Registry;
use crate::base::epoch::Epoch;
use crate::base::id::ListenerSlot;
use crate::config::checked::{self, BackendAddress, Config};
use crate::routing::hashing::hash_key;
use crate::routing::policy::TRIED_MAX;
use crate::routing::sources::Sources;
use crate::routing::table::{
    Backend, BackendState, ForwardedHeaders, Group, GroupTimeouts, HttpOptions, Listener,
    ListenerTimeouts, Protocol, Table,
};

/// Addresses one name may yield; a longer answer is cut, with a warning. It bounds the table by
/// the file: backends <= lines of backends x this.
pub const ADDRESSES_MAX: usize = 256;

/// Backends between two pauses of long work.
const PAUSE_EVERY: usize = 64;

/// What a new epoch asks for.
pub struct Plan {
    /// The table to publish.
    pub table: Arc<Table>,
    /// Listeners the previous plan did not have: sockets to open before publishing.
    pub open: Vec<OpenListener>,
    /// Listeners of the previous plan that are gone.
    pub closed: Vec<ListenerSlot>,
    /// What an operator should know.
    pub warnings: Vec<PlanWarning>,
}

/// Sockets to open, one per core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpenListener {
    /// Whose.
    pub slot: ListenerSlot,
    /// Where; an IPv6 address means IPv6 only.
    pub address: SocketAddr,
    /// Connections the kernel keeps waiting.
    pub backlog: u32,
}

/// Something that did not keep the table from being made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanWarning {
    /// A listener stays open with the backlog it has; another one needs another socket.
    BacklogKept {
        /// Name of the listener.
        listener: Arc<str>,
        /// The backlog it has.
        backlog: u32,
    },
    /// A name yields more addresses than [`ADDRESSES_MAX`].
    NameCut {
        /// Name of the group.
        group: Arc<str>,
        /// The backend as configured.
        backend: Arc<str>,
    },
    /// A name does not resolve; its last known addresses (so many, perhaps none) stay in use.
    NameUnresolved {
        /// Name of the group.
        group: Arc<str>,
        /// The backend as configured.
        backend: Arc<str>,
        /// Addresses kept from before.
        kept: usize,
    },
    /// The weights of a group make too long a cycle and are rounded.
    WeightsScaled {
        /// Name of the group.
        group: Arc<str>,
    },
}

impl fmt::Display for PlanWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PlanWarning::BacklogKept { listener, backlog } => write!(
                f,
                "listener {listener}: the backlog stays at {backlog} until the listener is \
                 opened anew"
            ),
            PlanWarning::NameCut { group, backend } => write!(
                f,
                "group {group}: backend {backend} has more than {ADDRESSES_MAX} addresses; the \
                 rest is not used"
            ),
            PlanWarning::NameUnresolved {
                group,
                backend,
                kept: 0,
            } => write!(
                f,
                "group {group}: backend {backend} does not resolve; it gets no traffic"
            ),
            PlanWarning::NameUnresolved {
                group,
                backend,
                kept,
            } => write!(
                f,
                "group {group}: backend {backend} does not resolve; its last {kept} addresses \
                 stay in use"
            ),
            PlanWarning::WeightsScaled { group } => write!(
                f,
                "group {group}: the weights make a cycle of more than 4096 turns and are rounded \
                 to fit; smaller numbers of the same ratio are exact"
            ),
        }
    }
}

/// Makes the table of `epoch`, which must be newer than the registry's last one.
#[must_use]
pub fn plan(config: &Config, resolved: &Resolved, epoch: Epoch, registry: &mut Registry) -> Plan {
    plan_pausing(config, resolved, epoch, registry, &mut || ())
}

/// As [`plan`], and calls `pause` now and then: with many backends it is long work.
#[must_use]
pub fn plan_pausing(
    config: &Config,
    resolved: &Resolved,
    epoch: Epoch,
    registry: &mut Registry,
    pause: &mut dyn FnMut(),
) -> Plan {
    let before = registry.live_listeners();
    registry.begin(epoch);
    let mut warnings = Vec::new();
    let mut groups = Vec::with_capacity(config.groups.len());
    for group in &config.groups {
        let known = (resolved, config.hash_seed);
        groups.push(plan_group(group, known, registry, &mut warnings, pause));
    }
    let views = Views::of(config);
    views.plan(config, registry, &mut groups);
    let mut open = Vec::new();
    let mut planned = Vec::new();
    for listener in &config.listeners {
        planned.push(plan_listener(
            listener,
            &views,
            &before,
            registry,
            &mut open,
            &mut warnings,
        ));
    }
    let closed = before
        .into_iter()
        .filter(|slot| planned.iter().all(|listener| listener.slot != *slot))
        .collect();
    let (listener_slots, group_slots, backend_slots) = registry.lengths();
    let mut listeners = vec![None; listener_slots as usize];
    for listener in planned {
        let slot = listener.slot.index();
        listeners[slot] = Some(Arc::new(listener));
    }
    forget_unnamed(config, registry);
    let shards = routes::shards_of(config, &views, registry);
    Plan {
        table: Arc::new(Table {
            epoch,
            listeners,
            groups,
            shards,
            overload: overload::terms(&config.overload),
            backend_slots,
            group_slots,
        }),
        open,
        closed,
        warnings,
    }
}

fn plan_listener(
    listener: &checked::Listener,
    views: &Views<'_>,
    before: &[ListenerSlot],
    registry: &mut Registry,
    open: &mut Vec<OpenListener>,
    warnings: &mut Vec<PlanWarning>,
) -> Listener {
    let (slot, stats, backlog) =
        registry.claim_listener(&listener.name, listener.address, listener.backlog);
    if !before.contains(&slot) {
        registry.opened(slot, listener.backlog);
        open.push(OpenListener {
            slot,
            address: listener.address,
            backlog: listener.backlog,
        });
    } else if backlog != listener.backlog {
        warnings.push(PlanWarning::BacklogKept {
            listener: Arc::clone(&listener.name),
            backlog,
        });
    }
    let route_names = routes::names_of(listener);
    let mut account_of = |name: &Arc<str>| registry.claim_route(&listener.name, name);
    let rest_account = account_of(&Arc::default());
    Listener {
        slot,
        name: Arc::clone(&listener.name),
        address: listener.address,
        protocol: match listener.protocol {
            checked::Protocol::Http => Protocol::Http,
            checked::Protocol::Tcp => Protocol::Tcp,
        },
        routes: routes::set_of(listener, views),
        route_accounts: route_names.iter().map(account_of).collect(),
        rest_account,
        route_names,
        steered: listener.steered,
        connections_max: listener.connections_max,
        timeouts: ListenerTimeouts {
            head: listener.timeouts.head,
            body: listener.timeouts.body,
            idle: listener.timeouts.idle,
        },
        http: http_of(listener),
        stats,
    }
}

fn http_of(listener: &checked::Listener) -> HttpOptions {
    HttpOptions {
        head_bytes_max: listener.limits.head_bytes,
        fields_max: listener.limits.fields,
        target_bytes_max: listener.limits.target_bytes,
        body_bytes_max: listener.limits.body_bytes.unwrap_or(u64::MAX),
        requests_max: listener.limits.requests_per_connection.unwrap_or(u32::MAX),
        forwarded: match listener.forwarded {
            checked::Forwarded::Forwarded => ForwardedHeaders::Forwarded,
            checked::Forwarded::None => ForwardedHeaders::None,
            checked::Forwarded::XForwarded => ForwardedHeaders::XForwarded,
        },
        trust_forwarded: listener.trust_forwarded,
        via: listener.via.clone(),
        request_id: listener.request_id,
        decision_headers: listener.decision_headers,
    }
}

fn plan_group(
    group: &checked::Group,
    known: (&Resolved, u64),
    registry: &mut Registry,
    warnings: &mut Vec<PlanWarning>,
    pause: &mut dyn FnMut(),
) -> Group {
    let (_, hash_seed) = known;
    let required: Arc<[Arc<str>]> = Arc::default();
    let (slot, state) = registry.claim_group(&group.name, &required);
    let backends = backends_of(group, known, registry, warnings, pause);
    let policy = policies::of(group, &backends, registry);
    if policy.has_scaled_weights() {
        warnings.push(PlanWarning::WeightsScaled {
            group: Arc::clone(&group.name),
        });
    }
    let breaker = health::breaker(group.breaker.as_ref(), &state);
    Group {
        slot,
        name: Arc::clone(&group.name),
        required,
        policy,
        shadow: policies::shadow_of(group, &backends, registry),
        hash_on: group.hash_on.as_ref().map(routes::source_of),
        sticky: affinity::sticky(group, &backends, hash_seed),
        queue: affinity::queue(group, state.waiting),
        outlier: health::outlier(&group.outlier),
        retry: health::retry(group, registry.cores()),
        breaker,
        standing: state.standing,
        backends,
        sources: Sources::of(group.source.iter().map(|it| (it.address, it.bits))),
        load: state.load,
        norm: state.norm,
        key_seed: hash_key(hash_seed, format!("group/{}", group.name).as_bytes()),
        timeouts: timeouts_of(&group.timeouts),
        retries_max: group.retries,
        idle_connections_max: group.idle_connections_max,
        head_bytes_max: group.limits.head_bytes,
    }
}

fn backends_of(
    group: &checked::Group,
    (resolved, hash_seed): (&Resolved, u64),
    registry: &mut Registry,
    warnings: &mut Vec<PlanWarning>,
    pause: &mut dyn FnMut(),
) -> Vec<Backend> {
    let mut backends = Vec::with_capacity(group.backends.len());
    let mut members = Vec::new();
    let mut seen = HashSet::with_capacity(group.backends.len());
    for (position, backend) in group.backends.iter().enumerate() {
        if position.is_multiple_of(PAUSE_EVERY) {
            pause();
        }
        let found = (&mut members, &mut *warnings);
        members::find(backend, group, resolved, registry, found);
        for member in members.drain(..) {
            let limited = backend.connections_max.is_some() || backend.requests_max.is_some();
            let (slot, kept) =
                registry.claim_backend(&group.name, &member.id, member.address, limited);
            // Records of two services may lead to one place.
            if !seen.insert(slot) {
                continue;
            }
            backends.push(Backend {
                slot,
                identity: identity_of(backend, &member.id, member.address, hash_seed),
                id: member.id,
                address: member.address,
                weight: member.weight,
                state: state_of(backend.state),
                drain: backend.drain,
                labels: backend.labels.clone(),
                agent_port: backend.agent_port,
                connections_max: backend.connections_max,
                requests_max: backend.requests_max,
                stats: kept.stats,
                load: kept.load,
                shared_by: Box::default(),
                gate: kept.gate.filter(|_| limited),
                standing: kept.standing,
            });
        }
    }
    backends
}

fn state_of(state: checked::BackendState) -> BackendState {
    match state {
        checked::BackendState::Drain => BackendState::Drain,
        checked::BackendState::Maint => BackendState::Maint,
        checked::BackendState::Ready => BackendState::Ready,
    }
}

fn timeouts_of(timeouts: &checked::GroupTimeouts) -> GroupTimeouts {
    GroupTimeouts {
        connect: timeouts.connect,
        response: timeouts.response,
        idle: timeouts.idle,
        tunnel: timeouts.tunnel,
    }
}

/// What a backend is placed by: its id, which it keeps when it moves to another address. The
/// addresses of a DNS name share an id, so they are told apart.
fn identity_of(backend: &checked::Backend, id: &str, address: SocketAddr, hash_seed: u64) -> u64 {
    match backend.address {
        BackendAddress::Name { .. } | BackendAddress::Service(_) => {
            hash_key(hash_seed, format!("{id}/{address}").as_bytes())
        }
        BackendAddress::Socket(_) => hash_key(hash_seed, id.as_bytes()),
    }
}

/// Drops the remembered addresses of names no group has any more.
fn forget_unnamed(config: &Config, registry: &mut Registry) {
    let named: Vec<(&str, u16)> = config.backend_names().collect();
    registry
        .known
        .retain(|(host, port), _| named.binary_search(&(&**host, *port)).is_ok());
}

// An exchange tries its first backend and at most this many more.
const _: () = assert!((checked::RETRIES_MAX as usize) < TRIED_MAX);

mod affinity;
mod health;
#[cfg(test)]
mod tests;
