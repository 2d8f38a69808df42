//! Figures are what happened: against the clients' own count, the backends' own count and the log
//! of every request, while tables change, backends drain and processes take over from each other.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::{scope, sleep};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::tool::run;
use crate::support::{
    Answer, Api, Ending, PATIENCE, Proxy, Settings, Upstream, eventually, eventually_within,
    from_env,
};
use crate::upgrade::load::Load;

/// A backend that takes up to 12 ms, now and then 40; for `/held` it waits for a word.
fn upstream(word: &Arc<Mutex<mpsc::Receiver<()>>>) -> Upstream {
    let (asked, word) = (AtomicU64::new(0), Arc::clone(word));
    Upstream::http(move |request| {
        if request.target() == "/held" {
            let _ = word.lock().unwrap().recv_timeout(PATIENCE);
        }
        let number = asked.fetch_add(1, Relaxed);
        let millis = match number % 50 {
            0 => 40,
            other => other % 13,
        };
        Answer::new(200, "", &[b'x'; 300]).after(Duration::from_millis(millis))
    })
}

/// Changes weights, policies and states until told to stop; a change that comes while a process
/// takes over is refused, and that is as it should be.
fn change(api: &Api, stop: &AtomicBool) {
    let policies = ["random", "least_connections", "round_robin"];
    for number in 0_usize.. {
        if stop.load(Relaxed) {
            break;
        }
        let group = "/v1/groups/app";
        let backend = format!("{group}/backends/b{}", number % 2);
        let replies = [
            api.put(
                &format!("{backend}/weight"),
                json!({"weight": 1 + number % 7}),
            ),
            api.put(
                &format!("{group}/policy"),
                json!({"policy": policies[number % 3]}),
            ),
            api.ask("POST", &format!("{backend}/drain"), None),
        ];
        for reply in replies {
            assert!([200, 201, 503].contains(&reply.status()), "{reply:?}");
        }
        // Until it is accepted: nobody would be left when the other one drains.
        eventually_within(5 * PATIENCE, "it is ready again", || {
            let reply = api.ask("POST", &format!("{backend}/ready"), None);
            assert!([200, 503].contains(&reply.status()), "{reply:?}");
            reply.status() == 200
        });
        sleep(Duration::from_millis(20));
    }
}

/// What the log says of a request.
struct Logged {
    micros: u64,
    upstream_micros: u64,
    backend: String,
    received: u64,
    sent: u64,
}

/// The log of every request.
fn trace(proxy: &Proxy, count: usize) -> Vec<Logged> {
    let lines = proxy.wait_for_log_lines(count);
    let read = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["status"], 200, "{line}");
        let micros = |key: &str| (line[key].as_f64().unwrap() * 1e3).round() as u64;
        Logged {
            micros: micros("duration_ms"),
            upstream_micros: micros("upstream_ms"),
            backend: line["backend"].as_str().unwrap().to_owned(),
            received: line["bytes_received"].as_u64().unwrap(),
            sent: line["bytes_sent"].as_u64().unwrap(),
        }
    };
    lines.iter().map(read).collect()
}

/// Asserts that `told` is what `share` of the sorted values is below, give or take one value and
/// one percent.
#[track_caller]
fn assert_percentile(sorted: &[u64], share: f64, told: f64) {
    let rank = (share * sorted.len() as f64).ceil() as usize;
    let at = |rank: usize| sorted[rank.clamp(1, sorted.len()) - 1] as f64;
    let (low, high) = (0.99 * at(rank - 1), 1.01 * at(rank + 1));
    assert!(
        (low..=high).contains(&told),
        "{share}: told {told} us, and it is {} us",
        at(rank)
    );
}

/// The percentile of buckets as the dashboard and `weir top` take it.
fn of_buckets(buckets: &[u64], share: f64) -> f64 {
    let total: u64 = buckets.chunks(3).map(|bucket| bucket[2]).sum();
    let rank = (share * total as f64).ceil() as u64;
    let mut seen = 0;
    for bucket in buckets.chunks(3) {
        seen += bucket[2];
        if seen >= rank {
            return (bucket[0] + bucket[1]) as f64 / 2.0;
        }
    }
    panic!("{share} of nothing")
}

