//! Families of listeners and of backends: one line for each of them, cores summed.

use std::collections::BTreeMap;

use crate::base::fault::Fault;
use crate::telemetry::counter::{Counter, Gauge};
use crate::telemetry::exemplars::OfListener;
use crate::telemetry::exposition::page::{Kind, Page, labels};
use crate::telemetry::exposition::tally::Tally;
use crate::telemetry::exposition::{BackendFacts, Detail, ListenerFacts};
use crate::telemetry::stats::{BackendStats, PerCore, StatusCounts};

/// Bounds for listeners: 0.5 ms to 67 s, doubling.
pub const LISTENER_BOUNDS: [u64; 18] = powers_of_two(LISTENER_FIRST, 1);

/// Power of two of the first of them.
const LISTENER_FIRST: u32 = 9;

/// The bucket of a listener a duration belongs to: how many of its bounds are not above it.
#[inline]
#[must_use]
pub fn listener_bucket(micros: u64) -> usize {
    let digits = (u64::BITS - micros.leading_zeros()) as usize;
    let above = digits.saturating_sub(LISTENER_FIRST as usize);
    above.min(LISTENER_BOUNDS.len())
}

/// Bounds for backends: 1 ms to 67 s, every second of the listeners' own, because there are many
/// backends.
pub(super) const BACKEND_BOUNDS: [u64; 9] = powers_of_two(10, 2);

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

/// Entities of one sort, each with its labels, and how to write a family of them.
struct Entities<'p, 'a, T> {
    page: &'p mut Page,
    of: Vec<(&'a str, &'a [&'a PerCore<T>])>,
}

/// Every core of every one that is told together.
fn cores<'a, T>(stats: &[&'a PerCore<T>]) -> impl Iterator<Item = &'a T> {
    stats.iter().flat_map(|stats| stats.all())
}

impl<T> Entities<'_, '_, T> {
    fn counter(&mut self, name: &'static str, help: &str, counter: fn(&T) -> &Counter) {
        self.page.family(name, Kind::Counter, help);
        for (labels, stats) in &self.of {
            let sum = cores(stats).map(|core| counter(core).read()).sum();
            self.page.sample(labels, sum);
        }
    }

    fn gauge(&mut self, name: &'static str, help: &str, gauge: fn(&T) -> &Gauge) {
        self.page.family(name, Kind::Gauge, help);
        for (labels, stats) in &self.of {
            let sum = cores(stats).map(|core| u64::from(gauge(core).read())).sum();
            self.page.sample(labels, sum);
        }
    }

    fn codes(&mut self, name: &'static str, help: &str, counts: fn(&T) -> &StatusCounts) {
        self.page.family(name, Kind::Counter, help);
        let mut tally = Tally::default();
        for (labels, stats) in &self.of {
            cores(stats).for_each(|core| tally.add(None, counts(core)));
            tally.take(|_, code, count| self.page.sample_of(&[labels], code, count));
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
                let sum = cores(stats)
                    .map(|core| counts(core)[fault as usize].read())
                    .sum();
                if zeros || sum > 0 {
                    self.page.sample_by(labels, "fault", fault.name(), sum);
                }
            }
        }
    }
}

pub(super) fn listeners(
    page: &mut Page,
    listeners: &[ListenerFacts<'_>],
    exemplars: &[OfListener],
) {
    let named = listeners.iter().map(|facts| {
        let pairs = [("listener", facts.name), ("address", &*facts.address)];
        (labels(&pairs), [facts.stats])
    });
    let named: Vec<_> = named.collect();
    let of = named.iter().map(|(labels, stats)| (&**labels, &stats[..]));
    let mut all = Entities {
        page,
        of: of.collect(),
    };
    all.counter(
        "weir_listener_accepts_total",
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
    for ((labels, stats), facts) in all.of.iter().zip(listeners) {
        all.page.histogram(
            labels,
            &LISTENER_BOUNDS,
            cores(stats).map(|core| &core.latency),
            exemplars.get(facts.slot.index()),
        );
    }
}

/// Backends that are told as one: their labels, their counters, and what is not counted.
pub(super) struct Told<'a> {
    pub(super) labels: String,
    pub(super) stats: Vec<&'a PerCore<BackendStats>>,
    in_flight: u64,
    up: u64,
}

/// The backends as they are told; where none is, all of them as one.
pub(super) fn told<'a>(backends: &[BackendFacts<'a>], detail: Detail) -> Vec<Told<'a>> {
    let each = backends.iter().map(|facts| {
        let pairs = match detail {
            Detail::Backend => &[
                ("group", facts.group),
                ("backend", facts.name),
                ("address", &*facts.address),
            ][..],
            Detail::Group => &[("group", facts.group)][..],
            Detail::Listener => &[],
        };
        Told {
            labels: labels(pairs),
            stats: vec![facts.stats],
            in_flight: u64::from(facts.in_flight),
            up: u64::from(facts.up),
        }
    });
    match detail {
        Detail::Backend => each.collect(),
        Detail::Group | Detail::Listener => {
            let mut groups = BTreeMap::<String, Told<'a>>::new();
            for one in each {
                match groups.get_mut(&one.labels) {
                    Some(whole) => {
                        whole.stats.extend(one.stats);
                        whole.in_flight += one.in_flight;
                        whole.up += one.up;
                    }
                    None => drop(groups.insert(one.labels.clone(), one)),
                }
            }
            groups.into_values().collect()
        }
    }
}

