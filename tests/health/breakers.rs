//! Circuit breakers: limits of a group, and shares of failures that open backends and groups.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use serde_json::Value;

use super::{becomes, thought_of};
use crate::support::{Answer, Proxy, Settings, Upstream, eventually};

/// Answers `name`, and every second request with 500 while it is ill: never two failures in a row.
struct Flaky {
    ill: Arc<AtomicBool>,
    upstream: Upstream,
}

impl Flaky {
    fn named(name: &'static str) -> Flaky {
        let ill = Arc::new(AtomicBool::new(false));
        let (is_ill, turn) = (Arc::clone(&ill), AtomicUsize::new(0));
        let upstream = Upstream::http(move |_| {
            let fails = turn.fetch_add(1, Relaxed) % 2 == 0;
            match fails && is_ill.load(Relaxed) {
                true => Answer::new(500, "", b"ill"),
                false => Answer::text(name),
            }
        });
        Flaky { ill, upstream }
    }
}

fn overflows(proxy: &Proxy, limit: &str) -> f64 {
    let labels = [("group", "app"), ("limit", limit)];
    proxy
        .metrics()
        .count("weir_breaker_overflows_total", &labels)
}

fn state_of_group(proxy: &Proxy) -> f64 {
    let metrics = proxy.metrics();
    metrics
        .sum("weir_breaker_group_state", &[("group", "app")])
        .expect("a group has a state")
}

fn breaker(proxy: &Proxy, id: &str) -> Value {
    thought_of(proxy, id)["breaker"].clone()
}

/// Asks until this is so; the clients of several cores, one request at a time.
fn ask_until(proxy: &Proxy, what: &str, is_so: impl Fn() -> bool) {
    eventually(what, || {
        for _ in 0..8 {
            drop(proxy.client().get("/"));
        }
        is_so()
    });
}

#[test]
fn half_of_failures_open_a_backend_and_trials_over_all_cores_close_it() {
    let (well, flaky) = (Upstream::named("well"), Flaky::named("flaky"));
    let proxy = Settings::http_to(&[])
        .workers("2")
        .group_with(
            "breaker",
            "{ error_percent = 40, error_volume = 20, open_time = \"1s\", trials = 3 }",
        )
        .group_with("check", "{ slow_start = \"1m\" }")
        .member(&well, "id = \"well\"")
        .member(&flaky.upstream, "id = \"flaky\"")
        .start();
    flaky.ill.store(true, Relaxed);
    ask_until(&proxy, "it opens", || {
        breaker(&proxy, "flaky")["state"] == "open"
    });
    let thought = thought_of(&proxy, "flaky");
    assert_eq!(
        (&thought["source"], &thought["reason"]),
        (&"ejection".into(), &"error_rate".into())
    );
    let labels = [("backend", "flaky")];
    let state = || proxy.metrics().sum("weir_breaker_backend_state", &labels);
    assert_eq!(state(), Some(2.0));
    assert_eq!(breaker(&proxy, "flaky")["group"]["state"], "closed");
    // Nobody goes there while it is open.
    let first_until = thought["ejection"]["until_ms"].as_u64().unwrap();
    let before = flaky.upstream.request_count();
    for _ in 0..20 {
        assert_eq!(proxy.client().get("/").text(), "well");
    }
    assert_eq!(flaky.upstream.request_count(), before);
    eventually("its time is over", || state() == Some(1.0));
    // The next ones there are its trials, and one of the first two fails.
    ask_until(&proxy, "a trial fails", || {
        breaker(&proxy, "flaky")["state"] == "open"
    });
    let reopened = thought_of(&proxy, "flaky")["ejection"].clone();
    assert_eq!(reopened["times"], 2);
    let longer = reopened["until_ms"].as_u64().unwrap() - first_until;
    assert!(longer >= 2000, "twice as long: {longer}");
    assert!(flaky.upstream.request_count() <= before + 3);
    flaky.ill.store(false, Relaxed);
    let before = flaky.upstream.request_count();
    eventually("it is tried again", || state() == Some(1.0));
    ask_until(&proxy, "it closes", || {
        breaker(&proxy, "flaky")["state"] == "closed"
    });
    assert!(flaky.upstream.request_count() >= before + 3);
    let thought = thought_of(&proxy, "flaky");
    assert_eq!(thought["status"], "up");
    assert!(thought["ramp_percent"].as_u64() < Some(100), "{thought}");
    let log = proxy.stderr();
    assert!(log.contains("passed its trials"), "{log}");
}

