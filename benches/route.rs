//! Question: what do choosing a group and choosing a backend cost one request?
//!
//! Routes: none, 10, 1000, by host and by path, and a path that must be normalised first. Picks:
//! every policy with 10, 1000 and 10,000 backends of mixed weights, all of them busy. Run with
//! `cargo bench --bench route`, picks alone with `cargo bench --bench route -- pick`.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir::base::drain::DrainTerms;
use weir::base::id::{BackendSlot, CoreId, GroupIndex, GroupSlot};
use weir::routing::breaker::Breaker;
use weir::routing::hashing::hash_key;
use weir::routing::latency::Norms;
use weir::routing::limit::Queue;
use weir::routing::load::Board;
use weir::routing::matcher::{Destination, HostRule, PathRule, RouteRule, RouteSet};
use weir::routing::outlier::Outlier;
use weir::routing::policy::{Adaptive, Ask, PickState, Policy, PolicyKind, Tried, pick};
use weir::routing::retry::Retry;
use weir::routing::shard::key::Plain;
use weir::routing::standing::{GroupStanding, Standings};
use weir::routing::table::{Backend, BackendState, Group, GroupTimeouts};
use weir::telemetry::stats::PerCore;

const CORES: usize = 2;
const NOW_MICROS: u64 = 1_790_000_000_000_000;

fn routes(count: u32, rule: impl Fn(u32) -> RouteRule) -> RouteSet {
    let rules: Vec<RouteRule> = (0..count).map(rule).collect();
    RouteSet::new(Some(to(0)), &rules)
}

fn to(group: u32) -> Destination {
    Destination::Group(GroupIndex(group))
}

fn plain<'r>(host: &'r [u8], path: &'r [u8]) -> Plain<'r> {
    Plain { host, path }
}

fn by_host(number: u32) -> RouteRule {
    RouteRule {
        hosts: vec![HostRule::Exact(format!("site-{number}.example.org"))],
        ..RouteRule::to(to(number))
    }
}

fn by_path(number: u32) -> RouteRule {
    RouteRule {
        paths: vec![PathRule::Prefix(format!("/service-{number}/"))],
        ..RouteRule::to(to(number))
    }
}

/// Weights 1 to 4 in no order, and a realistic load: a few requests at each, none idle.
fn group(kind: PolicyKind, backends: u32) -> Group {
    let mut board = Board::new(CORES);
    let mut standings = Standings::default();
    let stats = PerCore::new(CORES);
    let mut backend = |index: u32| {
        let mixed = index.wrapping_mul(2_654_435_769) >> 16;
        let load = board.claim(index);
        load.set(CoreId(0), 1 + mixed % 5);
        load.set(CoreId(1), mixed % 7);
        for (core, times, ago) in [(0, 4096, 500_000), (1, 5000, 700_000)] {
            let micros = u64::from(1000 + mixed % times);
            load.observe(CoreId(core), micros, NOW_MICROS - ago);
        }
        Backend {
            slot: BackendSlot(index),
            id: Arc::from("b"),
            address: ([127, 0, 0, 1], 9000).into(),
            identity: hash_key(0, &index.to_le_bytes()),
            weight: 1 + (mixed % 4) as u16,
            state: BackendState::Ready,
            drain: DrainTerms::default(),
            labels: Vec::new(),
            agent_port: None,
            connections_max: None,
            requests_max: None,
            stats: stats.clone(),
            load,
            shared_by: Box::default(),
            gate: None,
            standing: standings.claim(index),
        }
    };
    let backends: Vec<Backend> = (0..backends).map(&mut backend).collect();
    let whole = Board::new(CORES).claim(0);
    let total = backends.iter().map(|backend| backend.load.in_flight());
    whole.set(CoreId(0), total.sum());
    let second = Duration::from_secs(1);
    Group {
        slot: GroupSlot(0),
        name: Arc::from("app"),
        required: Arc::default(),
        policy: Policy::new(kind, &backends, &board, &standings),
        shadow: None,
        backends,
        load: whole,
        norm: Norms::new(CORES).claim(0),
        sources: Default::default(),
        key_seed: 1,
        timeouts: GroupTimeouts {
            connect: second,
            response: second,
            idle: second,
            tunnel: second,
        },
        retries_max: 2,
        idle_connections_max: 8,
        head_bytes_max: 16384,
        hash_on: None,
        sticky: None,
        queue: Queue {
            requests_max: 0,
            timeout: second,
            waiting: Arc::default(),
        },
        outlier: Outlier::default(),
        retry: Retry::default(),
        breaker: Breaker::default(),
        standing: GroupStanding::default(),
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
            b.iter(|| black_box(&hosts).route(&plain(black_box(&host), black_box(&path))));
        });
        bench.bench_function(format!("path/{count}"), |b| {
            b.iter(|| black_box(&paths).route(&plain(black_box(&host), black_box(&path))));
        });
        bench.bench_function(format!("unusual_path/{count}"), |b| {
            b.iter(|| black_box(&paths).route(&plain(black_box(&host), black_box(&unusual))));
        });
    }
    bench.finish();
}

fn choose(c: &mut Criterion) {
    let mut bench = c.benchmark_group("pick");
    let policies = [
        PolicyKind::RoundRobin,
        PolicyKind::WeightedRoundRobin,
        PolicyKind::Random,
        PolicyKind::LeastConnections,
        PolicyKind::WeightedLeastConnections,
        PolicyKind::LeastRequest { choices: 2 },
        PolicyKind::PeakEwma,
        PolicyKind::Adaptive(Adaptive::default()),
        PolicyKind::Maglev { bounded_load: None },
        PolicyKind::RingHash { bounded_load: None },
        PolicyKind::Rendezvous { bounded_load: None },
        PolicyKind::Maglev {
            bounded_load: Some(125),
        },
    ];
    for kind in policies {
        for backends in [10, 1000, 10_000] {
            let group = group(kind, backends);
            let mut state = PickState::new(1, CoreId(0), GroupSlot(0));
            let mut key = 0_u64;
            let bounded = match kind {
                PolicyKind::Maglev {
                    bounded_load: Some(_),
                } => "_bounded",
                _ => "",
            };
            bench.bench_function(format!("{}{bounded}/{backends}", kind.name()), |b| {
                b.iter(|| {
                    key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let ask = Ask {
                        key: Some(key),
                        ..Ask::new(&Tried::NONE, NOW_MICROS)
                    };
                    pick(black_box(&group), &mut state, black_box(&ask))
                });
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