const SHARES: [(&str, f64); 4] = [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999)];

/// Asserts that all that is told of latencies is what the log says, for clients and each backend.
#[track_caller]
fn assert_percentiles(proxy: &Proxy, trace: &[Logged]) {
    let sorted = |of: &mut dyn Iterator<Item = u64>| {
        let mut micros: Vec<u64> = of.collect();
        micros.sort_unstable();
        micros
    };
    let get = |target: &str| -> Value { proxy.api().get(target).expect(200) };
    let (overview, status) = (get("/v1/overview"), get("/v1/status"));
    let whole = sorted(&mut trace.iter().map(|line| line.micros));
    let buckets = overview["listeners"][0]["latency"].as_array().unwrap();
    let buckets: Vec<u64> = buckets.iter().map(|one| one.as_u64().unwrap()).collect();
    for (_, share) in SHARES {
        assert_percentile(&whole, share, of_buckets(&buckets, share));
    }
    assert_quantiles(&status["listeners"][0]["duration_ms"], &whole);
    let family = "weir_listener_request_duration_seconds_bucket";
    assert_bounds(proxy, family, &[], (9..27).collect(), &whole);

    let backends = status["groups"][0]["backends"].as_array().unwrap();
    for id in ["b0", "b1"] {
        let mine = trace.iter().filter(|line| line.backend == id);
        let mine = sorted(&mut mine.map(|line| line.upstream_micros));
        let told = backends.iter().find(|backend| backend["name"] == id);
        assert_quantiles(&told.unwrap()["response_ms"], &mine);
        let family = "weir_backend_response_duration_seconds_bucket";
        let bounds = (10..27).step_by(2).collect();
        assert_bounds(proxy, family, &[("backend", id)], bounds, &mine);
    }
}

/// Asserts percentiles as `/v1/status` tells them.
#[track_caller]
fn assert_quantiles(told: &Value, sorted: &[u64]) {
    assert_eq!(told["count"], sorted.len());
    for (name, share) in SHARES {
        assert_percentile(sorted, share, told[name].as_f64().unwrap() * 1e3);
    }
}

/// Asserts how many are below each of these powers of two, exactly.
#[track_caller]
fn assert_bounds(
    proxy: &Proxy,
    family: &str,
    labels: &[(&str, &str)],
    exponents: Vec<u32>,
    sorted: &[u64],
) {
    let metrics = proxy.metrics();
    for exponent in exponents {
        let bound = 1_u64 << exponent;
        let le = format!("{}.{:06}", bound / 1_000_000, bound % 1_000_000);
        let below = sorted.partition_point(|micros| *micros < bound);
        let labels = [labels, &[("le", &*le)]].concat();
        assert_eq!(
            metrics.sum(family, &labels),
            Some(below as f64),
            "{labels:?}"
        );
    }
}

#[test]
fn figures_are_the_truth_while_tables_change_and_processes_take_over() {
    let (upgrades, requests) = (
        from_env("WEIR_TEST_UPGRADES", 3),
        from_env("WEIR_TEST_REQUESTS", 2500),
    );
    let (word, heard) = mpsc::channel();
    let heard = Arc::new(Mutex::new(heard));
    let upstreams = [upstream(&heard), upstream(&heard)];
    let mut settings = Settings::http_to(&[])
        .member(&upstreams[0], "id = \"b0\"")
        .member(&upstreams[1], "id = \"b1\"")
        .route("name = \"all\"\npath_prefix = \"/\"\ngroup = \"app\"")
        .ejecting_nobody()
        .access_log("json")
        .workers("2")
        .with_store();
    let mut proxy = settings.start();
    let (load, stop) = (Load::default(), AtomicBool::new(false));
    let api = proxy.api();
    scope(|scope| {
        let asking = load.start(scope, proxy.address(), (5, 3));
        let changing = scope.spawn(|| change(&api, &stop));
        let ending = Ending(&stop);
        for upgrade in 1..=upgrades {
            load.wait_for(upgrade * requests / (upgrades + 1));
            // Cores go and come with processes.
            settings.workers = (2 - upgrade % 2).to_string();
            proxy.rewrite(settings.clone());
            proxy.upgrade();
        }
        load.wait_for(requests);
        // Nobody is asking any more when the changes end.
        drop(asking);
        drop(ending);
        changing.join().unwrap();
    });
    load.assert_clean(&format!("{upgrades} upgrades"));
    eventually("each but the last has ended as it should", || {
        proxy.stderr().matches("outcome=Ended { cut: 0 }").count() as u64 == upgrades
    });

    let trace = assert_counts(&proxy, &load, &upstreams);
    assert_percentiles(&proxy, &trace);
    figures_go_on_while_the_node_drains(&proxy, trace.len(), word);
}

