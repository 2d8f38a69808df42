//! The page is valid, exact and says what was counted.

mod grammar;
mod tools;

use std::collections::BTreeMap;

use super::entities::{BACKEND_BOUNDS, LISTENER_BOUNDS, listener_bucket};
use super::*;
use crate::base::fault::Fault;
use crate::base::id::CoreId;
use crate::telemetry::cluster::ClusterStats;
use crate::telemetry::exemplars::Exemplar;

const CORES: usize = 2;

struct World {
    listener: PerCore<ListenerStats>,
    backend: PerCore<BackendStats>,
    cores: Vec<Arc<CoreStats>>,
    control: ControlStats,
    store: StoreStats,
    cluster: ClusterStats,
    log: LogStats,
    unplaced: [PerCore<StatusCounts>; 2],
    exemplars: Vec<OfListener>,
}

/// One request for each bucket of the listener.
fn exemplars() -> OfListener {
    std::array::from_fn(|bucket| {
        let below = LISTENER_BOUNDS
            .get(bucket)
            .map_or(90_000_000, |bound| bound - 1);
        Some(Exemplar {
            request_number: 0xabc0 + bucket as u64,
            duration_micros: below,
            ended_unix_micros: 1_753_700_000_123_456,
        })
    })
}

fn world() -> World {
    let world = World {
        listener: PerCore::new(CORES),
        backend: PerCore::new(CORES),
        cores: (0..CORES).map(|_| Arc::default()).collect(),
        control: ControlStats::default(),
        store: StoreStats::default(),
        cluster: ClusterStats::default(),
        log: LogStats::default(),
        unplaced: [PerCore::new(CORES), PerCore::new(CORES)],
        exemplars: vec![exemplars()],
    };
    for (index, core) in (0..CORES as u16).map(CoreId).enumerate() {
        let listener = world.listener.of(core);
        listener.connections.add(10);
        listener.connections_open.set(3);
        listener.requests.inc(200);
        listener.requests.inc(if index == 0 { 404 } else { 503 });
        listener.faults[Fault::NoRoute as usize].inc();
        let backend = world.backend.of(core);
        backend.requests.inc(200);
        backend.answered.inc(RouteSerial(2), 200);
        backend
            .answered
            .inc(RouteSerial(1), if index == 0 { 200 } else { 504 });
        backend.answered.inc(RouteSerial(9), 200);
        world.unplaced[1].of(core).inc(503);
        backend.faults[Fault::UpstreamTimeout as usize].inc();
        for micros in [
            0,
            511,
            512,
            1023,
            1024,
            99_000,
            67_108_863,
            67_108_864,
            u64::MAX >> 20,
        ] {
            listener.latency.record_micros(micros);
            backend.latency.record_micros(micros);
        }
        world.cores[index].epoch.add(Epoch::of(7).0);
        world.cores[index].turns.add(4);
        for completions in [0, 1, 3, 1000] {
            world.cores[index].batches.record(completions);
            world.cores[index].completions.add(completions);
        }
    }
    world
}

/// The parts of a page put together.
fn whole(facts: &Facts<'_>) -> String {
    let (send, parts) = std::sync::mpsc::channel();
    render(
        facts,
        Box::new(move |part, last| send.send((part, last)).unwrap()),
    );
    let parts: Vec<(String, bool)> = parts.iter().collect();
    let lasts: Vec<bool> = parts.iter().map(|(_, last)| *last).collect();
    assert_eq!(lasts.iter().position(|last| *last), Some(lasts.len() - 1));
    for (part, _) in &parts {
        assert!(part.ends_with('\n') && part.len() <= PART_BYTES + PART_BYTES / 16);
    }
    parts.into_iter().map(|(part, _)| part).collect()
}

fn page(world: &World) -> String {
    page_of(world, Detail::Backend, Dialect::Text)
}

fn page_of(world: &World, detail: Detail, dialect: Dialect) -> String {
    let backend = |name: &'static str, up| BackendFacts {
        up,
        breaker: 2,
        group: "app",
        name,
        address: "10.0.0.1:80".into(),
        in_flight: 4,
        estimate: Some(EstimateFacts {
            latency_micros: 12_500,
            pace_permille: 1250,
        }),
        shadowed: true,
        stats: &world.backend,
    };
    whole(&Facts {
        version: "1.2.3",
        detail,
        dialect,
        groups: vec![GroupFacts {
            name: "app",
            panics: false,
            backends: vec![("down", 1), ("up", 1)],
            breaker: 1,
            overflows: vec![("errors", 3)],
            in_use: vec![("requests", 5)],
        }],
        epoch: Epoch::of(7),
        store: Some((&world.store, Some(1234))),
        cluster: Some(ClusterFacts {
            nodes: vec![("alive", 2), ("dead", 0)],
            behind: 1,
            differing: 0,
            asked: 2,
            checked: 3,
            contradicting: vec![("n2".to_owned(), 1)],
            slots: Some([("owned", 4), ("lent", 1), ("held", 0), ("taken_over", 0)]),
            stats: &world.cluster,
        }),
        listeners: vec![ListenerFacts {
            name: "web \"quoted\\\"\nnext",
            address: "[::]:80".into(),
            slot: ListenerSlot(0),
            stats: &world.listener,
        }],
        exemplars: &world.exemplars,
        routes: [(1, ""), (2, "api")]
            .map(|(serial, route)| RouteFacts {
                listener: "web",
                route,
                serial: RouteSerial(serial),
                unplaced: &world.unplaced[serial as usize - 1],
            })
            .into(),
        backends: vec![backend("app.internal:80", true), backend("other", false)],
        cores: &world.cores,
        threads: vec![Some((1_500_000, 20)), None],
        control: &world.control,
        log: Some(&world.log),
        process: ProcessFacts {
            cpu_micros: 1_500_000,
            started_unix_micros: 1_753_700_000_000_001,
            ..ProcessFacts::default()
        },
    })
}

