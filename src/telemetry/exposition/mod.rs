//! All metrics of one node as a page in the Prometheus text format 0.0.4.
//!
//! Pure: what was counted goes in, text comes out. Counters of cores are summed, because which
//! core served a client is an accident; only what describes a core itself has a `core` label.
//! Fault counters of listeners are always there, zero or not, so that the first increase shows in
//! a rate; those of backends only once they are not zero, because there may be ten thousand.
//!
//! The bounds of histograms are powers of two in microseconds: these are edges of the buckets
//! latencies are counted in, so the cumulative counts are exact. Latencies are cut to whole
//! microseconds, and a value of exactly a bound counts in the next bucket.

mod entities;
mod page;

use std::sync::Arc;

use crate::telemetry::counter::Counter;
use crate::telemetry::exposition::entities::{backends, breakers, listeners};
use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::stats::{
    BackendStats, ControlStats, CoreStats, HealthStats, ListenerStats, LogStats, PerCore,
};

/// One listener and its counters.
pub struct ListenerFacts<'a> {
    /// Name from the configuration.
    pub name: &'a str,
    /// Where it listens, or did: one that moved is there twice until its last table is gone.
    pub address: String,
    /// Its counters.
    pub stats: &'a PerCore<ListenerStats>,
}

/// One backend and its counters.
pub struct BackendFacts<'a> {
    /// Name of its group.
    pub group: &'a str,
    /// Name from the configuration.
    pub name: &'a str,
    /// The address in use; a name can stand for several.
    pub address: String,
    /// Whether this node would give it something new, as far as its health goes.
    pub up: bool,
    /// Where its breaker stands: 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// Requests (HTTP) or connections (TCP) it has now.
    pub in_flight: u32,
    /// What the adaptive policy thinks of it, where there is one.
    pub estimate: Option<EstimateFacts>,
    /// Whether a policy picks in the shadow of its group's.
    pub shadowed: bool,
    /// Its counters.
    pub stats: &'a PerCore<BackendStats>,
}

/// One group and its circuit breaker.
pub struct GroupFacts<'a> {
    /// Name from the configuration.
    pub name: &'a str,
    /// 0 closed, 1 half-open, 2 open.
    pub breaker: u8,
    /// How often each limit was met, with its name.
    pub overflows: Vec<(&'static str, u64)>,
    /// What is under way of what is limited, with its name.
    pub in_use: Vec<(&'static str, u32)>,
}

/// What the adaptive policy thinks of a backend.
#[derive(Clone, Copy, Debug)]
pub struct EstimateFacts {
    /// The latency to expect of one more request.
    pub latency_micros: u64,
    /// How it compares with its group, in thousandths.
    pub pace_permille: u64,
}

/// What the operating system says of the process.
#[derive(Clone, Copy, Debug, Default)]
pub struct ProcessFacts {
    /// CPU time used, user and system.
    pub cpu_micros: u64,
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Open descriptors.
    pub open_fds: u64,
    /// Most descriptors allowed.
    pub max_fds: u64,
    /// When it started, microseconds since 1970.
    pub started_unix_micros: u64,
}

/// Everything that is exposed.
pub struct Facts<'a> {
    /// Version of the program.
    pub version: &'a str,
    /// The newest epoch published.
    pub epoch: u64,
    /// Listeners that have counters.
    pub listeners: Vec<ListenerFacts<'a>>,
    /// Groups of the present table.
    pub groups: Vec<GroupFacts<'a>>,
    /// Backends that have counters.
    pub backends: Vec<BackendFacts<'a>>,
    /// Cores, in order.
    pub cores: &'a [Arc<CoreStats>],
    /// The control thread.
    pub control: &'a ControlStats,
    /// The access log, if there is one.
    pub log: Option<&'a LogStats>,
    /// The process.
    pub process: ProcessFacts,
}

/// The page.
#[must_use]
pub fn render(facts: &Facts<'_>) -> String {
    // Rough sizes of one listener's and one backend's lines, to grow rarely.
    let bytes = 8192 + 6000 * facts.listeners.len() + 4000 * facts.backends.len();
    let mut page = Page::with_capacity(bytes);
    node(&mut page, facts);
    cores(&mut page, facts.cores);
    listeners(&mut page, &facts.listeners);
    breakers(&mut page, &facts.groups);
    backends(&mut page, &facts.backends);
    if let Some(log) = facts.log {
        access_log(&mut page, log);
    }
    process(&mut page, &facts.process);
    page.into_text()
}