/// Asserts that every count is that of the clients, the backends and the log; gives the log.
#[track_caller]
fn assert_counts(proxy: &Proxy, load: &Load, upstreams: &[Upstream]) -> Vec<Logged> {
    let served = load.served.load(Relaxed) as f64;
    proxy.wait_for_metric("weir_listener_requests_total", &[], served);
    let trace = trace(proxy, served as usize);
    let metrics = proxy.metrics();
    let opened = load.connections.load(Relaxed) as f64;
    let received = trace.iter().map(|line| line.received).sum::<u64>() as f64;
    let sent = trace.iter().map(|line| line.sent).sum::<u64>() as f64;
    let asked = upstreams.iter().map(Upstream::request_count).sum::<usize>() as f64;
    let connected = upstreams.iter().map(Upstream::accepted).sum::<usize>() as f64;
    let by_route = [("route", "all"), ("code", "200")];
    for (name, labels, count) in [
        ("weir_listener_requests_total", &by_route[1..], served),
        ("weir_listener_accepts_total", &[], opened),
        ("weir_listener_received_bytes_total", &[], received),
        ("weir_listener_sent_bytes_total", &[], sent),
        ("weir_listener_request_duration_seconds_count", &[], served),
        ("weir_requests_total", &by_route[..], served),
        ("weir_backend_requests_total", &[], asked),
        ("weir_backend_response_duration_seconds_count", &[], asked),
        ("weir_backend_connects_total", &[], connected),
        ("weir_listener_faults_total", &[], 0.0),
        ("weir_core_log_dropped_total", &[], 0.0),
    ] {
        assert_eq!(metrics.count(name, labels), count, "{name}{labels:?}");
    }
    trace
}

/// The last process is told to end while two requests are under way: one is answered while it
/// drains, and is counted; for the other one it stays.
fn figures_go_on_while_the_node_drains(proxy: &Proxy, served: usize, word: mpsc::Sender<()>) {
    let mut held = [proxy.client(), proxy.client()];
    for client in &mut held {
        client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    proxy.wait_for_metric("weir_backend_in_flight", &[], 2.0);
    proxy.signal(Signal::TERM);
    eventually("the drain", || proxy.admin("/ready").status() == 503);
    word.send(()).unwrap();
    let now = served as f64 + 1.0;
    proxy.wait_for_metric("weir_listener_requests_total", &[], now);
    assert_percentiles(proxy, &trace(proxy, served + 1));
    drop(word);
    for client in &mut held {
        assert_eq!(client.response().status(), 200);
    }
}

#[test]
fn promtool_finds_nothing_to_criticise_in_a_page_of_a_running_node() {
    let upstream = Upstream::named("ok");
    let proxy = Settings::http_to(&[&upstream]).access_log("json").start();
    proxy.client().get("/");
    let page = proxy.directory().join("page");
    std::fs::write(&page, proxy.metrics().text()).unwrap();
    let promtool = std::env::var("WEIR_PROMTOOL").unwrap_or_else(|_| "promtool".into());
    let script = format!("{promtool} check metrics < {}", page.display());
    assert_eq!(run("sh", &["-c", &script]), "");
}