const LISTENER: &str = "listener=\"web \\\"quoted\\\\\\\"\\nnext\",address=\"[::]:80\"";

fn has(page: &str, line: &str) {
    assert!(page.lines().any(|l| l == line), "no line {line} in\n{page}");
}

#[test]
fn counts_are_summed_over_cores_and_labelled() {
    let page = page(&world());
    has(
        &page,
        &format!("weir_listener_accepts_total{{{LISTENER}}} 20"),
    );
    has(&page, &format!("weir_listener_connections{{{LISTENER}}} 6"));
    has(
        &page,
        &format!("weir_listener_requests_total{{{LISTENER},code=\"200\"}} 2"),
    );
    has(
        &page,
        &format!("weir_listener_requests_total{{{LISTENER},code=\"503\"}} 1"),
    );
    has(
        &page,
        &format!("weir_listener_faults_total{{{LISTENER},fault=\"no_route\"}} 2"),
    );
    has(
        &page,
        &format!("weir_listener_faults_total{{{LISTENER},fault=\"overload\"}} 0"),
    );
    let backend = "group=\"app\",backend=\"app.internal:80\",address=\"10.0.0.1:80\"";
    has(&page, &format!("weir_backend_in_flight{{{backend}}} 4"));
    has(
        &page,
        &format!("weir_backend_faults_total{{{backend},fault=\"upstream_timeout\"}} 2"),
    );
    assert!(!page.contains(&format!(
        "weir_backend_faults_total{{{backend},fault=\"overload\""
    )));
    has(&page, "weir_core_epoch{core=\"1\"} 7");
    has(&page, "weir_build_info{version=\"1.2.3\"} 1");
    has(&page, "process_cpu_seconds_total 1.500000");
    has(&page, "process_start_time_seconds 1753700000.000001");
}

#[test]
fn groups_are_told_with_their_backends_by_status() {
    let page = page(&world());
    has(
        &page,
        "weir_group_backends{group=\"app\",status=\"down\"} 1",
    );
    has(&page, "weir_group_panics{group=\"app\"} 0");
    has(&page, "weir_core_requests_total{core=\"1\"} 2");
    has(&page, "weir_core_connections{core=\"0\"} 3");
    has(&page, "weir_core_accepts_total{core=\"0\"} 10");
}

#[test]
fn less_detail_adds_up_and_loses_nothing() {
    let world = world();
    let page = page_of(&world, Detail::Group, Dialect::Text);
    has(&page, "weir_backend_in_flight{group=\"app\"} 8");
    has(&page, "weir_backend_up{group=\"app\"} 1");
    has(
        &page,
        "weir_backend_requests_total{group=\"app\",code=\"200\"} 4",
    );
    let faults = "weir_backend_faults_total{group=\"app\",fault=\"upstream_timeout\"} 4";
    has(&page, faults);
    has(
        &page,
        "weir_backend_response_duration_seconds_count{group=\"app\"} 36",
    );
    assert!(!page.contains("backend=\""));
    let least = page_of(&world, Detail::Listener, Dialect::Text);
    assert!(!least.contains("weir_backend_requests_total"));
    has(&least, "weir_group_backends{group=\"app\",status=\"up\"} 1");
}

#[test]
fn requests_join_route_and_backend() {
    let world = world();
    let page = page(&world);
    let backend = "group=\"app\",backend=\"other\",address=\"10.0.0.1:80\"";
    for line in [
        format!("weir_requests_total{{listener=\"web\",{backend},code=\"200\"}} 1"),
        format!("weir_requests_total{{listener=\"web\",{backend},code=\"504\"}} 1"),
        format!("weir_requests_total{{listener=\"web\",route=\"api\",{backend},code=\"200\"}} 2"),
    ] {
        has(&page, &line);
    }
    has(
        &page,
        "weir_requests_total{listener=\"web\",route=\"api\",code=\"503\"} 2",
    );
    let by_group = page_of(&world, Detail::Group, Dialect::Text);
    has(
        &by_group,
        "weir_requests_total{listener=\"web\",route=\"api\",group=\"app\",code=\"200\"} 4",
    );
    let least = page_of(&world, Detail::Listener, Dialect::Text);
    has(
        &least,
        "weir_requests_total{listener=\"web\",route=\"api\",code=\"200\"} 4",
    );
    has(
        &least,
        "weir_requests_total{listener=\"web\",route=\"api\",code=\"503\"} 2",
    );
}

