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

mod page;

use std::sync::Arc;

use crate::base::fault::Fault;
use crate::telemetry::counter::{Counter, Gauge};
use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::stats::{
    BackendStats, ControlStats, CoreStats, ListenerStats, LogStats, PerCore,
};

/// Bounds for listeners: 0.5 ms to 67 s, doubling.
const LISTENER_BOUNDS: [u64; 18] = powers_of_two(9, 1);

/// Bounds for backends: 1 ms to 67 s, every second of the listeners' own, because there are many
/// backends.
const BACKEND_BOUNDS: [u64; 9] = powers_of_two(10, 2);

const fn powers_of_two<const N: usize>(first: u32, step: u32) -> [u64; N] {
    let mut bounds = [0; N];
    let mut exponent = first;
    let mut index = 0;
    while index < N {
        bounds[index] = 1 << exponent;
        exponent += step;
        index += 1;
    }
    bounds
}

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
    /// Its counters.
    pub stats: &'a PerCore<BackendStats>,
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
    page.family(
        "weir_reloads_total",
        Kind::Counter,
        "Reloads of the configuration by result.",
    );
    page.sample_by("", "result", "ok", control.reloads.read());
    page.sample_by("", "result", "refused", control.reload_failures.read());
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

/// Entities of one sort, each with its labels, and how to write a family of them.
struct Entities<'p, 'a, T> {
    page: &'p mut Page,
    of: Vec<(String, &'a PerCore<T>)>,
}

impl<T> Entities<'_, '_, T> {
    fn counter(&mut self, name: &'static str, help: &str, counter: fn(&T) -> &Counter) {
        self.page.family(name, Kind::Counter, help);
        for (labels, stats) in &self.of {
            let sum = stats.iter().map(|core| counter(core).read()).sum();
            self.page.sample(labels, sum);
        }
    }

    fn gauge(&mut self, name: &'static str, help: &str, gauge: fn(&T) -> &Gauge) {
        self.page.family(name, Kind::Gauge, help);
        for (labels, stats) in &self.of {
            let sum = stats.iter().map(|core| u64::from(gauge(core).read())).sum();
            self.page.sample(labels, sum);
        }
    }

    fn codes(
        &mut self,
        name: &'static str,
        help: &str,
        counts: fn(&T) -> &crate::telemetry::stats::StatusCounts,
    ) {
        self.page.family(name, Kind::Counter, help);
        for (labels, stats) in &self.of {
            let mut sums = std::collections::BTreeMap::<u16, u64>::new();
            for (code, count) in stats.iter().flat_map(|core| counts(core).iter()) {
                *sums.entry(code).or_default() += count;
            }
            for (code, count) in sums {
                let code = itoa::Buffer::new().format(code).to_owned();
                self.page.sample_by(labels, "code", &code, count);
            }
        }
    }

    fn faults(
        &mut self,
        name: &'static str,
        help: &str,
        zeros: bool,
        counts: fn(&T) -> &[Counter; Fault::ALL.len()],
    ) {
        self.page.family(name, Kind::Counter, help);
        for (labels, stats) in &self.of {
            for fault in Fault::ALL {
                let sum = stats
                    .iter()
                    .map(|core| counts(core)[fault as usize].read())
                    .sum();
                if zeros || sum > 0 {
                    self.page.sample_by(labels, "fault", fault.name(), sum);
                }
            }
        }
    }
}

fn listeners(page: &mut Page, listeners: &[ListenerFacts<'_>]) {
    let of = listeners.iter().map(|facts| {
        let pairs = [("listener", facts.name), ("address", &*facts.address)];
        (labels(&pairs), facts.stats)
    });
    let mut all = Entities {
        page,
        of: of.collect(),
    };
    all.counter(
        "weir_listener_connections_total",
        "Connections accepted.",
        |s| &s.connections,
    );
    all.gauge("weir_listener_connections", "Connections open.", |s| {
        &s.connections_open
    });
    all.counter(
        "weir_listener_accept_errors_total",
        "Accepts that failed.",
        |s| &s.accept_errors,
    );
    all.counter(
        "weir_listener_received_bytes_total",
        "Bytes received from clients.",
        |s| &s.bytes_received,
    );
    all.counter(
        "weir_listener_sent_bytes_total",
        "Bytes sent to clients.",
        |s| &s.bytes_sent,
    );
    all.codes(
        "weir_listener_requests_total",
        "Requests by the status the client got.",
        |s| &s.requests,
    );
    all.faults(
        "weir_listener_faults_total",
        "Exchanges and connections that ended by a fault.",
        true,
        |s| &s.faults,
    );
    all.page.family(
        "weir_listener_request_duration_seconds",
        Kind::Histogram,
        "First byte of the request received to last byte of the response sent.",
    );
    for (labels, stats) in &all.of {
        all.page.histogram(
            labels,
            &LISTENER_BOUNDS,
            stats.iter().map(|core| &core.latency),
        );
    }
}

fn backends(page: &mut Page, backends: &[BackendFacts<'_>]) {
    let of = backends.iter().map(|facts| {
        let pairs = [
            ("group", facts.group),
            ("backend", facts.name),
            ("address", &*facts.address),
        ];
        (labels(&pairs), facts.stats)
    });
    let mut all = Entities {
        page,
        of: of.collect(),
    };
    all.gauge(
        "weir_backend_in_flight",
        "Requests or TCP connections there now.",
        |s| &s.in_flight,
    );
    all.gauge(
        "weir_backend_connections",
        "Connections open, idle ones included.",
        |s| &s.connections_open,
    );
    all.counter(
        "weir_backend_connects_total",
        "Connections established.",
        |s| &s.connects,
    );
    all.counter(
        "weir_backend_connect_failures_total",
        "Connections not established.",
        |s| &s.connect_failures,
    );
    all.counter(
        "weir_backend_reuses_total",
        "Requests over a connection used before.",
        |s| &s.reuses,
    );
    all.counter(
        "weir_backend_retries_total",
        "Requests tried again elsewhere.",
        |s| &s.retries,
    );
    all.counter(
        "weir_backend_sent_bytes_total",
        "Bytes sent to the backend.",
        |s| &s.bytes_sent,
    );
    all.counter(
        "weir_backend_received_bytes_total",
        "Bytes received from the backend.",
        |s| &s.bytes_received,
    );
    all.codes(
        "weir_backend_requests_total",
        "Requests by the status the backend gave.",
        |s| &s.requests,
    );
    all.faults(
        "weir_backend_faults_total",
        "Exchanges that ended by a fault while they were there.",
        false,
        |s| &s.faults,
    );
    all.page.family(
        "weir_backend_response_duration_seconds",
        Kind::Histogram,
        "Hand-over of the request to the head of the response.",
    );
    for (labels, stats) in &all.of {
        all.page.histogram(
            labels,
            &BACKEND_BOUNDS,
            stats.iter().map(|core| &core.latency),
        );
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
