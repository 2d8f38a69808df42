//! The JSON pages.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value, json};

use super::{Sources, VERSION};
use crate::base::epoch::Epoch;
use crate::base::fault::Fault;
use crate::control::health::Health;
use crate::control::process;
use crate::control::publisher::{Phase, Progress};
use crate::control::store::{Following, Sight};
use crate::control::view::View;
use crate::engine::registry::{BackendEntry, ListenerEntry};
use crate::link::control_side::CoreState;
use crate::routing::table::{Protocol, Table};
use crate::telemetry::counter::Counter;
use crate::telemetry::overload::{Action, Resource, Shed};
use crate::telemetry::quantiles::{Quantiles, quantiles};
use crate::telemetry::stats::{CoreStats, PerCore, StatusCounts};

pub(super) fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Draining => "draining",
        Phase::Serving => "serving",
        Phase::Starting => "starting",
    }
}

/// `/v1/epoch`.
pub(super) fn epoch(progress: &Progress) -> Value {
    let cores = progress.cores.iter().enumerate().map(|(core, now)| {
        let held: Vec<String> = now.held.iter().map(ToString::to_string).collect();
        json!({
            "core": core,
            "adopted": now.adopted.revision(),
            "found": now.adopted.found(),
            "tables_held": held,
            "state": match now.state {
                CoreState::Died => "died",
                CoreState::Running => "running",
                CoreState::Stopped { .. } => "stopped",
            },
        })
    });
    let stragglers = progress.stragglers(progress.published);
    json!({
        "published": progress.published.revision(),
        "found": progress.published.found(),
        "phase": phase_name(progress.phase),
        "stragglers": stragglers.iter().map(|core| core.0).collect::<Vec<_>>(),
        "cores": cores.collect::<Vec<_>>(),
    })
}

/// `/v1/status`.
pub(super) fn whole(sources: &Sources) -> Value {
    let view = sources.view.load();
    let (listeners, groups) = match view.as_ref() {
        Some(view) => (
            view.listeners()
                .iter()
                .map(|entry| listener(entry, &view.table))
                .collect(),
            groups(view, sources.handle.health()),
        ),
        None => (Vec::new(), Vec::new()),
    };
    let cores = sources.cores.iter().enumerate().map(|(index, core)| {
        json!({
            "core": index,
            "epoch": Epoch(core.epoch.read()).revision(),
            "turns": core.turns.read(),
            "completions": core.completions.read(),
            "buffer_starved": core.buffer_starved.read(),
            "buffers_held": core.buffers_held.read(),
            "log_dropped": core.log_dropped.read(),
        })
    });
    let process = process::facts(sources.started);
    let up = SystemTime::now()
        .duration_since(sources.started)
        .unwrap_or_default();
    json!({
        "version": VERSION,
        "config": sources.config_path.display().to_string(),
        "uptime_seconds": up.as_secs(),
        "reloads": sources.control.reloads.read(),
        "reloads_refused": sources.control.reload_failures.read(),
        "upgrades_failed": sources.control.upgrade_failures.read(),
        "resolve_failures": sources.control.resolve_failures.read(),
        "backends_file_failures": sources.control.file_failures.read(),
        "epoch": epoch(&sources.progress.borrow()),
        "store": sources.store.as_ref().map(store),
        "listeners": listeners,
        "groups": groups,
        "cores": cores.collect::<Vec<_>>(),
        "overload": overload(&sources.cores),
        "access_log": sources.log.as_ref().map(|log| json!({
            "lines": log.lines.read(),
            "lost": log.lost.read(),
        })),
        "process": {
            "pid": std::process::id(),
            "cpu_seconds": seconds(process.cpu_micros),
            "resident_bytes": process.resident_bytes,
            "open_fds": process.open_fds,
            "max_fds": process.max_fds,
        },
    })
}

/// How near the node is to its ends, and what it does about it.
fn overload(cores: &[Arc<CoreStats>]) -> Value {
    let most = |resource: Resource| {
        let each = cores
            .iter()
            .map(|core| core.overload.pressures[resource as usize].read());
        f64::from(each.max().unwrap_or(0)) / 1e3
    };
    let on = |action: Action| {
        let on = cores
            .iter()
            .map(|core| core.overload.on[action as usize].read());
        on.sum::<u32>() > 0
    };
    let shed = |shed: Shed| -> u64 {
        let each = cores
            .iter()
            .map(|core| core.overload.shed[shed as usize].read());
        each.sum()
    };
    let pressure = Resource::ALL.map(|it| (it.name().to_owned(), most(it).into()));
    let actions = Action::ALL.map(|it| (it.name().to_owned(), on(it).into()));
    let shed = Shed::ALL.map(|it| (it.name().to_owned(), shed(it).into()));
    json!({
        "pressure": Map::from_iter(pressure),
        "actions": Map::from_iter(actions),
        "shed": Map::from_iter(shed),
    })
}

