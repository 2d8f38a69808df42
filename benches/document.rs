//! What one change through the admin API costs before anything is written: apply it, write the
//! whole document as a file, load that, find what the store must write.
//!
//! It runs on the control thread, so it may take milliseconds; it must not take seconds.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use weir::control::document::{ObjectPath, Op, Split, judge, split};

fn file(backends: usize) -> Split {
    let mut text = String::from(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8080\"\ngroup = \"app\"\n\
         [[group]]\nname = \"app\"\nbackends = [",
    );
    for index in 0..backends {
        let _ = write!(text, "\"10.{}.{}.7:80\", ", index / 250, index % 250);
    }
    text.push_str("]\n");
    split(&text).expect("a sound file")
}

fn change(c: &mut Criterion) {
    let mut group = c.benchmark_group("document_change");
    for backends in [1_000, 10_000] {
        let Split { process, document } = file(backends);
        let path: ObjectPath = "groups/app/backends/new".parse().expect("a path");
        let value = [("address".to_owned(), "10.200.0.1:80".into())];
        let op = Op::Put {
            path,
            value: value.into_iter().collect(),
            place: None,
        };
        let id = BenchmarkId::from_parameter(backends);
        group.bench_function(id, |bencher| {
            bencher.iter(|| {
                let next = document
                    .apply(std::slice::from_ref(&op))
                    .expect("it applies");
                let config = judge(&process, &next);
                black_box((next.records_since(&document), config.is_ok()))
            });
        });
    }
    group.finish();
}

criterion_group!(benches, change);
criterion_main!(benches);
