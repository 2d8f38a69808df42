//! What one change through the admin API costs before anything is written: apply it, judge it, find
//! what the store must write. A new backend has the whole document judged, a weight only what it
//! is about. And what the table made
//! of a large document holds in memory.
//!
//! It runs on the control thread, so it may take milliseconds; it must not take seconds.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use weir::base::epoch::Epoch;
use weir::control::document::{ObjectPath, Op, Split, judge, rejudge, split};
use weir::engine::facts::Resolved;
use weir::engine::planner::plan;
use weir::engine::registry::Registry;
use weir::runtime::memory;

/// Bytes a table of 10,000 backends (maglev) and 100,000 rules may hold, with what outlives it.
const TABLE_BYTES_MAX: usize = 64 * 1000 * 1000;

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
        let known = judge(&process, &document).expect("it is sound");
        let known_path = "groups/app/backends/10.0.7.7:80";
        let weigh = Op::Patch {
            path: known_path.parse().expect("a path"),
            value: [("weight".to_owned(), 7.into())].into_iter().collect(),
        };
        for (name, op) in [("add", op), ("weight", weigh)] {
            group.bench_function(BenchmarkId::new(name, backends), |bencher| {
                bencher.iter(|| {
                    let next = document
                        .apply(std::slice::from_ref(&op))
                        .expect("it applies");
                    let config = rejudge(&process, (&document, &known), &next, &mut || ());
                    black_box((next.records_since(&document), config.is_ok()))
                });
            });
        }
    }
    group.finish();
}

/// Not a time: a figure that is measured once, and a limit.
fn table_memory(_: &mut Criterion) {
    let mut text = String::from(
        "[[listener]]\nname = \"web\"\naddress = \"127.0.0.1:8080\"\nshard = \"s\"\n\
         [[shard]]\nname = \"s\"\nkey = { header = \"x-tenant\" }\nmap = [\n",
    );
    for rule in 0..100_000 {
        let _ = writeln!(text, "{{ key = \"tenant-{rule}\", group = \"app\" }},");
    }
    text.push_str("]\n[[group]]\nname = \"app\"\npolicy = \"maglev\"\nbackends = [");
    for index in 0..10_000 {
        let _ = write!(text, "\"10.{}.{}.7:80\", ", index / 250, index % 250);
    }
    text.push_str("]\n");
    let config = weir::config::load(&text, "large.toml").expect("a sound file");
    let before = memory::in_use_bytes();
    let mut registry = Registry::new(2);
    let plan = plan(&config, &Resolved::default(), Epoch(1), &mut registry);
    let bytes = memory::in_use_bytes() - before;
    println!(
        "table_memory: {:.1} MB, 10,000 backends, 100,000 rules, two cores",
        bytes as f64 / 1e6
    );
    assert!(bytes <= TABLE_BYTES_MAX, "{bytes} bytes");
    black_box((plan, registry));
}

criterion_group!(benches, change, table_memory);
criterion_main!(benches);
