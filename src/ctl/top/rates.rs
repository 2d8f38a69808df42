//! What happened between two overviews.

use std::collections::{BTreeMap, HashMap};

use super::overview::{Backend, Core, Listener, Overview};

/// All of a node, for each second between two answers; what cannot be told is not there.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rates {
    pub requests: f64,
    /// Answers by their first digit.
    pub codes: [f64; 6],
    /// Those there are, the most frequent first.
    pub faults: Vec<(String, f64)>,
    pub received: f64,
    pub sent: f64,
    /// In microseconds: the shares of [`SHARES`].
    pub latency: Option<[f64; SHARES.len()]>,
    /// CPUs in use.
    pub cpus: f64,
}

/// The percentiles that are shown.
pub(super) const SHARES: [f64; 4] = [0.5, 0.9, 0.99, 0.999];

/// One backend.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct BackendRates {
    pub group: String,
    pub name: String,
    pub state: String,
    pub reason: String,
    pub since_ms: u64,
    pub weight: u64,
    pub in_flight: u64,
    pub connections: u64,
    pub requests: f64,
    pub failures: f64,
    /// In microseconds.
    pub mean: Option<f64>,
}

/// One core.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CoreRates {
    pub core: u64,
    pub state: String,
    pub epoch: u64,
    pub connections: u64,
    pub requests: f64,
    /// Completions for each turn.
    pub batch: Option<f64>,
    pub starved: f64,
}

/// Seconds between two answers of one life of the node.
fn seconds(now: &Overview, before: &Overview) -> Option<f64> {
    let (is, was) = (now.nodes.first()?, before.nodes.first()?);
    let between = now.at_ms.checked_sub(before.at_ms)?;
    (is.uptime_ms >= was.uptime_ms && between > 0).then(|| between as f64 / 1e3)
}

/// What grew; a node that began anew counts from nothing.
fn grown(now: u64, before: u64) -> u64 {
    now.checked_sub(before).unwrap_or(now)
}

pub(super) fn whole(now: &Overview, before: &Overview) -> Option<Rates> {
    let over = seconds(now, before)?;
    let mut rates = Rates::default();
    let mut faults = BTreeMap::<&str, u64>::new();
    let mut buckets = BTreeMap::<u64, (u64, u64)>::new();
    for is in &now.listeners {
        let same = |was: &&Listener| (&was.name, &was.address) == (&is.name, &is.address);
        let was = before.listeners.iter().find(same);
        for (code, count) in &is.requests {
            let known = was.and_then(|was| was.requests.get(code));
            let more = grown(*count, known.copied().unwrap_or(0)) as f64 / over;
            rates.codes[usize::from(code / 100).min(5)] += more;
            rates.requests += more;
        }
        for (fault, count) in &is.faults {
            let known = was.and_then(|was| was.faults.get(fault));
            *faults.entry(fault).or_default() += grown(*count, known.copied().unwrap_or(0));
        }
        let bytes = was.map_or((0, 0), |was| (was.bytes_received, was.bytes_sent));
        rates.received += grown(is.bytes_received, bytes.0) as f64 / over;
        rates.sent += grown(is.bytes_sent, bytes.1) as f64 / over;
        add_difference(
            &mut buckets,
            &is.latency,
            was.map_or(&[], |was| &was.latency),
        );
    }
    let faults = faults.into_iter().filter(|(_, count)| *count > 0);
    let faults = faults.map(|(name, count)| (name.to_owned(), count as f64 / over));
    rates.faults = faults.collect();
    rates.faults.sort_by(|a, b| b.1.total_cmp(&a.1));
    rates.latency = percentiles(&buckets);
    let cpu = |of: &Overview| of.nodes.first().map_or(0.0, |node| node.cpu_seconds);
    rates.cpus = ((cpu(now) - cpu(before)) / over).max(0.0);
    Some(rates)
}

