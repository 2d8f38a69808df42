//! Question: what do placements cost, looked up in for a request and made for a change?
//!
//! Look-ups: each algorithm with 10, 1000 and 10,000 members of equal weight, rendezvous also with
//! weights, hashes different every time (4096 in turn), so that tables are read all over. Makings:
//! those a change of members costs the control thread. Run with `cargo bench --bench hash`.

use std::hint::black_box;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use weir::routing::hashing::bounded::{Bound, pick};
use weir::routing::hashing::{Algorithm, Maglev, Member, Placement, hash_key};

const SEED: u64 = 1;
const HASHES: usize = 4096;
const ALGORITHMS: [Algorithm; 4] = [
    Algorithm::Jump,
    Algorithm::Maglev,
    Algorithm::Rendezvous,
    Algorithm::Ring,
];

fn members(count: u32, weights: &[u32]) -> Vec<Member> {
    let weights = weights.iter().cycle();
    let member = |(number, weight): (u32, &u32)| Member {
        key: hash_key(SEED, &number.to_le_bytes()),
        weight: *weight,
    };
    (0..count).zip(weights).map(member).collect()
}

fn hashes() -> Vec<u64> {
    let hash = |number: usize| hash_key(SEED + 1, &number.to_le_bytes());
    (0..HASHES).map(hash).collect()
}

fn key(c: &mut Criterion) {
    let mut bench = c.benchmark_group("hash_key");
    for length in [8, 16, 64, 256] {
        let bytes = vec![b'k'; length];
        bench.bench_function(BenchmarkId::from_parameter(length), |b| {
            b.iter(|| hash_key(black_box(SEED), black_box(&bytes)));
        });
    }
    bench.finish();
}

fn lookup(c: &mut Criterion) {
    let hashes = hashes();
    let mut bench = c.benchmark_group("lookup");
    for (weights, name) in [(&[1][..], ""), (&[1, 2, 5, 10][..], "_weighted")] {
        for algorithm in ALGORITHMS {
            for count in [10, 1_000, 10_000] {
                let placement = Placement::new(algorithm, &members(count, weights));
                let mut at = 0;
                bench.bench_function(format!("{algorithm:?}{name}/{count}"), |b| {
                    b.iter(|| {
                        at = (at + 1) % HASHES;
                        placement.lookup(hashes[at])
                    });
                });
            }
        }
    }
    let few = Placement::new(Algorithm::Rendezvous, &members(64, &[1]));
    let mut at = 0;
    bench.bench_function("Rendezvous/64", |b| {
        b.iter(|| {
            at = (at + 1) % HASHES;
            few.lookup(hashes[at])
        });
    });
    bench.finish();
}

/// The third candidate, and the first below a bound when all have the mean.
fn candidates(c: &mut Criterion) {
    let hashes = hashes();
    let mut bench = c.benchmark_group("candidates");
    for algorithm in ALGORITHMS {
        let placement = Placement::new(algorithm, &members(1_000, &[1]));
        let bound = Bound {
            load_total: 100_000,
            weight_total: 1_000,
            percent: 125,
        };
        let mut at = 0;
        bench.bench_function(format!("{algorithm:?}_third/1000"), |b| {
            b.iter(|| {
                at = (at + 1) % HASHES;
                placement.candidates(hashes[at]).nth(2)
            });
        });
        bench.bench_function(format!("{algorithm:?}_bounded/1000"), |b| {
            b.iter(|| {
                at = (at + 1) % HASHES;
                pick(placement.candidates(hashes[at]), &bound, |_| (100, 1))
            });
        });
    }
    bench.finish();
}

fn make(c: &mut Criterion) {
    let mut bench = c.benchmark_group("make");
    bench.sample_size(10);
    for size in [65_537, 655_373] {
        for (weights, name) in [(&[1][..], ""), (&[1, 2, 5, 10][..], "_weighted")] {
            let members = members(1_000, weights);
            bench.bench_function(format!("Maglev{name}/1000_of_{size}"), |b| {
                b.iter(|| Maglev::with_size(black_box(&members), size));
            });
        }
    }
    for algorithm in ALGORITHMS {
        for count in [10, 1_000, 10_000] {
            let members = members(count, &[1]);
            bench.bench_function(format!("{algorithm:?}/{count}"), |b| {
                b.iter(|| Placement::new(algorithm, black_box(&members)));
            });
        }
    }
    bench.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = key, lookup, candidates, make
}
criterion_main!(benches);
