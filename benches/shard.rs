//! Question: what does a shard rule cost one request?
//!
//! `whole`: matching among 10,000 routes, taking a key from a header, and placing it among 10,000
//! keys or ranges. `place`: the functions alone. `json`: a key behind 4 KB of a body, in one piece
//! and in pieces of a TCP segment. `hello`: the name in a TLS hello. Keys differ every time. Run
//! with `cargo bench --bench shard`.

use std::hint::black_box;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use weir::base::id::{GroupIndex, ShardIndex};
use weir::routing::hashing::Algorithm;
use weir::routing::matcher::{Destination, HostRule, RouteRule, RouteSet};
use weir::routing::shard::function::{Function, IntegerRange};
use weir::routing::shard::json::Scanner;
use weir::routing::shard::key::{KeySource, RequestView};
use weir::routing::shard::pointer::Pointer;
use weir::routing::shard::{Decision, Outcome, Outcomes, Rule};
use weir::routing::sni::peek;

const ENTRIES: u32 = 10_000;

/// A request with the fields of a browser and a key.
struct Request {
    host: String,
    key: String,
}

impl RequestView for Request {
    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn fields_named<'r>(&'r self, name: &str) -> impl Iterator<Item = &'r [u8]> {
        let fields = [
            ("Host", self.host.as_str()),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0)"),
            ("Accept", "text/html,application/xhtml+xml"),
            ("Accept-Language", "en-US,en;q=0.5"),
            ("Accept-Encoding", "gzip, deflate, br, zstd"),
            ("Cookie", "a=b; session=0123456789abcdef"),
            ("X-Tenant", self.key.as_str()),
        ];
        fields
            .into_iter()
            .filter(move |field| field.0.eq_ignore_ascii_case(name))
            .map(|field| field.1.as_bytes())
    }

    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }

    fn method(&self) -> &[u8] {
        b"GET"
    }

    fn path(&self) -> &[u8] {
        b"/some/object.html"
    }

    fn target(&self) -> &[u8] {
        b"/some/object.html?q=1"
    }
}

fn rule(function: Function) -> Rule {
    Rule {
        name: Arc::from("bench"),
        source: KeySource::Header("x-tenant".into()),
        key_bytes_max: 256,
        function,
        outcomes: Outcomes {
            compressed: Outcome::Reject,
            malformed: Outcome::Reject,
            missing: Outcome::Reject,
            oversized: Outcome::Reject,
            unplaced: Outcome::Reject,
        },
        handover: None,
    }
}

fn map() -> Function {
    let keys: Vec<String> = (0..ENTRIES)
        .map(|number| format!("tenant-{number}"))
        .collect();
    Function::map(
        (0..)
            .zip(&keys)
            .map(|(number, key)| (key.as_str(), GroupIndex(number))),
    )
}

fn ranges() -> Function {
    let range = |number| IntegerRange {
        from: i64::from(number) * 1000,
        to: i64::from(number) * 1000 + 999,
        group: GroupIndex(number),
    };
    Function::integers((0..ENTRIES).map(range).collect())
}

fn hash(algorithm: Algorithm) -> Function {
    let names: Vec<String> = (0..100).map(|number| format!("group-{number}")).collect();
    let groups = (0..)
        .zip(&names)
        .map(|(number, name)| (name.as_str(), GroupIndex(number), 1));
    Function::hash(algorithm, &groups.collect::<Vec<_>>(), None, 0)
}

/// Numbers in an order no cache foresees.
fn scattered(number: u32) -> u32 {
    number.wrapping_mul(2_654_435_761) % ENTRIES
}

