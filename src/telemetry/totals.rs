//! What one process has counted of listeners, routes and backends, as it tells the process that
//! takes over from it, so that no count falls with an upgrade and none is missed.
//!
//! Totals are told again and again while the old process drains, each time whole: the new one sets
//! what it has of them and adds nothing, so a word that is lost does no harm as long as the last
//! one arrives. Names make things the same, as in the configuration: numbers of slots and routes
//! are each process' own. What the new process does not know is gone, as it is when a reload
//! removes it. Gauges and what cores count of themselves are each process' own, too.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::base::fault::Fault;
use crate::base::id::RouteSerial;
use crate::telemetry::counter::Counter;
use crate::telemetry::exposition::{BackendFacts, ListenerFacts, RouteFacts};
use crate::telemetry::histogram::LatencyHistogram;
use crate::telemetry::stats::{BackendStats, ListenerStats, PerCore, StatusCounts};

/// Counters by their names.
type Counts = BTreeMap<String, u64>;

/// Answers by status.
type Codes = BTreeMap<u16, u64>;

/// Everything that is told.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Totals {
    listeners: Vec<OfListener>,
    routes: Vec<OfRoute>,
    backends: Vec<OfBackend>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct OfListener {
    name: String,
    address: String,
    counts: Counts,
    codes: Codes,
    faults: Counts,
    latency: Latency,
}

/// Requests of a route that came to no backend.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct OfRoute {
    listener: String,
    route: String,
    codes: Codes,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct OfBackend {
    group: String,
    name: String,
    address: String,
    counts: Counts,
    codes: Codes,
    faults: Counts,
    latency: Latency,
    /// By the listener and the name of the route; none for all there was no place for.
    answered: Vec<(Option<(String, String)>, Codes)>,
}

/// A histogram: the lowest value of each bucket that is not empty, and its count.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Latency {
    sum_micros: u64,
    buckets: BTreeMap<u64, u64>,
}

