//! All metrics of one node as a page, in the Prometheus text format 0.0.4 or as OpenMetrics.
//!
//! Pure: what was counted goes in, text comes out. Counters of cores are summed, because which
//! core served a client is an accident; only what describes a core itself has a `core` label.
//! Fault counters of listeners are always there, zero or not, so that the first increase shows in
//! a rate; those of backends only once they are not zero, because there may be ten thousand. No two
//! families may be called alike once OpenMetrics has taken `_total` off: a gauge `x` rules out a
//! counter `x_total`.
//!
//! The bounds of histograms are powers of two in microseconds: these are edges of the buckets
//! latencies are counted in, so the cumulative counts are exact. Latencies are cut to whole
//! microseconds, and a value of exactly a bound counts in the next bucket.

mod cluster;
mod control;
mod cores;
mod entities;
mod groups;
mod overload;
mod page;
mod routes;
mod tally;

use std::sync::Arc;

use crate::base::epoch::Epoch;
use crate::base::id::{ListenerSlot, RouteSerial};
use crate::telemetry::counter::Counter;
use crate::telemetry::exemplars::OfListener;
pub use crate::telemetry::exposition::cluster::ClusterFacts;
use crate::telemetry::exposition::cluster::cluster;
use crate::telemetry::exposition::control::node;
use crate::telemetry::exposition::cores::{cores, phases, threads_of_cores, traffic_of_cores};
pub use crate::telemetry::exposition::entities::{LISTENER_BOUNDS, listener_bucket};
use crate::telemetry::exposition::entities::{backends, listeners, told};
use crate::telemetry::exposition::groups::{breakers, groups};
use crate::telemetry::exposition::overload::overload;
pub use crate::telemetry::exposition::page::{Dialect, PART_BYTES, Parts};
use crate::telemetry::exposition::page::{Kind, Page};
use crate::telemetry::exposition::routes::requests;
use crate::telemetry::stats::{
    BackendStats, ControlStats, CoreStats, ListenerStats, LogStats, PerCore, StatusCounts,
    StoreStats,
};

/// How finely the page tells things apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// Each backend by itself.
    #[default]
    Backend,
    /// The backends of a group added up.
    Group,
    /// No backends, only how many of each group are up.
    Listener,
}

/// One listener and its counters.
pub struct ListenerFacts<'a> {
    /// Name from the configuration.
    pub name: &'a str,
    /// Where it listens, or did: one that moved is there twice until its last table is gone.
    pub address: String,
    /// Its slot, by which exemplars know it.
    pub slot: ListenerSlot,
    /// Its counters.
    pub stats: &'a PerCore<ListenerStats>,
}