#[test]
fn exactly_as_many_go_through_a_half_open_backend_as_there_are_trials() {
    let well = Upstream::named("well");
    let (hold, failing) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicBool::new(true)),
    );
    let fails = Arc::clone(&failing);
    let (counted, held) = (Arc::new(AtomicUsize::new(0)), Arc::clone(&hold));
    let counts = Arc::clone(&counted);
    let slow = Upstream::http(move |_| {
        if fails.load(Relaxed) {
            return Answer::new(500, "", b"ill");
        }
        counts.fetch_add(1, Relaxed);
        while held.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Answer::text("slow")
    });
    let proxy = Settings::http_to(&[])
        .workers("2")
        .group_with("outlier", "{ consecutive_5xx = 0 }")
        .group_with(
            "breaker",
            "{ error_volume = 10, open_time = \"300ms\", trials = 4 }",
        )
        .member(&well, "id = \"well\"")
        .member(&slow, "id = \"slow\"")
        .start();
    ask_until(&proxy, "it opens", || {
        breaker(&proxy, "slow")["state"] == "open"
    });
    hold.store(true, Relaxed);
    failing.store(false, Relaxed);
    eventually("it tries", || {
        breaker(&proxy, "slow")["state"] == "half_open"
    });
    std::thread::scope(|scope| {
        for _ in 0..40 {
            scope.spawn(|| drop(proxy.client().get("/")));
        }
        eventually("all trials are under way", || counted.load(Relaxed) == 4);
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(counted.load(Relaxed), 4, "and no more, whatever the core");
        hold.store(false, Relaxed);
    });
    becomes(&proxy, "slow", "up");
}

#[test]
fn a_group_that_fails_is_left_alone_and_its_clients_are_told() {
    let flaky = Arc::new(AtomicBool::new(true));
    let ill = Arc::clone(&flaky);
    let only = Upstream::http(move |_| match ill.load(Relaxed) {
        true => Answer::new(500, "", b"ill"),
        false => Answer::text("well"),
    });
    let proxy = Settings::http_to(&[&only])
        .access_log("json")
        .group_with(
            "breaker",
            "{ error_volume = 20, open_time = \"1s\", trials = 2 }",
        )
        .start();
    ask_until(&proxy, "it opens", || state_of_group(&proxy) == 2.0);
    let before = only.request_count();
    let answer = proxy.client().get("/");
    assert_eq!(answer.status(), 503);
    let wait: u32 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!(
        (1..=2).contains(&wait),
        "open_time, and a little chance: {wait}"
    );
    assert!(answer.text().contains("breaker_open"), "{answer:?}");
    assert_eq!(only.request_count(), before, "nobody goes there");
    assert!(overflows(&proxy, "errors") >= 1.0);
    let groups = proxy.api().get("/v1/status").expect(200)["groups"].clone();
    assert_eq!(groups[0]["breaker"], "open");
    let faults = proxy
        .metrics()
        .count("weir_listener_faults_total", &[("fault", "breaker_open")]);
    assert!(faults >= 1.0);
    eventually("the log tells", || {
        let lines = proxy.log_lines();
        lines
            .iter()
            .any(|line| line.contains("\"fault\":\"breaker_open\""))
    });
    flaky.store(false, Relaxed);
    eventually("it tries", || state_of_group(&proxy) == 1.0);
    ask_until(&proxy, "it closes", || state_of_group(&proxy) == 0.0);
    assert_eq!(proxy.client().get("/").text(), "well");
}