/// Adds what buckets (lowest, highest, count, ...) grew by.
fn add_difference(to: &mut BTreeMap<u64, (u64, u64)>, now: &[u64], before: &[u64]) {
    let triples = |flat: &'_ [u64]| -> Vec<(u64, u64, u64)> {
        let whole = flat.chunks_exact(3);
        whole.map(|each| (each[0], each[1], each[2])).collect()
    };
    let known: HashMap<u64, u64> = triples(before)
        .into_iter()
        .map(|(low, _, count)| (low, count))
        .collect();
    for (low, high, count) in triples(now) {
        let more = grown(count, known.get(&low).copied().unwrap_or(0));
        if more > 0 {
            to.entry(low).or_insert((high, 0)).1 += more;
        }
    }
}

/// The middles of the buckets in which the percentiles lie.
fn percentiles(buckets: &BTreeMap<u64, (u64, u64)>) -> Option<[f64; SHARES.len()]> {
    let whole: u64 = buckets.values().map(|(_, count)| count).sum();
    if whole == 0 {
        return None;
    }
    Some(SHARES.map(|share| {
        let mut left = ((share * whole as f64).ceil() as u64).max(1);
        for (low, (high, count)) in buckets {
            if *count >= left {
                return (low + high) as f64 / 2.0;
            }
            left -= count;
        }
        0.0
    }))
}

pub(super) fn backends(now: &Overview, before: Option<&Overview>) -> Vec<BackendRates> {
    let over = before.and_then(|before| seconds(now, before));
    let known: HashMap<u64, &Backend> = match (over, before) {
        (Some(_), Some(before)) => before.backends.iter().map(|was| (was.slot, was)).collect(),
        _ => HashMap::new(),
    };
    let each = now.backends.iter().map(|is| {
        // A slot may have changed hands.
        let was = known.get(&is.slot).copied();
        let was = was.filter(|was| (&was.name, &was.address) == (&is.name, &is.address));
        let more = |of: fn(&Backend) -> u64| was.map_or(0, |was| grown(of(is), of(was))) as f64;
        let over = over.unwrap_or(1.0);
        let answered = more(|of| of.latency_count);
        let hidden = is.suspended && is.status == "up";
        BackendRates {
            group: now
                .groups
                .get(is.group)
                .map_or("", |group| &group.name)
                .to_owned(),
            name: is.name.clone(),
            state: match (&*is.state, hidden) {
                ("removed", _) => "leaving",
                (_, true) => "down",
                _ => &is.status,
            }
            .to_owned(),
            reason: if hidden {
                "suspended by a core"
            } else {
                &is.reason
            }
            .to_owned(),
            since_ms: is.since_ms,
            weight: is.weight,
            in_flight: is.in_flight,
            connections: is.connections,
            requests: more(|of| of.requests) / over,
            failures: more(|of| of.errors + of.faults + of.connect_failures) / over,
            mean: (answered > 0.0).then(|| more(|of| of.latency_sum_us) / answered),
        }
    });
    each.collect()
}

pub(super) fn cores(now: &Overview, before: Option<&Overview>) -> Vec<CoreRates> {
    let Some(node) = now.nodes.first() else {
        return Vec::new();
    };
    let over = before.and_then(|before| seconds(now, before));
    let known = before.filter(|_| over.is_some());
    let known = known.and_then(|before| before.nodes.first());
    let each = node.cores.iter().enumerate().map(|(index, is)| {
        let was = known.and_then(|node| node.cores.get(index));
        let more = |of: fn(&Core) -> u64| was.map_or(0, |was| grown(of(is), of(was))) as f64;
        let over = over.unwrap_or(1.0);
        let turns = more(|of| of.turns);
        CoreRates {
            core: is.core,
            state: is.state.clone(),
            epoch: is.epoch,
            connections: is.connections,
            requests: more(|of| of.requests) / over,
            batch: (turns > 0.0).then(|| more(|of| of.completions) / turns),
            starved: more(|of| of.buffer_starved) / over,
        }
    });
    each.collect()
}

/// The busiest core over the mean; nothing where nothing happens.
pub(super) fn imbalance(cores: &[CoreRates]) -> Option<f64> {
    let whole: f64 = cores.iter().map(|core| core.requests).sum();
    let most = cores.iter().map(|core| core.requests).fold(0.0, f64::max);
    (whole > 0.0).then(|| most * cores.len() as f64 / whole)
}
