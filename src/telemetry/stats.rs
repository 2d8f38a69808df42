//! What is counted, per core: plain structs of counters that the hot path adds to and the
//! control thread reads.
//!
//! They live in `Arc`s of the control thread's registry, keyed by stable slots, so they survive
//! every table. A table carries one handle per core; a core touches only its own. The large parts
//! (histograms, counts by status) are made when the first value comes: a backend that serves
//! nothing costs a few hundred bytes per core, so there may be ten thousand. What policies read
//! for each pick lies apart, on `routing::load`'s board.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::base::fault::Fault;
use crate::base::id::CoreId;
use crate::telemetry::batches::BatchCounts;
use crate::telemetry::by_route::RouteCounts;
use crate::telemetry::counter::{Counter, Gauge};
pub use crate::telemetry::health::HealthStats;
use crate::telemetry::histogram::LatencyHistogram;
use crate::telemetry::overload::OverloadStats;

/// One `T` for each core, each in its own allocation so that two cores never share a cache line;
/// and one for what the process counted that this one took over from, if it did.
pub struct PerCore<T> {
    cores: Arc<[Box<Padded<T>>]>,
    before: Arc<OnceLock<Box<T>>>,
}

#[repr(align(128))]
#[derive(Default)]
struct Padded<T>(T);

impl<T> Clone for PerCore<T> {
    fn clone(&self) -> Self {
        PerCore {
            cores: Arc::clone(&self.cores),
            before: Arc::clone(&self.before),
        }
    }
}

impl<T: Default> PerCore<T> {
    /// Fresh values for `cores` cores.
    #[must_use]
    pub fn new(cores: usize) -> Self {
        PerCore {
            cores: (0..cores).map(|_| Box::default()).collect(),
            before: Arc::default(),
        }
    }

    /// What the process before this one counted. Only the control thread may write it.
    #[must_use]
    pub fn before(&self) -> &T {
        self.before.get_or_init(Box::default)
    }
}

impl<T> PerCore<T> {
    /// The value of one core.
    #[inline]
    #[must_use]
    pub fn of(&self, core: CoreId) -> &T {
        &self.cores[core.index()].0
    }

    /// How many cores there are.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores.len()
    }

    /// Bytes of all cores, without what the values allocate themselves.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.cores.len() * (size_of::<Padded<T>>() + size_of::<Box<Padded<T>>>())
    }

    /// The values of all cores: what this process did itself.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.cores.iter().map(|padded| &padded.0)
    }

    /// The values of all cores and of the process before: what people are told, so that no count
    /// falls when one process takes over from another.
    pub fn all(&self) -> impl Iterator<Item = &T> {
        let before = self.before.get().map(|before| &**before);
        self.iter().chain(before)
    }
}

/// Requests by status code. Most backends answer 200 and nothing else, so the 4 KB of counters of
/// the others are made when the first of them comes; with sums, which health looks at.
#[derive(Default)]
pub struct StatusCounts {
    ok: Counter,
    others: OnceLock<Box<Others>>,
}

struct Others {
    counts: [Counter; 500],
    total: Counter,
    failed: Counter,
}

impl StatusCounts {
    /// Counts one response of `status` (100 to 599; anything else counts as 599).
    #[inline]
    pub fn inc(&self, status: u16) {
        if status == 200 {
            return self.ok.inc();
        }
        let index = index_of(status);
        let others = self.others();
        others.counts[index].inc();
        others.total.inc();
        if index >= 400 {
            others.failed.inc();
        }
    }

    /// Sets what another process has counted. Only the owner may call it.
    pub fn set(&self, status: u16, count: u64) {
        if status == 200 {
            return self.ok.set(count);
        }
        let index = index_of(status);
        let others = self.others();
        let more = count.wrapping_sub(others.counts[index].read());
        others.counts[index].set(count);
        others.total.add(more);
        if index >= 400 {
            others.failed.add(more);
        }
    }

    fn others(&self) -> &Others {
        self.others.get_or_init(|| {
            Box::new(Others {
                counts: std::array::from_fn(|_| Counter::default()),
                total: Counter::default(),
                failed: Counter::default(),
            })
        })
    }

    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        let others = self.others.get();
        self.ok.read() + others.map_or(0, |others| others.total.read())
    }

    /// Those with a status of 500 and above.
    #[must_use]
    pub fn failed(&self) -> u64 {
        let others = self.others.get();
        others.map_or(0, |others| others.failed.read())
    }

    /// `(status, count)` of every status seen, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let others = self
            .others
            .get()
            .map_or(&[][..], |others| &others.counts[..]);
        let (below, above) = others.split_at(others.len().min(100));
        (100_u16..)
            .zip(below)
            .chain([(200, &self.ok)])
            .chain((200..).zip(above))
            .map(|(status, counter)| (status, counter.read()))
            .filter(|(_, count)| *count > 0)
    }
}