/// One route and what came to no backend of its requests.
pub struct RouteFacts<'a> {
    /// Name of its listener.
    pub listener: &'a str,
    /// Its name; empty for requests no route of the listener took.
    pub route: &'a str,
    /// By this backends count its requests.
    pub serial: RouteSerial,
    /// Requests that came to no backend.
    pub unplaced: &'a PerCore<StatusCounts>,
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
    /// Whether all its backends are used, because too few are well.
    pub panics: bool,
    /// How many of its backends are of each status.
    pub backends: Vec<(&'static str, u64)>,
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
    /// Memory that has addresses.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
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
    pub epoch: Epoch,
    /// How the page is written.
    pub dialect: Dialect,
    /// How much of it there is.
    pub detail: Detail,
    /// Listeners that have counters.
    pub listeners: Vec<ListenerFacts<'a>>,
    /// What stands for the buckets of listeners, by their slots.
    pub exemplars: &'a [OfListener],
    /// Routes that have counters.
    pub routes: Vec<RouteFacts<'a>>,
    /// Groups of the present table.
    pub groups: Vec<GroupFacts<'a>>,
    /// Backends that have counters.
    pub backends: Vec<BackendFacts<'a>>,
    /// Cores, in order.
    pub cores: &'a [Arc<CoreStats>],
    /// CPU time the thread of each core had, and time it waited for a CPU, in microseconds.
    pub threads: Vec<Option<(u64, u64)>>,
    /// The control thread.
    pub control: &'a ControlStats,
    /// The store nodes share, if there is one: its counters, and how many microseconds ago it
    /// was known to be the newest.
    pub store: Option<(&'a StoreStats, Option<u64>)>,
    /// The other nodes, if there may be some.
    pub cluster: Option<ClusterFacts<'a>>,
    /// The access log, if there is one.
    pub log: Option<&'a LogStats>,
    /// The process.
    pub process: ProcessFacts,
}

/// Writes the page, part by part.
pub fn render(facts: &Facts<'_>, parts: Parts) {
    let mut page = Page::new(facts.dialect, parts);
    node(&mut page, facts);
    if let Some((stats, age)) = facts.store {
        shared_store(&mut page, stats, age);
    }
    if let Some(facts) = &facts.cluster {
        cluster(&mut page, facts);
    }
    cores(&mut page, facts.cores);
    threads_of_cores(&mut page, &facts.threads);
    traffic_of_cores(&mut page, facts);
    phases(&mut page, facts.cores);
    overload(&mut page, facts.cores);
    listeners(&mut page, &facts.listeners, facts.exemplars);
    groups(&mut page, &facts.groups);
    breakers(&mut page, &facts.groups);
    let told = told(&facts.backends, facts.detail);
    requests(&mut page, facts, &told);
    if facts.detail != Detail::Listener {
        backends(&mut page, &facts.backends, &told, facts.detail);
    }
    if let Some(log) = facts.log {
        access_log(&mut page, log);
    }
    process(&mut page, &facts.process);
    page.finish();
}

fn shared_store(page: &mut Page, stats: &StoreStats, age_micros: Option<u64>) {
    if let Some(micros) = age_micros {
        let help = "How long ago the store was last known to hold nothing newer.";
        page.family("weir_store_age_seconds", Kind::Gauge, help);
        page.seconds("", micros);
    }
    for (name, help, counter) in [
        (
            "weir_store_reads_total",
            "Linearizable readings of what is new in the store.",
            &stats.reads,
        ),
        (
            "weir_store_read_failures_total",
            "Readings that no member answered, or that are not trusted.",
            &stats.read_failures,
        ),
        (
            "weir_store_writes_total",
            "Transactions this node has sent to the store.",
            &stats.writes,
        ),
        (
            "weir_store_write_failures_total",
            "Transactions that failed.",
            &stats.write_failures,
        ),
        (
            "weir_store_conflicts_total",
            "Transactions that came after another node's and were judged anew.",
            &stats.conflicts,
        ),
        (
            "weir_store_watches_total",
            "Watches begun, again after each that broke.",
            &stats.watches,
        ),
        (
            "weir_store_watch_events_total",
            "Times a watch told that there may be something new.",
            &stats.watch_events,
        ),
        (
            "weir_store_registrations_total",
            "Times this node has registered its address under a new lease in etcd.",
            &stats.registrations,
        ),
        (
            "weir_store_copy_failures_total",
            "Times the node's own copy of the store could not be written.",
            &stats.copy_failures,
        ),
    ] {
        page.family(name, Kind::Counter, help);
        page.sample("", counter.read());
    }
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
    single(
        "weir_decision_log_records_total",
        "Decisions written.",
        &log.decisions,
    );
    single(
        "weir_decision_log_bytes_total",
        "Bytes written to the decision log.",
        &log.decision_bytes,
    );
    single(
        "weir_decision_log_lost_total",
        "Decisions that could not be written.",
        &log.decisions_lost,
    );
    single(
        "weir_trace_spans_exported_total",
        "Spans the collector of traces took.",
        &log.spans_exported,
    );
    single(
        "weir_trace_spans_dropped_total",
        "Spans dropped because too many waited for the collector.",
        &log.spans_dropped,
    );
    single(
        "weir_trace_spans_refused_total",
        "Spans the collector did not take.",
        &log.spans_refused,
    );
}

/// These have the names Prometheus client libraries give them.
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
    single(
        "process_virtual_memory_bytes",
        "Memory that has addresses.",
        process.virtual_bytes,
    );
    single("process_threads", "Threads.", process.threads);
    single("process_open_fds", "Open descriptors.", process.open_fds);
    single(
        "process_max_fds",
        "Most descriptors allowed.",
        process.max_fds,
    );
}

#[cfg(test)]
mod tests;
