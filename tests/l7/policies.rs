//! Policies, weights and states, seen from outside.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use crate::support::{Answer, Client, Proxy, Settings, Upstream, eventually};

const POLICIES: [&str; 8] = [
    "adaptive",
    "round_robin",
    "weighted_round_robin",
    "random",
    "least_connections",
    "weighted_least_connections",
    "least_request",
    "peak_ewma",
];

fn with_policy(settings: Settings, policy: &str) -> Settings {
    settings.group_with("policy", &format!("{policy:?}"))
}

/// How often each of two was asked.
fn shares(proxy: &Proxy, count: usize, one: &str) -> [usize; 2] {
    let mut client = proxy.client();
    let answers: Vec<String> = (0..count).map(|_| client.get("/").text()).collect();
    let of_one = answers.iter().filter(|text| *text == one).count();
    [of_one, count - of_one]
}

#[test]
fn weights_decide_the_share() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    for policy in POLICIES {
        let settings = Settings::http_to(&[])
            .member(&one, "id = \"b1\"\nweight = 3")
            .member(&two, "id = \"b2\"\nweight = 1");
        let proxy = with_policy(settings, policy).start();
        let shares = shares(&proxy, 200, "one");
        match policy {
            "round_robin" | "least_connections" => assert_eq!(shares, [100, 100], "{policy}"),
            "weighted_round_robin" | "weighted_least_connections" => {
                assert_eq!(shares, [150, 50], "{policy}");
            }
            // Fast as both are, one is faster, and that alone counts between idle ones.
            "adaptive" | "peak_ewma" => {}
            _ => assert!((120..180).contains(&shares[0]), "{policy}: {shares:?}"),
        }
        let requests = proxy.metrics();
        let counted = requests.sum("weir_backend_requests_total", &[("backend", "b1")]);
        assert_eq!(counted, Some(shares[0] as f64));
    }
}

#[test]
fn states_and_weights_change_under_traffic_and_nothing_fails() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    for policy in POLICIES {
        let plain = with_policy(Settings::http_to(&[]), policy);
        let settings = |keys: &str| plain.clone().member(&one, keys).member(&two, "");
        let mut proxy = settings("").start();
        let both_serve = |proxy: &Proxy| {
            eventually("both serve", || {
                shares(proxy, 100, "one").iter().all(|share| *share > 0)
            });
        };
        both_serve(&proxy);
        for keys in ["state = \"drain\"", "state = \"maint\"", "weight = 0"] {
            proxy.reload(settings(keys));
            assert_eq!(shares(&proxy, 20, "one"), [0, 20], "{policy} {keys}");
            proxy.reload(settings(""));
        }
        // For peak_ewma and adaptive one of them may have to be forgotten a slow answer first.
        both_serve(&proxy);
        proxy.reload(settings("state = \"maint\""));
        eventually("idle connections end in maintenance", || one.open() == 0);
    }
}

#[test]
fn a_group_with_nobody_in_it_says_so() {
    let one = Upstream::named("one");
    let settings = Settings::http_to(&[]).member(&one, "state = \"maint\"");
    let proxy = settings.start();
    let answer = proxy.client().get("/");
    assert_eq!(answer.status(), 503);
    assert!(answer.text().contains("no_backend"), "{answer:?}");
}

/// A backend that answers `/slow` when told to.
fn told(name: &'static str) -> (Upstream, mpsc::Sender<()>) {
    let (tell, told) = mpsc::channel();
    let told = Arc::new(Mutex::new(told));
    let upstream = Upstream::http(move |request| {
        if request.target() == "/slow" {
            let _ = told.lock().unwrap().recv();
        }
        Answer::text(name)
    });
    (upstream, tell)
}

#[test]
fn the_policy_changes_by_reload_and_what_is_in_flight_stays_counted() {
    let ((one, tell_one), (two, tell_two)) = (told("one"), told("two"));
    let settings = Settings::http_to(&[&one, &two]).workers("2");
    let mut proxy = with_policy(settings.clone(), "round_robin").start();
    let mut slow = proxy.client();
    slow.send("GET /slow HTTP/1.1\r\nHost: test\r\n\r\n");
    eventually("the request is under way", || {
        one.request_count() + two.request_count() == 1
    });
    let (busy, idle) = match one.request_count() {
        1 => (&one, "two"),
        _ => (&two, "one"),
    };
    let label = busy.address().to_string();
    for policy in POLICIES {
        proxy.reload(with_policy(settings.clone(), policy));
        proxy.wait_for_metric("weir_backend_in_flight", &[("address", &label)], 1.0);
        proxy.wait_for_metric("weir_backend_in_flight", &[], 1.0);
        if [
            "least_connections",
            "weighted_least_connections",
            "least_request",
        ]
        .contains(&policy)
        {
            for _ in 0..6 {
                let mut client = Client::connect(proxy.address());
                assert_eq!(client.get("/").text(), idle, "{policy}");
            }
        }
    }
    for tell in [tell_one, tell_two] {
        let _ = tell.send(());
    }
    assert_eq!(slow.response().status(), 200);
    proxy.wait_for_metric("weir_backend_in_flight", &[], 0.0);
}

#[test]
fn a_client_address_comes_to_the_same_backend_until_that_drains() {
    let (one, two) = (Upstream::named("one"), Upstream::named("two"));
    for policy in ["maglev", "rendezvous", "ring_hash"] {
        let plain = with_policy(Settings::http_to(&[]).workers("2"), policy);
        let settings = |one_keys: &str, two_keys: &str| {
            let first = plain
                .clone()
                .member(&one, &format!("id = \"b1\"\n{one_keys}"));
            first.member(&two, &format!("id = \"b2\"\n{two_keys}"))
        };
        let mut proxy = settings("", "").start();
        let asked = |proxy: &Proxy| {
            let mut answers: Vec<String> =
                (0..10).map(|_| proxy.client().get("/").text()).collect();
            answers.dedup();
            assert_eq!(answers.len(), 1, "{policy}: {answers:?}");
            answers.remove(0)
        };
        let own = asked(&proxy);
        let drained = match own.as_str() {
            "one" => settings("state = \"drain\"", ""),
            _ => settings("", "state = \"drain\""),
        };
        proxy.reload(drained);
        assert_ne!(asked(&proxy), own);
        proxy.reload(settings("", ""));
        assert_eq!(asked(&proxy), own);
    }
}