/// A store that nodes share.
fn store(following: &Following) -> Value {
    let feed = following.feed.borrow();
    let (sight, why) = match &feed.sight {
        Sight::Away(why) => ("away", Some(why)),
        Sight::Current => ("current", None),
        Sight::Untrusted(why) => ("untrusted", Some(why)),
    };
    let age = following.stats.age(SystemTime::now());
    json!({
        "sight": sight,
        "why": why,
        "revision": feed.content.revision.0,
        "age_seconds": age.map(|age| age.as_secs_f64()),
        "unserved": following.unserved.load().as_deref(),
    })
}

fn listener(entry: &ListenerEntry, table: &Table) -> Value {
    let protocol = table
        .listener(entry.slot)
        .map(|listener| match listener.protocol {
            Protocol::Http => "http",
            Protocol::Tcp => "tcp",
        });
    let stats = &entry.stats;
    json!({
        "name": &*entry.name,
        "address": entry.address.to_string(),
        "protocol": protocol,
        "live": entry.live,
        "connections": sum(stats, |core| u64::from(core.connections_open.read())),
        "connections_total": sum(stats, |core| core.connections.read()),
        "bytes_received": sum(stats, |core| core.bytes_received.read()),
        "bytes_sent": sum(stats, |core| core.bytes_sent.read()),
        "requests": codes(stats, |core| &core.requests),
        "faults": faults(stats, |core| &core.faults),
        "duration_ms": latency(quantiles(stats.all().map(|core| &core.latency))),
    })
}

/// Groups of the present table, then those that only have backends left over.
fn groups(view: &View, health: &Health) -> Vec<Value> {
    let mut backends = BTreeMap::<&str, Vec<Value>>::new();
    for entry in view.backends() {
        backends
            .entry(&entry.group)
            .or_default()
            .push(backend(entry, health));
    }
    let mut groups = Vec::new();
    for group in view.table.whole_groups() {
        groups.push(json!({
            "name": &*group.name,
            "policy": group.policy.kind().name(),
            "live": true,
            "panics": health.is_panicking(group.slot),
            "breaker": group.standing.breaker().name(),
            "backends": backends.remove(&*group.name).unwrap_or_default(),
        }));
    }
    groups.extend(
        backends
            .into_iter()
            .map(|(name, backends)| json!({"name": name, "live": false, "backends": backends})),
    );
    groups
}

fn backend(entry: &BackendEntry, health: &Health) -> Value {
    let stats = &entry.stats;
    json!({
        "name": &*entry.id,
        "address": entry.address.to_string(),
        "live": entry.live,
        "health": if entry.live { health.brief(entry.slot) } else { Value::Null },
        "in_flight": entry.load.in_flight(),
        "connections": sum(stats, |core| u64::from(core.connections_open.read())),
        "connects": sum(stats, |core| core.connects.read()),
        "connect_failures": sum(stats, |core| core.connect_failures.read()),
        "reuses": sum(stats, |core| core.reuses.read()),
        "retries": sum(stats, |core| core.retries.read()),
        "bytes_sent": sum(stats, |core| core.bytes_sent.read()),
        "bytes_received": sum(stats, |core| core.bytes_received.read()),
        "requests": codes(stats, |core| &core.requests),
        "faults": faults(stats, |core| &core.faults),
        "response_ms": latency(quantiles(stats.all().map(|core| &core.latency))),
    })
}

pub(super) fn sum<T>(stats: &PerCore<T>, value: impl Fn(&T) -> u64) -> u64 {
    stats.all().map(value).sum()
}

fn codes<T>(stats: &PerCore<T>, counts: impl Fn(&T) -> &StatusCounts) -> Value {
    let mut sums = BTreeMap::<u16, u64>::new();
    for (code, count) in stats.all().flat_map(|core| counts(core).iter()) {
        *sums.entry(code).or_default() += count;
    }
    sums.into_iter()
        .map(|(code, count)| (code.to_string(), count.into()))
        .collect::<Map<_, _>>()
        .into()
}

fn faults<T>(stats: &PerCore<T>, counts: impl Fn(&T) -> &[Counter; Fault::ALL.len()]) -> Value {
    let totals = Fault::ALL.into_iter().map(|fault| {
        (
            fault.name().to_owned(),
            sum(stats, |core| counts(core)[fault as usize].read()),
        )
    });
    totals
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| (name, count.into()))
        .collect::<Map<_, _>>()
        .into()
}

fn latency(of: Quantiles) -> Value {
    json!({
        "count": of.count,
        "p50": millis(of.p50),
        "p90": millis(of.p90),
        "p99": millis(of.p99),
        "p99.9": millis(of.p999),
        "max": millis(of.max),
    })
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1e3
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}