#[test]
fn cores_tell_of_their_turns_and_threads() {
    let page = page(&world());
    let bucket = |le: &str, count: u64| {
        let name = "weir_core_batch_completions_bucket";
        has(&page, &format!("{name}{{core=\"1\",le=\"{le}\"}} {count}"));
    };
    bucket("0", 1);
    bucket("1", 2);
    bucket("2", 2);
    bucket("4", 3);
    bucket("+Inf", 4);
    has(&page, "weir_core_batch_completions_sum{core=\"1\"} 1004");
    has(&page, "weir_core_cpu_seconds_total{core=\"0\"} 1.500000");
    has(
        &page,
        "weir_core_cpu_waited_seconds_total{core=\"0\"} 0.000020",
    );
}

/// Both formats, by every rule of theirs; they say the same of the same.
#[test]
fn both_formats_are_read_by_their_rules() {
    let world = world();
    for detail in [Detail::Backend, Detail::Group, Detail::Listener] {
        let read = |dialect| grammar::read(&page_of(&world, detail, dialect), dialect);
        let (text, open) = (read(Dialect::Text), read(Dialect::OpenMetrics));
        let flat = |families: &BTreeMap<String, grammar::Family>| {
            let samples = families.values().flat_map(|family| &family.samples);
            let mut flat: Vec<String> = samples
                .map(|sample| format!("{}{:?} {}", sample.name, sample.labels, sample.value))
                .collect();
            flat.sort_unstable();
            flat
        };
        assert_eq!(flat(&text), flat(&open));
        let counters = |families: &BTreeMap<String, grammar::Family>| {
            families
                .values()
                .filter(|family| family.kind == "counter")
                .count()
        };
        assert_eq!(counters(&text), counters(&open));
        assert!(counters(&open) > 20);
        for (name, family) in &text {
            let total = name.ends_with("_total");
            assert_eq!(
                family.kind == "counter",
                total,
                "{name} is a {}",
                family.kind
            );
        }
    }
}

/// A request stands for each bucket in OpenMetrics, and in no other format.
#[test]
fn buckets_have_a_request_that_stands_for_them() {
    let world = world();
    let open = page_of(&world, Detail::Backend, Dialect::OpenMetrics);
    let families = grammar::read(&open, Dialect::OpenMetrics);
    let latency = &families["weir_listener_request_duration_seconds"];
    let ids: Vec<String> = latency
        .samples
        .iter()
        .filter_map(|sample| Some(sample.exemplar.as_ref()?.0[0].1.clone()))
        .collect();
    assert_eq!(ids.len(), LISTENER_BOUNDS.len() + 1);
    assert_eq!(ids[3], "000000000000abc3");
    assert!(!page(&world).contains("request_id"));
}

#[test]
fn histograms_are_exact_at_their_bounds() {
    let page = page(&world());
    let bucket = |le: &str, count: u64| {
        let name = "weir_listener_request_duration_seconds_bucket";
        has(&page, &format!("{name}{{{LISTENER},le=\"{le}\"}} {count}"));
    };
    bucket("0.000512", 4);
    bucket("0.001024", 8);
    bucket("0.002048", 10);
    bucket("0.131072", 12);
    bucket("67.108864", 14);
    bucket("+Inf", 18);
}

#[test]
fn no_bound_splits_a_bucket() {
    for bound in LISTENER_BOUNDS.into_iter().chain(BACKEND_BOUNDS) {
        let histogram = crate::telemetry::histogram::LatencyHistogram::default();
        histogram.record_micros(bound - 1);
        histogram.record_micros(bound);
        let mut buckets = Vec::new();
        histogram.visit(|low, high, count| buckets.push((low, high, count)));
        assert_eq!(buckets.len(), 2, "{bound}");
        assert_eq!((buckets[0].1, buckets[1].0), (bound - 1, bound));
    }
}

#[test]
fn a_duration_belongs_behind_all_bounds_that_are_not_above_it() {
    let edges = LISTENER_BOUNDS
        .iter()
        .flat_map(|bound| [bound - 1, *bound, bound + 1]);
    for micros in edges.chain([0, 1, u64::MAX]) {
        let wanted = LISTENER_BOUNDS.partition_point(|bound| *bound <= micros);
        assert_eq!(listener_bucket(micros), wanted, "{micros}");
    }
}
