//! Groups, and their backends as rows.

use std::collections::HashMap;

use serde::Serialize;

use super::super::super::status::sum;
use crate::base::fault::Fault;
use crate::base::id::BackendSlot;
use crate::control::change::Snapshot;
use crate::control::document::Family;
use crate::control::health::{Brief, Health};
use crate::control::view::View;
use crate::engine::registry::BackendEntry;
use crate::routing::table::{Backend, BackendState};

/// What the values of a row are, in order.
pub(super) const COLUMNS: [&str; 23] = [
    "slot",
    "group",
    "name",
    "address",
    "state",
    "configured",
    "weight",
    "status",
    "source",
    "reason",
    "since_ms",
    "suspended",
    "in_flight",
    "connections",
    "connects",
    "connect_failures",
    "requests",
    "errors",
    "faults",
    "retries",
    "bytes",
    "latency_count",
    "latency_sum_us",
];

#[derive(Serialize)]
pub(super) struct Group<'v> {
    name: &'v str,
    policy: Option<&'static str>,
    panics: bool,
}

/// One backend, as [`COLUMNS`] says.
#[derive(Serialize)]
pub(super) struct Row<'v>(
    u32,
    usize,
    &'v str,
    String,
    /* state */ &'static str,
    bool,
    u16,
    /* status */ &'static str,
    Option<&'static str>,
    String,
    u64,
    bool,
    /* in flight */ u32,
    u64,
    u64,
    u64,
    /* requests */ u64,
    u64,
    u64,
    u64,
    u64,
    /* latency */ u64,
    u64,
);

/// The groups of the table, then those that only have backends left over; and the backends, of
/// the table first.
pub(super) fn all<'v>(
    view: &'v View,
    snapshot: &Snapshot,
    health: &Health,
) -> (Vec<Group<'v>>, Vec<Row<'v>>) {
    let mut groups = Vec::new();
    let mut places = HashMap::<&str, usize>::new();
    let mut planned = HashMap::<BackendSlot, &Backend>::new();
    let mut families = Vec::new();
    for group in view.table.whole_groups() {
        places.insert(&group.name, groups.len());
        planned.extend(group.backends.iter().map(|backend| (backend.slot, backend)));
        families.push(Family::Backends(group.name.clone()));
        groups.push(Group {
            name: &group.name,
            policy: Some(group.policy.kind().name()),
            panics: health.is_panicking(group.slot),
        });
    }
    let mut briefs = health.briefs();
    let mut rows = Vec::with_capacity(view.backends().len());
    for entry in view.backends() {
        let place = *places.entry(&entry.group).or_insert_with(|| {
            families.push(Family::Backends(entry.group.clone()));
            groups.push(Group {
                name: &entry.group,
                policy: None,
                panics: false,
            });
            groups.len() - 1
        });
        let path = families[place].member(&entry.id);
        let configured = snapshot.document.contains(&path);
        let backend = planned.get(&entry.slot).copied().filter(|_| entry.live);
        let brief = briefs.remove(&entry.slot).filter(|_| entry.live);
        rows.push(row(entry, place, backend, brief, configured));
    }
    (groups, rows)
}

fn row<'v>(
    entry: &'v BackendEntry,
    group: usize,
    backend: Option<&Backend>,
    brief: Option<Brief>,
    configured: bool,
) -> Row<'v> {
    let stats = &entry.stats;
    let (mut requests, mut errors) = (0, 0);
    for (code, count) in stats.all().flat_map(|core| core.requests.iter()) {
        requests += count;
        errors += if code >= 500 { count } else { 0 };
    }
    let (mut latency_count, mut latency_sum) = (0, 0);
    for core in stats.all() {
        core.latency.visit(|_, _, count| latency_count += count);
        latency_sum += core.latency.sum_micros();
    }
    let brief = brief.unwrap_or_default();
    Row(
        entry.slot.0,
        group,
        &entry.id,
        entry.address.to_string(),
        backend.map_or("removed", |backend| state(backend.state)),
        configured,
        backend.map_or(0, |backend| backend.weight),
        brief.status,
        brief.source,
        brief.reason.into_owned(),
        brief.since_ms,
        entry.standing.word().is_suspended(),
        entry.load.in_flight(),
        sum(stats, |core| u64::from(core.connections_open.read())),
        sum(stats, |core| core.connects.read()),
        sum(stats, |core| core.connect_failures.read()),
        requests,
        errors,
        sum(stats, |core| {
            let each = Fault::ALL.into_iter();
            each.map(|fault| core.faults[fault as usize].read()).sum()
        }),
        sum(stats, |core| core.retries.read()),
        sum(stats, |core| {
            core.bytes_sent.read() + core.bytes_received.read()
        }),
        latency_count,
        latency_sum,
    )
}

fn state(state: BackendState) -> &'static str {
    match state {
        BackendState::Drain => "drain",
        BackendState::Maint => "maint",
        BackendState::Ready => "ready",
    }
}