/// The place of a status among the others.
#[inline]
fn index_of(status: u16) -> usize {
    usize::from(status).wrapping_sub(100).min(499)
}

/// What one core counts for one listener.
#[derive(Default)]
pub struct ListenerStats {
    /// Connections accepted.
    pub connections: Counter,
    /// Connections open now.
    pub connections_open: Gauge,
    /// Bytes received from clients.
    pub bytes_received: Counter,
    /// Bytes sent to clients.
    pub bytes_sent: Counter,
    /// Requests by the status the client got (HTTP).
    pub requests: StatusCounts,
    /// Exchanges and connections that ended by a fault, by [`Fault`].
    pub faults: [Counter; Fault::ALL.len()],
    /// From the first byte of the request to the last of the response, both to the client.
    pub latency: LatencyHistogram,
    /// Accepts that failed (out of descriptors, for example).
    pub accept_errors: Counter,
}

impl ListenerStats {
    /// The plain counters, with what one process calls them to another.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Counter); 4] {
        [
            ("accept_errors", &self.accept_errors),
            ("bytes_received", &self.bytes_received),
            ("bytes_sent", &self.bytes_sent),
            ("connections", &self.connections),
        ]
    }
}

/// What one core counts for one backend.
#[derive(Default)]
pub struct BackendStats {
    /// Connections established.
    pub connects: Counter,
    /// Connections that could not be established.
    pub connect_failures: Counter,
    /// Connections open now, idle ones included.
    pub connections_open: Gauge,
    /// Requests sent over a connection that had served before.
    pub reuses: Counter,
    /// Requests (or connections) tried again elsewhere after failing here.
    pub retries: Counter,
    /// Retries that would have come here, and that the budget did not afford.
    pub retries_refused: Counter,
    /// Second copies of requests it got because another backend took long.
    pub hedges: Counter,
    /// Those it answered first.
    pub hedges_won: Counter,
    /// Times a core suspended it.
    pub suspensions: Counter,
    /// Picks of it that the policy in the shadow repeated.
    pub shadow_compared: Counter,
    /// Those for which that would have chosen another.
    pub shadow_differed: Counter,
    /// Times that would have chosen it.
    pub shadow_chosen: Counter,
    /// The time to expect of those, as the adaptive policy sees it.
    pub shadow_busy_micros: Counter,
    /// Bytes sent to the backend.
    pub bytes_sent: Counter,
    /// Bytes received from the backend.
    pub bytes_received: Counter,
    /// Requests by the status the backend answered.
    pub requests: StatusCounts,
    /// Requests it was the last to have, by their route and the status the client got.
    pub answered: RouteCounts,
    /// Exchanges that ended by a fault while they were here, by [`Fault`].
    pub faults: [Counter; Fault::ALL.len()],
    /// From the request's hand-over to the response's head.
    pub latency: LatencyHistogram,
}

