//! The page is valid, exact and says what was counted.

use std::collections::{HashMap, HashSet};
use std::io::Write;

use super::entities::{BACKEND_BOUNDS, LISTENER_BOUNDS};
use super::*;
use crate::base::fault::Fault;
use crate::base::id::CoreId;

const CORES: usize = 2;

struct World {
    listener: PerCore<ListenerStats>,
    backend: PerCore<BackendStats>,
    cores: Vec<Arc<CoreStats>>,
    control: ControlStats,
    log: LogStats,
}

fn world() -> World {
    let world = World {
        listener: PerCore::new(CORES),
        backend: PerCore::new(CORES),
        cores: (0..CORES).map(|_| Arc::default()).collect(),
        control: ControlStats::default(),
        log: LogStats::default(),
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
        world.cores[index].epoch.add(7);
        world.cores[index].turns.add(100);
    }
    world
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
    render(&Facts {
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
        epoch: 7,
        listeners: vec![ListenerFacts {
            name: "web \"quoted\\\"\nnext",
            address: "[::]:80".into(),
            stats: &world.listener,
        }],
        backends: vec![backend("app.internal:80", true), backend("other", false)],
        cores: &world.cores,
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
        &format!("weir_listener_connections_total{{{LISTENER}}} 20"),
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
    has(&page, "weir_core_connections_total{core=\"0\"} 10");
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

/// What OpenMetrics asks for and the text format does not: families of counters without `_total`,
/// and an end.
#[test]
fn openmetrics_differs_in_names_of_families_and_ends() {
    let world = world();
    let text = page(&world);
    let open = page_of(&world, Detail::Backend, Dialect::OpenMetrics);
    let open = open.strip_suffix("# EOF\n").expect("an end");
    let samples = |page: &str| -> Vec<String> {
        let lines = page.lines().filter(|line| !line.starts_with('#'));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(open), samples(&text));
    let mut counters = 0;
    for line in open.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        assert!(!name.ends_with("_total"), "{line}");
        if kind == "counter" {
            assert!(
                text.contains(&format!("# TYPE {name}_total counter")),
                "{line}"
            );
            counters += 1;
        }
    }
    assert!(counters > 20);
}

/// Names of ours in a rule or a dashboard, with what histograms add taken off.
fn names_in(text: &str) -> HashSet<String> {
    let word = |c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':');
    let words = text.split(word).filter(|word| {
        (word.starts_with("weir_") || word.starts_with("process_")) && !word.contains(':')
    });
    words
        .map(|word| {
            let histogram = ["_bucket", "_sum", "_count"];
            let base = histogram.iter().find_map(|end| word.strip_suffix(end));
            base.unwrap_or(word).to_owned()
        })
        .collect()
}

const RULES: &str = include_str!("../../../tuning/alerts.yml");
const DASHBOARD: &str = include_str!("../../../tuning/grafana.json");

#[test]
fn alerts_and_dashboard_ask_for_what_there_is() {
    let page = page(&world());
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families: HashSet<&str> = families
        .filter_map(|line| Some(line.split_once(' ')?.0))
        .collect();
    for (file, text) in [("alerts.yml", RULES), ("grafana.json", DASHBOARD)] {
        let names = names_in(text);
        assert!(names.len() > 8, "{file} names metrics: {names:?}");
        for name in names {
            assert!(families.contains(&*name), "{file}: {name}");
        }
    }
    let dashboard: serde_json::Value = serde_json::from_str(DASHBOARD).expect("JSON");
    assert!(
        dashboard["panels"]
            .as_array()
            .is_some_and(|panels| panels.len() > 8)
    );
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

/// Splits a sample into family-with-suffix, labels and value, checking the grammar.
fn sample(line: &str) -> (String, Vec<(String, String)>, f64) {
    let name_end = line.find(['{', ' ']).expect("a value");
    let name = line[..name_end].to_owned();
    assert!(
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'),
        "{line}"
    );
    let mut labels = Vec::new();
    let mut rest = &line[name_end..];
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, tail) = inner.split_once("=\"").expect("a label value");
            let mut value = String::new();
            let mut chars = tail.char_indices();
            let end = loop {
                match chars.next().expect("a closing quote") {
                    (at, '"') => break at,
                    (_, '\\') => match chars.next().expect("an escaped character").1 {
                        'n' => value.push('\n'),
                        c @ ('\\' | '"') => value.push(c),
                        c => panic!("unknown escape {c} in {line}"),
                    },
                    (_, c) => value.push(c),
                }
            };
            labels.push((label.to_owned(), value));
            inner = &tail[end + 1..];
            match inner.strip_prefix(',') {
                Some(next) => inner = next,
                None => break,
            }
        }
        rest = inner.strip_prefix('}').expect("a closing brace");
    }
    let value = rest
        .strip_prefix(' ')
        .expect("a space")
        .parse()
        .expect("a number");
    (name, labels, value)
}

#[test]
fn the_page_passes_a_lint() {
    let page = page(&world());
    assert!(page.ends_with('\n'));
    let mut types = HashMap::new();
    let mut seen = HashSet::new();
    let mut helped = String::new();
    let mut family = String::new();
    let mut last_bucket = (Vec::new(), 0.0);
    for line in page.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, text) = help.split_once(' ').expect("a help text");
            assert!(text.ends_with('.'), "{line}");
            helped = name.to_owned();
            continue;
        }
        if let Some(kind) = line.strip_prefix("# TYPE ") {
            let (name, kind) = kind.split_once(' ').expect("a type");
            assert_eq!(name, helped, "HELP comes before TYPE");
            assert!(
                types.insert(name.to_owned(), kind.to_owned()).is_none(),
                "{name} twice"
            );
            assert_eq!(
                kind == "counter",
                name.ends_with("_total"),
                "{name} is a {kind}"
            );
            family = name.to_owned();
            continue;
        }
        let (name, mut labels, value) = sample(line);
        let suffix = name
            .strip_prefix(&family)
            .unwrap_or_else(|| panic!("{line} outside"));
        let histogram = types[&family] == "histogram";
        assert!(suffix.is_empty() != histogram, "{line}");
        assert!(seen.insert((name.clone(), labels.clone())), "{line} twice");
        if suffix == "_bucket" {
            let (le, bound) = labels.pop().expect("le");
            assert_eq!(le, "le");
            if last_bucket.0 == labels {
                assert!(value >= last_bucket.1, "{line} falls");
            }
            assert!(bound == "+Inf" || bound.parse::<f64>().is_ok());
            last_bucket = (labels, value);
        } else if suffix == "_count" {
            assert_eq!(last_bucket, (labels, value), "the last bucket is +Inf");
            last_bucket = (Vec::new(), 0.0);
        }
    }
}

/// `promtool` is of Debian's package prometheus, which `.ci/run` installs; `WEIR_PROMTOOL` names
/// another.
#[test]
fn promtool_finds_nothing_to_criticise() {
    let mut child = promtool()
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("promtool is needed for this test");
    child
        .stdin
        .take()
        .unwrap()
        .write_all(page(&world()).as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{said}");
}

#[test]
fn promtool_understands_the_alerts() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tuning/alerts.yml");
    let checked = promtool().args(["check", "rules", file]).output();
    let checked = checked.expect("promtool is needed for this test");
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(
        checked.status.success() && said.contains("SUCCESS"),
        "{said}"
    );
}

fn promtool() -> std::process::Command {
    let promtool = std::env::var("WEIR_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    std::process::Command::new(promtool)
}
