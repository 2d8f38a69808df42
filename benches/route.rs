//! Question: what do choosing a group and choosing a backend cost one request?
//!
//! Routes: none, 10, 1000, by host and by path, and a path that must be normalised first. Picks:
//! both policies with 1, 10 and 1000 backends, idle and busy (least-connections then has to look
//! at all of them). Run with `cargo bench --bench route`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir::base::id::{BackendSlot, CoreId, GroupIndex, GroupSlot};
use weir::routing::matcher::{HostRule, PathRule, RouteRule, RouteSet};
use weir::routing::policy::{PickState, PolicyKind, Tried, pick};
use weir::routing::table::{Backend, BackendState, Group, GroupTimeouts};
use weir::telemetry::stats::PerCore;

const CORES: usize = 2;

fn routes(count: u32, rule: impl Fn(u32) -> RouteRule) -> RouteSet {
    let rules: Vec<RouteRule> = (0..count).map(rule).collect();
    RouteSet::new(Some(GroupIndex(0)), &rules)
}

fn by_host(number: u32) -> RouteRule {
    RouteRule {
        hosts: vec![HostRule::Exact(format!("site-{number}.example.org"))],
        paths: Vec::new(),
        group: GroupIndex(number),
    }
}

fn by_path(number: u32) -> RouteRule {
    RouteRule {
        hosts: Vec::new(),
        paths: vec![PathRule::Prefix(format!("/service-{number}/"))],
        group: GroupIndex(number),
    }
}

fn group(policy: PolicyKind, backends: u32, in_flight: u32) -> Group {
    let backend = |index: u32| {
        let stats: PerCore<weir::telemetry::stats::BackendStats> = PerCore::new(CORES);
        stats.of(CoreId(0)).in_flight.set(in_flight);
        Backend {
            slot: BackendSlot(index),
            id: Arc::from("b"),
            weight: 1,
            state: BackendState::Ready,
            labels: Vec::new(),
            connections_max: None,
            requests_max: None,
            address: ([127, 0, 0, 1], 9000).into(),
            stats,
        }
    };
    let second = Duration::from_secs(1);
    Group {
        slot: GroupSlot(0),
        name: Arc::from("app"),
        policy,
        backends: (0..backends).map(backend).collect(),
        timeouts: GroupTimeouts {
            connect: second,
            response: second,
            idle: second,
            tunnel: second,
        },
        retries_max: 2,
        idle_connections_max: 8,
        head_bytes_max: 16384,
    }
}

fn route(c: &mut Criterion) {
    let mut bench = c.benchmark_group("route");
    for count in [0, 10, 1000] {
        let last = count.max(1) - 1;
        let host = format!("site-{last}.example.org:8080").into_bytes();
        let path = format!("/service-{last}/some/object.html").into_bytes();
        let unusual = format!("/x/../service-{last}/some%20object.html").into_bytes();
        let hosts = routes(count, by_host);
        let paths = routes(count, by_path);
        bench.bench_function(format!("host/{count}"), |b| {
            b.iter(|| black_box(&hosts).route(black_box(&host), black_box(&path)));
        });
        bench.bench_function(format!("path/{count}"), |b| {
            b.iter(|| black_box(&paths).route(black_box(&host), black_box(&path)));
        });
        bench.bench_function(format!("unusual_path/{count}"), |b| {
            b.iter(|| black_box(&paths).route(black_box(&host), black_box(&unusual)));
        });
    }
    bench.finish();
}

fn choose(c: &mut Criterion) {
    let mut bench = c.benchmark_group("pick");
    let cases = [
        ("round_robin", PolicyKind::RoundRobin, 1),
        ("least_connections_idle", PolicyKind::LeastConnections, 0),
        ("least_connections_busy", PolicyKind::LeastConnections, 1),
    ];
    for (name, policy, in_flight) in cases {
        for backends in [1, 10, 1000] {
            let group = group(policy, backends, in_flight);
            let mut state = PickState::new(1, CoreId(0), GroupSlot(0));
            bench.bench_function(format!("{name}/{backends}"), |b| {
                b.iter(|| pick(black_box(&group), &mut state, black_box(&Tried::NONE)));
            });
        }
    }
    bench.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = route, choose
}
criterion_main!(benches);