fn whole(c: &mut Criterion) {
    let route = |number: u32| RouteRule {
        hosts: vec![HostRule::Exact(format!("site-{number}.example.org"))],
        ..RouteRule::to(Destination::Shard(ShardIndex(0)))
    };
    let rules: Vec<RouteRule> = (0..ENTRIES).map(route).collect();
    let routes = RouteSet::new(None, &rules);
    let mut bench = c.benchmark_group("whole");
    type Key = fn(u32) -> String;
    let cases: [(&str, Rule, Key); 2] = [
        ("map", rule(map()), |number| format!("tenant-{number}")),
        ("ranges", rule(ranges()), |number| format!("{number}500")),
    ];
    for (name, rule, key) in cases {
        let requests: Vec<Request> = (0..4096)
            .map(|number| Request {
                host: format!("site-{}.example.org", scattered(number + 7)),
                key: key(scattered(number)),
            })
            .collect();
        let mut at = 0;
        bench.bench_function(name, |b| {
            b.iter(|| {
                at = (at + 1) % requests.len();
                let request = &requests[at];
                let found = routes.route(black_box(request));
                assert!(found.is_some());
                let decision = rule.decide(request, |_| 0);
                assert!(matches!(decision, Decision::Group(_)));
                decision
            });
        });
    }
    bench.finish();
}

fn place(c: &mut Criterion) {
    let mut bench = c.benchmark_group("place");
    let functions = [
        ("map", map()),
        ("ranges", ranges()),
        (
            "modulo",
            Function::modulo((0..100).map(GroupIndex).collect(), 0),
        ),
        ("maglev", hash(Algorithm::Maglev)),
        ("ring_hash", hash(Algorithm::Ring)),
        ("rendezvous", hash(Algorithm::Rendezvous)),
        ("jump", hash(Algorithm::Jump)),
    ];
    for (name, function) in functions {
        let text = if name == "map" { "tenant-" } else { "" };
        let keys: Vec<String> = (0..4096)
            .map(|number| format!("{text}{}", scattered(number)))
            .collect();
        let mut at = 0;
        bench.bench_function(name, |b| {
            b.iter(|| {
                at = (at + 1) % keys.len();
                function.place(black_box(keys[at].as_bytes()), |_| 0)
            });
        });
    }
    bench.finish();
}

/// 4 KB of the JSON an API gets, with the key at its end.
fn document() -> Vec<u8> {
    let mut text = "{\"items\":[".to_owned();
    let mut number = 0;
    while text.len() < 4000 {
        text += &format!(
            "{{\"id\":{number},\"name\":\"item number {number}\",\"price\":12.5,\
             \"tags\":[\"new\",\"on sale\"]}},"
        );
        number += 1;
    }
    text += "{}],\"user\":{\"name\":\"Carol\",\"tenant\":\"tenant-4711\"}}";
    text.into_bytes()
}

fn json(c: &mut Criterion) {
    let mut bench = c.benchmark_group("json");
    let document = document();
    let pointer = Pointer::new("/user/tenant");
    for (name, size) in [("whole", usize::MAX), ("segments", 1448)] {
        bench.bench_function(format!("{name}/{}", document.len()), |b| {
            b.iter(|| {
                let mut scanner = Scanner::new(256);
                for piece in document.chunks(size.min(document.len())) {
                    scanner.feed(&pointer, black_box(piece));
                }
                assert!(scanner.key() != weir::routing::shard::key::Extracted::NeedsBody);
            });
        });
    }
    bench.finish();
}

fn hello(c: &mut Criterion) {
    let block = |content: &[u8]| {
        let length = u16::try_from(content.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes();
        [&length[..], content].concat()
    };
    let name = block(&[&[0][..], &block(b"www.example.org")].concat());
    let extensions = [vec![0, 51], block(&[0; 1200]), vec![0, 0], block(&name)].concat();
    let body = [
        vec![3, 3],
        vec![7; 32],
        vec![0],
        block(&[0x13, 1]),
        vec![1, 0],
        block(&extensions),
    ]
    .concat();
    let message = [vec![1, 0], block(&body)].concat();
    let bytes = [vec![22, 3, 1], block(&message)].concat();
    assert!(matches!(peek(&bytes), weir::routing::sni::Hello::Found(_)));
    c.bench_function("hello", |b| b.iter(|| peek(black_box(&bytes))));
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(30)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = whole, place, json, hello
}
criterion_main!(benches);
