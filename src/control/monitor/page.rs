//! What is known of nodes and backends, as a page: each as it is, and columns of what it was.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::book::{Backend, Book, Node, Sample};
use super::series::Series;
use super::{KEEP_EVERY, MEASURE_EVERY};
use crate::gossip::{Moment, NodeFigures};

/// Backends on one page; a group or an id asks for fewer.
const BACKENDS_MAX: usize = 1000;

/// The past that is shown when nobody says how much, in seconds.
const PAST: u64 = 300;

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::control) struct Asked {
    /// Seconds of the past.
    seconds: Option<u64>,
    /// Only this node.
    node: Option<String>,
    /// Only the backends of this group.
    group: Option<String>,
    /// Only those of this id.
    backend: Option<String>,
}

/// The page.
#[derive(Serialize)]
pub(in crate::control) struct Page {
    /// Who tells.
    node: String,
    /// Now, in seconds since 1970.
    at: u64,
    /// Seconds between two columns of the past.
    interval: u64,
    nodes: Vec<NodePart>,
    backends: Vec<BackendPart>,
    /// Backends that had no place on the page.
    left_out: usize,
}

#[derive(Serialize)]
struct NodePart {
    node: String,
    this: bool,
    heard_ms: u64,
    #[serde(flatten)]
    now: NodeLine,
    history: Columns<NodeLine>,
}

#[derive(Serialize)]
struct BackendPart {
    group: String,
    id: String,
    address: String,
    #[serde(flatten)]
    now: BackendLine,
    /// Of what is under way, what this node has.
    in_flight_here: u32,
    history: Columns<BackendLine>,
}

/// Samples, each with its second since 1970.
#[derive(Serialize)]
struct Columns<T> {
    at: Vec<u32>,
    samples: Vec<T>,
}

#[derive(Serialize)]
struct NodeLine {
    cpu: Option<f64>,
    memory: Option<f64>,
    connections: u32,
    capacity: u32,
    in_flight: u32,
    answers_per_second: u32,
    latency_ms: Option<f64>,
}

#[derive(Serialize)]
struct BackendLine {
    in_flight: u32,
    answers_per_second: u32,
    latency_ms: Option<f64>,
    active: Option<u16>,
    capacity: Option<u16>,
    cpu: Option<f64>,
    memory: Option<f64>,
    memory_mib: Option<u16>,
}

impl Page {
    pub(super) fn of(
        book: &Book,
        me: &Arc<str>,
        asked: &Asked,
        (now, second): (Moment, u64),
    ) -> Page {
        let since = second.saturating_sub(asked.seconds.unwrap_or(PAST));
        let is = |wanted: &Option<String>, name: &str| {
            wanted.as_ref().is_none_or(|wanted| **wanted == *name)
        };
        let nodes = book.nodes.iter().filter(|(name, _)| is(&asked.node, name));
        let nodes = nodes.map(|(name, node)| node_part(name, node, *name == *me, (now, since)));
        let backends = book.backends.values().filter(|backend| {
            is(&asked.group, &backend.place.group) && is(&asked.backend, &backend.place.id)
        });
        let mut backends: Vec<&Backend> = backends.collect();
        backends.sort_by_key(|backend| (&backend.place.group, &backend.place.id));
        let left_out = backends.len().saturating_sub(BACKENDS_MAX);
        let backends = backends.into_iter().take(BACKENDS_MAX);
        Page {
            node: me.to_string(),
            at: second,
            interval: KEEP_EVERY * MEASURE_EVERY.as_secs(),
            nodes: nodes.collect(),
            backends: backends
                .map(|one| backend_part(one, (now, since)))
                .collect(),
            left_out,
        }
    }
}

fn node_part(name: &Arc<str>, node: &Node, this: bool, (now, since): (Moment, u64)) -> NodePart {
    let silent = now.saturating_sub(node.heard).as_millis();
    NodePart {
        node: name.to_string(),
        this,
        heard_ms: u64::try_from(silent).unwrap_or(u64::MAX),
        now: NodeLine::of(node.figures),
        history: columns(&node.series, since, NodeLine::of),
    }
}

fn backend_part(backend: &Backend, (now, since): (Moment, u64)) -> BackendPart {
    BackendPart {
        group: backend.place.group.to_string(),
        id: backend.place.id.to_string(),
        address: backend.place.address.to_string(),
        now: BackendLine::of(backend.sample(now)),
        in_flight_here: u32::from(backend.own.in_flight),
        history: columns(&backend.series, since, BackendLine::of),
    }
}

fn columns<T: Copy, L>(series: &Series<T>, since: u64, line: impl Fn(T) -> L) -> Columns<L> {
    let samples = series.after(since);
    let (at, samples) = samples.map(|(at, sample)| (at, line(sample))).unzip();
    Columns { at, samples }
}

impl NodeLine {
    fn of(figures: NodeFigures) -> NodeLine {
        let share = |permille: u16| f64::from(permille) / 1000.0;
        NodeLine {
            cpu: figures.cpu_permille.map(share),
            memory: figures.memory_permille.map(share),
            connections: figures.connections,
            capacity: figures.capacity,
            in_flight: figures.in_flight,
            answers_per_second: figures.answers,
            latency_ms: milliseconds(figures.latency_micros),
        }
    }
}

impl BackendLine {
    fn of(sample: Sample) -> BackendLine {
        let share = |percent: u8| f64::from(percent) / 100.0;
        BackendLine {
            in_flight: sample.in_flight,
            answers_per_second: sample.answers,
            latency_ms: milliseconds(sample.latency_micros),
            active: sample.claimed.active,
            capacity: sample.claimed.capacity,
            cpu: sample.claimed.cpu_percent.map(share),
            memory: sample.claimed.memory_percent.map(share),
            memory_mib: sample.claimed.memory_mib,
        }
    }
}

fn milliseconds(micros: u32) -> Option<f64> {
    (micros > 0).then(|| f64::from(micros) / 1000.0)
}