#[test]
fn more_requests_than_a_group_may_have_are_refused_at_once() {
    let hold = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&hold);
    let slow = Upstream::http(move |_| {
        while held.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Answer::text("slow")
    });
    let proxy = Settings::http_to(&[&slow])
        .workers("2")
        .group_with("breaker", "{ requests_max = 3 }")
        .start();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| proxy.client().get("/").status()))
            .collect();
        eventually("three are under way", || slow.request_count() == 3);
        let used = [("group", "app"), ("limit", "requests")];
        let in_use = proxy.metrics().sum("weir_breaker_in_use", &used);
        assert_eq!(in_use, Some(3.0));
        let refused = proxy.client().get("/");
        assert_eq!(refused.status(), 503);
        assert!(refused.text().contains("breaker_overflow"), "{refused:?}");
        assert_eq!(refused.field("retry-after"), Some("1"));
        assert_eq!(overflows(&proxy, "requests"), 1.0);
        hold.store(false, Relaxed);
        for client in clients {
            assert_eq!(client.join().unwrap(), 200);
        }
    });
    assert_eq!(proxy.client().get("/").status(), 200, "there is room again");
}

#[test]
fn a_request_waits_for_a_connection_of_its_group_and_idle_ones_are_given_back() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    let proxy = Settings::http_to(&[&one, &two])
        .group_with("breaker", "{ connections_max = 1 }")
        .group_with("queue", "{ timeout = \"20s\" }")
        .start();
    let mut client = proxy.client();
    // Both take turns, and only one may have a connection.
    for _ in 0..4 {
        assert_eq!(client.get("/").status(), 200);
    }
    let metrics = proxy.metrics();
    let open = metrics.sum("weir_backend_connections", &[]).unwrap();
    assert!(open <= 1.0, "{open}");
    assert!(one.request_count() + two.request_count() == 4);
}

#[test]
fn retries_at_one_time_are_bounded_beside_the_budget() {
    let hold = Arc::new(AtomicBool::new(true));
    let held = Arc::clone(&hold);
    let busy = Upstream::http(|_| Answer::new(503, "", b"busy"));
    let slow = Upstream::http(move |_| {
        while held.load(Relaxed) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Answer::text("slow")
    });
    let proxy = Settings::http_to(&[&busy, &slow])
        .ejecting_nobody()
        .group_with("policy", "\"round_robin\"")
        .group_with("retry", "{ on = [\"503\"] }")
        .group_with(
            "breaker",
            "{ retries_max = 1, error_percent = 0, group_error_percent = 0 }",
        )
        .start();
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| proxy.client().get("/").status()))
            .collect();
        eventually("those that are refused a retry have ended", || {
            overflows(&proxy, "retries") >= 3.0
        });
        hold.store(false, Relaxed);
        let statuses: Vec<u16> = clients.into_iter().map(|one| one.join().unwrap()).collect();
        let refused = statuses.iter().filter(|status| **status == 503).count();
        assert_eq!(refused, 3, "{statuses:?}: of four one was tried again");
    });
}

#[test]
fn a_tcp_group_refuses_what_is_too_much() {
    let upstream = Upstream::scripted(|mut connection| {
        let _ = connection.read_to_end();
    });
    let proxy = Settings::tcp_to(&[&upstream])
        .group_with("breaker", "{ requests_max = 2 }")
        .start();
    let (_one, _two) = (proxy.client(), proxy.client());
    eventually("two are there", || upstream.accepted() == 2);
    proxy.expect_refusal();
    let fault = [("fault", "breaker_overflow")];
    proxy.wait_for_metric("weir_listener_faults_total", &fault, 1.0);
    assert_eq!(upstream.accepted(), 2);
}