impl BackendStats {
    /// The plain counters, with what one process calls them to another.
    #[must_use]
    pub fn named(&self) -> [(&'static str, &Counter); 14] {
        [
            ("bytes_received", &self.bytes_received),
            ("bytes_sent", &self.bytes_sent),
            ("connect_failures", &self.connect_failures),
            ("connects", &self.connects),
            ("hedges", &self.hedges),
            ("hedges_won", &self.hedges_won),
            ("retries", &self.retries),
            ("retries_refused", &self.retries_refused),
            ("reuses", &self.reuses),
            ("shadow_busy_micros", &self.shadow_busy_micros),
            ("shadow_chosen", &self.shadow_chosen),
            ("shadow_compared", &self.shadow_compared),
            ("shadow_differed", &self.shadow_differed),
            ("suspensions", &self.suspensions),
        ]
    }
}

/// What one core counts of itself.
#[derive(Default)]
pub struct CoreStats {
    /// Turns of the loop, each one wait in the ring.
    pub turns: Counter,
    /// Completions handled.
    pub completions: Counter,
    /// Times that few requests have.
    pub phases: PhaseStats,
    /// Turns by how many completions each had.
    pub batches: BatchCounts,
    /// Its thread as the kernel numbers it; 0 before it runs.
    pub thread: Gauge,
    /// Times the kernel found no receive buffer.
    pub buffer_starved: Counter,
    /// Buffers in use beyond those posted to the kernel.
    pub buffers_held: Gauge,
    /// Access log records that found their ring full.
    pub log_dropped: Counter,
    /// Epoch this core serves new requests with.
    pub epoch: Counter,
    /// Times it gave back the memory of many connections.
    pub released: Counter,
    /// What it does about overload.
    pub overload: OverloadStats,
}

/// Times of requests beside those at listeners and backends; only what took time is counted.
#[derive(Default)]
pub struct PhaseStats {
    /// From the first byte of a head that came in pieces to its last.
    pub client_wait: LatencyHistogram,
    /// Waiting for room at a backend.
    pub queue: LatencyHistogram,
    /// From the hand-over to the connection, where one had to be made.
    pub connect: LatencyHistogram,
}

impl PhaseStats {
    /// Counts what a request took. Only the owning core may call it.
    #[inline]
    pub fn record(&self, client_wait: u64, queue: u64, connect: u64) {
        for (phase, micros) in [
            (&self.client_wait, client_wait),
            (&self.queue, queue),
            (&self.connect, connect),
        ] {
            if micros > 0 {
                phase.record_micros(micros);
            }
        }
    }
}

/// What the log thread counts.
#[derive(Default)]
pub struct LogStats {
    /// Lines written.
    pub lines: Counter,
    /// Bytes written.
    pub bytes: Counter,
    /// Lines that could not be written.
    pub lost: Counter,
    /// Batches of which something could not be written.
    pub write_errors: Counter,
    /// Decisions written.
    pub decisions: Counter,
    /// Bytes of them.
    pub decision_bytes: Counter,
    /// Decisions that could not be written.
    pub decisions_lost: Counter,
    /// Spans dropped because the collector was too slow.
    pub spans_dropped: Counter,
    /// Spans a collector took. The control thread counts them.
    pub spans_exported: Counter,
    /// Spans the collector did not take. The control thread counts them.
    pub spans_refused: Counter,
}

/// What is counted of a store that nodes share.
#[derive(Default)]
pub struct StoreStats {
    /// Readings of what is new.
    pub reads: Counter,
    /// Readings that gave nothing.
    pub read_failures: Counter,
    /// Commits sent.
    pub writes: Counter,
    /// Commits that failed.
    pub write_failures: Counter,
    /// Commits that came after somebody else's.
    pub conflicts: Counter,
    /// Watches begun.
    pub watches: Counter,
    /// Times a watch rang.
    pub watch_events: Counter,
    /// Times the node's own copy could not be written.
    pub copy_failures: Counter,
    /// When it was last known to be the newest, in milliseconds since 1970.
    verified_unix_millis: AtomicU64,
}

impl StoreStats {
    /// Notes that what is known was the newest at `now`.
    pub fn verified(&self, now: SystemTime) {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.verified_unix_millis.store(millis, Ordering::Relaxed);
    }

    /// How long that is ago; none if it never was.
    #[must_use]
    pub fn age(&self, now: SystemTime) -> Option<Duration> {
        let millis = self.verified_unix_millis.load(Ordering::Relaxed);
        let at = UNIX_EPOCH + Duration::from_millis(millis);
        (millis > 0).then(|| now.duration_since(at).unwrap_or_default())
    }
}

/// What the control thread counts of its own work.
#[derive(Default)]
pub struct ControlStats {
    /// Epochs published.
    pub published: Counter,
    /// From asking for a change to its answer: judged, stored, published.
    pub changes: LatencyHistogram,
    /// From the publication of a table to its use by every core.
    pub adoption: LatencyHistogram,
    /// Reloads that led to a new epoch.
    pub reloads: Counter,
    /// Reloads refused because the configuration was wrong or an address could not be bound.
    pub reload_failures: Counter,
    /// Revisions of other nodes that could not be served here.
    pub unserved: Counter,
    /// Upgrades that failed, after which this process went on.
    pub upgrade_failures: Counter,
    /// Names that could not be resolved.
    pub resolve_failures: Counter,
    /// Times a file of backends could not be used.
    pub file_failures: Counter,
    /// The health of backends.
    pub health: HealthStats,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_two_cores_are_on_different_lines() {
        const PAIR: usize = 128;
        let stats: PerCore<BackendStats> = PerCore::new(8);
        let mut lines: Vec<_> = (0..8)
            .flat_map(|core| {
                let first = std::ptr::from_ref(stats.of(CoreId(core))).addr();
                (first / PAIR)..=((first + size_of::<BackendStats>() - 1) / PAIR)
            })
            .collect();
        let count = lines.len();
        lines.sort_unstable();
        lines.dedup();
        assert_eq!(lines.len(), count);
    }

    #[test]
    fn statuses_come_in_rising_order_and_strange_ones_as_the_last() {
        let counts = StatusCounts::default();
        assert_eq!(counts.iter().count(), 0);
        counts.inc(200);
        assert_eq!(counts.iter().collect::<Vec<_>>(), [(200, 1)]);
        for status in [100, 599, 200, 404, 199, 201, 99, 700] {
            counts.inc(status);
        }
        let seen: Vec<_> = counts.iter().collect();
        let expected = [(100, 1), (199, 1), (200, 2), (201, 1), (404, 1), (599, 3)];
        assert_eq!(seen, expected);
        assert_eq!((counts.total(), counts.failed()), (9, 3));
    }
}
