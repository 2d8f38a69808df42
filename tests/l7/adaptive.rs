//! The adaptive policy and policies in the shadow, seen from outside.

use std::time::Duration;

use serde_json::json;

use crate::support::{Answer, Settings, Upstream, eventually};

fn answering_after(name: &'static str, delay: Duration) -> Upstream {
    Upstream::http(move |_| Answer::text(name).after(delay))
}

/// How often each of three was asked, one request after the other.
fn shares(proxy: &crate::support::Proxy, count: usize, names: [&str; 3]) -> [usize; 3] {
    let mut client = proxy.client();
    let answers: Vec<String> = (0..count).map(|_| client.get("/").text()).collect();
    names.map(|name| answers.iter().filter(|answer| **answer == name).count())
}

fn adaptive(upstreams: [&Upstream; 3], retries: &str) -> Settings {
    Settings::http_to(&[])
        .member(upstreams[0], "id = \"one\"")
        .member(upstreams[1], "id = \"two\"")
        .member(upstreams[2], "id = \"slow\"")
        .group_with("policy", "\"adaptive\"")
        .group_with("retries", retries)
}

#[test]
fn who_is_slow_gets_little_and_what_is_thought_of_it_is_shown() {
    let quick = Duration::from_millis(10);
    let (one, two) = (answering_after("one", quick), answering_after("two", quick));
    let slow = answering_after("slow", Duration::from_millis(400));
    let proxy = adaptive([&one, &two, &slow], "2").start();
    let shares = shares(&proxy, 120, ["one", "two", "slow"]);
    // Which of two equals serves most depends on how busy the machine was at their first answers.
    assert!(shares[0] + shares[1] > 100, "{shares:?}");
    assert!((1..12).contains(&shares[2]), "{shares:?}");

    let said = proxy.api().post("/v1/explain", json!({})).expect(200);
    assert_eq!(said["policy"], "adaptive");
    let estimate = |at: usize, key: &str| said["candidates"][at]["estimate"][key].as_f64().unwrap();
    assert_eq!(said["candidates"][2]["id"], "slow");
    for quick in [0, 1] {
        assert!(
            estimate(2, "score") > 2.0 * estimate(quick, "score"),
            "{said}"
        );
        assert!(estimate(quick, "latency_ms") >= 5.0, "{said}");
    }
    // How far apart they are depends on how many of the slow one's answers made the usual times.
    let metrics = proxy.metrics();
    let pace = |id: &str| metrics.count("weir_backend_pace_ratio", &[("backend", id)]);
    assert!(pace("slow") > pace("one"), "{}", metrics.text());
    let latency = "weir_backend_expected_latency_seconds";
    assert!(metrics.count(latency, &[("backend", "slow")]) > 0.02);
}

#[test]
fn who_fails_fast_does_not_attract() {
    let quick = Duration::from_millis(20);
    for status in [429, 500] {
        let (one, two) = (answering_after("one", quick), answering_after("two", quick));
        let broken = Upstream::http(move |_| Answer::new(status, "", b"broken"));
        let settings = adaptive([&one, &two, &broken], "0");
        let proxy = settings.ejecting_nobody().start();
        let shares = shares(&proxy, 100, ["one", "two", "broken"]);
        assert!((1..10).contains(&shares[2]), "{status}: {shares:?}");
    }
}

#[test]
fn a_shadow_changes_nothing_and_says_what_it_would_have_done() {
    let names = ["one", "two", "slow"];
    let upstreams = names.map(Upstream::named);
    let settings = Settings::http_to(&[&upstreams[0], &upstreams[1], &upstreams[2]])
        .group_with("policy", "\"round_robin\"")
        .group_with("shadow", "\"random\"")
        .group_with("shadow_every", "2");
    let proxy = settings.start();
    assert_eq!(shares(&proxy, 300, names), [100; 3]);
    eventually("what was compared is shown", || {
        let metrics = proxy.metrics();
        let sum = |name: &str| metrics.sum(name, &[("group", "app")]).unwrap_or(0.0);
        let compared = sum("weir_backend_shadow_compared_total");
        let differed = sum("weir_backend_shadow_differed_total");
        // By chance two of three times.
        compared == 150.0
            && (60.0..140.0).contains(&differed)
            && sum("weir_backend_shadow_chosen_total") == 150.0
    });
}

/// A backend that answers at once and says that it has so much under way in all.
fn laden(name: &'static str, in_flight: u32) -> Upstream {
    Upstream::http(move |request| match request.target() {
        "/load" => {
            let said = format!("TEXT named_metrics.requests_in_flight={in_flight}");
            Answer::new(200, &format!("Endpoint-Load-Metrics: {said}\r\n"), b"")
        }
        _ => Answer::text(name),
    })
}

#[test]
fn what_others_have_under_way_is_learnt_by_probes() {
    let (one, two, slow) = (laden("one", 0), laden("two", 0), laden("slow", 40));
    let settings = adaptive([&one, &two, &slow], "2");
    let proxy = settings.group_with("probe", "{ timeout = \"2s\" }").start();
    let answered = |proxy: &crate::support::Proxy| {
        let metrics = proxy.metrics();
        metrics.count("weir_load_probes_total", &[("result", "answered")])
    };
    // Without traffic there are ten in a second.
    eventually("all were asked", || answered(&proxy) >= 6.0);
    // Nothing but the probes tells the three apart.
    let shares = shares(&proxy, 90, ["one", "two", "slow"]);
    assert!(shares[2] <= 3, "{shares:?}");
    let of_slow = slow.requests();
    let probes = of_slow.iter().filter(|request| request.target() == "/load");
    assert!(probes.count() >= 2, "it was asked");
    assert!(slow.accepted() <= 3, "by a connection that is kept");
}

#[test]
fn a_probe_that_is_not_answered_costs_nothing_but_what_it_would_have_told() {
    let answers = [("one", 404), ("two", 404), ("slow", 500)];
    let upstreams = answers.map(|(name, status)| {
        Upstream::http(move |request| match request.target() {
            "/load" => Answer::new(status, "", b"what?"),
            _ => Answer::text(name),
        })
    });
    let settings = adaptive([&upstreams[0], &upstreams[1], &upstreams[2]], "2");
    let proxy = settings.group_with("probe", "{ rate = 2 }").start();
    eventually("all were asked", || {
        let metrics = proxy.metrics();
        metrics.count("weir_load_probes_total", &[("result", "not_understood")]) >= 6.0
    });
    let shares = shares(&proxy, 90, ["one", "two", "slow"]);
    assert_eq!(shares.iter().sum::<usize>(), 90, "{shares:?}");
}
