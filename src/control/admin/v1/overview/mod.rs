//! `/v1/overview`: what changes from second to second, for those who look all the time: the
//! dashboard and `weir top`.
//!
//! It is made of totals, never of rates: whoever asks takes the difference of two answers, so any
//! number of them may ask at any pace, and the node keeps nothing for them. Latencies are the
//! buckets they are counted in, because percentiles cannot be subtracted. Backends are rows of
//! values under one list of columns, about 150 bytes each; the buckets of single backends are
//! given for those that are asked for (`?latency=SLOT,...`), which are those on the screen.

mod backends;
mod listeners;
mod nodes;
mod shards;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::{FromRequestParts, Query, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::super::problem::problem;
use super::super::{Sources, answer};
use super::nodes::all as members;
use crate::base::id::BackendSlot;
use crate::config::checked::Policy;
use crate::control::health::{Event, Health};
use crate::control::view::View;
use crate::telemetry::histogram::LatencyHistogram;

pub(in crate::control::admin) use shards::Shares;

/// Most backends whose latencies may be asked for at once.
const LATENCIES_MAX: usize = 200;

/// The transitions of all backends that are told, the latest.
const EVENTS_MAX: usize = 50;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Parameters {
    latency: Option<String>,
}

/// The slots of backends whose latencies are asked for.
pub(super) struct Wanted(Vec<BackendSlot>);

impl<S: Send + Sync> FromRequestParts<S> for Wanted {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let bad = |detail: &str| problem(StatusCode::BAD_REQUEST, detail);
        let Query(asked) = Query::<Parameters>::try_from_uri(&parts.uri)
            .map_err(|error| bad(&format!("query: {}", error.body_text())))?;
        let slots = slots(asked.latency.as_deref().unwrap_or(""));
        let slots = slots.filter(|slots| slots.len() <= LATENCIES_MAX);
        slots.map(Wanted).ok_or_else(|| {
            bad(&format!(
                "query: latency: at most {LATENCIES_MAX} slots of backends, with commas"
            ))
        })
    }
}

fn slots(text: &str) -> Option<Vec<BackendSlot>> {
    let words = text.split(',').filter(|word| !word.is_empty());
    words
        .map(|word| word.parse().ok().map(BackendSlot))
        .collect()
}

#[derive(Serialize)]
struct Overview<'v> {
    at_ms: u64,
    /// What a group may be asked to go by.
    policies: [&'static str; Policy::NAMES.len()],
    nodes: Vec<nodes::Node>,
    /// The nodes of the cluster as `/v1/nodes` has them, this one among them; none without one.
    cluster: Vec<Value>,
    listeners: Vec<listeners::Listener<'v>>,
    shards: Vec<shards::Shard>,
    groups: Vec<backends::Group<'v>>,
    columns: [&'static str; backends::COLUMNS.len()],
    backends: Vec<backends::Row<'v>>,
    latencies: HashMap<u32, Buckets>,
    events: Vec<Event>,
}

pub(super) async fn show(State(sources): State<Arc<Sources>>, Wanted(slots): Wanted) -> Response {
    let view = sources.view.load_full();
    let shards = match &view {
        Some(view) => sources.shares.0.of(&view.table).await,
        None => Vec::new(),
    };
    let overview = overview(&sources, view.as_deref(), shards, &slots);
    let text = serde_json::to_string(&overview).unwrap_or_default();
    answer(StatusCode::OK, "application/json", text)
}

fn overview<'v>(
    sources: &Sources,
    view: Option<&'v View>,
    shards: Vec<shards::Shard>,
    slots: &[BackendSlot],
) -> Overview<'v> {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH);
    let health: &Health = sources.handle.health();
    let (groups, backends) = match view {
        Some(view) => backends::all(view, &sources.handle.snapshot(), health),
        None => (Vec::new(), Vec::new()),
    };
    Overview {
        at_ms: since_1970.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(0)),
        policies: Policy::NAMES,
        nodes: vec![nodes::this(sources, view)],
        cluster: sources.cluster.as_ref().map(members).unwrap_or_default(),
        listeners: view.map(listeners::all).unwrap_or_default(),
        shards,
        groups,
        columns: backends::COLUMNS,
        backends,
        latencies: view.map_or_else(HashMap::new, |view| latencies(view, slots)),
        events: health.events(EVENTS_MAX),
    }
}

/// The buckets of these backends.
fn latencies(view: &View, slots: &[BackendSlot]) -> HashMap<u32, Buckets> {
    let wanted = view.backends().iter();
    let wanted = wanted.filter(|entry| slots.contains(&entry.slot));
    wanted
        .map(|entry| {
            let histograms = entry.stats.all().map(|core| &core.latency);
            (entry.slot.0, Buckets::of(histograms))
        })
        .collect()
}

/// One latency as it is counted: `lowest value, highest value, count` in microseconds, one bucket
/// after the other, those of all cores together.
#[derive(Serialize)]
struct Buckets(Vec<u64>);

impl Buckets {
    fn of<'a>(histograms: impl Iterator<Item = &'a LatencyHistogram>) -> Buckets {
        let mut buckets = Vec::<(u64, u64, u64)>::new();
        for histogram in histograms {
            histogram.visit(|low, high, count| buckets.push((low, high, count)));
        }
        buckets.sort_unstable();
        let mut merged = Vec::<u64>::with_capacity(3 * buckets.len());
        for (low, high, count) in buckets {
            match merged.as_mut_slice() {
                [.., last, _, sum] if *last == low => *sum += count,
                _ => merged.extend([low, high, count]),
            }
        }
        Buckets(merged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_of_cores_are_added_and_in_order() {
        let cores = [LatencyHistogram::default(), LatencyHistogram::default()];
        cores[0].record_micros(50);
        cores[1].record_micros(7);
        cores[1].record_micros(50);
        cores[1].record_micros(1000);
        let Buckets(flat) = Buckets::of(cores.iter());
        assert_eq!(flat, [7, 7, 1, 50, 50, 2, 1000, 1007, 1]);
    }

    #[test]
    fn slots_are_numbers_between_commas() {
        assert_eq!(slots(""), Some(Vec::new()));
        assert_eq!(slots("3,0"), Some(vec![BackendSlot(3), BackendSlot(0)]));
        assert_eq!(slots("3,x"), None);
        assert_eq!(slots("-1"), None);
    }
}