pub(super) fn backends(
    page: &mut Page,
    backends: &[BackendFacts<'_>],
    told: &[Told<'_>],
    detail: Detail,
) {
    page.family(
        "weir_backend_in_flight",
        Kind::Gauge,
        "Requests or TCP connections there now.",
    );
    for one in told {
        page.sample(&one.labels, one.in_flight);
    }
    page.family(
        "weir_backend_up",
        Kind::Gauge,
        "1 if nothing this node knows of its health speaks against it.",
    );
    for one in told {
        page.sample(&one.labels, one.up);
    }
    let of = told.iter().map(|one| (&*one.labels, &one.stats[..]));
    let mut all = Entities {
        page,
        of: of.collect(),
    };
    if detail == Detail::Backend {
        breakers_of_backends(&mut all, backends);
        estimates(&mut all, backends);
        shadows(&mut all, backends);
    }
    connections(&mut all);
    outcomes(&mut all);
}

fn breakers_of_backends(all: &mut Entities<'_, '_, BackendStats>, backends: &[BackendFacts<'_>]) {
    all.page.family(
        "weir_breaker_backend_state",
        Kind::Gauge,
        "Where the breaker of the backend stands: 0 closed, 1 half-open, 2 open (ejected).",
    );
    for ((labels, _), facts) in all.of.iter().zip(backends) {
        all.page.sample(labels, u64::from(facts.breaker));
    }
}

/// What the adaptive policy thinks, for the backends it thinks of.
fn estimates(all: &mut Entities<'_, '_, BackendStats>, backends: &[BackendFacts<'_>]) {
    if backends.iter().all(|facts| facts.estimate.is_none()) {
        return;
    }
    all.page.family(
        "weir_backend_expected_latency_seconds",
        Kind::Gauge,
        "Time to an answer the adaptive policy expects of one more request.",
    );
    for ((labels, _), facts) in all.of.iter().zip(backends) {
        if let Some(estimate) = facts.estimate {
            all.page.seconds(labels, estimate.latency_micros);
        }
    }
    all.page.family(
        "weir_backend_pace_ratio",
        Kind::Gauge,
        "How slow the adaptive policy takes it to be, beside its group: 2 is twice as slow.",
    );
    for ((labels, _), facts) in all.of.iter().zip(backends) {
        if let Some(estimate) = facts.estimate {
            all.page.thousandths(labels, estimate.pace_permille);
        }
    }
}

/// What policies in the shadow would have done.
fn shadows(all: &mut Entities<'_, '_, BackendStats>, backends: &[BackendFacts<'_>]) {
    let shadowed: Vec<bool> = backends.iter().map(|facts| facts.shadowed).collect();
    if !shadowed.contains(&true) {
        return;
    }
    let mut count = |name, help: &str, counter: fn(&BackendStats) -> &Counter| {
        all.page.family(name, Kind::Counter, help);
        for ((labels, stats), _) in all.of.iter().zip(&shadowed).filter(|(_, is)| **is) {
            let sum = cores(stats).map(|core| counter(core).read()).sum();
            all.page.sample(labels, sum);
        }
    };
    count(
        "weir_backend_shadow_compared_total",
        "Picks of it that the policy in the shadow repeated.",
        |stats| &stats.shadow_compared,
    );
    count(
        "weir_backend_shadow_differed_total",
        "Those for which the policy in the shadow would have chosen another.",
        |stats| &stats.shadow_differed,
    );
    count(
        "weir_backend_shadow_chosen_total",
        "Times the policy in the shadow would have chosen it.",
        |stats| &stats.shadow_chosen,
    );
    all.page.family(
        "weir_backend_shadow_busy_seconds_total",
        Kind::Counter,
        "Expected time to an answer of those, where the adaptive policy chooses or shadows.",
    );
    for ((labels, stats), _) in all.of.iter().zip(&shadowed).filter(|(_, is)| **is) {
        let sum = cores(stats)
            .map(|core| core.shadow_busy_micros.read())
            .sum();
        all.page.seconds(labels, sum);
    }
}

fn connections(all: &mut Entities<'_, '_, BackendStats>) {
    all.gauge(
        "weir_backend_connections",
        "Connections open, idle ones included.",
        |s| &s.connections_open,
    );
    all.gauge(
        "weir_backend_idle_connections",
        "Connections that wait in the pool for a request.",
        |s| &s.connections_idle,
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
        "weir_backend_retries_refused_total",
        "Retries the budget did not afford.",
        |s| &s.retries_refused,
    );
    all.counter(
        "weir_backend_hedges_total",
        "Second copies of requests that took long elsewhere.",
        |s| &s.hedges,
    );
    all.counter(
        "weir_backend_hedges_won_total",
        "Second copies that were answered first.",
        |s| &s.hedges_won,
    );
    all.counter(
        "weir_backend_suspensions_total",
        "Times it was suspended for failing in a row.",
        |s| &s.suspensions,
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
}

fn outcomes(all: &mut Entities<'_, '_, BackendStats>) {
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
            cores(stats).map(|core| &core.latency),
            None,
        );
    }
}
