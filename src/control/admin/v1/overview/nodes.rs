//! A node and its cores: what it serves by, and how evenly.

use std::time::SystemTime;

use serde::Serialize;

use super::super::super::{Sources, VERSION, status::phase_name};
use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::control::process;
use crate::control::view::View;
use crate::link::control_side::CoreState;

#[derive(Serialize)]
pub(super) struct Node {
    name: String,
    version: &'static str,
    uptime_ms: u64,
    phase: &'static str,
    epoch: u64,
    cpu_seconds: f64,
    resident_bytes: u64,
    open_fds: u64,
    cores: Vec<Core>,
}

#[derive(Serialize)]
struct Core {
    core: usize,
    state: &'static str,
    epoch: u64,
    connections: u64,
    connections_total: u64,
    requests: u64,
    turns: u64,
    completions: u64,
    buffer_starved: u64,
    buffers_held: u32,
    log_dropped: u64,
}

/// The node that answers.
pub(super) fn this(sources: &Sources, view: Option<&View>) -> Node {
    let facts = process::facts(sources.started);
    let up = SystemTime::now().duration_since(sources.started);
    let progress = sources.progress.borrow().clone();
    let states = progress.cores.iter().map(|now| match now.state {
        CoreState::Died => "died",
        CoreState::Running => "running",
        CoreState::Stopped { .. } => "stopped",
    });
    let cores = sources.cores.iter().zip(states).enumerate();
    let cores = cores.map(|(index, (stats, state))| {
        let (connections, connections_total, requests) =
            view.map_or((0, 0, 0), |view| traffic(view, index));
        Core {
            core: index,
            state,
            epoch: Epoch(stats.epoch.read()).revision(),
            connections,
            connections_total,
            requests,
            turns: stats.turns.read(),
            completions: stats.completions.read(),
            buffer_starved: stats.buffer_starved.read(),
            buffers_held: stats.buffers_held.read(),
            log_dropped: stats.log_dropped.read(),
        }
    });
    Node {
        name: name(),
        version: VERSION,
        uptime_ms: up.map_or(0, |up| u64::try_from(up.as_millis()).unwrap_or(0)),
        phase: phase_name(progress.phase),
        epoch: progress.published.revision(),
        cpu_seconds: facts.cpu_micros as f64 / 1e6,
        resident_bytes: facts.resident_bytes,
        open_fds: facts.open_fds,
        cores: cores.collect(),
    }
}

/// What one core has of all listeners: connections open, accepted, requests.
fn traffic(view: &View, core: usize) -> (u64, u64, u64) {
    let core = CoreId(u16::try_from(core).unwrap_or(u16::MAX));
    let each = view.listeners().iter().map(|entry| entry.stats.of(core));
    each.fold((0, 0, 0), |(open, total, requests), stats| {
        let served: u64 = stats.requests.iter().map(|(_, count)| count).sum();
        (
            open + u64::from(stats.connections_open.read()),
            total + stats.connections.read(),
            requests + served,
        )
    })
}

/// The name of the machine.
fn name() -> String {
    let uname = rustix::system::uname();
    uname.nodename().to_string_lossy().into_owned()
}
