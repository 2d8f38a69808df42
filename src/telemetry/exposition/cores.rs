//! Families of cores: their loops, their threads, and how evenly clients are dealt out to them.

use std::sync::Arc;

use crate::base::epoch::Epoch;
use crate::base::id::CoreId;
use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::exposition::{Facts, LISTENER_BOUNDS};
use crate::telemetry::histogram::LatencyHistogram;
use crate::telemetry::stats::{CoreStats, ListenerStats};

pub(super) fn cores(page: &mut Page, cores: &[Arc<CoreStats>]) {
    let mut each = |name, kind, help, value: fn(&CoreStats) -> u64| {
        page.family(name, kind, help);
        for (index, core) in cores.iter().enumerate() {
            let index = itoa::Buffer::new().format(index).to_owned();
            page.sample_by("", "core", &index, value(core));
        }
    };
    each(
        "weir_core_epoch",
        Kind::Gauge,
        "Epoch this core serves new requests with.",
        |core| Epoch(core.epoch.read()).revision(),
    );
    each(
        "weir_core_turns_total",
        Kind::Counter,
        "Turns of the loop, each one wait in the ring.",
        |core| core.turns.read(),
    );
    each(
        "weir_core_completions_total",
        Kind::Counter,
        "Completions handled.",
        |core| core.completions.read(),
    );
    each(
        "weir_core_buffer_starved_total",
        Kind::Counter,
        "Times the kernel found no receive buffer.",
        |core| core.buffer_starved.read(),
    );
    each(
        "weir_core_buffers_held",
        Kind::Gauge,
        "Buffers in use beyond those posted to the kernel.",
        |core| u64::from(core.buffers_held.read()),
    );
    each(
        "weir_core_log_dropped_total",
        Kind::Counter,
        "Access log records dropped because the core's ring was full.",
        |core| core.log_dropped.read(),
    );
    page.family(
        "weir_core_batch_completions",
        Kind::Histogram,
        "Completions of one turn of the loop.",
    );
    for (index, core) in cores.iter().enumerate() {
        let index = labels(&[("core", itoa::Buffer::new().format(index))]);
        page.batches(&index, &core.batches, core.completions.read());
    }
}

/// Times that few requests have: what is neither here nor at a backend is spent with the client.
pub(super) fn phases(page: &mut Page, cores: &[Arc<CoreStats>]) {
    page.family(
        "weir_request_phase_seconds",
        Kind::Histogram,
        "Times of requests that waited for their head, for room at a backend, or for a connection.",
    );
    type Phase = fn(&CoreStats) -> &LatencyHistogram;
    let phases: [(&str, Phase); 3] = [
        ("client_wait", |core| &core.phases.client_wait),
        ("connect", |core| &core.phases.connect),
        ("queue", |core| &core.phases.queue),
    ];
    for (name, phase) in phases {
        let of = cores.iter().map(|core| phase(core));
        page.histogram(&labels(&[("phase", name)]), &LISTENER_BOUNDS, of, None);
    }
}

/// What the kernel gave the threads of the cores: a core that waits for a CPU shares it.
pub(super) fn threads_of_cores(page: &mut Page, threads: &[Option<(u64, u64)>]) {
    let mut each = |name, help, time: fn((u64, u64)) -> u64| {
        page.family(name, Kind::Counter, help);
        for (index, times) in threads.iter().enumerate() {
            if let Some(times) = times {
                let index = labels(&[("core", itoa::Buffer::new().format(index))]);
                page.seconds(&index, time(*times));
            }
        }
    };
    each(
        "weir_core_cpu_seconds_total",
        "CPU time the core's thread used.",
        |(ran, _)| ran,
    );
    each(
        "weir_core_cpu_waited_seconds_total",
        "Time the core's thread could have run and had no CPU.",
        |(_, waited)| waited,
    );
}

/// What each core has of all listeners: how evenly the kernel deals connections out.
pub(super) fn traffic_of_cores(page: &mut Page, facts: &Facts<'_>) {
    let mut each = |name, kind, help, value: fn(&ListenerStats) -> u64| {
        page.family(name, kind, help);
        for (index, core) in (0..facts.cores.len()).zip((0..).map(CoreId)) {
            let listeners = facts.listeners.iter();
            let sum = listeners
                .map(|listener| value(listener.stats.of(core)))
                .sum();
            let index = itoa::Buffer::new().format(index).to_owned();
            page.sample_by("", "core", &index, sum);
        }
    };
    each(
        "weir_core_connections",
        Kind::Gauge,
        "Connections of clients open on this core.",
        |stats| u64::from(stats.connections_open.read()),
    );
    each(
        "weir_core_accepts_total",
        Kind::Counter,
        "Connections this core accepted.",
        |stats| stats.connections.read(),
    );
    each(
        "weir_core_requests_total",
        Kind::Counter,
        "Requests this core answered.",
        |stats| stats.requests.iter().map(|(_, count)| count).sum(),
    );
}