impl Totals {
    /// What was counted here and before. Backends that counted nothing are left out.
    #[must_use]
    pub fn of(
        listeners: &[ListenerFacts<'_>],
        routes: &[RouteFacts<'_>],
        backends: &[BackendFacts<'_>],
    ) -> Totals {
        let names: HashMap<RouteSerial, (String, String)> = routes
            .iter()
            .map(|facts| (facts.serial, (facts.listener.into(), facts.route.into())))
            .collect();
        let backends = backends.iter().map(|facts| of_backend(facts, &names));
        Totals {
            listeners: listeners.iter().map(of_listener).collect(),
            routes: routes.iter().map(of_route).collect(),
            backends: backends.filter(|backend| !backend.is_empty()).collect(),
        }
    }

    /// Makes them what was counted before, for all that there is here as well. Only the control
    /// thread may call it.
    pub fn put(
        &self,
        listeners: &[ListenerFacts<'_>],
        routes: &[RouteFacts<'_>],
        backends: &[BackendFacts<'_>],
    ) {
        let here: HashMap<(&str, &str), &PerCore<ListenerStats>> = listeners
            .iter()
            .map(|facts| ((facts.name, &*facts.address), facts.stats))
            .collect();
        for told in &self.listeners {
            if let Some(stats) = here.get(&(&*told.name, &*told.address)) {
                told.put(stats.before());
            }
        }
        let here: HashMap<(&str, &str), &RouteFacts<'_>> = routes
            .iter()
            .map(|facts| ((facts.listener, facts.route), facts))
            .collect();
        for told in &self.routes {
            if let Some(facts) = here.get(&(&*told.listener, &*told.route)) {
                put_codes(&told.codes, facts.unplaced.before());
            }
        }
        let serial = |listener: &str, route: &str| Some(here.get(&(listener, route))?.serial);
        let here: HashMap<(&str, &str, &str), &PerCore<BackendStats>> = backends
            .iter()
            .map(|facts| ((facts.group, facts.name, &*facts.address), facts.stats))
            .collect();
        for told in &self.backends {
            if let Some(stats) = here.get(&(&*told.group, &*told.name, &*told.address)) {
                told.put(stats.before(), serial);
            }
        }
    }
}

impl OfListener {
    fn put(&self, stats: &ListenerStats) {
        put_counts(&self.counts, &stats.named());
        put_codes(&self.codes, &stats.requests);
        put_faults(&self.faults, &stats.faults);
        self.latency.put(&stats.latency);
    }
}

impl OfBackend {
    fn is_empty(&self) -> bool {
        self.counts.is_empty()
            && self.codes.is_empty()
            && self.faults.is_empty()
            && self.answered.is_empty()
    }

    fn put(&self, stats: &BackendStats, serial: impl Fn(&str, &str) -> Option<RouteSerial>) {
        put_counts(&self.counts, &stats.named());
        put_codes(&self.codes, &stats.requests);
        put_faults(&self.faults, &stats.faults);
        self.latency.put(&stats.latency);
        for (route, codes) in &self.answered {
            let known = match route {
                Some((listener, route)) => serial(listener, route).map(Some),
                None => Some(None),
            };
            if let Some(route) = known {
                for (code, count) in codes {
                    stats.answered.set(route, *code, *count);
                }
            }
        }
    }
}

impl Latency {
    fn of<'a>(histograms: impl Iterator<Item = &'a LatencyHistogram>) -> Latency {
        let mut latency = Latency::default();
        for histogram in histograms {
            latency.sum_micros += histogram.sum_micros();
            histogram.visit(|low, _, count| *latency.buckets.entry(low).or_default() += count);
        }
        latency
    }

    fn put(&self, histogram: &LatencyHistogram) {
        for (low, count) in &self.buckets {
            histogram.set_bucket(*low, *count);
        }
        histogram.set_sum_micros(self.sum_micros);
    }
}

fn of_listener(facts: &ListenerFacts<'_>) -> OfListener {
    let all = || facts.stats.all();
    OfListener {
        name: facts.name.to_owned(),
        address: facts.address.clone(),
        counts: counts(all().map(ListenerStats::named)),
        codes: codes(all().map(|core| &core.requests)),
        faults: faults(all().map(|core| &core.faults)),
        latency: Latency::of(all().map(|core| &core.latency)),
    }
}

fn of_route(facts: &RouteFacts<'_>) -> OfRoute {
    OfRoute {
        listener: facts.listener.to_owned(),
        route: facts.route.to_owned(),
        codes: codes(facts.unplaced.all()),
    }
}

fn of_backend(
    facts: &BackendFacts<'_>,
    names: &HashMap<RouteSerial, (String, String)>,
) -> OfBackend {
    let all = || facts.stats.all();
    let mut answered = BTreeMap::<Option<(String, String)>, Codes>::new();
    for core in all() {
        core.answered.visit(|route, counts| {
            // Nobody could tell the answers of a route that is gone by its name.
            let name = match route {
                Some(route) => names.get(&route).cloned().map(Some),
                None => Some(None),
            };
            if let Some(name) = name {
                let codes = answered.entry(name).or_default();
                counts
                    .iter()
                    .for_each(|(code, count)| *codes.entry(code).or_default() += count);
            }
        });
    }
    answered.retain(|_, codes| !codes.is_empty());
    OfBackend {
        group: facts.group.to_owned(),
        name: facts.name.to_owned(),
        address: facts.address.clone(),
        counts: counts(all().map(BackendStats::named)),
        codes: codes(all().map(|core| &core.requests)),
        faults: faults(all().map(|core| &core.faults)),
        latency: Latency::of(all().map(|core| &core.latency)),
        answered: answered.into_iter().collect(),
    }
}

fn counts<'a, const N: usize>(
    each: impl Iterator<Item = [(&'static str, &'a Counter); N]>,
) -> Counts {
    let mut sums = Counts::new();
    for (name, counter) in each.flatten() {
        let count = counter.read();
        if count > 0 {
            *sums.entry(name.to_owned()).or_default() += count;
        }
    }
    sums
}

fn put_counts(counts: &Counts, counters: &[(&'static str, &Counter)]) {
    for (name, counter) in counters {
        if let Some(count) = counts.get(*name) {
            counter.set(*count);
        }
    }
}

fn codes<'a>(each: impl Iterator<Item = &'a StatusCounts>) -> Codes {
    let mut sums = Codes::new();
    for (code, count) in each.flat_map(StatusCounts::iter) {
        *sums.entry(code).or_default() += count;
    }
    sums
}

fn put_codes(codes: &Codes, counts: &StatusCounts) {
    for (code, count) in codes {
        counts.set(*code, *count);
    }
}

fn faults<'a>(each: impl Iterator<Item = &'a [Counter; Fault::ALL.len()]>) -> Counts {
    let mut sums = Counts::new();
    for counters in each {
        for fault in Fault::ALL {
            let count = counters[fault as usize].read();
            if count > 0 {
                *sums.entry(fault.name().to_owned()).or_default() += count;
            }
        }
    }
    sums
}

fn put_faults(counts: &Counts, counters: &[Counter; Fault::ALL.len()]) {
    for fault in Fault::ALL {
        if let Some(count) = counts.get(fault.name()) {
            counters[fault as usize].set(*count);
        }
    }
}

#[cfg(test)]
mod tests;