fn node(page: &mut Page, facts: &Facts<'_>) {
    page.family(
        "weir_build_info",
        Kind::Gauge,
        "Always 1; the version is a label.",
    );
    page.sample(&labels(&[("version", facts.version)]), 1);
    let mut single = |name, kind, help, value| {
        page.family(name, kind, help);
        page.sample("", value);
    };
    single(
        "weir_epoch",
        Kind::Gauge,
        "Newest epoch published to the cores.",
        facts.epoch,
    );
    let control = facts.control;
    single(
        "weir_epochs_published_total",
        Kind::Counter,
        "Epochs published to the cores.",
        control.published.read(),
    );
    single(
        "weir_resolve_failures_total",
        Kind::Counter,
        "Names that could not be resolved.",
        control.resolve_failures.read(),
    );
    single(
        "weir_backends_file_failures_total",
        Kind::Counter,
        "Times a file of backends could not be used.",
        control.file_failures.read(),
    );
    health(page, &control.health);
    page.family(
        "weir_reloads_total",
        Kind::Counter,
        "Reloads of the configuration by result.",
    );
    page.sample_by("", "result", "ok", control.reloads.read());
    page.sample_by("", "result", "refused", control.reload_failures.read());
}

fn health(page: &mut Page, stats: &HealthStats) {
    let families = [
        (
            "weir_checks_total",
            "Active checks by result.",
            "result",
            stats.checks.iter().collect::<Vec<_>>(),
        ),
        (
            "weir_agent_checks_total",
            "Questions to the agents of backends by what came of them.",
            "result",
            stats.agents.iter().collect(),
        ),
        (
            "weir_breaker_transitions_total",
            "Times the breaker of a group came to a state.",
            "to",
            stats.breakers.iter().collect(),
        ),
        (
            "weir_backend_ejections_total",
            "Backends ejected because of their traffic, by cause.",
            "cause",
            stats.ejections.iter().collect(),
        ),
        (
            "weir_backend_transitions_total",
            "Times a backend became up, down, draining or in maintenance, by whose word.",
            "source",
            stats.transitions.iter().collect(),
        ),
        (
            "weir_heartbeats_total",
            "Heartbeats believed, whole or without their figures.",
            "result",
            stats.heartbeats.iter().collect(),
        ),
        (
            "weir_heartbeats_rejected_total",
            "Heartbeats refused, by reason.",
            "reason",
            stats.rejected.iter().collect(),
        ),
    ];
    for (name, help, label, counts) in families {
        page.family(name, Kind::Counter, help);
        for (word, count) in counts {
            page.sample_by("", label, word, count);
        }
    }
}

fn cores(page: &mut Page, cores: &[Arc<CoreStats>]) {
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
        |core| core.epoch.read(),
    );
    each(
        "weir_core_turns_total",
        Kind::Counter,
        "Turns of the loop.",
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
}

fn access_log(page: &mut Page, log: &LogStats) {
    let mut single = |name, help, counter: &Counter| {
        page.family(name, Kind::Counter, help);
        page.sample("", counter.read());
    };
    single(
        "weir_access_log_lines_total",
        "Lines written to the access log.",
        &log.lines,
    );
    single(
        "weir_access_log_bytes_total",
        "Bytes written to the access log.",
        &log.bytes,
    );
    single(
        "weir_access_log_lost_total",
        "Lines that could not be written.",
        &log.lost,
    );
    single(
        "weir_access_log_write_errors_total",
        "Batches of which something could not be written.",
        &log.write_errors,
    );
}

/// These five have the names every Prometheus client library gives them.
fn process(page: &mut Page, process: &ProcessFacts) {
    page.family(
        "process_cpu_seconds_total",
        Kind::Counter,
        "CPU time used, user and system.",
    );
    page.seconds("", process.cpu_micros);
    page.family(
        "process_start_time_seconds",
        Kind::Gauge,
        "Start of the process, Unix time.",
    );
    page.seconds("", process.started_unix_micros);
    let mut single = |name, help, value| {
        page.family(name, Kind::Gauge, help);
        page.sample("", value);
    };
    single(
        "process_resident_memory_bytes",
        "Memory in RAM.",
        process.resident_bytes,
    );
    single("process_open_fds", "Open descriptors.", process.open_fds);
    single(
        "process_max_fds",
        "Most descriptors allowed.",
        process.max_fds,
    );
}

#[cfg(test)]
mod tests;
